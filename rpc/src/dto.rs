//! What goes over the wire as JSON: one type per shape, each with its JSON Schema.
//!
//! Conventions: ids, hashes and keys are lower-case hexadecimal without prefix; amounts are always decimal strings;
//! other 64-bit numbers are JSON numbers below 2^53 and decimal strings from there on.

mod account;
mod block;
mod emergency;
mod evidence;
mod governance;
mod halt;
mod lockdown;
mod names;
mod node;
mod numbers;
mod risk;
mod status;
mod subscription;
mod text;
mod transaction;
mod validator;

pub use account::{Account, AccountOptions, AccountProof};
pub use block::{
    Block, BlockDetail, BlockHeader, BlockOrigin, BlockRef, BlockSelector, BlockSummary,
    Certificate, CertificateSignature, CommitVertex, Support,
};
pub use emergency::{
    EmergencyExit, EmergencyPhase, EmergencyRole, EmergencyRound, EmergencySlot, EmergencyStatus,
    ReturnState, ReturningValidator,
};
pub use evidence::{EvidenceBytes, EvidenceFate, EvidenceItem, EvidenceReceipt};
pub use governance::{
    GovernanceBytes, GovernanceState, GovernanceSummary, Governor, ResumeInProgress,
};
pub use halt::{
    HaltFigures, HaltInForce, HaltMatrix, HaltNotification, HaltPhase, HaltProof, HaltReport,
    JournalEntry, MatrixCell, MatrixRow, OwnFault, ResumeMeter, StallReport, ValidatorStanding,
};
pub use lockdown::{
    LockdownPhase, LockdownStatus, LockdownVote, PendingTransactions, QuarantineReport,
    RecoveryVote,
};
pub use names::AccountName;
pub use node::{NodeInfo, Peer, PeerClass, PeerDirection, SigningState, SigningStatus};
pub use numbers::{Amount, Number, SAFE_INTEGER_END};
pub use risk::{RiskLevel, RiskRule, RiskStatus};
pub use status::{ChainState, HaltStatus, Head, MempoolStatus, Status, Syncing};
pub use subscription::{
    Cursor, FinalityNotification, Gap, Notification, NotificationBody, ReceiptsNotification,
    SubscriptionFinality, SubscriptionKind,
};
pub use text::{Hash, Hex, HexBytes, PublicKey, Signature, TransactionBytes};
pub use transaction::{
    Action, Event, Finality, Receipt, ReceiptStatus, SendOptions, Sent, Transaction, WaitFor,
};
pub use validator::{Committee, CommitteeKind, CommitteeMember, Validator};
