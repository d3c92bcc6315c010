//! What the node knows, in the shape of the files.

use super::content::{
    ConnectionRecord, JournalLine, JournalRecord, MemberRecord, OffenceRecord, OrderRecord,
    PeersRecord, PointRecord, ProofRecord, StallRecord, StatementRecord, StatusRecord,
    ThresholdRecord,
};
use holdfast_halt::{HaltInForce, JournalEntry, JournalEvent, Stall, StallReason};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, BlockId, Certificate, Committee, DkgConfirmation,
    Evidence, GovernanceAction, GovernanceMessage, HaltProof, HaltStatus, HaltThresholds, Hash32,
    Height, Parameters, PublicKey, SignedHaltStatus, SignedVertexHeader, codec,
};
use std::collections::BTreeMap;

pub(super) fn point(height: Height, id: &BlockId) -> PointRecord {
    PointRecord {
        height: height.0,
        id: id.to_string(),
    }
}

pub(super) fn members(committee: &Committee) -> Vec<MemberRecord> {
    committee
        .authorities()
        .map(|authority| member(committee, authority))
        .collect()
}

/// A member by its position; a position that nobody has is told as such.
pub(super) fn member(committee: &Committee, authority: AuthorityIndex) -> MemberRecord {
    let known = committee.member(authority);
    MemberRecord {
        authority: authority.0,
        account: known.map_or_else(
            || String::from("(not in the committee)"),
            |member| member.account.to_string(),
        ),
        signing_key: known
            .map(|member| member.signing_key.to_string())
            .unwrap_or_default(),
    }
}

pub(super) fn thresholds(parameters: &Parameters, committee: &Committee) -> ThresholdRecord {
    let thresholds = HaltThresholds::new(&parameters.halt, committee);
    ThresholdRecord {
        quorum: committee.quorum() as u64,
        faulty_max: committee.max_faulty() as u64,
        dissenters: thresholds.dissenters as u64,
        equivocators: thresholds.equivocators as u64,
    }
}

pub(super) fn stall(stall: &Stall, now_ms: u64) -> StallRecord {
    let reasons = stall.reasons.iter();
    StallRecord {
        lasted_ms: now_ms.saturating_sub(stall.since_ms),
        reasons: reasons
            .map(|reason| StallReason::name(reason).to_owned())
            .collect(),
        escalated: stall.escalated,
    }
}

/// Why the chain stopped, in a sentence.
pub(super) fn what(halt: HaltInForce<'_>) -> String {
    match halt {
        HaltInForce::Hard(hard) => hard.cause.message().to_owned(),
        HaltInForce::OwnFault(fault) => format!("{}: {}", fault.cause.message(), fault.detail),
        HaltInForce::Emergency(emergency) => {
            let reason = emergency.message.body.action.reason();
            format!("governance ordered it: {}", reason.unwrap_or_default())
        }
        HaltInForce::Lockdown(_, lock) => {
            let votes = lock.certificate.votes.len();
            format!("{votes} validators voted for a lockdown")
        }
    }
}

/// Why the chain stopped: the proof as it travels, if there is one, and in words.
pub(super) fn proof(
    halt: HaltInForce<'_>,
    committee: &Committee,
) -> (Option<Vec<u8>>, ProofRecord) {
    match halt {
        HaltInForce::Hard(hard) => {
            let record = hard_proof(&hard.proof, committee);
            (Some(codec::encode(&hard.proof)), record)
        }
        HaltInForce::Emergency(emergency) => {
            let record = order(&emergency.message, &emergency.id.to_string());
            (Some(codec::encode(&emergency.message)), record)
        }
        HaltInForce::Lockdown(_, lock) => {
            let record = ProofRecord {
                kind: String::from("lockdown_votes"),
                detail: Some(what(halt)),
                ..ProofRecord::default()
            };
            (Some(codec::encode(&lock.certificate)), record)
        }
        HaltInForce::OwnFault(fault) => {
            let record = ProofRecord {
                kind: String::from("own_fault"),
                height: Some(fault.height.0),
                detail: Some(fault.detail.clone()),
                ..ProofRecord::default()
            };
            (None, record)
        }
    }
}

