//! The HTTP side: routes, transport errors, and the JSON-RPC endpoint.

use super::memory::hold;
use super::{access, websocket};
use crate::codes::{ErrorCode, Fault};
use crate::config::{RpcConfig, milliseconds};
use crate::dispatch::{Caller, Reply, dispatch, error_text};
use crate::health::HealthReply;
use crate::metrics::GaugeGuard;
use crate::server::Reservation;
use crate::state::ServerState;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tower_http::cors::CorsLayer;

/// The state of the chain, on every reply.
const CHAIN_STATE_HEADER: HeaderName = HeaderName::from_static("x-holdfast-chain-state");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METRICS_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

/// The permit of a TCP connection, which its WebSocket takes over.
#[derive(Clone, Debug)]
pub(super) struct ConnectionHeld(
    #[expect(dead_code, reason = "held, not read")]
    pub(super)  Arc<(OwnedSemaphorePermit, GaugeGuard)>,
);

/// What the handlers share.
#[derive(Clone, Debug)]
struct Shared {
    state: Arc<ServerState>,
    websockets: Arc<Semaphore>,
    stop_signal: watch::Receiver<bool>,
}

pub(super) fn router(
    state: Arc<ServerState>,
    websockets: Arc<Semaphore>,
    stop_signal: watch::Receiver<bool>,
) -> Router {
    let cors = cors(&state.config);
    let shared = Shared {
        state: Arc::clone(&state),
        websockets,
        stop_signal,
    };
    Router::new()
        .route("/rpc", post(call).get(upgrade))
        .route("/", post(call).get(unknown_path))
        .route("/openrpc.json", get(openrpc))
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
        .layer(cors)
        .layer(from_fn_with_state(state, guard))
}

/// Closed unless origins are configured.
fn cors(config: &RpcConfig) -> CorsLayer {
    if config.cors_origins.is_empty() {
        return CorsLayer::new();
    }
    let origins: Vec<HeaderValue> = config
        .cors_origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([CONTENT_TYPE])
        .expose_headers([CHAIN_STATE_HEADER])
}

/// Refuses whoever may not talk to the node, and puts the common headers on every reply.
async fn guard(State(state): State<Arc<ServerState>>, request: Request, next: Next) -> Response {
    let mut response = match access::check(&state.config, &request) {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            let fault = Fault::new(ErrorCode::InvalidRequest, denied.message());
            refuse(&state, StatusCode::FORBIDDEN, denied.name(), &fault)
        }
    };
    let chain_state = HeaderValue::from_static(state.backend.chain_state().as_str());
    let headers = response.headers_mut();
    headers.insert(CHAIN_STATE_HEADER, chain_state);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A JSON-RPC call or batch.
async fn call(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let state = &shared.state;
    let is_admin = access::is_admin(&state.config, peer.ip(), request.headers());
    match receive(state, peer, request).await {
        Ok((body, _reservation)) => {
            let caller = Caller {
                address: peer.ip(),
                subscriptions: None,
                is_admin,
            };
            reply(state, dispatch(state, &body, caller).await)
        }
        Err(response) => *response,
    }
}

fn reply(state: &ServerState, reply: Reply) -> Response {
    let Some(text) = reply.text else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let status = if reply.malformed {
        state.metrics.rpc.refused.with("malformed").inc();
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    (
        status,
        [(CONTENT_TYPE, JSON)],
        hold(text, reply.reservations),
    )
        .into_response()
}

/// Reads the body of a call within the limits of type, rate, size, memory and time.
async fn receive(
    state: &ServerState,
    peer: SocketAddr,
    request: Request,
) -> Result<(Vec<u8>, Reservation), Box<Response>> {
    let limit = state.config.body_max_bytes;
    let (capacity, reservation) = admit(state, peer, request.headers(), limit)?;
    let reading = read(request.into_body(), capacity, limit);
    let refused = |status, reason, said| {
        let fault = Fault::new(ErrorCode::InvalidRequest, said);
        Box::new(refuse(state, status, reason, &fault))
    };
    match timeout(milliseconds(state.config.body_timeout_ms), reading).await {
        Ok(Ok(body)) => Ok((body, reservation)),
        Ok(Err(ReadError::TooLarge)) => Err(Box::new(too_large(state, limit))),
        Ok(Err(ReadError::Broken)) => Err(refused(
            StatusCode::BAD_REQUEST,
            "malformed",
            "the body broke off",
        )),
        Err(_) => Err(refused(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "the body took too long to arrive",
        )),
    }
}

/// Whether the body of a call may be read: how much memory to give it at first, and the reservation for all of it.
fn admit(
    state: &ServerState,
    peer: SocketAddr,
    headers: &HeaderMap,
    limit: usize,
) -> Result<(usize, Reservation), Box<Response>> {
    let refused = |status, reason, fault: &Fault| Box::new(refuse(state, status, reason, fault));
    if !access::is_json(headers) {
        let fault = Fault::new(
            ErrorCode::InvalidRequest,
            "the content type must be application/json",
        );
        return Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type",
            &fault,
        ));
    }
    if let Some(limiter) = &state.rate_limiter
        && let Err(fault) = limiter.check(peer.ip(), Instant::now())
    {
        return Err(refused(StatusCode::TOO_MANY_REQUESTS, "rate", &fault));
    }
    let declared: Option<usize> = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let expected = declared.unwrap_or(limit);
    if expected > limit {
        return Err(Box::new(too_large(state, limit)));
    }
    let Some(reservation) = state.memory.try_reserve(expected) else {
        let fault = Fault::busy("this node has as many requests to read as it has memory for");
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, "memory", &fault));
    };
    Ok((declared.unwrap_or(0), reservation))
}

