//! From attestations to certificates (rule C6).

use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, Certificate, Committee, Evidence, Height,
    Signature,
};
use std::collections::BTreeMap;

/// What an attestation led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collected {
    /// Counted, or counted before, or of no use any more.
    Counted,
    /// The quorum is complete.
    Certificate(Certificate),
    /// The author has attested another block or state at this height.
    Contradiction(Box<Evidence>),
}

/// Collects the verified attestations of one era.
#[derive(Clone, Debug)]
pub struct CertificateCollector {
    quorum: usize,
    /// Heights at or below need no certificate any more.
    floor: Height,
    /// Most heights that are open at once: attestations far above what is certified are not kept.
    heights_max: usize,
    open: BTreeMap<Height, BTreeMap<AuthorityIndex, (AttestationBody, Signature)>>,
}

impl CertificateCollector {
    /// Collects for heights above `floor`.
    #[must_use]
    pub fn new(committee: &Committee, floor: Height, heights_max: usize) -> Self {
        Self {
            quorum: committee.quorum(),
            floor,
            heights_max,
            open: BTreeMap::new(),
        }
    }

    /// Counts an attestation whose signature was verified against the committee of the era.
    pub fn add(&mut self, attestation: &Attestation) -> Collected {
        let body = attestation.body;
        let reach = u64::try_from(self.heights_max).unwrap_or(u64::MAX);
        if body.height <= self.floor || body.height > self.floor.plus(reach) {
            return Collected::Counted;
        }
        let votes = self.open.entry(body.height).or_default();
        if let Some((earlier, signature)) = votes.get(&attestation.author) {
            if *earlier == body {
                return Collected::Counted;
            }
            let earlier = Attestation {
                body: *earlier,
                author: attestation.author,
                signature: *signature,
            };
            return Collected::Contradiction(Box::new(contradiction(earlier, *attestation)));
        }
        votes.insert(attestation.author, (body, attestation.signature));
        if votes.len() < self.quorum {
            return Collected::Counted;
        }
        let signatures: Vec<_> = votes
            .iter()
            .filter(|(_, (voted, _))| {
                *voted == body || mutant::is_on(Mutant::VotesOfAllBlocksCount)
            })
            .map(|(author, (_, signature))| (*author, *signature))
            .collect();
        if signatures.len() == self.quorum {
            return Collected::Certificate(Certificate { body, signatures });
        }
        Collected::Counted
    }

    /// Blocks up to `height` are final: a certificate of `height` covers its ancestors, but certificates of lower heights
    /// are still welcome for a while, so only what lies `keep` below is forgotten.
    pub fn forget_below(&mut self, height: Height, keep: u64) {
        let floor = height.minus(keep);
        if floor > self.floor {
            self.floor = floor;
            self.open = self.open.split_off(&floor.next());
        }
    }

    /// Who attested what at a height: the picture of a divergence.
    pub fn votes_at(
        &self,
        height: Height,
    ) -> impl Iterator<Item = (AuthorityIndex, &AttestationBody)> {
        self.open
            .get(&height)
            .into_iter()
            .flatten()
            .map(|(author, (body, _))| (*author, body))
    }

    /// Number of heights with open attestations.
    #[must_use]
    pub fn open_heights(&self) -> usize {
        self.open.len()
    }
}

fn contradiction(a: Attestation, b: Attestation) -> Evidence {
    let (first, second) = if a.body < b.body { (a, b) } else { (b, a) };
    Evidence::ContradictoryAttestations { first, second }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::test_util::{CHAIN, committee, key_pair};
    use holdfast_types::{BlockId, CommitDigest, Era, StateRoot};

    fn attestation(author: u16, height: u64, block: u8) -> Attestation {
        AttestationBody {
            era: Era(1),
            height: Height(height),
            block: BlockId::new([block; 32]),
            commit: CommitDigest::default(),
            state_root: StateRoot::default(),
        }
        .sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
    }

    #[test]
    fn the_quorum_th_equal_attestation_makes_a_certificate_that_verifies() {
        let committee = committee(4);
        let mut collector = CertificateCollector::new(&committee, Height(0), 100);
        assert_eq!(collector.add(&attestation(0, 5, 1)), Collected::Counted);
        assert_eq!(collector.add(&attestation(0, 5, 1)), Collected::Counted);
        assert_eq!(collector.add(&attestation(1, 5, 2)), Collected::Counted);
        assert_eq!(collector.add(&attestation(2, 5, 1)), Collected::Counted);
        let Collected::Certificate(certificate) = collector.add(&attestation(3, 5, 1)) else {
            panic!("three of four equal attestations are a quorum");
        };
        certificate
            .verify(&CHAIN, &committee, &holdfast_types::Ed25519)
            .unwrap();
    }

    #[test]
    fn two_statements_of_one_author_are_evidence() {
        let committee = committee(4);
        let mut collector = CertificateCollector::new(&committee, Height(0), 100);
        collector.add(&attestation(2, 5, 9));
        let Collected::Contradiction(evidence) = collector.add(&attestation(2, 5, 1)) else {
            panic!("a contradiction is found");
        };
        evidence
            .verify(&CHAIN, &committee, &holdfast_types::Ed25519)
            .unwrap();
    }

    #[test]
    fn heights_are_bounded_on_both_sides() {
        let mut collector = CertificateCollector::new(&committee(4), Height(10), 5);
        for height in 0..1000 {
            collector.add(&attestation(0, height, 1));
        }
        assert_eq!(collector.open_heights(), 5);
        collector.forget_below(Height(15), 2);
        assert_eq!(collector.open_heights(), 2);
        assert_eq!(collector.add(&attestation(1, 13, 1)), Collected::Counted);
        assert_eq!(collector.open_heights(), 2);
    }
}
