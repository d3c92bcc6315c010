//! WebSocket connections: calls, limits, pings, and a code and a reason whenever the server closes.

use crate::support::{PATIENCE, config, request, start};
use futures::{SinkExt, StreamExt};
use holdfast_rpc::RpcConfig;
use serde_json::json;
use std::collections::BTreeSet;
use std::pin::pin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_same_protocol_as_over_http() {
    let node = start(config()).await;
    let mut socket = node.websocket().await;
    assert!(socket.call("node_getPeers", json!([])).await["result"].is_array());
    assert_eq!(
        socket.call("nonsense", json!([])).await["error"]["code"],
        -32601
    );
    socket.send("{").await;
    assert_eq!(socket.json().await["error"]["code"], -32700);
    socket.send("[]").await;
    assert_eq!(socket.json().await["error"]["code"], -32600);
    // A notification is not answered: the next message is the reply to what follows.
    socket
        .send(
            json!({ "jsonrpc": "2.0", "method": "chain_sendTransaction", "params": ["aa"] })
                .to_string(),
        )
        .await;
    let batch = json!([
        request(1, "node_getPeers", json!([])),
        request(2, "node_getInfo", json!([]))
    ]);
    socket.send(batch.to_string()).await;
    let replies = socket.json().await;
    assert_eq!(
        (&replies[0]["id"], &replies[1]["id"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(node.backend.queue_len(), 1);
}

#[tokio::test]
async fn pipelined_calls_beyond_the_limit_are_answered_later_not_refused() {
    const CALLS: u64 = 500;
    let node = start(RpcConfig {
        calls_per_connection_max: 4,
        ..config()
    })
    .await;
    node.backend.hold_submissions(true);
    let mut socket = node.websocket().await;
    for id in 0..CALLS {
        let call = request(id, "chain_sendTransaction", json!([format!("{id:04x}")]));
        socket
            .stream
            .feed(Message::text(call.to_string()))
            .await
            .unwrap();
    }
    socket.stream.flush().await.unwrap();
    while node.backend.held_submissions() < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        node.backend.queue_len(),
        4,
        "no more are read while four are in flight"
    );
    node.backend.hold_submissions(false);
    let mut ids = BTreeSet::new();
    for _ in 0..CALLS {
        ids.insert(socket.json().await["id"].as_u64().unwrap());
    }
    assert_eq!(ids, (0..CALLS).collect());
}

#[tokio::test]
async fn messages_in_flight_are_bounded_in_bytes_too() {
    let node = start(RpcConfig {
        body_max_bytes: 1000,
        ..config()
    })
    .await;
    node.backend.hold_submissions(true);
    let mut socket = node.websocket().await;
    for id in 0..4 {
        let transaction = format!("{id:02x}").repeat(300);
        socket
            .send(request(id, "chain_sendTransaction", json!([transaction])).to_string())
            .await;
    }
    while node.backend.held_submissions() < 2 {
        tokio::task::yield_now().await;
    }
    // A call over another connection is answered after the server has had its chance to read a third message.
    assert!(node.call("node_getPeers", json!([])).await["result"].is_array());
    assert_eq!(node.backend.queue_len(), 2);
    node.backend.hold_submissions(false);
    for _ in 0..4 {
        assert!(socket.json().await["result"].is_object());
    }
}

#[tokio::test]
async fn closes_with_a_code_and_a_reason() {
    let node = start(RpcConfig {
        body_max_bytes: 1000,
        ..config()
    })
    .await;
    let mut socket = node.websocket().await;
    socket
        .stream
        .send(Message::binary(vec![1, 2, 3]))
        .await
        .unwrap();
    assert_eq!(
        socket.closed().await,
        (1003, "send text messages".to_owned())
    );

    let mut socket = node.websocket().await;
    socket.send("x".repeat(1001)).await;
    assert_eq!(
        socket.closed().await,
        (
            1009,
            "the message is longer than this node's limit".to_owned()
        )
    );

    let mut socket = node.websocket().await;
    assert!(socket.call("node_getPeers", json!([])).await["result"].is_array());
    let stopping = node.handle.stop();
    let (closed, ()) = tokio::join!(socket.closed(), stopping);
    assert_eq!(closed, (1001, "the node is stopping".to_owned()));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_is_kept() {
    let pinging = RpcConfig {
        websocket_ping_interval_ms: 20,
        websocket_idle_timeout_ms: 100,
        ..config()
    };
    let node = start(pinging).await;
    let mut answering = node.websocket().await;
    let mut pings = 0;
    while pings < 12 {
        // Reading answers the pings.
        let message = tokio::time::timeout(PATIENCE, answering.stream.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
        pings += 1;
    }
    assert!(answering.call("node_getPeers", json!([])).await["result"].is_array());

    let mut silent = RawSocket::connect(&node).await;
    let frames = silent.read_to_end().await;
    let reason = b"no sign of life: pings were not answered";
    assert!(
        frames.windows(reason.len()).any(|window| window == reason),
        "{frames:?}"
    );
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_not_read_from_and_then_cut_off() {
    let node = start(RpcConfig {
        write_stall_timeout_ms: 200,
        ..config()
    })
    .await;
    let mut flood = RawSocket::connect(&node).await;
    let frame = RawSocket::frame(&request(1, "node_getPeers", json!([])).to_string());
    let frames = frame.repeat(1000);
    // Without back pressure the server would take requests for ever; with it, it takes what fits the buffers of the
    // two sockets, and gives up on the client.
    let cut_off = async {
        let mut sent = 0;
        while flood.stream.write_all(&frames).await.is_ok() {
            sent += frames.len();
            assert!(
                sent < 1 << 30,
                "a gigabyte was taken from a client that reads nothing"
            );
        }
    };
    tokio::time::timeout(PATIENCE, cut_off).await.unwrap();
    assert_eq!(node.get("/livez").await.status, 200);
}

#[tokio::test]
async fn websockets_are_limited() {
    let node = start(RpcConfig {
        websocket_connections_max: 1,
        ..config()
    })
    .await;
    let first = node.websocket().await;
    let url = format!("ws://{}/rpc", node.address());
    let error = tokio_tungstenite::connect_async(&url).await.unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    drop(first);
    let reconnected = async { while tokio_tungstenite::connect_async(&url).await.is_err() {} };
    tokio::time::timeout(PATIENCE, reconnected).await.unwrap();
}

#[tokio::test]
async fn stopping_answers_what_runs_and_takes_nothing_new() {
    let node = start(config()).await;
    node.backend.hold_submissions(true);
    let address = node.address();
    let client = node.client();
    let running = tokio::spawn(async move { client.send_transactions([vec![1]]).await });
    while node.backend.held_submissions() == 0 {
        tokio::task::yield_now().await;
    }
    let mut stopping = pin!(node.handle.stop());
    assert!(futures::poll!(&mut stopping).is_pending());
    node.backend.hold_submissions(false);
    let (sent, stopped) = tokio::join!(running, tokio::time::timeout(PATIENCE, stopping));
    assert!(sent.unwrap().unwrap()[0].is_ok());
    stopped.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// A WebSocket by hand, which does nothing that it is not told to.
struct RawSocket {
    stream: TcpStream,
}

impl RawSocket {
    async fn connect(node: &crate::support::Node) -> Self {
        let mut stream = TcpStream::connect(node.address()).await.unwrap();
        let request = format!(
            "GET /rpc HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            node.address()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        Self { stream }
    }

    /// A text frame with a mask of zeros.
    fn frame(text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126);
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        frame
    }

    async fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut bytes))
            .await
            .unwrap()
            .unwrap();
        bytes
    }
}
