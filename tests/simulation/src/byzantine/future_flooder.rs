//! Floods its peers with vertices of rounds far ahead, on parents that nobody has.

use super::{Behaviour, Shown, Situation, sign_again};
use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexDigest, VertexRef};
use std::sync::Arc;

const VERTICES: u64 = 8;
const ROUNDS_AHEAD: (u64, u64) = (1, 200);

#[derive(Clone, Copy, Debug)]
pub struct FutureFlooder;

impl Behaviour for FutureFlooder {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        let members = vertex.parents().len().max(situation.peers.len());
        let mut shown = vec![Shown::to_all(&situation, Arc::clone(vertex))];
        for _ in 0..VERTICES {
            let ahead = situation.random.between(ROUNDS_AHEAD);
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
    let mut parents: Vec<VertexRef> = (0..=members)
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
