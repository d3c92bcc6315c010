//! What must hold after every event, whatever the faults were.
//!
//! | rule | what must hold | looked at |
//! |---|---|---|
//! | O1 agreement | honest nodes commit the same sub-DAG under an index of an era, and have the same block at a height | with every commit and block |
//! | O2 state roots | at a height honest nodes have the same state root | with every block |
//! | O3 finality | no height is certified as two blocks or beside the applied one; what a process calls certified never falls | with every certificate and every step of the chain |
//! | O4 one signature per slot | an honest key signs one vertex per round and one attestation per height, over all restarts | with everything that leaves a node |
//! | O5 durability | signatures that leave a node and promises to clients are on its disk where no crash takes them; so is the guard | with everything that leaves a node |
//! | O6 progress | in the end all honest nodes certify more, and before, if the profile says so, a quorum alone ([`mod@crate::run`]) | at the end of a run |
//! | O7 bounds | what a node holds for others, and what it answers, stays below its caps ([`bounds`]); its core rests when it waits | every virtual second, with every answer, with every deadline |
//! | O8 | the same seed gives the same trace | by tests, and between builds by `scripts/sim-nightly` |
//! | O9 transactions and supply | a transaction takes effect once; all money is somewhere; what was promised to clients took effect | with every block; the last at the end of a run |
//! | O10 halted is halted | who is halted signs no vertex, and attests nothing but what governance goes on from | with every message that leaves |
//! | O11 one mode | in the end the same modes and halts hold at all honest nodes | at the end of a run |
//! | O12 who may halt | what halts an honest node, or lets it go on, has enough distinct signers who may (`authority.rs`) | before a node keeps it |
//! | O14 slashing | an offence is punished once, an honest validator never | with every block, at the end of a run |
//! | O15 detection | who has committed a contradiction stops within 2 commits and 2 s (`detection.rs`); in the phase without a quorum all say that they stall | with every commit, every virtual second; at the end of that phase |
//! | O16 recovery | after all faults, all honest nodes have settled within [`crate::run::SETTLE_MS`] | at the end of a run |
//! | soundness | no honest node panics, stops, or refuses what honest nodes sent | with every event |
//!
//! O13, that no honest peer is banned for long, is about the network crate, which is not in the simulation.

mod authority;
pub mod bounds;
mod branches;
mod detection;
mod rivals;
mod rule;
mod slashing;
mod supply;
mod wire;

pub use authority::Authority;
pub use detection::NOTICE_MS;
pub use rule::{Rule, Violation};
pub use wire::Wire;

use crate::disk::Tables;
use branches::Branches;
use detection::Detection;
use holdfast_chain::{AppliedBlock, ChainStore as _};
use holdfast_dag::SubDag;
use holdfast_ledger::dynamic_properties;
use holdfast_types::{
    AccountName, AuthorityIndex, BlockId, BlockOrigin, Certificate, CommitDigest, Era, FailureCode,
    Height, ReceiptStatus, Round, StateRoot, TimestampMs, TransactionId,
};
use rivals::Rivals;
use slashing::Slashing;
use std::collections::{BTreeMap, BTreeSet};
use supply::Supply;

/// A block that an honest node has applied: all others must have the same at its height.
#[derive(Clone, Copy, Debug)]
struct Agreed {
    id: BlockId,
    era: Era,
    height: Height,
    state_root: StateRoot,
    timestamp: TimestampMs,
}

/// The oracle of one network.
#[derive(Debug)]
pub struct Oracle {
    agreed: Vec<Agreed>,
    rivals: Rivals,
    /// Of a chain with emergencies.
    branches: Option<Branches>,
    /// Those of them that a resume may yet take back, because nobody has certified them.
    applied: BTreeMap<Height, AppliedBlock>,
    /// By era, the block on which it stands, and index.
    commits: BTreeMap<(Era, BlockId, u64), CommitDigest>,
    /// What executes of each era that stands on a block.
    slots: BTreeMap<(Era, BlockId), BTreeSet<(Round, AuthorityIndex)>>,
    certified: BTreeMap<Height, BlockId>,
    /// What each commit gave.
    results: BTreeMap<CommitDigest, StateRoot>,
    /// Where a transaction took effect.
    executed: BTreeMap<TransactionId, Height>,
    /// Transactions that a node has promised to keep.
    acknowledged: BTreeMap<TransactionId, u64>,
    supply: Supply,
    slashing: Slashing,
    detection: Detection,
    pub wire: Wire,
    violation: Option<Violation>,
}

impl Oracle {
    /// `dissenters` of one height halt the chain.
    #[must_use]
    pub fn new(genesis: &Tables, dissenters: usize) -> Self {
        Self {
            agreed: Vec::new(),
            rivals: Rivals::default(),
            branches: None,
            applied: BTreeMap::new(),
            commits: BTreeMap::new(),
            slots: BTreeMap::new(),
            certified: BTreeMap::new(),
            results: BTreeMap::new(),
            executed: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            supply: Supply::new(genesis),
            slashing: Slashing::default(),
            detection: Detection::new(dissenters),
            wire: Wire::default(),
            violation: None,
        }
    }

