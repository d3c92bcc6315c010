//! `chain_sendTransaction`: refusals by code, and waiting for finality.

use crate::support::{Node, PATIENCE, config, start};
use holdfast_rpc::{BackendError, RpcConfig};
use serde_json::{Value, json};
use std::time::Duration;

async fn send(node: &Node, options: Value) -> Value {
    let reply = node
        .call("chain_sendTransaction", json!(["05616c696365", options]))
        .await;
    assert!(reply.get("error").is_none(), "{reply}");
    reply["result"].clone()
}

/// Waits until the transaction is queued, then does something.
async fn when_queued(node: &Node, then: impl FnOnce()) {
    while node.backend.queue_len() == 0 {
        tokio::task::yield_now().await;
    }
    then();
}

#[tokio::test]
async fn each_refusal_has_its_code_and_facts() {
    let node = start(config()).await;
    let halted = BackendError::ChainHalted {
        halt_kind: "hard_halt".to_owned(),
        reason: "roots differ".to_owned(),
    };
    let rejected = BackendError::TransactionRejected {
        reason: "bad_signature".to_owned(),
        message: "no".to_owned(),
    };
    for (error, code, data) in [
        (
            halted,
            -32050,
            json!({ "code_name": "CHAIN_HALTED", "halt_kind": "hard_halt", "reason": "roots differ" }),
        ),
        (
            BackendError::NodeBehind { commits_behind: 9 },
            -32051,
            json!({ "commits_behind": 9 }),
        ),
        (
            BackendError::Lockdown,
            -32053,
            json!({ "runbook": "docs/rpc.md#lockdown" }),
        ),
        (
            BackendError::MempoolFull {
                retry_after_seconds: 2,
            },
            -32055,
            json!({ "retry_after_s": 2 }),
        ),
        (
            rejected,
            -32056,
            json!({ "code_name": "TX_REJECTED", "reason": "bad_signature" }),
        ),
        (
            BackendError::NotPrimaryStore,
            -32057,
            json!({ "code_name": "NOT_PRIMARY_STORE" }),
        ),
        (
            BackendError::Internal {
                cause: "secret".to_owned(),
            },
            -32603,
            json!({ "code_name": "INTERNAL_ERROR" }),
        ),
    ] {
        node.backend.set_submission_error(Some(error));
        let reply = node
            .call("chain_sendTransaction", json!({ "transaction": "aa" }))
            .await;
        assert_eq!(reply["error"]["code"], code, "{reply}");
        for (name, value) in data.as_object().unwrap() {
            assert_eq!(&reply["error"]["data"][name], value, "{reply}");
        }
        assert!(!reply.to_string().contains("secret"), "{reply}");
    }
}

#[tokio::test]
async fn without_wait_the_reply_comes_from_the_queue() {
    let node = start(config()).await;
    let sent = send(&node, Value::Null).await;
    assert_eq!(
        (&sent["finality"], &sent["timed_out"], &sent["receipt"]),
        (&json!("accepted"), &json!(false), &Value::Null)
    );
    assert_eq!(sent, send(&node, json!({ "wait": "accepted" })).await);
}

#[tokio::test]
async fn waiting_for_commit_and_for_the_certificate() {
    let node = start(config()).await;
    let act = when_queued(&node, || {
        node.backend.produce_block();
    });
    let (sent, ()) = tokio::join!(send(&node, json!({ "wait": "committed" })), act);
    assert_eq!(
        (&sent["finality"], &sent["receipt"]["height"]),
        (&json!("committed"), &json!(1))
    );

    let node = start(config()).await;
    let act = when_queued(&node, || {
        node.backend.produce_block();
        node.backend.produce_block();
        node.backend.certify(2);
    });
    let (sent, ()) = tokio::join!(send(&node, json!({ "wait": "irreversible" })), act);
    assert_eq!(
        (&sent["finality"], &sent["receipt"]["height"]),
        (&json!("irreversible"), &json!(1))
    );
    assert_eq!(sent["timed_out"], false);

    // What is irreversible already is not waited for.
    let again = send(&node, json!({ "wait": "irreversible" })).await;
    assert_eq!(again["finality"], "irreversible");
}

