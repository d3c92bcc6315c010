//! The Merkle root against the definition of RFC 6962, written down naively.

use holdfast_types::hash::{Hash32, Purpose};
use holdfast_types::merkle::merkle_root;
use proptest::prelude::*;

/// RFC 6962 §2.1 with this chain's purposes in place of the prefix bytes.
fn oracle(leaves: &[Hash32]) -> Hash32 {
    match leaves {
        [] => Purpose::MERKLE_NODE.hash(&[]),
        [leaf] => Purpose::MERKLE_LEAF.hash(leaf),
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            let (left, right) = leaves.split_at(split);
            Purpose::MERKLE_NODE.hash(&[oracle(left), oracle(right)].concat())
        }
    }
}

fn numbered(count: u8) -> Vec<Hash32> {
    (0..count).map(|number| [number; 32]).collect()
}

#[test]
fn every_small_count_has_the_shape_of_rfc_6962() {
    for count in 0..=130 {
        let leaves = numbered(count);
        assert_eq!(merkle_root(&leaves), oracle(&leaves), "{count} leaves");
    }
}

#[test]
fn a_node_does_not_pass_as_a_leaf() {
    let leaves = numbered(4);
    let nodes = [oracle(&leaves[..2]), oracle(&leaves[2..])];
    assert_ne!(merkle_root(&nodes), merkle_root(&leaves));
}

#[test]
fn an_odd_last_leaf_is_not_doubled() {
    let mut leaves = numbered(3);
    let three = merkle_root(&leaves);
    leaves.push(leaves[2]);
    assert_ne!(merkle_root(&leaves), three);
}

proptest! {
    #[test]
    fn the_root_is_that_of_the_definition(leaves in prop::collection::vec(any::<[u8; 32]>(), 0..300)) {
        prop_assert_eq!(merkle_root(&leaves), oracle(&leaves));
    }

    #[test]
    fn any_change_changes_the_root(
        leaves in prop::collection::vec(any::<[u8; 32]>(), 1..40),
        position in any::<prop::sample::Index>(),
        byte in 0usize..32,
        flip in 1u8..,
    ) {
        let mut changed = leaves.clone();
        changed[position.index(leaves.len())][byte] ^= flip;
        prop_assert_ne!(merkle_root(&changed), merkle_root(&leaves));
    }
}
