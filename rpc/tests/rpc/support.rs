//! A server to test against, and bare clients that show every byte.

use futures::{SinkExt, StreamExt};
use holdfast_rpc::dto::BlockRef;
use holdfast_rpc::testing::FakeBackend;
use holdfast_rpc::{
    BuildInfo, Client, ClientConfig, FeedLimits, Metrics, RpcConfig, RpcHandle, RpcServer,
};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Nothing in these tests takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
pub(crate) struct Node {
    pub(crate) backend: Arc<FakeBackend>,
    pub(crate) metrics: Metrics,
    pub(crate) handle: RpcHandle,
}

pub(crate) fn config() -> RpcConfig {
    RpcConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        ..RpcConfig::default()
    }
}

pub(crate) fn metrics() -> Metrics {
    Metrics::new(BuildInfo {
        version: "0.0.0",
        commit: "unknown",
    })
}

pub(crate) async fn start(config: RpcConfig) -> Node {
    start_with_feed(config, FeedLimits::default()).await
}

pub(crate) async fn start_with_feed(config: RpcConfig, limits: FeedLimits) -> Node {
    let backend = FakeBackend::new(limits);
    let metrics = metrics();
    let handle = RpcServer::start(config, backend.clone(), metrics.clone())
        .await
        .unwrap();
    Node {
        backend,
        metrics,
        handle,
    }
}

/// A reply as it came over the socket.
#[derive(Debug)]
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl HttpReply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn error_code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap()
    }
}

impl Node {
    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.local_addr()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url(), ClientConfig::default()).unwrap()
    }

    /// Sends these bytes on a new connection and reads until the server closes it.
    pub(crate) async fn exchange(&self, request: &[u8]) -> HttpReply {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address()).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            parse_reply(&bytes)
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap()
    }

    pub(crate) async fn request(
        &self,
        method_and_path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpReply {
        let mut request = format!(
            "{method_and_path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str(&format!("host: {}\r\n", self.address()));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        self.exchange(&request).await
    }

    pub(crate) async fn get(&self, path: &str) -> HttpReply {
        self.request(&format!("GET {path}"), &[], b"").await
    }

    pub(crate) async fn post(&self, body: impl AsRef<[u8]>) -> HttpReply {
        self.request(
            "POST /rpc",
            &[("content-type", "application/json")],
            body.as_ref(),
        )
        .await
    }

    /// The reply to one call.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let reply = self.post(request(1, method, params).to_string()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub(crate) async fn websocket(&self) -> Socket {
        let url = format!("ws://{}/rpc", self.address());
        let (stream, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Socket {
            stream,
            notifications: Vec::new(),
        }
    }

    /// Queues transactions and makes a block of them.
    pub(crate) async fn block_of(&self, transactions: &[&str]) -> BlockRef {
        for transaction in transactions {
            let reply = self
                .call("chain_sendTransaction", json!([transaction]))
                .await;
            assert!(reply["result"]["transaction_id"].is_string(), "{reply}");
        }
        self.backend.produce_block()
    }
}

pub(crate) fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

pub(crate) fn parse_reply(bytes: &[u8]) -> HttpReply {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no reply: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    HttpReply {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// A WebSocket that keeps notifications apart from replies.
pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    notifications: Vec<Value>,
}

impl Socket {
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.unwrap();
    }

    /// The next message of any kind but ping and pong.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(message)) => return Some(message),
                    Some(Err(_)) | None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, next)
            .await
            .expect("a message comes in time")
    }

    pub(crate) async fn json(&mut self) -> Value {
        match self.message().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text message: {other:?}"),
        }
    }

    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(request(1, method, params).to_string()).await;
        loop {
            let message = self.json().await;
            if message.get("id").is_some() {
                return message;
            }
            self.notifications.push(message);
        }
    }

    /// Subscribes and gives the id of the subscription.
    pub(crate) async fn subscribe(&mut self, params: Value) -> String {
        let reply = self.call("chain_subscribe", params).await;
        reply["result"]
            .as_str()
            .unwrap_or_else(|| panic!("{reply}"))
            .to_owned()
    }

    /// The `result` of the next notification.
    pub(crate) async fn notification(&mut self) -> Value {
        self.notification_of_any().await.1
    }

    /// The next notification: id of the subscription, and `result`.
    pub(crate) async fn notification_of_any(&mut self) -> (String, Value) {
        let message = if self.notifications.is_empty() {
            self.json().await
        } else {
            self.notifications.remove(0)
        };
        assert_eq!(message["method"], "chain_subscription", "{message}");
        let id = message["params"]["subscription"]
            .as_str()
            .unwrap_or_else(|| panic!("{message}"));
        (id.to_owned(), message["params"]["result"].clone())
    }

    /// Code and reason with which the server closes.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Some(Message::Close(Some(frame))) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Some(Message::Text(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }
}
