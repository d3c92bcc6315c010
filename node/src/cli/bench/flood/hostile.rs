//! Peers that know the protocol and mean harm: they pass the handshake, send junk as fast as it is taken, and come back
//! under a new name when they are thrown out.

use super::junk::{Junk, Kind, TOPICS};
use bytes::Bytes;
use holdfast_network::{
    Multiaddr, Network, NetworkConfig, NetworkEvent, NetworkEvents, NetworkHandle,
};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::subscriber::{NoSubscriber, with_default};

/// A peer that is not connected after so long was refused, and tries another name.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at what became of the messages.
const LOOK: Duration = Duration::from_millis(1);
/// Messages that may wait for the peer's own network task, and behind it for the connection: few, so that what counts as
/// sent is on its way.
const WAITING_MAX: u64 = 128;
const QUEUE_MESSAGES: usize = 256;
/// How long a peer waits whose connection takes no more.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// Whom the peers attack, and with what.
#[derive(Clone, Debug)]
pub(super) struct Attack {
    pub(super) parameters_hash: [u8; 32],
    pub(super) junk: Junk,
    /// One peer after the other attacks each of these; an address may be named more than once.
    pub(super) targets: Vec<Multiaddr>,
    /// The attack ends when so many messages were sent.
    pub(super) messages: u64,
}

/// What the peers have done so far.
#[derive(Debug, Default)]
struct Tally {
    /// Number of the next message.
    next: AtomicU64,
    /// Handed to a connection.
    sent: AtomicU64,
    /// Of them by kind, and the connections that carried them.
    sent_by_kind: [AtomicU64; Kind::ALL.len()],
    lives_by_kind: [AtomicU64; Kind::ALL.len()],
    connections: AtomicU64,
    drops: AtomicU64,
    refused: AtomicU64,
    first_drop: Mutex<Option<Duration>>,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Deeds {
    pub(super) sent: u64,
    /// On average by one connection, by kind.
    pub(super) sent_per_connection: [u64; Kind::ALL.len()],
    pub(super) connections: u64,
    /// Connections that the validators ended.
    pub(super) drops: u64,
    /// Names under which a peer was not let in.
    pub(super) refused: u64,
    /// From the connection of a peer until it was thrown out, the first time that this happened.
    pub(super) first_drop: Option<Duration>,
}

/// The peers at work. Dropping it ends them.
#[derive(Debug)]
pub(super) struct HostilePeers {
    tally: Arc<Tally>,
    messages: u64,
    stopping: DropGuard,
    thread: JoinHandle<()>,
}

impl HostilePeers {
    /// On one thread, which does not log: a peer whose messages do not go through has much to say, and whoever writes
    /// it down measures the log.
    pub(super) fn start(attack: Attack) -> io::Result<Self> {
        let tally = Arc::new(Tally::default());
        let stopping = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let messages = attack.messages;
        let peers = attack_with(attack, Arc::clone(&tally), stopping.clone());
        let thread = std::thread::Builder::new()
            .name("hostile".to_owned())
            .spawn(move || with_default(NoSubscriber::new(), || runtime.block_on(peers)))?;
        Ok(Self {
            tally,
            messages,
            stopping: stopping.drop_guard(),
            thread,
        })
    }

    pub(super) fn deeds(&self) -> Deeds {
        deeds(&self.tally)
    }

    /// True if everything was sent.
    fn are_done(&self) -> bool {
        self.tally.sent.load(Relaxed) >= self.messages
    }

    pub(super) fn are_at_work(&self) -> bool {
        !self.are_done() && !self.thread.is_finished()
    }

    pub(super) async fn stop(self) -> Deeds {
        drop(self.stopping);
        // A panic of the thread shows in what was not sent.
        while !self.thread.is_finished() {
            tokio::time::sleep(LOOK).await;
        }
        deeds(&self.tally)
    }
}

fn deeds(tally: &Tally) -> Deeds {
    let first_drop = tally.first_drop.lock();
    Deeds {
        sent: tally.sent.load(Relaxed),
        sent_per_connection: std::array::from_fn(|kind| {
            let lives = tally.lives_by_kind[kind].load(Relaxed).max(1);
            tally.sent_by_kind[kind].load(Relaxed) / lives
        }),
        connections: tally.connections.load(Relaxed),
        drops: tally.drops.load(Relaxed),
        refused: tally.refused.load(Relaxed),
        first_drop: *first_drop.unwrap_or_else(PoisonError::into_inner),
    }
}

async fn attack_with(attack: Attack, tally: Arc<Tally>, stopping: CancellationToken) {
    let mut tasks = JoinSet::new();
    for (place, target) in attack.targets.iter().enumerate() {
        let peer = HostilePeer {
            attack: attack.clone(),
            target: target.clone(),
            tally: Arc::clone(&tally),
            stopping: stopping.clone(),
        };
        tasks.spawn(peer.run(place));
    }
    while tasks.join_next().await.is_some() {}
}

/// Attacks one validator, under one name after the other.
#[derive(Debug)]
struct HostilePeer {
    attack: Attack,
    target: Multiaddr,
    tally: Arc<Tally>,
    stopping: CancellationToken,
}

impl HostilePeer {
    async fn run(self, place: usize) {
        for life in place.. {
            if self.is_over() {
                return;
            }
            let kind = life % Kind::ALL.len();
            self.live(kind).await;
        }
    }

