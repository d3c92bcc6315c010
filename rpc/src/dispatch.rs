//! JSON-RPC 2.0: from the text of a request to the text of its reply.
//!
//! - A reply echoes the id as it was written. A request without id is a notification and gets no reply; a
//!   transaction sent as a notification is queued all the same.
//! - A batch gets an array with one reply per entry that is no notification, in the order of the entries; nothing if
//!   there is none. Entries run at the same time, so that transactions are verified together. An empty batch and one
//!   that is too large get a single error, and nothing of it runs.

mod request;

use crate::codes::{ErrorCode, Fault};
use crate::methods::{Handler, RawParams, Transport};
use crate::server::{MemoryBudget, Reservation};
use crate::state::ServerState;
use crate::subscriptions::{ConnectionSubscriptions, Subscription};
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use request::{Batch, Rejected, Request};
use serde_json::value::RawValue;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) address: IpAddr,
    /// The subscriptions of the WebSocket connection; none over HTTP.
    pub(crate) subscriptions: Option<&'a ConnectionSubscriptions>,
    /// It may change the node.
    pub(crate) is_admin: bool,
}

/// What goes back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The text; none if there were only notifications.
    pub(crate) text: Option<String>,
    /// The body was no JSON at all.
    pub(crate) malformed: bool,
    /// Subscriptions that begin once the reply has been sent.
    pub(crate) subscriptions: Vec<Subscription>,
    /// Memory that the text takes until it has been sent.
    pub(crate) reservations: Vec<Reservation>,
}

/// What one request of a batch comes to.
#[derive(Debug, Default)]
struct Answer {
    text: Option<String>,
    subscription: Option<Subscription>,
}

impl Reply {
    const fn text(text: String) -> Self {
        Self {
            text: Some(text),
            malformed: false,
            subscriptions: Vec::new(),
            reservations: Vec::new(),
        }
    }

    fn refused(rejected: &Rejected<'_>) -> Self {
        Self {
            malformed: rejected.fault.code == ErrorCode::ParseError,
            ..Self::text(error_text(rejected.id, &rejected.fault))
        }
    }
}

/// Answers one body: a request or a batch.
pub(crate) async fn dispatch(state: &Arc<ServerState>, body: &[u8], caller: Caller<'_>) -> Reply {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text.trim_ascii_start(),
        Err(error) => {
            let fault = Fault::new(
                ErrorCode::ParseError,
                format!("the body is not UTF-8: {error}"),
            );
            return Reply::refused(&Rejected::without_id(fault));
        }
    };
    let budget = ReplyBudget::new(state);
    if text.starts_with('[') {
        return dispatch_batch(state, text, caller, budget).await;
    }
    match Request::parse(text) {
        Ok(request) => {
            let answer = answer(state, &request, caller, &budget).await;
            let subscriptions = answer.subscription.into_iter().collect();
            Reply {
                text: answer.text,
                malformed: false,
                subscriptions,
                reservations: budget.into_reservations(),
            }
        }
        Err(rejected) => {
            state.metrics.rpc.call_refused(rejected.fault.code);
            Reply::refused(&rejected)
        }
    }
}

async fn dispatch_batch(
    state: &Arc<ServerState>,
    text: &str,
    caller: Caller<'_>,
    budget: ReplyBudget,
) -> Reply {
    let batch = match Batch::parse(text, state.config.batch_entries_max) {
        Ok(batch) => batch,
        Err(fault) => {
            state.metrics.rpc.call_refused(fault.code);
            return Reply::refused(&Rejected::without_id(fault));
        }
    };
    let mut answers: FuturesOrdered<_> = batch
        .entries
        .into_iter()
        .map(|entry| answer_entry(state, entry, caller, &budget))
        .collect();
    let mut text = String::new();
    let mut subscriptions = Vec::new();
    while let Some(answer) = answers.next().await {
        if let Some(reply) = answer.text {
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&reply);
        }
        subscriptions.extend(answer.subscription);
    }
    drop(answers);
    let text = (!text.is_empty()).then(|| text + "]");
    Reply {
        text,
        malformed: false,
        subscriptions,
        reservations: budget.into_reservations(),
    }
}

async fn answer_entry(
    state: &Arc<ServerState>,
    entry: &RawValue,
    caller: Caller<'_>,
    budget: &ReplyBudget,
) -> Answer {
    match Request::parse(entry.get()) {
        Ok(request) => answer(state, &request, caller, budget).await,
        Err(rejected) => {
            state.metrics.rpc.call_refused(rejected.fault.code);
            Answer {
                text: Some(error_text(rejected.id, &rejected.fault)),
                subscription: None,
            }
        }
    }
}

async fn answer(
    state: &Arc<ServerState>,
    request: &Request<'_>,
    caller: Caller<'_>,
    budget: &ReplyBudget,
) -> Answer {
    let started = Instant::now();
    let (method, outcome) = execute(state, request, caller, budget).await;
    let outcome = outcome.and_then(|executed| budget.take(&executed.result).map(|()| executed));
    let code = outcome.as_ref().err().map(|fault| fault.code);
    state
        .metrics
        .rpc
        .call_answered(method, code, started.elapsed());
    let Some(id) = request.id else {
        return Answer::default();
    };
    match outcome {
        Ok(executed) => Answer {
            text: Some(success_text(id, &executed.result)),
            subscription: executed.subscription,
        },
        Err(fault) => Answer {
            text: Some(error_text(Some(id), &fault)),
            subscription: None,
        },
    }
}

struct Executed {
    result: String,
    subscription: Option<Subscription>,
}

