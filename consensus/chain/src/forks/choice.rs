//! Which branch is best, and the way there (rules K1 to K5).

use super::{ForkDatabase, ForkEntry, ForkError, Node, TieBreak};
use holdfast_types::{BlockId, Height};
use std::collections::{BTreeSet, VecDeque};

/// The lowest id there can be: the beginning of a height in an ordered set.
const LOWEST_ID: BlockId = BlockId::new([0; 32]);

/// How to get from the head to the best block. Nothing in it is below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchPlan {
    /// The highest block that both branches contain.
    pub common_ancestor: BlockId,
    /// Blocks to take back, highest first.
    pub pop: Vec<(Height, BlockId)>,
    /// Blocks to apply, lowest first.
    pub apply: Vec<BlockId>,
}

impl ForkDatabase {
    /// The tip of the best branch.
    #[must_use]
    pub fn best(&self) -> BlockId {
        let Some((height, _)) = self.candidates.last() else {
            return self.head;
        };
        let lowest_at_height = |set: &BTreeSet<(Height, BlockId)>| {
            let first = set.range((*height, LOWEST_ID)..).next();
            first.map(|(_, id)| *id)
        };
        let lowest = || lowest_at_height(&self.candidates).unwrap_or(self.head);
        match self.tie_break {
            TieBreak::LowerId => lowest(),
            TieBreak::KeepHead if self.is_candidate_at(&self.head, *height) => self.head,
            TieBreak::KeepHead => lowest_at_height(&self.ahead).unwrap_or_else(lowest),
        }
    }

    fn is_candidate_at(&self, id: &BlockId, height: Height) -> bool {
        let node = self.nodes.get(id);
        node.is_some_and(|node| node.candidate && node.entry.height == height)
    }

    /// The way from the head to the best block; none if the head is the best.
    pub fn switch_plan(&self) -> Result<Option<SwitchPlan>, ForkError> {
        let best = self.best();
        if best == self.head {
            return Ok(None);
        }
        let mut from = self.applied_entry(&self.head)?;
        let mut to = self.applied_entry(&best)?;
        let mut pop = Vec::new();
        let mut apply = Vec::new();
        // Each turn takes one block from one of the two branches, and no block twice.
        let turns_max = self.nodes.len().saturating_mul(2);
        for _ in 0..turns_max {
            if from.id == to.id {
                apply.reverse();
                self.check_pop(&pop, &best)?;
                return Ok(Some(SwitchPlan {
                    common_ancestor: from.id,
                    pop,
                    apply,
                }));
            }
            if from.height >= to.height {
                pop.push((from.height, from.id));
                from = self.step_down(from)?;
            } else {
                apply.push(to.id);
                to = self.step_down(to)?;
            }
        }
        Err(ForkError::BrokenBranch {
            id: best,
            height: to.height,
        })
    }

    fn applied_entry(&self, id: &BlockId) -> Result<&ForkEntry, ForkError> {
        self.get(id).ok_or(ForkError::UnknownBlock { id: *id })
    }

    /// The parent, which must be there and exactly one lower: progress.
    fn step_down(&self, entry: &ForkEntry) -> Result<&ForkEntry, ForkError> {
        self.get(&entry.parent)
            .filter(|_| entry.id != self.root)
            .filter(|parent| parent.height < entry.height && parent.height.next() == entry.height)
            .ok_or(ForkError::BrokenBranch {
                id: entry.id,
                height: entry.height,
            })
    }

    /// Certified blocks are not taken back, whatever is on the other side.
    fn check_pop(&self, pop: &[(Height, BlockId)], best: &BlockId) -> Result<(), ForkError> {
        let Some((_, applied)) = pop.iter().find(|block| self.certified.contains(block)) else {
            return Ok(());
        };
        let other = self
            .branch(best)
            .find(|entry| self.certified.contains(&(entry.height, entry.id)))
            .map_or(*best, |entry| entry.id);
        Err(ForkError::ContradictoryCertificates {
            applied: *applied,
            other,
        })
    }

    /// Two certified blocks that exclude each other, if there are such: the highest of all, and the highest that is not
    /// below it. Takes as many steps as the branch is long.
    #[must_use]
    pub fn contradiction(&self) -> Option<(BlockId, BlockId)> {
        let (_, highest) = self.certified.last()?;
        let branch: BTreeSet<BlockId> = self.branch(highest).map(|entry| entry.id).collect();
        let other = self
            .certified
            .iter()
            .rev()
            .find(|(_, id)| !branch.contains(id));
        other.map(|(_, id)| (*highest, *id))
    }

