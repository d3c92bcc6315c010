//! What is known of a connected peer.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::{
    event::{Direction, DisconnectReason, PeerHandshake},
    handle::PeerInfo,
    handshake::RemoteHello,
    penalty::PeerClass,
    service::{asking::AskingLimits, links::EXCHANGE_FIRST},
    transport::meter::Traffic,
};

/// Two nodes that dial each other at once have two connections, both younger than this. A new
/// connection beside an older one means that the peer has lost the old one.
const SIMULTANEOUS: Duration = Duration::from_secs(5);

/// After this one of two simultaneous connections is closed. Not at once: the first gossip packets
/// may be on their way on either.
const SETTLED: Duration = Duration::from_secs(3);

/// A connection without an answer to a ping for so long is dead. Pings go every 5 s; the library's
/// own verdict would take twice as long, since it forgives the first failure.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Weight of a new ping in the smoothed latency.
const LATENCY_WEIGHT: f64 = 0.2;

/// A peer with at least one connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) links: Vec<Link>,
    hello: RemoteHello,
    claim: Bytes,
    traffic: Arc<Traffic>,
    since: Instant,
    since_wall: SystemTime,
    latency_ms: Option<f64>,
    /// Whether the node knows of it.
    pub(super) announced: bool,
    /// Why it will be disconnected, once that is decided.
    pub(super) leaving: Option<DisconnectReason>,
    pub(super) asking: AskingLimits,
    /// When to ask it for addresses of others.
    pub(super) next_exchange: Instant,
}

/// One connection.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) direction: Direction,
    address: Multiaddr,
    since: Instant,
    /// The last answer to a ping.
    answered: Instant,
}

