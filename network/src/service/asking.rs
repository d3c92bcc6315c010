//! Requests, ours and the peers'.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    time::Instant,
};

use bytes::Bytes;
use libp2p::{
    PeerId,
    request_response::{
        self, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
    },
};
use tokio::sync::oneshot;

use crate::{
    bucket::TokenBucket,
    codec::{WireRequest, WireResponse},
    error::RequestError,
    event::NetworkEvent,
    handle::{RequestOrder, Responder, ResponseOrder},
    handshake::{ADDRESSES_BYTES_MAX, decode_addresses, encode_addresses},
    penalty::Penalty,
    protocol::{
        ADDRESSES_RATE, ADDRESSES_TAG, IN_FLIGHT_MAX, IN_FLIGHT_PER_PEER_MAX, RESPONSE_BYTES,
        RequestProtocol,
    },
    service::Service,
};

/// A request of ours that has no answer yet.
#[derive(Debug)]
pub(super) enum PendingRequest {
    /// The node asks.
    Node {
        peer: PeerId,
        protocol: RequestProtocol,
        reply: oneshot::Sender<Result<Bytes, RequestError>>,
    },
    /// We ask for addresses.
    Addresses { peer: PeerId },
}

/// What one connected peer may still ask.
#[derive(Debug)]
pub(super) struct AskingLimits {
    requests: [TokenBucket; RequestProtocol::ALL.len()],
    addresses: TokenBucket,
    response_bytes: TokenBucket,
}

impl AskingLimits {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            requests: RequestProtocol::ALL.map(|protocol| TokenBucket::new(protocol.rate(), now)),
            addresses: TokenBucket::new(ADDRESSES_RATE, now),
            response_bytes: TokenBucket::new(RESPONSE_BYTES, now),
        }
    }

    fn admit(&mut self, protocol: RequestProtocol, now: Instant) -> bool {
        self.response_bytes.is_positive(now) && self.requests[protocol.index()].try_take(1, now)
    }
}

impl Service {
    /// Sends a request of ours.
    pub(super) fn ask(&mut self, order: RequestOrder) {
        let RequestOrder {
            peer,
            protocol,
            data,
            answer_bytes_max,
            reply,
        } = order;
        let in_flight = self.outbound_by_peer.get(&peer).copied().unwrap_or(0);
        let refusal = if !self.swarm.is_connected(&peer) {
            Some(RequestError::NotConnected { peer })
        } else if in_flight >= IN_FLIGHT_PER_PEER_MAX || self.outbound.len() >= IN_FLIGHT_MAX {
            Some(RequestError::TooManyInFlight)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            // Whoever asked may have gone.
            let _ = reply.send(Err(refusal));
            return;
        }
        let request = WireRequest::Whole {
            tag: protocol.tag(),
            data,
            answer_bytes_max,
        };
        let pending = PendingRequest::Node {
            peer,
            protocol,
            reply,
        };
        self.send_request(peer, request, pending);
        self.shared.counters.request(protocol).sent.increment();
    }

    /// Asks a peer for addresses of others, unless much is in flight with it already.
    pub(super) fn ask_for_addresses(&mut self, peer: PeerId) {
        let in_flight = self.outbound_by_peer.get(&peer).copied().unwrap_or(0);
        if in_flight < IN_FLIGHT_PER_PEER_MAX {
            let request = WireRequest::Whole {
                tag: ADDRESSES_TAG,
                data: Bytes::new(),
                answer_bytes_max: ADDRESSES_BYTES_MAX,
            };
            self.send_request(peer, request, PendingRequest::Addresses { peer });
        }
    }

    fn send_request(&mut self, peer: PeerId, request: WireRequest, pending: PendingRequest) {
        let id = self
            .swarm
            .behaviour_mut()
            .requests
            .send_request(&peer, request);
        self.outbound.insert(id, pending);
        *self.outbound_by_peer.entry(peer).or_insert(0) += 1;
    }

    /// Sends an answer of ours.
    pub(super) fn answer(&mut self, order: ResponseOrder) {
        let ResponseOrder {
            peer,
            protocol,
            channel,
            response,
        } = order;
        let counters = self.shared.counters.request(protocol);
        match &response {
            WireResponse::Data(data) => {
                counters.served.increment();
                counters.served_bytes.add(data.len());
                if let Some(record) = self.peers.get_mut(&peer) {
                    record
                        .asking
                        .response_bytes
                        .debit(data.len() as u64, Instant::now());
                }
            }
            _ => counters.unserved.increment(),
        }
        self.send_response(channel, response);
    }

