//! How soon a contradiction halts who has seen it (rule O15).
//!
//! What a node has committed it has seen. So what its commits attest is counted here once more, in another way than the node
//! does it, and from then on the node has [`COMMITS_MAX`] commits and [`NOTICE_MS`] to stop.

use holdfast_dag::SubDag;
use holdfast_types::{AuthorityIndex, BlockId, Era, Height, StateRoot};
use std::collections::BTreeMap;

/// Commits that a node may still make.
const COMMITS_MAX: u64 = 2;
/// How long it may take, in virtual ms.
pub const NOTICE_MS: u64 = 2_000;
/// Attestations come a few rounds after their block; what is older is forgotten.
const HEIGHTS_KEPT: u64 = 64;

#[derive(Clone, Copy, Debug)]
struct Contradiction {
    height: Height,
    index: u64,
    at_ms: u64,
}

/// What one node has committed of attestations in the era that runs there.
#[derive(Clone, Debug)]
struct Seen {
    era: (Era, BlockId),
    roots: BTreeMap<Height, BTreeMap<AuthorityIndex, StateRoot>>,
    contradiction: Option<Contradiction>,
}

/// The same of all honest nodes.
#[derive(Debug)]
pub(super) struct Detection {
    /// So many have to be outside of the largest group that agrees.
    dissenters: usize,
    nodes: BTreeMap<usize, Seen>,
}

impl Detection {
    pub(super) const fn new(dissenters: usize) -> Self {
        Self {
            dissenters,
            nodes: BTreeMap::new(),
        }
    }

    /// A node has committed. An error if it should have stopped before.
    pub(super) fn committed(
        &mut self,
        node: usize,
        sub_dag: &SubDag,
        now_ms: u64,
    ) -> Result<(), String> {
        let era = (sub_dag.record.era, sub_dag.anchor);
        let fresh = Seen {
            era,
            roots: BTreeMap::new(),
            contradiction: None,
        };
        let seen = self.nodes.entry(node).or_insert_with(|| fresh.clone());
        if seen.era != era {
            *seen = fresh;
        }
        let index = sub_dag.record.index;
        if let Some(contradiction) = seen.contradiction {
            let Contradiction {
                height,
                index: first,
                ..
            } = contradiction;
            if index > first + COMMITS_MAX {
                return Err(format!(
                    "node {node} goes on to commit {index} after the attestations in commit {first} that contradict each other at {height}"
                ));
            }
            return Ok(());
        }
        let attestations = sub_dag
            .vertices
            .iter()
            .flat_map(|vertex| &vertex.payload().attestations);
        for attestation in attestations.filter(|attestation| attestation.body.era == era.0) {
            let height = attestation.body.height;
            let roots = seen.roots.entry(height).or_default();
            // Who contradicts himself is an offender, and counts once.
            roots
                .entry(attestation.author)
                .or_insert(attestation.body.state_root);
            if dissenters(roots) >= self.dissenters {
                seen.contradiction = Some(Contradiction {
                    height,
                    index,
                    at_ms: now_ms,
                });
                return Ok(());
            }
        }
        if let Some((newest, _)) = seen.roots.last_key_value() {
            seen.roots = seen.roots.split_off(&newest.minus(HEIGHTS_KEPT));
        }
        Ok(())
    }

    /// Since when a node has seen a contradiction in this era, in ms.
    pub(super) fn contradicted_since_ms(&self, node: usize, era: (Era, BlockId)) -> Option<u64> {
        let seen = self.nodes.get(&node).filter(|seen| seen.era == era)?;
        seen.contradiction.map(|contradiction| contradiction.at_ms)
    }
}

/// How many are outside of the largest group.
fn dissenters(roots: &BTreeMap<AuthorityIndex, StateRoot>) -> usize {
    let mut groups: BTreeMap<StateRoot, usize> = BTreeMap::new();
    for root in roots.values() {
        *groups.entry(*root).or_default() += 1;
    }
    roots.len() - groups.into_values().max().unwrap_or_default()
}
