//! Blocks whose parent is not here, and blocks that are not wanted (rules K6 and K7).

use super::ForkEntry;
use holdfast_types::{BlockId, Height};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Blocks that wait for their parent.
#[derive(Clone, Debug)]
pub(super) struct Unlinked {
    entries_max: usize,
    entries: BTreeMap<BlockId, ForkEntry>,
    by_parent: BTreeMap<BlockId, BTreeSet<BlockId>>,
    by_height: BTreeSet<(Height, BlockId)>,
}

impl Unlinked {
    pub(super) const fn new(entries_max: usize) -> Self {
        Self {
            entries_max,
            entries: BTreeMap::new(),
            by_parent: BTreeMap::new(),
            by_height: BTreeSet::new(),
        }
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.entries.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps an entry. If there is no room, the highest goes, which is of use last. Returns which one was dropped: it
    /// may be the new one.
    pub(super) fn insert(&mut self, entry: ForkEntry) -> Option<(Height, BlockId)> {
        self.entries.insert(entry.id, entry);
        self.by_height.insert((entry.height, entry.id));
        self.by_parent
            .entry(entry.parent)
            .or_default()
            .insert(entry.id);
        if self.entries.len() <= self.entries_max {
            return None;
        }
        let highest = self.by_height.last().copied();
        if let Some((_, id)) = highest {
            self.remove(&id);
        }
        highest
    }

    fn remove(&mut self, id: &BlockId) -> Option<ForkEntry> {
        let entry = self.entries.remove(id)?;
        self.by_height.remove(&(entry.height, entry.id));
        if let Some(children) = self.by_parent.get_mut(&entry.parent) {
            children.remove(id);
            if children.is_empty() {
                self.by_parent.remove(&entry.parent);
            }
        }
        Some(entry)
    }

    /// Removes those that wait for `parent`.
    pub(super) fn take_children(&mut self, parent: &BlockId) -> Vec<ForkEntry> {
        let children = self.by_parent.get(parent).cloned().unwrap_or_default();
        children.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Removes an entry and those that wait for it, directly or not. Each turn removes entries, so it ends.
    pub(super) fn take_branch(&mut self, id: &BlockId) -> Vec<ForkEntry> {
        let mut taken: Vec<ForkEntry> = self.remove(id).into_iter().collect();
        let mut parents = vec![*id];
        while let Some(parent) = parents.pop() {
            let children = self.take_children(&parent);
            parents.extend(children.iter().map(|child| child.id));
            taken.extend(children);
        }
        taken
    }

    /// Removes those that can never link above this root.
    pub(super) fn prune(&mut self, root_height: Height, root: &BlockId) -> Vec<(Height, BlockId)> {
        let dead: Vec<(Height, BlockId)> = self
            .by_height
            .iter()
            .take_while(|(height, _)| *height <= root_height.next())
            .filter(|(_, id)| {
                let entry = self.entries.get(id);
                entry.is_some_and(|entry| entry.cannot_link(root_height, root))
            })
            .copied()
            .collect();
        for (_, id) in &dead {
            self.remove(id);
        }
        dead
    }
}

/// Ids of blocks that were rejected, the latest of them.
#[derive(Clone, Debug)]
pub(super) struct Rejected {
    ids_max: usize,
    ids: BTreeSet<BlockId>,
    order: VecDeque<BlockId>,
}

impl Rejected {
    pub(super) const fn new(ids_max: usize) -> Self {
        Self {
            ids_max,
            ids: BTreeSet::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn remember(&mut self, id: BlockId) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > self.ids_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.ids.len(), self.order.len());
        self.ids.len()
    }
}
