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
    Discover, GetAccount, GetBlock, GetCertificate, GetCommittee, GetHeader, GetInfo,
    GetParameters, GetPeers, GetReceipt, GetStatus, GetTransaction, GetValidators, SendTransaction,
    Subscribe, Unsubscribe,
};
pub use params::{
    AccountParams, BlockParams, CommitteeParams, HeaderParams, HeightParams, NoParams, SendParams,
    SubscribeParams, TransactionIdParams, UnsubscribeParams,
};
pub(crate) use table::{Handler, MethodTable, NOTIFICATION_METHOD};
