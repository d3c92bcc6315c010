//! Answers to the requests of peers, from the store and the board.

use super::board::Board;
use super::core_thread;
use crate::clock;
use bytes::Bytes;
use holdfast_chain::ChainStore;
use holdfast_chain::serve::{blocks_asked, servable_prefix};
use holdfast_network::{NetworkHandle, Penalty, RequestProtocol, Responder};
use holdfast_replica::admission::turn_ms;
use holdfast_replica::serve::{Refusal, last_vertices, missing_vertices, vertices};
use holdfast_storage::Storage;
use holdfast_types::limits::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};
use holdfast_types::wire::{
    BlocksRequest, CertificateRequest, CertificateResponse, LastVertexRequest,
    MissingVerticesRequest, PeerStatus, VerticesRequest,
};
use holdfast_types::{EraContext, PublicKey, TransactionId, codec};
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

/// Bytes of the items in a response: the rest is left for what is around them.
const ITEMS_BYTES_MAX: usize = RESPONSE_BYTES_MAX - 128 * 1024;

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

    pub(super) const fn board(&self) -> &Board {
        &self.board
    }

    pub(super) const fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// When it is our turn to propose a transaction that came by gossip, in ms of the replica's clock.
    pub(super) fn turn_ms(&self, id: &TransactionId, era: &EraContext) -> u64 {
        let now = core_thread::now(self.started).monotonic_ms;
        turn_ms(now, id, era, self.key.as_ref())
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
            RequestProtocol::LastVertices => self.last_vertices(data),
            RequestProtocol::HaltStatus => Ok(self.halts()),
            // Nothing is known of this protocol here; dropping the responder tells the peer so.
            RequestProtocol::Snapshot => return,
        };
        match answer {
            Ok(answer) => {
                // A peer that has gone away needs no answer.
                let _gone = responder.respond(Bytes::from(answer));
            }
            Err(Refusal::Malformed) => network.penalize(peer, Penalty::MalformedFrame),
            Err(Refusal::Store(reason)) => {
                tracing::error!(%reason, "a request of a peer could not be answered");
            }
        }
    }

    fn vertices(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: VerticesRequest = decode(data)?;
        let response = vertices(self.storage.as_ref(), &request, ITEMS_BYTES_MAX)?;
        Ok(codec::encode(&response))
    }

    fn missing_vertices(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: MissingVerticesRequest = decode(data)?;
        let response = missing_vertices(self.storage.as_ref(), &request, ITEMS_BYTES_MAX)?;
        Ok(codec::encode(&response))
    }

    fn last_vertices(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: LastVertexRequest = decode(data)?;
        let standing = self.board.read();
        let running = (!standing.between_eras).then_some(standing.context.era);
        drop(standing);
        let response = last_vertices(self.storage.as_ref(), &request, running)?;
        Ok(codec::encode(&response))
    }

    fn halts(&self) -> Vec<u8> {
        codec::encode(&self.board.halts().state.notice())
    }

    fn blocks(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: BlocksRequest = decode(data)?;
        let view = self.storage.view();
        let range = view.blocks_from(request.from, blocks_asked(&request), ITEMS_BYTES_MAX)?;
        let blocks = range.into_iter().map(|(_, block)| block).collect();
        let response = servable_prefix(&view, blocks)?;
        Ok(codec::encode(&response))
    }

    fn certificates(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: CertificateRequest = decode(data)?;
        let certificate = self.storage.certificate_at_or_above(request.height)?;
        Ok(codec::encode(&CertificateResponse { certificate }))
    }

    fn status(&self) -> Result<PeerStatus, Refusal> {
        let standing = self.board.read();
        let lowest_block = self.storage.view().lowest_block()?;
        Ok(PeerStatus {
            head: standing.head,
            head_id: standing.head_id,
            certified: standing.certified,
            is_provisional: standing.is_provisional,
            lowest_block,
            rank: standing.rank,
            round: standing.round,
            timestamp_ms: clock::wall().0,
        })
    }
}

fn decode<T: borsh::BorshDeserialize>(data: &[u8]) -> Result<T, Refusal> {
    codec::decode("a request", data, REQUEST_BYTES_MAX).map_err(|_| Refusal::Malformed)
}