    /// The block at `height` on the way from `id` down to the root.
    #[must_use]
    pub fn ancestor_at(&self, id: &BlockId, height: Height) -> Option<BlockId> {
        self.branch(id)
            .find(|entry| entry.height == height)
            .map(|entry| entry.id)
    }

    /// The block that ended the era before that of `id`; none if it is below the root.
    #[must_use]
    pub fn era_anchor(&self, id: &BlockId) -> Option<BlockId> {
        let era = self.get(id)?.era;
        self.branch(id)
            .find(|entry| entry.era < era)
            .map(|entry| entry.id)
    }

    /// A block and its ancestors, highest first, the root last.
    pub(super) fn branch(&self, id: &BlockId) -> impl Iterator<Item = &ForkEntry> {
        std::iter::successors(self.get(id), |entry| {
            if entry.id == self.root {
                return None;
            }
            self.get(&entry.parent)
                .filter(|parent| parent.height < entry.height)
        })
    }

    /// A block and its descendants, every block after its parent.
    pub(super) fn subtree(&self, id: &BlockId) -> Vec<BlockId> {
        let mut found = Vec::new();
        let mut open: VecDeque<BlockId> = self
            .nodes
            .contains_key(id)
            .then_some(*id)
            .into_iter()
            .collect();
        while let Some(next) = open.pop_front() {
            found.push(next);
            if let Some(node) = self.nodes.get(&next) {
                open.extend(&node.children);
            }
        }
        found
    }

    /// Whether rule 0 makes a child of `parent` void, if the child is not below the anchor.
    pub(super) fn voids_child(&self, parent: &Node, child: &ForkEntry) -> bool {
        if parent.void {
            return true;
        }
        // What is not void and lower than the anchor is below it, and there is one way up from there.
        self.voiding.is_some_and(|voiding| {
            parent.entry.height < voiding.anchor_height || child.era < voiding.from_era
        })
    }

    /// Evaluates all rules anew for the whole tree.
    pub(super) fn choose_anew(&mut self) {
        self.mark_void();
        self.certified = self
            .nodes
            .values()
            .filter(|node| node.certified && !node.void && node.entry.id != self.root)
            .map(|node| (node.entry.height, node.entry.id))
            .collect();
        self.mark_candidates();
    }

    fn mark_void(&mut self) {
        let to_anchor: BTreeSet<BlockId> = self
            .voiding
            .iter()
            .flat_map(|voiding| self.branch(&voiding.anchor))
            .map(|entry| entry.id)
            .collect();
        for id in self.subtree(&self.root) {
            let void = match self.nodes.get(&id) {
                Some(node) if id != self.root && !to_anchor.contains(&id) => self
                    .nodes
                    .get(&node.entry.parent)
                    .is_some_and(|parent| self.voids_child(parent, &node.entry)),
                _ => false,
            };
            if let Some(node) = self.nodes.get_mut(&id) {
                node.void = void;
            }
        }
    }

    /// Rules 1 and 2: a branch contains every certified block exactly if it contains the highest of them. If two exclude
    /// each other, no branch contains all, and the higher certified height counts.
    fn mark_candidates(&mut self) {
        self.candidates.clear();
        self.leaves.clear();
        for node in self.nodes.values_mut() {
            node.candidate = false;
        }
        let tops: Vec<BlockId> = match self.certified.last() {
            None => vec![self.root],
            Some((height, _)) => {
                let highest = self.certified.range((*height, LOWEST_ID)..);
                highest.map(|(_, id)| *id).collect()
            }
        };
        let obeying: Vec<BlockId> = tops.iter().flat_map(|top| self.subtree(top)).collect();
        for id in obeying {
            if let Some(node) = self.nodes.get_mut(&id)
                && !node.void
            {
                node.candidate = true;
                self.candidates.insert((node.entry.height, id));
            }
        }
        self.leaves = self
            .nodes
            .values()
            .filter(|node| node.children.is_empty() && node.entry.id != self.root)
            .map(Node::leaf_key)
            .collect();
        self.look_ahead();
    }

    /// Finds the candidates above the head.
    pub(super) fn look_ahead(&mut self) {
        self.ahead = self
            .subtree(&self.head)
            .iter()
            .skip(1)
            .filter_map(|id| self.nodes.get(id))
            .filter(|node| node.candidate)
            .map(|node| (node.entry.height, node.entry.id))
            .collect();
    }
}
