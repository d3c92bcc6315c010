use super::*;
use holdfast_rpc::dto::{
    BlockRef, CommitteeKind, Hash, Head, MempoolStatus, Number, SigningStatus, Syncing,
};

fn facts(state: ChainState) -> Facts {
    let hash = Hash::new([0xab; 32]);
    let reference = |height| BlockRef {
        height: Number(height),
        id: hash,
    };
    Facts {
        url: "http://127.0.0.1:8645".to_owned(),
        status: Status {
            chain_name: "kelp".to_owned(),
            chain_id: hash,
            state,
            head: Head {
                height: Number(1234),
                id: hash,
                timestamp_ms: Number(1_795_219_200_123),
            },
            lib: reference(1230),
            certified: reference(1233),
            era: Number(3),
            epoch: Number(1),
            round: Number(4711),
            committee_size: 4,
            active_committee: 4,
            syncing: None,
            halts: Vec::new(),
            seconds_since_commit: 0.2,
            seconds_since_lib: 0.3,
            mempool: MempoolStatus {
                transactions: Number(1),
                bytes: Number(190),
            },
            peer_count: 3,
        },
        info: NodeInfo {
            version: "0.1.0".to_owned(),
            chain_id: hash,
            genesis_hash: hash,
            parameters_hash: hash,
            peer_id: "12D3KooWexample".to_owned(),
            listen_addresses: Vec::new(),
            validator: Some("alice".parse().unwrap()),
            authority: Some(2),
            is_validating: true,
            signing: SigningStatus {
                state: SigningState::Active,
                reason: None,
            },
            uptime_seconds: Number(400),
            started_at_ms: Number(0),
            data_format_version: 1,
        },
        committee: Committee {
            era: Number(3),
            kind: CommitteeKind::Dag,
            anchor: hash,
            members: Vec::new(),
            quorum: 3,
            max_faulty: 1,
            certified_threshold: 3,
        },
    }
}

#[test]
fn one_screen_says_everything() {
    let id = "ab".repeat(32);
    let expected = format!(
        "READY  kelp  http://127.0.0.1:8645
  chain id      {id}
  head          1234, 0.2 s ago; block time 2026-11-21T00:00:00.123Z
  certified     1233, 1 block behind the head; final
  LIB           1230, 4 blocks behind the head, moved 0.3 s ago
  era           3, epoch 1, round 4711
  committee     4 of 4 validators active, quorum 3, 1 to spare
  syncing       no: caught up
  halts         none
  mempool       1 transaction, 190 bytes
  peers         3
  validator     alice (number 2), signing
  node          holdfast 0.1.0, up 6 min, peer id 12D3KooWexample
"
    );
    assert_eq!(facts(ChainState::Running).as_text(), expected);
}

#[test]
fn a_stalled_chain_says_who_is_missing() {
    let mut facts = facts(ChainState::Stalled);
    facts.status.seconds_since_commit = 42.0;
    facts.status.active_committee = 2;
    let not_ready = facts.verdict().unwrap_err();
    assert_eq!(
        not_ready.why,
        "no block for 42 s; 2 of 4 validators active, quorum 3, 1 missing"
    );
    assert!(facts.as_text().starts_with("NOT READY: stalled  kelp"));
    assert_eq!(facts.as_json()["ready"], false);
    assert_eq!(facts.as_json()["why_not"], not_ready.why);
}

#[test]
fn catching_up_says_how_far_and_how_long() {
    let mut facts = facts(ChainState::Syncing);
    for (blocks_per_second, expected) in [
        (
            100.0,
            "block 1234 of 11234, 10000 to go, 100 blocks/s, about 100 s left",
        ),
        (
            0.0,
            "block 1234 of 11234, 10000 to go, 0 blocks/s, estimating the time left",
        ),
    ] {
        facts.status.syncing = Some(Syncing {
            target_height: Number(11_234),
            blocks_per_second,
        });
        assert_eq!(facts.verdict().unwrap_err().why, expected);
        assert!(facts.as_text().contains(expected));
    }
}

#[test]
fn every_state_but_running_is_not_ready_and_has_a_next_step() {
    for state in [
        ChainState::Starting,
        ChainState::Syncing,
        ChainState::Stalled,
        ChainState::Halted,
        ChainState::Lockdown,
        ChainState::Emergency,
    ] {
        assert!(!facts(state).verdict().unwrap_err().next_step.is_empty());
    }
    assert!(facts(ChainState::Running).verdict().is_ok());
}

#[test]
fn a_node_that_may_not_sign_says_why() {
    let mut facts = facts(ChainState::Running);
    facts.info.signing = SigningStatus {
        state: SigningState::Refused,
        reason: Some("our key signs elsewhere".to_owned()),
    };
    assert!(
        facts
            .as_text()
            .contains("alice (number 2), SIGNING REFUSED: our key signs elsewhere")
    );
}
