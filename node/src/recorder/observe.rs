//! What inputs, messages, facts and blocks become in the recorder.

use super::entry::{Entry, Kind, Moment};
use crate::runtime::execution::AppliedSummary;
use holdfast_chain::ProductionRefusal;
use holdfast_halt::{HaltRefusal, StallChange, StallReason};
use holdfast_replica::{Fact, Input, Locking, Message, Output};
use holdfast_types::{
    AttestationBody, Block, EndStatement, Evidence, GovernanceMessage, HaltProof, Height,
    LockdownMessage, Readiness, SignedHaltStatus, VerifiedVertex, Vertex,
};

impl Entry {
    /// What the core thread was given. A tick leaves nothing.
    pub fn of_input(at: Moment, input: &Input, entries: &mut Vec<Self>) {
        let received = |name| Self::new(at, Kind::Received, name);
        match input {
            Input::Tick => {}
            Input::Vertices(vertices) => {
                let vertices = vertices.iter();
                entries.extend(vertices.map(|vertex| accepted(received("vertex"), vertex)));
            }
            Input::EarlyVertex(vertex) => {
                entries.push(early_vertex(received("early_vertex"), vertex))
            }
            Input::Attestations(attestations) => entries.extend(
                attestations
                    .iter()
                    .map(|one| attested(received("attestation"), &one.body).author(one.author)),
            ),
            Input::Locking(locking) => entries.push(locked(received, locking)),
            Input::EndVote(vote) => {
                entries.push(attested(received("end_vote"), &vote.body).author(vote.author));
            }
            Input::Certificate(certificate) => entries.push(
                attested(received("certificate"), &certificate.body)
                    .count(certificate.signatures.len()),
            ),
            Input::Evidence(evidence) => {
                entries.extend(
                    evidence
                        .iter()
                        .map(|one| accused(received("evidence"), one)),
                );
            }
            Input::HaltProof(proof) => entries.push(proven(received("halt_proof"), proof)),
            Input::Governance(message) => entries.push(ordered(received("governance"), message)),
            Input::HaltStatus(status) => entries.push(standing(received("halt_status"), status)),
            Input::OwnFault {
                cause,
                height,
                detail,
            } => {
                let said = format!("{}: {detail}", cause.name());
                entries.push(received("own_fault").height(*height).detail(said));
            }
            Input::Repaired => entries.push(received("repaired")),
            Input::ResumeRefused(readiness) => entries.push(refused(at, *readiness)),
            Input::ResumeExcluded { sequence } => entries.push(excluded(at, *sequence)),
            Input::LastVertices(last) => {
                entries.push(received("last_vertices").era(last.era).author(last.from));
            }
            Input::Transactions(submissions) => {
                entries.push(received("transactions").count(submissions.len()));
            }
            Input::Executed(blocks) => entries.extend(blocks.iter().map(|block| {
                attested(received("executed"), &block.attestation).count(block.transactions.len())
            })),
            Input::TakenBack {
                common_ancestor,
                transactions,
            } => entries.push(
                Self::new(at, Kind::TakenBack, "taken_back")
                    .height(*common_ancestor)
                    .count(transactions.len()),
            ),
            Input::EmergencyBlock(_)
            | Input::Held(_)
            | Input::Produced(_)
            | Input::PeersAt(_)
            | Input::Synced(_) => entries.push(of_chain(received, input)),
        }
    }

    /// What came of it: verdicts and facts.
    pub fn of_output(at: Moment, output: &Output, entries: &mut Vec<Self>) {
        entries.extend(output.verdicts.iter().map(|one| verdict(at, one)));
        entries.extend(output.facts.iter().map(|fact| Self::of_fact(at, fact)));
    }

    /// A message that leaves.
    #[must_use]
    pub fn of_message(at: Moment, message: &Message) -> Self {
        let sent = |name| Self::new(at, Kind::Sent, name);
        match message {
            Message::Vertex(vertex) => sent("vertex")
                .era(vertex.header().era)
                .round(vertex.round())
                .author(vertex.author())
                .digest(vertex.reference().digest.as_bytes())
                .count(vertex.transaction_ids().len()),
            Message::Statement(gossiped) => {
                let statement = &gossiped.statement;
                let kind = match statement {
                    EndStatement::Attestation(_) => "attestation",
                    EndStatement::Vote(_) => "end_vote",
                };
                attested(sent(kind), statement.body()).author(statement.author())
            }
            Message::Evidence(evidence) => accused(sent("evidence"), evidence),
            Message::HaltProof { proof, .. } => proven(sent("halt_proof"), proof),
            Message::HaltStatus(status) => standing(sent("halt_status"), status),
            Message::Governance(gossiped) => ordered(sent("governance"), &gossiped.message),
            Message::EmergencyBlock(block) => produced(sent("emergency_block"), block),
            Message::Lockdown { message, .. } => said(sent("lockdown"), message),
            Message::AskHalts { era, to } => sent("ask_halts").era(era.era).author(*to),
            Message::Transactions(transactions) => sent("transactions").count(transactions.len()),
            Message::Fetch { era, request } => sent("fetch_vertices")
                .era(era.era)
                .author(request.from)
                .count(request.references.len()),
            Message::Ask { era, request } => sent("ask_vertices")
                .era(era.era)
                .author(request.to)
                .round(request.from),
            Message::AskLastVertices { era, author, to } => sent("ask_last_vertices")
                .era(*era)
                .author(*to)
                .detail(format!("of {author}")),
            Message::FetchCertificate { height, .. } => sent("fetch_certificate").height(*height),
        }
    }

