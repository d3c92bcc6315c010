//! Halts: what is watched, and what a halt does to this replica (rules R13 to R17).
//!
//! The decisions are those of [`HaltManager`]; here they meet the DAG. Every gate of the replica asks
//! [`Replica::allows`], and nothing else.

mod alone;
mod dissenters;
mod locking;
mod resuming;
mod settings;
mod telling;

pub use settings::HaltSettings;

use super::Replica;
use crate::io::{Fact, Message, Now, Output};
use crate::record::Record;
use holdfast_halt::cluster::ClusterDetector;
use holdfast_halt::divergence::DivergenceDetector;
use holdfast_halt::journal::JournalEvent;
use holdfast_halt::manager::{
    HaltEffect, HaltInput, HaltManager, HaltRefusal, HaltState, Standing, Transition,
};
use holdfast_halt::matrix::{Activity, Mode, ModeSet};
use holdfast_halt::stall::{Stall, StallChange, StallDetector, StallObservation};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::wire::GossipedGovernance;
use holdfast_types::{
    AttestationBody, AuthorityIndex, Committee, Era, EraContext, EraKind, Evidence,
    GovernanceMessage, HaltProof, HaltThresholds, Hash32, Height, Readiness, Round,
    SignedHaltStatus, TimestampMs,
};
use std::collections::BTreeMap;

/// What is known of the last executed block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecutedHead {
    /// As this validator would attest it; none before the node is told of one.
    pub body: Option<AttestationBody>,
    pub live_time: TimestampMs,
    /// Sequence number of the last governance message that the chain has executed.
    pub governance_sequence: u64,
}

impl ExecutedHead {
    pub(super) fn height(&self) -> Height {
        self.body.map_or(Height::ZERO, |body| body.height)
    }
}

/// The halts of a replica, and what watches for them.
#[derive(Debug)]
pub struct Halts {
    manager: HaltManager,
    /// The era is that of an emergency.
    in_emergency: bool,
    stall: StallDetector,
    divergence: DivergenceDetector,
    cluster: ClusterDetector,
    /// What halted members say of themselves, the newest of each.
    statuses: BTreeMap<AuthorityIndex, SignedHaltStatus>,
    /// When each member was heard last: a vertex of it came, or a new statement of how it stands.
    heard_ms: Vec<u64>,
    pub(super) head: ExecutedHead,
    /// A commit happened since the stall detector looked last.
    committed: bool,
    readiness: Readiness,
    /// When this node says again how it stands, and asks again for the block that resumes.
    say_at_ms: u64,
    /// When it tells again what nobody else may know of.
    tell_at_ms: u64,
    resume_at_ms: u64,
    /// From when on a member may be asked for its halts again.
    ask_at_ms: u64,
    /// Highest governance message that an own vertex of this era carries.
    carried: u64,
    /// Since when this validator votes in the attempt in which it is.
    attempt: Option<(u32, u64)>,
    /// Since when a quorum does.
    attempt_full_ms: Option<u64>,
    /// Whether others follow the halt that holds here.
    alone: Option<alone::Alone>,
    /// In this era the guard has refused a vote to go on, and that was told.
    recovery_refused: Option<Era>,
}

/// How many may vote for a lockdown: nobody in an emergency, in which one account is the committee.
fn voters(context: &EraContext) -> usize {
    context.certifiers().map_or(0, Committee::size)
}

impl Halts {
    pub(super) fn new(
        settings: &HaltSettings,
        state: HaltState,
        head: ExecutedHead,
        context: &EraContext,
        now: Now,
    ) -> Self {
        let thresholds = HaltThresholds::new(&settings.thresholds, &context.committee);
        Self {
            manager: HaltManager::new(settings.manager.clone(), voters(context), state),
            in_emergency: context.kind == EraKind::Emergency,
            stall: StallDetector::new(settings.stall),
            divergence: DivergenceDetector::new(context.era, thresholds),
            cluster: ClusterDetector::new(context.era, thresholds),
            statuses: BTreeMap::new(),
            heard_ms: vec![now.monotonic_ms; context.committee.size()],
            head,
            committed: false,
            readiness: Readiness::NotAsked,
            say_at_ms: now.monotonic_ms,
            tell_at_ms: now.monotonic_ms,
            resume_at_ms: now.monotonic_ms,
            ask_at_ms: now.monotonic_ms,
            carried: 0,
            attempt: None,
            attempt_full_ms: None,
            alone: None,
            recovery_refused: None,
        }
    }