    fn is_over(&self) -> bool {
        self.stopping.is_cancelled() || self.tally.sent.load(Relaxed) >= self.attack.messages
    }

    /// One name, from the handshake until it is thrown out or the attack is over.
    async fn live(&self, kind: usize) {
        let mut config = NetworkConfig::new(
            *self.attack.junk.chain.as_bytes(),
            self.attack.parameters_hash,
            concat!("holdfast/", env!("CARGO_PKG_VERSION")),
            rand::random(),
        );
        config.peers = vec![self.target.clone()];
        config.allow_private_addresses = true;
        config.peer_exchange = false;
        config.gossip_queue_messages = QUEUE_MESSAGES;
        let Ok((handle, mut events)) = Network::start(config).await else {
            self.tally.refused.fetch_add(1, Relaxed);
            tokio::time::sleep(FULL_PAUSE).await;
            return;
        };
        let connected = tokio::select! {
            () = self.stopping.cancelled() => return,
            connected = tokio::time::timeout(CONNECT_LIMIT, connected(&mut events)) => connected,
        };
        if connected != Ok(true) {
            self.tally.refused.fetch_add(1, Relaxed);
            return;
        }
        self.tally.connections.fetch_add(1, Relaxed);
        self.tally.lives_by_kind[kind].fetch_add(1, Relaxed);
        let since = Instant::now();
        let mut line = Line::new(handle);
        let mut dropped = false;
        while !dropped && !self.is_over() {
            // What the validator says is not listened to: the queues are bounded and forget.
            while let Some(event) = events.lifecycle.try_recv() {
                dropped |= matches!(event, NetworkEvent::PeerDisconnected { .. });
            }
            if !dropped {
                line.fill(&self.attack.junk, Kind::ALL[kind], &self.tally.next);
            }
            let sent = line.newly_sent();
            self.tally.sent.fetch_add(sent, Relaxed);
            self.tally.sent_by_kind[kind].fetch_add(sent, Relaxed);
            tokio::time::sleep(line.pause()).await;
        }
        if dropped {
            self.tally.drops.fetch_add(1, Relaxed);
            let first_drop = self.tally.first_drop.lock();
            first_drop
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(since.elapsed());
        }
    }
}

/// Waits until the validator has let the peer in: true, or until it never will.
async fn connected(events: &mut NetworkEvents) -> bool {
    loop {
        match events.lifecycle.recv().await {
            Some(NetworkEvent::PeerConnected { .. }) => return true,
            Some(_) => {}
            None => return false,
        }
    }
}

/// The way out of a peer, kept full.
#[derive(Debug)]
struct Line {
    network: NetworkHandle,
    /// Given to the network, and of that dealt with, in whatever way, and sent.
    given: u64,
    settled: u64,
    sent: u64,
    /// What found the connection full.
    unsent: u64,
    is_full: bool,
}

impl Line {
    const fn new(network: NetworkHandle) -> Self {
        Self {
            network,
            given: 0,
            settled: 0,
            sent: 0,
            unsent: 0,
            is_full: false,
        }
    }

    fn fill(&mut self, junk: &Junk, kind: Kind, next: &AtomicU64) {
        while self.given.saturating_sub(self.settled) < WAITING_MAX {
            let (topic, data) = junk.message(kind, next.fetch_add(1, Relaxed));
            if self.network.publish(topic, Bytes::from(data)).is_err() {
                return;
            }
            self.given += 1;
        }
    }

    /// How many messages were handed to the connection since the last look.
    fn newly_sent(&mut self) -> u64 {
        let counters = self.network.counters();
        let (mut sent, mut unsent, mut unheard) = (0, 0, 0);
        for topic in TOPICS {
            let counts = counters.topic(topic);
            sent += counts.published_messages;
            unsent += counts.unsent_messages;
            unheard += counts.unheard_messages;
        }
        self.is_full = unsent > self.unsent;
        self.unsent = unsent;
        self.settled = sent + unsent + unheard;
        let new = sent - self.sent;
        self.sent = sent;
        new
    }

    const fn pause(&self) -> Duration {
        if self.is_full { FULL_PAUSE } else { LOOK }
    }
}
