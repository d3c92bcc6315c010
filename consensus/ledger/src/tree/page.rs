//! Pages: four levels of the tree, stored together (rule T3).

use super::{EMPTY, PAGE_LEVELS, hash_inner, hash_leaf, tree_error};
use crate::state::StateError;
use holdfast_types::hash::Hash32;

/// Slots of a page.
pub(super) const WIDTH: usize = 1 << PAGE_LEVELS;

/// A state key in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) key: Hash32,
    pub(super) value: Hash32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Slot {
    #[default]
    Empty,
    Leaf(Leaf),
    /// Hash of the page below.
    Page(Hash32),
}

impl Slot {
    fn hash(&self) -> Hash32 {
        match self {
            Self::Empty => EMPTY,
            Self::Leaf(leaf) => hash_leaf(&leaf.key, &leaf.value),
            Self::Page(hash) => *hash,
        }
    }
}

/// What a subtree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    OneLeaf(Leaf),
    More,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    slots: [Slot; WIDTH],
}

impl Page {
    pub(super) fn slot(&self, nibble: usize) -> Slot {
        self.slots.get(nibble).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, nibble: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(nibble) {
            *place = slot;
        }
    }

    /// What the slots from `first` on hold, `width` of them.
    pub(super) fn content(&self, first: usize, width: usize) -> Content {
        let mut content = Content::Nothing;
        for slot in self.slots.iter().skip(first).take(width) {
            content = match (content, slot) {
                (content, Slot::Empty) => content,
                (Content::Nothing, Slot::Leaf(leaf)) => Content::OneLeaf(*leaf),
                _ => return Content::More,
            };
        }
        content
    }

    /// Hash of the subtree over the slots from `first` on, `width` of them: a power of two (rules T1 and T2).
    pub(super) fn subtree(&self, first: usize, width: usize) -> Hash32 {
        if width <= 1 {
            return self.slot(first).hash();
        }
        match self.content(first, width) {
            Content::Nothing => EMPTY,
            Content::OneLeaf(leaf) => hash_leaf(&leaf.key, &leaf.value),
            Content::More => {
                let half = width / 2;
                let right = self.subtree(first.saturating_add(half), half);
                hash_inner(&self.subtree(first, half), &right)
            }
        }
    }

    pub(super) fn hash(&self) -> Hash32 {
        self.subtree(0, WIDTH)
    }

    /// Which slots are leaves and which are pages, a bit for each from the lowest on, both as two bytes little-endian;
    /// then the leaves as (K, V) and the hashes of the pages, in the order of the slots.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (mut leaves, mut pages) = (0u16, 0u16);
        let mut bytes = Vec::with_capacity(4 + WIDTH * 64);
        bytes.extend_from_slice(&[0; 4]);
        for (slot, bit) in self.slots.iter().zip(bits()) {
            match slot {
                Slot::Empty => {}
                Slot::Leaf(leaf) => {
                    leaves |= bit;
                    bytes.extend_from_slice(&leaf.key);
                    bytes.extend_from_slice(&leaf.value);
                }
                Slot::Page(hash) => {
                    pages |= bit;
                    bytes.extend_from_slice(hash);
                }
            }
        }
        let [a, b] = leaves.to_le_bytes();
        let [c, d] = pages.to_le_bytes();
        if let Some(head) = bytes.first_chunk_mut() {
            *head = [a, b, c, d];
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let malformed = || tree_error("a page is malformed");
        let ([a, b, c, d], mut rest) = bytes.split_first_chunk().ok_or_else(malformed)?;
        let leaves = u16::from_le_bytes([*a, *b]);
        let pages = u16::from_le_bytes([*c, *d]);
        if leaves & pages != 0 {
            return Err(malformed());
        }
        let mut next = || -> Result<Hash32, StateError> {
            let (hash, left) = rest.split_first_chunk().ok_or_else(malformed)?;
            rest = left;
            Ok(*hash)
        };
        let mut page = Self::default();
        for (slot, bit) in page.slots.iter_mut().zip(bits()) {
            if leaves & bit != 0 {
                *slot = Slot::Leaf(Leaf {
                    key: next()?,
                    value: next()?,
                });
            } else if pages & bit != 0 {
                *slot = Slot::Page(next()?);
            }
        }
        if rest.is_empty() {
            Ok(page)
        } else {
            Err(malformed())
        }
    }
}

fn bits() -> impl Iterator<Item = u16> {
    std::iter::successors(Some(1u16), |bit| bit.checked_shl(1))
}

/// The key of the page at `depth` on the way to `place`: its depth, then the nibbles that lead to it, two in a byte.
pub(super) fn page_key(place: &Hash32, depth: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(depth.div_ceil(2).saturating_add(1));
    // A path has at most 64 nibbles.
    key.push(u8::try_from(depth).unwrap_or(u8::MAX));
    key.extend(place.iter().take(depth.div_ceil(2)));
    if !depth.is_multiple_of(2)
        && let Some(last) = key.last_mut()
    {
        *last &= 0xf0;
    }
    key
}