    /// Everything that holds here.
    #[must_use]
    pub fn modes(&self) -> ModeSet {
        let emergency = self.in_emergency.then_some(Mode::EmergencyConsensus);
        self.manager.modes().iter().chain(emergency).collect()
    }

    #[must_use]
    pub const fn manager(&self) -> &HaltManager {
        &self.manager
    }

    /// The soft stall that holds, if one does.
    #[must_use]
    pub fn stall(&self) -> Option<&Stall> {
        self.stall.current()
    }

    /// What halted members say of themselves.
    pub fn statuses(&self) -> impl Iterator<Item = &SignedHaltStatus> {
        self.statuses.values()
    }

    /// When each member was heard last, by a vertex or a statement, in ms of the monotonic clock.
    #[must_use]
    pub fn heard_ms(&self) -> &[u64] {
        &self.heard_ms
    }

    #[must_use]
    pub const fn readiness(&self) -> Readiness {
        self.readiness
    }

    /// Another committee: what was seen of the old one says nothing of it.
    pub(super) fn enter(&mut self, settings: &HaltSettings, context: &EraContext, now: Now) {
        let committee = &context.committee;
        let thresholds = HaltThresholds::new(&settings.thresholds, committee);
        self.divergence.era_started(context.era, thresholds);
        self.cluster.era_started(context.era, thresholds);
        self.manager.set_voters(voters(context));
        self.in_emergency = context.kind == EraKind::Emergency;
        self.statuses.clear();
        self.heard_ms = vec![now.monotonic_ms; committee.size()];
        self.readiness = Readiness::NotAsked;
        self.carried = 0;
        self.attempt = None;
        self.attempt_full_ms = None;
        self.alone = None;
        self.committed = true;
    }

    /// Between an emergency and the era after it there is nothing to lock.
    pub(super) const fn nobody_votes(&mut self) {
        self.manager.set_voters(0);
    }

    pub(super) fn heard(&mut self, author: AuthorityIndex, now: Now) {
        if let Some(at_ms) = self.heard_ms.get_mut(author.as_usize()) {
            *at_ms = now.monotonic_ms;
        }
    }

    pub(super) const fn committed(&mut self) {
        self.committed = true;
    }

    /// Governance messages for an own vertex, at most `count`: each once in an era, until the chain has recorded it.
    pub(super) fn messages_to_carry(&mut self, count: usize) -> Vec<GovernanceMessage> {
        let waiting = self.manager.state().waiting.iter();
        let ready = waiting.filter(|message| message.body.sequence > self.carried);
        let taken: Vec<_> = ready.take(count).cloned().collect();
        if let Some(last) = taken.last() {
            self.carried = last.body.sequence;
        }
        taken
    }

    /// Governance messages for an emergency block: another one may not have been taken.
    pub(super) fn waiting_messages(&self, count: usize) -> Vec<GovernanceMessage> {
        let waiting = self.manager.state().waiting.iter();
        waiting.take(count).cloned().collect()
    }

    pub(super) fn has_messages_to_carry(&self) -> bool {
        let waiting = &self.manager.state().waiting;
        waiting
            .last()
            .is_some_and(|message| message.body.sequence > self.carried)
    }

    fn standing(&self, now: Now) -> Standing {
        Standing {
            wall: now.wall,
            head: self.head.height(),
            live_time: self.head.live_time,
        }
    }
}

impl Replica {
    /// Whether nothing forbids an activity here (rule R13).
    pub(super) fn allows(&self, activity: Activity) -> bool {
        self.halts.manager.allows(activity)
            || activity == Activity::VertexProduction && mutant::is_on(Mutant::SignsWhileHalted)
    }

