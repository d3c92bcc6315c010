//! Halts, emergency consensus, governance and evidence.

use crate::support::{config, start};
use holdfast_rpc::BackendError;
use holdfast_rpc::dto::{
    EmergencyPhase, EvidenceBytes, EvidenceFate, GovernanceBytes, HaltPhase, Hash, HexBytes, Number,
};
use holdfast_rpc::methods::{
    EvidenceParams, GetEmergencyStatus, GetGovernanceState, GetHaltHistory, GetHaltMatrix,
    GetHaltProof, GetHaltStatus, GovernanceParams, HaltIdParams, HistoryParams, ListEvidence,
    NoParams, SubmitEvidence, SubmitGovernance,
};
use holdfast_rpc::testing::halt_id;
use serde_json::json;

#[tokio::test]
async fn status_matrix_and_proof_follow_the_halt() {
    let node = start(config()).await;
    let client = node.client();
    let report = client.call::<GetHaltStatus>(NoParams {}).await.unwrap();
    assert_eq!(report.chain_state, HaltPhase::Running);
    assert!(report.halts.is_empty() && report.modes.is_empty());
    let proof = || HaltIdParams { id: halt_id() };
    assert_eq!(client.call::<GetHaltProof>(proof()).await.unwrap(), None);
    node.backend.set_halted(true);
    let report = client.call::<GetHaltStatus>(NoParams {}).await.unwrap();
    assert_eq!(report.chain_state, HaltPhase::Halted);
    assert_eq!(report.halts[0].id, halt_id());
    assert_eq!(report.resume.needed, 3);
    let matrix = client.call::<GetHaltMatrix>(NoParams {}).await.unwrap();
    let allowed: Vec<_> = matrix
        .rows
        .iter()
        .map(|row| (row.activity.as_str(), row.allowed))
        .collect();
    assert_eq!(
        allowed,
        [("vertex_production", false), ("slashing_evidence", true)]
    );
    let found = client.call::<GetHaltProof>(proof()).await.unwrap().unwrap();
    assert_eq!(
        (found.kind.as_str(), found.encoded.0.len()),
        ("governance_message", 4)
    );
    let other = HaltIdParams {
        id: Hash::new([1; 32]),
    };
    assert_eq!(client.call::<GetHaltProof>(other).await.unwrap(), None);
}

