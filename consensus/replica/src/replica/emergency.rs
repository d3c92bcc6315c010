//! Blocks of an emergency: when this node makes one, and what it does with those of peers (rules R19 and R20).

use super::{Replica, ReplicaConfig, SigningState};
use crate::io::{Fact, Input, Message, Now, Output};
use holdfast_chain::{ProductionRefusal, ProductionTurn};
use holdfast_halt::matrix::Activity;
use holdfast_ledger::EmergencyClock;
use holdfast_types::limits::{VERTEX_EVIDENCE_MAX, VERTEX_GOVERNANCE_MAX};
use holdfast_types::{Block, BlockOrigin, EraKind, Height, TimestampMs};

/// What this node does as a producer.
#[derive(Clone, Debug)]
pub struct Production {
    /// Length of a slot, in ms.
    interval_ms: u64,
    /// Slots of a round.
    slots: u64,
    /// How long a stall lasts before an emergency begins, in ms.
    stall_ms: u64,
    /// It has the emergency key.
    is_master: bool,
    clock: EmergencyClock,
    /// Time of the head.
    head: TimestampMs,
    /// The last moment at which a halt forbade emergency blocks. The chain could not move then, so it was no stall.
    halted_at: Option<TimestampMs>,
    /// When a block of the DAG was executed last, in ms of the monotonic clock; before the first, when the process began.
    dag_moved_ms: u64,
    /// The beginning of the slot that was tried last, and whether half of it had passed. Another emergency counts its slots
    /// anew, so this is no number.
    tried: Option<(TimestampMs, bool)>,
    /// The turn that was taken and not answered yet.
    asked: bool,
    /// The beginning of the slot since which others are ahead of this node.
    waits_since: Option<TimestampMs>,
    /// The head of a peer that is ahead; the highest there can be as long as no peer was asked.
    peers_at: Option<Height>,
    /// Why the last turn led to no block.
    refusal: Option<ProductionRefusal>,
    /// A master has missed slots, and has said so.
    overdue: bool,
}

/// A master that has made no block in so many slots that nobody else filled is overdue: its watchdog says so.
const OVERDUE_SLOTS: u64 = 3;

/// The slot that has begun, if one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    number: u64,
    begins: TimestampMs,
    is_late: bool,
}

impl Production {
    pub(super) const fn new(
        config: &ReplicaConfig,
        clock: EmergencyClock,
        head: TimestampMs,
        now: Now,
    ) -> Self {
        Self {
            interval_ms: config.slot_ms,
            slots: config.slots,
            stall_ms: config.stall_ms,
            is_master: config.is_master,
            clock,
            head,
            halted_at: None,
            dag_moved_ms: now.monotonic_ms,
            tried: None,
            asked: false,
            waits_since: None,
            peers_at: Some(Height(u64::MAX)),
            refusal: None,
            overdue: false,
        }
    }

