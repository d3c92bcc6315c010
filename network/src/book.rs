//! The address book: whom to dial, when, and whom to tell others about.
//!
//! Configured peers are dialled for ever, with growing pauses. Peers learned from others fill the
//! free slots and are forgotten after some failures; there is room for a bounded number of them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::{
    address::{is_dialable, is_plain_transport, split_peer},
    handshake::KNOWN_PEERS_MAX,
};

const LEARNED_PEERS_MAX: usize = 1024;
const ADDRESSES_PER_PEER_MAX: usize = 8;

/// The pause after the first failure doubles with each further one up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LONGEST_KEPT: Duration = Duration::from_secs(30);
const PAUSE_LONGEST_LEARNED: Duration = Duration::from_secs(600);

/// Of two nodes that know each other the one with the greater id lets the other dial first. Otherwise
/// nodes that start together would all dial each other, only to close half of the connections.
const COURTESY: Duration = Duration::from_millis(400);

/// Whoever hears of a peer waits a moment before it dials: the peer may be about to dial, too.
const HEARSAY: Duration = Duration::from_secs(1);

/// A learned peer is forgotten after so many failures in a row.
const FAILURES_LEARNED_MAX: u32 = 8;

/// A connection that lasted less counts as a failure: a peer that hangs up at once is not dialled in
/// a loop.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Dials in progress at once.
const DIALS_MAX: usize = 32;

/// Addresses of one peer that we tell others.
const SHARED_PER_PEER_MAX: usize = 2;

#[derive(Debug)]
pub(crate) struct AddressBook {
    entries: HashMap<PeerId, Entry>,
    own: PeerId,
    allow_private: bool,
}

#[derive(Debug)]
struct Entry {
    /// From the configuration, or a committee member: dialled for ever, never forgotten.
    kept: bool,
    addresses: Vec<Multiaddr>,
    failures: u32,
    next_attempt: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Apart,
    Dialling,
    Connected { since: Instant },
}

impl Entry {
    fn new(kept: bool, next_attempt: Instant) -> Self {
        Self {
            kept,
            addresses: Vec::new(),
            failures: 0,
            next_attempt,
            state: State::Apart,
        }
    }

    fn add(&mut self, address: Multiaddr) -> bool {
        let new =
            self.addresses.len() < ADDRESSES_PER_PEER_MAX && !self.addresses.contains(&address);
        if new {
            self.addresses.push(address);
        }
        new
    }

    fn failed(&mut self, now: Instant, jitter: f64) {
        let longest = if self.kept {
            PAUSE_LONGEST_KEPT
        } else {
            PAUSE_LONGEST_LEARNED
        };
        self.next_attempt = now + pause(self.failures, longest, jitter);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Apart;
    }
}

/// The pause before the attempt after `failures` earlier failures: 0.5 s, 1 s, 2 s, … up to
/// `longest`, each moved by up to a quarter either way (`jitter` from 0 to 1), so that nodes that
/// failed together do not try together.
fn pause(failures: u32, longest: Duration, jitter: f64) -> Duration {
    let doubled = PAUSE_FIRST
        .saturating_mul(1 << failures.min(16))
        .min(longest);
    doubled.mul_f64(0.75 + 0.5 * jitter.clamp(0.0, 1.0))
}

fn first_attempt(own: &PeerId, peer: &PeerId, now: Instant) -> Instant {
    if own > peer { now + COURTESY } else { now }
}

impl AddressBook {
    pub(crate) fn new(
        own: PeerId,
        allow_private: bool,
        configured: Vec<(PeerId, Multiaddr)>,
        now: Instant,
    ) -> Self {
        let mut entries: HashMap<PeerId, Entry> = HashMap::new();
        for (peer, address) in configured {
            entries
                .entry(peer)
                .or_insert_with(|| Entry::new(true, first_attempt(&own, &peer, now)))
                .add(address);
        }
        Self {
            entries,
            own,
            allow_private,
        }
    }

