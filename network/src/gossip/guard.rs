//! What stands in front of a gossip router.
//!
//! The router remembers every message it has seen and takes no second copy. A message that we drop
//! after that is gone: a peer that uses up its rate with rubbish and then relays other people's
//! vertices would censor them. So limits are applied before the router remembers: the router calls
//! [`InboundGuard`] for each message first, and [`GuardedRouter`], which hands it the peers' packets,
//! says whose they are.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    gossipsub::{self, DataTransform, RawMessage, TopicHash},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};

use crate::{
    bucket::{Rate, TokenBucket},
    counters::Counters,
    gossip::{Router, TopicTable},
    penalty::Penalty,
    topic::Topic,
};

/// Packets of one peer, of any content: control messages have no other limit.
const PACKETS: Rate = Rate {
    per_second: 40_000,
    burst: 80_000,
};

/// What the guarded router reports.
#[derive(Debug)]
pub(crate) enum GuardedEvent {
    Router(gossipsub::Event),
    /// A peer broke a limit `count` times.
    Offence {
        peer: PeerId,
        penalty: Penalty,
        count: u32,
    },
}

/// The limits. One state, held by the router as its message transform and by [`GuardedRouter`].
#[derive(Debug, Clone)]
pub(crate) struct InboundGuard {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    topics: TopicTable,
    counters: Arc<Counters>,
    /// The peer whose packet the router is looking at.
    current: Option<PeerId>,
    peers: HashMap<PeerId, Limits>,
    offences: HashMap<(PeerId, Penalty), u32>,
}

/// What one connected peer may still send.
#[derive(Debug)]
struct Limits {
    packets: TokenBucket,
    topics: [TopicLimit; Topic::ALL.len()],
}

#[derive(Debug)]
struct TopicLimit {
    messages: TokenBucket,
    bytes: TokenBucket,
}

impl Limits {
    fn new(now: Instant) -> Self {
        Self {
            packets: TokenBucket::new(PACKETS, now),
            topics: Topic::ALL.map(|topic| TopicLimit {
                messages: TokenBucket::new(topic.rate().messages, now),
                bytes: TokenBucket::new(topic.rate().bytes, now),
            }),
        }
    }
}

