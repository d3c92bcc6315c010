//! Values that the fake chain is made of. All follow from their arguments, so that documents made of them are stable.

use crate::dto::{
    Account, AccountName, AccountProof, Action, Amount, Block, BlockDetail, BlockHeader,
    BlockOrigin, BlockRef, Certificate, CertificateSignature, ChainState, CommitVertex, Committee,
    CommitteeKind, CommitteeMember, Event, Finality, Hash, Head, HexBytes, MempoolStatus, NodeInfo,
    Number, Peer, PeerClass, PeerDirection, PendingTransactions, PublicKey, Receipt, ReceiptStatus,
    RiskLevel, RiskRule, RiskStatus, Signature, SigningState, SigningStatus, Status, Support,
    Transaction, Validator,
};
use serde_json::{Map, Value, json};

/// The run in the cursors of the fake chain.
pub(super) const RUN: u64 = 0x6423_f1e8_a1b4;
const GENESIS_TIME_MS: u64 = 1_767_225_600_000;
const BLOCK_INTERVAL_MS: u64 = 250;
const COMMITTEE_SIZE: u16 = 4;

/// A hash that depends on a label and a number.
#[must_use]
pub fn sample_hash(label: &str, number: u64) -> Hash {
    let mut bytes = label.as_bytes().to_vec();
    bytes.extend(number.to_le_bytes());
    hash_of(&bytes)
}

