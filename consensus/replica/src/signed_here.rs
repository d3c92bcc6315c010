//! What this process has signed: how it knows its own vertices from those of another process with its key (rule R6).
//!
//! The sign guard cannot tell: a copy of it covers the same slots in both processes. The DAG cannot either: it forgets with
//! garbage collection, and when it is rebuilt after a sync.

use holdfast_types::{Era, Round, VertexDigest, VertexRef};
use std::collections::BTreeMap;

/// Vertices that are remembered. Those that come back from others are of rounds that the DAG still takes, so far fewer would
/// do.
const KEPT: usize = 1024;

/// The last vertices that this process signed.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignedHere {
    vertices: BTreeMap<(Era, Round), VertexDigest>,
}

impl SignedHere {
    pub(crate) fn note(&mut self, era: Era, signed: &VertexRef) {
        self.vertices.insert((era, signed.round), signed.digest);
        if self.vertices.len() > KEPT {
            self.vertices.pop_first();
        }
    }

    /// True if this process cannot have signed a vertex under its key, nor a process before it that is over: it signs rising
    /// slots, so from its first one on it knows all that is its own. What is older may be a predecessor's.
    #[must_use]
    pub(crate) fn excludes(&self, era: Era, shown: &VertexRef) -> bool {
        let slot = (era, shown.round);
        let first = self.vertices.first_key_value();
        first.is_some_and(|(first, _)| *first <= slot)
            && self.vertices.get(&slot) != Some(&shown.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::AuthorityIndex;

    fn vertex(round: u64, digest: u8) -> VertexRef {
        VertexRef {
            round: Round(round),
            author: AuthorityIndex(0),
            digest: VertexDigest::new([digest; 32]),
        }
    }

    #[test]
    fn what_a_process_did_not_sign_since_it_began_is_not_its_own() {
        let mut signed = SignedHere::default();
        assert!(
            !signed.excludes(Era(1), &vertex(7, 1)),
            "it has signed nothing"
        );
        signed.note(Era(1), &vertex(5, 1));
        signed.note(Era(1), &vertex(7, 1));
        assert!(!signed.excludes(Era(1), &vertex(5, 1)));
        assert!(signed.excludes(Era(1), &vertex(5, 2)));
        assert!(signed.excludes(Era(1), &vertex(6, 1)), "a round left out");
        assert!(signed.excludes(Era(2), &vertex(1, 1)));
        assert!(
            !signed.excludes(Era(1), &vertex(4, 2)),
            "of before the start"
        );
    }

    #[test]
    fn what_is_forgotten_counts_as_of_before() {
        let mut signed = SignedHere::default();
        for round in 0..=KEPT as u64 {
            signed.note(Era(1), &vertex(round, 1));
        }
        assert_eq!(signed.vertices.len(), KEPT);
        assert!(!signed.excludes(Era(1), &vertex(0, 2)));
        assert!(signed.excludes(Era(1), &vertex(1, 2)));
    }
}
