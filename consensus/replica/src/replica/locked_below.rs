//! A lockdown of the DAG below an emergency (rule R24).

use super::Replica;
use crate::io::{Fact, Now, Output};
use holdfast_halt::matrix::Activity;
use holdfast_types::lockdown::{LockdownNotice, recovery_quorum};
use holdfast_types::{AuthorityIndex, HaltId, SignedHaltStatus, TimestampMs};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A frozen member says how it stands as often as [`super::ReplicaConfig::repeat_interval_ms`]; one that has been silent for so many
/// times as long is not there.
const SILENT_AFTER: u64 = 10;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct LockBelow {
    notice: Option<LockdownNotice>,
    /// Members that say they are frozen: when they have said so by their clock, and when this node heard it.
    frozen: BTreeMap<AuthorityIndex, (TimestampMs, u64)>,
    /// When the chain is asked again to take the emergency back.
    yield_at_ms: u64,
    is_told: bool,
}

impl LockBelow {
    /// For when the era runs again.
    pub(super) fn into_notice(self) -> Option<LockdownNotice> {
        self.notice
    }

    /// When it has to be looked at again.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.notice.as_ref().map(|_| self.yield_at_ms)
    }

    /// Whether none of the votes has expired.
    fn is_fresh(&self, wall: TimestampMs, max_age_ms: u64) -> bool {
        let votes = self.notice.iter().flat_map(|notice| &notice.lock.votes);
        votes
            .map(|vote| vote.body.at)
            .all(|at| wall.since(at) <= max_age_ms)
    }
}

impl Replica {
    /// A member of the DAG below an emergency says how it stands: if it is frozen, it is asked for the proof.
    pub(super) fn hear_below(&mut self, now: Now, status: &SignedHaltStatus, out: &mut Output) {
        let (era, author, at) = (status.status.era, status.author, status.status.at);
        let max_age_ms = self.config.halts.manager.lockdown.vote_max_age_ms;
        let is_of_tail = self.is_of_tail(era);
        let Some(tail) = self.tail.as_mut().filter(|_| is_of_tail) else {
            return;
        };
        let lockdown = HaltId::of_lockdown(era);
        // One of long ago is told again by whoever has kept it.
        let is_old = now.wall.since(at) > max_age_ms;
        if is_old || !status.status.halts.contains(&lockdown) {
            return;
        }
        let known = tail.lock.frozen.get(&author);
        if known.is_none_or(|(known, _)| *known < at) {
            tail.lock.frozen.insert(author, (at, now.monotonic_ms));
        }
        if tail.lock.notice.is_none() {
            let context = Arc::clone(tail.context());
            self.ask_halts(now, context, author, out);
        }
    }

    /// Its members have frozen the chain, as verified certificates show. False: it is known.
    pub(super) fn locked_below(&mut self, now: Now, notice: LockdownNotice) -> bool {
        let lock = self.tail.as_mut().map(|tail| &mut tail.lock);
        let Some(lock) = lock.filter(|lock| lock.notice.is_none()) else {
            return false;
        };
        lock.notice = Some(notice);
        lock.yield_at_ms = now.monotonic_ms;
        true
    }

    /// The chain takes no emergency that begins in an era that is locked.
    pub(super) fn freeze_chain(&self, out: &mut Output) {
        let lockdown = &self.halts.manager().state().lockdown;
        let era = lockdown.lock.as_ref().map(|_| lockdown.era);
        out.yield_to_lockdown = era.or(out.yield_to_lockdown);
    }

    /// Asks the chain to take the emergency back.
    pub(super) fn yield_to_lockdown(&mut self, now: Now, holds_to_end: bool, out: &mut Output) {
        let interval_ms = self.config.repeat_interval_ms;
        let lock = self.tail.as_mut().map(|tail| &mut tail.lock);
        let lock = lock.filter(|lock| lock.notice.is_some());
        let Some(lock) = lock.filter(|lock| now.monotonic_ms >= lock.yield_at_ms) else {
            return;
        };
        lock.yield_at_ms = now.monotonic_ms.saturating_add(interval_ms);
        // With these the end comes to be certified, and the chain does not leave it either.
        let stays = holds_to_end || self.has_quorum_of_votes();
        if stays || !self.allows(Activity::EmergencyBlocks) || !self.lockdown_goes_first(now) {
            return;
        }
        if let Some(pending) = &mut self.pending_era {
            pending.ballot.release();
        }
        let Some(tail) = &mut self.tail else { return };
        let era = tail.context().era;
        if !std::mem::replace(&mut tail.lock.is_told, true) {
            out.facts.push(Fact::YieldsToLockdown { era });
        }
        out.yield_to_lockdown = Some(era);
    }

    /// Whether it began as the emergency did, or as many members as let a locked chain go on are frozen and there, with this one. One that
    /// comes back from long ago, or a vote that was kept for long, ends no emergency in which others are missing.
    fn lockdown_goes_first(&self, now: Now) -> bool {
        let Some(tail) = &self.tail else {
            return false;
        };
        let parameters = &self.config.halts.manager.lockdown;
        if tail.lock.is_fresh(now.wall, parameters.vote_max_age_ms) {
            return true;
        }
        let silent_ms = self.config.repeat_interval_ms.saturating_mul(SILENT_AFTER);
        let is_there = |heard_ms: u64| now.monotonic_ms.saturating_sub(heard_ms) <= silent_ms;
        let me = self.authority_in(tail.context());
        let frozen = tail.lock.frozen.iter();
        let frozen =
            frozen.filter(|(author, (_, heard_ms))| Some(**author) != me && is_there(*heard_ms));
        let members = frozen.count().saturating_add(usize::from(me.is_some()));
        members >= recovery_quorum(tail.context().committee.size(), parameters)
    }
}
