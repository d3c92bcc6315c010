//! Emergency consensus: blocks of slots at the nodes that make them and those that take them, and the keys that come back.

use super::{Event, FaultEvent, Stalls, World};
use crate::chain::validator_account;
use crate::disk::Loss;
use crate::message::NodeId;
use crate::node::{Execution, SyncState};
use crate::oracle::Rule;
use holdfast_chain::{
    Branch, BranchStep, ChainError, OfferRefusal, Producers, ProductionRefusal, ProductionTurn,
};
use holdfast_replica::Input;
use holdfast_replica::admission::{self, Judgement};
use holdfast_replica::validator_guard::{GuardRest, GuardView};
use holdfast_types::{Block, EraKind, Signer, TimestampMs};

impl World {
    /// The latest time that an emergency block may have at a node.
    pub(super) fn latest_at(&self, node: NodeId) -> TimestampMs {
        let drift_ms = self.chain.parameters.dag.max_clock_drift_ms;
        self.nodes[node].now(self.now_ms).wall.plus(drift_ms)
    }

    /// True if the block is to be passed on.
    pub(super) fn take_emergency_block(&mut self, node: NodeId, block: &Block) -> bool {
        self.show_block(node, block);
        match self.judge_emergency_block(node, block) {
            Judgement::Accept => {
                self.step(node, Input::EmergencyBlock(Box::new(block.clone())));
                true
            }
            Judgement::Ignore => {
                self.count("emergency blocks not taken");
                false
            }
            Judgement::Reject => {
                let what = format!("node {node} blames a peer for an emergency block");
                self.oracle.violated(Rule::Soundness, what);
                false
            }
        }
    }

    pub(super) fn judge_emergency_block(&self, node: NodeId, block: &Block) -> Judgement {
        let judged = admission::emergency_block(
            self.nodes[node].disk.now(),
            block,
            &self.chain.id,
            &self.chain.parameters.emergency,
            &self.chain.scheme,
            self.latest_at(node),
        );
        judged.unwrap_or(Judgement::Ignore)
    }

    /// Makes the block of a slot, if it is for this node to make it.
    pub(super) fn produce(&mut self, node: NodeId, turn: ProductionTurn) -> Result<(), ChainError> {
        let validator = self.nodes[node].key.clone();
        let master = self.nodes[node].master.clone();
        let producers = Producers {
            validator: validator.as_deref().map(|key| key as &dyn Signer),
            master: master.as_deref().map(|key| key as &dyn Signer),
        };
        self.make_second_block(node, producers, &turn);
        let made = self.with_chain(node, |chain, tables| {
            chain.produce_in_turn(tables, producers, turn)
        })?;
        let result = match made {
            None => return Ok(()),
            Some(Ok(step)) => {
                let block = step.batch.apply.last().map(|made| made.block.clone());
                self.apply(node, step);
                block.ok_or(ProductionRefusal::SlotTaken)
            }
            Some(Err(refusal)) => Err(refusal),
        };
        self.step(node, Input::produced(result));
        Ok(())
    }

    /// Emergency blocks of peers come into the choice among branches.
    pub(super) fn offer(&mut self, node: NodeId, block: Block) -> Result<(), ChainError> {
        let taken = self.with_chain(node, |chain, tables| chain.offer(tables, block))?;
        match taken {
            None | Some(Ok(None)) => {}
            Some(Ok(Some(step))) => {
                self.count("emergency blocks taken");
                self.apply(node, step);
            }
            Some(Err(refusal)) => self.refuses(node, &refusal),
        }
        Ok(())
    }

    /// No honest node makes a block that has to be refused for its contents.
    fn refuses(&mut self, node: NodeId, refusal: &OfferRefusal) {
        self.count("emergency blocks refused");
        if let Some(running) = &mut self.nodes[node].running {
            running.is_forked |= matches!(refusal, OfferRefusal::Unlinked { .. });
        }
        self.trace.add(self.now_ms, node, 0, || {
            format!("refuses an emergency block: {refusal}")
        });
        if matches!(
            refusal,
            OfferRefusal::WrongBody { .. }
                | OfferRefusal::BadSignature
                | OfferRefusal::BadTransaction { .. }
                | OfferRefusal::Invalid { .. }
        ) {
            let what = format!("node {node} refuses an emergency block: {refusal}");
            self.oracle.violated(Rule::Soundness, what);
        }
    }

    /// What comes of an answer of the peer that blocks are fetched from.
    pub(super) fn branch_step(&mut self, node: NodeId, from: NodeId, step: BranchStep) {
        match step {
            BranchStep::Ask => self.ask_blocks(node, from),
            BranchStep::Prove(response) => {
                let response = *response;
                self.queue_execution(node, Execution::Range { from, response });
            }
            BranchStep::Offer(branch) => {
                self.queue_execution(node, Execution::Branch { from, branch });
            }
            BranchStep::Over => self.synced(node, from, false),
            BranchStep::Blame => {
                if self.nodes[from].is_honest() {
                    let what = format!("node {node} blames {from} for its branch");
                    self.oracle.violated(Rule::Soundness, what);
                }
                self.synced(node, from, false);
            }
        }
    }

