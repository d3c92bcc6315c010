//! Going back for a resume of governance (rule K8).

use super::{ForkDatabase, ForkError};
use holdfast_types::{BlockId, Height};
use std::collections::BTreeSet;

impl ForkDatabase {
    /// The blocks of the head's branch above `id`, highest first; none if `id` is not on that branch.
    #[must_use]
    pub fn blocks_above(&self, id: &BlockId) -> Option<Vec<(Height, BlockId)>> {
        let mut above = Vec::new();
        for entry in self.branch(&self.head) {
            if entry.id == *id {
                return Some(above);
            }
            above.push((entry.height, entry.id));
        }
        None
    }

    /// Makes a block of the head's branch the head and the only tip: what does not lead to it leaves, and is returned. It
    /// is not remembered as rejected, because nothing is wrong with it.
    pub fn cut_back(&mut self, id: BlockId) -> Result<Vec<(Height, BlockId)>, ForkError> {
        if self.blocks_above(&id).is_none() {
            return Err(ForkError::CutNotApplied { id });
        }
        let kept: BTreeSet<BlockId> = self.branch(&id).map(|entry| entry.id).collect();
        let leaves = |other: &BlockId| !kept.contains(other);
        if let Some((_, certified)) = self.certified.iter().find(|(_, other)| leaves(other)) {
            let certified = *certified;
            return Err(ForkError::CutAbandonsCertified { id, certified });
        }
        if let Some(voiding) = self.voiding.filter(|voiding| leaves(&voiding.anchor)) {
            let anchor = voiding.anchor;
            return Err(ForkError::CutAbandonsAnchor { id, anchor });
        }
        let mut dropped: Vec<(Height, BlockId)> = self
            .nodes
            .values()
            .map(|node| (node.entry.height, node.entry.id))
            .filter(|(_, other)| leaves(other))
            .collect();
        dropped.sort_unstable();
        self.nodes.retain(|id, _| kept.contains(id));
        for node in self.nodes.values_mut() {
            node.children.retain(|child| kept.contains(child));
        }
        self.head = id;
        self.choose_anew();
        Ok(dropped)
    }
}

#[cfg(test)]
mod tests {
    use crate::forks::fixture::{ROOT, certify, entries, id, planted};
    use crate::forks::{ForkError, Inserted};
    use holdfast_types::{Era, Height};

    #[test]
    fn what_does_not_lead_to_the_block_leaves_and_may_come_again() {
        let mut forks = planted("1<0 2<1 3<2 4<2 5<1 6<0 7<6 8<7");
        forks.set_head(id(3)).expect("it is in the tree");
        certify(&mut forks, 1);
        assert_eq!(
            forks.blocks_above(&id(1)),
            Some(vec![(Height(13), id(3)), (Height(12), id(2))])
        );
        assert_eq!(forks.blocks_above(&id(3)), Some(vec![]));
        assert_eq!(forks.blocks_above(&id(4)), None);
        let mut left = forks.cut_back(id(1)).expect("nothing certified leaves");
        left.sort_unstable_by_key(|(_, id)| *id);
        let left: Vec<_> = left.into_iter().map(|(_, id)| id).collect();
        assert_eq!(left, [2, 3, 4, 5, 6, 7, 8].map(id));
        assert_eq!((forks.head(), forks.best(), forks.len()), (id(1), id(1), 1));
        assert_eq!(forks.highest_certified(), Some((Height(11), id(1))));
        // The tree goes on from there, and nothing was rejected.
        for entry in &entries("1<0 2<1 3<2")[1..] {
            assert!(matches!(forks.insert(*entry), Inserted::Linked { .. }));
        }
        assert_eq!(forks.best(), id(3));
    }

    #[test]
    fn a_full_tree_has_room_after_it() {
        let mut forks = planted("1<0 2<1");
        forks.set_head(id(2)).expect("it is in the tree");
        forks.cut_back(ROOT.id).expect("nothing certified leaves");
        assert!(forks.is_empty());
        let again = entries("1<0")[0];
        assert!(matches!(forks.insert(again), Inserted::Linked { .. }));
        assert_eq!(forks.best(), id(1));
    }

    #[test]
    fn what_is_not_applied_certified_or_anchored_by_governance_stays_as_it_is() {
        let mut forks = planted("1<0 2<1 3<1");
        forks.set_head(id(2)).expect("it is in the tree");
        let refused = forks.cut_back(id(3));
        assert_eq!(refused, Err(ForkError::CutNotApplied { id: id(3) }));
        let mut certified = forks.clone();
        certify(&mut certified, 3);
        let expected = ForkError::CutAbandonsCertified {
            id: id(1),
            certified: id(3),
        };
        assert_eq!(certified.cut_back(id(1)), Err(expected));
        assert_eq!(certified.len(), 3);
        forks.void_above(Height(12), id(2), Era(1));
        let expected = ForkError::CutAbandonsAnchor {
            id: id(1),
            anchor: id(2),
        };
        assert_eq!(forks.cut_back(id(1)), Err(expected));
    }
}
