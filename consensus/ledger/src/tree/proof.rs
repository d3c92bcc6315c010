//! Proofs that a key has a value, or none (rule T4).

use super::page::{Content, Leaf, WIDTH};
use super::{
    EMPTY, PAGES_DEEP, hash_inner, hash_key, hash_leaf, hash_value, load, nibble, tree_error,
};
use crate::state::{StateError, StateStore};
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::codec;
use holdfast_types::hash::Hash32;
use holdfast_types::{Height, StateRoot};

/// Longest encoded proof in bytes: 256 siblings, a leaf and lengths.
pub const PROOF_BYTES_MAX: usize = 256 * 32 + 128;

/// Why a proof cannot be given or does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error(transparent)]
    Store(#[from] StateError),
    #[error(
        "only the latest state can be proved: asked for height {asked}, the state is at {latest}"
    )]
    NotLatest { asked: Height, latest: Height },
    #[error("the proof does not hold: {reason}")]
    Invalid { reason: String },
}

#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Proof {
    /// K and V of the leaf where the way to the key ends.
    found: Option<(Hash32, Hash32)>,
    /// From there up to the root.
    siblings: Vec<Hash32>,
}

/// Value of a state key at `version`, which is the latest, with the encoded proof of it (of its absence if none).
pub fn prove<S: StateStore + ?Sized>(
    store: &S,
    key: &[u8],
    version: Height,
) -> Result<(Option<Vec<u8>>, Vec<u8>), ProofError> {
    let latest = crate::query::dynamic_properties(store)?.map_or(Height::ZERO, |it| it.height);
    if version != latest {
        return Err(ProofError::NotLatest {
            asked: version,
            latest,
        });
    }
    let value = store.value(key)?;
    let (found, mut siblings) = way_to(store, &hash_key(key))?;
    siblings.reverse();
    let proof = Proof {
        found: found.map(|leaf| (leaf.key, leaf.value)),
        siblings,
    };
    Ok((value, codec::encode(&proof)))
}

/// The leaf where the way to `place` ends, and the siblings on the way, from the root down.
fn way_to<S: StateStore + ?Sized>(
    store: &S,
    place: &Hash32,
) -> Result<(Option<Leaf>, Vec<Hash32>), StateError> {
    let mut siblings = Vec::new();
    for depth in 0..PAGES_DEEP {
        let page = load(store, place, depth)?.ok_or_else(|| tree_error("a page is missing"))?;
        let slot = nibble(place, depth);
        let mut width = WIDTH;
        while width > 1 {
            let first = first_of(slot, width);
            match page.content(first, width) {
                Content::Nothing => return Ok((None, siblings)),
                Content::OneLeaf(leaf) => return Ok((Some(leaf), siblings)),
                Content::More => {}
            }
            width /= 2;
            let other = first_of(slot, width) ^ width;
            siblings.push(page.subtree(other, width));
        }
        match page.content(slot, 1) {
            Content::Nothing => return Ok((None, siblings)),
            Content::OneLeaf(leaf) => return Ok((Some(leaf), siblings)),
            Content::More => {}
        }
    }
    Err(tree_error("a path has no end"))
}

/// The first slot of the subtree of this width, a power of two, that holds `slot`.
const fn first_of(slot: usize, width: usize) -> usize {
    slot & !width.saturating_sub(1)
}

/// Checks that under `root` the state key has `value`, or is absent if none.
pub fn verify_proof(
    root: &StateRoot,
    key: &[u8],
    value: Option<&[u8]>,
    proof: &[u8],
) -> Result<(), ProofError> {
    let invalid = |reason: &str| ProofError::Invalid {
        reason: reason.to_owned(),
    };
    let Proof { found, siblings } = codec::decode("a state proof", proof, PROOF_BYTES_MAX)
        .map_err(|error| invalid(&error.to_string()))?;
    let place = hash_key(key);
    let levels = siblings.len();
    if levels > 256 {
        return Err(invalid("the way is longer than a key"));
    }
    let claim_fits = match (found, value) {
        (Some((key, committed)), Some(value)) => key == place && committed == hash_value(value),
        (Some((key, _)), None) => {
            key != place && (0..levels).all(|level| bit(&key, level) == bit(&place, level))
        }
        (None, claimed) => claimed.is_none(),
    };
    if !claim_fits {
        return Err(invalid("the leaf does not say what is claimed"));
    }
    let leaf = found.map_or(EMPTY, |(key, value)| hash_leaf(&key, &value));
    let up = siblings.iter().zip((0..levels).rev());
    let top = up.fold(leaf, |node, (sibling, level)| {
        if bit(&place, level) {
            hash_inner(sibling, &node)
        } else {
            hash_inner(&node, sibling)
        }
    });
    if top == *root.as_bytes() {
        Ok(())
    } else {
        Err(invalid("it leads to another root"))
    }
}

fn bit(place: &Hash32, level: usize) -> bool {
    let byte = place.get(level / 8).copied().unwrap_or_default();
    byte.rotate_left(u32::try_from(level % 8).unwrap_or(0)) & 0x80 != 0
}
