//! What a bundle says, for a person and for a program.

use super::timeline::{self, Moment};
use super::{Bundle, IncidentError, Soundness, clean};
use crate::cli::DRAFT_RESUME;
use crate::forensics::content::{
    HaltRecord, JournalRecord, OffenceRecord, PeersRecord, ProblemRecord, ProofRecord,
    StatusRecord, ThresholdRecord, VersionRecord,
};
use crate::forensics::names;
use serde::Serialize;

/// Everything that is known of one halt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub halt: String,
    pub bundle: String,
    #[serde(flatten)]
    pub soundness: Soundness,
    /// What happened.
    pub sentence: String,
    pub mode: String,
    pub cause: Option<String>,
    pub began_ms: u64,
    pub after_restart: bool,
    pub chain: String,
    pub chain_name: String,
    pub standing: Standing,
    pub thresholds: ThresholdRecord,
    /// The proof, sentence by sentence.
    pub proof: Vec<String>,
    /// Who says something else than this node, sentence by sentence.
    pub differing: Vec<String>,
    pub offences: Vec<OffenceRecord>,
    pub peers: PeersRecord,
    pub versions: VersionRecord,
    pub journal_unbroken: bool,
    pub journal_last_hash: String,
    pub timeline: Vec<Moment>,
    pub problems: Vec<ProblemRecord>,
    pub next_steps: Vec<String>,
}

/// Where this node stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub era: u64,
    pub round: u64,
    pub head: u64,
    pub head_id: String,
    pub state_root: String,
    pub certified: u64,
    pub irreversible: u64,
    pub committee: usize,
    pub modes: Vec<String>,
    /// How long the soft stall before it had lasted.
    pub stalled_ms: Option<u64>,
}

impl Report {
    /// Reads a bundle, whole or not.
    ///
    /// # Errors
    /// When a file of it is there and cannot be read.
    pub fn read(bundle: &Bundle) -> Result<Self, IncidentError> {
        let halt: HaltRecord = bundle.json(names::HALT)?.unwrap_or_default();
        let proof: ProofRecord = bundle.json(names::PROOF)?.unwrap_or_default();
        let journal: JournalRecord = bundle.json(names::JOURNAL)?.unwrap_or_default();
        let peers: PeersRecord = bundle.json(names::PEERS)?.unwrap_or_default();
        let recorder = bundle.content(names::RECORDER)?.unwrap_or_default();
        let recorder = String::from_utf8_lossy(&recorder);
        let mut offences = proof.offences.clone();
        let waiting = halt.evidence.iter().filter(|one| !offences.contains(one));
        let waiting: Vec<_> = waiting.cloned().collect();
        offences.extend(waiting);
        Ok(Self {
            halt: bundle.id(),
            bundle: bundle.path().display().to_string(),
            soundness: bundle.soundness()?,
            sentence: sentence(&halt, &proof),
            mode: halt.mode.clone(),
            cause: halt.cause.clone(),
            began_ms: halt.began_ms,
            after_restart: halt.after_restart,
            chain: halt.chain.clone(),
            chain_name: halt.chain_name.clone(),
            standing: Standing::of(&halt),
            thresholds: halt.thresholds.clone(),
            proof: proof_in_words(&proof),
            differing: differing(&halt, &proof, &peers),
            offences,
            peers,
            versions: halt.versions.clone(),
            journal_unbroken: journal.unbroken,
            journal_last_hash: journal.last_hash,
            timeline: timeline::merge(&journal.entries, &recorder),
            problems: halt.problems.clone(),
            next_steps: next_steps(&halt, &proof, bundle),
        })
    }
}

impl Standing {
    fn of(halt: &HaltRecord) -> Self {
        Self {
            era: halt.era,
            round: halt.round,
            head: halt.head.height,
            head_id: halt.head.id.clone(),
            state_root: halt.state_root.clone(),
            certified: halt.certified.height,
            irreversible: halt.irreversible,
            committee: halt.committee.len(),
            modes: halt.modes.clone(),
            stalled_ms: halt.stall.as_ref().map(|stall| stall.lasted_ms),
        }
    }
}

