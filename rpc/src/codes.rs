//! The error codes of the JSON-RPC interface, all of them, in one table. Codes are stable: they are never reused and
//! never change their meaning.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Where the description of each code stands, for the `runbook` field.
const RUNBOOK_DOCUMENT: &str = "docs/rpc.md";

macro_rules! error_codes {
    ($($variant:ident = $number:literal, $name:literal, $meaning:literal, $remedy:literal;)*) => {
        /// A stable error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $meaning] $variant,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The name of every code, as the metric label `code` lists them.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The number in `error.code`.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The stable name in `error.data.code_name`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }

            /// What the code means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What the caller can do.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

error_codes! {
    ParseError = -32700, "PARSE_ERROR",
        "The body is not JSON.",
        "Send valid JSON; the message names line and column.";
    InvalidRequest = -32600, "INVALID_REQUEST",
        "The JSON is no JSON-RPC 2.0 request, or the HTTP request around it is not acceptable.",
        "Send an object with `jsonrpc`: \"2.0\", `method`, and optionally `params` and `id`; or a non-empty array of such objects.";
    MethodNotFound = -32601, "METHOD_NOT_FOUND",
        "There is no such method, or not over this transport.",
        "`rpc.discover` lists the methods; subscriptions need a WebSocket.";
    InvalidParams = -32602, "INVALID_PARAMS",
        "A parameter is missing, unknown or breaks its rule; the message and `data.parameter` name it.",
        "Correct the parameter; see the method below.";
    InternalError = -32603, "INTERNAL_ERROR",
        "The node failed to answer; the cause is in its log.",
        "Retry once; if it persists, look at the node's log at the time of the call.";
    ChainHalted = -32050, "CHAIN_HALTED",
        "The chain is halted and refuses this write; `data.halt_kind` and `data.reason` say why.",
        "Wait for the resume. Queries go on; `chain_getStatus` shows the halts in force.";
    NodeBehind = -32051, "NODE_BEHIND",
        "This node has not caught up; `data.commits_behind` says how far it is.",
        "Ask another node, or retry when `/readyz` says ready.";
    EmergencyProvisional = -32052, "EMERGENCY_PROVISIONAL",
        "The transaction is executed, and the finality asked for is not to be had while emergency consensus runs. `data.transaction_id`, `data.height`, `data.block_id` and `data.status` say what became of it; `data.finality` is `emergency`.",
        "Credit nothing on it: a certificate of a quorum can take it back. When the emergency is over, `chain_getReceipt` says `irreversible`; if the block was taken back, the transaction is in the queue again.";
    Lockdown = -32053, "LOCKDOWN",
        "The validators have locked the chain; transactions are rejected, not queued.",
        "Keep the transaction and send it again after the recovery vote.";
    Pruned = -32054, "PRUNED",
        "This node has deleted what was asked for; `data.earliest` is the lowest height it has.",
        "Ask a node that keeps the full block log.";
    MempoolFull = -32055, "MEMPOOL_FULL",
        "The queue of this node is full.",
        "Send the transaction again after `data.retry_after_s` seconds, or to another node.";
    TransactionRejected = -32056, "TX_REJECTED",
        "The transaction can never be executed as it is; `data.reason` is a stable name for why.",
        "Correct the transaction and sign it anew.";
    NotPrimaryStore = -32057, "NOT_PRIMARY_STORE",
        "The node runs read-only on a store that it does not own.",
        "Send writes to the node that owns the store.";
    RateLimited = -32058, "RATE_LIMITED",
        "Too many calls: of this address, or in flight on this node.",
        "Retry after `data.retry_after_s` seconds; send transactions in batches.";
    AuthRequired = -32059, "AUTH_REQUIRED",
        "The method changes the node: it is for callers on the node's own machine that show the admin token, which the node writes to `admin.token` in its home folder when it starts.",
        "Use the command line on the node's own machine, or send the header `Authorization: Bearer <token>` over HTTP.";
    TooManySubscriptions = -32060, "TOO_MANY_SUBSCRIPTIONS",
        "The connection has as many subscriptions as it may; `data.limit` says how many.",
        "Unsubscribe from some, or open another connection.";
    BatchTooLarge = -32061, "BATCH_TOO_LARGE",
        "The batch has more entries than `data.limit`. None was executed.",
        "Split the batch.";
    ReplyTooLarge = -32062, "REPLY_TOO_LARGE",
        "The reply would be longer than `data.limit` bytes.",
        "Ask for less: block detail `ids`, smaller batches.";
    GovernanceRejected = -32063, "GOVERNANCE_REJECTED",
        "The governance message does nothing; `data.reason` is a stable name for why: `malformed`, `too_many`, `bad_governors`, `not_enough_signatures`, `bad_signer`, `bad_signature`, `replayed`, `halt_over`, `halt_too_long`, `halt_in_force`, `too_soon`, `resuming`, `era_is_over`.",
        "`holdfast governance show FILE` says who has signed what; `governance_getState` gives governors and sequence number.";
    EvidenceRejected = -32064, "EVIDENCE_REJECTED",
        "The evidence proves nothing here; `data.reason` is a stable name for why: `malformed`, `unknown_era`, `different_slots`, `no_contradiction`, `unknown_author`, `bad_signature`, `not_contradicted`, `full`.",
        "Check that it is complete and of this chain; submit it to a node that knows its era.";
    LockdownRefused = -32065, "LOCKDOWN_REFUSED",
        "This validator does not vote; `data.reason` is a stable name for why: `no_secret`, `no_voter`, `past_unknown`, `not_a_member`, `already_locked`, `not_locked`, `recovering`, `known`, `other_era`, `reason_too_long`.",
        "`holdfast lockdown status` says where the lockdown stands.";
}

/// An error as a caller sees it: what becomes the `error` object of a reply.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{} ({}): {message}", .code.name(), .code.number())]
pub struct Fault {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong, for a person.
    pub message: String,
    /// When a retry makes sense, in seconds.
    pub retry_after_seconds: Option<u32>,
    /// Further fields of `error.data`.
    pub details: Vec<(&'static str, Value)>,
}

impl Fault {
    /// A fault without details.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_seconds: None,
            details: Vec::new(),
        }
    }

    /// Says when a retry makes sense.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds a field to `error.data`.
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// A parameter that is missing or breaks its rule.
    #[must_use]
    pub(crate) fn parameter(name: &str, rule: impl std::fmt::Display) -> Self {
        Self::new(
            ErrorCode::InvalidParams,
            format!("parameter `{name}`: {rule}"),
        )
        .detail("parameter", name)
    }

    /// A node that has too much to do at the moment.
    #[must_use]
    pub(crate) fn busy(what: &str) -> Self {
        Self::new(ErrorCode::RateLimited, what).retry_after(1)
    }

    /// The object in `error.data`.
    fn data(&self) -> Map<String, Value> {
        let mut data = Map::new();
        data.insert("code_name".to_owned(), self.code.name().into());
        if let Some(seconds) = self.retry_after_seconds {
            data.insert("retry_after_s".to_owned(), seconds.into());
        }
        data.extend(
            self.details
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        data.insert("runbook".to_owned(), self.code.runbook().into());
        data
    }
}

impl ErrorCode {
    /// Anchor of the code in the generated reference: `docs/rpc.md#chain_halted`.
    #[must_use]
    pub fn runbook(self) -> String {
        format!("{RUNBOOK_DOCUMENT}#{}", self.name().to_lowercase())
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Fault", 3)?;
        object.serialize_field("code", &self.code.number())?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("data", &self.data())?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        let names: BTreeSet<_> = ErrorCode::NAMES.iter().collect();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        assert_eq!(names.len(), ErrorCode::ALL.len());
        assert_eq!(ErrorCode::ReplyTooLarge.name(), "REPLY_TOO_LARGE");
    }

    #[test]
    fn a_fault_becomes_an_error_object() {
        let fault = Fault::new(ErrorCode::Pruned, "height 3 is pruned")
            .detail("earliest", 10)
            .retry_after(5);
        assert_eq!(
            serde_json::to_string(&fault).unwrap(),
            r#"{"code":-32054,"message":"height 3 is pruned","data":{"code_name":"PRUNED","retry_after_s":5,"earliest":10,"runbook":"docs/rpc.md#pruned"}}"#
        );
        assert_eq!(fault.to_string(), "PRUNED (-32054): height 3 is pruned");
    }
}
