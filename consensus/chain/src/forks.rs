//! Fork choice: the reversible blocks as a tree, and which branch of it is best (DESIGN §5).
//!
//! Headers only; the bodies are in the store. The tree hangs on the root: the last irreversible block, or the block that
//! a rebuilt tree begins with. The best branch, in this order:
//!
//! * K1. *(rule 0)* It obeys the latest governance rollback or hard fork ([`ForkDatabase::void_above`]): it contains the
//!   anchor, and nothing of an older era above it. Blocks that no obeying branch contains are *void*, their certificates
//!   included. While its anchor is not here, the one before stays in force.
//! * K2. *(rules 1 and 2)* It contains every certified block; if certified blocks exclude each other, the highest of them.
//!   A certified block is never taken back for another branch: [`ForkDatabase::switch_plan`] reports the contradiction
//!   instead.
//! * K3. *(rule 3)* It is longer.
//! * K4. *(rule 4)* Of equally high tips: the lower id under [`TieBreak::LowerId`] (emergency consensus, where the root at
//!   HEAD − 1 bounds what can be won by it to one block), otherwise the head, otherwise one above the head, otherwise the
//!   lower id. So the best branch is a function of what is known, the head and the mode, not of the order of arrival.
//! * K5. A switch is planned whole before anything is taken back. Every step of the plan goes down by one height, so it
//!   ends; a plan that cannot be made is an error, never a loop.
//! * K6. A block that does not execute is rejected with all above it, once, and remembered.
//! * K7. Everything is bounded. When the tree is full, a leaf goes for a block that may be chosen: first one that cannot
//!   be chosen, then the lowest, never the head, the best tip or a certified block. Blocks without their parent are kept
//!   aside within a number and a distance from the head.
//! * K8. A resume of governance makes an applied block the only tip ([`ForkDatabase::cut_back`]): what does not lead to it
//!   leaves, if none of it is certified. It may come again, with a certificate.
//!
//! Candidates, leaves and the blocks ahead of the head are kept in ordered sets, so choosing costs O(log n). A certificate,
//! a new root or governance evaluates the tree anew, which is small as long as certificates arrive.

mod choice;
mod cut;
mod error;
mod outcome;
mod unlinked;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use choice::SwitchPlan;
pub use error::ForkError;
pub use outcome::{Certified, Inserted, Voiding};

use holdfast_types::{BlockHeader, BlockId, Era, Height};
use std::collections::{BTreeMap, BTreeSet};
use unlinked::{Rejected, Unlinked};

/// Limits of the fork database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkConfig {
    /// Most blocks above the root, all branches together (`fork_db_max`).
    pub blocks_max: usize,
    /// Most blocks whose parent is not here. As many certificates of blocks that are not here are kept.
    pub unlinked_max: usize,
    /// How far above the head a block without its parent may be.
    pub unlinked_gap_max: u64,
}

/// What the fork choice needs of a block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkEntry {
    pub id: BlockId,
    pub parent: BlockId,
    pub height: Height,
    pub era: Era,
}

impl ForkEntry {
    #[must_use]
    pub const fn of(id: BlockId, header: &BlockHeader) -> Self {
        Self {
            id,
            parent: header.parent,
            height: header.height,
            era: header.era,
        }
    }

    /// Whether this block cannot be above `root`: too low, or a child of another block of the root's height.
    fn cannot_link(&self, root_height: Height, root: &BlockId) -> bool {
        self.height <= root_height || (self.height == root_height.next() && self.parent != *root)
    }
}

/// How equally high branches are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TieBreak {
    /// The head stays.
    #[default]
    KeepHead,
    /// The tip with the lower id wins: emergency consensus.
    LowerId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Void {
    anchor: BlockId,
    anchor_height: Height,
    from_era: Era,
}

#[derive(Clone, Debug)]
struct Node {
    entry: ForkEntry,
    children: BTreeSet<BlockId>,
    certified: bool,
    void: bool,
    /// On a branch that obeys the rules 0 to 2.
    candidate: bool,
}

