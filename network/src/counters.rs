//! What happened, in numbers: the facts that the node renders as metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    event::HandshakeRefusal,
    penalty::{PeerClass, Penalty},
    protocol::RequestProtocol,
    topic::{Priority, Topic},
};

/// Defines the live counters and the plain snapshot of them from one list of fields.
macro_rules! counters {
    ($live:ident, $(#[$meta:meta])* $snapshot:ident { $($(#[$field_meta:meta])* $field:ident,)* }) => {
        #[derive(Debug, Default)]
        pub(crate) struct $live { $(pub(crate) $field: Counter,)* }

        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $snapshot { $($(#[$field_meta])* pub $field: u64,)* }

        impl $live {
            fn snapshot(&self) -> $snapshot {
                $snapshot { $($field: self.$field.get(),)* }
            }
        }
    };
}

counters! {
    TopicCount,
    /// Gossip on one topic since the start. Messages are counted in messages, bytes in payload bytes.
    TopicCounters {
        /// Arrived from peers, copies included, refused ones excluded.
        received_messages,
        /// Payload bytes of `received_messages`.
        received_bytes,
        /// Handed to the node: every message once.
        delivered_messages,
        /// Judged [`crate::Verdict::Accept`] and passed on.
        accepted_messages,
        /// Judged [`crate::Verdict::Ignore`].
        ignored_messages,
        /// Judged [`crate::Verdict::Reject`].
        rejected_messages,
        /// Judged too late to be passed on: no longer in the cache.
        late_verdicts,
        /// Refused because the sender was above its rate.
        rate_limited_messages,
        /// Refused because larger than the topic allows.
        oversized_messages,
        /// Dropped because the node did not keep up.
        overflowed_messages,
        /// Published by this node to at least one peer.
        published_messages,
        /// Payload bytes of `published_messages`.
        published_bytes,
        /// Not published: no peer takes the topic.
        unheard_messages,
        /// Not published: every peer's queue was full.
        unsent_messages,
    }
}

counters! {
    RequestCount,
    /// Requests of one protocol since the start.
    RequestCounters {
        /// Sent by this node.
        sent,
        /// Answered with data.
        answered,
        /// Answered with a refusal (busy, unavailable, unsupported).
        refused,
        /// Without answer in time.
        timed_out,
        /// Failed otherwise (connection lost, undecodable answer).
        failed,
        /// Payload bytes of the answers.
        answer_bytes,
        /// Received from peers and handed to the node.
        received,
        /// Answered by this node with data.
        served,
        /// Payload bytes of `served`.
        served_bytes,
        /// Refused because the peer asked too much.
        limited,
        /// Refused because the node did not keep up or did not answer.
        unserved,
    }
}

counters! {
    LinkCount,
    /// Connections since the start.
    LinkCounters {
        /// Dials begun.
        dials,
        /// Dials that did not end in a connection.
        dials_failed,
        /// Connections established, both directions.
        established,
        /// Connections closed.
        closed,
        /// Inbound connections refused before or after the handshake for want of a slot or a ban.
        denied,
        /// Peers disconnected to make room.
        evicted,
        /// Connections closed because pings went unanswered.
        ping_timeouts,
        /// Addresses learned from peers and not kept because they may not be dialled.
        addresses_refused,
        /// Bans begun.
        bans,
    }
}

/// Connected peers by class and direction, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerCounts {
    /// Committee peers.
    pub committee: u64,
    /// Known peers.
    pub known: u64,
    /// Other peers.
    pub other: u64,
    /// Of all of them, those that dialled this node.
    pub inbound: u64,
}

/// A snapshot of all counters. The counts only grow, except `peers` and `banned`, which are gauges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkCounters {
    /// By [`Topic`], in the order of [`Topic::ALL`].
    pub topics: [TopicCounters; Topic::ALL.len()],
    /// By [`RequestProtocol`], in the order of [`RequestProtocol::ALL`].
    pub requests: [RequestCounters; RequestProtocol::ALL.len()],
    /// Connections.
    pub links: LinkCounters,
    /// Penalties by reason, in the order of [`Penalty::ALL`].
    pub penalties: [u64; Penalty::ALL.len()],
    /// Refused handshakes, in the order of [`HandshakeRefusal::NAMES`].
    pub handshakes_refused: [u64; HandshakeRefusal::NAMES.len()],
    /// Events dropped because the node did not keep up, in the order of [`Priority::ALL`].
    pub events_dropped: [u64; Priority::ALL.len()],
    /// Bytes received on all connections, below gossip and requests, above encryption.
    pub bytes_received: u64,
    /// Bytes sent on all connections.
    pub bytes_sent: u64,
    /// Connected peers now.
    pub peers: PeerCounts,
    /// Peers banned now.
    pub banned: u64,
}

impl NetworkCounters {
    /// The counters of one topic.
    pub fn topic(&self, topic: Topic) -> &TopicCounters {
        &self.topics[topic.index()]
    }

    /// The counters of one request protocol.
    pub fn request(&self, protocol: RequestProtocol) -> &RequestCounters {
        &self.requests[protocol.index()]
    }

    /// How often a penalty was given.
    pub fn penalty(&self, penalty: Penalty) -> u64 {
        self.penalties[penalty.index()]
    }

    /// How many events of a class were dropped.
    pub fn dropped(&self, priority: Priority) -> u64 {
        self.events_dropped[priority.index()]
    }
}

/// One count. Relaxed: a reader wants a recent value of each, not a consistent cut through all.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: usize) {
        self.0.fetch_add(amount as u64, Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(value as u64, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The live counters, shared by everything in this crate that counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    topics: [TopicCount; Topic::ALL.len()],
    requests: [RequestCount; RequestProtocol::ALL.len()],
    pub(crate) links: LinkCount,
    penalties: [Counter; Penalty::ALL.len()],
    handshakes_refused: [Counter; HandshakeRefusal::NAMES.len()],
    events_dropped: [Counter; Priority::ALL.len()],
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    peers: [Counter; 3],
    pub(crate) peers_inbound: Counter,
    pub(crate) banned: Counter,
}

impl Counters {
    pub(crate) fn topic(&self, topic: Topic) -> &TopicCount {
        &self.topics[topic.index()]
    }

    pub(crate) fn request(&self, protocol: RequestProtocol) -> &RequestCount {
        &self.requests[protocol.index()]
    }

    pub(crate) fn penalty(&self, penalty: Penalty) -> &Counter {
        &self.penalties[penalty.index()]
    }

    pub(crate) fn handshake_refused(&self, refusal: &HandshakeRefusal) -> &Counter {
        &self.handshakes_refused[refusal.index()]
    }

    pub(crate) fn dropped(&self, priority: Priority) -> &Counter {
        &self.events_dropped[priority.index()]
    }

    pub(crate) fn peers(&self, class: PeerClass) -> &Counter {
        match class {
            PeerClass::Committee => &self.peers[0],
            PeerClass::Known => &self.peers[1],
            PeerClass::Other => &self.peers[2],
        }
    }

    pub(crate) fn snapshot(&self) -> NetworkCounters {
        NetworkCounters {
            topics: std::array::from_fn(|index| self.topics[index].snapshot()),
            requests: std::array::from_fn(|index| self.requests[index].snapshot()),
            links: self.links.snapshot(),
            penalties: std::array::from_fn(|index| self.penalties[index].get()),
            handshakes_refused: std::array::from_fn(|index| self.handshakes_refused[index].get()),
            events_dropped: std::array::from_fn(|index| self.events_dropped[index].get()),
            bytes_received: self.bytes_received.get(),
            bytes_sent: self.bytes_sent.get(),
            peers: PeerCounts {
                committee: self.peers(PeerClass::Committee).get(),
                known: self.peers(PeerClass::Known).get(),
                other: self.peers(PeerClass::Other).get(),
                inbound: self.peers_inbound.get(),
            },
            banned: self.banned.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_shows_what_was_counted() {
        let counters = Counters::default();
        counters.topic(Topic::Halt).received_messages.increment();
        counters
            .request(RequestProtocol::Blocks)
            .answer_bytes
            .add(7);
        counters.penalty(Penalty::Proven).increment();
        counters.peers(PeerClass::Known).set(3);
        counters.dropped(Priority::Sync).add(2);
        let snapshot = counters.snapshot();
        assert_eq!(snapshot.topic(Topic::Halt).received_messages, 1);
        assert_eq!(snapshot.topic(Topic::Evidence).received_messages, 0);
        assert_eq!(snapshot.request(RequestProtocol::Blocks).answer_bytes, 7);
        assert_eq!(snapshot.penalty(Penalty::Proven), 1);
        assert_eq!(snapshot.peers.known, 3);
        assert_eq!(snapshot.dropped(Priority::Sync), 2);
    }
}
