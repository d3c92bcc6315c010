//! The node's interface for operators and clients: JSON-RPC 2.0 over HTTP and WebSocket, Prometheus metrics, health.
//!
//! The node implements [`Backend`], publishes to a [`Feed`], sets [`Metrics`] and starts an [`RpcServer`]; everything
//! else follows from one definition per method in [`methods`]. This crate knows neither consensus nor storage nor
//! network.
//!
//! The transport is our own on axum: jsonrpsee's server mounts into axum and works, but spawns a task for every
//! WebSocket message it reads without bound (one client that pipelines calls takes gigabytes), closes connections
//! without a reason and runs the entries of a batch one after another. Its client is used, by [`Client`], and so
//! checks our side of the protocol.

mod backend;
mod client;
mod codes;
mod config;
mod dispatch;
mod docs;
pub mod dto;
mod feed;
mod health;
pub mod methods;
pub mod metrics;
mod server;
mod state;
mod subscriptions;
#[cfg(any(test, feature = "test-utils"))]
pub mod testing;

pub use backend::{AttributedReceipt, Backend, BackendError};
pub use client::{Client, ClientConfig, ClientError, EventStream, RpcCallError};
pub use codes::{ErrorCode, Fault};
pub use config::{AdminToken, DEFAULT_RPC_PORT, RateLimit, RpcConfig, RpcConfigError};
pub use docs::{example_requests, rpc_reference};
pub use feed::{ChainEvent, Feed, FeedLimits};
pub use health::{Check, CheckReply, Health, HealthReply, NotReady};
pub use metrics::{BuildInfo, Metrics};
pub use server::{RpcError, RpcHandle, RpcServer};