#[tokio::test]
async fn in_an_emergency_who_waits_for_the_certificate_learns_at_once_that_none_comes() {
    let node = start(config()).await;
    let waiting = node.call(
        "chain_sendTransaction",
        json!(["05616c696365", { "wait": "irreversible", "timeout_ms": 60_000 }]),
    );
    let act = when_queued(&node, || {
        node.backend.set_emergency(0);
        node.backend.produce_block();
        node.backend.produce_block();
        node.backend.set_emergency(1);
    });
    let both = async { tokio::join!(waiting, act) };
    let (reply, ()) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert_eq!(reply["error"]["code"], -32052, "{reply}");
    let data = &reply["error"]["data"];
    let block = node.call("chain_getBlock", json!([1])).await;
    for (name, value) in [
        ("code_name", json!("EMERGENCY_PROVISIONAL")),
        ("finality", json!("emergency")),
        ("status", json!("success")),
        ("height", json!(1)),
        ("block_id", block["result"]["header"]["id"].clone()),
        ("runbook", json!("docs/rpc.md#emergency_provisional")),
    ] {
        assert_eq!(data[name], value, "{reply}");
    }
    assert!(data["transaction_id"].is_string(), "{reply}");

    // Who asks for less has it, and so has everybody once the certificate is there.
    let committed = send(&node, json!({ "wait": "committed" })).await;
    assert_eq!(committed["finality"], "emergency");
    node.backend.certify(2);
    let certified = send(&node, json!({ "wait": "irreversible" })).await;
    assert_eq!(
        (&certified["finality"], &certified["timed_out"]),
        (&json!("irreversible"), &json!(false))
    );
}

#[tokio::test]
async fn a_block_of_an_emergency_that_is_not_irreversible_even_for_it_is_waited_for() {
    let node = start(config()).await;
    node.backend.set_emergency(0);
    let act = when_queued(&node, || {
        node.backend.produce_block();
    });
    let waiting = send(&node, json!({ "wait": "irreversible", "timeout_ms": 50 }));
    let (sent, ()) = tokio::join!(waiting, act);
    assert_eq!(
        (&sent["finality"], &sent["timed_out"]),
        (&json!("committed"), &json!(true))
    );
}

#[tokio::test]
async fn a_wait_that_runs_out_says_how_far_the_transaction_has_come() {
    let node = start(config()).await;
    let sent = send(&node, json!({ "wait": "committed", "timeout_ms": 20 })).await;
    assert_eq!(
        (&sent["finality"], &sent["timed_out"]),
        (&json!("accepted"), &json!(true))
    );
    node.backend.produce_block();
    let sent = send(&node, json!({ "wait": "irreversible", "timeout_ms": 20 })).await;
    assert_eq!(
        (&sent["finality"], &sent["timed_out"]),
        (&json!("committed"), &json!(true))
    );
    assert_eq!(sent["receipt"]["status"], "success");
}

#[tokio::test]
async fn the_node_caps_the_wait() {
    let node = start(RpcConfig {
        send_wait_max_ms: 20,
        ..config()
    })
    .await;
    let reply = send(
        &node,
        json!({ "wait": "committed", "timeout_ms": 4_000_000_000_u32 }),
    );
    let sent = tokio::time::timeout(PATIENCE, reply).await.unwrap();
    assert_eq!(sent["timed_out"], true);
}

#[tokio::test]
async fn many_wait_at_once() {
    const WAITERS: usize = 300;
    let node = start(RpcConfig {
        batch_entries_max: WAITERS,
        ..config()
    })
    .await;
    let entry = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "chain_sendTransaction", "params": [format!("{id:06x}"), { "wait": "irreversible" }] });
    let batch: Vec<_> = (0..WAITERS).map(entry).collect();
    let act = async {
        while node.backend.queue_len() < WAITERS {
            tokio::task::yield_now().await;
        }
        let block = node.backend.produce_block();
        node.backend.certify(block.height.get());
    };
    let (reply, ()) = tokio::join!(node.post(json!(batch).to_string()), act);
    let replies = reply.json();
    assert_eq!(replies.as_array().unwrap().len(), WAITERS);
    assert!(
        replies
            .as_array()
            .unwrap()
            .iter()
            .all(|reply| reply["result"]["finality"] == "irreversible")
    );
    assert!(Duration::from_millis(RpcConfig::default().send_wait_max_ms.into()) > PATIENCE);
}