/// FNV-1a in four lanes: good enough to tell test values apart.
fn hash_of(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    for (lane, chunk) in hash.chunks_exact_mut(8).enumerate() {
        let mut state =
            0xcbf2_9ce4_8422_2325_u64 ^ (lane as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in bytes {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        chunk.copy_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    Hash::new(hash)
}

pub(super) fn name(text: &str) -> AccountName {
    text.parse()
        .expect("the names of the fake chain are well-formed")
}

fn key(text: &str) -> PublicKey {
    sample_hash("key", hash_number(text))
}

fn hash_number(text: &str) -> u64 {
    text.bytes().map(u64::from).sum()
}

fn signature(number: u64) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(sample_hash("signature r", number).as_bytes());
    bytes[32..].copy_from_slice(sample_hash("signature s", number).as_bytes());
    Signature::new(bytes)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub(super) fn transaction_id(bytes: &[u8]) -> Hash {
    hash_of(bytes)
}

pub(super) fn transaction(bytes: &[u8]) -> Transaction {
    Transaction {
        id: transaction_id(bytes),
        sender: name("alice"),
        public_key: key("alice"),
        nonce: Number(7),
        fee_max: Amount(2_000),
        expires_at_ms: None,
        action: Action {
            kind: "transfer".to_owned(),
            fields: object(json!({ "to": "bob", "amount": "2500000", "memo": "" })),
        },
        signature: signature(1),
        size_bytes: bytes.len() as u32,
    }
}

pub(super) fn receipt(bytes: &[u8], header: &BlockHeader, index: u32, failed: bool) -> Receipt {
    let event = Event {
        kind: "transferred".to_owned(),
        fields: object(json!({ "from": "alice", "to": "bob", "amount": "2500000" })),
    };
    Receipt {
        transaction_id: transaction_id(bytes),
        status: if failed {
            ReceiptStatus::Failed
        } else {
            ReceiptStatus::Success
        },
        failure_code: failed.then(|| "insufficient_balance".to_owned()),
        failure_message: failed.then(|| "the balance does not cover amount and fee".to_owned()),
        height: header.height,
        index,
        block_id: header.id,
        fee: Amount(1_200),
        finality: Finality::Committed,
        events: if failed { Vec::new() } else { vec![event] },
    }
}

pub(super) fn header(height: u64) -> BlockHeader {
    let origin = if height == 0 {
        BlockOrigin::Genesis
    } else {
        BlockOrigin::Dag {
            commit_index: Number(height),
            commit_digest: sample_hash("commit", height),
            leader_round: Number(height * 2),
            leader: (height % u64::from(COMMITTEE_SIZE)) as u16,
        }
    };
    BlockHeader {
        height: Number(height),
        id: sample_hash("block", height),
        parent: if height == 0 {
            Hash::new([0; 32])
        } else {
            sample_hash("block", height - 1)
        },
        era: Number(u64::from(height > 0)),
        timestamp_ms: Number(GENESIS_TIME_MS + height * BLOCK_INTERVAL_MS),
        origin,
        transactions_root: sample_hash("transactions", height),
        events_root: sample_hash("events", height),
        system_root: sample_hash("system", height),
        state_root: sample_hash("state", height),
        next_committee_hash: None,
    }
}

pub(super) fn block(
    header: &BlockHeader,
    transactions: &[Transaction],
    detail: BlockDetail,
) -> Block {
    let height = header.height.get();
    let vertex = |author: u16| CommitVertex {
        round: Number(height * 2 - 1),
        author,
        digest: sample_hash("vertex", height * 10 + u64::from(author)),
    };
    Block {
        header: header.clone(),
        finality: None,
        transaction_count: transactions.len() as u32,
        transaction_ids: transactions
            .iter()
            .map(|transaction| transaction.id)
            .collect(),
        transactions: (detail == BlockDetail::Full).then(|| transactions.to_vec()),
        commit_vertices: if height == 0 {
            Vec::new()
        } else {
            (0..3).map(vertex).collect()
        },
        supports: if height == 0 {
            Vec::new()
        } else {
            vec![Support {
                authority: 1,
                height: Number(height - 1),
            }]
        },
        evidence_count: 0,
        next_committee: None,
    }
}

pub(super) fn certificate(header: &BlockHeader) -> Certificate {
    let sign = |authority: u16| CertificateSignature {
        authority,
        signature: signature(u64::from(authority)),
    };
    Certificate {
        era: header.era,
        height: header.height,
        block_id: header.id,
        commit_digest: sample_hash("commit", header.height.get()),
        state_root: header.state_root,
        signatures: (0..3).map(sign).collect(),
    }
}

fn validator_name(authority: u16) -> AccountName {
    name(&format!("validator-{authority}"))
}

pub(super) fn committee() -> Committee {
    let member = |authority: u16| CommitteeMember {
        authority,
        account: validator_name(authority),
        signing_key: sample_hash("signing key", authority.into()),
    };
    Committee {
        era: Number(1),
        kind: CommitteeKind::Dag,
        anchor: sample_hash("block", 0),
        members: (0..COMMITTEE_SIZE).map(member).collect(),
        quorum: 3,
        max_faulty: 1,
        certified_threshold: 3,
    }
}

pub(super) fn validators() -> Vec<Validator> {
    let validator = |authority: u16| Validator {
        account: validator_name(authority),
        signing_key: Some(sample_hash("signing key", authority.into())),
        owner_key: sample_hash("owner key", authority.into()),
        stake: Amount(10_000_000_000_000_000_000),
        url: format!("https://validator-{authority}.example"),
        registered_at_ms: Number(0),
        jailed_until_ms: None,
        last_supported_block: Number(0),
        in_committee: true,
        authority: Some(authority),
    };
    (0..COMMITTEE_SIZE).map(validator).collect()
}

pub(super) fn account(account: &AccountName, height: u64, with_proof: bool) -> Account {
    Account {
        name: account.clone(),
        public_key: key(account.as_str()),
        balance: Amount(1_000_000_000),
        nonce: Number(7),
        as_of_height: Number(height),
        proof: with_proof.then(|| AccountProof {
            state_root: sample_hash("state", height),
            height: Number(height),
            key_hex: HexBytes(account.as_str().into()),
            value_hex: HexBytes(vec![1, 2, 3]),
            proof_hex: HexBytes(vec![4, 5, 6]),
        }),
    }
}

pub(super) fn status(
    state: ChainState,
    head: &BlockHeader,
    certified: BlockRef,
    lib: BlockRef,
    queue_len: usize,
) -> Status {
    Status {
        chain_name: "devnet".to_owned(),
        chain_id: sample_hash("chain", 0),
        state,
        head: Head {
            height: head.height,
            id: head.id,
            timestamp_ms: head.timestamp_ms,
        },
        lib,
        certified,
        era: Number(1),
        epoch: Number(0),
        round: Number(head.height.get() * 2 + 2),
        committee_size: COMMITTEE_SIZE,
        active_committee: COMMITTEE_SIZE,
        syncing: None,
        halts: Vec::new(),
        seconds_since_commit: 0.25,
        seconds_since_lib: 0.75,
        mempool: MempoolStatus {
            transactions: Number(queue_len as u64),
            bytes: Number(queue_len as u64 * 200),
        },
        peer_count: 3,
    }
}

pub(super) fn node_info() -> NodeInfo {
    NodeInfo {
        version: "0.1.0".to_owned(),
        chain_id: sample_hash("chain", 0),
        genesis_hash: sample_hash("genesis", 0),
        parameters_hash: sample_hash("parameters", 0),
        peer_id: "12D3KooWQe7gZ6Sdsn8tyEXAMPLE".to_owned(),
        listen_addresses: vec![
            "/ip4/127.0.0.1/tcp/8640".to_owned(),
            "/ip4/127.0.0.1/udp/8640/quic-v1".to_owned(),
        ],
        validator: Some(validator_name(0)),
        authority: Some(0),
        is_validating: true,
        signing: SigningStatus {
            state: SigningState::Active,
            reason: None,
        },
        uptime_seconds: Number(3_600),
        started_at_ms: Number(GENESIS_TIME_MS),
        data_format_version: 1,
    }
}

pub(super) fn peer() -> Peer {
    Peer {
        peer_id: "12D3KooWBmAwcd4PJNJvEXAMPLE".to_owned(),
        address: "/ip4/127.0.0.1/tcp/8650".to_owned(),
        direction: PeerDirection::Outbound,
        agent: "holdfast/0.1.0".to_owned(),
        validator: Some(validator_name(1)),
        latency_ms: Some(0.4),
        score: 0.0,
        class: PeerClass::Committee,
        connected_seconds: Number(3_590),
    }
}

pub(super) fn parameters() -> Map<String, Value> {
    object(json!({ "max_validators": 21, "epoch_duration_ms": 10_800_000, "gc_depth_rounds": 60 }))
}

/// A validator that has signed two vertices in one round was seen.
pub(super) fn risk() -> RiskStatus {
    let equivocations = RiskRule {
        rule: "equivocators_permille".to_owned(),
        level: RiskLevel::Elevated,
        value: Some(Number(1)),
        judged_by: "rise".to_owned(),
        window_seconds: Number(600),
        elevated: Some(Number(1)),
        high: Some(Number(500)),
        critical: Some(Number(1_000)),
    };
    RiskStatus {
        level: RiskLevel::Elevated,
        since_ms: Number(1_767_225_700_000),
        votes_from: None,
        rules: vec![equivocations],
        runbook: "docs/runbooks/lockdown.md".to_owned(),
    }
}

/// Two transactions wait.
pub(super) fn pending() -> PendingTransactions {
    PendingTransactions {
        count: Number(2),
        root: sample_hash("pending", 0),
        transaction_ids: vec![sample_hash("pending", 1), sample_hash("pending", 2)],
    }
}
