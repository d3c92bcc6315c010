//! The server over real sockets on loopback, with the in-memory backend.

#[path = "rpc/alerts.rs"]
mod alerts;
#[path = "rpc/calls.rs"]
mod calls;
#[path = "rpc/documents.rs"]
mod documents;
#[path = "rpc/halts.rs"]
mod halts;
#[path = "rpc/health.rs"]
mod health;
#[path = "rpc/http.rs"]
mod http;
#[path = "rpc/limits.rs"]
mod limits;
#[path = "rpc/lockdown.rs"]
mod lockdown;
#[path = "rpc/metrics.rs"]
mod metrics;
#[path = "rpc/protocol.rs"]
mod protocol;
#[path = "rpc/sending.rs"]
mod sending;
#[path = "rpc/subscriptions.rs"]
mod subscriptions;
#[path = "rpc/support.rs"]
mod support;
#[path = "rpc/websocket.rs"]
mod websocket;
