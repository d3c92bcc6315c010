//! The gossip topics, what each may carry, and the order in which kinds of traffic are served.

use crate::bucket::Rate;

/// Largest gossip payload of any topic, bytes.
pub(crate) const GOSSIP_BYTES_MAX: usize = 2 * MIB;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A gossip topic. Every message on it is opaque to this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Signed vertices of the DAG.
    Vertices,
    /// Attestations that must travel outside vertices (the last block of an era).
    Attestations,
    /// Client transactions on their way to other validators.
    Transactions,
    /// Proofs of misbehaviour.
    Evidence,
    /// Lockdown votes.
    Lockdown,
    /// Governance messages.
    Governance,
    /// Halt declarations and halt status.
    Halt,
    /// Blocks of emergency consensus.
    EmergencyBlocks,
}

/// Kinds of traffic in the order in which they are served: a class never waits for a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Peers that come and go. A few events per peer.
    Lifecycle,
    /// Vertices, attestations, emergency blocks.
    Consensus,
    /// Evidence, lockdown, governance, halts.
    Control,
    /// Requests of peers that catch up.
    Sync,
    /// Transactions.
    Transactions,
}

/// The two gossip planes. Each is a gossip router of its own with its own streams and queues, so that
/// a backlog of transactions towards a slow peer does not stand in front of a vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Plane {
    Consensus,
    Bulk,
}

/// What one peer may send on one topic before its messages are refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TopicRate {
    pub(crate) messages: Rate,
    pub(crate) bytes: Rate,
}

impl Priority {
    /// All classes, first served first.
    pub const ALL: [Self; 5] = [
        Self::Lifecycle,
        Self::Consensus,
        Self::Control,
        Self::Sync,
        Self::Transactions,
    ];

    /// Stable name for logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lifecycle => "lifecycle",
            Self::Consensus => "consensus",
            Self::Control => "control",
            Self::Sync => "sync",
            Self::Transactions => "transactions",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl Topic {
    /// All topics, in the order of their indices in [`crate::NetworkCounters`].
    pub const ALL: [Self; 8] = [
        Self::Vertices,
        Self::Attestations,
        Self::Transactions,
        Self::Evidence,
        Self::Lockdown,
        Self::Governance,
        Self::Halt,
        Self::EmergencyBlocks,
    ];

    /// Stable name: part of the topic string on the wire, of logs and of metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vertices => "vertices",
            Self::Attestations => "attestations",
            Self::Transactions => "transactions",
            Self::Evidence => "evidence",
            Self::Lockdown => "lockdown",
            Self::Governance => "governance",
            Self::Halt => "halt",
            Self::EmergencyBlocks => "emergency-blocks",
        }
    }

    /// Largest payload, bytes. Larger ones are neither published nor accepted.
    pub const fn message_bytes_max(self) -> usize {
        match self {
            // An emergency block holds what a vertex holds.
            Self::Vertices | Self::EmergencyBlocks => GOSSIP_BYTES_MAX,
            // A proof of a halt may name a whole committee.
            Self::Transactions | Self::Halt => 256 * KIB,
            Self::Attestations => 4 * KIB,
            Self::Evidence | Self::Governance => 64 * KIB,
            // A certificate of a whole committee.
            Self::Lockdown => 128 * KIB,
        }
    }

    /// The class in which messages of this topic are served.
    pub const fn priority(self) -> Priority {
        match self {
            Self::Vertices | Self::Attestations | Self::EmergencyBlocks => Priority::Consensus,
            Self::Evidence | Self::Lockdown | Self::Governance | Self::Halt => Priority::Control,
            Self::Transactions => Priority::Transactions,
        }
    }

    /// The topic string of one chain: `/holdfast/<first 8 bytes of the chain id, hex>/<name>/1`.
    pub fn path(self, chain_id: &[u8; 32]) -> String {
        format!(
            "/holdfast/{}/{}/1",
            hex::encode(&chain_id[..8]),
            self.name()
        )
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn plane(self) -> Plane {
        match self {
            Self::Transactions => Plane::Bulk,
            _ => Plane::Consensus,
        }
    }

    /// What one peer may send. A peer also relays what others wrote, up to everything that a
    /// committee of 128 produces, so the limits are far above what one author needs: they stop a
    /// flood, they do not shape honest traffic. Beyond them a message is refused before it enters
    /// the duplicate cache (a copy from another peer is still welcome) and the sender is penalised.
    pub(crate) const fn rate(self) -> TopicRate {
        const fn rate(messages: [u64; 2], bytes: [u64; 2]) -> TopicRate {
            TopicRate {
                messages: Rate {
                    per_second: messages[0],
                    burst: messages[1],
                },
                bytes: Rate {
                    per_second: bytes[0],
                    burst: bytes[1],
                },
            }
        }
        const M: u64 = MIB as u64;
        match self {
            // 128 authors at 20 rounds/s is 2 560/s.
            Self::Vertices => rate([4_096, 8_192], [64 * M, 128 * M]),
            Self::Attestations => rate([4_096, 8_192], [4 * M, 8 * M]),
            Self::Transactions => rate([20_000, 40_000], [16 * M, 32 * M]),
            Self::EmergencyBlocks => rate([64, 512], [4 * M, 16 * M]),
            // Each halted member says every second how it stands: 128 authors are 128/s.
            Self::Halt => rate([256, 1_024], [M, 8 * M]),
            // In a lockdown each member says every second how it stands, its two votes to go on, and what proves them.
            Self::Lockdown => rate([1_024, 4_096], [8 * M, 32 * M]),
            Self::Evidence | Self::Governance => rate([64, 512], [M, 8 * M]),
        }
    }

    /// What a message costs of its sender's allowance for messages of no use, when the node ignores
    /// it. Nothing where a node that runs behind, or ahead, ignores all that the others say: vertices
    /// and attestations of another era, emergency blocks of another branch, all of a lockdown for who has no cluster secret.
    pub(crate) const fn useless_cost(self) -> u64 {
        match self {
            Self::Vertices
            | Self::Attestations
            | Self::Transactions
            | Self::EmergencyBlocks
            | Self::Lockdown => 0,
            Self::Halt => 1,
            Self::Evidence | Self::Governance => 8,
        }
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

const _: () = {
    let mut index = 0;
    while index < Topic::ALL.len() {
        let topic = Topic::ALL[index];
        assert!(topic.index() == index);
        assert!(topic.message_bytes_max() <= GOSSIP_BYTES_MAX);
        // A burst below one message would refuse an honest one for ever.
        assert!(topic.rate().bytes.burst >= topic.message_bytes_max() as u64);
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_strings_name_the_chain_and_are_distinct() {
        let mut chain_id = [0; 32];
        chain_id[0] = 0xab;
        chain_id[8] = 0xff;
        assert_eq!(
            Topic::EmergencyBlocks.path(&chain_id),
            "/holdfast/ab00000000000000/emergency-blocks/1"
        );
        let paths: std::collections::BTreeSet<_> = Topic::ALL
            .iter()
            .map(|topic| topic.path(&chain_id))
            .collect();
        assert_eq!(paths.len(), Topic::ALL.len());
    }
}
