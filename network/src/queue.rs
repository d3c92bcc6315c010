//! The queues between the network and the node, one per class of traffic.
//!
//! Each queue is bounded in messages and bytes, in all and per peer, and serves the peers in turn:
//! a peer that floods only fills its own share and only delays itself. When a bound is reached the
//! oldest message of the peer that holds most is dropped (of the peer itself, if it broke its own
//! share). The network never waits for the node: a swarm that stands still loses its connections.
//! Dropped vertices and attestations are not lost to the protocol, their descendants name them and
//! they are fetched by request; fresh ones are worth more to a node that fell behind.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use libp2p::PeerId;
use tokio::sync::Notify;

use crate::{event::NetworkEvent, topic::Priority};

/// Bounds of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) messages_per_peer: usize,
    pub(crate) bytes_per_peer: usize,
}

const MIB: usize = 1024 * 1024;

const fn bounds(priority: Priority) -> Bounds {
    match priority {
        Priority::Lifecycle => Bounds {
            messages: 4096,
            bytes: MIB,
            messages_per_peer: 16,
            bytes_per_peer: MIB,
        },
        Priority::Consensus => Bounds {
            messages: 16_384,
            bytes: 64 * MIB,
            messages_per_peer: 4096,
            bytes_per_peer: 16 * MIB,
        },
        Priority::Control => Bounds {
            messages: 4096,
            bytes: 16 * MIB,
            messages_per_peer: 512,
            bytes_per_peer: 4 * MIB,
        },
        Priority::Sync => Bounds {
            messages: 1024,
            bytes: 16 * MIB,
            messages_per_peer: 64,
            bytes_per_peer: MIB,
        },
        Priority::Transactions => Bounds {
            messages: 65_536,
            bytes: 32 * MIB,
            messages_per_peer: 16_384,
            bytes_per_peer: 8 * MIB,
        },
    }
}

/// A bounded queue that is fair between peers. First in, first out for each of them.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    bounds: Bounds,
    /// Only peers with something waiting.
    lanes: HashMap<PeerId, Lane<T>>,
    /// The peers of `lanes`, next to be served first.
    turns: VecDeque<PeerId>,
    messages: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Lane<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T> FairQueue<T> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            messages: 0,
            bytes: 0,
        }
    }

    /// Adds an item and answers what had to go for it: usually nothing, possibly the item itself.
    pub(crate) fn push(&mut self, peer: PeerId, bytes: usize, item: T) -> Vec<T> {
        let lane = self.lanes.entry(peer).or_insert_with(|| {
            self.turns.push_back(peer);
            Lane {
                items: VecDeque::new(),
                bytes: 0,
            }
        });
        lane.items.push_back((item, bytes));
        lane.bytes += bytes;
        self.messages += 1;
        self.bytes += bytes;

        let mut dropped = Vec::new();
        while self.lane_is_over(&peer) {
            dropped.extend(self.drop_oldest(&peer));
        }
        while self.messages > self.bounds.messages || self.bytes > self.bounds.bytes {
            let Some(heaviest) = self.heaviest() else {
                break;
            };
            dropped.extend(self.drop_oldest(&heaviest));
        }
        dropped
    }

    /// The next item, from the peer whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let peer = self.turns.pop_front()?;
        let lane = self
            .lanes
            .get_mut(&peer)
            .expect("every peer in turns has a lane");
        let (item, bytes) = lane.items.pop_front().expect("a lane is never empty");
        lane.bytes -= bytes;
        self.messages -= 1;
        self.bytes -= bytes;
        if lane.items.is_empty() {
            self.lanes.remove(&peer);
        } else {
            self.turns.push_back(peer);
        }
        Some(item)
    }

    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    fn lane_is_over(&self, peer: &PeerId) -> bool {
        self.lanes.get(peer).is_some_and(|lane| {
            lane.items.len() > self.bounds.messages_per_peer
                || lane.bytes > self.bounds.bytes_per_peer
        })
    }

    /// Only called when the queue overflows, so it may look at every waiting peer.
    fn heaviest(&self) -> Option<PeerId> {
        let by_bytes = self.bytes > self.bounds.bytes;
        self.lanes
            .iter()
            .max_by_key(|(_, lane)| {
                if by_bytes {
                    lane.bytes
                } else {
                    lane.items.len()
                }
            })
            .map(|(peer, _)| *peer)
    }

    fn drop_oldest(&mut self, peer: &PeerId) -> Option<T> {
        let lane = self.lanes.get_mut(peer)?;
        let (item, bytes) = lane.items.pop_front().expect("a lane is never empty");
        lane.bytes -= bytes;
        self.messages -= 1;
        self.bytes -= bytes;
        if lane.items.is_empty() {
            self.lanes.remove(peer);
            self.turns.retain(|waiting| waiting != peer);
        }
        Some(item)
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug)]
struct State {
    queue: FairQueue<NetworkEvent>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

/// The network's end of all queues.
#[derive(Debug)]
pub(crate) struct EventSender {
    queues: [Arc<Shared>; Priority::ALL.len()],
}

impl EventSender {
    /// Never waits. Answers what was dropped; everything, once the node has let go of its end.
    pub(crate) fn send(&self, event: NetworkEvent) -> Vec<NetworkEvent> {
        let shared = &self.queues[event.priority().index()];
        let mut state = shared.lock();
        if state.closed {
            return vec![event];
        }
        let (peer, bytes) = (*event.peer(), event.bytes());
        let dropped = state.queue.push(peer, bytes, event);
        drop(state);
        shared.filled.notify_one();
        dropped
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        for shared in &self.queues {
            shared.lock().closed = true;
            shared.filled.notify_one();
        }
    }
}

/// The node's end of one queue.
#[derive(Debug)]
pub struct EventReceiver {
    shared: Arc<Shared>,
}

impl EventReceiver {
    /// Waits for the next event. `None` once the network has stopped and everything was taken.
    /// Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<NetworkEvent> {
        loop {
            {
                let mut state = self.shared.lock();
                if let Some(event) = state.queue.pop() {
                    return Some(event);
                }
                if state.closed {
                    return None;
                }
            }
            self.shared.filled.notified().await;
        }
    }

