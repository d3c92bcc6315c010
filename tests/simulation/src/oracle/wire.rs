//! What honest keys sign, as seen on the wire, across all restarts.

use holdfast_types::{
    Attestation, AttestationBody, Era, Height, PublicKey, Round, VerifiedVertex, VertexDigest,
};
use std::collections::{BTreeMap, BTreeSet};

/// Every signature of honest keys that left a node; of keys that run twice the vertices.
#[derive(Debug, Default)]
pub struct Wire {
    vertices: BTreeMap<(PublicKey, Era, Round), VertexDigest>,
    attestations: BTreeMap<(PublicKey, Era, Height), AttestationBody>,
    /// Slots that a key has signed twice because it runs twice.
    twice: BTreeSet<(PublicKey, Era, Round)>,
}

impl Wire {
    /// A vertex leaves the node with `key`. An error if it contradicts what left before.
    pub fn vertex(&mut self, key: PublicKey, vertex: &VerifiedVertex) -> Result<(), String> {
        let header = vertex.header();
        let digest = vertex.reference().digest;
        let slot = (key, header.era, header.round);
        let first = *self.vertices.entry(slot).or_insert(digest);
        if first != digest {
            return Err(format!(
                "{key:?} has signed two vertices in era {} round {}",
                header.era, header.round
            ));
        }
        let mut attestations = vertex.payload().attestations.iter();
        attestations.try_for_each(|attestation| self.attestation(key, attestation))
    }

    /// A vertex leaves one of the nodes with `key`, which runs twice.
    pub fn vertex_of_twin(&mut self, key: PublicKey, vertex: &VerifiedVertex) {
        let header = vertex.header();
        let digest = vertex.reference().digest;
        let slot = (key, header.era, header.round);
        if *self.vertices.entry(slot).or_insert(digest) != digest {
            self.twice.insert(slot);
        }
    }

    /// Slots that were signed twice by keys that run twice.
    #[must_use]
    pub fn twice(&self) -> usize {
        self.twice.len()
    }

    /// An attestation leaves the node with `key`.
    pub fn attestation(&mut self, key: PublicKey, attestation: &Attestation) -> Result<(), String> {
        let body = attestation.body;
        let slot = (key, body.era, body.height);
        let first = *self.attestations.entry(slot).or_insert(body);
        if first == body {
            return Ok(());
        }
        Err(format!(
            "{key:?} has attested {} and {} at era {} height {}",
            first.block, body.block, body.era, body.height
        ))
    }

    /// The greatest height that this key has attested.
    #[must_use]
    pub fn highest_attested(&self, key: &PublicKey) -> Height {
        let of_key = self
            .attestations
            .keys()
            .filter(|(author, _, _)| author == key);
        of_key
            .map(|(_, _, height)| *height)
            .max()
            .unwrap_or_default()
    }

    /// Vertices and attestations seen.
    #[must_use]
    pub fn seen(&self) -> (usize, usize) {
        (self.vertices.len(), self.attestations.len())
    }
}
