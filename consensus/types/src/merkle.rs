//! Merkle root over a list, in the shape of RFC 6962: the left subtree is the largest full one. Leaves and nodes are
//! hashed for different purposes, so no node passes as a leaf.

use crate::hash::{Hash32, Purpose};

/// Root over `leaves`; of no leaves, the hash of nothing.
#[must_use]
pub fn merkle_root<'a>(leaves: impl IntoIterator<Item = &'a Hash32>) -> Hash32 {
    let mut layer: Vec<Hash32> = leaves
        .into_iter()
        .map(|leaf| Purpose::MERKLE_LEAF.hash(leaf))
        .collect();
    if layer.is_empty() {
        return Purpose::MERKLE_NODE.hash(&[]);
    }
    // Pairing neighbours and carrying an odd last one up gives the same tree as splitting at the largest power of two.
    while layer.len() > 1 {
        layer = layer
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => {
                    let mut hasher = Purpose::MERKLE_NODE.hasher();
                    hasher.update(left);
                    hasher.update(right);
                    *hasher.finalize().as_bytes()
                }
                [odd] => *odd,
                _ => unreachable!("chunks(2) gives one or two items"),
            })
            .collect();
    }
    layer.into_iter().next().unwrap_or_default()
}
