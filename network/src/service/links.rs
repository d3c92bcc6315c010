//! Connections: who is there, whom to dial, who must go.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify, ping,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use crate::{
    address::{is_dialable, is_plain_transport},
    event::{Direction, DisconnectReason, HandshakeRefusal, NetworkEvent, PeerHandshake},
    gossip::GRAYLIST_SCORE,
    handle::PeerInfo,
    handshake::{OWN_ADDRESSES_MAX, RefusedHandshake, RemoteHello},
    penalty::{PeerClass, Penalty},
    service::{Service, asking::AskingLimits},
    transport::meter::Traffic,
};

/// Two nodes that dial each other at once have two connections, both younger than this. A new
/// connection beside an older one means that the peer has lost the old one.
const SIMULTANEOUS: Duration = Duration::from_secs(5);

/// After this one of two simultaneous connections is closed. Not at once: the first gossip packets
/// may be on their way on either.
const SETTLED: Duration = Duration::from_secs(3);

/// A peer that does not take consensus gossip is announced after this all the same: it can still be
/// asked.
const SUBSCRIPTION_WAIT: Duration = Duration::from_secs(5);

/// Weight of a new ping in the smoothed latency.
const LATENCY_WEIGHT: f64 = 0.2;

/// Whoever connects to a common peer at the same moment as we is not in its handshake yet: it is asked
/// again soon, and then from time to time.
const EXCHANGE_FIRST: Duration = Duration::from_secs(1);
const EXCHANGE_INTERVAL: Duration = Duration::from_secs(60);

/// Scores, shares and leftovers are looked at every so many ticks.
const SLOW_TICK: u64 = 4;

/// A peer with at least one connection.
#[derive(Debug)]
pub(super) struct Peer {
    links: Vec<Link>,
    hello: RemoteHello,
    claim: Bytes,
    traffic: Arc<Traffic>,
    since: Instant,
    since_wall: SystemTime,
    latency_ms: Option<f64>,
    /// Whether the node knows of it.
    pub(super) announced: bool,
    /// Why it will be disconnected, once that is decided.
    leaving: Option<DisconnectReason>,
    pub(super) asking: AskingLimits,
    /// When to ask it for addresses of others.
    next_exchange: Instant,
}

#[derive(Debug, Clone)]
struct Link {
    id: ConnectionId,
    direction: Direction,
    address: Multiaddr,
    since: Instant,
}

impl Peer {
    pub(super) fn info(&self, peer_id: PeerId, class: PeerClass, score: f64) -> PeerInfo {
        let link = self
            .links
            .first()
            .expect("a peer has at least one connection");
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

    fn introduction(&self) -> PeerHandshake {
        let link = self
            .links
            .first()
            .expect("a peer has at least one connection");
        PeerHandshake {
            protocol_version: self.hello.protocol_version,
            software_version: self.hello.software_version.clone(),
            claim: self.claim.clone(),
            address: link.address.clone(),
            direction: link.direction,
        }
    }

    /// Of two connections from dialling each other at once, those to close: ours, if `we_yield`.
    fn surplus(&self, now: Instant, we_yield: bool) -> Vec<ConnectionId> {
        let settled = self
            .links
            .iter()
            .all(|link| now.saturating_duration_since(link.since) >= SETTLED);
        let kept = self
            .links
            .iter()
            .any(|link| link.direction == Direction::Inbound);
        if self.links.len() < 2 || !settled || !kept || !we_yield {
            return Vec::new();
        }
        let ours = self
            .links
            .iter()
            .filter(|link| link.direction == Direction::Outbound);
        ours.map(|link| link.id).collect()
    }
}

impl Service {
    pub(super) fn on_established(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let now = Instant::now();
        self.shared.counters.links.established.increment();
        let hello = self.shared.handshakes.take_accepted(&peer);
        let direction = if endpoint.is_dialer() {
            Direction::Outbound
        } else {
            Direction::Inbound
        };
        let address = endpoint.get_remote_address().clone();
        let link = Link {
            id,
            direction,
            address,
            since: now,
        };
        if let Some(record) = self.peers.get_mut(&peer) {
            let restarted = hello.is_some_and(|hello| hello.instance != record.hello.instance);
            let older = record
                .links
                .iter()
                .any(|old| now.saturating_duration_since(old.since) >= SIMULTANEOUS);
            record.links.push(link);
            // The routers greet a peer once, on its first connection. If that one is dead they would
            // never greet the new one: everything must begin afresh.
            if restarted || older || record.leaving.is_some() {
                self.disconnect(peer, DisconnectReason::Stale);
            }
            return;
        }
        let Some(hello) = hello else {
            tracing::warn!(%peer, "too many handshakes at once; connection dropped");
            self.swarm.close_connection(id);
            return;
        };
        self.learn_from(peer, &hello, now);
        self.book.connected(&peer, now);
        let record = Peer {
            links: vec![link],
            claim: Bytes::from(hello.claim.clone()),
            hello,
            traffic: self.shared.handshakes.traffic(peer),
            since: now,
            since_wall: SystemTime::now(),
            latency_ms: None,
            announced: false,
            leaving: None,
            asking: AskingLimits::new(now),
            next_exchange: now + EXCHANGE_FIRST,
        };
        self.peers.insert(peer, record);
        self.count_peers();
        self.tell_addresses();
    }

