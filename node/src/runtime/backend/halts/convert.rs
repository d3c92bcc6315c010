//! From the halts of the chain to those of RPC.

use crate::runtime::backend::convert::{account_name, certificate, hash, key};
use holdfast_halt::lockdown::Lock;
use holdfast_halt::{EmergencyHalt, HaltState, HardHalt, JournalEvent, Mode, StallReason};
use holdfast_rpc::dto::{
    EvidenceItem, GovernanceSummary, HaltInForce, HaltProof, Hash, HexBytes, JournalEntry, Number,
    OwnFault, Signature,
};
use holdfast_types as types;
use holdfast_types::{
    Attestation, ChainId, Committee, DkgConfirmation, EraContext, Evidence, GovernanceAction,
    GovernanceMessage, HaltId, SignedVertexHeader, codec,
};
use serde_json::{Map, Value, json};

pub(super) fn message_summary(message: &GovernanceMessage, chain: &ChainId) -> GovernanceSummary {
    GovernanceSummary {
        id: hash(&message.body.id(chain)),
        sequence: Number(message.body.sequence),
        action: message.body.action.name().to_owned(),
        reason: message.body.action.reason(),
    }
}

/// The halts in force, and the one that waits for its height.
fn known(state: &HaltState) -> impl Iterator<Item = holdfast_halt::HaltInForce<'_>> {
    let waiting = state.emergency.iter().filter(|halt| !halt.active);
    let waiting = waiting.map(holdfast_halt::HaltInForce::Emergency);
    state.in_force().chain(waiting)
}

/// The halts of the chain, one that waits for its height included. A fault of this node alone is none of them.
pub(super) fn halts(state: &HaltState) -> Vec<HaltInForce> {
    let halts = known(state).filter_map(|halt| match halt {
        holdfast_halt::HaltInForce::Hard(halt) => Some(hard(halt)),
        holdfast_halt::HaltInForce::Emergency(halt) => Some(emergency(halt)),
        holdfast_halt::HaltInForce::Lockdown(era, lock) => Some(lockdown(era, lock)),
        holdfast_halt::HaltInForce::OwnFault(_) => None,
    });
    halts.collect()
}

fn hard(halt: &HardHalt) -> HaltInForce {
    HaltInForce {
        id: hash(halt.id.as_bytes()),
        mode: Mode::HardHalt.name().to_owned(),
        cause: Some(halt.cause.name().to_owned()),
        sentence: halt.cause.message().to_owned(),
        active: true,
        since_ms: Number(halt.since.0),
        until_ms: None,
        after_height: None,
        reason: None,
        sequence: None,
    }
}

pub(super) fn emergency(halt: &EmergencyHalt) -> HaltInForce {
    HaltInForce {
        id: hash(halt.id.as_bytes()),
        mode: Mode::EmergencyHalt.name().to_owned(),
        cause: None,
        sentence: "the governors ordered it".to_owned(),
        active: halt.active,
        since_ms: Number(halt.received.0),
        until_ms: Some(Number(halt.until.0)),
        after_height: halt.after_height.map(|height| Number(height.0)),
        reason: halt.message.body.action.reason(),
        sequence: Some(Number(halt.message.body.sequence)),
    }
}

fn lockdown(era: types::Era, lock: &Lock) -> HaltInForce {
    let votes = &lock.certificate.votes;
    let first = votes.iter().min_by_key(|vote| vote.body.at);
    HaltInForce {
        id: hash(HaltId::of_lockdown(era).as_bytes()),
        mode: Mode::Lockdown.name().to_owned(),
        cause: None,
        sentence: format!("{} validators voted for it", votes.len()),
        active: true,
        since_ms: Number(lock.since.0),
        until_ms: None,
        after_height: None,
        reason: first.map(|vote| String::from_utf8_lossy(&vote.body.reason).into_owned()),
        sequence: None,
    }
}

/// Who has voted for a lockdown, when and why.
fn lockdown_votes(lock: &Lock, committee: &Committee) -> Value {
    let votes = lock.certificate.votes.iter().map(|vote| {
        let member = committee.member(vote.author);
        json!({
            "authority": vote.author.0,
            "account": member.map(|member| account_name(&member.account)),
            "at_ms": Number(vote.body.at.0),
            "trigger": vote.body.trigger.name(),
            "reason": String::from_utf8_lossy(&vote.body.reason),
        })
    });
    json!({ "votes": votes.collect::<Vec<_>>() })
}

