//! The methods: one definition each, which drives server, typed client, OpenRPC document and reference.

mod definition;
mod handlers;
mod list;
mod params;
mod table;

pub use definition::{Method, Params, Transport};
pub(crate) use definition::{MethodDoc, ParamSpec, RawParams};
pub(crate) use list::METHOD_NAMES;
pub use list::{
    Discover, GetAccount, GetBlock, GetCertificate, GetCommittee, GetEmergencyStatus,
    GetGovernanceState, GetHaltHistory, GetHaltMatrix, GetHaltProof, GetHaltStatus, GetHeader,
    GetInfo, GetLockdownStatus, GetParameters, GetPeers, GetPending, GetReceipt, GetRisk,
    GetStatus, GetTransaction, GetValidators, ListEvidence, SendTransaction, SubmitEvidence,
    SubmitGovernance, Subscribe, SubscribeHalts, SubscribeLockdown, Unsubscribe, VoteLockdown,
    VoteRecovery,
};
pub use params::{
    AccountParams, BlockParams, CommitteeParams, EvidenceParams, GovernanceParams, HaltIdParams,
    HaltSubscribeParams, HeaderParams, HeightParams, HistoryParams, LockdownVoteParams, NoParams,
    SendParams, SubscribeParams, TransactionIdParams, UnsubscribeParams,
};
pub(crate) use table::{Handler, MethodTable, NOTIFICATION_METHOD};