    /// A block that is in the store.
    #[must_use]
    pub fn of_block(at: Moment, block: &AppliedSummary) -> Self {
        Self::new(at, Kind::Executed, "block")
            .era(block.header.era)
            .height(block.header.height)
            .digest(block.id.as_bytes())
            .count(block.transaction_ids.len())
            .detail(format!(
                "state root {}, {} failed",
                block.header.state_root, block.transactions_failed
            ))
    }

    fn of_fact(at: Moment, fact: &Fact) -> Self {
        let entry = |name| Self::new(at, Kind::Fact, name);
        match fact {
            Fact::Proposed {
                round,
                transactions,
            } => entry("proposed").round(*round).count(*transactions),
            Fact::Committed {
                leader_round,
                index,
                vertices,
                transactions,
            } => entry("committed")
                .round(*leader_round)
                .count(*vertices)
                .detail(format!("commit {index}, {transactions} transactions")),
            Fact::Certified { height } => entry("certified").height(*height),
            Fact::EraEnded { era, anchor_height } => {
                entry("era_ended").era(*era).height(*anchor_height)
            }
            Fact::EraStarted {
                era,
                committee_size,
                ..
            } => entry("era_started").era(*era).count(*committee_size),
            Fact::Equivocation { author, round } => {
                entry("equivocation").author(*author).round(*round)
            }
            Fact::ContradictoryAttestations { author, height } => {
                entry("contradictory_attestations")
                    .author(*author)
                    .height(*height)
            }
            Fact::Behind {
                round,
                network_round,
            } => entry("behind")
                .round(*round)
                .detail(format!("network at round {network_round}")),
            Fact::SignRefused { reason } => entry("sign_refused").detail(reason.as_str()),
            Fact::Doppelganger { era, round } => entry("doppelganger").era(*era).round(*round),
            Fact::PastUnknown { era, round } => entry("past_unknown").era(*era).round(*round),
            Fact::Listened => entry("listened"),
            Fact::VertexParked { author, ahead_ms } => entry("vertex_parked")
                .author(*author)
                .detail(format!("{ahead_ms} ms ahead")),
            Fact::VertexDropped { author, reason } => {
                entry("vertex_dropped").author(*author).detail(*reason)
            }
            Fact::HaltVoid { halt } => entry("halt_void").digest(halt.as_bytes()),
            Fact::YieldsToLockdown { .. } | Fact::LockdownLasts { .. } => lockdown(entry, fact),
            Fact::HaltBegan { halt, mode, cause } => entry("halt_began")
                .digest(halt.as_bytes())
                .detail(cause.map_or_else(
                    || mode.name().to_owned(),
                    |cause| format!("{}: {}", mode.name(), cause.name()),
                )),
            Fact::HaltEnded { halt, mode } => entry("halt_ended")
                .digest(halt.as_bytes())
                .detail(mode.name()),
            Fact::Stall(change) => stall(entry, change),
            Fact::GovernanceAccepted { sequence, action } => {
                entry("governance_accepted").detail(format!("{action}, sequence number {sequence}"))
            }
            Fact::Readiness(readiness) => entry("readiness").detail(readiness.name()),
            Fact::Produced { .. } | Fact::ProducerOverdue { .. } => production(entry, fact),
        }
    }
}