impl Node {
    const fn leaf_key(&self) -> (bool, Height, BlockId) {
        (self.candidate, self.entry.height, self.entry.id)
    }
}

/// The reversible blocks and the choice among their branches.
#[derive(Clone, Debug)]
pub struct ForkDatabase {
    config: ForkConfig,
    tie_break: TieBreak,
    root: BlockId,
    root_height: Height,
    head: BlockId,
    /// The tree, the root included. Every parent is here and one lower.
    nodes: BTreeMap<BlockId, Node>,
    /// Blocks without children but the root, in the order in which they make room.
    leaves: BTreeSet<(bool, Height, BlockId)>,
    /// Blocks that end a branch which obeys the rules 0 to 2.
    candidates: BTreeSet<(Height, BlockId)>,
    /// Candidates above the head.
    ahead: BTreeSet<(Height, BlockId)>,
    /// Certified blocks of the tree that are not void.
    certified: BTreeSet<(Height, BlockId)>,
    /// Certificates of blocks that are not in the tree.
    certified_ahead: BTreeSet<(Height, BlockId)>,
    /// The governance rollback or hard fork in force. Its anchor is in the tree.
    voiding: Option<Void>,
    /// A later one whose anchor is not.
    voiding_awaited: Option<Void>,
    unlinked: Unlinked,
    rejected: Rejected,
}

impl ForkDatabase {
    /// A tree of nothing but its root, which is the head too. To rebuild one from the store, insert the blocks in the order
    /// of their heights, then set the head.
    #[must_use]
    pub fn new(root: ForkEntry, config: ForkConfig, tie_break: TieBreak) -> Self {
        let mut database = Self {
            config,
            tie_break,
            root: root.id,
            root_height: root.height,
            head: root.id,
            nodes: BTreeMap::new(),
            leaves: BTreeSet::new(),
            candidates: BTreeSet::new(),
            ahead: BTreeSet::new(),
            certified: BTreeSet::new(),
            certified_ahead: BTreeSet::new(),
            voiding: None,
            voiding_awaited: None,
            unlinked: Unlinked::new(config.unlinked_max),
            rejected: Rejected::new(config.blocks_max.saturating_add(config.unlinked_max)),
        };
        let node = Node {
            entry: root,
            children: BTreeSet::new(),
            certified: false,
            void: false,
            candidate: false,
        };
        database.nodes.insert(root.id, node);
        database.choose_anew();
        database
    }

    /// Adds a block, and the blocks that waited for it.
    pub fn insert(&mut self, entry: ForkEntry) -> Inserted {
        if self.contains(&entry.id) || self.unlinked.contains(&entry.id) {
            return Inserted::Known;
        }
        if entry.cannot_link(self.root_height, &self.root) {
            return Inserted::BelowRoot;
        }
        let Some(parent) = self.get(&entry.parent) else {
            if self.rejected.contains(&entry.id) || self.rejected.contains(&entry.parent) {
                let dropped = self.reject_branch(entry.id);
                return Inserted::Rejected { dropped };
            }
            return self.keep_aside(entry);
        };
        if self.rejected.contains(&entry.id) || !follows(parent, &entry) {
            let dropped = self.reject_branch(entry.id);
            return Inserted::Rejected { dropped };
        }
        let mut dropped = Vec::new();
        if !self.link(entry, &mut dropped) {
            return Inserted::Full;
        }
        let also = self.link_waiting(entry.id, &mut dropped);
        Inserted::Linked { also, dropped }
    }

    fn keep_aside(&mut self, entry: ForkEntry) -> Inserted {
        let head_height = self
            .get(&self.head)
            .map_or(self.root_height, |head| head.height);
        let gap = entry.height.since(head_height);
        if gap > self.config.unlinked_gap_max {
            return Inserted::TooFar { gap };
        }
        let dropped = self.unlinked.insert(entry);
        if dropped == Some((entry.height, entry.id)) {
            return Inserted::Full;
        }
        Inserted::Unlinked { dropped }
    }