fn sentence(halt: &HaltRecord, proof: &ProofRecord) -> String {
    let place = proof
        .height
        .map_or_else(String::new, |height| format!(", at height {height}"));
    let what = match proof.kind.as_str() {
        "divergence" => {
            let dissenting: usize = proof
                .statements
                .iter()
                .skip(1)
                .map(|one| one.signers.len())
                .sum();
            let agreeing = proof.statements.first().map_or(0, |one| one.signers.len());
            format!(
                "{}: {agreeing} signed one result, {dissenting} another",
                halt.what
            )
        }
        "equivocation_cluster" => format!("{}: {} of them", halt.what, proof.offences.len()),
        _ => halt.what.clone(),
    };
    let era = proof.era.max(halt.era);
    clean(&format!("In era {era}{place}: {what}."))
}

/// Who signed what.
fn proof_in_words(proof: &ProofRecord) -> Vec<String> {
    let mut words = Vec::new();
    for statement in &proof.statements {
        let signers: Vec<_> = statement
            .signers
            .iter()
            .map(|one| one.account.as_str())
            .collect();
        words.push(format!(
            "{} signed block {} with state root {} for commit {}",
            signers.join(", "),
            statement.block,
            statement.state_root,
            statement.commit
        ));
    }
    for offence in &proof.offences {
        words.push(offence_in_words(offence));
    }
    if let Some(order) = &proof.order {
        let signers: Vec<_> = order.signers.iter().map(ToString::to_string).collect();
        words.push(format!(
            "governors {} signed message {} (sequence number {}), which ends at {} ms: {}",
            signers.join(", "),
            order.message,
            order.sequence,
            order.until_ms,
            order.reason
        ));
    }
    words.extend(proof.detail.iter().map(|detail| {
        if proof.kind == "own_fault" {
            format!("this node alone: {detail}")
        } else {
            detail.clone()
        }
    }));
    words.iter().map(|text| clean(text)).collect()
}

fn offence_in_words(offence: &OffenceRecord) -> String {
    let place = if offence.offence == "equivocation" {
        "round"
    } else {
        "height"
    };
    format!(
        "{} (authority {}), {} at {place} {} of era {}: {}",
        offence.account,
        offence.authority,
        offence.offence.replace('_', " "),
        offence.at,
        offence.era,
        offence.statements.join(" and ")
    )
}

fn differing(halt: &HaltRecord, proof: &ProofRecord, peers: &PeersRecord) -> Vec<String> {
    let mut words = Vec::new();
    // The largest group stands first.
    if proof.kind == "divergence" {
        for statement in proof.statements.iter().skip(1) {
            for signer in &statement.signers {
                words.push(format!(
                    "{} signed state root {}, unlike the largest group",
                    signer.account, statement.state_root
                ));
            }
        }
    }
    let differs = |status: &&StatusRecord| {
        status.head.height == halt.head.height && status.head.id != halt.head.id
    };
    for status in peers.statuses.iter().filter(differs) {
        words.push(format!(
            "{} has block {} at height {}, this node {}",
            status.account, status.head.id, halt.head.height, halt.head.id
        ));
    }
    for status in &peers.statuses {
        if let Some(fault) = &status.own_fault {
            words.push(format!(
                "{} says that it is itself the one that is wrong: {fault}",
                status.account
            ));
        }
    }
    words.extend(
        peers
            .silent
            .iter()
            .map(|member| format!("{} has said nothing", member.account)),
    );
    words.iter().map(|text| clean(text)).collect()
}

fn next_steps(halt: &HaltRecord, proof: &ProofRecord, bundle: &Bundle) -> Vec<String> {
    let mut steps = Vec::new();
    let path = bundle.path().display();
    steps.push(format!(
        "touch {path}/{}  (so that it is never deleted)",
        names::KEEP
    ));
    match proof.kind.as_str() {
        "divergence" | "contradictory_certificates" => {
            steps.push(String::from(
                "get the bundle of a validator that signed another result",
            ));
            steps.push(format!("holdfast incident diff {path} THEIR_BUNDLE"));
        }
        "own_fault" => {
            steps.push(String::from("get the bundle of a validator that did not halt for itself, or a copy of its store"));
            steps.push(format!("holdfast incident diff {path} THEIR_BUNDLE"));
        }
        "equivocation_cluster" => steps.push(String::from(
            "ask the offenders' operators whether a key runs twice; the evidence is executed at the resume",
        )),
        _ => {}
    }
    steps.push(String::from("holdfast why"));
    if halt.mode == "emergency_halt" {
        steps.push(format!("wait for its end, or: {DRAFT_RESUME}"));
    } else if proof.kind != "own_fault" {
        steps.push(format!("when the cause is known: {DRAFT_RESUME}"));
    }
    steps
}
