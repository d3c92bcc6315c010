//! Blocks of chains with emergencies: nodes may have different ones for a while, and a certificate decides which hold.
//!
//! Every block is looked at when the first honest node applies it, and what holds of a chain as a whole (a transaction takes
//! effect once, an offence is punished once, certified blocks stand on each other) when a certificate covers it.

use super::{Agreed, Oracle, Rule};
use crate::disk::Tables;
use holdfast_chain::{AppliedBlock, ChainStore as _};
use holdfast_ledger::dynamic_properties;
use holdfast_types::{BlockId, Certificate, Height, TimestampMs, TransactionId};
use std::collections::{BTreeMap, BTreeSet};

/// A block that an honest node has applied.
#[derive(Clone, Debug)]
struct BranchBlock {
    agreed: Agreed,
    supply: u64,
    applied: AppliedBlock,
}

/// What is not certified yet.
#[derive(Debug)]
pub(super) struct Branches {
    blocks: BTreeMap<BlockId, BranchBlock>,
    /// The block up to which all is certified, its time, and the money then.
    root: (BlockId, TimestampMs, u64),
    /// Certified blocks that no honest node has applied yet.
    waiting: BTreeMap<Height, BlockId>,
    /// What was in any block.
    included: BTreeSet<TransactionId>,
}

/// How a certified block stands to the one before.
enum Way {
    Known(Vec<BranchBlock>),
    /// Nobody honest has applied all of it yet.
    Unknown,
    /// It stands on another block than the certified one of that height.
    Excluded,
}

impl Branches {
    pub(super) fn new(genesis: BlockId, supply: u64) -> Self {
        Self {
            blocks: BTreeMap::new(),
            root: (genesis, TimestampMs::ZERO, supply),
            waiting: BTreeMap::new(),
            included: BTreeSet::new(),
        }
    }

    pub(super) fn includes(&self, id: &TransactionId) -> bool {
        self.included.contains(id)
    }

    /// Time of a block and the money after it.
    fn before(&self, parent: &BlockId) -> Option<(TimestampMs, u64)> {
        if *parent == self.root.0 {
            return Some((self.root.1, self.root.2));
        }
        let block = self.blocks.get(parent)?;
        Some((block.agreed.timestamp, block.supply))
    }

    /// The blocks from what is certified at `root` up to `id`, lowest first; none if one is missing.
    fn way_to(&self, root: Height, id: BlockId) -> Way {
        let mut way = Vec::new();
        let mut at = id;
        while at != self.root.0 {
            if way
                .last()
                .is_some_and(|above: &BranchBlock| above.agreed.height <= root.next())
            {
                return Way::Excluded;
            }
            let Some(block) = self.blocks.get(&at) else {
                return Way::Unknown;
            };
            at = block.applied.block.header.parent;
            way.push(block.clone());
        }
        way.reverse();
        Way::Known(way)
    }
}

impl Oracle {
    /// An honest node has applied a block; `tables` are those of the node.
    pub(super) fn applied_on_branch(
        &mut self,
        node: usize,
        applied: &AppliedBlock,
        tables: &Tables,
    ) {
        let header = &applied.block.header;
        let (height, id) = (header.height, applied.id);
        let Some(branches) = &mut self.branches else {
            return;
        };
        branches.included.extend(&applied.transaction_ids);
        if branches.blocks.contains_key(&id) || self.agreed.len() as u64 >= height.0 {
            // Of what a certificate excludes already nothing more is asked.
            return;
        }
        let before = branches.before(&header.parent);
        let supply = match super::supply::count(tables) {
            Ok(supply) => supply,
            Err(wrong) => {
                self.violated(Rule::Accounts, format!("at height {height}: {wrong}"));
                return;
            }
        };
        // Of several blocks in one step only the last has left these tables.
        let is_head = tables.head().ok().flatten() == Some((height, id));
        let supply = match before {
            Some((_, money)) if !is_head => money,
            Some(_) | None => supply,
        };
        let agreed = Agreed {
            id,
            era: header.era,
            height,
            state_root: header.state_root,
            timestamp: header.timestamp,
        };
        let block = BranchBlock {
            agreed,
            supply,
            applied: applied.clone(),
        };
        branches.blocks.insert(id, block);
        let waiting: Vec<_> = branches.waiting.iter().map(|(at, id)| (*at, *id)).collect();
        if let Some((timestamp, money)) = before {
            if timestamp >= header.timestamp {
                let what = format!("time: block {height} is not later than the one before it");
                self.violated(Rule::Soundness, what);
            }
            if supply > money {
                let what = format!("at height {height} the supply is {supply}, it was {money}");
                self.violated(Rule::Accounts, what);
            }
        }
        let lib = dynamic_properties(tables)
            .expect("the state reads")
            .map(|properties| properties.lib);
        if is_head && lib >= Some(height) {
            let what = format!("node {node}: LIB is {lib:?} at height {height}");
            self.violated(Rule::Finality, what);
        }
        for (at, id) in waiting {
            self.certified_on_branch(at, id);
        }
    }

    /// A block is certified, and with it all that it stands on.
    pub(super) fn certified_on_branch(&mut self, height: Height, id: BlockId) {
        let reached = self.agreed.len() as u64;
        let Some(branches) = &mut self.branches else {
            return;
        };
        if height.0 <= reached {
            branches.waiting.remove(&height);
            if self.block_at(height) != Some(id) {
                let what = format!("height {height} is certified as {id} and as another block");
                self.violated(Rule::Finality, what);
            }
            return;
        }
        let way = match branches.way_to(Height(reached), id) {
            Way::Known(way) => way,
            Way::Unknown => {
                branches.waiting.insert(height, id);
                return;
            }
            Way::Excluded => {
                let what = format!("the certified block {height} excludes the certified {reached}");
                self.violated(Rule::Finality, what);
                return;
            }
        };
        branches.waiting.remove(&height);
        if let Some(last) = way.last() {
            branches.root = (last.agreed.id, last.agreed.timestamp, last.supply);
        }
        branches
            .blocks
            .retain(|_, block| block.agreed.height > height);
        for block in way {
            self.agreed.push(block.agreed);
            self.count_executions(&block.applied);
            if let Err(wrong) = self.slashing.check(&block.applied) {
                self.violated(Rule::Slashing, format!("at height {height}: {wrong}"));
            }
        }
    }

    /// A certificate in a chain with emergencies.
    pub(super) fn certificate_on_branch(&mut self, certificate: &Certificate) {
        let body = &certificate.body;
        let known = *self.certified.entry(body.height).or_insert(body.block);
        if known != body.block {
            let what = format!(
                "height {} is certified as {known} and as {}",
                body.height, body.block
            );
            self.violated(Rule::Finality, what);
        }
        self.certified_on_branch(body.height, body.block);
    }

    /// Certified blocks that stand on nothing that an honest node has: at the end of a run there are none.
    #[must_use]
    pub fn certified_in_the_air(&self) -> Option<Height> {
        let branches = self.branches.as_ref()?;
        branches.waiting.keys().next().copied()
    }
}
