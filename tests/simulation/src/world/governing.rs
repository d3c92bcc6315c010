//! Governors of the simulation, and what can be seen of halts.
//!
//! They see all that runs, as people do who talk to each other; what they order reaches nodes through one of them.

use super::{Event, FaultEvent, World};
use crate::chain::{START, validator_account};
use crate::message::NodeId;
use holdfast_chain::ChainStore as _;
use holdfast_halt::ModeSet;
use holdfast_replica::RecordStore;
use holdfast_types::{
    AttestationBody, Block, BlockId, BlockOrigin, Era, EraContext, EraKind, Evidence,
    GovernanceAction, GovernanceMessage, HaltId, Height, Readiness, SoftwareVersion, TimestampMs,
};
use std::collections::{BTreeMap, BTreeSet};

/// What governors do: they order halts, and they resume a chain that is halted.
#[derive(Clone, Copy, Debug)]
pub struct Governors {
    /// Between two orders to halt.
    pub pause_ms: (u64, u64),
    /// How long a halt lasts at most.
    pub halt_ms: (u64, u64),
    /// Between two looks at the chain: whether it is halted, and whether it went on as ordered.
    pub look_ms: (u64, u64),
}

impl World {
    /// Governors look at the chain, now and then, whatever else happens.
    pub(super) fn govern(&mut self, governors: Governors) {
        let up: Vec<NodeId> = self
            .honest()
            .filter(|node| self.is_running(*node))
            .collect();
        let halted: Vec<NodeId> = up
            .iter()
            .copied()
            .filter(|node| self.is_halted(*node))
            .collect();
        // Who is halted alone catches up; the chain is halted if too few go on.
        let is_member = |node: &NodeId| *node < self.plan.chain.validators;
        let members = up.iter().filter(|node| is_member(node)).count();
        let going = members - halted.iter().filter(|node| is_member(node)).count();
        let quorum = self.nodes.iter().find_map(|node| node.running.as_ref());
        let quorum = quorum.map_or(0, |running| match running.era.kind {
            EraKind::Dag => running.era.committee.quorum(),
            // The committee is one account: most have to go on.
            EraKind::Emergency => members / 2 + 1,
        });
        let halted = halted.into_iter().find(|_| going < quorum);
        // While faults last they take their time.
        let acts = self.faults_are_over() || self.random.chance(500);
        // An order that somebody has carried out is the one that all have to carry out: it is handed in again.
        // They ask the operators of nodes that are down, too, and order one thing at a time: two resumes of one era can block
        // each other.
        let begun = self.honest().find_map(|node| self.resume_begun(node));
        if let Some(halted) = halted.filter(|halted| acts && !self.ends_soon(*halted))
            && let Some(order) = begun.or_else(|| self.order_resume())
        {
            let through = if self.random.chance(500) {
                halted
            } else {
                *self.random.pick(&up)
            };
            if self.hand_in(through, &order) {
                self.count("resumes ordered");
            }
            // In a network that has fallen apart each operator hands it in: a halt that ends before the message comes is followed by
            // blocks that exclude it, and where f is 0 one member that has carried it out is one too many.
            for node in up {
                self.hand_in(node, &order);
            }
        }
        let after_ms = self.random.between(governors.look_ms);
        self.schedule(after_ms, Event::Govern(governors));
    }

    /// Whether only a halt holds at a node that ends by itself before a resume is sure to reach everybody: who misses the
    /// message would go on without it, and attest another block.
    fn ends_soon(&self, node: NodeId) -> bool {
        const EVERYBODY_HEARS_MS: u64 = 10_000;
        let running = self.nodes[node].running.as_ref();
        running.is_some_and(|running| {
            let state = running.replica.halts().manager().state();
            let until = state.emergency.as_ref().map(|halt| halt.until);
            let is_only =
                state.hard.is_empty() && state.own_fault.is_none() && state.resume.is_none();
            let soon = TimestampMs(START.0 + self.now_ms + EVERYBODY_HEARS_MS);
            is_only && until.is_some_and(|until| until < soon)
        })
    }

    /// Governance orders a halt through one node.
    pub(super) fn halt_by_governance(&mut self, governors: Governors) {
        let up: Vec<NodeId> = self
            .honest()
            .filter(|node| self.is_running(*node))
            .collect();
        if !up.is_empty() {
            let through = *self.random.pick(&up);
            let for_ms = self.random.between(governors.halt_ms);
            let head = self.standing(through).map(|standing| standing.head);
            let after = self.random.chance(300);
            let after = head
                .filter(|_| after)
                .map(|head| head.plus(self.random.between((0, 20))));
            let order = self.order_halt(for_ms, after);
            let in_emergency = self.is_in_emergency(through);
            if self.hand_in(through, &order) {
                self.count("halts ordered");
                if in_emergency {
                    self.count("halts ordered in an emergency");
                }
            } else {
                self.count("halts refused");
            }
        }
        self.schedule_fault(governors.pause_ms, FaultEvent::OrderHalt(governors));
    }

    fn is_running(&self, node: NodeId) -> bool {
        self.nodes[node].running.is_some()
    }

