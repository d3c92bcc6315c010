//! The accepted vertices of an era above the garbage-collection round, by layer.

use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One round: for each authority the accepted vertices of its slot, in order of acceptance (more than one only if it
/// equivocates).
#[derive(Clone, Debug)]
struct Layer {
    slots: Vec<Vec<Arc<VerifiedVertex>>>,
    /// Authorities with at least one vertex.
    authors: usize,
}

/// Accepted vertices.
#[derive(Clone, Debug)]
pub struct VertexStore {
    committee_size: usize,
    layers: BTreeMap<Round, Layer>,
}

impl VertexStore {
    #[must_use]
    pub const fn new(committee_size: usize) -> Self {
        Self {
            committee_size,
            layers: BTreeMap::new(),
        }
    }

    /// Inserts a vertex whose author is a member.
    pub(crate) fn insert(&mut self, vertex: Arc<VerifiedVertex>) {
        let layer = self.layers.entry(vertex.round()).or_insert_with(|| Layer {
            slots: vec![Vec::new(); self.committee_size],
            authors: 0,
        });
        let Some(slot) = layer.slots.get_mut(vertex.author().as_usize()) else {
            return;
        };
        if slot.is_empty() {
            layer.authors = layer.authors.saturating_add(1);
        }
        slot.push(vertex);
    }

    #[must_use]
    pub fn get(&self, reference: &VertexRef) -> Option<&Arc<VerifiedVertex>> {
        self.slot(reference.round, reference.author)
            .iter()
            .find(|vertex| vertex.reference() == *reference)
    }

    #[must_use]
    pub fn contains(&self, reference: &VertexRef) -> bool {
        self.get(reference).is_some()
    }

    /// Vertices of one slot in order of acceptance.
    #[must_use]
    pub fn slot(&self, round: Round, author: AuthorityIndex) -> &[Arc<VerifiedVertex>] {
        self.layers
            .get(&round)
            .and_then(|layer| layer.slots.get(author.as_usize()))
            .map_or(&[], Vec::as_slice)
    }

    /// All vertices of a round, by author.
    pub fn round(&self, round: Round) -> impl Iterator<Item = &Arc<VerifiedVertex>> {
        self.layers
            .get(&round)
            .into_iter()
            .flat_map(|layer| layer.slots.iter().flatten())
    }

    /// How many authors have a vertex in the round.
    #[must_use]
    pub fn authors(&self, round: Round) -> usize {
        self.layers.get(&round).map_or(0, |layer| layer.authors)
    }

    #[must_use]
    pub fn highest_round(&self) -> Round {
        self.layers
            .last_key_value()
            .map_or(Round::ZERO, |(round, _)| *round)
    }

    /// Number of vertices held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layers
            .values()
            .flat_map(|layer| &layer.slots)
            .fold(0, |sum, slot| sum.saturating_add(slot.len()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Removes the rounds up to and including `round`; returns their vertices.
    pub(crate) fn remove_up_to(&mut self, round: Round) -> Vec<Arc<VerifiedVertex>> {
        let kept = self.layers.split_off(&round.next());
        let removed = std::mem::replace(&mut self.layers, kept);
        removed
            .into_values()
            .flat_map(|layer| layer.slots.into_iter().flatten())
            .collect()
    }
}