    pub(super) fn on_closed(&mut self, peer: PeerId, id: ConnectionId, remaining: u32) {
        self.shared.counters.links.closed.increment();
        let Some(record) = self.peers.get_mut(&peer) else {
            return;
        };
        record.links.retain(|link| link.id != id);
        if remaining > 0 && !record.links.is_empty() {
            return;
        }
        let record = self.peers.remove(&peer).expect("it was there a moment ago");
        self.book
            .disconnected(&peer, Instant::now(), rand::random());
        self.count_peers();
        self.tell_addresses();
        if record.announced {
            let reason = record.leaving.unwrap_or(DisconnectReason::Lost);
            tracing::info!(%peer, reason = reason.name(), "peer disconnected");
            self.deliver(NetworkEvent::PeerDisconnected { peer, reason });
        }
    }

    /// Tells the node of a peer, once.
    pub(super) fn announce(&mut self, peer: PeerId) {
        let Some(record) = self.peers.get_mut(&peer) else {
            return;
        };
        if record.announced || record.leaving.is_some() {
            return;
        }
        record.announced = true;
        let info = Box::new(record.introduction());
        tracing::info!(
            %peer,
            address = %info.address,
            direction = info.direction.name(),
            software = info.software_version,
            "peer connected",
        );
        self.deliver(NetworkEvent::PeerConnected { peer, info });
    }

    pub(super) fn disconnect(&mut self, peer: PeerId, reason: DisconnectReason) {
        if let Some(record) = self.peers.get_mut(&peer) {
            record.leaving.get_or_insert(reason);
        }
        // An error means that it is not connected, which is what is wanted.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    pub(super) fn on_refused(&mut self, refused: RefusedHandshake) {
        let RefusedHandshake {
            peer,
            address,
            direction,
            refusal,
        } = refused;
        let now = Instant::now();
        self.shared.counters.handshake_refused(&refusal).increment();
        let from = direction.name();
        if self.refusal_logs.try_take(1, now) {
            tracing::warn!(%peer, %address, direction = from, "handshake refused: {refusal}");
        } else {
            tracing::debug!(%peer, %address, direction = from, "handshake refused: {refusal}");
        }
        match &refusal {
            HandshakeRefusal::Malformed { .. } => {
                if direction == Direction::Inbound {
                    self.penalize(peer, Penalty::MalformedFrame, 1);
                }
            }
            HandshakeRefusal::ChainId { .. }
            | HandshakeRefusal::Parameters { .. }
            | HandshakeRefusal::ProtocolVersion { .. } => {
                self.book.refused(&peer, now, rand::random());
            }
        }
        self.deliver(NetworkEvent::HandshakeRefused {
            peer,
            address,
            direction,
            refusal,
        });
    }

