//! Accepting connections, and ending them when the server stops.

use super::stall::StallGuard;
use super::{grace, http, stopped};
use crate::config::milliseconds;
use crate::state::ServerState;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Longest head of a request, in bytes; hyper asks for at least 8 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Pause after a failed accept: out of file descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until stopped; then lets connections end within the grace.
pub(super) async fn serve(
    listener: TcpListener,
    state: Arc<ServerState>,
    stop_signal: watch::Receiver<bool>,
) {
    let websockets = Arc::new(Semaphore::new(state.config.websocket_connections_max));
    let router = http::router(
        Arc::clone(&state),
        Arc::clone(&websockets),
        stop_signal.clone(),
    );
    let permits = Arc::new(Semaphore::new(state.config.connections_max));
    let mut connections = JoinSet::new();
    let mut stopping = pin!(stopped(stop_signal.clone()));
    loop {
        let (stream, peer, permit) = tokio::select! {
            () = &mut stopping => break,
            accepted = accept(&listener, &permits) => accepted,
            // Ended connections are collected as they end, so that the set does not grow.
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "an RPC connection panicked");
                }
                continue;
            }
        };
        let connection = Connection {
            stream,
            peer,
            permit,
            state: Arc::clone(&state),
            router: router.clone(),
        };
        connections.spawn(connection.serve(stop_signal.clone()));
    }
    drop(listener);
    let all_ended = async {
        while connections.join_next().await.is_some() {}
        // WebSockets hold their permits until they are closed.
        let all = u32::try_from(state.config.websocket_connections_max).unwrap_or(u32::MAX);
        let _: Result<_, _> = websockets.acquire_many(all).await;
    };
    if tokio::time::timeout(grace(&state), all_ended)
        .await
        .is_err()
    {
        tracing::info!("RPC connections outlasted the grace and were cut off");
    }
}

/// The next connection. While all permits are taken, nothing is accepted: further clients wait in the backlog.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .expect("this semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                tracing::warn!(%error, "cannot accept an RPC connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    state: Arc<ServerState>,
    router: Router,
}

impl Connection {
    async fn serve(self, stop_signal: watch::Receiver<bool>) {
        let Self {
            stream,
            peer,
            permit,
            state,
            router,
        } = self;
        let connection_held = Arc::new((permit, state.metrics.rpc.count_connection()));
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        let stream = StallGuard::new(stream, milliseconds(state.config.write_stall_timeout_ms));
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            // A WebSocket takes the connection over; its permit goes along.
            request
                .extensions_mut()
                .insert(http::ConnectionHeld(Arc::clone(&connection_held)));
            router.clone().oneshot(request.map(axum::body::Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(milliseconds(state.config.header_timeout_ms))
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stopped(stop_signal) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "an RPC connection ended with an error");
        }
    }
}