    /// Governors hand a message to a node. False if the node does not take it.
    pub fn hand_in(&mut self, node: NodeId, message: &GovernanceMessage) -> bool {
        let before = self.sequence_at(node);
        self.take_governance(node, message) && self.sequence_at(node) > before
    }

    /// The last message of governance that a node has taken.
    fn sequence_at(&self, node: NodeId) -> u64 {
        let running = self.nodes[node].running.as_ref();
        running.map_or(0, |running| {
            running.replica.halts().manager().state().sequence
        })
    }

    /// A message with the next sequence number that any node knows.
    #[must_use]
    pub fn message(&self, action: GovernanceAction) -> GovernanceMessage {
        let known = (0..self.nodes.len()).map(|node| self.sequence_at(node));
        self.chain
            .governance(known.max().unwrap_or_default() + 1, action)
    }

    /// Governance orders a halt that ends `for_ms` from now, by the true time.
    #[must_use]
    pub fn order_halt(&self, for_ms: u64, after_height: Option<Height>) -> GovernanceMessage {
        self.message(GovernanceAction::Halt {
            reason: b"drill".to_vec(),
            until: TimestampMs(START.0 + self.now_ms + for_ms),
            after_height,
        })
    }

    /// What governors draft from the statuses of halted validators: the highest block that a quorum of them has or can get
    /// and has attested nothing above, with the evidence that a holder shows. None if no quorum can agree.
    #[must_use]
    pub fn order_resume(&self) -> Option<GovernanceMessage> {
        let certified = self.certified_by_any();
        let up: Vec<NodeId> = self
            .honest()
            .filter(|node| self.is_running(*node))
            .collect();
        let heads: BTreeSet<Height> = up
            .iter()
            .filter_map(|node| self.standing(*node))
            // The block before an end for which too few can vote is one to go on from.
            .flat_map(|standing| [standing.head, standing.head.previous()])
            .filter(|head| *head >= certified)
            .collect();
        let action = heads
            .into_iter()
            .rev()
            .filter(|height| self.leaves_a_quorum_free(*height, &up))
            .find_map(|height| self.resume_at(height, &up))?;
        Some(self.message(action))
    }

    /// Whether enough validators can vote for an end above the block of a height that most have: who has attested the end of an emergency
    /// that its branch leaves out does not (known limit of the page on emergency consensus), and who misbehaves need not. If not, governors
    /// wait: the parts of a network come together.
    fn leaves_a_quorum_free(&self, height: Height, up: &[NodeId]) -> bool {
        let certified = self.certified_by_any();
        let holder = self.holders(height, up).map(|(_, holders)| holders);
        let Some(holder) = holder.and_then(|holders| holders.first().copied()) else {
            return false;
        };
        let tables = self.nodes[holder].disk.now();
        let is_here = |end: &AttestationBody| {
            end.height <= height && tables.block_id_at(end.height).ok().flatten() == Some(end.block)
        };
        let members = self.plan.chain.validators;
        let is_locked = |node: NodeId| {
            let record = self.nodes[node].disk.guard();
            let end = record.and_then(|record| record.emergency_end);
            end.is_some_and(|end| end.height > certified && !is_here(&end))
        };
        let votes = |node: &NodeId| *node < members && !is_locked(*node);
        self.honest().filter(votes).count() >= members - (members - 1) / 3
    }

    /// The block of a height that most have, and who.
    fn holders(&self, height: Height, up: &[NodeId]) -> Option<(BlockId, Vec<NodeId>)> {
        let mut holders_of: BTreeMap<BlockId, Vec<NodeId>> = BTreeMap::new();
        for node in up {
            if let Some(id) = self.nodes[*node].disk.now().block_id_at(height).ok()? {
                holders_of.entry(id).or_default().push(*node);
            }
        }
        holders_of
            .into_iter()
            .max_by_key(|(_, holders)| holders.len())
    }

