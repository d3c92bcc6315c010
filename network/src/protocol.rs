//! The request protocols, what each may carry and how much of it one peer may ask for.

use std::time::Duration;

use crate::bucket::Rate;

/// Largest request of any protocol, bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// A request that has no answer after this long has failed.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests in flight with one peer, in each direction.
pub(crate) const IN_FLIGHT_PER_PEER_MAX: usize = 32;

/// Requests in flight with all peers together, in each direction.
pub(crate) const IN_FLIGHT_MAX: usize = 1024;

/// Response bytes that one peer may draw. A peer in debt is told to come back later.
pub(crate) const RESPONSE_BYTES: Rate = Rate {
    per_second: 64 * 1024 * 1024,
    burst: 128 * 1024 * 1024,
};

/// Tag of the request for addresses of other peers, which this crate asks and answers by itself.
pub(crate) const ADDRESSES_TAG: u8 = 64;

/// Requests for addresses that one peer may make.
pub(crate) const ADDRESSES_RATE: Rate = Rate {
    per_second: 1,
    burst: 5,
};

/// What a request asks for. Request and response are opaque to this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestProtocol {
    /// Vertices by reference.
    Vertices,
    /// Vertices that the asker does not have.
    MissingVertices,
    /// Blocks by range.
    Blocks,
    /// Certificates.
    Certificates,
    /// Where a peer stands.
    Status,
    /// The last signed vertices of an author (asked after a restart).
    LastVertices,
    /// Halts in force, with proof.
    HaltStatus,
    /// Snapshot manifest and chunks.
    Snapshot,
}

impl RequestProtocol {
    /// All protocols, in the order of their indices in [`crate::NetworkCounters`].
    pub const ALL: [Self; 8] = [
        Self::Vertices,
        Self::MissingVertices,
        Self::Blocks,
        Self::Certificates,
        Self::Status,
        Self::LastVertices,
        Self::HaltStatus,
        Self::Snapshot,
    ];

    /// Stable name for logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vertices => "vertices",
            Self::MissingVertices => "missing-vertices",
            Self::Blocks => "blocks",
            Self::Certificates => "certificates",
            Self::Status => "status",
            Self::LastVertices => "last-vertices",
            Self::HaltStatus => "halt-status",
            Self::Snapshot => "snapshot",
        }
    }

    /// Largest request, bytes.
    pub const fn request_bytes_max(self) -> usize {
        REQUEST_BYTES_MAX
    }

    /// Largest response, bytes.
    pub const fn response_bytes_max(self) -> usize {
        match self {
            Self::Vertices
            | Self::MissingVertices
            | Self::Blocks
            | Self::LastVertices
            | Self::Snapshot => 8 * 1024 * 1024,
            // Some proofs of halts, each of which may name a whole committee.
            Self::HaltStatus => 4 * 1024 * 1024,
            Self::Certificates => 1024 * 1024,
            Self::Status => 64 * 1024,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The tag that names the protocol on the wire. Never reused for another meaning.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Vertices => 1,
            Self::Blocks => 2,
            Self::Certificates => 3,
            Self::Status => 4,
            Self::LastVertices => 5,
            Self::HaltStatus => 6,
            Self::Snapshot => 7,
            Self::MissingVertices => 8,
        }
    }

    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.tag() == tag)
    }

    /// Requests that one peer may make.
    pub(crate) const fn rate(self) -> Rate {
        match self {
            Self::Vertices => Rate {
                per_second: 200,
                burst: 400,
            },
            Self::Blocks | Self::Snapshot | Self::Certificates => Rate {
                per_second: 50,
                burst: 100,
            },
            Self::MissingVertices | Self::Status | Self::HaltStatus => Rate {
                per_second: 10,
                burst: 20,
            },
            Self::LastVertices => Rate {
                per_second: 5,
                burst: 20,
            },
        }
    }

    /// The stream protocol that carries all requests of one chain.
    pub(crate) fn stream_protocol(chain_id: &[u8; 32]) -> String {
        format!("/holdfast/{}/request/1", hex::encode(&chain_id[..8]))
    }
}

impl std::fmt::Display for RequestProtocol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

const _: () = {
    let mut index = 0;
    while index < RequestProtocol::ALL.len() {
        assert!(RequestProtocol::ALL[index].index() == index);
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_distinct_and_found_again() {
        for protocol in RequestProtocol::ALL {
            assert_eq!(RequestProtocol::from_tag(protocol.tag()), Some(protocol));
        }
        assert_eq!(RequestProtocol::from_tag(0), None);
        assert_eq!(RequestProtocol::from_tag(ADDRESSES_TAG), None);
    }
}
