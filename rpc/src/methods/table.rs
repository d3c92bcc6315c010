//! The table of methods: name to handler, and what documents need.

use super::definition::{Method, MethodDoc, Params, RawParams, Transport};
use super::handlers;
use super::list::{
    Discover, GetAccount, GetBlock, GetCertificate, GetCommittee, GetEmergencyStatus,
    GetGovernanceState, GetHaltHistory, GetHaltMatrix, GetHaltProof, GetHaltStatus, GetHeader,
    GetInfo, GetLockdownStatus, GetParameters, GetPeers, GetPending, GetReceipt, GetRisk,
    GetStatus, GetTransaction, GetValidators, ListEvidence, METHOD_NAMES, SendTransaction,
    SubmitEvidence, SubmitGovernance, Subscribe, SubscribeHalts, SubscribeLockdown, Unsubscribe,
    VoteLockdown, VoteRecovery,
};
use super::params::{SubscribeParams, UnsubscribeParams};
use crate::backend::{Backend, BackendError};
use crate::codes::{ErrorCode, Fault};
use crate::docs::{Docs, DocsBuilder};
use crate::dto::{Cursor, SubscriptionKind};
use crate::state::ServerState;
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;

/// Method of the notifications of a subscription.
pub(crate) const NOTIFICATION_METHOD: &str = "chain_subscription";

/// Entries of the halt journal in one reply.
const HISTORY_ENTRIES_MAX: usize = 500;
const HISTORY_ENTRIES_DEFAULT: u64 = 100;

type JsonResult = Result<String, Fault>;
type SendFuture = BoxFuture<'static, JsonResult>;
type Query = Box<dyn FnOnce(&dyn Backend) -> JsonResult + Send>;

/// How a method is answered.
pub(crate) enum Handler {
    /// From memory, on the spot.
    Inline(fn(&dyn Backend) -> JsonResult),
    /// By a query that may read the disk: the parameters are read first, the query runs on a blocking thread.
    Blocking(fn(Option<&RawValue>) -> Result<Query, Fault>),
    /// By queueing a transaction.
    Send(fn(&Arc<ServerState>, Option<&RawValue>) -> Result<SendFuture, Fault>),
    /// By the connection, which holds the subscriptions.
    Subscribe(fn(Option<&RawValue>) -> Result<SubscribeParams, Fault>),
    /// By the connection.
    Unsubscribe(fn(Option<&RawValue>) -> Result<UnsubscribeParams, Fault>),
    /// With the OpenRPC document.
    Document,
}

/// All methods.
pub(crate) struct MethodTable {
    handlers: Vec<(Handler, Transport)>,
    by_name: HashMap<&'static str, usize>,
    document: Arc<str>,
}

impl MethodTable {
    /// The table, and what documents say of its methods.
    pub(crate) fn new() -> (Self, Docs) {
        let mut builder = Builder {
            handlers: Vec::new(),
            docs: DocsBuilder::default(),
        };
        builder.inline::<GetStatus>(|backend| json(backend.status()));
        builder.blocking::<GetBlock>(|params| {
            let params = parse::<GetBlock>(params)?;
            let detail = params.detail.unwrap_or_default();
            query(move |backend| backend.block(params.block, detail))
        });
        builder.blocking::<GetHeader>(|params| {
            let params = parse::<GetHeader>(params)?;
            query(move |backend| backend.header(params.block))
        });
        builder.blocking::<GetTransaction>(|params| {
            let params = parse::<GetTransaction>(params)?;
            query(move |backend| backend.transaction(&params.id))
        });
        builder.blocking::<GetReceipt>(|params| {
            let params = parse::<GetReceipt>(params)?;
            query(move |backend| backend.receipt(&params.id))
        });
        builder.blocking::<GetAccount>(|params| {
            let params = parse::<GetAccount>(params)?;
            let options = params.options.unwrap_or_default();
            query(move |backend| backend.account(&params.name, options.proof))
        });
        builder.blocking::<GetValidators>(|params| {
            parse::<GetValidators>(params)?;
            query(|backend| backend.validators())
        });
        builder.blocking::<GetCommittee>(|params| {
            let params = parse::<GetCommittee>(params)?;
            query(move |backend| backend.committee(params.era.map(|era| era.get())))
        });
        builder.blocking::<GetCertificate>(|params| {
            let params = parse::<GetCertificate>(params)?;
            query(move |backend| backend.certificate(params.height.get()))
        });
        builder.inline::<GetParameters>(|backend| json(backend.parameters()));
        builder.add::<SendTransaction>(Handler::Send(|state, params| {
            let params = parse::<SendTransaction>(params)?;
            Ok(handlers::send_transaction(Arc::clone(state), params))
        }));
        builder.add::<Subscribe>(Handler::Subscribe(parse::<Subscribe>));
        builder.add::<Unsubscribe>(Handler::Unsubscribe(parse::<Unsubscribe>));
        Self::add_halts(&mut builder);
        builder.inline::<GetInfo>(|backend| json(backend.node_info()));
        builder.blocking::<GetRisk>(|params| {
            parse::<GetRisk>(params)?;
            query(|backend| backend.risk())
        });
        builder.inline::<GetPeers>(|backend| json(backend.peers()));
        builder.add::<Discover>(Handler::Document);
        builder.build()
    }