fn hard_proof(proof: &HaltProof, committee: &Committee) -> ProofRecord {
    let record = ProofRecord {
        kind: proof.kind().to_owned(),
        era: proof.era().unwrap_or_default().0,
        height: proof.height().map(|height| height.0),
        ..ProofRecord::default()
    };
    match proof {
        HaltProof::Divergence { attestations } => ProofRecord {
            statements: groups(attestations, committee),
            ..record
        },
        HaltProof::EquivocationCluster { evidence } => ProofRecord {
            offences: offences(evidence, committee),
            ..record
        },
        HaltProof::ContradictoryCertificates { first, second } => ProofRecord {
            statements: vec![certified(first, committee), certified(second, committee)],
            ..record
        },
        HaltProof::DkgMismatch { confirmations } => ProofRecord {
            detail: Some(group_keys(confirmations, committee)),
            ..record
        },
    }
}

/// Who agrees with whom; the largest group first.
fn groups(attestations: &[Attestation], committee: &Committee) -> Vec<StatementRecord> {
    let mut signers: BTreeMap<&AttestationBody, Vec<AuthorityIndex>> = BTreeMap::new();
    for attestation in attestations {
        signers
            .entry(&attestation.body)
            .or_default()
            .push(attestation.author);
    }
    let mut groups: Vec<_> = signers
        .into_iter()
        .map(|(body, signers)| statement(body, &signers, committee))
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.signers.len()));
    groups
}

/// Who has confirmed which group key.
fn group_keys(confirmations: &[DkgConfirmation], committee: &Committee) -> String {
    let confirmed = confirmations.iter().map(|confirmation| {
        format!(
            "{} confirmed group key {} of attempt {}",
            member(committee, confirmation.author).account,
            hex::encode(confirmation.body.group_key),
            confirmation.body.attempt
        )
    });
    confirmed.collect::<Vec<_>>().join("; ")
}

fn certified(certificate: &Certificate, committee: &Committee) -> StatementRecord {
    let signers: Vec<_> = certificate
        .signatures
        .iter()
        .map(|(author, _)| *author)
        .collect();
    statement(&certificate.body, &signers, committee)
}

fn statement(
    body: &AttestationBody,
    signers: &[AuthorityIndex],
    committee: &Committee,
) -> StatementRecord {
    StatementRecord {
        block: body.block.to_string(),
        commit: body.commit.to_string(),
        state_root: body.state_root.to_string(),
        signers: signers
            .iter()
            .map(|author| member(committee, *author))
            .collect(),
    }
}

pub(super) fn offences(evidence: &[Evidence], committee: &Committee) -> Vec<OffenceRecord> {
    evidence.iter().map(|one| offence(one, committee)).collect()
}

fn offence(evidence: &Evidence, committee: &Committee) -> OffenceRecord {
    let offender = member(committee, evidence.offender());
    let (at, statements) = match evidence {
        Evidence::Equivocation { first, second } => {
            (first.header.round.0, vec![vertex(first), vertex(second)])
        }
        Evidence::ContradictoryAttestations { first, second } => {
            (first.body.height.0, vec![attested(first), attested(second)])
        }
        Evidence::BadStateRoot { attestation } => {
            (attestation.body.height.0, vec![attested(attestation)])
        }
    };
    OffenceRecord {
        offence: evidence.offence().to_owned(),
        authority: offender.authority,
        account: offender.account,
        era: evidence.era().0,
        at,
        statements,
    }
}

fn vertex(signed: &SignedVertexHeader) -> String {
    format!(
        "vertex of round {} with payload {}, signature {}",
        signed.header.round,
        hex::encode(signed.header.payload_hash),
        signed.signature
    )
}

fn attested(attestation: &Attestation) -> String {
    format!(
        "block {} with state root {}, signature {}",
        attestation.body.block, attestation.body.state_root, attestation.signature
    )
}

fn order(message: &GovernanceMessage, id: &str) -> ProofRecord {
    let body = &message.body;
    let (until_ms, after_height) = match &body.action {
        GovernanceAction::Halt {
            until,
            after_height,
            ..
        } => (until.0, after_height.map(|height| height.0)),
        GovernanceAction::Resume { .. } | GovernanceAction::RotateKeys { .. } => (0, None),
    };
    ProofRecord {
        kind: String::from("governance_message"),
        order: Some(OrderRecord {
            message: id.to_owned(),
            sequence: body.sequence,
            reason: body.action.reason().unwrap_or_default(),
            until_ms,
            after_height,
            signers: message
                .signatures
                .iter()
                .map(|(position, _)| *position)
                .collect(),
        }),
        ..ProofRecord::default()
    }
}

pub(super) fn journal(entries: &[JournalEntry]) -> JournalRecord {
    let follow = |pair: &[JournalEntry]| {
        pair[1].previous == pair[0].hash() && pair[1].index == pair[0].index + 1
    };
    JournalRecord {
        unbroken: entries.windows(2).all(follow),
        last_hash: entries
            .last()
            .map(|entry| hex::encode(entry.hash()))
            .unwrap_or_default(),
        entries: entries.iter().map(journal_line).collect(),
    }
}

