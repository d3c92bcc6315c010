//! Answers to peers that ask for vertices.

use crate::stored::RecordStore;
use holdfast_ledger::StateError;
use holdfast_types::limits::{FETCH_REFERENCES_MAX, MISSING_ROUNDS_MAX};
use holdfast_types::wire::{
    LastVertexRequest, LastVertexResponse, MissingVerticesRequest, VerticesRequest,
    VerticesResponse,
};
use holdfast_types::{Era, Round, VertexRef, codec};
use std::collections::BTreeSet;

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The peer's fault.
    #[error("the request is beyond its limits")]
    Malformed,
    #[error(transparent)]
    Store(#[from] StateError),
}

/// Those of the vertices asked for by reference that are stored, each once however often it was asked for; at most
/// `bytes_max` of them.
pub fn vertices<S: RecordStore + ?Sized>(
    store: &S,
    request: &VerticesRequest,
    bytes_max: usize,
) -> Result<VerticesResponse, Refusal> {
    if request.references.len() > FETCH_REFERENCES_MAX {
        return Err(Refusal::Malformed);
    }
    let wanted: BTreeSet<&VertexRef> = request.references.iter().collect();
    collect(store, request.era, wanted.into_iter(), bytes_max)
}

/// Stored vertices of slots of which the asker holds nothing, at most `bytes_max` of them.
pub fn missing_vertices<S: RecordStore + ?Sized>(
    store: &S,
    request: &MissingVerticesRequest,
    bytes_max: usize,
) -> Result<VerticesResponse, Refusal> {
    if request.held.len() > MISSING_ROUNDS_MAX {
        return Err(Refusal::Malformed);
    }
    let reach = u64::try_from(request.held.len()).unwrap_or(u64::MAX);
    let rounds = request.from..request.from.plus(reach);
    let held = store.vertex_references(request.era, rounds)?;
    let wanted = held
        .iter()
        .filter(|reference| request.wants(reference.round, reference.author));
    collect(store, request.era, wanted, bytes_max)
}

/// The last own vertex of an era and the last one of another author, as far as they are stored. `running` is the era whose
/// DAG runs here.
pub fn last_vertices<S: RecordStore + ?Sized>(
    store: &S,
    request: &LastVertexRequest,
    running: Option<Era>,
) -> Result<LastVertexResponse, Refusal> {
    let LastVertexRequest { era, author } = *request;
    let stored = store.vertex_references(era, Round::ZERO..Round::MAX)?;
    let last = stored.iter().rfind(|reference| reference.author == author);
    let of_author = match last {
        Some(last) => store.vertex(era, last)?,
        None => None,
    };
    Ok(LastVertexResponse {
        running,
        of_author: of_author.map(|vertex| vertex.vertex().signed.clone()),
        own: store.last_own_header(era)?,
        halts: store.halt_state()?.notice(),
    })
}

fn collect<'a, S: RecordStore + ?Sized>(
    store: &S,
    era: Era,
    references: impl Iterator<Item = &'a VertexRef>,
    bytes_max: usize,
) -> Result<VerticesResponse, Refusal> {
    let mut vertices = Vec::new();
    let mut bytes = 0usize;
    for reference in references {
        let Some(vertex) = store.vertex(era, reference)? else {
            continue;
        };
        bytes = bytes.saturating_add(codec::encoded_len(vertex.vertex()));
        if bytes > bytes_max {
            break;
        }
        vertices.push(vertex.vertex().clone());
    }
    Ok(VerticesResponse { vertices })
}
