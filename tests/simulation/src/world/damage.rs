//! What a node does when its store cannot read, and what its operator does then.

use super::World;
use crate::disk::{Disk, Loss};
use crate::message::NodeId;
use crate::oracle::Rule;
use holdfast_chain::ChainError;
use holdfast_ledger::LedgerError;

/// Whether the store is to blame.
const fn is_of_store(error: &ChainError) -> bool {
    matches!(
        error,
        ChainError::Store(_) | ChainError::Ledger(LedgerError::Store(_))
    )
}

impl World {
    fn is_explained(&self, node: NodeId, error: &ChainError) -> bool {
        self.nodes[node].disk.now().is_damaged() && is_of_store(error)
    }

    /// The chain of a node cannot go on, so its process ends. Without damage on its disk that is a broken rule.
    pub(super) fn chain_failed(&mut self, node: NodeId, error: &ChainError) {
        if self.is_explained(node, error) {
            self.stop_on_damage(node);
        } else {
            let what = format!("the chain of node {node} cannot go on: {error}");
            self.oracle.violated(Rule::Soundness, what);
        }
    }

    pub(super) fn stop_on_damage(&mut self, node: NodeId) {
        self.count("stops on damage");
        self.crash(node, Loss::Nothing);
    }

    /// The operator of a node that does not start lets it sync into a new folder. The guard stays.
    pub(super) fn does_not_start(&mut self, node: NodeId, error: &ChainError) {
        if self.is_explained(node, error) {
            self.count("starts refused for damage");
            self.replace_data(node);
            self.schedule_restart(node);
        } else {
            let what = format!("node {node} does not start: {error}");
            self.oracle.violated(Rule::Soundness, what);
        }
    }

    /// An empty folder in the place of the chain data.
    pub fn replace_data(&mut self, node: NodeId) {
        self.trace
            .add(self.now_ms, node, 0, || "has new chain data".to_owned());
        let guard = self.nodes[node].disk.guard().cloned();
        self.nodes[node].disk = Disk::new(self.chain.genesis.clone(), guard);
    }

    /// The operator looks after the disk of a node: it has room, and does not fail. What does not read is replaced.
    pub(super) fn mend_disk(&mut self, node: NodeId) {
        self.nodes[node].disk.mend();
        if self.nodes[node].disk.now().is_damaged() {
            self.crash(node, Loss::Nothing);
            self.replace_data(node);
        }
    }
}