    pub(super) fn on_dial_failed(&mut self, peer: Option<PeerId>, error: &DialError) {
        self.shared.counters.links.dials_failed.increment();
        let Some(peer) = peer else { return };
        match self.book.dial_failed(&peer, Instant::now(), rand::random()) {
            // At the first failure and ever more rarely, so that the log shows it without filling up.
            Some(failures) if failures.is_power_of_two() => {
                tracing::warn!(%peer, failures, "peer not reached: {error}");
            }
            _ => tracing::debug!(%peer, "peer not reached: {error}"),
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { peer_id, info, .. } => {
                let now = Instant::now();
                for address in info.listen_addrs.iter().take(OWN_ADDRESSES_MAX) {
                    self.learn(peer_id, address, now);
                }
                tracing::debug!(peer = %peer_id, observed = %info.observed_addr, "peer identified");
            }
            identify::Event::Error { peer_id, error, .. } => {
                tracing::debug!(peer = %peer_id, %error, "peer not identified");
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => {}
        }
    }

    pub(super) fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(round_trip) => {
                if let Some(record) = self.peers.get_mut(&event.peer) {
                    let new = round_trip.as_secs_f64() * 1000.0;
                    let smoothed = record
                        .latency_ms
                        .map_or(new, |old| old + LATENCY_WEIGHT * (new - old));
                    record.latency_ms = Some(smoothed);
                }
            }
            Err(ping::Failure::Timeout) => {
                self.shared.counters.links.ping_timeouts.increment();
                if let Some(record) = self.peers.get_mut(&event.peer)
                    && record.links.len() == 1
                {
                    record.leaving.get_or_insert(DisconnectReason::PingTimeout);
                }
                self.swarm.close_connection(event.connection);
            }
            Err(error) => tracing::debug!(peer = %event.peer, %error, "ping failed"),
        }
    }

    pub(super) fn on_listening(&mut self, address: Multiaddr) {
        tracing::info!(%address, "listening");
        let mut addresses = self
            .shared
            .listen_addresses
            .write()
            .expect("no code panics while it holds this lock");
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        drop(addresses);
        self.tell_addresses();
    }

    pub(super) fn on_not_listening(&mut self, address: &Multiaddr) {
        self.shared
            .listen_addresses
            .write()
            .expect("no code panics while it holds this lock")
            .retain(|known| known != address);
        self.swarm.remove_external_address(address);
        self.tell_addresses();
    }

    pub(super) fn set_class(&mut self, peer: PeerId, class: PeerClass) {
        if !self.swarm.behaviour_mut().gate.set_class(peer, class) {
            tracing::warn!(%peer, "too many peers have a class; it stays as it is");
            return;
        }
        if class != PeerClass::Other {
            self.book.keep(&peer);
        }
        self.count_peers();
    }

    pub(super) fn on_tick(&mut self, now: Instant) {
        self.ticks += 1;
        self.dial_due(now);
        if !self.ticks.is_multiple_of(SLOW_TICK) {
            return;
        }
        self.settle_links(now);
        self.exchange_due(now);
        self.judge_scores(now);
        let (behaviour, ledger) = (self.swarm.behaviour(), &self.ledger);
        for peer in behaviour
            .gate
            .to_evict(now, |peer| -ledger.points(peer, now))
        {
            self.shared.counters.links.evicted.increment();
            self.disconnect(peer, DisconnectReason::Evicted);
        }
        let banned = self.swarm.behaviour_mut().gate.sweep(now);
        self.shared.counters.banned.set(banned);
        self.ledger.sweep(now);
        self.shared.handshakes.sweep(now);
        self.tell_addresses();
    }

