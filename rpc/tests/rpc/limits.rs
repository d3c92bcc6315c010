//! Limits: sizes, rates, times, numbers, memory.

use crate::support::{PATIENCE, config, parse_reply, request, start};
use holdfast_rpc::{RateLimit, RpcConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_declared_or_not() {
    let node = start(RpcConfig {
        body_max_bytes: 1000,
        ..config()
    })
    .await;
    let reply = node.post(" ".repeat(1001)).await;
    assert_eq!((reply.status, reply.error_code()), (413, -32600));
    assert_eq!(reply.json()["error"]["data"]["limit"], 1000);
    let call = request(1, "node_getPeers", json!([])).to_string();
    assert_eq!(node.post(format!("{call:1000}")).await.status, 200);

    let mut chunked = format!(
        "POST /rpc HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        node.address()
    );
    for _ in 0..11 {
        chunked.push_str(&format!("64\r\n{}\r\n", " ".repeat(100)));
    }
    let reply = node
        .exchange(format!("{chunked}0\r\n\r\n").as_bytes())
        .await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn a_reply_that_is_too_long_becomes_an_error() {
    let node = start(RpcConfig {
        reply_max_bytes: 4000,
        ..config()
    })
    .await;
    let transactions: Vec<_> = (0..10).map(|n| format!("{n:02x}")).collect();
    let transactions: Vec<_> = transactions.iter().map(String::as_str).collect();
    node.block_of(&transactions).await;
    let reply = node.call("chain_getBlock", json!(["head"])).await;
    assert_eq!(reply["error"]["code"], -32062, "{reply}");
    assert!(node.call("chain_getBlock", json!(["head", "ids"])).await["result"].is_object());

    // In a batch the transactions are answered all the same, and queries until the limit.
    let mut batch: Vec<_> = (0..6)
        .map(|id| request(id, "chain_getCertificate", json!([0])))
        .collect();
    batch.extend((6..20).map(|id| request(id, "chain_getBlock", json!([0]))));
    batch.push(request(20, "chain_sendTransaction", json!(["aa"])));
    batch.extend((21..40).map(|id| request(id, "node_getInfo", json!([]))));
    batch.push(request(40, "rpc.discover", json!([])));
    let replies = node.post(json!(batch).to_string()).await.json();
    let replies = replies.as_array().unwrap();
    assert_eq!(replies.len(), 41);
    assert!(replies[20]["result"].is_object(), "{}", replies[20]);
    assert_eq!(replies[40]["error"]["code"], -32062);
}

#[tokio::test]
async fn calls_per_address() {
    let limit = RateLimit {
        calls_per_second: 1,
        burst: 4,
    };
    let node = start(RpcConfig {
        rate_limit: Some(limit),
        ..config()
    })
    .await;
    let batch: Vec<_> = (0..6)
        .map(|id| request(id, "node_getPeers", json!([])))
        .collect();
    let replies = node.post(json!(batch).to_string()).await.json();
    let refused: Vec<_> = replies
        .as_array()
        .unwrap()
        .iter()
        .filter(|reply| reply["error"]["code"] == -32058)
        .collect();
    assert_eq!(
        (replies.as_array().unwrap().len(), refused.len()),
        (6, 2),
        "{replies}"
    );
    assert_eq!(refused[0]["error"]["data"]["retry_after_s"], 1);
    let reply = node
        .post(request(1, "node_getPeers", json!([])).to_string())
        .await;
    assert_eq!(
        (
            reply.status,
            reply.header("retry-after"),
            reply.error_code()
        ),
        (429, Some("1"), -32058)
    );
    assert_eq!(
        node.get("/livez").await.status,
        200,
        "health is not counted"
    );
}

#[tokio::test]
async fn calls_in_flight() {
    let node = start(RpcConfig {
        calls_in_flight_max: 3,
        ..config()
    })
    .await;
    node.backend.hold_submissions(true);
    let batch: Vec<_> = (0..5)
        .map(|id| request(id, "chain_sendTransaction", json!([format!("{id:02x}")])))
        .collect();
    let release = async {
        while node.backend.held_submissions() < 3 {
            tokio::task::yield_now().await;
        }
        node.backend.hold_submissions(false);
    };
    let (reply, ()) = tokio::join!(node.post(json!(batch).to_string()), release);
    let codes: Vec<_> = reply
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|reply| reply["error"]["code"].as_i64())
        .collect();
    assert_eq!(codes, [None, None, None, Some(-32058), Some(-32058)]);
    assert_eq!(node.backend.queue_len(), 3);
}

#[tokio::test]
async fn a_slow_head_and_a_slow_body_are_cut_off() {
    let node = start(RpcConfig {
        header_timeout_ms: 50,
        body_timeout_ms: 50,
        ..config()
    })
    .await;
    let mut slow_head = TcpStream::connect(node.address()).await.unwrap();
    slow_head
        .write_all(b"POST /rpc HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, slow_head.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(
        rest.is_empty() || parse_reply(&rest).status == 408,
        "{rest:?}"
    );

    let mut slow_body = TcpStream::connect(node.address()).await.unwrap();
    let head = format!(
        "POST /rpc HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{{",
        node.address()
    );
    slow_body.write_all(head.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    tokio::time::timeout(PATIENCE, slow_body.read_to_end(&mut reply))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(parse_reply(&reply).status, 408);
}

#[tokio::test]
async fn memory_for_requests_is_bounded() {
    let config = RpcConfig {
        body_max_bytes: 8192,
        reply_max_bytes: 8192,
        buffers_max_bytes: 8192,
        ..config()
    };
    let node = start(config).await;
    let mut hoarder = TcpStream::connect(node.address()).await.unwrap();
    let head = format!(
        "POST /rpc HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 8192\r\nexpect: 100-continue\r\n\r\n",
        node.address()
    );
    hoarder.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body once it has reserved the memory.
    let mut interim = [0; 12];
    hoarder.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    let reply = node
        .post(request(1, "node_getPeers", json!([])).to_string())
        .await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    drop(hoarder);
    let served = async {
        while node
            .post(request(1, "node_getPeers", json!([])).to_string())
            .await
            .status
            != 200
        {}
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let node = start(RpcConfig {
        connections_max: 1,
        websocket_connections_max: 1,
        ..config()
    })
    .await;
    let first = TcpStream::connect(node.address()).await.unwrap();
    let second = node.get("/livez");
    tokio::pin!(second);
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), &mut second).await;
    assert!(early.is_err(), "served beyond the limit: {early:?}");
    drop(first);
    assert_eq!(second.await.status, 200);
}
