//! What nodes ask each other. Gossip topics carry bare types ([`crate::Vertex`], [`crate::Evidence`]) and two that stand
//! here with the requests and responses ([`GossipedStatement`], [`GossipedGovernance`], [`TransactionBatch`]).

use crate::attestation::{Certificate, EndStatement, EndVotes};
use crate::block::Block;
use crate::governance::GovernanceMessage;
use crate::halt::HaltNotice;
use crate::ids::{AuthorityIndex, BlockId, Era, Height, Round};
use crate::transaction::SignedTransaction;
use crate::vertex::{SignedVertexHeader, Vertex, VertexRef};
use borsh::{BorshDeserialize, BorshSerialize};

/// Transactions gossiped by a node that does not propose.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransactionBatch {
    pub transactions: Vec<SignedTransaction>,
}

/// A statement on the topic of attestations. Gossip takes a message once, so one that is said again, because it may have been
/// lost, has to be another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GossipedStatement {
    pub statement: EndStatement,
    pub repetition: u32,
}

/// A message of governance on its topic; another repetition is another message, as with statements.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GossipedGovernance {
    pub message: GovernanceMessage,
    pub repetition: u32,
}

/// Asks for vertices by reference, at most [`crate::limits::FETCH_REFERENCES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VerticesRequest {
    pub era: Era,
    pub references: Vec<VertexRef>,
}

/// Asks for the vertices of as many rounds as `held` has entries, `from` first and at most
/// [`crate::limits::MISSING_ROUNDS_MAX`], of whose slots the asker holds nothing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MissingVerticesRequest {
    pub era: Era,
    pub from: Round,
    /// For `from` and each round after it that is asked for, the authors of which the asker holds a vertex, in rising order.
    pub held: Vec<Vec<AuthorityIndex>>,
}

impl MissingVerticesRequest {
    /// True if the asker wants a vertex of this slot.
    #[must_use]
    pub fn wants(&self, round: Round, author: AuthorityIndex) -> bool {
        let Ok(distance) = usize::try_from(round.since(self.from)) else {
            return false;
        };
        let held = self.held.get(distance);
        round >= self.from && held.is_some_and(|authors| authors.binary_search(&author).is_err())
    }
}

/// Those of the asked vertices that the peer has, by rising round as far as they fit; nothing else.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VerticesResponse {
    pub vertices: Vec<Vertex>,
}

/// Asks for blocks `from..=to`, of which the peer sends a prefix that fits the response limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlocksRequest {
    pub from: Height,
    pub to: Height,
}

/// Consecutive blocks of one era, the last of them certified: its hash chain proves the others. Or, without a certificate,
/// what an emergency stands on and its blocks.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlocksResponse {
    pub blocks: Vec<Block>,
    pub certificate: Option<Certificate>,
    /// The newest votes of a quorum for an end of an emergency on the peer's branch, if no certificate covers it.
    pub end_votes: Option<EndVotes>,
}

/// Asks for the certificate of a height, or of the lowest certified height above it in the same era.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertificateRequest {
    pub height: Height,
}

/// The certificate, if the peer has one.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertificateResponse {
    pub certificate: Option<Certificate>,
}

/// What counts of a branch in an emergency before its length, the first first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct BranchRank {
    /// Sequence number of the last message of governance that has resumed an emergency, if no certificate covers that block; 0 if there
    /// is none.
    pub resumed: u64,
    /// Era of the newest emergency for whose end a quorum has voted, if no certificate covers that end.
    pub voted: Option<Era>,
    /// Of the block that follows the head: who has ended more emergencies is in a later one.
    pub era: Era,
}

/// Where a peer stands. A claim, not a proof: it decides whom to ask, never what to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PeerStatus {
    pub head: Height,
    pub head_id: BlockId,
    pub certified: Height,
    /// The head stands on emergency blocks that nobody has certified.
    pub is_provisional: bool,
    pub lowest_block: Height,
    pub rank: BranchRank,
    pub round: Round,
    /// Hash of the genesis file's identity is compared by the handshake; this is the wall clock, for skew.
    pub timestamp_ms: u64,
}

/// Asks for the last vertex that `author` is known to have signed in `era` (DESIGN §3, restart safety).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LastVertexRequest {
    pub era: Era,
    pub author: AuthorityIndex,
}

/// The last vertex of the asked author and of the answering validator itself, signed by their authors.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LastVertexResponse {
    /// The era whose DAG runs at the answering validator; none between eras.
    pub running: Option<Era>,
    pub of_author: Option<SignedVertexHeader>,
    pub own: Option<SignedVertexHeader>,
    /// What has halted the answering validator: whoever asks learns it before it signs.
    pub halts: HaltNotice,
}