    /// The next event if one waits.
    pub fn try_recv(&mut self) -> Option<NetworkEvent> {
        self.shared.lock().queue.pop()
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for EventReceiver {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        // The events go outside the lock: a responder among them speaks up when dropped.
        let bounds = state.queue.bounds;
        let rest = std::mem::replace(&mut state.queue, FairQueue::new(bounds));
        drop(state);
        drop(rest);
    }
}

/// What happens on the network, in one queue per class. Take the receivers apart to serve classes
/// from different tasks, or call [`NetworkEvents::next`].
#[derive(Debug)]
pub struct NetworkEvents {
    /// Peers that come and go.
    pub lifecycle: EventReceiver,
    /// Vertices, attestations, emergency blocks.
    pub consensus: EventReceiver,
    /// Evidence, lockdown, governance, halts.
    pub control: EventReceiver,
    /// Requests.
    pub sync: EventReceiver,
    /// Transactions.
    pub transactions: EventReceiver,
}

impl NetworkEvents {
    /// The next event of the most urgent class that has one. `None` once the network has stopped
    /// and everything was taken. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<NetworkEvent> {
        tokio::select! {
            biased;
            Some(event) = self.lifecycle.recv() => Some(event),
            Some(event) = self.consensus.recv() => Some(event),
            Some(event) = self.control.recv() => Some(event),
            Some(event) = self.sync.recv() => Some(event),
            Some(event) = self.transactions.recv() => Some(event),
            else => None,
        }
    }
}

