//! Answers to the requests of peers, from the store and the board.

use super::board::Board;
use super::core_thread;
use bytes::Bytes;
use holdfast_chain::ChainStore;
use holdfast_network::{NetworkHandle, Penalty, RequestProtocol, Responder};
use holdfast_storage::{ReadView, Storage};
use holdfast_types::limits::{
    FETCH_REFERENCES_MAX, HELD_ROUNDS_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX,
};
use holdfast_types::wire::{
    BlocksRequest, BlocksResponse, CertificateRequest, CertificateResponse, MissingVerticesRequest,
    PeerStatus, VerticesRequest, VerticesResponse,
};
use holdfast_types::{Era, EraContext, PublicKey, TimestampMs, TransactionId, VertexRef, codec};
use libp2p::PeerId;
use std::sync::Arc;
use std::time::Instant;

/// Answers peers.
#[derive(Clone, Debug)]
pub struct Server {
    storage: Arc<Storage>,
    board: Board,
    runtime: tokio::runtime::Handle,
    started: Instant,
    /// Our signing key, to know our turn among the validators.
    key: Option<PublicKey>,
}

/// Bytes of a response that are left for what is around its items.
const FRAME_BYTES: usize = 128 * 1024;
/// Most blocks in one response.
const BLOCKS_MAX: usize = 512;
/// How long each validator waits for the one before it to propose a transaction that came by gossip, in ms.
const TURN_MS: u64 = 2_000;

impl Server {
    #[must_use]
    pub const fn new(
        storage: Arc<Storage>,
        board: Board,
        runtime: tokio::runtime::Handle,
        started: Instant,
        key: Option<PublicKey>,
    ) -> Self {
        Self {
            storage,
            board,
            runtime,
            started,
            key,
        }
    }

    pub(super) const fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    pub(super) fn wall_clock(&self) -> TimestampMs {
        core_thread::now(self.started).wall
    }

    /// When it is our turn to propose a transaction that came by gossip, in ms of the replica's clock: the validators take
    /// turns in an order that starts at a place given by its id.
    pub(super) fn turn_ms(&self, id: &TransactionId, era: &EraContext) -> u64 {
        let now = core_thread::now(self.started).monotonic_ms;
        let position = self
            .key
            .and_then(|key| era.committee.authority_of_key(&key))
            .map_or(0, |authority| authority.as_usize());
        let size = era.committee.size();
        let [a, b, c, d, ..] = *id.as_bytes();
        let start = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or_default() % size;
        let turns = (position + size - start) % size;
        now + TURN_MS * u64::try_from(turns).unwrap_or_default()
    }

    pub(super) fn answer(
        &self,
        network: &NetworkHandle,
        peer: PeerId,
        protocol: RequestProtocol,
        data: &[u8],
        responder: Responder,
    ) {
        let answer = match protocol {
            RequestProtocol::Vertices => self.vertices(data),
            RequestProtocol::MissingVertices => self.missing_vertices(data),
            RequestProtocol::Blocks => self.blocks(data),
            RequestProtocol::Certificates => self.certificates(data),
            RequestProtocol::Status => self.status().map(|status| codec::encode(&status)),
            // Nothing is known of these protocols here; dropping the responder tells the peer so.
            RequestProtocol::LastVertices
            | RequestProtocol::HaltStatus
            | RequestProtocol::Snapshot => return,
        };
        match answer {
            Ok(answer) => {
                // A peer that has gone away needs no answer.
                let _gone = responder.respond(Bytes::from(answer));
            }
            Err(Refusal::Malformed) => network.penalize(peer, Penalty::MalformedFrame),
            Err(Refusal::Store(reason)) => {
                tracing::error!(reason, "a request of a peer could not be answered");
            }
        }
    }

    fn vertices(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: VerticesRequest = decode(data)?;
        if request.references.len() > FETCH_REFERENCES_MAX {
            return Err(Refusal::Malformed);
        }
        self.send_vertices(request.era, request.references.into_iter())
    }

