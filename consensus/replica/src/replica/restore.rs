//! A replica from what the store holds.

use super::{
    Commits, EARLY_PER_AUTHOR_MAX, EVIDENCE_WAITING_MAX, FUTURE_PER_AUTHOR_MAX, Production,
    Replica, ReplicaConfig, SigningState,
};
use crate::evidence::EvidencePool;
use crate::guard::SignGuard;
use crate::io::{DagStanding, Now, Output};
use crate::mempool::{Mempool, Origin};
use crate::parked::{EarlyVertices, FutureVertices};
use crate::recent_nonces::RecentNonces;
use crate::record::SignGuardRecord;
use crate::replica::ballot::Ballot;
use crate::replica::eras::{certifying, collector};
use crate::replica::halts::{ExecutedHead, Halts};
use crate::replica::listening::Listening;
use crate::signed_here::SignedHere;
use holdfast_halt::{HaltInput, HaltState};
use holdfast_ledger::EmergencyClock;
use holdfast_types::limits::COMMITTEE_MEMBERS_MAX;
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{
    AttestationBody, BlockId, Certificate, CommitRecord, EndVotes, EraContext, EraKind, Evidence,
    Height, Round, Signer, TimestampMs, VerifiedTransaction, VerifiedVertex,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a node knows when it starts. At genesis: era 1, nothing else.
#[derive(Debug)]
pub struct Restored {
    /// The era of the next block.
    pub context: Arc<EraContext>,
    /// The era before it, if its last block is the head and its certificate is not known.
    pub ended: Option<Arc<EraContext>>,
    /// Last commits of the era, in order ([`holdfast_dag::DagCore::commits_needed`] of them or all).
    pub commits: Vec<CommitRecord>,
    /// The DAG on which the emergency stands that runs or has just ended (rule R21).
    pub tail: Option<DagStanding>,
    /// Stored vertices of the era, by rising reference.
    pub vertices: Vec<Arc<VerifiedVertex>>,
    /// The last own vertex that the store has, of the era or of the one before.
    pub own_last: Option<Arc<VerifiedVertex>>,
    /// The last executed blocks of the era, lowest first, as this validator would attest them; at an era's end only
    /// its last block.
    pub recent: Vec<AttestationBody>,
    /// Blocks that end an emergency and that no certificate covers.
    pub open_ends: Vec<BlockId>,
    /// Votes of a quorum for the newest of them.
    pub end_votes: Option<EndVotes>,
    /// Certificate of the anchor of `context`, if stored.
    pub anchor_certificate: Option<Certificate>,
    pub certified: Height,
    /// Key and guard; without both the node follows.
    pub signer: Option<(Arc<dyn Signer>, SignGuardRecord)>,
    /// Queued transactions in the order of admission, each with the nonce of its sender in the state.
    pub mempool: Vec<(Arc<VerifiedTransaction>, u64)>,
    /// What is known of halts.
    pub halts: HaltState,
    /// Evidence that waits to be executed.
    pub evidence: Vec<Evidence>,
    /// The last executed block.
    pub head: ExecutedHead,
    pub head_timestamp: TimestampMs,
    /// When emergency blocks can follow it.
    pub emergency: EmergencyClock,
}

type Signing = Arc<dyn Signer>;

fn sign_guard((signer, record): (Signing, SignGuardRecord)) -> (Signing, SignGuard) {
    let guard = if mutant::is_on(Mutant::GuardReset) {
        SignGuard::empty(record.key)
    } else {
        SignGuard::new(record)
    };
    (signer, guard)
}

/// The mempool as it was stored.
fn queued(config: &ReplicaConfig, stored: Vec<(Arc<VerifiedTransaction>, u64)>) -> Mempool {
    let mut mempool = Mempool::new(config.mempool.clone());
    for (transaction, account_nonce) in stored {
        // What is refused was executed or has expired meanwhile.
        drop(mempool.insert(transaction, account_nonce, Origin::Returning));
    }
    mempool
}

fn production(config: &ReplicaConfig, restored: &Restored, now: Now) -> Production {
    Production::new(config, restored.emergency, restored.head_timestamp, now)
}

/// Evidence as it was stored.
fn waiting(stored: Vec<Evidence>) -> EvidencePool {
    let mut evidence = EvidencePool::new(EVIDENCE_WAITING_MAX);
    for item in stored {
        evidence.insert(item);
    }
    evidence
}

/// The era that runs; whether its last block is executed and waits for its certificate; and the emergency, if that is the end
/// of one (rules R4 and R18).
fn running_era(restored: &Restored) -> (Arc<EraContext>, bool, Option<Arc<EraContext>>) {
    let next = &restored.context;
    match &restored.ended {
        Some(_) if next.kind == EraKind::Emergency => (Arc::clone(next), false, None),
        Some(ended) if ended.kind == EraKind::Emergency => (
            Arc::new(certifying(ended, next)),
            true,
            Some(Arc::clone(ended)),
        ),
        Some(ended) => (Arc::clone(ended), true, None),
        None => (Arc::clone(next), false, None),
    }
}

/// Who has a key signs.
fn signing_with(signer: Option<&Arc<dyn Signer>>) -> SigningState {
    signer.map_or(SigningState::NoKey, |_| SigningState::Active)
}

impl Replica {
    /// The replica as it was, as far as the store knows; the output holds what has to be done first.
    pub fn restore(config: ReplicaConfig, restored: Restored, now: Now) -> (Self, Output) {
        let (running, is_between, ending) = &running_era(&restored);
        let production = production(&config, &restored, now);
        let (signer, guard) = restored.signer.map(sign_guard).unzip();
        let listens = signer.is_some() && config.listen_limit_ms > 0;
        let halts = Halts::new(&config.halts, restored.halts, restored.head, running, now);
        let mut replica = Self {
            halts,
            production,
            listening: listens.then(|| Listening::new(now)),
            signing: signing_with(signer.as_ref()),
            signer,
            guard,
            signed_here: SignedHere::default(),
            ignores_own_key: false,
            collector: collector(running, restored.certified.minus(1)),
            context: Arc::clone(running),
            ending: ending.clone(),
            open_ends: restored.open_ends,
            dag: None,
            tail: None,
            pending_era: None,
            certified: restored.certified,
            mempool: queued(&config, restored.mempool),
            recent_nonces: RecentNonces::default(),
            evidence: waiting(restored.evidence),
            future: FutureVertices::new(FUTURE_PER_AUTHOR_MAX),
            early: EarlyVertices::new(COMMITTEE_MEMBERS_MAX, EARLY_PER_AUTHOR_MAX),
            commits: Commits::standing_at(restored.commits.last().map_or(0, |commit| commit.index)),
            to_attest: VecDeque::new(),
            anchor_certificate: restored.anchor_certificate.clone(),
            chain_is_elsewhere: false,
            uncertified: VecDeque::new(),
            settled: Round::ZERO,
            pruned: Round::ZERO,
            behind_reported: Round::ZERO,
            holds_asked: 0,
            forwarded_at_ms: now.monotonic_ms,
            config,
        };
        let mut out = Output::default();
        // The store may have gone back, and the process have died before the halts followed.
        let era = replica.context.era;
        replica.halt_note(now, HaltInput::EraTakenBack(era), &mut out);
        replica.halts_of_era_settled(now, &mut out);
        replica.freeze_chain(&mut out);
        replica.guard_stored(restored.own_last.as_ref(), &mut out);
        if let Some(tail) = restored.tail {
            replica.restore_tail(now, tail, &mut out);
        }
        if restored.context.kind == EraKind::Emergency {
            out.era_started = Some(restored.context);
        } else if *is_between {
            out.era_started = ending.as_ref().map(|_| Arc::clone(running));
            let anchor = restored.recent.last();
            replica.restore_between_eras(now, &restored.context, anchor, &mut out);
            replica.on_end_votes(restored.end_votes.as_ref(), &mut out);
        } else {
            let stored = (restored.commits.as_slice(), restored.vertices);
            let own = restored.own_last.as_ref();
            replica.restore_dag(now, &restored.context, stored, own);
            replica.attest_after_restart(restored.recent);
            if let Some(certificate) = restored.anchor_certificate {
                // The chain stores it if it has not done so.
                replica.on_certificate(certificate, &mut out);
            }
            out.era_started = Some(restored.context);
        }
        (replica, out)
    }

    /// The DAG of the running era on its last commits, with the vertices that were stored and the last own one.
    fn restore_dag(
        &mut self,
        now: Now,
        context: &Arc<EraContext>,
        stored: (&[CommitRecord], Vec<Arc<VerifiedVertex>>),
        own: Option<&Arc<VerifiedVertex>>,
    ) {
        let (commits, vertices) = stored;
        let mut dag = self.stored_dag(now, context, commits, &vertices);
        if let Some(own) = own.filter(|own| own.header().era == context.era) {
            dag.set_own_last(own);
        }
        for vertex in dag.own_uncommitted() {
            self.mempool.in_flight(vertex.transaction_ids());
        }
        self.dag = Some(dag);
    }

    /// Raises the guard to what is stored of what this key has signed.
    fn guard_stored(&mut self, own: Option<&Arc<VerifiedVertex>>, out: &mut Output) {
        if let Some(own) = own {
            self.guard_stored_vertex(own, out);
        }
        self.guard_stored_recovery(out);
    }

    /// Raises the guard to an own vertex of the store and to what it attests: a crash may have come before that, and peers
    /// may ask for it.
    fn guard_stored_vertex(&mut self, own: &VerifiedVertex, out: &mut Output) {
        let attested = own.payload().attestations.iter();
        let attested = attested.map(|attestation| attestation.body);
        if let Some(guard) = &mut self.guard
            && guard.raise_to((own.header().era, own.round()), attested)
        {
            out.persist.push(guard.to_record());
        }
    }

    fn restore_between_eras(
        &mut self,
        now: Now,
        next: &Arc<EraContext>,
        anchor: Option<&AttestationBody>,
        out: &mut Output,
    ) {
        if self.ends_emergency() {
            self.halts.nobody_votes();
        }
        let resumed = anchor.filter(|anchor| self.is_resume(anchor));
        if let Some(anchor) = resumed {
            self.halt_note(now, HaltInput::ResumeBuilt(anchor.era), out);
        }
        let vote = self
            .guard
            .as_ref()
            .and_then(|guard| guard.record().end_vote);
        // Before anything else comes to the chain.
        let held = vote.filter(|vote| Some(vote) == anchor);
        let hold = held.map(|vote| self.ask_to_hold(vote.block, out));
        let attest_from_ms = self.attest_from_ms(now);
        let due = anchor.filter(|_| now.monotonic_ms >= attest_from_ms);
        let attestation = due.and_then(|anchor| self.attest_anchor(anchor, out));
        self.pending_era = Some(super::eras::PendingEra {
            context: Arc::clone(next),
            certificate: self.anchor_certificate.take(),
            attestation,
            repeat_at_ms: now.monotonic_ms,
            asked: 0,
            is_resume: resumed.is_some(),
            attest_from_ms,
            ballot: Ballot::new(hold),
            is_refused: false,
        });
        if let Some(attestation) = attestation {
            self.on_attestation(now, &attestation, out);
        }
    }
}
