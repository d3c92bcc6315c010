//! The Merkle commitment over the state: a Jellyfish Merkle tree (`jmt`) whose version is the block height.
//!
//! * The tree is binary and sparse, 256 levels deep. The leaf of a state key lies where the bits of K =
//!   BLAKE3(`holdfast state key v1`, key) lead, highest bit first, 0 to the left. A subtree with one leaf is that leaf,
//!   one with none is the 32 bytes `SPARSE_MERKLE_PLACEHOLDER_HASH__`.
//! * With H = BLAKE3(`holdfast state tree v1`, …): a leaf is H(`JMT::LeafNode` ‖ K ‖ H(value)), an inner node is
//!   H(`JMT::IntrnalNode` ‖ left ‖ right). The value is the stored bytes of the object.
//! * A proof is the borsh encoding of the leaf that was found, an option of (K, H(value)), and of the siblings from
//!   there up to the root, a list of: 0, empty; 1, an inner node as (left, right); 2, a leaf as (K, H(value)). It
//!   proves absence if the leaf is none, or another one whose K begins with the bits that lead to it.
//! * The tree holds hashes only. Values are read from the state itself, so only the latest version can be proved.
//! * A node is stored under its version (big-endian), the length of its path in nibbles (one byte) and the nibbles,
//!   two in a byte: node keys sort by version first.
//! * One block makes one version. `jmt` inserts a batch in one pass but removes keys one by one, at the price of a
//!   whole path each; so a block's few removals come first and its many insertions then go on top of them, both under
//!   the same version.

use crate::state::{StateError, StateStore};
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use holdfast_types::codec;
use holdfast_types::{Height, StateRoot};
use jmt::proof::SparseMerkleProof;
use jmt::storage::{LeafNode, NibblePath, Node, NodeKey, TreeReader, TreeUpdateBatch};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, RootHash, SimpleHasher};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Contexts of the two hashes, as another language needs them (`blake3.derive_key`).
pub const STATE_KEY_CONTEXT: &str = "holdfast state key v1";
pub const STATE_TREE_CONTEXT: &str = "holdfast state tree v1";

/// Longest encoded proof in bytes: 256 siblings of 65 bytes, a leaf and lengths.
pub const PROOF_BYTES_MAX: usize = 256 * 65 + 128;

static STATE_KEY: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context(STATE_KEY_CONTEXT));
static STATE_TREE: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context(STATE_TREE_CONTEXT));

/// BLAKE3 as the tree uses it.
#[derive(Debug)]
struct TreeHasher(blake3::Hasher);

impl SimpleHasher for TreeHasher {
    fn new() -> Self {
        Self(blake3::Hasher::new_from_context_key(&STATE_TREE))
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

type Tree<'a, R> = JellyfishMerkleTree<'a, R, TreeHasher>;

/// Place of a state key in the tree.
fn key_hash(key: &[u8]) -> KeyHash {
    let mut hasher = blake3::Hasher::new_from_context_key(&STATE_KEY);
    hasher.update(key);
    KeyHash(*hasher.finalize().as_bytes())
}

/// The key under which a node is stored.
fn node_key_bytes(key: &NodeKey) -> Vec<u8> {
    let path = key.nibble_path();
    let count = path.num_nibbles();
    let mut bytes = Vec::with_capacity(count.div_ceil(2).saturating_add(9));
    bytes.extend_from_slice(&key.version().to_be_bytes());
    // A path has at most 64 nibbles.
    bytes.push(u8::try_from(count).unwrap_or(u8::MAX));
    let mut nibbles = path.nibbles().map(u8::from);
    while let Some(high) = nibbles.next() {
        let low = nibbles.next().unwrap_or(0);
        bytes.push((high << 4) | low);
    }
    bytes
}

fn root_key(version: u64) -> NodeKey {
    NodeKey::new(version, std::iter::empty().collect())
}

fn tree_error(error: impl std::fmt::Display) -> StateError {
    StateError {
        reason: format!("the state tree contradicts itself: {error:#}"),
    }
}

/// Reads nodes from the store, but those of the running block from memory.
struct NodeReader<'a, S: ?Sized> {
    store: &'a S,
    fresh: BTreeMap<NodeKey, Node>,
    /// Root of the version before, if the running block has replaced it already.
    replaced_root: Option<(NodeKey, Node)>,
}

impl<'a, S: StateStore + ?Sized> NodeReader<'a, S> {
    const fn new(store: &'a S) -> Self {
        Self {
            store,
            fresh: BTreeMap::new(),
            replaced_root: None,
        }
    }