    pub(super) fn on_exchange(
        &mut self,
        event: request_response::Event<WireRequest, WireResponse>,
    ) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request {
                    request_id,
                    request,
                    channel,
                } => {
                    self.on_request(peer, request_id, request, channel);
                }
                Message::Response {
                    request_id,
                    response,
                } => {
                    self.on_response(request_id, response);
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                self.on_request_failed(request_id, &error);
            }
            request_response::Event::InboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                tracing::debug!(%peer, %error, "request not answered");
                self.release(request_id);
            }
            request_response::Event::ResponseSent { request_id, .. } => self.release(request_id),
        }
    }

    fn on_request(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: WireRequest,
        channel: ResponseChannel<WireResponse>,
    ) {
        let (tag, data) = match request {
            WireRequest::Whole { tag, data, .. } => (tag, data),
            WireRequest::Oversized { bytes } => {
                tracing::debug!(%peer, bytes, "oversized request");
                return self.penalize(peer, Penalty::Oversized, 1);
            }
        };
        if tag == ADDRESSES_TAG {
            return self.answer_addresses(peer, channel);
        }
        let Some(protocol) = RequestProtocol::from_tag(tag) else {
            return self.send_response(channel, WireResponse::Unsupported);
        };
        // Without a record the connection is already being closed.
        let Some(record) = self.peers.get_mut(&peer) else {
            return;
        };
        let in_flight = self.inbound_by_peer.get(&peer).copied().unwrap_or(0);
        let admitted = in_flight < IN_FLIGHT_PER_PEER_MAX
            && self.inbound.len() < IN_FLIGHT_MAX
            && record.asking.admit(protocol, Instant::now());
        if !admitted {
            self.shared.counters.request(protocol).limited.increment();
            self.send_response(channel, WireResponse::Busy);
            return self.penalize(peer, Penalty::RequestFlood, 1);
        }
        self.inbound.insert(id, peer);
        *self.inbound_by_peer.entry(peer).or_insert(0) += 1;
        self.shared.counters.request(protocol).received.increment();
        let orders = self.receivers.orders_sender.clone();
        let responder = Responder::new(peer, protocol, channel, orders);
        self.deliver(NetworkEvent::Request {
            peer,
            protocol,
            data,
            responder,
        });
    }

    fn answer_addresses(&mut self, peer: PeerId, channel: ResponseChannel<WireResponse>) {
        let Some(record) = self.peers.get_mut(&peer) else {
            return;
        };
        if !record.asking.addresses.try_take(1, Instant::now()) {
            self.send_response(channel, WireResponse::Busy);
            return self.penalize(peer, Penalty::RequestFlood, 1);
        }
        let response = if self.settings.peer_exchange {
            WireResponse::Data(encode_addresses(&self.book.shareable()))
        } else {
            WireResponse::Unavailable
        };
        self.send_response(channel, response);
    }

    fn on_response(&mut self, id: OutboundRequestId, response: WireResponse) {
        let (peer, protocol, reply) = match self.take_outbound(id) {
            Some(PendingRequest::Node {
                peer,
                protocol,
                reply,
            }) => (peer, protocol, reply),
            Some(PendingRequest::Addresses { peer }) => {
                return self.on_addresses(peer, &response);
            }
            None => return,
        };
        let counters = self.shared.counters.request(protocol);
        let result = match response {
            WireResponse::Data(data) => {
                counters.answered.increment();
                counters.answer_bytes.add(data.len());
                Ok(data)
            }
            WireResponse::Busy => Err(RequestError::Busy { peer }),
            WireResponse::Unavailable => Err(RequestError::Unavailable { peer, protocol }),
            WireResponse::Unsupported => Err(RequestError::Unsupported { peer, protocol }),
        };
        if result.is_err() {
            counters.refused.increment();
        }
        // Whoever asked may have gone.
        let _ = reply.send(result);
    }

    fn on_addresses(&mut self, peer: PeerId, response: &WireResponse) {
        let WireResponse::Data(data) = response else {
            return;
        };
        match decode_addresses(data) {
            Some(addresses) => self.learn_known(&addresses, Instant::now()),
            None => self.penalize(peer, Penalty::InvalidResponse, 1),
        }
    }

    fn on_request_failed(&mut self, id: OutboundRequestId, error: &OutboundFailure) {
        // Addresses that do not come are asked for again.
        let Some(PendingRequest::Node {
            peer,
            protocol,
            reply,
        }) = self.take_outbound(id)
        else {
            return;
        };
        let counters = self.shared.counters.request(protocol);
        let (count, error, breach) = match error {
            OutboundFailure::Timeout => (
                &counters.timed_out,
                RequestError::TimedOut { peer, protocol },
                false,
            ),
            OutboundFailure::UnsupportedProtocols => (
                &counters.refused,
                RequestError::Unsupported { peer, protocol },
                false,
            ),
            OutboundFailure::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                let reason = error.to_string();
                (
                    &counters.failed,
                    RequestError::InvalidAnswer {
                        peer,
                        protocol,
                        reason,
                    },
                    true,
                )
            }
            // The stream ended in order but without an answer: the peer dropped the request.
            OutboundFailure::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => (
                &counters.refused,
                RequestError::Unavailable { peer, protocol },
                false,
            ),
            OutboundFailure::DialFailure
            | OutboundFailure::ConnectionClosed
            | OutboundFailure::Io(_) => {
                (&counters.failed, RequestError::Disconnected { peer }, false)
            }
        };
        count.increment();
        // Whoever asked may have gone.
        let _ = reply.send(Err(error));
        if breach {
            self.penalize(peer, Penalty::InvalidResponse, 1);
        }
    }

    /// Answers at once; if the request has timed out meanwhile there is nobody to answer.
    fn send_response(&mut self, channel: ResponseChannel<WireResponse>, response: WireResponse) {
        let _ = self
            .swarm
            .behaviour_mut()
            .requests
            .send_response(channel, response);
    }

    fn take_outbound(&mut self, id: OutboundRequestId) -> Option<PendingRequest> {
        let pending = self.outbound.remove(&id)?;
        let (PendingRequest::Node { peer, .. } | PendingRequest::Addresses { peer }) = &pending;
        decrement(&mut self.outbound_by_peer, *peer);
        Some(pending)
    }

    /// A request of a peer is done with, one way or the other.
    fn release(&mut self, id: InboundRequestId) {
        if let Some(peer) = self.inbound.remove(&id) {
            decrement(&mut self.inbound_by_peer, peer);
        }
    }
}

fn decrement(counts: &mut HashMap<PeerId, usize>, peer: PeerId) {
    if let Entry::Occupied(mut entry) = counts.entry(peer) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}
