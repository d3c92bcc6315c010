//! A set of authorities of one committee, as bits.

use holdfast_types::AuthorityIndex;
use holdfast_types::limits::COMMITTEE_MEMBERS_MAX;

const WORD_BITS: usize = u64::BITS as usize;

/// As large for every committee: a cache line, and nothing to allocate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AuthoritySet {
    words: [u64; COMMITTEE_MEMBERS_MAX.div_ceil(WORD_BITS)],
}

impl AuthoritySet {
    /// Adds an authority; one that no committee can have is left out.
    /// True if it was not in the set before.
    pub(crate) fn insert(&mut self, authority: AuthorityIndex) -> bool {
        let (word, bit) = place(authority);
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(crate) fn contains(&self, authority: AuthorityIndex) -> bool {
        let (word, bit) = place(authority);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Number of authorities in both sets.
    pub(crate) fn common(&self, other: &Self) -> usize {
        self.words
            .iter()
            .zip(&other.words)
            .fold(0, |count, (a, b)| count.saturating_add(ones(a & b)))
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// The authorities in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = AuthorityIndex> {
        let words = self.words.iter().zip((0u16..).step_by(WORD_BITS));
        words.flat_map(|(word, first)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = u16::try_from(left.trailing_zeros()).ok()?;
                // Clears the lowest bit; an empty word ends the iteration.
                left &= left.checked_sub(1)?;
                Some(AuthorityIndex(first.saturating_add(bit)))
            })
        })
    }
}

fn place(authority: AuthorityIndex) -> (usize, u64) {
    let index = authority.as_usize();
    let bit = u32::try_from(index % WORD_BITS).unwrap_or(0);
    (index / WORD_BITS, 1u64.wrapping_shl(bit))
}

fn ones(word: u64) -> usize {
    usize::try_from(word.count_ones()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set_of(members: &BTreeSet<u16>) -> AuthoritySet {
        let mut set = AuthoritySet::default();
        for member in members {
            set.insert(AuthorityIndex(*member));
        }
        set
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(
            a in prop::collection::btree_set(0u16..512, 0..200),
            b in prop::collection::btree_set(0u16..512, 0..200),
        ) {
            let (mut first, second) = (set_of(&a), set_of(&b));
            prop_assert_eq!(first.common(&second), a.intersection(&b).count());
            prop_assert!((0..512).all(|m| first.contains(AuthorityIndex(m)) == a.contains(&m)));
            first.add_all(&second);
            let union: Vec<u16> = a.union(&b).copied().collect();
            prop_assert_eq!(first.iter().map(|m| m.0).collect::<Vec<_>>(), union);
        }
    }

    #[test]
    fn strangers_are_left_out() {
        let mut set = AuthoritySet::default();
        set.insert(AuthorityIndex(512));
        assert_eq!(set.iter().count(), 0);
    }
}