    /// The halts that hold here and what is known of them.
    #[must_use]
    pub const fn halts(&self) -> &Halts {
        &self.halts
    }

    /// One step of the manager, with its effects in the output. The verdict is for who sent the input.
    pub(super) fn halt_step(&mut self, now: Now, input: HaltInput, out: &mut Output) {
        let standing = self.halts.standing(now);
        let transition = self.halts.manager.step(standing, input);
        let verdict = self.take_effects(now, transition, out);
        out.verdicts.push(verdict);
    }

    /// The same for inputs of this node itself, which nobody waits for.
    pub(super) fn halt_note(&mut self, now: Now, input: HaltInput, out: &mut Output) {
        let standing = self.halts.standing(now);
        let transition = self.halts.manager.step(standing, input);
        // What is refused was known before, or is of another era.
        drop(self.take_effects(now, transition, out));
    }

    fn take_effects(
        &mut self,
        now: Now,
        transition: Transition,
        out: &mut Output,
    ) -> Result<(), HaltRefusal> {
        let effects = transition?;
        let mut changed = false;
        for effect in effects {
            match effect {
                HaltEffect::Persist => changed = true,
                HaltEffect::Journal(entry) => out.persist.push(Record::Journal(entry)),
                HaltEffect::AnnounceProof(proof) => {
                    self.told_just_now(now);
                    self.announce(proof, now, out);
                }
                HaltEffect::AnnounceMessage(message) => {
                    self.told_just_now(now);
                    out.facts.push(Fact::GovernanceAccepted {
                        sequence: message.body.sequence,
                        action: message.body.action.name(),
                    });
                    out.send.push(Message::Governance(GossipedGovernance {
                        message,
                        repetition: 0,
                    }));
                }
                HaltEffect::Began { halt, mode, cause } => {
                    self.halts.say_at_ms = now.monotonic_ms;
                    if mode == Mode::Lockdown {
                        self.freeze_chain(out);
                    }
                    out.facts.push(Fact::HaltBegan { halt, mode, cause });
                }
                HaltEffect::Ended { halt, mode } => out.facts.push(Fact::HaltEnded { halt, mode }),
                HaltEffect::Void(halt) => out.facts.push(Fact::HaltVoid { halt }),
                HaltEffect::Resume => self.halts.resume_at_ms = now.monotonic_ms,
                // Others hear of the lockdown by votes and statuses, and of what ends it by votes and certificates.
                HaltEffect::AnnounceLockdown => self.halts.tell_at_ms = now.monotonic_ms,
                HaltEffect::StillLocked { for_ms } => {
                    out.facts.push(Fact::LockdownLasts { for_ms });
                }
            }
        }
        if changed {
            let state = self.halts.manager.state().clone();
            out.persist.push(Record::Halts(Box::new(state)));
        }
        Ok(())
    }

    /// Tells of a proof, and of the offences in it.
    fn announce(&mut self, proof: HaltProof, now: Now, out: &mut Output) {
        if let HaltProof::EquivocationCluster { evidence } = &proof {
            for item in evidence {
                self.own_key_in_evidence(item, out);
                self.on_evidence(now, item.clone(), out);
            }
        }
        out.send.push(Message::HaltProof {
            proof,
            repetition: 0,
        });
    }

    /// An attestation was seen: does it contradict others? (Rule R14.)
    pub(super) fn watch_attestation(
        &mut self,
        now: Now,
        attestation: &holdfast_types::Attestation,
        out: &mut Output,
    ) {
        if let Some(proof) = self.halts.divergence.add(attestation) {
            self.halt_note(now, HaltInput::Proof(Box::new(proof)), out);
        }
        let trusted = self.context.committee.validity_threshold();
        for attestation in self.collector.dissenters(attestation.body.height, trusted) {
            self.on_evidence(now, Evidence::BadStateRoot { attestation }, out);
        }
    }