    fn missing_vertices(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: MissingVerticesRequest = decode(data)?;
        if request.held.len() > HELD_ROUNDS_MAX {
            return Err(Refusal::Malformed);
        }
        let end = request
            .from
            .plus(u64::try_from(HELD_ROUNDS_MAX).unwrap_or(u64::MAX));
        let held = self
            .storage
            .vertex_references(request.era, request.from..end)
            .map_err(|error| Refusal::Store(error.to_string()))?;
        let wanted = held
            .into_iter()
            .filter(|reference| request.wants(reference.round, reference.author));
        self.send_vertices(request.era, wanted)
    }

    /// Those of the vertices that are stored, as far as they fit.
    fn send_vertices(
        &self,
        era: Era,
        references: impl Iterator<Item = VertexRef>,
    ) -> Result<Vec<u8>, Refusal> {
        let mut vertices = Vec::new();
        let mut bytes = 0;
        for reference in references {
            let stored = self
                .storage
                .vertex(era, &reference)
                .map_err(|error| Refusal::Store(error.to_string()))?;
            let Some(vertex) = stored else { continue };
            bytes += codec::encoded_len(vertex.vertex());
            if bytes > RESPONSE_BYTES_MAX - FRAME_BYTES {
                break;
            }
            vertices.push(vertex.vertex().clone());
        }
        Ok(codec::encode(&VerticesResponse { vertices }))
    }

    fn blocks(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: BlocksRequest = decode(data)?;
        let view = self.storage.view();
        let count = usize::try_from(request.to.since(request.from))
            .unwrap_or(usize::MAX)
            .saturating_add(1)
            .min(BLOCKS_MAX);
        let range = view
            .blocks_from(request.from, count, RESPONSE_BYTES_MAX - FRAME_BYTES)
            .map_err(|error| Refusal::Store(error.to_string()))?;
        let mut blocks: Vec<_> = range.into_iter().map(|(_, block)| block).collect();
        // One era at a time: who verifies the next one first has to execute the end of this one.
        if let Some(era) = blocks.first().map(|block| block.header.era) {
            blocks.truncate(
                blocks
                    .iter()
                    .take_while(|block| block.header.era == era)
                    .count(),
            );
        }
        let response = certified_prefix(&view, blocks)?;
        Ok(codec::encode(&response))
    }

    fn certificates(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: CertificateRequest = decode(data)?;
        let certificate = self
            .storage
            .certificate_at_or_above(request.height)
            .map_err(|error| Refusal::Store(error.to_string()))?;
        Ok(codec::encode(&CertificateResponse { certificate }))
    }

    fn status(&self) -> Result<PeerStatus, Refusal> {
        let standing = self.board.read();
        let lowest_block = self
            .storage
            .view()
            .lowest_block()
            .map_err(|error| Refusal::Store(error.to_string()))?;
        Ok(PeerStatus {
            head: standing.head,
            head_id: standing.head_id,
            certified: standing.certified,
            lowest_block,
            era: standing.context.era,
            round: standing.round,
            timestamp_ms: core_thread::now(self.started).wall.0,
        })
    }
}

enum Refusal {
    /// The peer's fault.
    Malformed,
    Store(String),
}

fn decode<T: borsh::BorshDeserialize>(data: &[u8]) -> Result<T, Refusal> {
    codec::decode("a request", data, REQUEST_BYTES_MAX).map_err(|_| Refusal::Malformed)
}

/// The longest prefix whose last block is certified.
fn certified_prefix(
    view: &ReadView<'_>,
    mut blocks: Vec<holdfast_types::Block>,
) -> Result<BlocksResponse, Refusal> {
    while let Some(last) = blocks.last() {
        let certificate = view
            .certificate(last.header.height)
            .map_err(|error| Refusal::Store(error.to_string()))?;
        if certificate.is_some() {
            return Ok(BlocksResponse {
                blocks,
                certificate,
            });
        }
        blocks.pop();
    }
    Ok(BlocksResponse {
        blocks,
        certificate: None,
    })
}
