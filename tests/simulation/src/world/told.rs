//! What nodes do, in the words of the trace. Each text begins with a verb; validators are called by their place in the
//! committee, which is the number of their node as long as all validators are members.

use crate::disk::Loss;
use crate::message::NodeId;
use crate::trace::Told;
use holdfast_chain::{AppliedBlock, ProductionRefusal};
use holdfast_dag::SubDag;
use holdfast_halt::{StallChange, StallReason};
use holdfast_replica::{Fact, Message, SignGuardRecord, Submission};
use holdfast_types::{
    Action, AuthorityIndex, Certificate, EndStatement, Event, Evidence, LockdownMessage,
    ReceiptStatus, VerifiedVertex, VertexRef,
};
use std::collections::BTreeSet;
use std::fmt::Display;

/// Things one after the other.
pub(crate) fn list<T: Display>(things: impl IntoIterator<Item = T>) -> String {
    let things: Vec<String> = things.into_iter().map(|thing| thing.to_string()).collect();
    things.join(" ")
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

pub(super) fn transactions(number: usize) -> String {
    count(number, "transaction", "transactions")
}

/// How slots are written.
const SLOTS: &str = "(member/round)";

fn slots(references: &[VertexRef]) -> String {
    let slots = references.iter();
    list(slots.map(|one| format!("{}/{}", one.author, one.round)))
}

/// Older parents are named only if they are so few.
const OLDER_NAMED_MAX: usize = 3;

/// Who signed the vertices of the round before, then those of older rounds.
fn parents(vertex: &VerifiedVertex) -> String {
    let round = vertex.round();
    let (mut last, mut older): (Vec<VertexRef>, Vec<VertexRef>) = vertex
        .parents()
        .iter()
        .partition(|parent| parent.round.next() == round);
    last.sort();
    older.sort();
    let mut text = list(last.iter().map(|parent| parent.author));
    if older.len() > OLDER_NAMED_MAX {
        text.push_str(&format!(" and {} older", older.len()));
    } else if !older.is_empty() {
        text.push_str(&format!(" and older {SLOTS} {}", slots(&older)));
    }
    text
}

/// A vertex leaves its author.
pub(super) fn sends(vertex: &VerifiedVertex, to: Option<&[NodeId]>) -> Told {
    let payload = vertex.payload();
    let mut text = format!(
        "sends its vertex of round {}, parents {}",
        vertex.round(),
        parents(vertex)
    );
    if !payload.transactions.is_empty() {
        text.push_str(", ");
        text.push_str(&transactions(payload.transactions.len()));
    }
    if !payload.attestations.is_empty() {
        let heights = payload.attestations.iter().map(|one| one.body.height);
        text.push_str(&format!(", attests block {}", list(heights)));
    }
    if !payload.evidence.is_empty() {
        let offenders = payload.evidence.iter().map(Evidence::offender);
        let offenders: BTreeSet<AuthorityIndex> = offenders.collect();
        let proofs = count(payload.evidence.len(), "proof", "proofs");
        text.push_str(&format!(
            ", with {proofs} against member {}",
            list(offenders)
        ));
    }
    if let Some(certificate) = &payload.anchor_certificate {
        text.push_str(&format!(
            ", with the certificate of block {}",
            certificate.body.height
        ));
    }
    if let Some(to) = to {
        text.push_str(&format!("; to {} only", list(to)));
    }
    Told::named(text, vertex.reference())
}

pub(super) fn commits(sub_dag: &SubDag) -> Told {
    let leader = sub_dag.record.leader;
    let carried = sub_dag.vertices.iter();
    let carried = carried.map(|vertex| vertex.transaction_ids().len()).sum();
    let mut text = format!(
        "commits the leader of round {}, member {}, with its history: {}, {}",
        leader.round,
        leader.author,
        count(sub_dag.vertices.len(), "vertex", "vertices"),
        transactions(carried)
    );
    for second in &sub_dag.equivocations {
        text.push_str(&format!(
            "; a second vertex of member {} in round {} does not execute",
            second.author(),
            second.round()
        ));
    }
    Told::named(text, leader)
}

pub(super) fn certified(certificate: &Certificate) -> Told {
    let by = certificate.signatures.iter().map(|(by, _)| by);
    let height = certificate.body.height;
    let text = format!(
        "certifies block {height}: attestations of members {} are a quorum",
        list(by)
    );
    Told::named(text, format_args!("{:#}", certificate.body.block))
}

pub(super) fn applies(applied: &AppliedBlock) -> Told {
    let mut text = format!("applies block {}", applied.block.header.height);
    let executed = applied.block.body.transactions.iter();
    for (transaction, receipt) in executed.zip(&applied.receipts) {
        let body = &transaction.body;
        let outcome = match receipt.status {
            ReceiptStatus::Success => "takes effect".to_owned(),
            ReceiptStatus::Failed(why) => format!("fails: {why}"),
        };
        let what = match &body.action {
            Action::Transfer { to, amount, .. } => format!(", {amount} to {to},"),
            _ => String::new(),
        };
        let (sender, nonce) = (body.sender, body.nonce);
        text.push_str(&format!("; nonce {nonce} of {sender}{what} {outcome}"));
    }
    for event in &applied.events {
        if let Some(what) = happened(event) {
            text.push_str("; ");
            text.push_str(&what);
        }
    }
    Told::named(
        text,
        format_args!("{:#} {:?}", applied.id, applied.transaction_ids),
    )
}

/// The events of a block that matter to consensus.
fn happened(event: &Event) -> Option<String> {
    match event {
        Event::IrreversibleAdvanced { height } => Some(format!("LIB rises to {height}")),
        Event::EraEnded { era, next_era } => {
            Some(format!("era {era} ends here, era {next_era} follows"))
        }
        Event::Slashed {
            validator, amount, ..
        } => Some(format!("{validator} loses {amount} of its stake")),
        Event::Jailed { validator, .. } => Some(format!("{validator} is jailed")),
        _ => None,
    }
}

/// A fact in words; none if something else tells it with more detail.
pub(super) fn fact(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::Proposed { .. } | Fact::Committed { .. } | Fact::Certified { .. } => return None,
        Fact::LockdownLasts { for_ms } => format!("has been locked for {for_ms} ms"),
        Fact::EraEnded { era, anchor_height } => {
            format!("stops the DAG of era {era}: block {anchor_height} ended it")
        }
        Fact::EraStarted {
            era,
            committee_size,
            authority,
        } => {
            let place = authority.map_or_else(
                || "follows".to_owned(),
                |place| format!("is member {place}"),
            );
            format!("begins era {era} with a committee of {committee_size} and {place}")
        }
        Fact::Equivocation { author, round } => {
            format!("holds proof that member {author} signed two vertices in round {round}")
        }
        Fact::ContradictoryAttestations { author, height } => {
            format!("holds proof that member {author} attested block {height} in two ways")
        }
        Fact::Behind {
            round,
            network_round,
        } => format!("is behind: in round {round}, others in {network_round}"),
        Fact::SignRefused { reason } => format!("refuses to sign: {reason}"),
        Fact::Doppelganger { era, round } => format!(
            "stops signing for good: another process signed round {round} of era {era} with its key"
        ),
        Fact::PastUnknown { round, .. } => format!(
            "distrusts its sign guard, which does not know the vertex of round {round} under its key"
        ),
        Fact::Listened => "signs from now on: it has heard what others know of its key".to_owned(),
        Fact::VertexParked { author, ahead_ms } => {
            format!("parks a vertex of member {author} that is dated {ahead_ms} ms ahead")
        }
        Fact::VertexDropped { author, reason } => {
            format!("drops a vertex of member {author}: {reason}")
        }
        Fact::HaltBegan { mode, cause, .. } => {
            let cause = cause.map_or_else(String::new, |cause| format!(": {}", cause.message()));
            format!("halts ({}){cause}", mode.name())
        }
        Fact::HaltVoid { .. } => "drops a halt that a quorum does not follow".to_owned(),
        Fact::YieldsToLockdown { era } => {
            format!("leaves the emergency for the lockdown of era {}", era.0)
        }
        Fact::HaltEnded { mode, .. } => format!("is out of a halt ({})", mode.name()),
        Fact::Stall(change) => stall(change),
        Fact::GovernanceAccepted { sequence, action } => {
            format!("takes message {sequence} of governance: {action}")
        }
        Fact::Readiness(readiness) => format!("is {} to resume", readiness.name()),
        Fact::Produced { height, slot, .. } => {
            format!("makes emergency block {height} in slot {slot}")
        }
        Fact::ProducerOverdue { slot, refusal } => {
            let why = refusal.map_or("nobody answers", ProductionRefusal::name);
            format!("has the emergency key and made no block up to slot {slot}: {why}")
        }
    })
}