    fn node(&self, key: &NodeKey) -> Result<Option<Node>, StateError> {
        if let Some((replaced, root)) = &self.replaced_root
            && replaced == key
        {
            return Ok(Some(root.clone()));
        }
        if let Some(node) = self.fresh.get(key) {
            return Ok(Some(node.clone()));
        }
        self.store
            .tree_node(&node_key_bytes(key))?
            .map(|bytes| borsh::from_slice(&bytes).map_err(tree_error))
            .transpose()
    }
}

impl<S: StateStore + ?Sized> TreeReader for NodeReader<'_, S> {
    fn get_node_option(&self, node_key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.node(node_key)?)
    }

    fn get_value_option(&self, _: u64, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Err(anyhow::anyhow!("the tree holds no values"))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Err(anyhow::anyhow!("the tree is not restored leaf by leaf"))
    }
}

/// What a block does to the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeUpdate {
    pub root: StateRoot,
    /// New nodes under their keys.
    pub nodes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys of the nodes that only older versions need.
    pub stale: Vec<Vec<u8>>,
}

/// The tree of `version` from that of the version before and the changed keys.
pub fn update<S: StateStore + ?Sized>(
    store: &S,
    version: Height,
    changes: &[(Vec<u8>, Option<Vec<u8>>)],
) -> Result<TreeUpdate, StateError> {
    let version = version.0;
    let mut removals = Vec::new();
    let mut insertions = Vec::with_capacity(changes.len());
    for (key, value) in changes {
        match value {
            Some(value) => insertions.push((key_hash(key), value.clone())),
            None => removals.push((key_hash(key), None)),
        }
    }
    let mut reader = NodeReader::new(store);
    let mut nodes = Vec::new();
    // Every version has a root of its own, so that of the version before is stale, also where `jmt` does not say so: if
    // nothing changed or the tree was empty.
    let previous_root = version.checked_sub(1).map(root_key);
    let mut stale: BTreeSet<_> = previous_root.iter().cloned().collect();
    // Without any change this makes the same root again under the new version.
    let removal = if !removals.is_empty() || insertions.is_empty() {
        let (root, batch) = Tree::new(&reader)
            .put_value_set(removals, version)
            .map_err(tree_error)?;
        reader.fresh.clone_from(batch.node_batch.nodes());
        let new_root = reader.fresh.get(&root_key(version)).cloned();
        reader.replaced_root = previous_root.zip(new_root);
        stale.extend(stale_keys(batch));
        Some(root)
    } else {
        None
    };
    let root = if insertions.is_empty() {
        removal
    } else {
        let (roots, batch) = Tree::new(&reader)
            .batch_put_value_sets(vec![insertions], None, version)
            .map_err(tree_error)?;
        nodes.reserve(batch.node_batch.nodes().len());
        for (key, node) in batch.node_batch.nodes() {
            // An insertion replaces the nodes on its way, those of the first pass under the same keys.
            reader.fresh.remove(key);
            nodes.push((node_key_bytes(key), codec::encode(node)));
        }
        stale.extend(stale_keys(batch));
        roots.first().copied()
    };
    let root = root.ok_or_else(|| tree_error("an update has no root"))?;
    for (key, node) in &reader.fresh {
        nodes.push((node_key_bytes(key), codec::encode(node)));
    }
    Ok(TreeUpdate {
        root: StateRoot::new(root.0),
        nodes,
        // Replaced nodes of the first pass were never stored.
        stale: stale
            .iter()
            .filter(|key| key.version() != version)
            .map(node_key_bytes)
            .collect(),
    })
}

