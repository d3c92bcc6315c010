//! The Merkle commitment over the state.
//!
//! * T1. The tree is binary and sparse, 256 levels deep. The leaf of a state key lies where the bits of
//!   K = BLAKE3([`STATE_KEY_CONTEXT`], key) lead, highest bit first, 0 to the left. A subtree with one leaf is that leaf;
//!   one with none is [`EMPTY`], 32 zero bytes. So the tree follows from the state alone, not from its history.
//! * T2. A leaf is BLAKE3([`STATE_LEAF_CONTEXT`], K ‖ V) with V = BLAKE3([`STATE_VALUE_CONTEXT`], value), where the value
//!   is the stored bytes of the object. An inner node is BLAKE3([`STATE_INNER_CONTEXT`], left ‖ right). Leaves and inner
//!   nodes are hashed in different contexts, so none passes as the other.
//! * T3. Four levels are stored together as a *page* of 16 slots under its path from the root; a page is rewritten in
//!   place, and its old content follows from the old values. A slot is empty, a leaf, or the hash of the page below. But
//!   for the root, a page has two leaves or more below it.
//! * T4. A proof is the borsh encoding of the leaf that was found, an option of (K, V), and of the hashes of the siblings
//!   from there up to the root. It proves absence if the leaf is none, or another one whose K begins with the bits that
//!   lead to it.
//! * T5. The tree holds hashes only. Values are read from the state itself, so only the latest version can be proved.
//!
//! The shape is that of a Jellyfish Merkle tree; the library of that name is the oracle of the tests. It is not used here
//! because it took a third of the time of a block: it keeps every version of every node and hashes each node anew.

mod page;
mod proof;
mod update;

pub use proof::{PROOF_BYTES_MAX, ProofError, prove, verify_proof};
pub use update::{TreeUpdate, update};

use crate::state::{StateError, StateStore};
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use holdfast_types::StateRoot;
use holdfast_types::hash::Hash32;
use page::{Page, page_key};
use std::sync::LazyLock;

/// Contexts of the hashes, as another language needs them (`blake3.derive_key`).
pub const STATE_KEY_CONTEXT: &str = "holdfast state key v1";
pub const STATE_VALUE_CONTEXT: &str = "holdfast state value v1";
pub const STATE_LEAF_CONTEXT: &str = "holdfast state leaf v1";
pub const STATE_INNER_CONTEXT: &str = "holdfast state inner node v1";

/// Hash of a subtree without leaves.
pub const EMPTY: Hash32 = [0; 32];

/// Bits of a key that one page decides.
const PAGE_LEVELS: usize = 4;
/// Pages on the longest path.
const PAGES_DEEP: usize = 256 / PAGE_LEVELS;

static KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(STATE_KEY_CONTEXT));
static VALUE: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(STATE_VALUE_CONTEXT));
static LEAF: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(STATE_LEAF_CONTEXT));
static INNER: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context(STATE_INNER_CONTEXT));

fn hash(context: &ContextKey, parts: [&[u8]; 2]) -> Hash32 {
    let mut hasher = blake3::Hasher::new_from_context_key(context);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Place of a state key in the tree.
fn hash_key(key: &[u8]) -> Hash32 {
    hash(&KEY, [key, &[]])
}

fn hash_value(value: &[u8]) -> Hash32 {
    hash(&VALUE, [value, &[]])
}

fn hash_leaf(key: &Hash32, value: &Hash32) -> Hash32 {
    hash(&LEAF, [key, value])
}

fn hash_inner(left: &Hash32, right: &Hash32) -> Hash32 {
    hash(&INNER, [left, right])
}

/// The nibble of a place that chooses the slot in a page at this depth, which is below [`PAGES_DEEP`].
fn nibble(place: &Hash32, depth: usize) -> usize {
    let byte = place.get(depth / 2).copied().unwrap_or_default();
    usize::from(if depth.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 0x0f
    })
}

fn tree_error(error: impl std::fmt::Display) -> StateError {
    StateError {
        reason: format!("the state tree contradicts itself: {error}"),
    }
}

/// The page at `depth` on the way to `place`.
fn load<S: StateStore + ?Sized>(
    store: &S,
    place: &Hash32,
    depth: usize,
) -> Result<Option<Page>, StateError> {
    store
        .tree_node(&page_key(place, depth))?
        .map(|bytes| Page::decode(&bytes))
        .transpose()
}

/// Root of the state that the store holds; none if it holds none.
pub fn state_root<S: StateStore + ?Sized>(store: &S) -> Result<Option<StateRoot>, StateError> {
    let root = load(store, &EMPTY, 0)?;
    Ok(root.map(|root| StateRoot::new(root.hash())))
}