    /// Of a chain with emergencies, of which nodes may have different branches.
    #[must_use]
    pub fn of_branches(genesis: &Tables, dissenters: usize) -> Self {
        let block = genesis
            .head()
            .expect("memory reads")
            .expect("it is applied");
        let supply = supply::count(genesis).expect("the money of genesis is there");
        Self {
            branches: Some(Branches::new(block.1, supply)),
            ..Self::new(genesis, dissenters)
        }
    }

    /// Something that must not be; the first counts.
    pub fn violated(&mut self, rule: Rule, what: impl Into<String>) {
        self.violation.get_or_insert_with(|| Violation {
            rule,
            what: what.into(),
        });
    }

    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// From now on this validator may be punished.
    pub fn is_guilty(&mut self, validator: AccountName) {
        self.slashing.is_guilty(validator);
    }

    /// Who may be punished.
    #[must_use]
    pub const fn guilty(&self) -> &BTreeSet<AccountName> {
        self.slashing.guilty()
    }

    /// An honest node that no resume message leads has committed a sub-DAG: it had no reason to stop before.
    pub fn committed_freely(&mut self, node: usize, sub_dag: &SubDag, now_ms: u64) {
        if let Err(late) = self.detection.committed(node, sub_dag, now_ms) {
            self.violated(Rule::Detection, late);
        }
    }

    /// Since when a node has committed attestations of this era that contradict each other, in ms.
    #[must_use]
    pub fn contradicted_since_ms(&self, node: usize, era: (Era, BlockId)) -> Option<u64> {
        self.detection.contradicted_since_ms(node, era)
    }

    /// An honest node has committed a sub-DAG.
    pub fn committed(&mut self, node: usize, sub_dag: &SubDag) {
        let (era, index) = (sub_dag.record.era, sub_dag.record.index);
        let place = |index| (era, sub_dag.anchor, index);
        let is_new = !self.commits.contains_key(&place(index));
        let first = *self.commits.entry(place(index)).or_insert(sub_dag.digest);
        let slots = self.slots.entry((era, sub_dag.anchor)).or_default();
        let mut vertices = sub_dag.vertices.iter();
        let twice = vertices.find(|vertex| is_new != slots.insert(vertex.reference().slot()));
        if let Some(vertex) = twice {
            let what = format!(
                "node {node} executes {} besides what others do",
                vertex.reference()
            );
            self.violated(Rule::Agreement, what);
        }
        let before = self.commits.get(&place(index - 1));
        if first != sub_dag.digest
            || before.is_some_and(|before| *before != sub_dag.record.previous)
        {
            let what = format!("node {node} has another commit {index} in era {era} than others");
            self.violated(Rule::Agreement, what);
        }
    }

    /// An honest node has applied a block; `tables` are those of the node.
    pub fn applied(&mut self, node: usize, applied: &AppliedBlock, tables: &Tables) {
        let header = &applied.block.header;
        let height = header.height;
        let position = usize::try_from(height.0).expect("a simulation is short") - 1;
        let now = Agreed {
            id: applied.id,
            era: header.era,
            height,
            state_root: header.state_root,
            timestamp: header.timestamp,
        };
        if let BlockOrigin::Dag { commit, .. } = header.origin {
            let first = *self.results.entry(commit).or_insert(now.state_root);
            if first != now.state_root {
                let what = format!("node {node} has another state root after commit {commit}");
                self.violated(Rule::StateRoots, what);
            }
        }
        if self.branches.is_some() {
            self.applied_on_branch(node, applied, tables);
            return;
        }
        let resumes = matches!(
            header.origin,
            BlockOrigin::Resumed { .. } | BlockOrigin::Recovered
        );
        if resumes && self.has_lost(&now, tables) || self.rivals.is_beside(&now.id, header) {
            self.beside(node, now, applied);
            return;
        }
        if resumes {
            self.cut(position, &now);
        }
        if let Some(first) = self.agreed.get(position) {
            if first.id != now.id {
                self.violated(
                    Rule::Agreement,
                    format!(
                        "node {node} has block {} at height {height}, another has {}",
                        now.id, first.id
                    ),
                );
            } else if first.state_root != now.state_root {
                self.violated(
                    Rule::StateRoots,
                    format!("node {node} has another state root at height {height}"),
                );
            }
            return;
        }
        if position > self.agreed.len() {
            let what = format!("node {node} has applied {height} over a gap");
            self.violated(Rule::Agreement, what);
            return;
        }
        if let Some(last) = self.agreed.last()
            && last.timestamp >= now.timestamp
        {
            let what = format!(
                "time: block {height} is of {}, the one before it of {}",
                now.timestamp, last.timestamp
            );
            self.violated(Rule::Soundness, what);
        }
        self.agreed.push(now);
        self.applied.insert(height, applied.clone());
        self.check_new(node, applied, tables);
    }

