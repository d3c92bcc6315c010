//! JSON-RPC 2.0 to the letter: ids, notifications, batches, and what each malformed body is answered with.

use crate::support::{Node, config, request, start};
use holdfast_rpc::RpcConfig;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

async fn error_of(node: &Node, body: &str) -> (u16, i64, Value) {
    let reply = node.post(body).await;
    let json = reply.json();
    assert_eq!(json["jsonrpc"], "2.0");
    assert!(
        json["error"]["message"].is_string() && json["error"]["data"]["code_name"].is_string(),
        "{json}"
    );
    (reply.status, reply.error_code(), json["id"].clone())
}

#[tokio::test]
async fn the_id_comes_back_as_it_was_written() {
    let node = start(config()).await;
    for id in [
        "1",
        "-7",
        "1.50",
        "\"x\\u0041\"",
        "null",
        "12345678901234567890123",
    ] {
        let reply = node
            .post(format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"node_getPeers"}}"#
            ))
            .await;
        assert!(
            reply
                .body
                .starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":["#)),
            "{}",
            reply.body
        );
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/json"))
        );
    }
}

#[tokio::test]
async fn malformed_bodies() {
    let node = start(config()).await;
    for body in [
        "",
        "{",
        "hello",
        "{\"jsonrpc\":\"2.0\"}}",
        "[1,2",
        "\u{feff}{}",
        "{\"a\":\"\u{1}\"}",
    ] {
        assert_eq!(
            error_of(&node, body).await,
            (400, -32700, Value::Null),
            "{body:?}"
        );
    }
    let reply = node.post([b'{', 0xff, b'}']).await;
    assert_eq!((reply.status, reply.error_code()), (400, -32700));
    let message = node.post("{\"jsonrpc\": 2.0,}").await.json()["error"]["message"].clone();
    assert!(
        message.as_str().unwrap().contains("line 1 column"),
        "{message}"
    );
}

