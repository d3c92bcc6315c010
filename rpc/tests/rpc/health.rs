//! `/livez` and `/readyz` with their reasons.

use crate::support::{config, start};
use holdfast_rpc::dto::ChainState;
use holdfast_rpc::{Check, Health, HealthReply, NotReady};
use serde_json::json;

#[tokio::test]
async fn a_node_that_is_well() {
    let node = start(config()).await;
    for path in ["/livez", "/readyz"] {
        let reply = node.get(path).await;
        assert_eq!(
            (reply.status, &reply.json()["ok"], &reply.json()["reasons"]),
            (200, &json!(true), &json!([]))
        );
    }
    let head = node.request("HEAD /readyz", &[], b"").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn each_reason_makes_the_node_unready() {
    type Change = fn(&mut Health, Check);
    let cases: [(NotReady, ChainState, Change); 7] = [
        (NotReady::Starting, ChainState::Starting, |health, check| {
            health.caught_up = check
        }),
        (NotReady::Behind, ChainState::Syncing, |health, check| {
            health.caught_up = check
        }),
        (NotReady::Stalled, ChainState::Stalled, |health, check| {
            health.chain_moving = check
        }),
        (NotReady::Halted, ChainState::Halted, |health, check| {
            health.not_halted = check
        }),
        (NotReady::Lockdown, ChainState::Lockdown, |health, check| {
            health.not_halted = check
        }),
        (
            NotReady::Emergency,
            ChainState::Emergency,
            |health, check| health.not_halted = check,
        ),
        (NotReady::ClockSkew, ChainState::Running, |health, check| {
            health.clock_agrees = check
        }),
    ];
    let node = start(config()).await;
    for (reason, state, change) in cases {
        let check = Check::require(false, reason, || "for 7 s".to_owned());
        node.backend
            .set_health(state, |health| change(health, check));
        let reply = node.get("/readyz").await;
        assert_eq!(reply.status, 503, "{reason:?}");
        assert_eq!(reply.header("x-holdfast-chain-state"), Some(state.as_str()));
        let health: HealthReply = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((health.ok, health.reasons), (false, vec![reason]));
        assert_eq!(
            (
                health.checks.len(),
                health.checks.iter().filter(|check| check.ok).count()
            ),
            (5, 4)
        );
        assert!(reply.body.contains("for 7 s"), "{}", reply.body);
        assert_eq!(
            node.get("/livez").await.status,
            200,
            "an unready process is still worth keeping"
        );
    }
}

#[tokio::test]
async fn a_core_that_does_not_answer_is_not_alive() {
    let node = start(config()).await;
    node.backend.set_health(ChainState::Running, |health| {
        health.core_responsive = Check::require(false, NotReady::CoreUnresponsive, || {
            "no tick for 30 s".to_owned()
        });
    });
    for path in ["/livez", "/readyz"] {
        let reply = node.get(path).await;
        assert_eq!(
            (reply.status, &reply.json()["reasons"]),
            (503, &json!(["core_unresponsive"]))
        );
    }
}