    /// Halts, governance and evidence.
    fn add_halts(builder: &mut Builder) {
        builder.inline::<GetHaltStatus>(|backend| json(backend.halt_report()));
        builder.blocking::<GetHaltHistory>(|params| {
            let params = parse::<GetHaltHistory>(params)?;
            let from = params.from.map_or(0, |from| from.get());
            let limit = params
                .limit
                .map_or(HISTORY_ENTRIES_DEFAULT, |limit| limit.get());
            let limit = usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=HISTORY_ENTRIES_MAX).contains(limit))
                .ok_or_else(|| {
                    Fault::parameter("limit", format_args!("from 1 to {HISTORY_ENTRIES_MAX}"))
                })?;
            query(move |backend| backend.halt_history(from, limit))
        });
        builder.inline::<GetHaltMatrix>(|backend| json(backend.halt_matrix()));
        builder.blocking::<GetHaltProof>(|params| {
            let params = parse::<GetHaltProof>(params)?;
            query(move |backend| backend.halt_proof(&params.id))
        });
        builder.add::<SubscribeHalts>(Handler::Subscribe(|params| {
            let params = parse::<SubscribeHalts>(params)?;
            Ok(all_of(SubscriptionKind::Halts, params.from))
        }));
        builder.blocking::<GetEmergencyStatus>(|params| {
            parse::<GetEmergencyStatus>(params)?;
            query(|backend| backend.emergency())
        });
        builder.blocking::<GetLockdownStatus>(|params| {
            parse::<GetLockdownStatus>(params)?;
            query(|backend| backend.lockdown())
        });
        builder.blocking::<GetPending>(|params| {
            parse::<GetPending>(params)?;
            query(|backend| backend.pending())
        });
        builder.add::<SubscribeLockdown>(Handler::Subscribe(|params| {
            let params = parse::<SubscribeLockdown>(params)?;
            Ok(all_of(SubscriptionKind::Lockdown, params.from))
        }));
        builder.blocking::<VoteLockdown>(|params| {
            let reason = parse::<VoteLockdown>(params)?.reason;
            query(move |backend| backend.vote_lockdown(&reason))
        });
        builder.blocking::<VoteRecovery>(|params| {
            parse::<VoteRecovery>(params)?;
            query(|backend| backend.vote_recovery())
        });
        builder.blocking::<GetGovernanceState>(|params| {
            parse::<GetGovernanceState>(params)?;
            query(|backend| backend.governance())
        });
        builder.blocking::<SubmitGovernance>(|params| {
            let message = parse::<SubmitGovernance>(params)?.message.0.0;
            query(move |backend| backend.submit_governance(&message))
        });
        builder.blocking::<SubmitEvidence>(|params| {
            let evidence = parse::<SubmitEvidence>(params)?.evidence.0.0;
            query(move |backend| backend.submit_evidence(&evidence))
        });
        builder.blocking::<ListEvidence>(|params| {
            parse::<ListEvidence>(params)?;
            query(|backend| backend.evidence())
        });
    }

    /// Index, handler and transport of a method.
    pub(crate) fn find(&self, name: &str) -> Option<(usize, &(Handler, Transport))> {
        self.by_name
            .get(name)
            .map(|&index| (index, &self.handlers[index]))
    }

    /// The OpenRPC document.
    pub(crate) fn document(&self) -> &Arc<str> {
        &self.document
    }
}

struct Builder {
    handlers: Vec<(Handler, Transport)>,
    docs: DocsBuilder,
}

impl Builder {
    fn add<M: Method>(&mut self, handler: Handler) {
        self.handlers.push((handler, M::TRANSPORT));
        self.docs.add(MethodDoc::of::<M>);
    }

    fn inline<M: Method>(&mut self, answer: fn(&dyn Backend) -> JsonResult) {
        assert!(
            M::Params::SPECS.is_empty(),
            "{} has parameters, which inline handlers do not read",
            M::NAME
        );
        self.add::<M>(Handler::Inline(answer));
    }

    fn blocking<M: Method>(&mut self, prepare: fn(Option<&RawValue>) -> Result<Query, Fault>) {
        self.add::<M>(Handler::Blocking(prepare));
    }

    fn build(self) -> (MethodTable, Docs) {
        let docs = self.docs.build();
        let names: Vec<_> = docs.methods.iter().map(|doc| doc.name).collect();
        assert_eq!(names, METHOD_NAMES, "the table and its list of names agree");
        let by_name = names
            .into_iter()
            .enumerate()
            .map(|(index, name)| (name, index))
            .collect();
        let document = docs.openrpc().to_string().into();
        (
            MethodTable {
                handlers: self.handlers,
                by_name,
                document,
            },
            docs,
        )
    }
}

/// A subscription to all of one kind.
const fn all_of(kind: SubscriptionKind, from: Option<Cursor>) -> SubscribeParams {
    SubscribeParams {
        kind,
        from,
        finality: None,
        account: None,
        transaction_id: None,
    }
}

fn parse<M: Method>(params: Option<&RawValue>) -> Result<M::Params, Fault> {
    M::Params::parse(&RawParams::split(M::Params::SPECS, params)?)
}

fn query<T: Serialize>(
    ask: impl FnOnce(&dyn Backend) -> Result<T, BackendError> + Send + 'static,
) -> Result<Query, Fault> {
    Ok(Box::new(|backend| json(ask(backend))))
}

pub(super) fn json<T: Serialize>(result: Result<T, BackendError>) -> JsonResult {
    serde_json::to_string(&result?).map_err(|error| {
        tracing::error!(%error, "a reply does not serialize");
        Fault::new(
            ErrorCode::InternalError,
            "the reply does not serialize; see the node's log",
        )
    })
}

impl std::fmt::Debug for MethodTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(METHOD_NAMES).finish()
    }
}