    /// Evidence was accepted: are these too many offenders? (Rule R14.)
    pub(super) fn watch_evidence(&mut self, now: Now, evidence: &Evidence, out: &mut Output) {
        if evidence.era() != self.context.era {
            return;
        }
        if let Some(proof) = self.halts.cluster.add(evidence) {
            self.halt_note(now, HaltInput::Proof(Box::new(proof)), out);
        }
    }

    /// What time brings: the ends of halts, the own status, the next try to resume.
    pub(super) fn watch(&mut self, now: Now, out: &mut Output) {
        let executed_sequence = self.halts.head.governance_sequence;
        let progress = HaltInput::Progress { executed_sequence };
        self.halt_note(now, progress, out);
        self.follow_resume(now, out);
        self.say_status(now, out);
        self.tell_again(now, out);
    }

    /// Looks for a soft stall, after all that this step has committed.
    pub(super) fn watch_stall(&mut self, now: Now, out: &mut Output) {
        let committed = std::mem::take(&mut self.halts.committed);
        let committee = &self.context.committee;
        let timeout_ms = self.config.halts.stall.timeout_ms;
        let oldest_ms = now.monotonic_ms.saturating_sub(timeout_ms);
        let heard = self.halts.heard_ms.iter();
        let active_committee = heard.filter(|at_ms| **at_ms >= oldest_ms).count();
        let observation = StallObservation {
            now_ms: now.monotonic_ms,
            committed,
            certified: self.newest_certified(),
            active_committee,
            quorum: committee.quorum(),
            certified_threshold: committee.certified_threshold(),
            halted: self.halts.manager.is_halted(),
            syncing: self.sync_progress(),
        };
        let change = self.halts.stall.observe(observation);
        self.halts
            .manager
            .set_stalled(self.halts.stall.current().is_some());
        if let Some(change) = change {
            let event = match change {
                StallChange::Began { reasons } => JournalEvent::StallBegan { reasons },
                StallChange::Escalated => JournalEvent::StallEscalated,
                StallChange::Ended { lasted_ms } => JournalEvent::StallEnded { lasted_ms },
            };
            self.halt_note(now, HaltInput::Record(event), out);
            out.facts.push(Fact::Stall(change));
        }
    }

    /// The newest round in which it can be known how many vertices are certified, and their number.
    fn newest_certified(&self) -> Option<(Round, usize)> {
        let dag = self.dag.as_ref()?;
        let round = dag.round().previous().previous();
        (round > Round::ZERO).then(|| (round, dag.certified_vertices(round)))
    }

    /// While this node is so far behind that it syncs, what shows that the sync gets on.
    fn sync_progress(&self) -> Option<(Round, Height)> {
        let dag = self.dag.as_ref().filter(|dag| dag.is_far_behind())?;
        Some((dag.round(), self.halts.head.height()))
    }

    /// When the manager or its detectors have to be asked again, in ms of the monotonic clock.
    pub(super) fn next_halt_ms(&self, now: Now) -> Option<u64> {
        let manager = &self.halts.manager;
        let by_wall = manager
            .next_wall()
            .map(|until| now.monotonic_ms.saturating_add(until.since(now.wall)));
        let halted = manager.is_halted();
        let say = halted.then_some(self.halts.say_at_ms);
        let tell = manager.state().has_news().then_some(self.halts.tell_at_ms);
        let resume = manager.resume_order();
        let resume = resume.or_else(|| manager.state().resume_awaited());
        let resume = resume.map(|_| self.halts.resume_at_ms);
        let stall = self.halts.stall.next_deadline_ms().filter(|_| !halted);
        [by_wall, say, tell, resume, stall]
            .into_iter()
            .flatten()
            .min()
    }

    /// Blocks have executed these offences.
    pub(super) fn evidence_executed(&mut self, slots: &[Hash32], out: &mut Output) {
        let removed = self.evidence.executed(slots);
        if !removed.is_empty() {
            out.persist.push(Record::EvidenceRemove(removed));
        }
    }
}
