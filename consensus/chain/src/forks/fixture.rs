//! Trees from text, and a fork choice that looks at every branch.

use super::{Certified, ForkConfig, ForkDatabase, ForkEntry, Inserted, TieBreak};
use holdfast_types::{BlockId, Era, Height};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const CONFIG: ForkConfig = ForkConfig {
    blocks_max: 100,
    unlinked_max: 50,
    unlinked_gap_max: 60,
};

pub(crate) const ROOT: ForkEntry = ForkEntry {
    id: id(0),
    parent: id(9_999),
    height: Height(10),
    era: Era(1),
};

/// The id of block `number`; ids sort as their numbers do.
pub(crate) const fn id(number: u16) -> BlockId {
    let mut bytes = [0; 32];
    let [high, low] = number.to_be_bytes();
    bytes[0] = high;
    bytes[1] = low;
    BlockId::new(bytes)
}

pub(crate) fn number(id: &BlockId) -> u16 {
    let bytes = id.as_bytes();
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// Entries from a text like `1<0 2<1 3<1@2`: block 3 on block 1, in era 2. Without an era it is that of the parent.
pub(crate) fn entries(text: &str) -> Vec<ForkEntry> {
    let mut known = BTreeMap::from([(0, ROOT)]);
    text.split_whitespace()
        .map(|word| {
            let (block, era) = word.split_once('@').unwrap_or((word, ""));
            let (child, parent) = block.split_once('<').expect("child<parent");
            let child: u16 = child.parse().expect("a number");
            let parent = known[&parent.parse::<u16>().expect("a number")];
            let entry = ForkEntry {
                id: id(child),
                parent: parent.id,
                height: parent.height.next(),
                era: era.parse().map_or(parent.era, Era),
            };
            known.insert(child, entry);
            entry
        })
        .collect()
}

pub(crate) fn insert_all(forks: &mut ForkDatabase, entries: &[ForkEntry]) {
    for entry in entries {
        let inserted = forks.insert(*entry);
        assert!(
            matches!(inserted, Inserted::Linked { .. }),
            "{entry:?}: {inserted:?}"
        );
    }
}

pub(crate) fn certify(forks: &mut ForkDatabase, number: u16) -> Certified {
    let height = forks.get(&id(number)).expect("it is in the tree").height;
    forks.certify(height, id(number))
}

/// A tree on [`ROOT`] that keeps its head, which is the root.
pub(crate) fn planted(text: &str) -> ForkDatabase {
    let mut forks = ForkDatabase::new(ROOT, CONFIG, TieBreak::KeepHead);
    insert_all(&mut forks, &entries(text));
    forks
}

/// What a tree consists of, for the choice by looking.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) root: BlockId,
    pub(crate) blocks: BTreeMap<BlockId, ForkEntry>,
    pub(crate) certified: BTreeSet<BlockId>,
    pub(crate) void_above: Option<(BlockId, Era)>,
}

impl Tree {
    /// The ids from a block down to the root.
    pub(crate) fn branch(&self, tip: &BlockId) -> Vec<BlockId> {
        let mut branch = vec![*tip];
        while let Some(last) = branch.last().filter(|last| **last != self.root) {
            branch.push(self.blocks[last].parent);
        }
        branch
    }

    fn obeys(&self, branch: &[BlockId]) -> bool {
        let Some((anchor, from_era)) = self
            .void_above
            .filter(|(anchor, _)| self.blocks.contains_key(anchor))
        else {
            return true;
        };
        branch.contains(&anchor)
            && branch
                .iter()
                .map(|id| &self.blocks[id])
                .filter(|entry| entry.height > self.blocks[&anchor].height)
                .all(|entry| entry.era >= from_era)
    }

    /// Certified blocks that some obeying branch contains.
    pub(crate) fn counting(&self) -> BTreeSet<BlockId> {
        self.blocks
            .keys()
            .map(|tip| self.branch(tip))
            .filter(|branch| self.obeys(branch))
            .flatten()
            .filter(|id| self.certified.contains(id) && *id != self.root)
            .collect()
    }

    /// The rules of DESIGN §5 in their order, for the branch of every block.
    pub(crate) fn best(&self, head: &BlockId, tie_break: TieBreak) -> BlockId {
        let counting = self.counting();
        *self
            .blocks
            .keys()
            .max_by_key(|tip| {
                let branch = self.branch(tip);
                let certified_height = branch
                    .iter()
                    .filter(|id| counting.contains(id))
                    .map(|id| self.blocks[id].height)
                    .max();
                (
                    self.obeys(&branch),
                    counting.iter().all(|id| branch.contains(id)),
                    certified_height,
                    self.blocks[*tip].height,
                    tie_break == TieBreak::KeepHead && branch.contains(head),
                    Reverse(**tip),
                )
            })
            .expect("a tree has a root")
    }
}