    /// What has to hold after a block that nobody has applied before.
    fn check_new(&mut self, node: usize, applied: &AppliedBlock, tables: &Tables) {
        let (height, id) = (applied.block.header.height, applied.id);
        if self
            .certified
            .get(&height)
            .is_some_and(|certified| *certified != id)
        {
            self.violated(
                Rule::Finality,
                format!("node {node} has applied {height} beside its certificate"),
            );
        }
        self.count_executions(applied);
        let lib = dynamic_properties(tables)
            .expect("the state reads")
            .map(|properties| properties.lib);
        if lib >= Some(height) {
            let what = format!("LIB is {lib:?} at height {height}, whose undo is still needed");
            self.violated(Rule::Finality, what);
        }
        if let Err(wrong) = self.supply.check(tables) {
            self.violated(Rule::Accounts, format!("at height {height}: {wrong}"));
        }
        if let Err(wrong) = self.slashing.check(applied) {
            self.violated(Rule::Slashing, format!("at height {height}: {wrong}"));
        }
    }

    /// A resume stands in the place of blocks that nobody has certified.
    fn cut(&mut self, position: usize, now: &Agreed) {
        self.rivals.resumed(now.era, now.height);
        let first = self.agreed.get(position);
        if first.is_none_or(|first| first.id == now.id) {
            return;
        }
        let from = now.height;
        if let Some((height, _)) = self.certified.range(from..).next() {
            let what = format!("the certified block {height} is taken back by a resume at {from}");
            self.violated(Rule::Finality, what);
        }
        for (agreed, applied) in self.take_back(from) {
            self.beside(0, agreed, &applied);
        }
    }

    /// Forgets the blocks from a height on.
    fn take_back(&mut self, from: Height) -> Vec<(Agreed, AppliedBlock)> {
        let position = usize::try_from(from.0).expect("a simulation is short") - 1;
        let agreed = self.agreed.split_off(position.min(self.agreed.len()));
        let applied = self.applied.split_off(&from);
        self.executed.retain(|_, height| *height < from);
        self.supply.cut(from);
        self.slashing.cut(from);
        agreed.into_iter().zip(applied.into_values()).collect()
    }

    fn count_executions(&mut self, applied: &AppliedBlock) {
        let height = applied.block.header.height;
        for (id, receipt) in applied.transaction_ids.iter().zip(&applied.receipts) {
            // What is ordered again finds its nonce used, what is ordered too early finds another, and what is ordered too
            // late has expired: no effect.
            if matches!(
                receipt.status,
                ReceiptStatus::Failed(
                    FailureCode::NonceTooLow | FailureCode::NonceTooHigh | FailureCode::Expired
                )
            ) {
                continue;
            }
            if let Some(first) = self.executed.insert(*id, height) {
                self.violated(
                    Rule::Accounts,
                    format!("transaction {id} took effect at {first} and at {height}"),
                );
            }
        }
    }

    /// An honest node has collected or got a certificate; `is_valid` if it verifies.
    pub fn certified(&mut self, certificate: &Certificate, is_valid: bool) {
        let body = &certificate.body;
        self.decide(certificate);
        if !is_valid {
            let what = format!("the certificate of height {} does not verify", body.height);
            self.violated(Rule::Finality, what);
        }
        if self.branches.is_some() {
            self.certificate_on_branch(certificate);
            return;
        }
        let known = *self.certified.entry(body.height).or_insert(body.block);
        self.applied = self.applied.split_off(&body.height.next());
        let applied = usize::try_from(body.height.0)
            .ok()
            .and_then(|height| self.agreed.get(height.checked_sub(1)?))
            .map_or(known, |agreed| agreed.id);
        if known != body.block || applied != body.block {
            self.violated(
                Rule::Finality,
                format!(
                    "height {} is certified as {} and is {known} or {applied} elsewhere",
                    body.height, body.block
                ),
            );
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

    /// Whether an honest node has executed the transaction, on whatever branch.
    #[must_use]
    pub fn was_executed(&self, id: &TransactionId) -> bool {
        let branches = self.branches.as_ref();
        self.executed.contains_key(id) || branches.is_some_and(|branches| branches.includes(id))
    }

    /// Acknowledged transactions that have not taken effect up to `height`.
    #[must_use]
    pub fn outstanding(&self, height: Height) -> Vec<TransactionId> {
        let open = |id: &&TransactionId| self.executed.get(id).is_none_or(|at| *at > height);
        self.acknowledged.keys().filter(open).copied().collect()
    }

    /// Offences that were punished.
    #[must_use]
    pub fn punished(&self) -> usize {
        self.slashing.punished()
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
        let mut oracle = Oracle::new(disk.now(), 1);
        let mut applied = chain.genesis.apply[0].clone();
        applied.block.header.height = Height(1);
        oracle.applied(0, &applied, disk.now());
        assert_eq!(oracle.violation(), None);
        applied.block.header.height = Height(2);
        oracle.applied(0, &applied, disk.now());
        let violation = oracle.violation().expect("the clock stands still");
        assert!(violation.what.starts_with("time:"), "{violation}");
    }
}
