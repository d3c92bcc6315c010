//! The execution thread of a node.

use super::{Event, World, told};
use crate::disk::{Call, Write};
use crate::message::NodeId;
use crate::node::{CrashPoint, Execution};
use crate::oracle::Rule;
use holdfast_chain::sync::RangeError;
use holdfast_chain::{AppliedBlock, Chain, ChainError, Step};
use holdfast_dag::{DagConfig, SubDag};
use holdfast_ledger::{StateError, account};
use holdfast_replica::{ChainStanding, Input, ReturnedTransaction};
use holdfast_types::wire::BlocksResponse;
use holdfast_types::{BlockOrigin, Certificate, EndVotes, Era, Height, VerifiedTransaction};
use std::sync::Arc;

impl World {
    /// Appends work; the thread takes one piece after the other.
    pub(super) fn queue_execution(&mut self, node: NodeId, work: Execution) {
        let incarnation = self.nodes[node].incarnation;
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        running.execution.push_back(work);
        if running.execution.len() == 1 {
            let after_ms = self.random.between(self.plan.execution_ms);
            self.schedule(after_ms, Event::Execute { node, incarnation });
        }
    }

    pub(super) fn execute_next(&mut self, node: NodeId) {
        let incarnation = self.nodes[node].incarnation;
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        let Some(work) = running.execution.pop_front() else {
            return;
        };
        if !running.execution.is_empty() {
            let after_ms = self.random.between(self.plan.execution_ms);
            self.schedule(after_ms, Event::Execute { node, incarnation });
        }
        let result = match work {
            Execution::Commit(sub_dag) => self.order(node, &sub_dag),
            Execution::Certificate(certificate) => self.certify(node, certificate),
            Execution::Resume(request) => self.resume(node, &request),
            Execution::Range { from, response } => self.apply_range(node, from, response),
            Execution::Produce(turn) => self.produce(node, turn),
            Execution::Hold(hold) => self
                .with_chain(node, |chain, _| Ok(chain.hold(hold.end)))
                .map(|held| {
                    if held == Some(true) {
                        self.step(node, Input::Held(hold));
                    }
                }),
            Execution::YieldToLockdown(era) => self.yield_to_lockdown(node, era),
            Execution::Offer(block) => self.offer(node, *block),
            Execution::EndVotes(votes) => self.hear_votes(node, votes),
            Execution::Branch { from, branch } => self.apply_branch(node, from, *branch),
        };
        if let Err(error) = result {
            self.chain_failed(node, &error);
        }
        self.watch_certified(node);
    }

    fn hear_votes(&mut self, node: NodeId, votes: EndVotes) -> Result<(), ChainError> {
        let step = self.with_chain(node, |chain, tables| chain.hear_votes(tables, votes))?;
        if let Some(step) = step.flatten() {
            self.apply(node, step);
        }
        Ok(())
    }

    fn order(&mut self, node: NodeId, sub_dag: &SubDag) -> Result<(), ChainError> {
        while let Some(step) = self
            .with_chain(node, |chain, tables| chain.order(tables, sub_dag))?
            .flatten()
        {
            self.apply(node, step);
        }
        Ok(())
    }

    fn yield_to_lockdown(&mut self, node: NodeId, era: Era) -> Result<(), ChainError> {
        while let Some(step) = self
            .with_chain(node, |chain, tables| chain.yield_to_lockdown(tables, era))?
            .flatten()
        {
            self.apply(node, step);
        }
        Ok(())
    }

    /// None if the node is down.
    pub(super) fn with_chain<T>(
        &mut self,
        node: NodeId,
        act: impl FnOnce(&mut Chain, &crate::disk::Tables) -> Result<T, ChainError>,
    ) -> Result<Option<T>, ChainError> {
        let node = &mut self.nodes[node];
        let Some(running) = &mut node.running else {
            return Ok(None);
        };
        act(&mut running.chain, node.disk.now()).map(Some)
    }

    /// Writes a step of the chain, unsynced: the next sync of the core thread covers it. Then tells the replica.
    pub(super) fn apply(&mut self, node: NodeId, step: Step) {
        let common_ancestor = step.common_ancestor();
        let Step {
            mut batch,
            executed,
            returned,
            rejected,
        } = step;
        let scheme = &self.chain.scheme;
        let returned = VerifiedTransaction::verify_many(returned, &self.chain.id, scheme);
        batch.requeue = returned.into_iter().flatten().map(Arc::new).collect();
        if !rejected.is_empty() {
            self.oracle.violated(
                Rule::StateRoots,
                format!("a certified branch does not execute on node {node}: {rejected:?}"),
            );
        }
        let batch = Arc::new(batch);
        let write = Write::Chain(Arc::clone(&batch));
        let written = self.call_disk(node, Call::Chain, |disk| disk.write(write));
        if written.is_err() {
            return;
        }
        for applied in &batch.apply {
            self.note_applied(node, applied);
        }
        if self.dies_at(node, CrashPoint::AfterBlock) {
            return;
        }
        if let Some(running) = &mut self.nodes[node].running {
            running.head_changed_ms = self.now_ms;
        }
        self.watch_certified(node);
        if let Some(common_ancestor) = common_ancestor {
            self.count("branch switches");
            let Ok(transactions) = self.taken_back(node, &batch.requeue) else {
                self.stop_on_damage(node);
                return;
            };
            let taken_back = Input::TakenBack {
                common_ancestor,
                transactions,
            };
            self.step(node, taken_back);
        }
        if !executed.is_empty() {
            self.step(node, Input::Executed(executed));
        }
        if common_ancestor.is_some() && self.tell_standing(node, true).is_err() {
            self.stop_on_damage(node);
        }
    }