/// Both ends.
pub(crate) fn event_queues() -> (EventSender, NetworkEvents) {
    let queues = Priority::ALL.map(|priority| {
        Arc::new(Shared {
            state: Mutex::new(State {
                queue: FairQueue::new(bounds(priority)),
                closed: false,
            }),
            filled: Notify::new(),
        })
    });
    let receiver = |priority: Priority| EventReceiver {
        shared: Arc::clone(&queues[priority.index()]),
    };
    let events = NetworkEvents {
        lifecycle: receiver(Priority::Lifecycle),
        consensus: receiver(Priority::Consensus),
        control: receiver(Priority::Control),
        sync: receiver(Priority::Sync),
        transactions: receiver(Priority::Transactions),
    };
    (EventSender { queues }, events)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{event::MessageId, topic::Topic};

    const BOUNDS: Bounds = Bounds {
        messages: 10,
        bytes: 100,
        messages_per_peer: 6,
        bytes_per_peer: 60,
    };

    fn gossip(peer: PeerId, topic: Topic, data: &'static [u8]) -> NetworkEvent {
        let message_id = MessageId {
            topic,
            hash: [0; 32],
        };
        NetworkEvent::Gossip {
            peer,
            topic,
            message_id,
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn peers_are_served_in_turn_and_each_in_order() {
        let (loud, quiet) = (PeerId::random(), PeerId::random());
        let mut queue = FairQueue::new(BOUNDS);
        for item in 0..5 {
            assert!(queue.push(loud, 1, item).is_empty());
        }
        assert!(queue.push(quiet, 1, 100).is_empty());
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 100, 1, 2, 3, 4]);
        assert_eq!((queue.len(), queue.bytes), (0, 0));
    }

    #[test]
    fn a_flood_drops_its_own_oldest() {
        let (loud, quiet) = (PeerId::random(), PeerId::random());
        let mut queue = FairQueue::new(BOUNDS);
        assert!(queue.push(quiet, 1, 100).is_empty());
        for item in 0..6 {
            assert!(queue.push(loud, 1, item).is_empty());
        }
        assert_eq!(queue.push(loud, 1, 6), [0]);
        assert_eq!(queue.push(loud, 60, 7), [1, 2, 3, 4, 5, 6]);
        assert_eq!(queue.push(loud, 61, 8), [7, 8]);
        assert_eq!(queue.pop(), Some(100));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_full_queue_drops_from_whoever_holds_most() {
        let peers: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
        let mut queue = FairQueue::new(BOUNDS);
        for item in 0..5 {
            assert!(queue.push(peers[0], 1, item).is_empty());
        }
        for item in 10..14 {
            assert!(queue.push(peers[1], 1, item).is_empty());
        }
        assert!(queue.push(peers[2], 1, 20).is_empty());
        assert_eq!(queue.push(peers[2], 1, 21), [0]);
    }

    #[tokio::test]
    async fn urgent_classes_come_first_and_the_end_is_seen() {
        let (sender, mut events) = event_queues();
        let peer = PeerId::random();
        sender.send(gossip(peer, Topic::Transactions, b"t"));
        sender.send(gossip(peer, Topic::Evidence, b"e"));
        sender.send(gossip(peer, Topic::Vertices, b"v"));
        drop(sender);
        for expected in [Topic::Vertices, Topic::Evidence, Topic::Transactions] {
            let Some(NetworkEvent::Gossip { topic, .. }) = events.next().await else {
                panic!("an event is missing")
            };
            assert_eq!(topic, expected);
        }
        assert!(events.next().await.is_none());
    }

    #[test]
    fn a_node_that_let_go_of_its_end_gets_nothing() {
        let (sender, events) = event_queues();
        let peer = PeerId::random();
        assert!(sender.send(gossip(peer, Topic::Vertices, b"v")).is_empty());
        drop(events);
        assert_eq!(sender.send(gossip(peer, Topic::Vertices, b"v")).len(), 1);
    }

    proptest! {
        /// Against a plain list: everything that is pushed is popped or dropped exactly once, in
        /// order for each peer, and the bounds hold at every step.
        #[test]
        fn nothing_is_lost_or_doubled(
            steps in proptest::collection::vec((0usize..5, 0usize..70, any::<bool>()), 1..300),
        ) {
            let peers: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
            let mut queue = FairQueue::<(usize, usize)>::new(BOUNDS);
            let mut seen: Vec<Vec<usize>> = vec![Vec::new(); 5];
            let mut gone = 0;
            for (number, (peer, bytes, pop)) in steps.iter().enumerate() {
                if *pop {
                    if let Some((from, item)) = queue.pop() {
                        seen[from].push(item);
                        gone += 1;
                    }
                } else {
                    gone += queue.push(peers[*peer], *bytes, (*peer, number)).len();
                }
                prop_assert!(queue.messages <= BOUNDS.messages && queue.bytes <= BOUNDS.bytes);
                prop_assert_eq!(queue.turns.len(), queue.lanes.len());
                for lane in queue.lanes.values() {
                    prop_assert!(!lane.items.is_empty());
                    prop_assert!(lane.items.len() <= BOUNDS.messages_per_peer);
                    prop_assert!(lane.bytes <= BOUNDS.bytes_per_peer);
                }
            }
            while let Some((from, item)) = queue.pop() {
                seen[from].push(item);
                gone += 1;
            }
            prop_assert_eq!(gone, steps.iter().filter(|(_, _, pop)| !pop).count());
            for items in seen {
                prop_assert!(items.is_sorted());
            }
        }
    }
}