/// Runs a request; also gives the index of its method, if there is such a method.
async fn execute(
    state: &Arc<ServerState>,
    request: &Request<'_>,
    caller: Caller<'_>,
    budget: &ReplyBudget,
) -> (Option<usize>, Result<Executed, Fault>) {
    let Some((index, (handler, transport))) = state.methods.find(&request.method) else {
        return (None, Err(unknown_method(&request.method)));
    };
    if *transport == Transport::Admin && !caller.is_admin {
        let text = format!(
            "method `{}` is served over HTTP, on the node's own machine, to who shows its admin token",
            request.method
        );
        return (Some(index), Err(Fault::new(ErrorCode::AuthRequired, text)));
    }
    // A notification of anything but a transaction has no effect that its sender could notice.
    if request.id.is_none() && !matches!(handler, Handler::Send(_)) {
        return (
            Some(index),
            Ok(Executed {
                result: String::new(),
                subscription: None,
            }),
        );
    }
    (
        Some(index),
        run(state, handler, request, caller, budget).await,
    )
}

async fn run(
    state: &Arc<ServerState>,
    handler: &Handler,
    request: &Request<'_>,
    caller: Caller<'_>,
    budget: &ReplyBudget,
) -> Result<Executed, Fault> {
    if let Some(limiter) = &state.rate_limiter {
        limiter.charge(caller.address, Instant::now())?;
    }
    let _in_flight = state
        .calls
        .try_acquire()
        .map_err(|_| Fault::busy("this node has as many calls in flight as it takes"))?;
    let params = request.params;
    let result = match handler {
        Handler::Inline(answer) => {
            budget.check()?;
            RawParams::split(&[], params)?;
            answer(&*state.backend)?
        }
        Handler::Document => {
            budget.check()?;
            RawParams::split(&[], params)?;
            state.methods.document().to_string()
        }
        Handler::Blocking(prepare) => {
            budget.check()?;
            let query = prepare(params)?;
            state.query(query).await?
        }
        Handler::Send(send) => send(state, params)?.await?,
        Handler::Subscribe(parse) => {
            let params = parse(params)?;
            let subscription = subscriptions_of(caller, request)?.subscribe(state, params)?;
            let result = format!("\"{}\"", subscription.id());
            return Ok(Executed {
                result,
                subscription: Some(subscription),
            });
        }
        Handler::Unsubscribe(parse) => {
            let params = parse(params)?;
            subscriptions_of(caller, request)?
                .unsubscribe(&params.subscription)
                .to_string()
        }
    };
    Ok(Executed {
        result,
        subscription: None,
    })
}

fn subscriptions_of<'a>(
    caller: Caller<'a>,
    request: &Request<'_>,
) -> Result<&'a ConnectionSubscriptions, Fault> {
    caller.subscriptions.ok_or_else(|| {
        Fault::new(
            ErrorCode::MethodNotFound,
            format!("method `{}` is served over WebSocket only", request.method),
        )
    })
}

fn unknown_method(name: &str) -> Fault {
    let shown: String = name.chars().take(60).collect();
    Fault::new(
        ErrorCode::MethodNotFound,
        format!("there is no method {shown:?}; `rpc.discover` lists them"),
    )
}

fn success_text(id: &RawValue, result: &str) -> String {
    let mut text = String::with_capacity(id.get().len() + result.len() + 40);
    text.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
    text.push_str(id.get());
    text.push_str(",\"result\":");
    text.push_str(result);
    text.push('}');
    text
}

/// The text of an error reply; a request whose id is unknown is answered with the id null.
pub(crate) fn error_text(id: Option<&RawValue>, fault: &Fault) -> String {
    let id = id.map_or("null", RawValue::get);
    let error = serde_json::to_string(fault).expect("a fault always serializes");
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}")
}

/// How much may still be replied to one body. Short results are not counted: the number of entries bounds them, and
/// whoever sent a transaction learns what became of it.
struct ReplyBudget {
    remaining_bytes: AtomicUsize,
    memory: MemoryBudget,
    reservations: Mutex<Vec<Reservation>>,
}

const SHORT_RESULT_BYTES: usize = 1024;

impl ReplyBudget {
    fn new(state: &ServerState) -> Self {
        Self {
            remaining_bytes: AtomicUsize::new(state.config.reply_max_bytes),
            memory: state.memory.clone(),
            reservations: Mutex::default(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        if self.remaining_bytes.load(Ordering::Relaxed) == 0 {
            Err(Self::exceeded())
        } else {
            Ok(())
        }
    }

    fn take(&self, result: &str) -> Result<(), Fault> {
        if result.len() < SHORT_RESULT_BYTES {
            return Ok(());
        }
        let take = |remaining: usize| remaining.checked_sub(result.len());
        if self
            .remaining_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_err()
        {
            // What follows in a batch is refused before it runs.
            self.remaining_bytes.store(0, Ordering::Relaxed);
            return Err(Self::exceeded());
        }
        let reservation = self.memory.try_reserve_reply(result.len()).ok_or_else(|| {
            Fault::busy("this node has as many replies to send as it has memory for")
        })?;
        self.reservations
            .lock()
            .expect("no holder of the reservations panics")
            .push(reservation);
        Ok(())
    }

    fn into_reservations(self) -> Vec<Reservation> {
        self.reservations
            .into_inner()
            .expect("no holder of the reservations panics")
    }

    fn exceeded() -> Fault {
        Fault::new(
            ErrorCode::ReplyTooLarge,
            "the reply is longer than this node's limit",
        )
    }
}
