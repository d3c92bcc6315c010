//! Divergence: validators that computed different chains (document 001, DESIGN §6).
//!
//! Rules:
//!
//! * V1. Attestations of the running era that were verified are kept, the first of each author and height. Another one of the
//!   same author is evidence against it, and no one's dissent.
//! * V2. Each author keeps its own [`HEIGHTS_MAX`] newest heights, so that who attests heights that do not exist pushes out
//!   nothing but its own statements.
//! * V3. As soon as `root_divergence_min_dissenters` attestations of one height are not of the largest group that agrees,
//!   there is a proof, once per height. It holds as few attestations as verify.
//! * V4. Attestations that name no commit are of blocks that resume the chain: they are not looked at.

use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, CommitDigest, Era, HaltProof, HaltThresholds,
    Height,
};
use std::collections::{BTreeMap, BTreeSet};

/// Heights that are kept of each author: more than commits lie between a block and its certificate.
pub const HEIGHTS_MAX: usize = 64;

/// What the validators say of one height.
#[derive(Clone, Debug, Default)]
struct Statements {
    by_author: BTreeMap<AuthorityIndex, Attestation>,
    /// Two of them differ, or did: only then there is something to count.
    contradictory: bool,
}

/// Collects the attestations of the running era.
#[derive(Clone, Debug)]
pub struct DivergenceDetector {
    era: Era,
    thresholds: HaltThresholds,
    heights: BTreeMap<Height, Statements>,
    of_author: BTreeMap<AuthorityIndex, BTreeSet<Height>>,
    proved: BTreeSet<Height>,
}

impl DivergenceDetector {
    #[must_use]
    pub const fn new(era: Era, thresholds: HaltThresholds) -> Self {
        Self {
            era,
            thresholds,
            heights: BTreeMap::new(),
            of_author: BTreeMap::new(),
            proved: BTreeSet::new(),
        }
    }

    /// Forgets the era before.
    pub fn era_started(&mut self, era: Era, thresholds: HaltThresholds) {
        *self = Self::new(era, thresholds);
    }

    /// Adds an attestation whose signature was verified; gives the proof if this one completes it.
    pub fn add(&mut self, attestation: &Attestation) -> Option<HaltProof> {
        let height = attestation.body.height;
        if !self.keep(attestation)
            || self.proved.contains(&height)
            || mutant::is_on(Mutant::DissentUnnoticed)
        {
            return None;
        }
        let statements = self.heights.get(&height)?;
        if !statements.contradictory {
            return None;
        }
        let attestations = smallest_proof(&statements.by_author, self.thresholds.dissenters)?;
        self.proved.insert(height);
        if self.proved.len() > HEIGHTS_MAX {
            self.proved.pop_first();
        }
        Some(HaltProof::Divergence { attestations })
    }

    /// Whether the attestation is new, and kept (rules V1, V2 and V4).
    fn keep(&mut self, attestation: &Attestation) -> bool {
        let Attestation { body, author, .. } = attestation;
        if body.era != self.era || names_no_commit(body) {
            return false;
        }
        let own = self.of_author.entry(*author).or_default();
        if !own.insert(body.height) {
            return false;
        }
        if own.len() > HEIGHTS_MAX
            && let Some(oldest) = own.pop_first()
        {
            if oldest == body.height {
                return false;
            }
            forget(&mut self.heights, oldest, *author);
        }
        let statements = self.heights.entry(body.height).or_default();
        let mut others = statements.by_author.values();
        // All are equal as long as nothing is contradictory, so one of them stands for all.
        if others.next().is_some_and(|other| other.body != *body) {
            statements.contradictory = true;
        }
        statements.by_author.insert(*author, *attestation);
        true
    }
}

fn names_no_commit(body: &AttestationBody) -> bool {
    body.commit == CommitDigest::default()
}

fn forget(heights: &mut BTreeMap<Height, Statements>, height: Height, author: AuthorityIndex) {
    if let Some(statements) = heights.get_mut(&height) {
        statements.by_author.remove(&author);
        if statements.by_author.is_empty() {
            heights.remove(&height);
        }
    }
}

/// The fewest attestations with at least `dissenters` outside of the largest group, by author; none if even all have
/// fewer.
///
/// With at most m of each group, a proof needs m + `dissenters` of them in all. So the least m for which the groups, cut
/// to m, have that many gives the smallest proof.
fn smallest_proof(
    by_author: &BTreeMap<AuthorityIndex, Attestation>,
    dissenters: usize,
) -> Option<Vec<Attestation>> {
    let mut groups: BTreeMap<&AttestationBody, Vec<&Attestation>> = BTreeMap::new();
    for attestation in by_author.values() {
        groups
            .entry(&attestation.body)
            .or_default()
            .push(attestation);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    // The largest first: it gives the m that the others are measured by.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let largest = groups.first().map_or(0, Vec::len);
    let (most, needed) = (1..=largest).find_map(|most| {
        let cut = groups.iter().map(|group| group.len().min(most));
        let available = cut.fold(0, usize::saturating_add);
        let needed = dissenters.saturating_add(most);
        (available >= needed).then_some((most, needed))
    })?;
    let cut = groups.iter().flat_map(|group| group.iter().take(most));
    let mut proof: Vec<Attestation> = cut.take(needed).map(|one| **one).collect();
    proof.sort_by_key(|attestation| attestation.author);
    Some(proof)
}