#[tokio::test]
async fn the_journal_is_read_in_pages() {
    let node = start(config()).await;
    for n in 0..5 {
        node.backend.set_halted(n % 2 == 0);
    }
    let page = |from: u64, limit: u64| HistoryParams {
        from: Some(Number(from)),
        limit: Some(Number(limit)),
    };
    let client = node.client();
    let first = client.call::<GetHaltHistory>(page(0, 3)).await.unwrap();
    let second = client.call::<GetHaltHistory>(page(3, 3)).await.unwrap();
    assert_eq!((first.len(), second.len()), (3, 2));
    assert_eq!(second[0].previous, first[2].hash);
    assert_eq!(first[0].fields["mode"], "emergency_halt");
    let past = client.call::<GetHaltHistory>(page(5, 500)).await.unwrap();
    assert!(past.is_empty());
    for limit in [0, 501] {
        let reply = node.call("halt_getHistory", json!([0, limit])).await;
        assert_eq!(
            (
                &reply["error"]["code"],
                &reply["error"]["data"]["parameter"]
            ),
            (&json!(-32602), &json!("limit")),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn subscribers_hear_of_every_change() {
    let node = start(config()).await;
    let mut socket = node.websocket().await;
    let reply = socket.call("halt_subscribe", json!({})).await;
    assert!(reply["result"].is_string(), "{reply}");
    // A block is no news of halts.
    node.backend.produce_block();
    node.backend.set_halted(true);
    let halted = socket.notification().await;
    assert_eq!(
        (
            &halted["halts"]["chain_state"],
            &halted["halts"]["halts"][0]
        ),
        (&json!("halted"), &json!(halt_id().to_string()))
    );
    node.backend.set_halted(false);
    let resumed = socket.notification().await;
    assert_eq!(resumed["halts"]["chain_state"], "running");
    // By the other name, behind a cursor.
    let params = json!({ "kind": "halts", "from": halted["cursor"] });
    socket
        .call("chain_unsubscribe", json!([reply["result"]]))
        .await;
    socket.subscribe(params).await;
    assert_eq!(
        socket.notification().await["halts"]["chain_state"],
        "running"
    );
}

#[tokio::test]
async fn a_governance_message_is_accepted_or_refused_with_the_reason() {
    let node = start(config()).await;
    let client = node.client();
    let message = || GovernanceParams {
        message: GovernanceBytes(HexBytes(vec![7])),
    };
    for reason in [
        "malformed",
        "not_enough_signatures",
        "bad_signer",
        "bad_signature",
        "replayed",
        "halt_over",
        "halt_too_long",
        "halt_in_force",
        "too_soon",
        "resuming",
        "era_is_over",
    ] {
        node.backend
            .set_governance_error(Some(BackendError::GovernanceRejected {
                reason: reason.to_owned(),
                message: "in words".to_owned(),
            }));
        let reply = node.call("governance_submit", json!(["07"])).await;
        let error = &reply["error"];
        assert_eq!(
            (&error["code"], &error["data"]["reason"]),
            (&json!(-32063), &json!(reason))
        );
        assert_eq!(
            error["message"],
            "the governance message was refused: in words"
        );
    }
    node.backend.set_governance_error(None);
    node.backend.set_halted(true);
    let accepted = client.call::<SubmitGovernance>(message()).await.unwrap();
    assert_eq!(accepted.sequence, Number(7));
    let state = client
        .call::<GetGovernanceState>(NoParams {})
        .await
        .unwrap();
    assert_eq!(
        (state.sequence_accepted, state.sequence_next),
        (Number(7), Number(8))
    );
    assert_eq!((state.governors.len(), state.threshold), (3, 2));
    assert!(state.halt.is_some());
    for params in [json!(["xyz"]), json!([]), json!([7])] {
        let reply = node.call("governance_submit", params).await;
        assert_eq!(reply["error"]["data"]["parameter"], "message", "{reply}");
    }
}

#[tokio::test]
async fn evidence_is_taken_in_every_state_and_counts_once() {
    let node = start(config()).await;
    let client = node.client();
    let submit = |byte: u8| EvidenceParams {
        evidence: EvidenceBytes(HexBytes(vec![byte])),
    };
    let mut fates = Vec::new();
    for (halted, byte) in [(false, 1), (true, 2), (true, 2), (true, 1)] {
        if halted {
            node.backend.set_halted(true);
        }
        let receipt = client.call::<SubmitEvidence>(submit(byte)).await.unwrap();
        fates.push(receipt.status);
    }
    let items = client.call::<ListEvidence>(NoParams {}).await.unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].encoded, HexBytes(vec![1]));
    node.backend.punish_evidence();
    let receipt = client.call::<SubmitEvidence>(submit(1)).await.unwrap();
    fates.push(receipt.status);
    assert_eq!(
        fates,
        [
            EvidenceFate::Accepted,
            EvidenceFate::Accepted,
            EvidenceFate::Known,
            EvidenceFate::Known,
            EvidenceFate::Punished
        ]
    );
    let reply = node.call("evidence_submit", json!([""])).await;
    assert_eq!(
        (&reply["error"]["code"], &reply["error"]["data"]["reason"]),
        (&json!(-32064), &json!("malformed"))
    );
}

#[tokio::test]
async fn a_transaction_sent_during_a_halt_is_queued_and_the_reply_says_so() {
    let node = start(config()).await;
    let state = |reply: &serde_json::Value| reply["result"]["chain_state"].clone();
    let reply = node.call("chain_sendTransaction", json!(["aa"])).await;
    assert_eq!(state(&reply), "running");
    node.backend.set_halted(true);
    let reply = node.call("chain_sendTransaction", json!(["ab"])).await;
    assert_eq!(
        (state(&reply), &reply["result"]["finality"]),
        (json!("halted"), &json!("accepted"))
    );
    assert_eq!(node.backend.queue_len(), 2);
    assert_eq!(
        node.get("/livez").await.header("x-holdfast-chain-state"),
        Some("halted")
    );
}

#[tokio::test]
async fn the_status_of_an_emergency_says_whose_the_slots_are_and_who_is_missing() {
    let node = start(config()).await;
    let client = node.client();
    let status = async || {
        client
            .call::<GetEmergencyStatus>(NoParams {})
            .await
            .unwrap()
    };
    let idle = status().await;
    assert_eq!(idle.phase, EmergencyPhase::Idle);
    assert_eq!((idle.round, idle.exit), (None, None));
    node.backend.produce_block();
    node.backend.produce_block();
    node.backend.set_emergency(1);
    let active = status().await;
    assert_eq!(active.phase, EmergencyPhase::Active);
    assert_eq!(
        (
            active.head.height,
            active.lib.height,
            active.certified.height
        ),
        (Number(2), Number(1), Number(0))
    );
    assert!(active.is_provisional);
    let round = active.round.unwrap();
    let of_validators = round.slots.iter().filter(|slot| slot.is_validator).count();
    let exit = active.exit.unwrap();
    assert_eq!((of_validators, exit.slots_held), (2, 2));
    let reply = node.call("emergency_getStatus", json!([])).await;
    assert_eq!(reply["result"]["phase"], "active");
    assert_eq!(reply["result"]["validators"][2]["state"], "no_key");
}