    /// Links the blocks that waited for `id`, and those that waited for these. Each turn takes blocks out of the waiting
    /// ones and none goes back, so it ends.
    fn link_waiting(&mut self, id: BlockId, dropped: &mut Vec<(Height, BlockId)>) -> Vec<BlockId> {
        let mut linked = Vec::new();
        let mut parents = vec![id];
        while let Some(parent) = parents.pop() {
            for child in self.unlinked.take_children(&parent) {
                let fits = self.get(&parent).map(|parent| follows(parent, &child));
                if fits == Some(true) && self.link(child, dropped) {
                    linked.push(child.id);
                    parents.push(child.id);
                    continue;
                }
                dropped.push((child.height, child.id));
                if fits == Some(false) {
                    dropped.extend(self.reject_branch(child.id));
                }
            }
        }
        // What made room for a later one did not stay.
        linked.retain(|id| self.contains(id));
        linked
    }

    /// Puts a block that follows its parent into the tree. False if there is no room.
    fn link(&mut self, entry: ForkEntry, dropped: &mut Vec<(Height, BlockId)>) -> bool {
        let Some(parent) = self.nodes.get(&entry.parent) else {
            return false;
        };
        let void = self.voids_child(parent, &entry);
        let candidate = parent.candidate && !void;
        let certified = self.certified_ahead.contains(&(entry.height, entry.id));
        if self.len() >= self.config.blocks_max {
            let Some(victim) = self.victim(&entry, candidate, certified && !void) else {
                return false;
            };
            dropped.push(victim);
            self.detach(&victim.1);
        }
        self.certified_ahead.remove(&(entry.height, entry.id));
        if let Some(parent) = self.nodes.get_mut(&entry.parent) {
            self.leaves.remove(&parent.leaf_key());
            parent.children.insert(entry.id);
        }
        let node = Node {
            entry,
            children: BTreeSet::new(),
            certified,
            void,
            candidate,
        };
        self.leaves.insert(node.leaf_key());
        self.nodes.insert(entry.id, node);
        let place = (entry.height, entry.id);
        if candidate {
            self.candidates.insert(place);
            let below = (entry.height.previous(), entry.parent);
            if entry.parent == self.head || self.ahead.contains(&below) {
                self.ahead.insert(place);
            }
        }
        let anchors = self
            .voiding_awaited
            .filter(|voiding| voiding.anchor == entry.id);
        if anchors.is_some() {
            self.voiding = anchors;
            self.voiding_awaited = None;
        }
        if anchors.is_some() || certified {
            self.choose_anew();
        }
        true
    }

    /// The leaf that makes room for a new block, if the new one is worth more.
    fn victim(
        &self,
        entry: &ForkEntry,
        candidate: bool,
        certified: bool,
    ) -> Option<(Height, BlockId)> {
        let best = self.best();
        let awaited = self
            .voiding_awaited
            .is_some_and(|voiding| voiding.anchor == entry.id);
        let wanted = certified || awaited || entry.parent == self.head || entry.parent == best;
        if !candidate && !wanted {
            return None;
        }
        let (leaf_candidate, height, id) = self.leaves.iter().find(|(_, height, id)| {
            *id != self.head
                && *id != best
                && *id != entry.parent
                && !self.certified.contains(&(*height, *id))
        })?;
        (!leaf_candidate || wanted || *height < entry.height).then_some((*height, *id))
    }

    /// Removes a block that has no children.
    fn detach(&mut self, id: &BlockId) {
        let Some(node) = self.nodes.remove(id) else {
            return;
        };
        let place = (node.entry.height, *id);
        self.leaves.remove(&node.leaf_key());
        self.candidates.remove(&place);
        self.ahead.remove(&place);
        self.certified.remove(&place);
        if node.certified {
            self.await_block(node.entry.height, *id);
        }
        let root = self.root;
        if let Some(parent) = self.nodes.get_mut(&node.entry.parent) {
            parent.children.remove(id);
            if parent.children.is_empty() && parent.entry.id != root {
                self.leaves.insert(parent.leaf_key());
            }
        }
    }