    /// A branch that no certificate proves.
    pub(super) fn apply_branch(
        &mut self,
        node: NodeId,
        from: NodeId,
        branch: Branch,
    ) -> Result<(), ChainError> {
        let taken = self.with_chain(node, |chain, tables| chain.offer_branch(tables, branch))?;
        match taken {
            None => {}
            Some(Ok(step)) => {
                self.count("branches of an emergency taken");
                if let Some(step) = step {
                    let certificates = step.batch.certificates.clone();
                    self.apply(node, step);
                    for certificate in certificates {
                        self.step(node, Input::Certificate(certificate));
                    }
                    self.tell_standing(node, false)?;
                }
                self.synced(node, from, true);
            }
            Some(Err(refusal)) => {
                self.refuses(node, &refusal);
                let running = self.nodes[node].running.as_mut();
                let fetch = running.and_then(|running| match &mut running.sync {
                    SyncState::Fetching(fetch) => Some(fetch),
                    SyncState::Idle | SyncState::Polling { .. } => None,
                });
                if let Some(fetch) = fetch {
                    let next = fetch.refused(&refusal);
                    self.branch_step(node, from, next);
                }
            }
        }
        Ok(())
    }

    /// The validator guards of all nodes look at the chain, from now on.
    pub(super) fn look_after_keys(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].guard.is_some() {
                self.schedule(self.plan.look_ms, Event::Guard(node));
            }
        }
    }

    /// A validator guard looks at the chain.
    pub(super) fn guard_looks(&mut self, node: NodeId) {
        self.schedule(self.plan.look_ms, Event::Guard(node));
        let Some(view) = self.guard_view(node) else {
            return;
        };
        let now = self.nodes[node].now(self.now_ms);
        let Some(owner) = self.nodes[node].key.clone() else {
            return;
        };
        let Some(guard) = &mut self.nodes[node].guard else {
            return;
        };
        match guard.look(now.monotonic_ms, now.wall, &view, owner.as_ref()) {
            Ok(transaction) => {
                self.count("keys given back");
                self.trace.add(self.now_ms, node, 0, || {
                    "asks to have its signing key back".to_owned()
                });
                self.submit(node, transaction);
            }
            Err(GuardRest::KeyIsThere | GuardRest::InFlight) => {}
            Err(rest) => self.trace.add(self.now_ms, node, 0, || {
                format!("does not ask to have its signing key back: {}", rest.name())
            }),
        }
    }

    fn guard_view(&self, node: NodeId) -> Option<GuardView> {
        let running = self.nodes[node].running.as_ref()?;
        let name = validator_account(node);
        GuardView::of(
            self.nodes[node].disk.now(),
            &name,
            self.nodes[node].now(self.now_ms).wall,
            matches!(running.sync, SyncState::Fetching(_)),
            running.replica.mempool().next_nonce(&name),
        )
        .ok()
    }

    /// Takes the quorum away for a while: more than f validators are down, or the network falls apart so that no part has one.
    pub(super) fn stall(&mut self, stalls: Stalls) {
        let lasts_ms = self.random.between(stalls.lasts_ms);
        if self.random.chance(stalls.cut_per_mille) {
            self.count("networks fallen apart");
            let parts = 2 + self.random.position(2);
            let part: Vec<usize> = (0..self.nodes.len())
                .map(|node| (node + self.random.position(2)) % parts)
                .collect();
            for one in 0..self.nodes.len() {
                for other in 0..self.nodes.len() {
                    if part[one] != part[other] {
                        self.network.set_cut(one, other, true);
                    }
                }
            }
            self.schedule_fault((lasts_ms, lasts_ms), FaultEvent::Mend);
        } else {
            self.count("quorums lost");
            let validators = self.plan.chain.validators;
            let down = self
                .random
                .between((((validators - 1) / 3) as u64 + 1, validators as u64));
            let first = self.random.position(validators);
            for number in 0..down as usize {
                let node = (first + number) % validators;
                // They come back one after the other.
                let after_ms = lasts_ms + self.random.between((0, lasts_ms));
                self.down_until_ms.insert(node, self.now_ms + after_ms);
                let loss = *self.random.pick(&Loss::ALL);
                self.crash(node, loss);
                self.schedule_fault((after_ms, after_ms), FaultEvent::Start(node));
            }
        }
        let (least, most) = stalls.pause_ms;
        self.schedule_fault(
            (lasts_ms + least, 2 * lasts_ms + most),
            FaultEvent::Stall(stalls),
        );
    }

    pub(super) fn is_kept_down(&self, node: NodeId) -> bool {
        let until_ms = self.down_until_ms.get(&node);
        until_ms.is_some_and(|until_ms| *until_ms > self.now_ms)
    }

    /// True if the chain of a node stands in an emergency.
    #[must_use]
    pub fn is_in_emergency(&self, node: NodeId) -> bool {
        let running = self.nodes[node].running.as_ref();
        running.is_some_and(|running| running.chain.era().kind == EraKind::Emergency)
    }
}