fn journal_line(entry: &JournalEntry) -> JournalLine {
    let short = |hash: &Hash32| hex::encode(&hash[..8]);
    let detail = match &entry.event {
        JournalEvent::HaltBegan { halt, mode, cause } => format!(
            "halt {halt}, {}{}",
            mode.name(),
            cause.map_or_else(String::new, |cause| format!(", {}", cause.name()))
        ),
        JournalEvent::HaltEnded { halt, mode } => match halt {
            Some(halt) => format!("halt {halt}, {}", mode.name()),
            None => mode.name().to_owned(),
        },
        JournalEvent::StallBegan { reasons } => {
            let names: Vec<_> = reasons.iter().map(StallReason::name).collect();
            names.join(", ")
        }
        JournalEvent::StallEscalated | JournalEvent::LockdownVotesExpired => String::new(),
        JournalEvent::StallEnded { lasted_ms } => format!("after {lasted_ms} ms"),
        JournalEvent::MessageReceived { message, sequence } => {
            format!("message {}, sequence number {sequence}", short(message))
        }
        JournalEvent::HaltVoid { halt } => {
            format!("halt {halt}, not followed by a quorum")
        }
        JournalEvent::ResumeRequested { message }
        | JournalEvent::ResumeExcluded { message }
        | JournalEvent::Ready { message } => {
            format!("message {}", short(message))
        }
        JournalEvent::NotReady { readiness } => readiness.name().to_owned(),
        JournalEvent::EraStarted { era } => format!("era {era}"),
        JournalEvent::LockdownVoted { author } => format!("validator {author}"),
        JournalEvent::RecoveryVoted { author, height } => {
            format!("validator {author}, block {height}")
        }
        JournalEvent::RecoveryOrdered { height, block } => format!("block {height}, {block}"),
        JournalEvent::LockdownLasts { for_ms } => format!("for {for_ms} ms"),
    };
    JournalLine {
        index: entry.index,
        hash: hex::encode(entry.hash()),
        at_ms: entry.wall.0,
        era: entry.era.0,
        head: entry.head.0,
        event: entry.event.name().to_owned(),
        detail,
    }
}

pub(super) fn peers(
    statuses: &[SignedHaltStatus],
    connections: &[(String, Option<PublicKey>)],
    committee: &Committee,
) -> PeersRecord {
    let silent = committee
        .authorities()
        .filter(|authority| statuses.iter().all(|status| status.author != *authority));
    PeersRecord {
        statuses: statuses
            .iter()
            .map(|signed| status(&signed.status, &member(committee, signed.author)))
            .collect(),
        silent: silent
            .map(|authority| member(committee, authority))
            .collect(),
        connections: connections
            .iter()
            .map(|(peer, key)| connection(peer, key.as_ref(), committee))
            .collect(),
    }
}

fn status(status: &HaltStatus, author: &MemberRecord) -> StatusRecord {
    StatusRecord {
        authority: author.authority,
        account: author.account.clone(),
        at_ms: status.at.0,
        head: point(status.head, &status.head_id),
        state_root: status.state_root.to_string(),
        certified: status.certified.0,
        attested: status.attested.0,
        version: status.version.to_string(),
        halts: status.halts.iter().map(ToString::to_string).collect(),
        own_fault: status.own_fault.map(|cause| cause.name().to_owned()),
        readiness: status.readiness.name().to_owned(),
    }
}

fn connection(peer: &str, key: Option<&PublicKey>, committee: &Committee) -> ConnectionRecord {
    let account = key
        .and_then(|key| committee.authority_of_key(key))
        .and_then(|authority| committee.member(authority))
        .map(|member| member.account.to_string());
    ConnectionRecord {
        peer: peer.to_owned(),
        account,
        signing_key: key.map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::{GovernanceBody, TimestampMs};

    #[test]
    fn an_order_of_the_governors_is_told_in_their_words() {
        let message = GovernanceMessage {
            body: GovernanceBody {
                sequence: 7,
                action: GovernanceAction::Halt {
                    reason: b"a bug in the bridge".to_vec(),
                    until: TimestampMs(5),
                    after_height: None,
                },
            },
            signatures: Vec::new(),
        };
        let proof = order(&message, "id");
        assert_eq!(proof.kind, "governance_message");
        let order = proof.order.unwrap();
        assert_eq!(
            (order.reason.as_str(), order.until_ms),
            ("a bug in the bridge", 5)
        );
    }
}
