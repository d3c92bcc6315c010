//! The server: one TCP listener for JSON-RPC over HTTP and WebSocket, metrics and health.

mod access;
mod http;
mod listener;
mod memory;
mod rate_limit;
mod stall;
mod websocket;

pub(crate) use memory::{MemoryBudget, Reservation};
pub(crate) use rate_limit::RateLimiter;

use crate::backend::Backend;
use crate::config::{RpcConfig, RpcConfigError, milliseconds};
use crate::metrics::Metrics;
use crate::state::ServerState;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why the server did not start; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// A setting breaks a rule.
    #[error(transparent)]
    Config(#[from] RpcConfigError),
    /// Somebody else listens there.
    #[error(
        "cannot listen for RPC on {address}: the port is in use; stop the other process or set rpc.listen to a free port"
    )]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address is none of this machine's.
    #[error(
        "cannot listen for RPC on {address}: this machine does not have the address; set rpc.listen to one of its own"
    )]
    AddressNotAvailable {
        /// The address.
        address: SocketAddr,
    },
    /// The operating system forbids it.
    #[error(
        "cannot listen for RPC on {address}: permission denied; set rpc.listen to a port from 1024 on"
    )]
    PermissionDenied {
        /// The address.
        address: SocketAddr,
    },
    /// Any other failure of the operating system.
    #[error("cannot listen for RPC on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What failed.
        source: io::Error,
    },
}

/// The RPC server.
#[derive(Clone, Copy, Debug)]
pub struct RpcServer;

/// A running server. Dropping it stops the server at once; [`Self::stop`] lets connections end.
#[derive(Debug)]
pub struct RpcHandle {
    local_address: SocketAddr,
    stopping: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl RpcServer {
    /// Starts the server on the current tokio runtime. When this returns it is listening.
    pub async fn start(
        config: RpcConfig,
        backend: Arc<dyn Backend>,
        metrics: Metrics,
    ) -> Result<RpcHandle, RpcError> {
        config.validate()?;
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| explain(address, source))?;
        let local_address = listener
            .local_addr()
            .map_err(|source| explain(address, source))?;
        let (stopping, stopped) = watch::channel(false);
        let state = Arc::new(ServerState::new(config, backend, metrics));
        let task = tokio::spawn(listener::serve(listener, state, stopped));
        tracing::info!(address = %local_address, "RPC server listening");
        Ok(RpcHandle {
            local_address,
            stopping,
            task: Some(task),
        })
    }
}

impl RpcHandle {
    /// The address on which the server listens; with the real port if port 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_address
    }

    /// Stops: no new connections, running calls are answered, WebSockets are closed with a reason. What has not
    /// ended after the configured grace is cut off.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the RPC server ended badly");
        }
    }
}

impl Drop for RpcHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn explain(address: SocketAddr, source: io::Error) -> RpcError {
    match source.kind() {
        io::ErrorKind::AddrInUse => RpcError::AddressInUse { address },
        io::ErrorKind::AddrNotAvailable => RpcError::AddressNotAvailable { address },
        io::ErrorKind::PermissionDenied => RpcError::PermissionDenied { address },
        _ => RpcError::Listen { address, source },
    }
}

/// Ready when the server stops.
async fn stopped(mut signal: watch::Receiver<bool>) {
    // A lost sender means that the handle was dropped, which stops the server too.
    let _: Result<_, _> = signal.wait_for(|stopping| *stopping).await;
}

/// How long connections may take to end.
fn grace(state: &ServerState) -> std::time::Duration {
    milliseconds(state.config.shutdown_grace_ms)
}
