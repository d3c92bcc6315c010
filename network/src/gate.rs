//! Who may connect: bans, slots by class, and bounds on connections that are only beginning.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

use crate::{address::ip_group, counters::Counters, penalty::PeerClass};

/// Inbound connections that have not finished their handshake.
const PENDING_INBOUND_MAX: usize = 256;
const PENDING_INBOUND_PER_IP_MAX: usize = 16;

/// Connections of one peer. Two nodes that dial each other at once have two for a moment, and a
/// restarted peer is let in while its old connection is still being given up.
const CONNECTIONS_PER_PEER_MAX: usize = 4;

/// Newcomers admitted beyond their share for as long as the node needs to recognise a committee
/// member among them; see [`Gate::to_evict`].
const NEWCOMERS_MAX: usize = 16;
pub(crate) const NEWCOMER_GRACE: Duration = Duration::from_secs(10);

/// Peers whose class the node may set, and bans in force.
const CLASSES_MAX: usize = 8192;
const BANS_MAX: usize = 4096;

/// Limits of the gate; see [`crate::NetworkConfig`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct GateLimits {
    pub(crate) peers_max: usize,
    pub(crate) committee_slots: usize,
    /// `None` when private addresses are allowed: then all peers may share one.
    pub(crate) connections_per_ip_max: Option<usize>,
}

/// The behaviour that admits connections. It has no protocol of its own.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: GateLimits,
    counters: Arc<Counters>,
    classes: HashMap<PeerId, PeerClass>,
    banned_peers: HashMap<PeerId, Instant>,
    banned_ips: HashMap<IpAddr, Instant>,
    pending: HashMap<ConnectionId, Option<IpAddr>>,
    connected: HashMap<PeerId, Presence>,
    per_ip: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Presence {
    since: Instant,
    connections: HashMap<ConnectionId, Option<IpAddr>>,
}

/// Why a connection is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("the peer or its address is banned for a while")]
    Banned,
    #[error("no slot is free")]
    Full,
    #[error("too many connections from this address")]
    Address,
    #[error("too many connections of this peer")]
    Peer,
    #[error("too many connections are being set up")]
    Pending,
}

impl Gate {
    pub(crate) fn new(limits: GateLimits, counters: Arc<Counters>) -> Self {
        Self {
            limits,
            counters,
            classes: HashMap::new(),
            banned_peers: HashMap::new(),
            banned_ips: HashMap::new(),
            pending: HashMap::new(),
            connected: HashMap::new(),
            per_ip: HashMap::new(),
        }
    }

    pub(crate) fn class(&self, peer: &PeerId) -> PeerClass {
        self.classes.get(peer).copied().unwrap_or_default()
    }

    /// Sets the class of a peer, connected or not. False if too many peers have a class.
    pub(crate) fn set_class(&mut self, peer: PeerId, class: PeerClass) -> bool {
        if class == PeerClass::Other {
            self.classes.remove(&peer);
            return true;
        }
        let room = self.classes.len() < CLASSES_MAX || self.classes.contains_key(&peer);
        if room {
            self.classes.insert(peer, class);
        }
        room
    }

    /// Bans a peer, and its address unless a committee or known peer is connected from there.
    pub(crate) fn ban(&mut self, peer: PeerId, until: Instant) {
        if self.banned_peers.len() < BANS_MAX || self.banned_peers.contains_key(&peer) {
            self.banned_peers.insert(peer, until);
        }
        if self.limits.connections_per_ip_max.is_none() {
            return;
        }
        let trusted: Vec<IpAddr> = self
            .connected
            .iter()
            .filter(|(other, _)| **other != peer && self.class(other) != PeerClass::Other)
            .flat_map(|(_, presence)| presence.connections.values().copied().flatten())
            .collect();
        let own = self.connected.get(&peer).into_iter();
        let own = own.flat_map(|presence| presence.connections.values().copied().flatten());
        for ip in own.filter(|ip| !trusted.contains(ip)).collect::<Vec<_>>() {
            if self.banned_ips.len() < BANS_MAX {
                self.banned_ips.insert(ip, until);
            }
        }
    }