    /// That of a node without a key on a chain without an emergency.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            interval_ms: 1,
            slots: 1,
            stall_ms: 0,
            is_master: false,
            clock: EmergencyClock::default(),
            head: TimestampMs::ZERO,
            halted_at: None,
            dag_moved_ms: 0,
            tried: None,
            asked: false,
            waits_since: None,
            peers_at: None,
            refusal: None,
            overdue: false,
        }
    }

    pub(super) fn executed(&mut self, clock: EmergencyClock, head: TimestampMs) {
        self.clock = clock;
        self.head = head;
    }

    /// It has the emergency key.
    #[must_use]
    pub const fn is_master(&self) -> bool {
        self.is_master
    }

    /// When slots begin here.
    #[must_use]
    pub const fn clock(&self) -> EmergencyClock {
        self.clock
    }

    /// Why the last slot that this node could have filled has no block of it; none if it has one.
    #[must_use]
    pub const fn refusal(&self) -> Option<ProductionRefusal> {
        self.refusal
    }

    /// A master that should produce does not.
    #[must_use]
    pub const fn is_overdue(&self) -> bool {
        self.overdue
    }

    fn slot_at(&self, wall: TimestampMs) -> Option<Slot> {
        let zero = self.clock.slot_zero?;
        if wall < zero {
            return None;
        }
        let interval_ms = self.interval_ms;
        let passed_ms = wall.since(zero);
        let number = passed_ms.checked_div(interval_ms)?;
        let begins = zero.plus(number.saturating_mul(interval_ms));
        Some(Slot {
            number,
            begins,
            is_late: wall.since(begins) >= interval_ms.div_euclid(2),
        })
    }

    /// When the next half of a slot begins by the wall clock.
    fn next_turn(&self, wall: TimestampMs) -> Option<TimestampMs> {
        let zero = self.clock.slot_zero?;
        let Some(slot) = self.slot_at(wall) else {
            return Some(zero);
        };
        let interval_ms = self.interval_ms;
        let tried_late = self.tried == Some((slot.begins, true));
        Some(if slot.is_late || tried_late {
            slot.begins.plus(interval_ms)
        } else {
            slot.begins.plus(interval_ms.div_euclid(2))
        })
    }

    pub(super) const fn dag_moved(&mut self, now: Now) {
        self.dag_moved_ms = now.monotonic_ms;
    }

    /// A round of slots, or the length of a stall if that is shorter, has passed since the DAG has moved here, or the process began. On
    /// a chain that moves a wall clock that is far ahead sees a stall, and so does a node that has just started; the monotonic clock
    /// knows better.
    fn dag_is_silent(&self, now: Now) -> bool {
        let silence_ms = self
            .slots
            .saturating_mul(self.interval_ms)
            .min(self.stall_ms);
        now.monotonic_ms.saturating_sub(self.dag_moved_ms) >= silence_ms
    }

    /// From when on this node begins an emergency, or goes on with one: a halt that ends by itself leaves no mark in the
    /// blocks, and the DAG gets as long as after a resume to show that it is there.
    fn begins_from(&self) -> TimestampMs {
        let zero = self.clock.slot_zero.unwrap_or_default();
        let halted_at = self.halted_at.filter(|_| !self.clock.is_active);
        halted_at.map_or(zero, |at| zero.max(at.plus(self.stall_ms)))
    }

    /// Whether a peer that is ahead is to be waited for: for a round at most (no refusal without a bound, V18).
    fn waits(&mut self, slot: Slot, head: Height) -> bool {
        let is_behind = self.peers_at.is_some_and(|at| at > head);
        if !is_behind {
            self.waits_since = None;
            return false;
        }
        let since = *self.waits_since.get_or_insert(slot.begins);
        slot.begins.since(since) < self.slots.saturating_mul(self.interval_ms)
    }
}

impl Replica {
    /// What this node does as a producer.
    #[must_use]
    pub const fn production(&self) -> &Production {
        &self.production
    }

    /// Whether to fetch emergency blocks from peers.
    #[must_use]
    pub fn fetches_emergency_blocks(&self) -> bool {
        let state = self.halts.manager().state();
        state.fetches_emergency_blocks(self.halts.modes())
    }

    /// Whether to fetch those that governance or a quorum of votes has chosen.
    #[must_use]
    pub fn fetches_ordered_blocks(&self) -> bool {
        self.halts.manager().state().fetches_ordered_blocks()
    }

    /// The head of the best peer while this node is behind it.
    pub(super) const fn on_peers_at(&mut self, at: Option<Height>) {
        self.production.peers_at = at;
    }

    /// Takes a turn as a producer if one has come (rule R19).
    pub(super) fn produce(&mut self, now: Now, out: &mut Output) {
        if !self.production.is_master && self.signer.is_none() {
            return;
        }
        let is_allowed = self.allows(Activity::EmergencyBlocks);
        if !is_allowed {
            self.production.halted_at = Some(now.wall);
        }
        let Some(slot) = self.production.slot_at(now.wall) else {
            return;
        };
        self.watch_producer(slot, out);
        let is_due = !self.production.asked
            && self.production.head < slot.begins
            && self.production.tried < Some((slot.begins, slot.is_late));
        if !is_due || !self.can_follow(now) {
            return;
        }
        self.production.tried = Some((slot.begins, slot.is_late));
        // Two blocks of a validator in one slot are no offence, so it need not listen first (rule R12).
        let validator_may = self.signing == SigningState::Active;
        let head = self.halts.head.height();
        let refusal = if !is_allowed {
            Some(ProductionRefusal::Halted)
        } else if slot.begins < self.production.begins_from() {
            Some(ProductionRefusal::NotBegun)
        } else if !validator_may && !self.production.is_master {
            Some(ProductionRefusal::NotSigning)
        } else if self.production.waits(slot, head) {
            Some(ProductionRefusal::SyncFirst)
        } else {
            None
        };
        if refusal.is_some() {
            self.production.refusal = refusal;
            return;
        }
        self.production.asked = true;
        let turn = self.turn(now, slot, validator_may);
        out.produce = Some(Box::new(turn));
    }