    fn note_applied(&mut self, node: NodeId, applied: &AppliedBlock) {
        let height = applied.block.header.height;
        if let BlockOrigin::Dag {
            leader_round,
            leader,
            ..
        } = applied.block.header.origin
        {
            let slot = (applied.block.header.era, leader_round, leader);
            self.stopwatch.applied(node, height, slot);
        }
        match applied.block.header.origin {
            BlockOrigin::Resumed { .. } => self.count("blocks that resume"),
            BlockOrigin::Recovered => self.count("blocks after a lockdown"),
            BlockOrigin::Genesis | BlockOrigin::Dag { .. } | BlockOrigin::Emergency { .. } => {}
        }
        self.show_block(node, &applied.block);
        let id = crate::message::hash(applied.id.as_bytes());
        self.trace
            .add(self.now_ms, node, id, || told::applies(applied));
        if self.nodes[node].is_honest() {
            self.check_block_time(node, &applied.block.header);
            let tables = self.nodes[node].disk.now();
            self.oracle.applied(node, applied, tables);
        }
    }

    /// Transactions of blocks that were taken back, with the nonces of their senders in the state.
    fn taken_back(
        &self,
        node: NodeId,
        returned: &[Arc<VerifiedTransaction>],
    ) -> Result<Vec<ReturnedTransaction>, StateError> {
        let tables = self.nodes[node].disk.now();
        let transactions = returned.iter().map(|transaction| {
            let sender = account(tables, &transaction.body().sender)?;
            let nonce = sender.map(|sender| sender.nonce);
            Ok((Arc::clone(transaction), nonce))
        });
        transactions.collect()
    }

    fn certify(&mut self, node: NodeId, certificate: Certificate) -> Result<(), ChainError> {
        let step = self.with_chain(node, |chain, tables| chain.certify(tables, certificate))?;
        let Some(step) = step.flatten() else {
            return Ok(());
        };
        self.apply(node, step);
        while self.is_unwinding(node) {
            let more = self.with_chain(node, |chain, tables| chain.choose(tables))?;
            if let Some(step) = more.flatten() {
                self.apply(node, step);
            }
        }
        Ok(())
    }

    fn is_unwinding(&self, node: NodeId) -> bool {
        let running = self.nodes[node].running.as_ref();
        running.is_some_and(|running| running.chain.is_unwinding())
    }

    /// Tells the replica where its chain stands.
    pub(super) fn tell_standing(
        &mut self,
        node: NodeId,
        were_taken_back: bool,
    ) -> Result<(), ChainError> {
        let Some(running) = &self.nodes[node].running else {
            return Ok(());
        };
        let dag = DagConfig::from_parameters(&self.chain.parameters);
        let tables = self.nodes[node].disk.now();
        let standing = ChainStanding::of(tables, &running.chain, &dag, were_taken_back)?;
        self.step(node, Input::Synced(Box::new(standing)));
        Ok(())
    }

    /// What a process calls certified never falls.
    fn watch_certified(&mut self, node: NodeId) {
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        let certified = running.chain.certified();
        if certified < running.highest_certified {
            let was = running.highest_certified;
            self.oracle.violated(
                Rule::Finality,
                format!("node {node} falls from certified {was} to {certified}"),
            );
            return;
        }
        running.highest_certified = certified;
    }

    /// The peer's blocks do not stand on our head: it is on another branch. Both have our last block that is irreversible and
    /// certified, so its blocks are fetched from there; true if that is new.
    fn fetches_branch(&mut self, node: NodeId, error: &RangeError) -> bool {
        let Some(running) = &mut self.nodes[node].running else {
            return false;
        };
        let is_new = matches!(error, RangeError::Unlinked { .. }) && running.branch_from.is_none();
        let shared = running.chain.irreversible().min(running.chain.certified());
        running.branch_from = is_new.then(|| shared.next());
        is_new
    }

    /// Blocks of a peer: a refusal is the peer's fault, or they are of another branch.
    fn apply_range(
        &mut self,
        node: NodeId,
        from: NodeId,
        response: BlocksResponse,
    ) -> Result<(), ChainError> {
        let verified =
            self.with_chain(node, |chain, tables| chain.verify_range(tables, response))?;
        let mut range = match verified {
            None => return Ok(()),
            Some(Ok(range)) => range,
            Some(Err(error)) => {
                self.count("ranges refused");
                let linked = self.fetches_branch(node, &error);
                self.synced(node, from, linked);
                return Ok(());
            }
        };
        self.count("ranges synced");
        let certificate = range.certificate().clone();
        let before = self.height_of(node);
        if let Some(running) = &mut self.nodes[node].running
            && running.branch_from.is_some()
        {
            let reached = certificate.body.height;
            let is_past = reached >= running.chain.head().0;
            running.branch_from = (!is_past).then(|| reached.next());
        }
        // Each turn writes what the one before decided.
        while let Some(step) = self
            .with_chain(node, |chain, tables| chain.import(tables, &mut range))?
            .flatten()
        {
            self.apply(node, step);
        }
        self.step(node, Input::Certificate(certificate));
        self.tell_standing(node, false)?;
        // What changes nothing here is no help, however well it is proved, unless it is on the way to where the branches part.
        let running = self.nodes[node].running.as_ref();
        let is_on_the_way = running.is_some_and(|running| running.branch_from.is_some());
        let helped = self.height_of(node) != before || is_on_the_way;
        self.synced(node, from, helped);
        Ok(())
    }

    fn height_of(&self, node: NodeId) -> Option<(Height, Height)> {
        let running = self.nodes[node].running.as_ref()?;
        Some((running.chain.head().0, running.chain.certified()))
    }
}
