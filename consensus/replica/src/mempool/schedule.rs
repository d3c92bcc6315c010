//! Whose turn it is (rules M3 to M5).

use super::sender::SenderQueue;
use holdfast_types::AccountName;
use std::collections::{BTreeMap, BTreeSet};

/// Where the schedule has a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing of it can be taken.
    None,
    /// Its next transaction may be taken from this time on.
    Waiting { eligible_at_ms: u64 },
    /// Its next transaction is served in the order of tickets.
    Ready { ticket: u64 },
}

/// The senders that have a transaction to take, and those that will have one by the passing of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    ready: BTreeMap<u64, AccountName>,
    waiting: BTreeSet<(u64, AccountName)>,
    tickets_next: u64,
    /// The latest time heard of. What is eligible at it stays so, whatever clock is read next.
    clock_ms: u64,
}

impl Schedule {
    fn new_ticket(&mut self) -> u64 {
        let ticket = self.tickets_next;
        self.tickets_next = ticket.saturating_add(1);
        ticket
    }

    /// Puts a sender where its queue says that it belongs.
    pub(super) fn place(&mut self, name: AccountName, sender: &mut SenderQueue) {
        let turn = match sender.next_mut() {
            None => Turn::None,
            Some(entry) => match entry.ticket {
                Some(ticket) => Turn::Ready { ticket },
                None if entry.eligible_at_ms <= self.clock_ms => {
                    let ticket = self.new_ticket();
                    entry.ticket = Some(ticket);
                    Turn::Ready { ticket }
                }
                None => Turn::Waiting {
                    eligible_at_ms: entry.eligible_at_ms,
                },
            },
        };
        self.withdraw(name, sender.turn);
        match turn {
            Turn::None => {}
            Turn::Waiting { eligible_at_ms } => {
                self.waiting.insert((eligible_at_ms, name));
            }
            Turn::Ready { ticket } => {
                self.ready.insert(ticket, name);
            }
        }
        sender.turn = turn;
    }

    fn withdraw(&mut self, name: AccountName, turn: Turn) {
        match turn {
            Turn::None => {}
            Turn::Waiting { eligible_at_ms } => {
                self.waiting.remove(&(eligible_at_ms, name));
            }
            Turn::Ready { ticket } => {
                self.ready.remove(&ticket);
            }
        }
    }

    /// Sends a sender to the back of the order of service.
    pub(super) fn send_back(&mut self, name: AccountName, sender: &mut SenderQueue) {
        let ticket = self.new_ticket();
        if let Some(entry) = sender.next_mut() {
            entry.ticket = Some(ticket);
        }
        self.place(name, sender);
    }

    pub(super) fn advance_clock(&mut self, now_ms: u64) {
        self.clock_ms = self.clock_ms.max(now_ms);
    }

    /// Removes a sender whose waiting is over; the caller places it anew.
    pub(super) fn pop_due(&mut self) -> Option<AccountName> {
        let (eligible_at_ms, _) = self.waiting.first()?;
        if *eligible_at_ms > self.clock_ms {
            return None;
        }
        self.waiting.pop_first().map(|(_, name)| name)
    }

    /// The first sender in the order of service with this ticket or a later one.
    pub(super) fn first_from(&self, ticket: u64) -> Option<(u64, AccountName)> {
        self.ready
            .range(ticket..)
            .next()
            .map(|(ticket, name)| (*ticket, *name))
    }

    pub(super) fn has_ready(&self, now_ms: u64) -> bool {
        !self.ready.is_empty()
            || self
                .next_eligible_ms()
                .is_some_and(|eligible_at_ms| eligible_at_ms <= now_ms)
    }

    pub(super) fn next_eligible_ms(&self) -> Option<u64> {
        self.waiting
            .first()
            .map(|(eligible_at_ms, _)| *eligible_at_ms)
    }

    #[cfg(test)]
    pub(super) fn contents(&self) -> (&BTreeMap<u64, AccountName>, &BTreeSet<(u64, AccountName)>) {
        (&self.ready, &self.waiting)
    }
}
