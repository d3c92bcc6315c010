//! A WebSocket connection: calls, subscriptions, pings, and a close code with a reason whenever the server ends it.
//!
//! One task per connection does everything. It reads no further message while the connection has its limit of calls
//! in flight, and it pulls events only when the last ones are written: a client that is slow to read is slow to be
//! read from, and costs nothing else.

use super::memory::hold;
use super::stopped;
use crate::config::milliseconds;
use crate::dispatch::{Caller, Reply, dispatch};
use crate::state::ServerState;
use crate::subscriptions::{ConnectionSubscriptions, Subscription};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use std::future::ready;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::Error as ProtocolError;

/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A WebSocket connection.
#[derive(Debug)]
pub(super) struct Session {
    state: Arc<ServerState>,
    address: IpAddr,
    subscriptions: ConnectionSubscriptions,
}

/// Why the server ends a connection.
#[derive(Debug)]
enum End {
    /// The client has closed it, or it broke.
    Gone,
    /// The server closes it with this code and reason.
    Close(u16, &'static str),
}

/// What a session does next.
enum Step {
    /// A message of this many bytes is answered.
    Answered(usize, Reply),
    Received(Option<Result<Message, axum::Error>>),
    Events,
    Ping,
}

type Sink = SplitSink<WebSocket, Message>;

impl Session {
    pub(super) fn new(state: Arc<ServerState>, address: IpAddr) -> Self {
        Self {
            state,
            address,
            subscriptions: ConnectionSubscriptions::default(),
        }
    }

    pub(super) async fn run(self, socket: WebSocket, stop_signal: watch::Receiver<bool>) {
        let _count = self.state.metrics.rpc.count_websocket();
        let (mut sink, mut stream) = socket.split();
        let end = self.converse(&mut sink, &mut stream, stop_signal).await;
        if let End::Close(code, reason) = end {
            tracing::debug!(address = %self.address, code, reason, "closing a WebSocket");
            let frame = CloseFrame {
                code,
                reason: Utf8Bytes::from_static(reason),
            };
            let closing = async {
                if sink.send(Message::Close(Some(frame))).await.is_ok() {
                    // Until the client has answered: a socket that is closed with unread data in it would take
                    // the close frame along.
                    while let Some(Ok(_)) = stream.next().await {}
                }
            };
            let _: Result<(), _> = timeout(CLOSE_TIMEOUT, closing).await;
        }
    }

    async fn converse(
        &self,
        sink: &mut Sink,
        stream: &mut SplitStream<WebSocket>,
        stop_signal: watch::Receiver<bool>,
    ) -> End {
        let mut stopping = pin!(stopped(stop_signal));
        let mut calls = FuturesUnordered::new();
        let mut active = Active {
            newest: self.state.feed().watch_newest(),
            subscriptions: Vec::new(),
            behind: false,
        };
        let mut liveness = Liveness::new(&self.state);
        let mut bytes_in_flight = 0;
        loop {
            let reading = calls.len() < self.state.config.calls_per_connection_max
                && bytes_in_flight < self.state.config.body_max_bytes;
            let step = tokio::select! {
                () = &mut stopping => return End::Close(close_code::AWAY, "the node is stopping"),
                Some((bytes, reply)) = calls.next(), if !calls.is_empty() => Step::Answered(bytes, reply),
                message = stream.next(), if reading => Step::Received(message),
                () = active.wait() => Step::Events,
                _ = liveness.ticks.tick() => Step::Ping,
            };
            let sent = match step {
                Step::Answered(bytes, reply) => {
                    bytes_in_flight -= bytes;
                    active.deliver(sink, reply).await
                }
                Step::Events => {
                    active
                        .send_events(&self.state, &self.subscriptions, sink)
                        .await
                }
                Step::Ping => {
                    if !reading {
                        // Pongs are not read either.
                        liveness.heard();
                    }
                    if !liveness.count_ping() {
                        return End::Close(
                            close_code::POLICY,
                            "no sign of life: pings were not answered",
                        );
                    }
                    sink.send(Message::Ping(axum::body::Bytes::new())).await
                }
                Step::Received(message) => {
                    liveness.heard();
                    match receive(message) {
                        Ok(Some(text)) => {
                            bytes_in_flight += text.len();
                            calls.push(self.answer(text));
                        }
                        Ok(None) => {}
                        Err(end) => return end,
                    }
                    Ok(())
                }
            };
            if let Err(error) = sent {
                tracing::debug!(address = %self.address, %error, "a WebSocket broke");
                return End::Gone;
            }
        }
    }

