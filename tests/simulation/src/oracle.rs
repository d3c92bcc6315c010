//! What must hold after every event, whatever the faults were.

mod supply;
mod wire;

pub use wire::Wire;

use crate::disk::Tables;
use holdfast_chain::AppliedBlock;
use holdfast_types::{
    BlockId, Certificate, FailureCode, Height, ReceiptStatus, StateRoot, TimestampMs, TransactionId,
};
use std::collections::BTreeMap;
use supply::Supply;

/// A block that an honest node has applied: all others must have the same at its height.
#[derive(Clone, Copy, Debug)]
struct Agreed {
    id: BlockId,
    state_root: StateRoot,
    timestamp: TimestampMs,
}

/// The oracle of one network.
#[derive(Debug)]
pub struct Oracle {
    agreed: Vec<Agreed>,
    certified: BTreeMap<Height, BlockId>,
    /// Where a transaction took effect.
    executed: BTreeMap<TransactionId, Height>,
    /// Transactions that a node has promised to keep.
    acknowledged: BTreeMap<TransactionId, u64>,
    supply: Supply,
    pub wire: Wire,
    violation: Option<String>,
}

impl Oracle {
    #[must_use]
    pub fn new(genesis: &Tables) -> Self {
        Self {
            agreed: Vec::new(),
            certified: BTreeMap::new(),
            executed: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            supply: Supply::new(genesis),
            wire: Wire::default(),
            violation: None,
        }
    }

    /// Something that must not be; the first counts.
    pub fn violated(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert_with(|| what.into());
    }

    #[must_use]
    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// An honest node has applied a block; `tables` are those of the node.
    pub fn applied(&mut self, node: usize, applied: &AppliedBlock, tables: &Tables) {
        let header = &applied.block.header;
        let height = header.height;
        let position = usize::try_from(height.0).expect("a simulation is short") - 1;
        let now = Agreed {
            id: applied.id,
            state_root: header.state_root,
            timestamp: header.timestamp,
        };
        if let Some(first) = self.agreed.get(position) {
            if first.id != now.id {
                self.violated(format!(
                    "agreement: node {node} has block {} at height {height}, another has {}",
                    now.id, first.id
                ));
            } else if first.state_root != now.state_root {
                self.violated(format!(
                    "node {node} has another state root at height {height}"
                ));
            }
            return;
        }
        if position > self.agreed.len() {
            self.violated(format!("node {node} has applied {height} over a gap"));
            return;
        }
        if let Some(last) = self.agreed.last()
            && last.timestamp >= now.timestamp
        {
            self.violated(format!(
                "time: block {height} is of {}, the one before it of {}",
                now.timestamp, last.timestamp
            ));
        }
        self.agreed.push(now);
        if self
            .certified
            .get(&height)
            .is_some_and(|certified| *certified != now.id)
        {
            self.violated(format!(
                "node {node} has applied {height} beside its certificate"
            ));
        }
        self.count_executions(applied);
        if let Err(wrong) = self.supply.check(tables) {
            self.violated(format!("at height {height}: {wrong}"));
        }
    }

    fn count_executions(&mut self, applied: &AppliedBlock) {
        let height = applied.block.header.height;
        for (id, receipt) in applied.transaction_ids.iter().zip(&applied.receipts) {
            // What is ordered again finds its nonce used, and what is ordered too early finds another: no effect.
            if matches!(
                receipt.status,
                ReceiptStatus::Failed(FailureCode::NonceTooLow | FailureCode::NonceTooHigh)
            ) {
                continue;
            }
            if let Some(first) = self.executed.insert(*id, height) {
                self.violated(format!(
                    "transaction {id} took effect at {first} and at {height}"
                ));
            }
        }
    }

    /// A certificate is known to an honest node.
    pub fn certified(&mut self, certificate: &Certificate) {
        let body = &certificate.body;
        let known = *self.certified.entry(body.height).or_insert(body.block);
        let applied = usize::try_from(body.height.0)
            .ok()
            .and_then(|height| self.agreed.get(height.checked_sub(1)?))
            .map_or(known, |agreed| agreed.id);
        if known != body.block || applied != body.block {
            self.violated(format!(
                "finality: height {} is certified as {} and is {known} or {applied} elsewhere",
                body.height, body.block
            ));
        }
    }

    /// A node has told a client that it keeps the transaction.
    pub fn acknowledged(&mut self, id: TransactionId, now_ms: u64) {
        self.acknowledged.entry(id).or_insert(now_ms);
    }

    /// Height at which the transaction took effect.
    #[must_use]
    pub fn executed_at(&self, id: &TransactionId) -> Option<Height> {
        self.executed.get(id).copied()
    }

    /// Acknowledged transactions that have not taken effect up to `height`.
    #[must_use]
    pub fn outstanding(&self, height: Height) -> Vec<TransactionId> {
        let open = |id: &&TransactionId| self.executed.get(id).is_none_or(|at| *at > height);
        self.acknowledged.keys().filter(open).copied().collect()
    }

    /// Number of blocks above genesis.
    #[must_use]
    pub const fn height(&self) -> Height {
        Height(self.agreed.len() as u64)
    }

    /// Acknowledged and executed transactions.
    #[must_use]
    pub fn transactions(&self) -> (usize, usize) {
        (self.acknowledged.len(), self.executed.len())
    }

    /// The block that honest nodes have at a height.
    #[must_use]
    pub fn block_at(&self, height: Height) -> Option<BlockId> {
        let position = usize::try_from(height.0.checked_sub(1)?).ok()?;
        self.agreed.get(position).map(|agreed| agreed.id)
    }
}

#[cfg(test)]
mod tests {
    use super::Oracle;
    use crate::Profile;
    use crate::chain::SimulatedChain;
    use crate::disk::Disk;
    use crate::random::Random;
    use holdfast_types::Height;

    #[test]
    fn a_block_that_is_not_later_than_the_one_before_breaks_a_rule() {
        let profile = Profile::named("calm").expect("the profile exists");
        let chain = SimulatedChain::new(&profile.plan(&mut Random::new(0)).chain);
        let disk = Disk::new(chain.genesis.clone(), None);
        let mut oracle = Oracle::new(disk.now());
        let mut applied = chain.genesis.apply[0].clone();
        applied.block.header.height = Height(1);
        oracle.applied(0, &applied, disk.now());
        assert_eq!(oracle.violation(), None);
        applied.block.header.height = Height(2);
        oracle.applied(0, &applied, disk.now());
        let violation = oracle.violation().expect("the clock stands still");
        assert!(violation.starts_with("time:"), "{violation}");
    }
}