pub(super) fn own_fault(fault: &holdfast_halt::OwnFault) -> OwnFault {
    OwnFault {
        id: hash(fault.id.as_bytes()),
        cause: fault.cause.name().to_owned(),
        sentence: fault.cause.message().to_owned(),
        height: Number(fault.height.0),
        detail: fault.detail.clone(),
        since_ms: Number(fault.since.0),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

pub(super) fn journal_entry(entry: &holdfast_halt::JournalEntry) -> JournalEntry {
    let fields = match &entry.event {
        JournalEvent::HaltBegan { halt, mode, cause } => json!({
            "halt": halt, "mode": mode.name(), "cause": cause.map(types::HaltCause::name),
        }),
        JournalEvent::HaltEnded { halt, mode } => json!({ "halt": halt, "mode": mode.name() }),
        JournalEvent::StallBegan { reasons } => {
            let reasons: Vec<_> = reasons.iter().map(StallReason::name).collect();
            json!({ "reasons": reasons })
        }
        JournalEvent::StallEscalated | JournalEvent::LockdownVotesExpired => json!({}),
        JournalEvent::StallEnded { lasted_ms } => json!({ "lasted_ms": Number(*lasted_ms) }),
        JournalEvent::MessageReceived { message, sequence } => {
            json!({ "message": hash(message), "sequence": Number(*sequence) })
        }
        JournalEvent::HaltVoid { halt } => json!({ "halt": halt }),
        JournalEvent::ResumeRequested { message }
        | JournalEvent::ResumeExcluded { message }
        | JournalEvent::Ready { message } => {
            json!({ "message": hash(message) })
        }
        JournalEvent::NotReady { readiness } => json!({ "readiness": readiness.name() }),
        JournalEvent::EraStarted { era } => json!({ "started": Number(era.0) }),
        JournalEvent::LockdownVoted { author } => json!({ "authority": author.0 }),
        JournalEvent::RecoveryVoted { author, height } => {
            json!({ "authority": author.0, "height": Number(height.0) })
        }
        JournalEvent::RecoveryOrdered { height, block } => {
            json!({ "height": Number(height.0), "block": hash(block.as_bytes()) })
        }
        JournalEvent::LockdownLasts { for_ms } => json!({ "for_ms": Number(*for_ms) }),
    };
    JournalEntry {
        index: Number(entry.index),
        hash: hash(&entry.hash()),
        previous: hash(&entry.previous),
        at_ms: Number(entry.wall.0),
        era: Number(entry.era.0),
        head: Number(entry.head.0),
        event: entry.event.name().to_owned(),
        fields: object(fields),
    }
}

fn attestation(attestation: &Attestation, committee: Option<&Committee>) -> Value {
    let body = &attestation.body;
    let account = committee
        .and_then(|committee| committee.member(attestation.author))
        .map(|member| account_name(&member.account));
    json!({
        "authority": attestation.author.0,
        "account": account,
        "era": Number(body.era.0),
        "height": Number(body.height.0),
        "block_id": body.block,
        "commit_digest": body.commit,
        "state_root": body.state_root,
        "signature": Signature::new(*attestation.signature.as_bytes()),
    })
}

fn confirmation(confirmation: &DkgConfirmation, committee: &Committee) -> Value {
    let body = &confirmation.body;
    let member = committee.member(confirmation.author);
    json!({
        "authority": confirmation.author.0,
        "account": member.map(|member| account_name(&member.account)),
        "era": Number(body.era.0),
        "attempt": body.attempt,
        "group_key": HexBytes(body.group_key.to_vec()),
        "signature": Signature::new(*confirmation.signature.as_bytes()),
    })
}

fn vertex_header(signed: &SignedVertexHeader, chain: &ChainId) -> Value {
    let header = &signed.header;
    json!({
        "authority": header.author.0,
        "era": Number(header.era.0),
        "round": Number(header.round.0),
        "digest": header.digest(chain),
        "timestamp_ms": Number(header.timestamp.0),
        "signature": Signature::new(*signed.signature.as_bytes()),
    })
}

fn evidence_object(evidence: &Evidence, committee: &Committee, chain: &ChainId) -> Value {
    let statements = match evidence {
        Evidence::Equivocation { first, second } => {
            vec![vertex_header(first, chain), vertex_header(second, chain)]
        }
        Evidence::ContradictoryAttestations { first, second } => vec![
            attestation(first, Some(committee)),
            attestation(second, Some(committee)),
        ],
        Evidence::BadStateRoot { attestation: one } => vec![attestation(one, Some(committee))],
    };
    json!({ "offence": evidence.offence(), "statements": statements })
}

/// Evidence with the committee of its era, if that is known.
pub(super) fn evidence(evidence: &Evidence, context: Option<&EraContext>) -> EvidenceItem {
    let (round, height) = match evidence {
        Evidence::Equivocation { first, .. } => (Some(first.header.round.0), None),
        Evidence::ContradictoryAttestations { first, .. }
        | Evidence::BadStateRoot { attestation: first } => (None, Some(first.body.height.0)),
    };
    EvidenceItem {
        slot: hash(&evidence.slot_key()),
        offence: evidence.offence().to_owned(),
        era: Number(evidence.era().0),
        authority: evidence.offender().0,
        offender: context
            .and_then(|context| context.committee.member(evidence.offender()))
            .map(|member| account_name(&member.account)),
        round: round.map(Number),
        height: height.map(Number),
        encoded: HexBytes(codec::encode(evidence)),
    }
}

/// What the halt with this id stands on.
pub(super) fn proof(
    state: &HaltState,
    id: &Hash,
    committee: &Committee,
    chain: &ChainId,
) -> Option<HaltProof> {
    let halt = known(state).find(|halt| halt.id().as_bytes() == id.as_bytes())?;
    let (kind, proof, encoded) = match halt {
        holdfast_halt::HaltInForce::Hard(halt) => (
            halt.proof.kind(),
            hard_proof(&halt.proof, committee, chain),
            codec::encode(&halt.proof),
        ),
        holdfast_halt::HaltInForce::Emergency(halt) => (
            "governance_message",
            message_object(&halt.message),
            codec::encode(&halt.message),
        ),
        holdfast_halt::HaltInForce::Lockdown(_, lock) => (
            "lockdown_votes",
            lockdown_votes(lock, committee),
            codec::encode(&lock.certificate),
        ),
        holdfast_halt::HaltInForce::OwnFault(fault) => {
            let decoded = json!({
                "cause": fault.cause.name(), "height": Number(fault.height.0), "detail": fault.detail,
            });
            ("own_fault", decoded, Vec::new())
        }
    };
    Some(HaltProof {
        id: *id,
        mode: halt.mode().name().to_owned(),
        kind: kind.to_owned(),
        proof: object(proof),
        encoded: HexBytes(encoded),
    })
}

fn hard_proof(proof: &types::HaltProof, committee: &Committee, chain: &ChainId) -> Value {
    match proof {
        types::HaltProof::Divergence { attestations } => {
            let attestations: Vec<_> = attestations
                .iter()
                .map(|one| attestation(one, Some(committee)))
                .collect();
            json!({ "attestations": attestations })
        }
        types::HaltProof::EquivocationCluster { evidence } => {
            let evidence: Vec<_> = evidence
                .iter()
                .map(|one| evidence_object(one, committee, chain))
                .collect();
            json!({ "evidence": evidence })
        }
        types::HaltProof::ContradictoryCertificates { first, second } => {
            json!({ "first": certificate(first), "second": certificate(second) })
        }
        types::HaltProof::DkgMismatch { confirmations } => {
            let confirmations: Vec<_> = confirmations
                .iter()
                .map(|one| confirmation(one, committee))
                .collect();
            json!({ "confirmations": confirmations })
        }
    }
}

fn message_object(message: &GovernanceMessage) -> Value {
    let signatures: Vec<_> = message
        .signatures
        .iter()
        .map(|(position, signature)| {
            json!({ "governor": position, "signature": Signature::new(*signature.as_bytes()) })
        })
        .collect();
    let mut object = json!({
        "sequence": Number(message.body.sequence),
        "action": message.body.action.name(),
        "reason": message.body.action.reason(),
        "signatures": signatures,
    });
    match &message.body.action {
        GovernanceAction::Halt {
            until,
            after_height,
            ..
        } => {
            object["until_ms"] = json!(Number(until.0));
            object["after_height"] = json!(after_height.map(|height| Number(height.0)));
        }
        GovernanceAction::Resume { height, block, .. } => {
            object["height"] = json!(Number(height.0));
            object["block_id"] = json!(block);
        }
        GovernanceAction::RotateKeys { keys, threshold } => {
            let keys: Vec<_> = keys.iter().map(key).collect();
            object["keys"] = json!(keys);
            object["threshold"] = json!(threshold);
        }
    }
    object
}