fn stall(change: &StallChange) -> String {
    match change {
        StallChange::Began { reasons } => {
            let reasons = reasons.iter().map(StallReason::name);
            format!("sees a soft stall: {}", list(reasons))
        }
        StallChange::Escalated => "marks the soft stall as escalated".to_owned(),
        StallChange::Ended { lasted_ms } => format!("sees the soft stall end after {lasted_ms} ms"),
    }
}

/// A message in words; none for vertices, which are told with who gets them.
pub(super) fn message(message: &Message) -> Option<String> {
    Some(match message {
        Message::Vertex(_) | Message::HaltStatus(_) => return None,
        Message::Statement(gossiped) => {
            let height = gossiped.statement.body().height;
            match gossiped.statement {
                EndStatement::Attestation(_) => format!("attests block {height} outside the DAG"),
                EndStatement::Vote(_) => format!("votes for the end of the emergency: {height}"),
            }
        }
        Message::Evidence(evidence) => {
            format!("spreads proof against member {}", evidence.offender())
        }
        Message::HaltProof { proof, .. } => format!("spreads proof of {}", proof.cause().name()),
        Message::Governance(gossiped) => {
            let sequence = gossiped.message.body.sequence;
            format!("spreads message {sequence} of governance")
        }
        Message::EmergencyBlock(block) => {
            format!("spreads its emergency block {}", block.header.height)
        }
        Message::AskHalts { to, .. } => format!("asks member {to} for its halts"),
        Message::Lockdown { message, .. } => match message {
            LockdownMessage::Vote(_) => "votes to lock the chain".to_owned(),
            LockdownMessage::Recovery(vote) => {
                let body = &vote.body;
                let (step, height) = (body.step.name(), body.choice.point.height);
                format!(
                    "votes to go on from block {height}, {step} {}",
                    body.attempt
                )
            }
            LockdownMessage::Recovered(certificate) => {
                format!("tells of {} votes to go on", certificate.votes.len())
            }
            LockdownMessage::Report(report) => {
                format!("reports its head, block {}", report.body.head.height)
            }
        },
        Message::Transactions(handed_on) => {
            format!("hands {} on", transactions(handed_on.len()))
        }
        Message::Fetch { request, .. } => {
            let wanted = slots(&request.references);
            format!("fetches {SLOTS} {wanted} from member {}", request.from)
        }
        Message::Ask { request, .. } => format!(
            "asks member {} what it has of round {} and later",
            request.to, request.from
        ),
        Message::AskLastVertices { to, .. } => {
            format!("asks member {to} for its last vertex and the last one under this key")
        }
        Message::FetchCertificate { height, .. } => {
            format!("asks peers for the certificate of block {height}")
        }
    })
}