fn stale_keys(batch: TreeUpdateBatch) -> impl Iterator<Item = NodeKey> {
    let indexes = batch.stale_node_index_batch.into_iter();
    indexes.map(|index| index.node_key)
}

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

/// Root of the state at `version`; none if that version is not stored.
pub fn state_root<S: StateStore + ?Sized>(
    store: &S,
    version: Height,
) -> Result<Option<StateRoot>, StateError> {
    let root = Tree::new(&NodeReader::new(store))
        .get_root_hash_option(version.0)
        .map_err(tree_error)?;
    Ok(root.map(|root| StateRoot::new(root.0)))
}

/// The nodes that a proof is made of, read beforehand: `jmt` panics where one is missing.
struct ProofReader {
    nodes: BTreeMap<NodeKey, Node>,
    value: Option<Vec<u8>>,
}

impl ProofReader {
    /// Walks from the root towards `place` and keeps the nodes on the path with all their children.
    fn collect<S: StateStore + ?Sized>(
        store: &S,
        version: Height,
        place: KeyHash,
        value: Option<Vec<u8>>,
    ) -> Result<Self, StateError> {
        let source = NodeReader::new(store);
        let load = |key: &NodeKey| {
            source
                .node(key)?
                .ok_or_else(|| tree_error(format_args!("node {key:?} is missing")))
        };
        let mut key = root_key(version.0);
        let mut nodes = BTreeMap::from([(key.clone(), load(&key)?)]);
        let nibbles = place.0.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
        for nibble in nibbles {
            let Some(Node::Internal(node)) = nodes.get(&key) else {
                break;
            };
            let path: Vec<u8> = key.nibble_path().nibbles().map(u8::from).collect();
            let mut children = Vec::new();
            for (position, child) in node.children_sorted() {
                let position = u8::from(position);
                let path = path.iter().copied().chain([position]);
                let path: NibblePath = path.map(Into::into).collect();
                children.push((position, NodeKey::new(child.version, path)));
            }
            let mut next = None;
            for (position, child_key) in children {
                nodes.insert(child_key.clone(), load(&child_key)?);
                if position == nibble {
                    next = Some(child_key);
                }
            }
            let Some(next) = next else {
                break;
            };
            key = next;
        }
        Ok(Self { nodes, value })
    }
}

impl TreeReader for ProofReader {
    fn get_node_option(&self, node_key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.nodes.get(node_key).cloned())
    }

    fn get_value_option(&self, _: u64, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(self.value.clone())
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Err(anyhow::anyhow!("the tree is not restored leaf by leaf"))
    }
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
    let place = key_hash(key);
    let value = store.value(key)?;
    let reader = ProofReader::collect(store, version, place, value.clone())?;
    let (_, proof) = Tree::new(&reader)
        .get_with_proof(place, version.0)
        .map_err(tree_error)?;
    Ok((value, codec::encode(&proof)))
}

/// Checks that under `root` the state key has `value`, or is absent if none.
pub fn verify_proof(
    root: &StateRoot,
    key: &[u8],
    value: Option<&[u8]>,
    proof: &[u8],
) -> Result<(), ProofError> {
    let invalid = |reason: String| ProofError::Invalid { reason };
    let proof: SparseMerkleProof<TreeHasher> =
        codec::decode("a state proof", proof, PROOF_BYTES_MAX)
            .map_err(|error| invalid(error.to_string()))?;
    proof
        .verify(RootHash(*root.as_bytes()), key_hash(key), value)
        .map_err(|error| invalid(error.to_string()))
}
