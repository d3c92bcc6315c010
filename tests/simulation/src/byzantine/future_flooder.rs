//! Floods its peers with vertices of rounds ahead, many of them in one slot, on parents that nobody has.

use super::{Behaviour, Shown, Situation, sign_again};
use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexDigest, VertexRef};
use std::sync::Arc;

const ROUNDS_AHEAD: [(u64, u64); 8] = [
    (1, 200),
    (1, 200),
    (1, 4),
    (1, 4),
    (1, 2),
    (1, 2),
    (1, 2),
    (1, 2),
];

#[derive(Clone, Copy, Debug)]
pub struct FutureFlooder;

impl Behaviour for FutureFlooder {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        // Of members only: what does not verify would be no flood.
        let members = situation.replica.context().committee.size();
        let mut shown = vec![Shown::to_all(&situation, Arc::clone(vertex))];
        for ahead in ROUNDS_AHEAD {
            let ahead = situation.random.between(ahead);
            let seed = situation.random.number();
            let flood = sign_again(&situation, vertex, |draft| {
                draft.round = draft.round.plus(ahead);
                draft.parents = invented(draft.author, draft.round.previous(), members, seed);
            });
            shown.push(Shown::to_all(&situation, flood));
        }
        shown
    }
}

/// References to vertices of all members in a round, none of which exists.
fn invented(own: AuthorityIndex, round: Round, members: usize, seed: u64) -> Vec<VertexRef> {
    let mut parents: Vec<VertexRef> = (0..members)
        .filter_map(|author| u16::try_from(author).ok())
        .map(|author| {
            let mut digest = [author.to_le_bytes()[0]; 32];
            digest[..8].copy_from_slice(&seed.to_le_bytes());
            VertexRef {
                round,
                author: AuthorityIndex(author),
                digest: VertexDigest::new(digest),
            }
        })
        .collect();
    parents.sort_by_key(|parent| (parent.author != own, *parent));
    parents
}