pub(super) fn takes(submission: &Submission) -> Told {
    let body = submission.transaction.body();
    let text = format!(
        "takes nonce {} of {}, whose account stood at nonce {} after block {}",
        body.nonce, body.sender, submission.account_nonce, submission.as_of
    );
    Told::named(text, format_args!("{:?}", submission.transaction.id()))
}

pub(super) const fn loses(loss: Loss) -> &'static str {
    match loss {
        Loss::Everything => "dies and loses all that was not synced",
        Loss::Suffix => "dies and loses the end of what was not synced",
        Loss::Torn => "dies and leaves random bytes at the end of what was not synced",
        Loss::Nothing => "dies and its disk loses nothing",
    }
}

/// What a sign guard allows no more.
pub(crate) fn guard(guard: Option<&SignGuardRecord>) -> String {
    let Some(guard) = guard else {
        return "none".to_owned();
    };
    let mut text = match guard.vertex {
        Some((era, round)) => format!("era {era} round {round}"),
        None => "nothing signed".to_owned(),
    };
    if let Some(attestation) = guard.attestation {
        text.push_str(&format!(", attested block {}", attestation.height));
    }
    if let Some(end) = guard.emergency_end {
        text.push_str(&format!(", ended an emergency with block {}", end.height));
    }
    if guard.past_unknown {
        text.push_str(", proves nothing");
    }
    text
}