    /// Remembers a block that is not in the tree as rejected, with those that wait for it, which are returned.
    fn reject_branch(&mut self, id: BlockId) -> Vec<(Height, BlockId)> {
        let waiting = self.unlinked.take_branch(&id);
        for entry in &waiting {
            self.rejected.remember(entry.id);
        }
        self.rejected.remember(id);
        waiting
            .iter()
            .map(|entry| (entry.height, entry.id))
            .collect()
    }

    /// Notes that a quorum has certified a block. The caller has verified the certificate.
    pub fn certify(&mut self, height: Height, id: BlockId) -> Certified {
        if height <= self.root_height {
            return Certified::BelowRoot;
        }
        if self.rejected.contains(&id) {
            return Certified::Rejected;
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            self.await_block(height, id);
            return Certified::AwaitsBlock;
        };
        let news = !node.certified;
        node.certified = true;
        if node.void {
            return Certified::Void;
        }
        if news {
            let place = (node.entry.height, id);
            let highest = self.certified.last().map(|(height, _)| *height);
            self.certified.insert(place);
            if highest.is_none_or(|highest| place.0 >= highest) {
                self.choose_anew();
            }
        }
        Certified::Counts
    }

    fn await_block(&mut self, height: Height, id: BlockId) {
        self.certified_ahead.insert((height, id));
        // The highest certificate says the most.
        if self.certified_ahead.len() > self.config.unlinked_max {
            self.certified_ahead.pop_first();
        }
    }

    /// Rejects a block that does not execute, with everything above it; returns what left the fork database for it. The
    /// rejected ids are remembered, so that they are rejected at once when they come again.
    pub fn mark_invalid(&mut self, id: BlockId) -> Result<Vec<(Height, BlockId)>, ForkError> {
        if self.branch(&self.head).any(|entry| entry.id == id) {
            return Err(ForkError::InvalidIsApplied { id });
        }
        let subtree = self.subtree(&id);
        let certified = subtree
            .iter()
            .filter_map(|id| self.get(id))
            .find(|entry| self.certified.contains(&(entry.height, entry.id)));
        if let Some(certified) = certified.map(|entry| entry.id) {
            return Err(ForkError::InvalidIsCertified { id, certified });
        }
        if let Some(voiding) = self.voiding
            && subtree.contains(&voiding.anchor)
        {
            let anchor = voiding.anchor;
            return Err(ForkError::InvalidIsAnchor { id, anchor });
        }
        let mut dropped = Vec::new();
        for below in subtree.iter().rev() {
            if let Some(entry) = self.get(below).copied() {
                dropped.push((entry.height, entry.id));
                self.detach(below);
            }
            dropped.extend(self.reject_branch(*below));
        }
        if subtree.is_empty() {
            dropped.extend(self.reject_branch(id));
        }
        Ok(dropped)
    }

    /// Obeys a governance rollback or hard fork: the era `from_era` is anchored at this block, and what older eras put
    /// above it, or beside it, is void. Only the latest is in force.
    pub fn void_above(&mut self, anchor_height: Height, anchor: BlockId, from_era: Era) -> Voiding {
        let voiding = Void {
            anchor,
            anchor_height,
            from_era,
        };
        let known = self.voiding_awaited.or(self.voiding);
        if known.is_some_and(|known| known != voiding && known.from_era >= from_era) {
            return Voiding::Outdated;
        }
        if anchor != self.root && anchor_height <= self.root_height {
            return Voiding::BelowRoot;
        }
        if !self.contains(&anchor) {
            self.voiding_awaited = Some(voiding);
            return Voiding::AwaitsAnchor;
        }
        self.voiding = Some(voiding);
        self.voiding_awaited = None;
        self.choose_anew();
        Voiding::Applied
    }

    /// The last applied block is now this.
    pub fn set_head(&mut self, id: BlockId) -> Result<(), ForkError> {
        if !self.contains(&id) {
            return Err(ForkError::UnknownBlock { id });
        }
        self.head = id;
        self.look_ahead();
        Ok(())
    }

    pub const fn set_tie_break(&mut self, tie_break: TieBreak) {
        self.tie_break = tie_break;
    }

