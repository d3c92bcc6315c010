//! Asks its peers for vertices again and again, needs none of them, and answers with what nobody asked for (FAULTS F24).
//!
//! The node's network limits how often a peer may ask. It is not part of a simulation, so here every question arrives:
//! what each answer may cost is what is tested.

use super::{Behaviour, Shown, Situation, sign_again};
use crate::message::{NodeId, Request, Response};
use holdfast_types::limits::{FETCH_REFERENCES_MAX, MISSING_ROUNDS_MAX};
use holdfast_types::wire::{MissingVerticesRequest, VerticesRequest};
use holdfast_types::{Round, VerifiedVertex, Vertex, VertexDigest, VertexRef};
use std::sync::Arc;

/// Questions of each kind that a peer gets each time.
const QUESTIONS: u64 = 4;
/// Copies of one vertex in an answer.
const COPIES: usize = 300;
/// So many references a giant has: one has 42 bytes, and a vertex at most a MiB.
const GIANT_REFERENCES: usize = 30_000;
/// A giant comes with one of so many answers: more of them slow the simulation and show nothing more.
const GIANT_EVERY: usize = 8;

#[derive(Clone, Debug, Default)]
pub struct FetchAbuser {
    /// What it has long had.
    held: Vec<VertexRef>,
    last: Option<Vertex>,
    giant: Option<Vertex>,
    answers: usize,
}

impl Behaviour for FetchAbuser {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        self.held = vertex.parents().to_vec();
        self.last = Some(vertex.vertex().clone());
        if self.giant.is_none() {
            let giant = sign_again(&situation, vertex, |draft| {
                let times = GIANT_REFERENCES / draft.parents.len().max(1);
                draft.parents = draft.parents.repeat(times + 1);
            });
            self.giant = Some(giant.vertex().clone());
        }
        vec![Shown::to_all(&situation, Arc::clone(vertex))]
    }

    fn answer(&mut self, response: Response) -> Option<Response> {
        let Response::Vertices(mut vertices) = response else {
            return Some(response);
        };
        let copies = self.last.iter().cycle().take(COPIES);
        let giant = self
            .giant
            .iter()
            .filter(|_| self.answers.is_multiple_of(GIANT_EVERY));
        vertices.vertices.extend(copies.chain(giant).cloned());
        self.answers += 1;
        Some(Response::Vertices(vertices))
    }

    fn ask(&mut self, situation: Situation<'_>) -> Vec<(NodeId, Request)> {
        let era = situation.replica.context().era;
        let round = situation.replica.dag().map(|dag| dag.round());
        let mut requests = Vec::new();
        for _ in 0..QUESTIONS {
            let held = self.held.iter().copied().cycle();
            let same = held.take(FETCH_REFERENCES_MAX).collect();
            let seed = situation.random.number();
            let invented = |count| {
                (0..count)
                    .map(|number| invented(round, seed, number))
                    .collect()
            };
            for references in [
                same,
                invented(FETCH_REFERENCES_MAX),
                invented(FETCH_REFERENCES_MAX + 1),
            ] {
                requests.push(Request::Vertices(VerticesRequest { era, references }));
            }
            let everything = MissingVerticesRequest {
                era,
                from: round.unwrap_or_default().minus(MISSING_ROUNDS_MAX as u64),
                held: vec![Vec::new(); MISSING_ROUNDS_MAX],
            };
            requests.push(Request::Missing(everything));
        }
        let peers = situation.peers.iter();
        peers
            .flat_map(|peer| requests.iter().map(|request| (*peer, request.clone())))
            .collect()
    }
}

/// A reference to a vertex that does not exist.
fn invented(round: Option<Round>, seed: u64, number: usize) -> VertexRef {
    let mut digest = [9; 32];
    digest[..8].copy_from_slice(&seed.to_le_bytes());
    digest[8..16].copy_from_slice(&(number as u64).to_le_bytes());
    VertexRef {
        round: round.unwrap_or_default().previous(),
        author: Default::default(),
        digest: VertexDigest::new(digest),
    }
}
