//! Lockdowns, and who may vote in them.

use crate::support::{Node, config, request, start};
use holdfast_rpc::dto::{LockdownPhase, Number, RiskLevel};
use holdfast_rpc::methods::{
    GetLockdownStatus, GetPending, GetRisk, LockdownVoteParams, NoParams, VoteLockdown,
    VoteRecovery,
};
use holdfast_rpc::{AdminToken, Client, ClientConfig, ClientError, ErrorCode, RpcConfig};
use serde_json::json;

fn token() -> AdminToken {
    AdminToken::new([7; 32])
}

async fn node() -> Node {
    start(RpcConfig {
        admin_token: Some(token()),
        ..config()
    })
    .await
}

fn vote() -> LockdownVoteParams {
    LockdownVoteParams {
        reason: "roots differ".to_owned(),
    }
}

fn code(error: &ClientError) -> Option<ErrorCode> {
    match error {
        ClientError::Call(error) => error.error_code(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn who_has_the_token_votes_and_everybody_sees_it() {
    let node = node().await;
    let admin = ClientConfig {
        admin_token: Some(token()),
        ..ClientConfig::default()
    };
    let admin = Client::new(&node.url(), admin).unwrap();
    let early = admin.call::<VoteRecovery>(NoParams {}).await.unwrap_err();
    assert_eq!(code(&early), Some(ErrorCode::LockdownRefused));
    for missing in [2, 1, 0] {
        let after = admin.call::<VoteLockdown>(vote()).await.unwrap();
        assert_eq!(after.votes_missing, missing);
    }
    let seen = node.client().call::<GetLockdownStatus>(NoParams {}).await;
    let seen = seen.unwrap();
    assert_eq!((seen.phase, seen.votes.len()), (LockdownPhase::Locked, 3));
    let late = admin.call::<VoteLockdown>(vote()).await.unwrap_err();
    assert!(late.to_string().contains("locked already"), "{late}");
    let after = admin.call::<VoteRecovery>(NoParams {}).await.unwrap();
    assert!(after.wants_recovery && after.recovery_votes.len() == 1);
}

#[tokio::test]
async fn without_the_token_nobody_changes_the_node_on_any_transport() {
    let node = node().await;
    let call = request(1, "lockdown_vote", json!({ "reason": "roots differ" })).to_string();
    let json = ("content-type", "application/json");
    let right = format!("Bearer {}", token().as_str());
    let number = i64::from(ErrorCode::AuthRequired.number());
    for wrong in ["", "Bearer", "Bearer 0707", &right[..right.len() - 1]] {
        let headers = [json, ("authorization", wrong)];
        let reply = node.request("POST /rpc", &headers, call.as_bytes()).await;
        assert_eq!(reply.error_code(), number, "{wrong}");
    }
    let mut socket = node.websocket().await;
    socket.send(call.clone()).await;
    assert_eq!(socket.json().await["error"]["code"], number);
    // A node without a token has no admin.
    let other = start(config()).await;
    let headers = [json, ("authorization", right.as_str())];
    let reply = other.request("POST /rpc", &headers, call.as_bytes()).await;
    assert_eq!(reply.error_code(), number);
    for node in [node, other] {
        let seen = node.client().call::<GetLockdownStatus>(NoParams {}).await;
        assert_eq!(seen.unwrap().phase, LockdownPhase::Normal);
    }
}

#[tokio::test]
async fn everybody_sees_what_the_node_worries_about() {
    let node = node().await;
    let risk = node.client().call::<GetRisk>(NoParams {}).await.unwrap();
    assert_eq!((risk.level, risk.votes_from), (RiskLevel::Elevated, None));
    assert_eq!(risk.rules[0].value, Some(Number(1)));
}

#[tokio::test]
async fn subscribers_hear_of_every_vote() {
    let node = node().await;
    let mut socket = node.websocket().await;
    let reply = socket.call("lockdown_subscribe", json!({})).await;
    assert!(reply["result"].is_string(), "{reply}");
    // What halts the chain is another subscription.
    node.backend.set_halted(true);
    node.backend.set_lockdown_votes(1);
    let voted = socket.notification().await;
    let phase = |notification: &serde_json::Value| notification["lockdown"]["phase"].clone();
    assert_eq!(phase(&voted), "voting");
    node.backend.set_lockdown_votes(3);
    assert_eq!(phase(&socket.notification().await), "locked");
    // By the other name, behind a cursor.
    socket
        .call("chain_unsubscribe", json!([reply["result"]]))
        .await;
    let params = json!({ "kind": "lockdown", "from": voted["cursor"] });
    socket.subscribe(params).await;
    assert_eq!(phase(&socket.notification().await), "locked");
}

#[tokio::test]
async fn what_waits_on_a_node_is_told_by_its_ids() {
    let node = node().await;
    let pending = node.client().call::<GetPending>(NoParams {}).await.unwrap();
    assert_eq!(pending.count.get(), pending.transaction_ids.len() as u64);
}