    /// An emergency runs, or its first block is for this node to make.
    fn can_follow(&self, now: Now) -> bool {
        let is_running = self.context.kind == EraKind::Emergency && self.pending_era.is_none();
        if self.production.clock.is_active {
            return is_running;
        }
        self.production.is_master
            && !self.chain_is_elsewhere
            && self.has_executed_all()
            && self.production.dag_is_silent(now)
    }

    /// No commit waits to be executed, and no peer is known to be far ahead: what the head says of a stall is no matter of
    /// this node's own delay.
    fn has_executed_all(&self) -> bool {
        self.dag.as_ref().is_none_or(|dag| {
            dag.last_commit_index() <= self.commits.executed && !dag.is_far_behind()
        })
    }

    fn turn(&mut self, now: Now, slot: Slot, validator_may: bool) -> ProductionTurn {
        let begins = !self.production.clock.is_active;
        let transactions = if begins {
            Vec::new()
        } else {
            let taken = self.mempool.take(
                now.monotonic_ms,
                self.config.vertex_transactions_max,
                self.config.vertex_bytes_max,
            );
            taken.iter().map(|taken| taken.as_ref().clone()).collect()
        };
        ProductionTurn {
            timestamp: slot.begins,
            is_late: slot.is_late,
            validator_may,
            transactions,
            evidence: self
                .evidence
                .iter()
                .take(VERTEX_EVIDENCE_MAX)
                .cloned()
                .collect(),
            governance: self.halts.waiting_messages(VERTEX_GOVERNANCE_MAX),
        }
    }

    /// What came of a turn.
    pub(super) fn on_produced(
        &mut self,
        result: Result<Box<Block>, ProductionRefusal>,
        out: &mut Output,
    ) {
        self.production.asked = false;
        match result {
            Ok(block) => {
                if let BlockOrigin::Emergency { slot, .. } = block.header.origin {
                    out.facts.push(Fact::Produced {
                        height: block.header.height,
                        slot,
                        transactions: block.body.transactions.len(),
                    });
                }
                self.production.refusal = None;
                out.send.push(Message::EmergencyBlock(block));
            }
            Err(refusal) => self.production.refusal = Some(refusal),
        }
        if self.dag.is_none() {
            // What the block did not take, or was made in vain.
            self.mempool.requeue_all();
        }
    }

    /// An emergency block of a peer (rule R20).
    pub(super) fn on_emergency_block(&self, now: Now, block: Box<Block>, out: &mut Output) {
        let latest = now.wall.plus(self.config.max_clock_drift_ms);
        if self.allows(Activity::EmergencyBlocks) && block.header.timestamp <= latest {
            out.offer.push(*block);
        }
    }

    /// The watchdog of a master (V18): the slots pass, and it makes no block.
    fn watch_producer(&mut self, slot: Slot, out: &mut Output) {
        let production = &mut self.production;
        let interval_ms = production.interval_ms;
        let patience_ms = interval_ms.saturating_mul(OVERDUE_SLOTS);
        let unfilled_ms = slot
            .begins
            .since(production.head.max(production.begins_from()));
        let overdue = production.is_master
            && production.refusal != Some(ProductionRefusal::Halted)
            && unfilled_ms >= patience_ms;
        if overdue && !production.overdue {
            out.facts.push(Fact::ProducerOverdue {
                slot: slot.number,
                refusal: production.refusal,
            });
        }
        production.overdue = overdue;
    }

    /// When the next turn may come, in ms of the monotonic clock.
    pub(super) fn next_turn_ms(&self, now: Now) -> Option<u64> {
        if !self.production.is_master && self.signer.is_none() {
            return None;
        }
        let at = self.production.next_turn(now.wall)?;
        Some(now.monotonic_ms.saturating_add(at.since(now.wall).max(1)))
    }
}

impl Input {
    /// What came of a turn as a producer.
    #[must_use]
    pub fn produced(result: Result<Block, ProductionRefusal>) -> Self {
        Self::Produced(result.map(Box::new))
    }
}