enum ReadError {
    TooLarge,
    Broken,
}

async fn read(body: Body, capacity: usize, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::with_capacity(capacity);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk.map_err(|_| ReadError::Broken)?;
        if bytes.len() + chunk.len() > limit {
            return Err(ReadError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(state: &ServerState, limit: usize) -> Response {
    let message = format!("the body is longer than {limit} bytes; split it");
    let fault = Fault::new(ErrorCode::InvalidRequest, message).detail("limit", limit);
    refuse(
        state,
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        &fault,
    )
}

/// Refuses what is no call yet; the body is a JSON-RPC error all the same.
fn refuse(state: &ServerState, status: StatusCode, reason: &str, fault: &Fault) -> Response {
    state.metrics.rpc.refused.with(reason).inc();
    fault_response(status, fault)
}

fn fault_response(status: StatusCode, fault: &Fault) -> Response {
    let mut response = (status, [(CONTENT_TYPE, JSON)], error_text(None, fault)).into_response();
    if let Some(seconds) = fault.retry_after_seconds {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Turns the connection into a WebSocket.
async fn upgrade(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(connection): Extension<ConnectionHeld>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Shared {
        state,
        websockets,
        stop_signal,
    } = shared;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let message = format!("POST a JSON-RPC request, or open a WebSocket ({rejection})");
            return fault_response(
                rejection.into_response().status(),
                &Fault::new(ErrorCode::InvalidRequest, message),
            );
        }
    };
    let Ok(permit) = websockets.try_acquire_owned() else {
        let fault = Fault::busy("this node has as many WebSocket connections as it takes");
        return refuse(
            &state,
            StatusCode::SERVICE_UNAVAILABLE,
            "websockets",
            &fault,
        );
    };
    let limit = state.config.body_max_bytes;
    upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| async move {
            let session = websocket::Session::new(state, peer.ip());
            session.run(socket, stop_signal).await;
            drop((permit, connection));
        })
}

async fn openrpc(State(shared): State<Shared>) -> Response {
    (
        [(CONTENT_TYPE, JSON)],
        shared.state.methods.document().to_string(),
    )
        .into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    (
        [(CONTENT_TYPE, METRICS_TEXT)],
        shared.state.metrics.encode(),
    )
        .into_response()
}

async fn live(State(shared): State<Shared>) -> Response {
    health(&shared.state.backend.health().live())
}

async fn ready(State(shared): State<Shared>) -> Response {
    health(&shared.state.backend.health().ready())
}

fn health(reply: &HealthReply) -> Response {
    let status = if reply.ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let text = serde_json::to_string(reply).expect("this shape always serializes");
    (status, [(CONTENT_TYPE, JSON)], text).into_response()
}

async fn unknown_path() -> Response {
    let message = "there is nothing here; JSON-RPC is at /rpc, besides /openrpc.json, /metrics, /livez, /readyz";
    fault_response(
        StatusCode::NOT_FOUND,
        &Fault::new(ErrorCode::InvalidRequest, message),
    )
}

async fn wrong_method() -> Response {
    let message = "wrong HTTP method: POST /rpc, GET everything else";
    fault_response(
        StatusCode::METHOD_NOT_ALLOWED,
        &Fault::new(ErrorCode::InvalidRequest, message),
    )
}
