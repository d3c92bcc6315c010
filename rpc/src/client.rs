//! A typed client: for the command line, the load generator and tests. It stands on the jsonrpsee client and on the
//! method definitions of the server.

use crate::codes::ErrorCode;
use crate::config::AdminToken;
use crate::dto::{Notification, Sent, TransactionBytes};
use crate::methods::{
    Method, NOTIFICATION_METHOD, SendParams, SendTransaction, Subscribe, SubscribeParams,
    Unsubscribe,
};
use jsonrpsee::core::client::{
    ClientT, Error as TransportError, Subscription, SubscriptionClientT,
};
use jsonrpsee::core::params::BatchRequestBuilder;
use jsonrpsee::core::traits::ToRpcParams;
use jsonrpsee::http_client::{HeaderMap, HeaderValue, HttpClient};
use jsonrpsee::types::ErrorObject;
use jsonrpsee::ws_client::{PingConfig, WsClient, WsClientBuilder};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use std::time::Duration;

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error("{url:?} is no URL of a node: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node was not reached, or refused before reading the call. Whether a transaction arrived is unknown; sending
    /// it again is harmless.
    #[error("the node at {url} cannot be reached: {reason}")]
    Unreachable {
        /// The URL.
        url: String,
        /// What happened.
        reason: String,
    },
    /// No reply within the time of [`ClientConfig`].
    #[error("the node at {url} did not reply in time")]
    Timeout {
        /// The URL.
        url: String,
    },
    /// The node answered with an error.
    #[error(transparent)]
    Call(#[from] RpcCallError),
    /// The reply is not what the method gives: another kind of server, or another version.
    #[error("the node at {url} answered with something unexpected: {reason}")]
    Protocol {
        /// The URL.
        url: String,
        /// What was unexpected.
        reason: String,
    },
}

/// An error that the node answered with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcCallError {
    /// The number; [`Self::error_code`] gives it a name.
    pub code: i32,
    /// What is wrong, for a person.
    pub message: String,
    /// Further facts: `code_name`, `retry_after_s`, `reason`, `runbook`, …
    pub data: Map<String, Value>,
}

impl RpcCallError {
    /// The code, if it is one of ours.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode> {
        ErrorCode::ALL
            .iter()
            .copied()
            .find(|code| code.number() == self.code)
    }

    /// When a retry makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.data
            .get("retry_after_s")
            .and_then(Value::as_u64)
            .map(Duration::from_secs)
    }
}

impl From<&ErrorObject<'_>> for RpcCallError {
    fn from(error: &ErrorObject<'_>) -> Self {
        let data = error
            .data()
            .and_then(|data| serde_json::from_str(data.get()).ok())
            .unwrap_or_default();
        Self {
            code: error.code(),
            message: error.message().to_owned(),
            data,
        }
    }
}

/// Limits of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Longest time for one call.
    pub call_timeout: Duration,
    /// Longest reply, in bytes.
    pub reply_max_bytes: u32,
    /// For methods that change the node.
    pub admin_token: Option<AdminToken>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(75),
            reply_max_bytes: 64 << 20,
            admin_token: None,
        }
    }
}

/// A client over HTTP. Clones share its connections; any number of calls may run at once.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient,
    url: String,
}

impl Client {
    /// A client of the node at `url`, `http://host:port`.
    pub fn new(url: &str, config: ClientConfig) -> Result<Self, ClientError> {
        let url = endpoint(url);
        let refused = |reason: String| ClientError::Url {
            url: url.clone(),
            reason,
        };
        let mut headers = HeaderMap::new();
        if let Some(token) = &config.admin_token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_str()))
                .map_err(|_| refused("the admin token is no text of one line".to_owned()))?;
            value.set_sensitive(true);
            headers.insert("authorization", value);
        }
        let http = HttpClient::builder()
            .set_headers(headers)
            .request_timeout(config.call_timeout)
            .max_response_size(config.reply_max_bytes)
            .max_request_size(u32::MAX)
            .build(&url)
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self { http, url })
    }

    /// Calls a method: `client.call::<GetStatus>(NoParams {})`.
    pub async fn call<M: Method>(&self, params: M::Params) -> Result<M::Output, ClientError> {
        let reply = self.http.request(M::NAME, json_params(&params)).await;
        reply.map_err(|error| explain(&self.url, error))
    }

    /// Sends transactions in one batch, at most as many as the node takes, and says what became of each, in order.
    pub async fn send_transactions(
        &self,
        transactions: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Vec<Result<Sent, RpcCallError>>, ClientError> {
        let mut batch = BatchRequestBuilder::new();
        for transaction in transactions {
            let params = SendParams {
                transaction: TransactionBytes(transaction.into()),
                options: None,
            };
            let inserted = batch.insert(SendTransaction::NAME, json_params(&params));
            inserted.expect("parameters that are JSON already always serialize");
        }
        let replies = self
            .http
            .batch_request::<Sent>(batch)
            .await
            .map_err(|error| explain(&self.url, error))?;
        Ok(replies
            .into_iter()
            .map(|reply| reply.map_err(|error| RpcCallError::from(&error)))
            .collect())
    }
}