#[tokio::test]
async fn json_that_is_no_request() {
    let node = start(config()).await;
    for (body, id) in [
        ("1", Value::Null),
        ("null", Value::Null),
        ("\"x\"", Value::Null),
        ("{}", Value::Null),
        (r#"{"jsonrpc":"2.0","id":5}"#, json!(5)),
        (
            r#"{"jsonrpc":"1.0","method":"node_getPeers","id":5}"#,
            json!(5),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"node_getPeers","id":{}}"#,
            Value::Null,
        ),
        (r#"{"jsonrpc":"2.0","method":7,"id":"a"}"#, json!("a")),
    ] {
        assert_eq!(error_of(&node, body).await, (200, -32600, id), "{body}");
    }
}

#[tokio::test]
async fn unknown_methods_and_bad_parameters_are_named() {
    let node = start(config()).await;
    let reply = node.call("chain_getBlok", json!([])).await;
    assert_eq!(reply["error"]["code"], -32601);
    assert!(
        reply["error"]["message"]
            .as_str()
            .unwrap()
            .contains("\"chain_getBlok\"")
    );
    for (method, params, message, parameter) in [
        (
            "chain_getBlock",
            json!([]),
            "parameter `block`: it is required",
            json!("block"),
        ),
        (
            "chain_getBlock",
            json!(["tip"]),
            "parameter `block`: invalid value: string \"tip\", expected \"head\", \"lib\", \"certified\", a height, or a block id of 64 hexadecimal digits",
            json!("block"),
        ),
        (
            "chain_getAccount",
            json!({"name": "Alice"}),
            "parameter `name`: an account name has 1 to 24 characters of a-z, 0-9, '.' and '-'",
            json!("name"),
        ),
        (
            "chain_getAccount",
            json!({"name": "alice", "options": {"prof": true}}),
            "parameter `options`: unknown field `prof`, expected `proof`",
            json!("options"),
        ),
        (
            "chain_sendTransaction",
            json!(["0xab"]),
            "parameter `transaction`: invalid value: string \"0xab\", expected an even number of hexadecimal digits without prefix",
            json!("transaction"),
        ),
        (
            "chain_getStatus",
            json!([1]),
            "too many parameters: the method has 0 (none)",
            Value::Null,
        ),
        (
            "chain_getStatus",
            json!({"x": 1}),
            "unknown parameter \"x\"; the parameters are: none",
            Value::Null,
        ),
        (
            "chain_getCertificate",
            json!("7"),
            "invalid type: string \"7\", expected params as an object or an array (parameters: height)",
            Value::Null,
        ),
    ] {
        let reply = node.call(method, params.clone()).await;
        assert_eq!(reply["error"]["code"], -32602, "{reply}");
        assert_eq!(reply["error"]["message"], message);
        assert_eq!(reply["error"]["data"]["parameter"], parameter, "{reply}");
    }
}

#[tokio::test]
async fn notifications_get_no_reply_but_a_transaction_is_queued() {
    let node = start(config()).await;
    for method in ["chain_getStatus", "no_such_method", "chain_subscribe"] {
        let reply = node
            .post(json!({ "jsonrpc": "2.0", "method": method }).to_string())
            .await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{method}");
    }
    let notification =
        json!({ "jsonrpc": "2.0", "method": "chain_sendTransaction", "params": ["aabb"] });
    assert_eq!(node.post(notification.to_string()).await.status, 204);
    assert_eq!(node.backend.queue_len(), 1);
}

#[tokio::test]
async fn a_batch_is_answered_entry_by_entry_in_order() {
    let node = start(config()).await;
    let batch = json!([
        request(1, "node_getPeers", json!([])),
        7,
        { "jsonrpc": "2.0", "method": "chain_sendTransaction", "params": ["aa"] },
        request(2, "nonsense", json!([])),
        request(3, "chain_sendTransaction", json!(["bb"])),
        { "jsonrpc": "1.0", "id": 4 },
        request(5, "chain_getHeader", json!(["head"])),
    ]);
    let reply = node.post(batch.to_string()).await;
    assert_eq!(reply.status, 200);
    let replies = reply.json();
    let summary: Vec<_> = replies
        .as_array()
        .unwrap()
        .iter()
        .map(|reply| {
            (
                reply["id"].clone(),
                reply["error"]["code"].as_i64().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        summary,
        [
            (json!(1), 0),
            (Value::Null, -32600),
            (json!(2), -32601),
            (json!(3), 0),
            (json!(4), -32600),
            (json!(5), 0)
        ]
    );
    assert_eq!(node.backend.queue_len(), 2);
}

#[tokio::test]
async fn batches_of_nothing() {
    let node = start(config()).await;
    assert_eq!(error_of(&node, " [] ").await, (200, -32600, Value::Null));
    let notifications =
        json!([{ "jsonrpc": "2.0", "method": "a" }, { "jsonrpc": "2.0", "method": "b" }]);
    assert_eq!(node.post(notifications.to_string()).await.status, 204);
    let replies = node.post("[1]").await.json();
    assert_eq!(
        (
            replies[0]["error"]["code"].clone(),
            replies.as_array().unwrap().len()
        ),
        (json!(-32600), 1)
    );
}

#[tokio::test]
async fn nothing_of_a_batch_that_is_too_large_runs() {
    let node = start(RpcConfig {
        batch_entries_max: 2,
        ..config()
    })
    .await;
    let entry = request(1, "chain_sendTransaction", json!(["aa"]));
    let reply = node
        .post(json!([entry, entry, entry]).to_string())
        .await
        .json();
    assert_eq!(
        (&reply["error"]["code"], &reply["error"]["data"]["limit"]),
        (&json!(-32061), &json!(2))
    );
    assert_eq!(node.backend.queue_len(), 0);
    assert_eq!(
        node.post(json!([entry, entry]).to_string())
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn the_transactions_of_a_batch_are_in_flight_together() {
    const ENTRIES: u64 = 100;
    let node = start(config()).await;
    node.backend.hold_submissions(true);
    let batch: Vec<_> = (0..ENTRIES)
        .map(|id| request(id, "chain_sendTransaction", json!([format!("{id:04x}")])))
        .collect();
    let release = async {
        while node.backend.held_submissions() < ENTRIES as usize {
            tokio::task::yield_now().await;
        }
        node.backend.hold_submissions(false);
    };
    let (reply, ()) = tokio::join!(node.post(json!(batch).to_string()), release);
    let replies = reply.json();
    let ids: Vec<_> = replies
        .as_array()
        .unwrap()
        .iter()
        .map(|reply| reply["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, (0..ENTRIES).collect::<Vec<_>>());
    assert_eq!(node.backend.queue_len(), ENTRIES as usize);
}

#[test]
fn any_body_gets_a_well_formed_answer() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(start(config()));
    let word = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"jsonrpc\""),
        Just("\"2.0\""),
        Just("\"method\""),
        Just("\"chain_getBlock\""),
        Just("\"params\""),
        Just("\"id\""),
        Just("1"),
        Just("null"),
        Just("\"head\""),
        Just(" "),
        Just("\u{7f}"),
        Just("1e999"),
        Just("\"chain_sendTransaction\""),
    ];
    let bodies = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        proptest::collection::vec(word, 0..24).prop_map(|words| words.concat().into_bytes()),
    ];
    TestRunner::default()
        .run(&bodies, |body| {
            let reply = runtime.block_on(node.post(&body));
            prop_assert!(matches!(reply.status, 200 | 204 | 400), "{:?}", reply);
            if reply.status != 204 {
                let json: Value = serde_json::from_str(&reply.body).unwrap();
                prop_assert!(json["jsonrpc"] == "2.0" || json.is_array(), "{}", json);
            }
            Ok(())
        })
        .unwrap();
}