impl Link {
    pub(super) fn new(
        id: ConnectionId,
        direction: Direction,
        address: Multiaddr,
        now: Instant,
    ) -> Self {
        Self {
            id,
            direction,
            address,
            since: now,
            answered: now,
        }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Peer {
    pub(super) fn new(hello: RemoteHello, link: Link, traffic: Arc<Traffic>, now: Instant) -> Self {
        Self {
            links: vec![link],
            claim: Bytes::from(hello.claim.clone()),
            hello,
            traffic,
            since: now,
            since_wall: SystemTime::now(),
            latency_ms: None,
            announced: false,
            leaving: None,
            asking: AskingLimits::new(now),
            next_exchange: now + EXCHANGE_FIRST,
        }
    }

    pub(super) fn info(&self, peer_id: PeerId, class: PeerClass, score: f64) -> PeerInfo {
        let link = self.first_link();
        PeerInfo {
            peer_id,
            address: link.address.clone(),
            direction: link.direction,
            agent: self.hello.software_version.clone(),
            latency_ms: self.latency_ms,
            score,
            class,
            connected_since: self.since_wall,
            bytes_received: self.traffic.received.get(),
            bytes_sent: self.traffic.sent.get(),
            claim: self.claim.clone(),
        }
    }

    pub(super) fn introduction(&self) -> PeerHandshake {
        let link = self.first_link();
        PeerHandshake {
            protocol_version: self.hello.protocol_version,
            software_version: self.hello.software_version.clone(),
            claim: self.claim.clone(),
            address: link.address.clone(),
            direction: link.direction,
        }
    }

    /// Whether a new connection means that the ones we have are dead: another process of the peer
    /// opened it, or they are too old for it to be a coincidence.
    pub(super) fn is_stale(&self, new_instance: Option<u64>, now: Instant) -> bool {
        self.leaving.is_some()
            || new_instance.is_some_and(|instance| instance != self.hello.instance)
            || self.links.iter().any(|link| link.age(now) >= SIMULTANEOUS)
    }

    pub(super) fn waits_for_subscription(&self, now: Instant, limit: Duration) -> bool {
        !self.announced && now.saturating_duration_since(self.since) >= limit
    }

    /// Of two connections from dialling each other at once, those to close: ours, if `we_yield`.
    pub(super) fn surplus(&self, now: Instant, we_yield: bool) -> Vec<ConnectionId> {
        let settled = self.links.iter().all(|link| link.age(now) >= SETTLED);
        let kept = self
            .links
            .iter()
            .any(|link| link.direction == Direction::Inbound);
        if !settled || !kept || !we_yield {
            return Vec::new();
        }
        let ours = self
            .links
            .iter()
            .filter(|link| link.direction == Direction::Outbound);
        ours.map(|link| link.id).collect()
    }

    /// The connections that have been silent for too long.
    pub(super) fn take_dead(&mut self, now: Instant) -> Vec<ConnectionId> {
        let silent = |link: &&mut Link| now.saturating_duration_since(link.answered) >= SILENCE_MAX;
        let dead: Vec<ConnectionId> = self
            .links
            .iter_mut()
            .filter(silent)
            .map(|link| {
                // Closing takes a moment; it is not to be counted again.
                link.answered = now;
                link.id
            })
            .collect();
        if dead.len() == self.links.len() {
            self.leaving.get_or_insert(DisconnectReason::PingTimeout);
        }
        dead
    }

    pub(super) fn answered_ping(&mut self, id: ConnectionId, round_trip: Duration, now: Instant) {
        let new = round_trip.as_secs_f64() * 1000.0;
        self.latency_ms = Some(
            self.latency_ms
                .map_or(new, |old| old + LATENCY_WEIGHT * (new - old)),
        );
        if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
            link.answered = now;
        }
    }

    /// Forgives a silence that may have been ours.
    pub(super) fn excuse(&mut self, pause: Duration) {
        for link in &mut self.links {
            link.answered += pause;
        }
    }

    fn first_link(&self) -> &Link {
        self.links
            .first()
            .expect("a peer has at least one connection")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: usize, direction: Direction, now: Instant) -> Link {
        let address = "/ip4/9.9.9.9/tcp/1".parse().unwrap();
        Link::new(ConnectionId::new_unchecked(number), direction, address, now)
    }

    fn peer(now: Instant) -> Peer {
        let hello = RemoteHello {
            protocol_version: 1,
            software_version: "test/1".into(),
            instance: 7,
            claim: Vec::new(),
            own_addresses: Vec::new(),
            known_peers: Vec::new(),
        };
        Peer::new(
            hello,
            link(1, Direction::Outbound, now),
            Arc::default(),
            now,
        )
    }

    #[test]
    fn of_two_simultaneous_connections_the_one_that_yields_closes_its_own() {
        let now = Instant::now();
        let mut peer = peer(now);
        let later = now + SETTLED;
        assert!(peer.surplus(later, true).is_empty(), "the only one stays");
        peer.links.push(link(2, Direction::Inbound, now));
        assert!(
            peer.surplus(now, true).is_empty(),
            "not before both have settled"
        );
        assert!(peer.surplus(later, false).is_empty());
        assert_eq!(peer.surplus(later, true), [ConnectionId::new_unchecked(1)]);
    }

    #[test]
    fn a_new_connection_beside_an_old_one_or_from_a_new_process_is_a_fresh_start() {
        let now = Instant::now();
        let mut peer = peer(now);
        assert!(!peer.is_stale(Some(7), now));
        assert!(!peer.is_stale(None, now));
        assert!(peer.is_stale(Some(8), now));
        assert!(peer.is_stale(Some(7), now + SIMULTANEOUS));
        peer.leaving = Some(DisconnectReason::Lost);
        assert!(peer.is_stale(Some(7), now));
    }

    #[test]
    fn silence_is_death_unless_it_was_ours() {
        let now = Instant::now();
        let mut peer = peer(now);
        assert!(peer.take_dead(now + SILENCE_MAX / 2).is_empty());
        let id = ConnectionId::new_unchecked(1);
        peer.answered_ping(id, Duration::from_millis(3), now + SILENCE_MAX / 2);
        assert!(peer.take_dead(now + SILENCE_MAX).is_empty());
        peer.excuse(SILENCE_MAX);
        assert!(peer.take_dead(now + 2 * SILENCE_MAX).is_empty());
        assert_eq!(peer.take_dead(now + 3 * SILENCE_MAX), [id]);
        assert_eq!(peer.leaving, Some(DisconnectReason::PingTimeout));
        assert!(
            peer.take_dead(now + 3 * SILENCE_MAX).is_empty(),
            "counted once"
        );
    }

    #[test]
    fn latency_is_smoothed() {
        let now = Instant::now();
        let mut peer = peer(now);
        let id = ConnectionId::new_unchecked(1);
        peer.answered_ping(id, Duration::from_millis(10), now);
        peer.answered_ping(id, Duration::from_millis(20), now);
        assert!((peer.latency_ms.unwrap() - 12.0).abs() < 1e-9);
    }
}