fn lockdown(entry: impl Fn(&'static str) -> Entry, fact: &Fact) -> Entry {
    match fact {
        Fact::LockdownLasts { for_ms } => {
            entry("lockdown_lasts").detail(format!("for {for_ms} ms"))
        }
        Fact::YieldsToLockdown { era } => entry("yields_to_lockdown").era(*era),
        _ => entry("lockdown"),
    }
}

fn locked(received: impl Fn(&'static str) -> Entry, locking: &Locking) -> Entry {
    match locking {
        Locking::Said(message) => said(received("lockdown"), message),
        Locking::Notice(notice) => received("lockdown_notice").count(notice.lock.votes.len()),
        Locking::VoteToLock { .. } => received("vote_to_lock"),
        Locking::VoteToGoOn => received("vote_to_go_on"),
    }
}

fn said(entry: Entry, message: &LockdownMessage) -> Entry {
    match message {
        LockdownMessage::Vote(vote) => {
            let entry = entry.era(vote.body.era).author(vote.author);
            entry.detail("to lock the chain")
        }
        LockdownMessage::Recovery(vote) => {
            let body = &vote.body;
            let entry = entry.era(body.era).author(vote.author);
            entry
                .height(body.choice.point.height)
                .detail(body.step.name())
        }
        LockdownMessage::Report(report) => {
            let entry = entry.era(report.body.era).author(report.author);
            entry.height(report.body.head.height)
        }
        LockdownMessage::Recovered(certificate) => entry.count(certificate.votes.len()),
    }
}

/// Where the chain stands, and what comes in an emergency.
fn of_chain(received: impl Fn(&'static str) -> Entry, input: &Input) -> Entry {
    match input {
        Input::EmergencyBlock(block) => produced(received("emergency_block"), block),
        Input::Held(_) => received("held"),
        Input::Produced(Ok(block)) => produced(received("produced"), block),
        Input::Produced(Err(refusal)) => received("not_produced").detail(refusal.name()),
        Input::PeersAt(Some(at)) => received("peers_at").height(*at),
        Input::Synced(standing) => received("synced")
            .era(standing.context.era)
            .height(standing.context.anchor_height),
        _ => received("peers_at"),
    }
}

/// What this node does as a producer.
fn production(entry: impl Fn(&'static str) -> Entry, fact: &Fact) -> Entry {
    match fact {
        Fact::Produced {
            height,
            slot,
            transactions,
        } => entry("produced")
            .height(*height)
            .count(*transactions)
            .detail(format!("slot {slot}")),
        Fact::ProducerOverdue { slot, refusal } => {
            let why = refusal.map_or("no answer", ProductionRefusal::name);
            entry("producer_overdue").detail(format!("slot {slot}: {why}"))
        }
        _ => entry("production"),
    }
}

fn produced(entry: Entry, block: &Block) -> Entry {
    let header = &block.header;
    let producer = header.origin.producer();
    let entry = entry
        .era(header.era)
        .height(header.height)
        .count(block.body.transactions.len());
    match producer {
        Some(producer) => entry.detail(producer.to_string()),
        None => entry,
    }
}

fn verdict(at: Moment, verdict: &Result<(), HaltRefusal>) -> Entry {
    match verdict {
        Ok(()) => Entry::new(at, Kind::Verdict, "accepted"),
        Err(refusal) => Entry::new(at, Kind::Verdict, "refused").detail(refusal.to_string()),
    }
}

fn stall(entry: impl Fn(&'static str) -> Entry, change: &StallChange) -> Entry {
    match change {
        StallChange::Began { reasons } => {
            let names: Vec<_> = reasons.iter().map(StallReason::name).collect();
            entry("stall_began").detail(names.join(","))
        }
        StallChange::Escalated => entry("stall_escalated"),
        StallChange::Ended { lasted_ms } => {
            entry("stall_ended").detail(format!("after {lasted_ms} ms"))
        }
    }
}

fn refused(at: Moment, readiness: Readiness) -> Entry {
    Entry::new(at, Kind::Received, "resume_refused").detail(readiness.name())
}

fn excluded(at: Moment, sequence: u64) -> Entry {
    let said = format!("message {sequence}");
    Entry::new(at, Kind::Received, "resume_excluded").detail(said)
}

fn accepted(entry: Entry, vertex: &VerifiedVertex) -> Entry {
    entry
        .era(vertex.header().era)
        .round(vertex.round())
        .author(vertex.author())
        .digest(vertex.reference().digest.as_bytes())
        .count(vertex.transaction_ids().len())
}

fn early_vertex(entry: Entry, vertex: &Vertex) -> Entry {
    let header = &vertex.signed.header;
    entry
        .era(header.era)
        .round(header.round)
        .author(header.author)
}

fn attested(entry: Entry, body: &AttestationBody) -> Entry {
    entry
        .era(body.era)
        .height(body.height)
        .digest(body.block.as_bytes())
        .detail(format!("state root {:#}", body.state_root))
}

fn accused(entry: Entry, evidence: &Evidence) -> Entry {
    entry
        .era(evidence.era())
        .author(evidence.offender())
        .digest(&evidence.slot_key())
}

fn proven(entry: Entry, proof: &HaltProof) -> Entry {
    entry
        .era(proof.era().unwrap_or_default())
        .height(proof.height().unwrap_or(Height::ZERO))
        .digest(proof.id().as_bytes())
        .detail(proof.cause().name())
}

fn ordered(entry: Entry, message: &GovernanceMessage) -> Entry {
    let body = &message.body;
    entry.count(message.signatures.len()).detail(format!(
        "{}, sequence number {}",
        body.action.name(),
        body.sequence
    ))
}

fn standing(entry: Entry, signed: &SignedHaltStatus) -> Entry {
    let status = &signed.status;
    entry
        .era(status.era)
        .height(status.head)
        .author(signed.author)
        .digest(status.head_id.as_bytes())
        .detail(status.readiness.name())
}
