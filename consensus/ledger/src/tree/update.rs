//! What a block does to the tree.

use super::page::{Content, Leaf, Page, Slot, WIDTH, page_key};
use super::{EMPTY, PAGES_DEEP, hash_key, hash_value, load, nibble, tree_error};
use crate::state::{StateError, StateStore};
use holdfast_types::StateRoot;
use holdfast_types::hash::Hash32;

/// The tree after a block, as far as it differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeUpdate {
    pub root: StateRoot,
    /// Pages under their keys, sorted; none: the page is gone.
    pub nodes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// A key with its new value, both hashed; no value: the key is deleted.
#[derive(Clone, Copy, Debug)]
struct Change {
    key: Hash32,
    value: Option<Hash32>,
}

/// The tree of the store's state after `changes`, of which every key is another. Deleting what is not there changes
/// nothing.
pub fn update<S: StateStore + ?Sized>(
    store: &S,
    changes: &[(Vec<u8>, Option<Vec<u8>>)],
) -> Result<TreeUpdate, StateError> {
    let mut hashed: Vec<Change> = changes
        .iter()
        .map(|(key, value)| Change {
            key: hash_key(key),
            value: value.as_deref().map(hash_value),
        })
        .collect();
    hashed.sort_unstable_by_key(|change| change.key);
    let root = load(store, &EMPTY, 0)?;
    let mut updating = Updating {
        store,
        nodes: Vec::with_capacity(hashed.len().saturating_mul(2)),
    };
    let root = updating.page(root.unwrap_or_default(), 0, &hashed)?;
    updating.nodes.sort_unstable();
    Ok(TreeUpdate {
        root: StateRoot::new(root),
        nodes: updating.nodes,
    })
}

struct Updating<'a, S: ?Sized> {
    store: &'a S,
    nodes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl<S: StateStore + ?Sized> Updating<'_, S> {
    /// The root page after `changes`; gives back its hash.
    fn page(&mut self, page: Page, depth: usize, changes: &[Change]) -> Result<Hash32, StateError> {
        let page = self.changed(page, depth, changes)?;
        self.nodes
            .push((page_key(&EMPTY, depth), Some(page.encode())));
        Ok(page.hash())
    }

    fn changed(
        &mut self,
        mut page: Page,
        depth: usize,
        changes: &[Change],
    ) -> Result<Page, StateError> {
        if depth >= PAGES_DEEP {
            return Err(tree_error("two keys have one place"));
        }
        let same_slot = |a: &Change, b: &Change| nibble(&a.key, depth) == nibble(&b.key, depth);
        for group in changes.chunk_by(same_slot) {
            let Some(first) = group.first() else { continue };
            let nibble = nibble(&first.key, depth);
            let below = depth.saturating_add(1);
            let slot = match page.slot(nibble) {
                Slot::Page(_) => {
                    let child = load(self.store, &first.key, below)?
                        .ok_or_else(|| tree_error("a page is missing"))?;
                    self.slot(child, below, group, true)?
                }
                Slot::Empty => self.grow(None, below, group)?,
                Slot::Leaf(leaf) => self.grow(Some(leaf), below, group)?,
            };
            page.set(nibble, slot);
        }
        Ok(page)
    }

    /// What a slot holds that held at most one leaf.
    fn grow(
        &mut self,
        leaf: Option<Leaf>,
        depth: usize,
        group: &[Change],
    ) -> Result<Slot, StateError> {
        let kept = leaf.filter(|leaf| group.iter().all(|change| change.key != leaf.key));
        let kept = kept.map(|leaf| Change {
            key: leaf.key,
            value: Some(leaf.value),
        });
        let set = group.iter().filter(|change| change.value.is_some());
        let mut leaves: Vec<Change> = set.copied().chain(kept).collect();
        if let [] | [_] = leaves.as_slice() {
            let leaf = leaves.first().and_then(|only| {
                only.value.map(|value| Leaf {
                    key: only.key,
                    value,
                })
            });
            return Ok(leaf.map_or(Slot::Empty, Slot::Leaf));
        }
        leaves.sort_unstable_by_key(|change| change.key);
        self.slot(Page::default(), depth, &leaves, false)
    }

    /// What the slot above a page holds after `changes`. `stored` says that the page is in the store.
    fn slot(
        &mut self,
        page: Page,
        depth: usize,
        changes: &[Change],
        stored: bool,
    ) -> Result<Slot, StateError> {
        let page = self.changed(page, depth, changes)?;
        let place = changes.first().map_or(EMPTY, |change| change.key);
        let gone = match page.content(0, WIDTH) {
            Content::Nothing => Slot::Empty,
            Content::OneLeaf(leaf) => Slot::Leaf(leaf),
            Content::More => {
                self.nodes
                    .push((page_key(&place, depth), Some(page.encode())));
                return Ok(Slot::Page(page.hash()));
            }
        };
        if stored {
            self.nodes.push((page_key(&place, depth), None));
        }
        Ok(gone)
    }
}
