//! From the types of the chain to those of RPC.

use holdfast_rpc::dto::{
    self, AccountName, Amount, Block, BlockHeader, BlockOrigin, Certificate, CertificateSignature,
    CommitVertex, Committee, CommitteeKind, CommitteeMember, Event, Finality, Hash, Number,
    PublicKey, Receipt, ReceiptStatus, Signature, Support, Transaction,
};
use holdfast_types as types;
use holdfast_types::{BlockId, ChainId, EraContext, EraKind, Height, SignedTransaction};
use serde_json::{Map, Value, json};

pub(super) fn hash(bytes: &[u8; 32]) -> Hash {
    Hash::new(*bytes)
}

/// The account name of the chain obeys a narrower rule than that of RPC, so this always succeeds.
pub(super) fn account_name(name: &types::AccountName) -> AccountName {
    name.as_str()
        .parse()
        .expect("a name of the chain is a name for RPC")
}

pub(super) fn key(key: &types::PublicKey) -> PublicKey {
    PublicKey::new(*key.as_bytes())
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

pub(super) fn small(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

pub(super) fn header(header: &types::BlockHeader, id: &BlockId) -> BlockHeader {
    BlockHeader {
        height: Number(header.height.0),
        id: hash(id.as_bytes()),
        parent: hash(header.parent.as_bytes()),
        era: Number(header.era.0),
        timestamp_ms: Number(header.timestamp.0),
        origin: match header.origin {
            types::BlockOrigin::Genesis => BlockOrigin::Genesis,
            types::BlockOrigin::Dag {
                commit,
                commit_index,
                leader_round,
                leader,
            } => BlockOrigin::Dag {
                commit_index: Number(commit_index),
                commit_digest: hash(commit.as_bytes()),
                leader_round: Number(leader_round.0),
                leader: leader.0,
            },
            types::BlockOrigin::Resumed { message } => BlockOrigin::Resumed {
                message: hash(&message),
            },
            types::BlockOrigin::Recovered => BlockOrigin::Recovered,
            types::BlockOrigin::Emergency { slot, producer, .. } => BlockOrigin::Emergency {
                slot: Number(slot),
                producer: account_name(&producer),
            },
        },
        transactions_root: hash(&header.transactions_root),
        events_root: hash(&header.events_root),
        system_root: hash(&header.system_root),
        state_root: hash(header.state_root.as_bytes()),
        next_committee_hash: header.next_committee.as_ref().map(hash),
    }
}

pub(super) fn block(
    block: &types::Block,
    id: &BlockId,
    chain: &ChainId,
    detail: dto::BlockDetail,
    finality: Option<Finality>,
) -> Block {
    let body = &block.body;
    let ids: Vec<_> = body
        .transactions
        .iter()
        .map(|transaction| transaction.body.id(chain))
        .collect();
    let transactions = match detail {
        dto::BlockDetail::Ids => None,
        dto::BlockDetail::Full => Some(
            body.transactions
                .iter()
                .map(|signed| transaction(signed, chain))
                .collect(),
        ),
    };
    let next_committee = body.era_end.as_ref().map(|end| {
        committee(&EraContext {
            era: block.header.era.next(),
            kind: end.next_kind,
            anchor: *id,
            anchor_height: block.header.height,
            anchor_timestamp: block.header.timestamp,
            committee: end.committee.clone(),
        })
    });
    Block {
        header: header(&block.header, id),
        finality,
        transaction_count: count(ids.len()),
        transaction_ids: ids.iter().map(|id| hash(id.as_bytes())).collect(),
        transactions,
        commit_vertices: body
            .commit
            .iter()
            .flat_map(|commit| &commit.vertices)
            .map(|vertex| CommitVertex {
                round: Number(vertex.reference.round.0),
                author: vertex.reference.author.0,
                digest: hash(vertex.reference.digest.as_bytes()),
            })
            .collect(),
        supports: body
            .supports
            .iter()
            .map(|support| Support {
                authority: support.authority.0,
                height: Number(support.height.0),
            })
            .collect(),
        evidence_count: count(body.evidence.len()),
        next_committee,
    }
}

pub(super) fn committee(context: &EraContext) -> Committee {
    let committee = &context.committee;
    Committee {
        era: Number(context.era.0),
        kind: match context.kind {
            EraKind::Dag => CommitteeKind::Dag,
            EraKind::Emergency => CommitteeKind::Emergency,
        },
        anchor: hash(context.anchor.as_bytes()),
        members: committee
            .authorities()
            .zip(committee.members())
            .map(|(authority, member)| CommitteeMember {
                authority: authority.0,
                account: account_name(&member.account),
                signing_key: key(&member.signing_key),
            })
            .collect(),
        quorum: small(committee.quorum()),
        max_faulty: small(committee.max_faulty()),
        certified_threshold: small(committee.certified_threshold()),
    }
}

pub(super) fn transaction(signed: &SignedTransaction, chain: &ChainId) -> Transaction {
    let body = &signed.body;
    Transaction {
        id: hash(body.id(chain).as_bytes()),
        sender: account_name(&body.sender),
        public_key: key(&body.public_key),
        nonce: Number(body.nonce),
        fee_max: Amount(body.fee_max),
        expires_at_ms: body.expires_at.map(|at| Number(at.0)),
        action: action(&body.action),
        signature: Signature::new(*signed.signature.as_bytes()),
        size_bytes: count(types::codec::encoded_len(signed)),
    }
}

/// A tagged object: `kind` and fields.
fn tagged(kind: &str, fields: Value) -> (String, Map<String, Value>) {
    let fields = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    (kind.to_owned(), fields)
}

/// Text for people where the bytes are text, else hexadecimal.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| format!("0x{}", hex::encode(bytes)), str::to_owned)
}

fn action(action: &types::Action) -> dto::Action {
    use types::Action;
    let (kind, fields) = match action {
        Action::Transfer { to, amount, memo } => tagged(
            "transfer",
            json!({"to": to, "amount": amount.to_string(), "memo": text(memo)}),
        ),
        Action::CreateAccount { name, key, balance } => tagged(
            "create_account",
            json!({"name": name, "key": key, "balance": balance.to_string()}),
        ),
        Action::UpdateKey { key } => tagged("update_key", json!({"key": key})),
        Action::RegisterValidator { signing_key, url } => tagged(
            "register_validator",
            json!({"signing_key": signing_key, "url": text(url)}),
        ),
        Action::UpdateValidator { signing_key, url } => tagged(
            "update_validator",
            json!({"signing_key": signing_key, "url": text(url)}),
        ),
        Action::Stake { validator, amount } => tagged(
            "stake",
            json!({"validator": validator, "amount": amount.to_string()}),
        ),
        Action::Unstake { validator, amount } => tagged(
            "unstake",
            json!({"validator": validator, "amount": amount.to_string()}),
        ),
        Action::VoteProperties { properties } => tagged(
            "vote_properties",
            json!({
                "transaction_fee": properties.transaction_fee.to_string(),
                "byte_fee": properties.byte_fee.to_string(),
                "account_creation_fee": properties.account_creation_fee.to_string(),
            }),
        ),
        Action::VoteHardfork { version } => tagged("vote_hardfork", json!({"version": version})),
    };
    dto::Action { kind, fields }
}

pub(super) fn receipt(
    receipt: &types::Receipt,
    height: Height,
    index: u32,
    block_id: &BlockId,
    finality: Finality,
) -> Receipt {
    let (status, failure) = match receipt.status {
        types::ReceiptStatus::Success => (ReceiptStatus::Success, None),
        types::ReceiptStatus::Failed(code) => (ReceiptStatus::Failed, Some(code)),
    };
    Receipt {
        transaction_id: hash(receipt.transaction.as_bytes()),
        status,
        failure_code: failure.map(|code| code.name().to_owned()),
        failure_message: failure.map(|code| code.message().to_owned()),
        height: Number(height.0),
        index,
        block_id: hash(block_id.as_bytes()),
        fee: Amount(receipt.fee),
        finality,
        events: receipt.events.iter().map(event).collect(),
    }
}

/// Events are shown by their Rust names in snake case with their fields; amounts as strings.
fn event(event: &types::Event) -> Event {
    let (kind, fields) = super::events::event_fields(event);
    Event { kind, fields }
}

pub(super) fn certificate(certificate: &types::Certificate) -> Certificate {
    let body = &certificate.body;
    Certificate {
        era: Number(body.era.0),
        height: Number(body.height.0),
        block_id: hash(body.block.as_bytes()),
        commit_digest: hash(body.commit.as_bytes()),
        state_root: hash(body.state_root.as_bytes()),
        signatures: certificate
            .signatures
            .iter()
            .map(|(authority, signature)| CertificateSignature {
                authority: authority.0,
                signature: Signature::new(*signature.as_bytes()),
            })
            .collect(),
    }
}
