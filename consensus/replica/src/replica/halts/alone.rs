//! A halt of governance that a quorum does not follow (rule H20 of the manager).

use crate::io::{Now, Output};
use crate::replica::Replica;
use holdfast_halt::manager::HaltInput;
use holdfast_types::{AuthorityIndex, HaltId, TimestampMs};
use std::collections::BTreeSet;

/// Who is in touch with this node has halted with it after so long, in ms: the message is told again every second, a block that it names
/// takes some time to execute, and clocks differ.
const FOLLOWED_WITHIN_MS: u64 = 10_000;
/// Whether others follow is seen within so long after that, in ms. What comes later is another matter.
const JUDGED_WITHIN_MS: u64 = 60_000;

/// What is seen of others while a halt holds here.
#[derive(Clone, Debug)]
pub(super) struct Alone {
    halt: HaltId,
    since_ms: u64,
    /// When a quorum had been heard since.
    in_touch: Option<TimestampMs>,
    going_on: BTreeSet<AuthorityIndex>,
}

impl Alone {
    const fn new(halt: HaltId, now: Now) -> Self {
        Self {
            halt,
            since_ms: now.monotonic_ms,
            in_touch: None,
            going_on: BTreeSet::new(),
        }
    }

    /// Whether a vertex dated so is of somebody who was told of the halt and has not begun it.
    fn shows_going_on(&self, dated: TimestampMs, until: TimestampMs) -> bool {
        self.in_touch.is_some_and(|since| {
            let first = since.plus(FOLLOWED_WITHIN_MS);
            dated > first && dated < until.min(first.plus(JUDGED_WITHIN_MS))
        })
    }
}

impl Replica {
    /// A vertex of the running era came, which its author has dated so.
    pub(in crate::replica) fn watch_alone(
        &mut self,
        now: Now,
        author: AuthorityIndex,
        dated: TimestampMs,
        out: &mut Output,
    ) {
        let Some((halt, until)) = self.halts.manager.emergency_halt() else {
            self.halts.alone = None;
            return;
        };
        let quorum = self.context.committee.quorum();
        let known = self.halts.alone.take().filter(|alone| alone.halt == halt);
        let mut alone = known.unwrap_or_else(|| Alone::new(halt, now));
        let heard = self.halts.heard_ms.iter();
        if heard.filter(|at| **at >= alone.since_ms).count() >= quorum {
            alone.in_touch = alone.in_touch.or(Some(now.wall));
        }
        if alone.shows_going_on(dated, until) && !self.is_halted_too(author, halt) {
            alone.going_on.insert(author);
        }
        if alone.going_on.len() >= quorum {
            self.halt_note(now, HaltInput::NotFollowed(halt), out);
        } else {
            self.halts.alone = Some(alone);
        }
    }

    /// Whether this member has said that it is in the halt.
    fn is_halted_too(&self, member: AuthorityIndex, halt: HaltId) -> bool {
        let said = self.halts.statuses.get(&member);
        said.is_some_and(|said| said.status.halts.contains(&halt))
    }
}