    /// The last irreversible block is now this: the tree begins here. Returns the blocks that do not stand on it; those
    /// between the old root and the new one leave too, but belong to the block log and are not returned.
    pub fn advance_root(&mut self, id: BlockId) -> Result<Vec<(Height, BlockId)>, ForkError> {
        let Some(root) = self.nodes.get(&id) else {
            return Err(ForkError::UnknownBlock { id });
        };
        if root.void {
            return Err(ForkError::RootIsVoid { id });
        }
        let root_height = root.entry.height;
        if !self.branch(&self.head).any(|entry| entry.id == id) {
            return Err(ForkError::RootNotApplied { id });
        }
        let below: BTreeSet<BlockId> = self.branch(&id).map(|entry| entry.id).collect();
        let kept: BTreeSet<BlockId> = self.subtree(&id).into_iter().collect();
        let mut pruned: Vec<(Height, BlockId)> = self
            .nodes
            .values()
            .map(|node| (node.entry.height, node.entry.id))
            .filter(|(_, id)| !below.contains(id) && !kept.contains(id))
            .collect();
        if let Some((_, certified)) = pruned.iter().find(|block| self.certified.contains(block)) {
            let certified = *certified;
            return Err(ForkError::RootAbandonsCertified { id, certified });
        }
        self.nodes.retain(|id, _| kept.contains(id));
        self.root = id;
        self.root_height = root_height;
        pruned.extend(self.unlinked.prune(root_height, &id));
        pruned.sort_unstable();
        self.certified_ahead
            .retain(|(height, _)| *height > root_height);
        let of_use = |voiding: &Void| voiding.anchor == id || voiding.anchor_height > root_height;
        self.voiding = self.voiding.filter(of_use);
        self.voiding_awaited = self.voiding_awaited.filter(of_use);
        self.choose_anew();
        Ok(pruned)
    }

    #[must_use]
    pub fn contains(&self, id: &BlockId) -> bool {
        self.nodes.contains_key(id)
    }

    /// A block of the tree, the root included.
    #[must_use]
    pub fn get(&self, id: &BlockId) -> Option<&ForkEntry> {
        self.nodes.get(id).map(|node| &node.entry)
    }

    /// Whether a block of the tree is void (rule 0).
    #[must_use]
    pub fn is_void(&self, id: &BlockId) -> bool {
        self.nodes.get(id).is_some_and(|node| node.void)
    }

    #[must_use]
    pub const fn root(&self) -> (Height, BlockId) {
        (self.root_height, self.root)
    }

    #[must_use]
    pub const fn head(&self) -> BlockId {
        self.head
    }

    #[must_use]
    pub const fn tie_break(&self) -> TieBreak {
        self.tie_break
    }

    /// Height and id of the highest certified block above the root that is not void.
    #[must_use]
    pub fn highest_certified(&self) -> Option<(Height, BlockId)> {
        self.certified.last().copied()
    }

    /// Number of blocks in the tree above the root.
    #[must_use]
    pub const fn config(&self) -> ForkConfig {
        self.config
    }

    /// Whether a certified block is missing here: what is best is not known then.
    #[must_use]
    pub fn awaits_certified(&self) -> bool {
        !self.certified_ahead.is_empty()
    }

    /// Whether this certified block is awaited.
    #[must_use]
    pub fn awaits(&self, block: (Height, BlockId)) -> bool {
        self.certified_ahead.contains(&block)
    }

    /// All blocks above the root, of all branches, by height.
    #[must_use]
    pub fn blocks(&self) -> BTreeSet<(Height, BlockId)> {
        let nodes = self.nodes.values().map(|node| node.entry);
        let above = nodes.filter(|entry| entry.id != self.root);
        above.map(|entry| (entry.height, entry.id)).collect()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len().saturating_sub(1)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of blocks that wait for their parent.
    #[must_use]
    pub fn unlinked_len(&self) -> usize {
        self.unlinked.len()
    }
}

/// Whether the header of a block fits that of its parent. Eras never go back along a branch.
fn follows(parent: &ForkEntry, child: &ForkEntry) -> bool {
    child.parent == parent.id
        && child.height > parent.height
        && child.height == parent.height.next()
        && child.era >= parent.era
}