    pub(crate) fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.banned_peers
            .get(peer)
            .is_some_and(|until| now < *until)
    }

    /// Ends bans whose time is over, and answers how many peers are banned.
    pub(crate) fn sweep(&mut self, now: Instant) -> usize {
        self.banned_peers.retain(|_, until| now < *until);
        self.banned_ips.retain(|_, until| now < *until);
        self.banned_peers.len()
    }

    /// The peers of class Other that must go: those beyond their share that have been here longer
    /// than the grace of newcomers, worst score first, the newest of equals.
    pub(crate) fn to_evict(&self, now: Instant, score: impl Fn(&PeerId) -> f64) -> Vec<PeerId> {
        let excess = self.others().saturating_sub(self.others_max());
        if excess == 0 {
            return Vec::new();
        }
        let mut candidates: Vec<_> = self
            .connected
            .iter()
            .filter(|(peer, presence)| {
                self.class(peer) == PeerClass::Other
                    && now.saturating_duration_since(presence.since) >= NEWCOMER_GRACE
            })
            .map(|(peer, presence)| (score(peer), presence.since, *peer))
            .collect();
        candidates.sort_by(|left, right| {
            left.0
                .total_cmp(&right.0)
                .then_with(|| right.1.cmp(&left.1))
        });
        candidates
            .into_iter()
            .take(excess)
            .map(|(_, _, peer)| peer)
            .collect()
    }

    fn others(&self) -> usize {
        self.connected
            .keys()
            .filter(|peer| self.class(peer) == PeerClass::Other)
            .count()
    }

    /// Slots for class Other: what the committee's reserve and the peers of the other classes
    /// beyond that reserve leave.
    fn others_max(&self) -> usize {
        let protected = self.connected.len() - self.others();
        self.limits
            .peers_max
            .saturating_sub(protected.max(self.limits.committee_slots))
    }

    fn admit_pending(&self, remote: &Multiaddr, now: Instant) -> Result<(), Denied> {
        if self.pending.len() >= PENDING_INBOUND_MAX {
            return Err(Denied::Pending);
        }
        let Some(ip) = ip_group(remote) else {
            return Ok(());
        };
        if self.banned_ips.get(&ip).is_some_and(|until| now < *until) {
            return Err(Denied::Banned);
        }
        let from_ip = self
            .pending
            .values()
            .filter(|pending| **pending == Some(ip))
            .count();
        if self.limits.connections_per_ip_max.is_some() && from_ip >= PENDING_INBOUND_PER_IP_MAX {
            return Err(Denied::Address);
        }
        Ok(())
    }

    fn admit(
        &self,
        peer: &PeerId,
        inbound: Option<&Multiaddr>,
        now: Instant,
    ) -> Result<(), Denied> {
        if self.is_banned(peer, now) {
            return Err(Denied::Banned);
        }
        if let Some(presence) = self.connected.get(peer) {
            let full = presence.connections.len() >= CONNECTIONS_PER_PEER_MAX;
            return if full { Err(Denied::Peer) } else { Ok(()) };
        }
        if self.class(peer) != PeerClass::Other {
            return Ok(());
        }
        if self.others() >= self.others_max() + NEWCOMERS_MAX {
            return Err(Denied::Full);
        }
        if let (Some(limit), Some(ip)) = (
            self.limits.connections_per_ip_max,
            inbound.and_then(ip_group),
        ) && self.per_ip.get(&ip).copied().unwrap_or(0) >= limit
        {
            return Err(Denied::Address);
        }
        Ok(())
    }

    fn decide<T>(&self, verdict: Result<T, Denied>) -> Result<T, ConnectionDenied> {
        verdict.map_err(|denied| {
            self.counters.links.denied.increment();
            ConnectionDenied::new(denied)
        })
    }

    fn joined(&mut self, peer: PeerId, connection: ConnectionId, remote: &Multiaddr, now: Instant) {
        let ip = ip_group(remote);
        if let Some(ip) = ip {
            *self.per_ip.entry(ip).or_insert(0) += 1;
        }
        self.connected
            .entry(peer)
            .or_insert_with(|| Presence {
                since: now,
                connections: HashMap::new(),
            })
            .connections
            .insert(connection, ip);
    }

    fn left(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(presence) = self.connected.get_mut(peer) else {
            return;
        };
        if let Some(Some(ip)) = presence.connections.remove(&connection)
            && let Some(count) = self.per_ip.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&ip);
            }
        }
        if presence.connections.is_empty() {
            self.connected.remove(peer);
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.decide(self.admit_pending(remote, Instant::now()))?;
        self.pending.insert(connection, ip_group(remote));
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        self.decide(self.admit(&peer, Some(remote), Instant::now()))?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.decide(self.admit(&peer, None, Instant::now()))?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let remote = established.endpoint.get_remote_address();
                let (peer, connection) = (established.peer_id, established.connection_id);
                self.joined(peer, connection, remote, Instant::now());
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.left(&closed.peer_id, closed.connection_id);
            }
            FromSwarm::ListenFailure(failure) => {
                self.pending.remove(&failure.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GateLimits = GateLimits {
        peers_max: 20,
        committee_slots: 15,
        connections_per_ip_max: Some(3),
    };

    fn gate() -> Gate {
        Gate::new(LIMITS, Arc::new(Counters::default()))
    }

    fn address(last: u8) -> Multiaddr {
        format!("/ip4/9.9.9.{last}/tcp/1").parse().unwrap()
    }

    fn join(gate: &mut Gate, peer: PeerId, last: u8, connection: usize, now: Instant) {
        gate.joined(
            peer,
            ConnectionId::new_unchecked(connection),
            &address(last),
            now,
        );
    }

    #[test]
    fn others_leave_room_for_the_committee() {
        let (mut gate, now) = (gate(), Instant::now());
        for number in 0..5 + NEWCOMERS_MAX {
            let peer = PeerId::random();
            let from = address(number as u8);
            assert_eq!(gate.admit(&peer, Some(&from), now), Ok(()));
            join(&mut gate, peer, number as u8, number, now);
        }
        let stranger = PeerId::random();
        assert_eq!(
            gate.admit(&stranger, Some(&address(99)), now),
            Err(Denied::Full)
        );
        for number in 100..130 {
            let member = PeerId::random();
            gate.set_class(member, PeerClass::Committee);
            assert_eq!(gate.admit(&member, Some(&address(1)), now), Ok(()));
            join(&mut gate, member, 1, number, now);
        }
    }

    #[test]
    fn the_worst_others_beyond_their_share_go_after_the_grace() {
        let (mut gate, now) = (gate(), Instant::now());
        let peers: Vec<_> = (0..7).map(|_| PeerId::random()).collect();
        for (number, peer) in peers.iter().enumerate() {
            join(&mut gate, *peer, number as u8, number, now);
        }
        gate.set_class(peers[0], PeerClass::Committee);
        let score = |peer: &PeerId| if *peer == peers[3] { -5.0 } else { 0.0 };
        assert!(gate.to_evict(now, score).is_empty());
        // Six others for five slots.
        assert_eq!(gate.to_evict(now + NEWCOMER_GRACE, score), [peers[3]]);
        gate.left(&peers[5], ConnectionId::new_unchecked(5));
        assert!(gate.to_evict(now + NEWCOMER_GRACE, score).is_empty());
    }

    #[test]
    fn bans_end_by_themselves_and_spare_trusted_addresses() {
        let (mut gate, now) = (gate(), Instant::now());
        let (bad, known) = (PeerId::random(), PeerId::random());
        gate.set_class(known, PeerClass::Known);
        join(&mut gate, bad, 1, 1, now);
        join(&mut gate, bad, 2, 2, now);
        join(&mut gate, known, 2, 3, now);
        let until = now + Duration::from_secs(60);
        gate.ban(bad, until);
        assert_eq!(gate.admit(&bad, None, now), Err(Denied::Banned));
        assert_eq!(gate.admit_pending(&address(1), now), Err(Denied::Banned));
        assert_eq!(gate.admit_pending(&address(2), now), Ok(()));
        assert_eq!(gate.admit_pending(&address(1), until), Ok(()));
        assert!(!gate.is_banned(&bad, until));
        assert_eq!(gate.sweep(now), 1);
        assert_eq!(gate.sweep(until), 0);
        assert!(gate.banned_peers.is_empty() && gate.banned_ips.is_empty());
    }

    #[test]
    fn connections_per_address_and_per_peer_are_bounded() {
        let (mut gate, now) = (gate(), Instant::now());
        let peer = PeerId::random();
        for connection in 0..CONNECTIONS_PER_PEER_MAX {
            assert_eq!(gate.admit(&peer, Some(&address(7)), now), Ok(()));
            join(&mut gate, peer, 7, connection, now);
        }
        assert_eq!(gate.admit(&peer, Some(&address(8)), now), Err(Denied::Peer));
        let other = PeerId::random();
        assert_eq!(
            gate.admit(&other, Some(&address(7)), now),
            Err(Denied::Address)
        );
        assert_eq!(gate.admit(&other, Some(&address(8)), now), Ok(()));
        for connection in 0..CONNECTIONS_PER_PEER_MAX {
            gate.left(&peer, ConnectionId::new_unchecked(connection));
        }
        assert!(gate.per_ip.is_empty() && gate.connected.is_empty());
    }

    #[test]
    fn unfinished_connections_are_bounded_per_address() {
        let mut gate = gate();
        let local = address(0);
        for number in 0..PENDING_INBOUND_PER_IP_MAX {
            let connection = ConnectionId::new_unchecked(number);
            gate.handle_pending_inbound_connection(connection, &local, &address(1))
                .unwrap();
        }
        let next = ConnectionId::new_unchecked(1000);
        assert!(
            gate.handle_pending_inbound_connection(next, &local, &address(1))
                .is_err()
        );
        assert!(
            gate.handle_pending_inbound_connection(next, &local, &address(2))
                .is_ok()
        );
        assert_eq!(gate.counters.links.denied.get(), 1);
    }
}