/// The notifications of one subscription, over a WebSocket of its own. After an end reopen it with the last cursor.
#[derive(Debug)]
pub struct EventStream {
    subscription: Subscription<Notification>,
    /// Keeps the connection open.
    _socket: WsClient,
    url: String,
}

impl EventStream {
    /// Notifications that wait here while the owner of the stream is busy; beyond this the stream ends.
    const BUFFER_NOTIFICATIONS: usize = 4096;

    /// Subscribes at the node at `url`, `http://host:port` or `ws://host:port`.
    pub async fn open(
        url: &str,
        params: SubscribeParams,
        config: ClientConfig,
    ) -> Result<Self, ClientError> {
        let url = endpoint(&url.replacen("http", "ws", usize::from(url.starts_with("http"))));
        let socket = WsClientBuilder::default()
            .request_timeout(config.call_timeout)
            .max_response_size(config.reply_max_bytes)
            .max_buffer_capacity_per_subscription(Self::BUFFER_NOTIFICATIONS)
            .enable_ws_ping(PingConfig::new())
            .build(&url)
            .await
            .map_err(|error| explain(&url, error))?;
        let subscription = socket
            .subscribe(Subscribe::NAME, json_params(&params), Unsubscribe::NAME)
            .await
            .map_err(|error| explain(&url, error))?;
        Ok(Self {
            subscription,
            _socket: socket,
            url,
        })
    }

    /// The next notification; none when the connection has ended.
    pub async fn next(&mut self) -> Option<Result<Notification, ClientError>> {
        let notification = self.subscription.next().await?;
        Some(notification.map_err(|error| ClientError::Protocol {
            url: self.url.clone(),
            reason: format!("a {NOTIFICATION_METHOD} of unknown shape: {error}"),
        }))
    }
}

/// The JSON-RPC endpoint: the path of the URL, `/rpc` if it has none.
fn endpoint(url: &str) -> String {
    let trimmed = url.trim_end_matches('/');
    let host = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    if host.contains('/') {
        trimmed.to_owned()
    } else {
        format!("{trimmed}/rpc")
    }
}

struct JsonParams(Box<RawValue>);

impl ToRpcParams for JsonParams {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        Ok(Some(self.0))
    }
}

fn json_params(params: &impl Serialize) -> JsonParams {
    JsonParams(to_raw_value(params).expect("parameters always serialize"))
}

fn explain(url: &str, error: TransportError) -> ClientError {
    let url = url.to_owned();
    match error {
        TransportError::Call(error) => ClientError::Call(RpcCallError::from(&error)),
        TransportError::RequestTimeout => ClientError::Timeout { url },
        TransportError::ParseError(error) => ClientError::Protocol {
            url,
            reason: error.to_string(),
        },
        TransportError::InvalidRequestId(error) => ClientError::Protocol {
            url,
            reason: error.to_string(),
        },
        TransportError::InvalidSubscriptionId => ClientError::Protocol {
            url,
            reason: "an invalid subscription id".to_owned(),
        },
        other => ClientError::Unreachable {
            url,
            reason: with_sources(&other),
        },
    }
}

/// The message of an error with those of its causes, which the library's own message leaves out.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_rpc_unless_the_url_has_a_path() {
        for (url, expected) in [
            ("http://127.0.0.1:8645", "http://127.0.0.1:8645/rpc"),
            ("http://127.0.0.1:8645/", "http://127.0.0.1:8645/rpc"),
            (
                "https://node.example/holdfast",
                "https://node.example/holdfast",
            ),
        ] {
            assert_eq!(endpoint(url), expected);
        }
    }
}
