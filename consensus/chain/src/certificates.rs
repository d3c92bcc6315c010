//! From attestations to certificates (rule C6).

use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, Certificate, Committee, Evidence, Height,
    Signature,
};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Heights at which not all attestations say the same.
    contested: BTreeSet<Height>,
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
            contested: BTreeSet::new(),
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
        if votes
            .values()
            .next()
            .is_some_and(|(first, _)| *first != body)
        {
            self.contested.insert(body.height);
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
            self.contested = self.contested.split_off(&floor.next());
        }
    }

    /// What a member says of an open height.
    #[must_use]
    pub fn statement(&self, height: Height, author: AuthorityIndex) -> Option<AttestationBody> {
        let votes = self.open.get(&height)?;
        votes.get(&author).map(|(body, _)| *body)
    }

    /// Attestations of another result of the same commit than `trusted` or more members name: with an honest one among
    /// those, theirs is what the commit gives.
    #[must_use]
    pub fn dissenters(&self, height: Height, trusted: usize) -> Vec<Attestation> {
        let votes = self
            .open
            .get(&height)
            .filter(|_| self.contested.contains(&height));
        let Some(votes) = votes else {
            return Vec::new();
        };
        let mut groups: BTreeMap<&AttestationBody, usize> = BTreeMap::new();
        for (body, _) in votes.values() {
            let count = groups.entry(body).or_default();
            *count = count.saturating_add(1);
        }
        let right = groups.into_iter().find(|(_, count)| *count >= trusted);
        let Some((right, _)) = right else {
            return Vec::new();
        };
        let wrong = votes
            .iter()
            .filter(|(_, (body, _))| body.differs_in_result(right));
        wrong
            .map(|(author, (body, signature))| Attestation {
                body: *body,
                author: *author,
                signature: *signature,
            })
            .collect()
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
    fn dissenters_are_named_when_enough_members_agree_on_another_result_of_the_commit() {
        let of_commit = |author: u16, block: u8, commit: u8| {
            let mut body = attestation(author, 5, block).body;
            body.commit = CommitDigest::new([commit; 32]);
            body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
        };
        let mut collector = CertificateCollector::new(&committee(4), Height(0), 100);
        collector.add(&of_commit(0, 1, 7));
        let wrong = of_commit(1, 2, 7);
        collector.add(&wrong);
        assert_eq!(collector.dissenters(Height(5), 2), [], "one against one");
        collector.add(&of_commit(2, 1, 7));
        assert_eq!(collector.dissenters(Height(5), 2), [wrong]);
        // Another commit is another contradiction.
        collector.add(&of_commit(3, 3, 8));
        assert_eq!(collector.dissenters(Height(5), 2), [wrong]);
        assert_eq!(collector.dissenters(Height(6), 2), []);
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
