//! The execution thread of a node.

use super::{Event, World};
use crate::disk::Write;
use crate::message::NodeId;
use crate::node::{CrashPoint, Execution};
use holdfast_chain::{Chain, ChainError, Step, last_commits, verify_range};
use holdfast_dag::{DagConfig, DagCore};
use holdfast_replica::Input;
use holdfast_types::Certificate;
use holdfast_types::wire::BlocksResponse;
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
            Execution::Commit(sub_dag) => self
                .with_chain(node, |chain, tables| chain.order(tables, &sub_dag))
                .map(|step| {
                    if let Some(step) = step.flatten() {
                        self.apply(node, step);
                    }
                }),
            Execution::Certificate(certificate) => self.certify(node, certificate),
            Execution::Range { from, response } => self.apply_range(node, from, response),
        };
        if let Err(error) = result {
            self.oracle
                .violated(format!("the chain of node {node} cannot go on: {error}"));
        }
    }

    /// None if the node is down.
    fn with_chain<T>(
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
    fn apply(&mut self, node: NodeId, step: Step) {
        let Step { batch, executed } = step;
        let batch = Arc::new(batch);
        self.nodes[node]
            .disk
            .write(Write::Chain(Arc::clone(&batch)));
        for applied in &batch.apply {
            let height = applied.block.header.height;
            let id = crate::message::hash(applied.id.as_bytes());
            self.trace.add(self.now_ms, node, id, || {
                let receipts = applied.receipts.iter().map(|receipt| receipt.status);
                let outcomes: Vec<_> = applied.transaction_ids.iter().zip(receipts).collect();
                format!("applies {height} {:?} {outcomes:?}", applied.id)
            });
            if self.nodes[node].is_honest() {
                let tables = self.nodes[node].disk.now();
                self.oracle.applied(node, applied, tables);
            }
        }
        if self.dies_at(node, CrashPoint::AfterBlock) {
            return;
        }
        if let Some(running) = &mut self.nodes[node].running {
            running.head_changed_ms = self.now_ms;
        }
        self.watch_certified(node);
        self.step(node, Input::Executed(executed));
    }

    fn certify(&mut self, node: NodeId, certificate: Certificate) -> Result<(), ChainError> {
        let batch = self.with_chain(node, |chain, tables| chain.certify(tables, certificate))?;
        if let Some(batch) = batch.flatten() {
            let write = Write::Chain(Arc::new(batch));
            self.nodes[node].disk.write(write);
            self.watch_certified(node);
        }
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
            self.oracle.violated(format!(
                "finality: node {node} falls from certified {was} to {certified}"
            ));
            return;
        }
        running.highest_certified = certified;
    }

    /// Blocks of a peer: a refusal is the peer's fault.
    fn apply_range(
        &mut self,
        node: NodeId,
        from: NodeId,
        response: BlocksResponse,
    ) -> Result<(), ChainError> {
        let Some(running) = &self.nodes[node].running else {
            return Ok(());
        };
        let (head, context) = (running.chain.head(), Arc::clone(running.chain.era()));
        let scheme = crate::keys::FastScheme;
        let proven = match verify_range(response, head, &self.chain.id, &context, &scheme) {
            Ok(proven) => proven,
            Err(_) => {
                self.count("ranges refused");
                self.synced(node, from, false);
                return Ok(());
            }
        };
        self.count("ranges synced");
        for (_, block) in &proven.blocks {
            let step = self.with_chain(node, |chain, tables| chain.replay(tables, block))?;
            let Some(step) = step else { return Ok(()) };
            self.apply(node, step);
        }
        self.certify(node, proven.certificate.clone())?;
        self.step(node, Input::Certificate(proven.certificate));
        let Some(running) = &self.nodes[node].running else {
            return Ok(());
        };
        let era = Arc::clone(running.chain.era());
        let needed = DagCore::commits_needed(&DagConfig::from_parameters(&self.chain.parameters));
        let commits = last_commits(self.nodes[node].disk.now(), &era, needed)?;
        let synced = Input::Synced {
            context: era,
            commits,
        };
        self.step(node, synced);
        self.synced(node, from, true);
        Ok(())
    }
}
