//! Which votes prove something together (rules LK4 to LK6 of `holdfast_types::lockdown`).

use holdfast_types::TimestampMs;
use holdfast_types::lockdown::{Ballot, BallotCertificate, Signed};
use std::collections::BTreeMap;

/// The certificate that these votes of distinct members are, if enough of them are for one thing and were valid together. Of
/// several the one with the latest vote.
pub(super) fn prove<'v, B: Ballot + Clone + 'v>(
    votes: impl Iterator<Item = &'v Signed<B>>,
    quorum: usize,
    max_age_ms: u64,
) -> Option<BallotCertificate<B>> {
    let mut by_subject: BTreeMap<B::Subject, Vec<&Signed<B>>> = BTreeMap::new();
    for vote in votes {
        by_subject
            .entry(vote.body.subject())
            .or_default()
            .push(vote);
    }
    let proofs = by_subject
        .into_values()
        .filter_map(|votes| together(votes, quorum, max_age_ms));
    let (_, mut votes) = proofs.max_by_key(|(last, _)| *last)?;
    votes.sort_by_key(|vote| vote.author);
    let votes = votes.into_iter().cloned().collect();
    Some(BallotCertificate { votes })
}

/// The latest votes that lie at most so far apart, if they are a quorum, and when the last of them was cast.
fn together<B: Ballot>(
    mut votes: Vec<&Signed<B>>,
    quorum: usize,
    max_age_ms: u64,
) -> Option<(TimestampMs, Vec<&Signed<B>>)> {
    votes.sort_by_key(|vote| std::cmp::Reverse(vote.body.at()));
    (0..votes.len()).find_map(|first| {
        let later = votes.get(first..)?;
        let last_at = later.first()?.body.at();
        let is_valid = |vote: &&&Signed<B>| last_at.since(vote.body.at()) <= max_age_ms;
        let valid: Vec<_> = later.iter().take_while(is_valid).copied().collect();
        (valid.len() >= quorum).then_some((last_at, valid))
    })
}