    async fn answer(&self, text: Utf8Bytes) -> (usize, Reply) {
        let caller = Caller {
            address: self.address,
            subscriptions: Some(&self.subscriptions),
            is_admin: false,
        };
        (
            text.len(),
            dispatch(&self.state, text.as_bytes(), caller).await,
        )
    }
}

/// The text of a message, none if it carries none, or the end of the connection.
fn receive(message: Option<Result<Message, axum::Error>>) -> Result<Option<Utf8Bytes>, End> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        // The library answers pings; both show that the client lives.
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => {
            Err(End::Close(close_code::UNSUPPORTED, "send text messages"))
        }
        Some(Ok(Message::Close(_))) | None => Err(End::Gone),
        Some(Err(error)) => Err(match error.into_inner().downcast_ref::<ProtocolError>() {
            Some(ProtocolError::Capacity(_)) => End::Close(
                close_code::SIZE,
                "the message is longer than this node's limit",
            ),
            Some(ProtocolError::Protocol(_)) => {
                End::Close(close_code::PROTOCOL, "not the WebSocket protocol")
            }
            Some(ProtocolError::Utf8(_)) => {
                End::Close(close_code::INVALID, "text messages are UTF-8")
            }
            _ => End::Gone,
        }),
    }
}

/// The subscriptions whose replies have been sent.
struct Active {
    newest: watch::Receiver<u64>,
    subscriptions: Vec<Subscription>,
    /// Some may have more to send without waiting for a new event.
    behind: bool,
}

impl Active {
    /// Ready when a subscription may have something to send.
    async fn wait(&mut self) {
        if self.subscriptions.is_empty() {
            std::future::pending().await
        } else if self.behind {
            ready(()).await;
        } else {
            // The feed outlives the server; if it did not, there would be no more events.
            if self.newest.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Sends a reply, then lets the subscriptions begin that it announces.
    async fn deliver(&mut self, sink: &mut Sink, reply: Reply) -> Result<(), axum::Error> {
        if let Some(text) = reply.text {
            sink.send(text_message(text, reply.reservations)).await?;
        }
        if !reply.subscriptions.is_empty() {
            self.subscriptions.extend(reply.subscriptions);
            self.behind = true;
        }
        Ok(())
    }

    /// One turn of every subscription.
    async fn send_events(
        &mut self,
        state: &Arc<ServerState>,
        existing: &ConnectionSubscriptions,
        sink: &mut Sink,
    ) -> Result<(), axum::Error> {
        self.newest.mark_unchanged();
        self.behind = false;
        self.subscriptions
            .retain(|subscription| existing.contains(subscription.id()));
        for subscription in &mut self.subscriptions {
            let turn = subscription.turn(state).await;
            self.behind |= turn.more;
            for notification in turn.notifications {
                sink.feed(text_message(notification, Vec::new())).await?;
            }
        }
        sink.flush().await
    }
}

fn text_message(text: String, reservations: Vec<super::Reservation>) -> Message {
    let bytes = hold(text, reservations);
    Message::Text(Utf8Bytes::try_from(bytes).expect("the bytes were a string"))
}

/// Pings, and how many went out since the client was last heard. Counting them, instead of time, a busy node does not
/// blame a client for replies that it has not come to read yet.
struct Liveness {
    ticks: Interval,
    pings_unanswered: u32,
    pings_unanswered_max: u32,
}

impl Liveness {
    fn new(state: &ServerState) -> Self {
        let period_ms = state.config.websocket_ping_interval_ms;
        let period = milliseconds(period_ms);
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pings_unanswered_max = state.config.websocket_idle_timeout_ms / period_ms;
        Self {
            ticks,
            pings_unanswered: 0,
            pings_unanswered_max,
        }
    }

    const fn heard(&mut self) {
        self.pings_unanswered = 0;
    }

    /// Counts another ping, unless too many are unanswered.
    const fn count_ping(&mut self) -> bool {
        let silent = self.pings_unanswered >= self.pings_unanswered_max;
        self.pings_unanswered += 1;
        !silent
    }
}
