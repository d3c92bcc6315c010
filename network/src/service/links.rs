//! Connections: who is there, whom to dial, who must go.

use std::time::{Duration, Instant};

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
    event::{Direction, DisconnectReason, HandshakeRefusal, NetworkEvent},
    gossip::GRAYLIST_SCORE,
    handshake::{OWN_ADDRESSES_MAX, RefusedHandshake, RemoteHello},
    penalty::{PeerClass, Penalty},
    service::{
        Service,
        peer::{Link, Peer},
    },
};

/// A peer that does not take consensus gossip is announced after this all the same: it can still be
/// asked.
const SUBSCRIPTION_WAIT: Duration = Duration::from_secs(5);

/// Whoever connects to a common peer at the same moment as we is not in its handshake yet: it is asked
/// again soon, and then from time to time.
pub(super) const EXCHANGE_FIRST: Duration = Duration::from_secs(1);
const EXCHANGE_INTERVAL: Duration = Duration::from_secs(60);

/// A tick that comes so late means that this task, or the whole machine, stood still: answers to
/// pings may be waiting unread, and nobody is to blame.
const STANDSTILL: Duration = Duration::from_secs(2);

/// Scores, shares and leftovers are looked at every so many ticks.
const SLOW_TICK: u64 = 4;

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
        let link = Link::new(id, direction, endpoint.get_remote_address().clone(), now);
        if let Some(record) = self.peers.get_mut(&peer) {
            // The routers greet a peer once, on its first connection. If that one is dead they would
            // never greet the new one: everything must begin afresh.
            if record.is_stale(hello.map(|hello| hello.instance), now) {
                self.disconnect(peer, DisconnectReason::Stale);
            }
            let record = self
                .peers
                .get_mut(&peer)
                .expect("disconnecting keeps the record");
            record.links.push(link);
            return;
        }
        let Some(hello) = hello else {
            tracing::warn!(%peer, "too many handshakes at once; connection dropped");
            self.swarm.close_connection(id);
            return;
        };
        self.learn_from(peer, &hello, now);
        self.book.connected(&peer, now);
        let traffic = self.shared.handshakes.traffic(peer);
        let record = Peer::new(hello, link, traffic, now);
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
                    record.answered_ping(event.connection, round_trip, Instant::now());
                }
            }
            // Silence is measured from the last answer.
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
        let pause = now.saturating_duration_since(std::mem::replace(&mut self.ticked, now));
        if pause >= STANDSTILL {
            tracing::warn!(
                milliseconds = pause.as_millis(),
                "the network task stood still"
            );
            self.peers
                .values_mut()
                .for_each(|record| record.excuse(pause));
        }
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

    /// Announces peers that keep us waiting, closes dead and surplus connections.
    fn settle_links(&mut self, now: Instant) {
        let own = self.shared.local_peer_id;
        let (mut unannounced, mut dead, mut surplus) = (Vec::new(), Vec::new(), Vec::new());
        for (peer, record) in &mut self.peers {
            if record.waits_for_subscription(now, SUBSCRIPTION_WAIT) {
                unannounced.push(*peer);
            }
            dead.extend(record.take_dead(now));
            // Both sides come to the same decision, and only one of them acts.
            surplus.extend(record.surplus(now, own > *peer));
        }
        for peer in unannounced {
            self.announce(peer);
        }
        self.shared.counters.links.ping_timeouts.add(dead.len());
        for connection in dead.into_iter().chain(surplus) {
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