    /// Learns an address of a peer from somebody. Answers whether it could be used.
    pub(crate) fn learn(&mut self, peer: PeerId, address: &Multiaddr, now: Instant) -> bool {
        if peer == self.own
            || !is_plain_transport(address)
            || !is_dialable(address, self.allow_private)
        {
            return false;
        }
        if !self.entries.contains_key(&peer) && !self.make_room() {
            return false;
        }
        self.entries
            .entry(peer)
            .or_insert_with(|| Entry::new(false, first_attempt(&self.own, &peer, now + HEARSAY)))
            .add(address.clone());
        true
    }

    /// Learns `/…/p2p/<peer>`.
    pub(crate) fn learn_full(&mut self, address: &Multiaddr, now: Instant) -> bool {
        split_peer(address).is_some_and(|(peer, plain)| self.learn(peer, &plain, now))
    }

    /// Marks a committee member: kept even if only learned.
    pub(crate) fn keep(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.kept = true;
        }
    }

    /// The peers to dial now, at most as many as may be in progress; they count as being dialled.
    /// Learned peers come only while `slots` are free.
    pub(crate) fn take_due(
        &mut self,
        now: Instant,
        mut slots: usize,
        is_banned: impl Fn(&PeerId) -> bool,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let dialling = self
            .entries
            .values()
            .filter(|entry| entry.state == State::Dialling)
            .count();
        let mut room = DIALS_MAX.saturating_sub(dialling);
        let mut due: Vec<_> = self
            .entries
            .iter_mut()
            .filter(|(peer, entry)| {
                entry.state == State::Apart && entry.next_attempt <= now && !is_banned(peer)
            })
            .collect();
        // Kept peers first, then those that failed least.
        due.sort_by_key(|(_, entry)| (!entry.kept, entry.failures, entry.next_attempt));
        let mut dials = Vec::new();
        for (peer, entry) in due {
            if room == 0 || (!entry.kept && slots == 0) {
                break;
            }
            room -= 1;
            slots = slots.saturating_sub(1);
            entry.state = State::Dialling;
            dials.push((*peer, entry.addresses.clone()));
        }
        dials
    }

    /// A dial did not end in a connection. Answers how often in a row that happened, for a peer that
    /// is dialled for ever.
    pub(crate) fn dial_failed(&mut self, peer: &PeerId, now: Instant, jitter: f64) -> Option<u32> {
        let entry = self.entries.get_mut(peer)?;
        if entry.state != State::Dialling {
            return None;
        }
        entry.failed(now, jitter);
        if entry.kept {
            return Some(entry.failures);
        }
        if entry.failures >= FAILURES_LEARNED_MAX {
            self.entries.remove(peer);
        }
        None
    }

    /// The peer is on another chain or no peer at all: a kept one waits its longest pause, a learned
    /// one is forgotten.
    pub(crate) fn refused(&mut self, peer: &PeerId, now: Instant, jitter: f64) {
        let Some(entry) = self.entries.get_mut(peer) else {
            return;
        };
        if entry.kept {
            entry.failures = entry.failures.max(16);
            entry.failed(now, jitter);
        } else if !matches!(entry.state, State::Connected { .. }) {
            self.entries.remove(peer);
        }
    }

    pub(crate) fn connected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.state = State::Connected { since: now };
        }
    }

    pub(crate) fn disconnected(&mut self, peer: &PeerId, now: Instant, jitter: f64) {
        let Some(entry) = self.entries.get_mut(peer) else {
            return;
        };
        if let State::Connected { since } = entry.state
            && now.saturating_duration_since(since) >= STABLE_AFTER
        {
            entry.failures = 0;
        }
        entry.failed(now, jitter);
    }

    /// Addresses of connected peers to tell others, each with its peer id.
    pub(crate) fn shareable(&self) -> Vec<Multiaddr> {
        self.entries
            .iter()
            .filter(|(_, entry)| matches!(entry.state, State::Connected { .. }))
            .flat_map(|(peer, entry)| {
                entry
                    .addresses
                    .iter()
                    .filter(|address| {
                        is_plain_transport(address) && is_dialable(address, self.allow_private)
                    })
                    .take(SHARED_PER_PEER_MAX)
                    .map(|address| address.clone().with(Protocol::P2p(*peer)))
            })
            .take(KNOWN_PEERS_MAX)
            .collect()
    }

    /// Room for one more learned peer: if need be, the one that failed most goes, if it failed at all.
    fn make_room(&mut self) -> bool {
        let learned = self.entries.values().filter(|entry| !entry.kept).count();
        if learned < LEARNED_PEERS_MAX {
            return true;
        }
        let worst = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.kept && entry.state == State::Apart && entry.failures > 0)
            .max_by_key(|(_, entry)| entry.failures)
            .map(|(peer, _)| *peer);
        worst.is_some_and(|peer| self.entries.remove(&peer).is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(number: usize) -> Multiaddr {
        format!("/ip4/9.9.{}.{}/tcp/1", number / 256, number % 256)
            .parse()
            .unwrap()
    }

    fn book(configured: &[PeerId]) -> (AddressBook, Instant) {
        let now = Instant::now();
        let configured = configured
            .iter()
            .enumerate()
            .map(|(number, peer)| (*peer, address(number)))
            .collect();
        (AddressBook::new(smallest(), false, configured, now), now)
    }

    /// A peer id that yields to nobody.
    fn smallest() -> PeerId {
        PeerId::from_bytes(&[0, 0]).unwrap()
    }

    fn due(book: &mut AddressBook, now: Instant) -> Vec<PeerId> {
        book.take_due(now, 100, |_| false)
            .into_iter()
            .map(|(peer, _)| peer)
            .collect()
    }

    #[test]
    fn a_configured_peer_is_dialled_for_ever_with_growing_pauses() {
        let peer = PeerId::random();
        let (mut book, mut now) = book(&[peer]);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(due(&mut book, now), [peer]);
            assert!(due(&mut book, now).is_empty(), "it is being dialled");
            book.dial_failed(&peer, now, 0.5);
            let begin = now;
            while due(&mut book, now).is_empty() {
                now += Duration::from_millis(100);
            }
            book.entries.get_mut(&peer).unwrap().state = State::Apart;
            pauses.push(now.duration_since(begin).as_millis());
        }
        assert_eq!(pauses[..4], [500, 1000, 2000, 4000]);
        assert_eq!(pauses[11], 30_000);
    }

    #[test]
    fn of_two_nodes_one_dials_first() {
        let (peer, now) = (PeerId::random(), Instant::now());
        let dials_at_once = |own, peer| {
            let configured = vec![(peer, address(1))];
            let mut book = AddressBook::new(own, false, configured, now);
            let at_once = !due(&mut book, now).is_empty();
            at_once || due(&mut book, now + COURTESY).is_empty()
        };
        assert!(dials_at_once(smallest(), peer));
        assert!(!dials_at_once(peer, smallest()), "it dials after a moment");
    }

    #[test]
    fn a_lost_connection_is_dialled_again_soon_and_a_brief_one_later() {
        let peer = PeerId::random();
        let (mut book, now) = book(&[peer]);
        due(&mut book, now);
        for _ in 0..5 {
            book.connected(&peer, now);
            book.disconnected(&peer, now, 0.5);
        }
        assert!(due(&mut book, now + Duration::from_secs(7)).is_empty());
        book.connected(&peer, now);
        let later = now + STABLE_AFTER;
        book.disconnected(&peer, later, 0.5);
        assert_eq!(due(&mut book, later + Duration::from_millis(500)), [peer]);
    }

    #[test]
    fn a_learned_peer_is_forgotten_after_some_failures_unless_in_the_committee() {
        let (mut book, mut now) = book(&[]);
        let (stranger, member) = (PeerId::random(), PeerId::random());
        assert!(book.learn(stranger, &address(1), now));
        assert!(book.learn(member, &address(2), now));
        book.keep(&member);
        for _ in 0..2 * FAILURES_LEARNED_MAX {
            due(&mut book, now);
            book.dial_failed(&stranger, now, 1.0);
            book.dial_failed(&member, now, 1.0);
            now += 2 * PAUSE_LONGEST_LEARNED;
        }
        assert_eq!(due(&mut book, now), [member]);
    }

    #[test]
    fn learned_peers_need_free_slots_and_banned_ones_are_left_alone() {
        let configured = PeerId::random();
        let (mut book, now) = book(&[configured]);
        let learned = PeerId::random();
        book.learn(learned, &address(9), now);
        assert!(book.take_due(now, 10, |_| true).is_empty());
        assert_eq!(
            due(&mut book, now),
            [configured],
            "what is hearsay waits a moment"
        );
        let now = now + HEARSAY;
        assert!(book.take_due(now, 10, |_| true).is_empty());
        assert!(book.take_due(now, 0, |_| false).is_empty());
        assert_eq!(due(&mut book, now), [learned]);
    }

    #[test]
    fn only_usable_addresses_are_learned_and_only_those_of_connected_peers_told() {
        let (mut book, now) = book(&[]);
        let peer = PeerId::random();
        let own = book.own;
        for bad in [
            "/ip4/10.0.0.1/tcp/1",
            "/dns4/example.org/tcp/1",
            "/ip4/1.2.3.4/tcp/0",
        ] {
            assert!(!book.learn(peer, &bad.parse().unwrap(), now), "{bad}");
        }
        assert!(!book.learn(own, &address(1), now));
        assert!(!book.learn_full(&address(1), now));
        assert!(book.learn_full(&address(1).with(Protocol::P2p(peer)), now));
        assert!(book.shareable().is_empty());
        book.connected(&peer, now);
        assert_eq!(book.shareable(), [address(1).with(Protocol::P2p(peer))]);
    }

    #[test]
    fn the_book_is_bounded() {
        let (mut book, now) = book(&[PeerId::random()]);
        for number in 0..LEARNED_PEERS_MAX {
            assert!(book.learn(PeerId::random(), &address(number), now));
        }
        let late = PeerId::random();
        assert!(!book.learn(late, &address(1), now));
        let now = now + HEARSAY;
        let failed = due(&mut book, now).pop().unwrap();
        book.dial_failed(&failed, now, 0.5);
        assert!(book.learn(late, &address(1), now));
        assert!(!book.entries.contains_key(&failed));
        assert_eq!(book.entries.len(), LEARNED_PEERS_MAX + 1);
        for number in 0..100 {
            book.learn(late, &address(number), now);
        }
        assert_eq!(book.entries[&late].addresses.len(), ADDRESSES_PER_PEER_MAX);
    }

    #[test]
    fn a_peer_of_another_chain_waits_long_or_is_forgotten() {
        let configured = PeerId::random();
        let (mut book, now) = book(&[configured]);
        let learned = PeerId::random();
        book.learn(learned, &address(1), now);
        due(&mut book, now);
        book.refused(&configured, now, 0.5);
        book.refused(&learned, now, 0.5);
        assert!(due(&mut book, now + Duration::from_secs(29)).is_empty());
        assert_eq!(due(&mut book, now + Duration::from_secs(31)), [configured]);
    }

    proptest! {
        #[test]
        fn pauses_stay_within_their_bounds(failures in any::<u32>(), jitter in -1.0f64..2.0) {
            let pause = pause(failures, PAUSE_LONGEST_KEPT, jitter);
            prop_assert!(pause >= PAUSE_FIRST.mul_f64(0.75));
            prop_assert!(pause <= PAUSE_LONGEST_KEPT.mul_f64(1.25));
        }
    }
}