    /// The resume on the block of a height that most have, if a quorum can agree on it.
    fn resume_at(&self, height: Height, up: &[NodeId]) -> Option<GovernanceAction> {
        let (id, holders) = self.holders(height, up)?;
        let holder = *holders.first()?;
        if self.is_open_resume(holder, height) {
            return None;
        }
        let block = self.nodes[holder].disk.now().block_at(height).ok()??;
        if block.header.timestamp > TimestampMs(START.0 + self.now_ms) {
            // A master whose clock is wrong has made it: nothing could follow before its time.
            return None;
        }
        let context = self.context_after(holder, &block)?;
        let era = context.era;
        let is_provisional = matches!(block.header.origin, BlockOrigin::Emergency { .. })
            && height > self.certified_by_any();
        // What ends an emergency is certified before anything stands on it: those who take over attest it when it is named, if
        // enough of them have voted for it. Votes for two ends bind until the next emergency, which a resume does not wait for.
        let is_end = is_provisional && context.kind == EraKind::Dag;
        let attests = |node: &&NodeId| !is_end || self.may_attest_end(**node, block.header.era, id);
        let committee = &context.committee;
        let is_member = |node: &NodeId| {
            let account = validator_account(*node);
            committee.authority_of_account(&account).is_some()
        };
        let can_get = |node: &&NodeId| {
            let standing = self.standing(**node);
            holders.contains(node) || standing.is_some_and(|standing| standing.head < height)
        };
        // For whom the era is over, it refuses the message.
        let is_in_time = |node: &&NodeId| {
            let running = self.nodes[**node].running.as_ref();
            running.is_some_and(|running| running.replica.halts().manager().state().era <= era)
        };
        // Who is not halted may attest another block before the message comes.
        let ready = up
            .iter()
            .filter(is_in_time)
            .filter(can_get)
            .filter(|node| self.is_halted(**node))
            .filter(attests)
            .filter(|node| !self.has_attested_above(**node, era, height));
        // The holder is honest, so everybody can get the block.
        let can_agree = if context.kind == EraKind::Emergency {
            // There is no quorum: most of those that are up go on.
            2 * ready.count() > up.len()
        } else {
            ready.filter(|node| is_member(node)).count() >= committee.quorum()
        };
        can_agree.then(|| GovernanceAction::Resume {
            reason: b"the cause is known".to_vec(),
            era,
            height,
            block: id,
            state_root: block.header.state_root,
            minimum_version: SoftwareVersion::default(),
            halts: self.halts_of(holder),
            evidence: self.evidence_of(holder),
        })
    }

    /// The era of what stands on a block of a node, as this node has stored it.
    fn context_after(&self, holder: NodeId, block: &Block) -> Option<EraContext> {
        let stored = self.nodes[holder].disk.now().era(block.next_era());
        stored.ok().flatten()
    }

    /// Whether governance, or enough validators, have named this block to go on from, as a node knows.
    pub(super) fn is_named(&self, node: NodeId, id: BlockId) -> bool {
        let running = self.nodes[node].running.as_ref();
        let named = running.and_then(|running| running.replica.halts().manager().resume_point());
        named.is_some_and(|named| named.block == id)
    }

    /// Whether a node keeps out of a resume, as its status says.
    fn has_attested_above(&self, node: NodeId, era: Era, height: Height) -> bool {
        let record = self.nodes[node].disk.guard();
        let attested = record.and_then(|record| record.attestation);
        attested
            .is_some_and(|last| last.era == era && last.height > height && !last.has_no_commit())
    }

    /// Whether a node has voted for no other end of the emergency `era`, and attested none.
    fn may_attest_end(&self, node: NodeId, era: Era, end: BlockId) -> bool {
        let Some(record) = self.nodes[node].disk.guard() else {
            return true;
        };
        let signed = [record.end_vote, record.emergency_end];
        let is_free = |signed: AttestationBody| signed.era != era || signed.block == end;
        signed.into_iter().flatten().all(is_free)
    }

    /// Whether a node's block at a height resumes the chain and is not certified: no block to go on from.
    fn is_open_resume(&self, node: NodeId, height: Height) -> bool {
        let tables = self.nodes[node].disk.now();
        let block = tables.block_at(height).ok().flatten();
        let certified = self.standing(node).map(|standing| standing.certified);
        let is_resume =
            block.is_some_and(|block| matches!(block.header.origin, BlockOrigin::Resumed { .. }));
        is_resume && certified < Some(height)
    }

    /// The resume message that a node follows, as long as its block is not certified.
    fn resume_begun(&self, node: NodeId) -> Option<GovernanceMessage> {
        let state = self.nodes[node].disk.now().halt_state().ok()?;
        let resume = state.resume?;
        let named = resume.body.action.resume_point()?;
        // A commit of the DAG may have taken the emergency back on whose block they wanted to go on.
        let exists = self.honest().any(|holder| {
            let tables = self.nodes[holder].disk.now();
            tables.block_id_at(named.height) == Ok(Some(named.block))
        });
        (exists && named.height >= self.certified_by_any()).then_some(resume)
    }

    /// Everything that holds at a node; none if it is down.
    #[must_use]
    pub fn modes(&self, node: NodeId) -> Option<ModeSet> {
        let running = self.nodes[node].running.as_ref()?;
        Some(running.replica.halts().modes())
    }

    /// True if something orders the node to stop.
    #[must_use]
    pub fn is_halted(&self, node: NodeId) -> bool {
        let running = self.nodes[node].running.as_ref();
        running.is_some_and(|running| running.replica.halts().manager().is_halted())
    }

    /// The halts that hold at a node.
    #[must_use]
    pub fn halts_of(&self, node: NodeId) -> Vec<HaltId> {
        let running = self.nodes[node].running.as_ref();
        running.map_or_else(Vec::new, |running| {
            running.replica.halts().manager().halts()
        })
    }

    #[must_use]
    pub fn readiness(&self, node: NodeId) -> Option<Readiness> {
        let running = self.nodes[node].running.as_ref()?;
        Some(running.replica.halts().readiness())
    }

    /// Evidence that waits at a node, as its disk has it.
    #[must_use]
    pub fn evidence_of(&self, node: NodeId) -> Vec<Evidence> {
        self.nodes[node].disk.now().evidence().unwrap_or_default()
    }
}
