//! The HTTP side: who may ask, how, and what refusals look like.

use crate::support::{config, metrics, start};
use holdfast_rpc::testing::FakeBackend;
use holdfast_rpc::{FeedLimits, RpcConfig, RpcError, RpcServer};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"node_getPeers"}"#;

#[tokio::test]
async fn only_json_is_taken() {
    let node = start(config()).await;
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let reply = node
            .request(
                "POST /rpc",
                &[("content-type", content_type)],
                CALL.as_bytes(),
            )
            .await;
        assert_eq!((reply.status, reply.error_code()), (415, -32600));
    }
    assert_eq!(
        node.request("POST /rpc", &[], CALL.as_bytes()).await.status,
        415
    );
    let utf8 = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(
        node.request("POST /rpc", &utf8, CALL.as_bytes())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_foreign_host_is_refused_everywhere() {
    let node = start(RpcConfig {
        hosts: vec!["node.example".to_owned()],
        ..config()
    })
    .await;
    for path in [
        "POST /rpc",
        "GET /rpc",
        "GET /metrics",
        "GET /readyz",
        "GET /nothing",
    ] {
        let headers = [
            ("host", "evil.example"),
            ("content-type", "application/json"),
        ];
        let reply = node.request(path, &headers, CALL.as_bytes()).await;
        assert_eq!(reply.status, 403, "{path}");
        assert!(reply.body.contains("rpc.hosts"), "{}", reply.body);
        assert_eq!(reply.header("x-holdfast-chain-state"), Some("running"));
    }
    let own = [
        ("host", "node.example:8645"),
        ("content-type", "application/json"),
    ];
    assert_eq!(
        node.request("POST /rpc", &own, CALL.as_bytes())
            .await
            .status,
        200
    );
    assert_eq!(node.metrics.rpc.refused("host"), 5);
}

#[tokio::test]
async fn web_pages_of_other_origins_are_kept_out() {
    let node = start(config()).await;
    let foreign = [
        ("origin", "https://evil.example"),
        ("content-type", "application/json"),
    ];
    assert_eq!(
        node.request("POST /rpc", &foreign, CALL.as_bytes())
            .await
            .status,
        403
    );
    let preflight = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
    ];
    let reply = node.request("OPTIONS /rpc", &preflight, b"").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (403, None)
    );
    let upgrade = [
        ("origin", "https://evil.example"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(node.request("GET /rpc", &upgrade, b"").await.status, 403);
}

#[tokio::test]
async fn a_configured_origin_gets_cors_headers() {
    let node = start(RpcConfig {
        cors_origins: vec!["https://wallet.example".to_owned()],
        ..config()
    })
    .await;
    let preflight = [
        ("origin", "https://wallet.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let reply = node.request("OPTIONS /rpc", &preflight, b"").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, Some("https://wallet.example"))
    );
    let headers = [
        ("origin", "https://wallet.example"),
        ("content-type", "application/json"),
    ];
    let reply = node.request("POST /rpc", &headers, CALL.as_bytes()).await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, Some("https://wallet.example"))
    );
    let foreign = [
        ("origin", "https://evil.example"),
        ("content-type", "application/json"),
    ];
    assert_eq!(
        node.request("POST /rpc", &foreign, CALL.as_bytes())
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn wrong_paths_and_methods_say_what_is_there() {
    let node = start(config()).await;
    let reply = node.get("/").await;
    assert_eq!(reply.status, 404);
    assert!(reply.body.contains("JSON-RPC is at /rpc"), "{}", reply.body);
    assert_eq!(node.request("DELETE /rpc", &[], b"").await.status, 405);
    assert_eq!(node.request("POST /metrics", &[], b"").await.status, 405);
    let json = [("content-type", "application/json")];
    let reply = node.request("POST /", &json, CALL.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let reply = node.get("/rpc").await;
    assert_eq!((reply.status, reply.error_code()), (400, -32600));
    assert!(
        reply.body.contains("POST a JSON-RPC request"),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn every_reply_names_the_state_of_the_chain() {
    let node = start(config()).await;
    for (path, status) in [
        ("GET /livez", 200),
        ("GET /metrics", 200),
        ("GET /nothing", 404),
        ("PUT /rpc", 405),
        ("POST /rpc", 415),
    ] {
        let reply = node.request(path, &[], b"").await;
        assert_eq!(
            (reply.status, reply.header("x-holdfast-chain-state")),
            (status, Some("running")),
            "{path}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn garbage_on_the_socket_gets_400_and_a_closed_connection() {
    let node = start(config()).await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        assert_eq!(node.exchange(garbage).await.status, 400);
    }
    assert_eq!(node.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let node = start(config()).await;
    let taken = RpcConfig {
        listen: node.address(),
        ..config()
    };
    let error = RpcServer::start(taken, FakeBackend::new(FeedLimits::default()), metrics())
        .await
        .unwrap_err();
    assert!(matches!(error, RpcError::AddressInUse { address } if address == node.address()));
    assert!(
        error
            .to_string()
            .contains(&format!("{}: the port is in use", node.address())),
        "{error}"
    );
    let broken = RpcConfig {
        batch_entries_max: 0,
        ..config()
    };
    let error = RpcServer::start(broken, FakeBackend::new(FeedLimits::default()), metrics())
        .await
        .unwrap_err();
    assert!(matches!(error, RpcError::Config(_)), "{error}");
}