impl InboundGuard {
    pub(crate) fn new(topics: TopicTable, counters: Arc<Counters>) -> Self {
        let state = State {
            topics,
            counters,
            current: None,
            peers: HashMap::new(),
            offences: HashMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds this lock")
    }

    /// Begins a packet. False if the peer sends too many: the packet is dropped unread.
    fn begin(&self, peer: PeerId, now: Instant) -> bool {
        let mut state = self.lock();
        let limits = state.peers.entry(peer).or_insert_with(|| Limits::new(now));
        let admitted = limits.packets.try_take(1, now);
        if admitted {
            state.current = Some(peer);
        } else {
            state.offend(peer, Penalty::RateExceeded);
        }
        admitted
    }

    fn end(&self) {
        self.lock().current = None;
    }

    fn forget(&self, peer: &PeerId) {
        let mut state = self.lock();
        state.peers.remove(peer);
        state.offences.retain(|(offender, _), _| offender != peer);
    }

    fn next_offence(&self) -> Option<GuardedEvent> {
        let mut state = self.lock();
        let (peer, penalty) = *state.offences.keys().next()?;
        let count = state.offences.remove(&(peer, penalty))?;
        Some(GuardedEvent::Offence {
            peer,
            penalty,
            count,
        })
    }
}

impl State {
    fn offend(&mut self, peer: PeerId, penalty: Penalty) {
        let count = self.offences.entry((peer, penalty)).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// Whether a message may pass, by its topic, size and sender.
    fn admit(&mut self, topic: &TopicHash, bytes: usize, now: Instant) -> Result<(), &'static str> {
        let Some(topic) = self.topics.topic(topic) else {
            return Err("unknown topic");
        };
        let Some(peer) = self.current else {
            return Err("no sender");
        };
        let counters = Arc::clone(&self.counters);
        let counters = counters.topic(topic);
        if bytes > topic.message_bytes_max() {
            counters.oversized_messages.increment();
            self.offend(peer, Penalty::Oversized);
            return Err("larger than its topic allows");
        }
        let limits = self.peers.entry(peer).or_insert_with(|| Limits::new(now));
        let limit = &mut limits.topics[topic.index()];
        if !limit.messages.try_take(1, now) || !limit.bytes.try_take(bytes as u64, now) {
            counters.rate_limited_messages.increment();
            self.offend(peer, Penalty::RateExceeded);
            return Err("above the rate of its sender");
        }
        counters.received_messages.increment();
        counters.received_bytes.add(bytes);
        Ok(())
    }
}

impl DataTransform for InboundGuard {
    fn inbound_transform(&self, message: RawMessage) -> io::Result<gossipsub::Message> {
        self.lock()
            .admit(&message.topic, message.data.len(), Instant::now())
            .map_err(io::Error::other)?;
        Ok(gossipsub::Message {
            source: message.source,
            data: message.data,
            sequence_number: message.sequence_number,
            topic: message.topic,
        })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

/// A router behind its guard. Everything else passes through.
pub(crate) struct GuardedRouter {
    pub(crate) router: Router,
    guard: InboundGuard,
}

impl GuardedRouter {
    /// `guard` must be the one that `router` was built with.
    pub(crate) fn new(router: Router, guard: InboundGuard) -> Self {
        Self { router, guard }
    }
}

impl NetworkBehaviour for GuardedRouter {
    type ConnectionHandler = <Router as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = GuardedEvent;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.router
            .handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.router
            .handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.router
            .handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.router
            .handle_established_outbound_connection(connection, peer, address, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id,
            remaining_established: 0,
            ..
        }) = &event
        {
            self.guard.forget(peer_id);
        }
        self.router.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if self.guard.begin(peer, Instant::now()) {
            self.router
                .on_connection_handler_event(peer, connection, event);
            self.guard.end();
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(offence) = self.guard.next_offence() {
            return Poll::Ready(ToSwarm::GenerateEvent(offence));
        }
        self.router
            .poll(context)
            .map(|event| event.map_out(GuardedEvent::Router))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn guard() -> (InboundGuard, TopicTable, Arc<Counters>) {
        let (topics, counters) = (TopicTable::new(&[1; 32]), Arc::new(Counters::default()));
        (
            InboundGuard::new(topics.clone(), Arc::clone(&counters)),
            topics,
            counters,
        )
    }

    #[test]
    fn a_flood_exhausts_only_its_sender_and_topic() {
        let (guard, topics, counters) = guard();
        let (loud, quiet, now) = (PeerId::random(), PeerId::random(), Instant::now());
        let burst = Topic::Evidence.rate().messages.burst;
        assert!(guard.begin(loud, now));
        for _ in 0..burst {
            guard
                .lock()
                .admit(topics.hash(Topic::Evidence), 10, now)
                .unwrap();
        }
        assert!(
            guard
                .lock()
                .admit(topics.hash(Topic::Evidence), 10, now)
                .is_err()
        );
        assert!(
            guard
                .lock()
                .admit(topics.hash(Topic::Vertices), 10, now)
                .is_ok()
        );
        guard.end();
        assert!(guard.begin(quiet, now));
        assert!(
            guard
                .lock()
                .admit(topics.hash(Topic::Evidence), 10, now)
                .is_ok()
        );
        guard.end();
        assert!(guard.begin(loud, now));
        let later = now + Duration::from_secs(1);
        assert!(
            guard
                .lock()
                .admit(topics.hash(Topic::Evidence), 10, later)
                .is_ok()
        );

        assert_eq!(
            counters.topic(Topic::Evidence).rate_limited_messages.get(),
            1
        );
        assert_eq!(
            counters.topic(Topic::Evidence).received_messages.get(),
            burst + 2
        );
        let Some(GuardedEvent::Offence {
            peer,
            penalty,
            count,
        }) = guard.next_offence()
        else {
            panic!("the flood was reported")
        };
        assert_eq!((peer, penalty, count), (loud, Penalty::RateExceeded, 1));
        assert!(guard.next_offence().is_none());
    }

    #[test]
    fn bytes_are_limited_as_well() {
        let (guard, topics, _) = guard();
        let now = Instant::now();
        assert!(guard.begin(PeerId::random(), now));
        let limit = Topic::Governance.rate().bytes.burst as usize;
        let largest = Topic::Governance.message_bytes_max();
        for _ in 0..limit / largest {
            guard
                .lock()
                .admit(topics.hash(Topic::Governance), largest, now)
                .unwrap();
        }
        assert!(
            guard
                .lock()
                .admit(topics.hash(Topic::Governance), largest, now)
                .is_err()
        );
    }

    #[test]
    fn what_is_too_large_or_of_no_topic_or_no_sender_does_not_pass() {
        let (guard, topics, counters) = guard();
        let now = Instant::now();
        let admit = |topic: &TopicHash, bytes| guard.lock().admit(topic, bytes, now);
        assert!(admit(topics.hash(Topic::Halt), 1).is_err());
        assert!(guard.begin(PeerId::random(), now));
        assert!(admit(&TopicHash::from_raw("/other"), 1).is_err());
        assert!(admit(topics.hash(Topic::Attestations), 4097).is_err());
        assert!(admit(topics.hash(Topic::Attestations), 4096).is_ok());
        assert_eq!(
            counters.topic(Topic::Attestations).oversized_messages.get(),
            1
        );
        assert!(matches!(
            guard.next_offence(),
            Some(GuardedEvent::Offence {
                penalty: Penalty::Oversized,
                ..
            })
        ));
    }

    #[test]
    fn packets_are_limited_and_forgotten_with_their_peer() {
        let (guard, _, _) = guard();
        let (peer, now) = (PeerId::random(), Instant::now());
        for _ in 0..PACKETS.burst {
            assert!(guard.begin(peer, now));
        }
        assert!(!guard.begin(peer, now));
        guard.forget(&peer);
        assert!(guard.next_offence().is_none());
        assert!(guard.lock().peers.is_empty());
    }
}