    fn dial_due(&mut self, now: Instant) {
        let free = self.settings.peers_target.saturating_sub(self.peers.len());
        let gate = &self.swarm.behaviour().gate;
        for (peer, addresses) in self
            .book
            .take_due(now, free, |peer| gate.is_banned(peer, now))
        {
            self.shared.counters.links.dials.increment();
            let options = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addresses)
                // From the listening port, two nodes that dial each other at once would share one
                // TCP connection that both believe to have dialled.
                .allocate_new_port()
                .build();
            if let Err(error) = self.swarm.dial(options) {
                self.on_dial_failed(Some(peer), &error);
            }
        }
    }

    fn exchange_due(&mut self, now: Instant) {
        if !self.settings.peer_exchange {
            return;
        }
        let mut due = Vec::new();
        for (peer, record) in &mut self.peers {
            if record.next_exchange <= now {
                record.next_exchange = now + EXCHANGE_INTERVAL;
                due.push(*peer);
            }
        }
        for peer in due {
            self.ask_for_addresses(peer);
        }
    }

    /// Announces peers that keep us waiting and closes surplus connections.
    fn settle_links(&mut self, now: Instant) {
        let own = self.shared.local_peer_id;
        let (mut silent, mut surplus) = (Vec::new(), Vec::new());
        for (peer, record) in &self.peers {
            if !record.announced && now.saturating_duration_since(record.since) >= SUBSCRIPTION_WAIT
            {
                silent.push(*peer);
            }
            // Both sides come to the same decision, and only one of them acts.
            surplus.extend(record.surplus(now, own > *peer));
        }
        for peer in silent {
            self.announce(peer);
        }
        for connection in surplus {
            self.swarm.close_connection(connection);
        }
    }

    /// Carries points over into the router's score, and the router's worst judgement into a ban.
    fn judge_scores(&mut self, now: Instant) {
        let router = &mut self.swarm.behaviour_mut().consensus.router;
        let mut graylisted = Vec::new();
        for peer in self.peers.keys() {
            router.set_application_score(peer, -self.ledger.points(peer, now));
            if router
                .peer_score(peer)
                .is_some_and(|score| score <= GRAYLIST_SCORE)
            {
                graylisted.push(*peer);
            }
        }
        for peer in graylisted {
            self.penalize(peer, Penalty::GossipScore, 1);
        }
    }

    fn learn_from(&mut self, peer: PeerId, hello: &RemoteHello, now: Instant) {
        for address in &hello.own_addresses {
            self.learn(peer, address, now);
        }
        self.learn_known(&hello.known_peers, now);
    }

    /// Learns addresses of other peers, each with its peer id.
    pub(super) fn learn_known(&mut self, addresses: &[Multiaddr], now: Instant) {
        if !self.settings.peer_exchange {
            return;
        }
        for address in addresses {
            if !self.book.learn_full(address, now) {
                self.shared.counters.links.addresses_refused.increment();
            }
        }
    }

    fn learn(&mut self, peer: PeerId, address: &Multiaddr, now: Instant) {
        if self.settings.peer_exchange && !self.book.learn(peer, address, now) {
            self.shared.counters.links.addresses_refused.increment();
        }
    }

    /// Renews what handshakes and identify tell of addresses.
    pub(super) fn tell_addresses(&mut self) {
        if !self.settings.peer_exchange {
            return;
        }
        let allow_private = self.settings.allow_private;
        let listening = self
            .shared
            .listen_addresses
            .read()
            .expect("no code panics while it holds this lock")
            .clone();
        let mut own = self.settings.external.clone();
        own.extend(
            listening.into_iter().filter(|address| {
                is_plain_transport(address) && is_dialable(address, allow_private)
            }),
        );
        for address in &own {
            if !self
                .swarm
                .external_addresses()
                .any(|known| known == address)
            {
                self.swarm.add_external_address(address.clone());
            }
        }
        self.shared
            .handshakes
            .set_addresses(&own, &self.book.shareable());
    }

    fn count_peers(&self) {
        let gate = &self.swarm.behaviour().gate;
        for class in [PeerClass::Committee, PeerClass::Known, PeerClass::Other] {
            let count = self
                .peers
                .keys()
                .filter(|peer| gate.class(peer) == class)
                .count();
            self.shared.counters.peers(class).set(count);
        }
        let inbound = self.peers.values().filter(|record| {
            record
                .links
                .first()
                .is_some_and(|link| link.direction == Direction::Inbound)
        });
        self.shared.counters.peers_inbound.set(inbound.count());
    }
}
