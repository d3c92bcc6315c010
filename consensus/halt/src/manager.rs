//! The halt manager: what this node knows of halts, and what follows from it.
//!
//! One transition table, `(state, input) -> (state, effects)`. Every arm names its rule:
//!
//! * H1. A verified proof of the running era halts this node, and is told to everybody.
//! * H2. Another proof of an event that is known changes nothing. Neither do more events than [`HARD_HALTS_MAX`]: the chain
//!   stands still already.
//! * H3. A proof of another era halts nobody: one of an earlier era is settled, one of a later era cannot be judged here.
//! * H4. A fault of this node alone (its own state is wrong, its own ledger broke an invariant) halts this node, and no
//!   resume ends it: it ends when the state is repaired.
//! * H5. A halt of governance takes effect if its sequence number is new, it ends in time, no other is in force, and since
//!   the last one ended the chain has made an epoch of progress.
//! * H6. One that names a height waits until the block of that height is executed.
//! * H7. A halt of governance ends by itself at the time that it names.
//! * H8. A resume message ends the running era: until the next one starts this node signs no vertex and commits nothing
//!   but what leads to the block that the message names. A later message replaces it until its block is built here: who has
//!   attested that block must not attest one that excludes it.
//! * H9. When a later era runs, what halted an earlier one is settled: its proofs and its resume message. A resume message
//!   that ends the era which starts, or a later one, still holds: this node is on its way to the block that it names.
//! * H10. A halt of governance is over when the chain has executed a message after it.
//! * H11. A message whose sequence number was used before does nothing. A halt is also late once a resume with a higher number
//!   has come; a resume is not late because a halt has come: that halt holds in the next era.
//! * H12. Messages that the chain has to record wait here until it has.
//! * H13. Whatever changes the state is persisted before anything of it is told (DESIGN §6: a halt survives restart).
//! * H14. A resume message that a certified block excludes is void: a quorum has gone on without it, and no validator can
//!   come to its block any more.
//! * H15. An emergency that a certificate takes back has settled nothing: the era that it had ended runs on. Proofs of the era
//!   that is no more go with it.
//! * H16. A lockdown is a halt among the others ([`crate::lockdown`]): its certificate begins it, and time does not end it.
//! * H17. While it holds a resume of governance waits: the voters have to let go on as well. They name the message. If that is what they
//!   confirm they let governance decide, and a later message replaces it as it does elsewhere (H8): so two messages in one lockdown, or one
//!   that cannot be carried out, keep nobody from going on.
//! * H18. Who is halted by something else, too, does not vote before governance has said how to go on: then what halts it is settled,
//!   also if the voters have agreed on something else before. What a quorum has confirmed is done by all, whatever has halted some of them
//!   since.
//! * H19. A lockdown of an era ends with the era, also where a quorum has ended it without having heard of the lockdown.
//! * H20. A halt of governance is void where a quorum that is in touch does not follow it from the beginning: by what the others have seen
//!   it comes too soon (H5), and who was away when the one before was ordered does not know. One validator that stands still helps nobody.
//!
//! Evidence has no rule here: no state of a halt refuses it.

use crate::journal::{JournalEntry, JournalEvent};
use crate::lockdown::{LockdownInput, LockdownRules};
use crate::matrix::{Activity, Mode, ModeSet, Permission, permission_in};
use holdfast_types::governance::GovernanceError;
use holdfast_types::parameters::LockdownParameters;
use holdfast_types::{
    ChainId, Era, GovernanceAction, GovernanceMessage, HaltCause, HaltId, HaltProof, Hash32,
    Height, Parameters, TimestampMs,
};

mod emergency;
mod eras;
mod in_force;
mod locking;
mod refusal;
mod state;

pub use in_force::HaltInForce;
pub use refusal::HaltRefusal;
pub use state::{
    EmergencyHalt, HARD_HALTS_MAX, HaltState, HardHalt, MESSAGES_WAITING_MAX, OwnFault, Standing,
};

/// What happens to the manager. Signatures were verified outside.
#[derive(Clone, Debug)]
pub enum HaltInput {
    Proof(Box<HaltProof>),
    OwnFault {
        cause: HaltCause,
        height: Height,
        detail: String,
    },
    /// The state of this node was repaired.
    Repaired,
    Message(Box<GovernanceMessage>),
    /// A quorum that is in touch goes on in spite of this halt (H20).
    NotFollowed(HaltId),
    /// Time has passed or blocks were executed; the last governance message that the chain has executed.
    Progress {
        executed_sequence: u64,
    },
    EraStarted(Era),
    /// The era that ran is taken back: this one runs again.
    EraTakenBack(Era),
    /// A block that resumes is executed here, and ends this era.
    ResumeBuilt(Era),
    /// A certified block excludes the block that the resume message with this sequence number orders.
    ResumeExcluded {
        sequence: u64,
    },
    /// Verified as rules LK1 to LK6 ask.
    Lockdown(LockdownInput),
    /// For the record only.
    Record(JournalEvent),
}

/// What follows from an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaltEffect {
    /// The state changed: persist it before anything else.
    Persist,
    Journal(JournalEntry),
    AnnounceProof(HaltProof),
    AnnounceMessage(GovernanceMessage),
    /// A halt took effect here: preserve the forensic state.
    Began {
        halt: HaltId,
        mode: Mode,
        cause: Option<HaltCause>,
    },
    Ended {
        halt: HaltId,
        mode: Mode,
    },
    /// A halt of governance holds no more, as a quorum does not follow it (H20).
    Void(HaltId),
    /// What lets the chain go on is new: build the block that it orders, or wait until it can be built.
    Resume,
    /// A lockdown, or what ends it, is new: say how this node stands, and what proves how far the votes to go on are.
    AnnounceLockdown,
    /// A lockdown lasts, and nobody has ended it: alert.
    StillLocked {
        for_ms: u64,
    },
}

/// Parameters of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaltConfig {
    pub chain: ChainId,
    pub emergency_halt_max_ms: u64,
    pub epoch_duration_ms: u64,
    pub lockdown: LockdownParameters,
}

impl HaltConfig {
    #[must_use]
    pub fn from_parameters(chain: ChainId, parameters: &Parameters) -> Self {
        Self {
            chain,
            emergency_halt_max_ms: parameters.halt.emergency_halt_max_ms,
            epoch_duration_ms: parameters.epoch_duration_ms,
            lockdown: parameters.lockdown.clone(),
        }
    }
}

/// What came of an input.
pub type Transition = Result<Vec<HaltEffect>, HaltRefusal>;

/// The state with the table.
#[derive(Clone, Debug)]
pub struct HaltManager {
    config: HaltConfig,
    state: HaltState,
    lockdown: LockdownRules,
    /// Known from the stall detector, for the matrix; not persisted.
    stalled: bool,
}

impl HaltManager {
    /// With so many voters as the running era has ([`Self::set_voters`]).
    #[must_use]
    pub fn new(config: HaltConfig, members: usize, state: HaltState) -> Self {
        let parameters = config.lockdown.clone();
        Self {
            config,
            state,
            lockdown: LockdownRules {
                parameters,
                members,
            },
            stalled: false,
        }
    }

    #[must_use]
    pub const fn state(&self) -> &HaltState {
        &self.state
    }

    /// Everything that holds, a soft stall included.
    #[must_use]
    pub fn modes(&self) -> ModeSet {
        let mut modes = ModeSet::default();
        if self.stalled {
            modes.insert(Mode::SoftStall);
        }
        // H8: the era ends.
        if self.state.resume.is_some() {
            modes.insert(Mode::HardHalt);
        }
        for halt in self.state.in_force() {
            modes.insert(halt.mode());
        }
        modes
    }

    /// What orders this node to stop something (rule M4).
    #[must_use]
    pub fn orders(&self) -> ModeSet {
        self.modes().ordered()
    }

    /// The one question of every gate.
    #[must_use]
    pub fn permission(&self, activity: Activity) -> Permission {
        permission_in(activity, self.orders())
    }

    #[must_use]
    pub fn allows(&self, activity: Activity) -> bool {
        self.permission(activity).allows()
    }

    /// True while something orders this node to stop.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        !self.orders().is_empty()
    }

    /// Ids of the halts in force, in their order.
    #[must_use]
    pub fn halts(&self) -> Vec<HaltId> {
        self.state.in_force().map(|halt| halt.id()).collect()
    }

    /// When time alone changes something, by the wall clock.
    #[must_use]
    pub fn next_wall(&self) -> Option<TimestampMs> {
        let emergency = self.state.emergency.as_ref().map(|halt| halt.until);
        let lockdown = self.lockdown.next_wall(&self.state.lockdown);
        emergency.into_iter().chain(lockdown).min()
    }

    /// Tells the matrix of a soft stall.
    pub const fn set_stalled(&mut self, stalled: bool) {
        self.stalled = stalled;
    }

    /// One step of the table.
    pub fn step(&mut self, standing: Standing, input: HaltInput) -> Transition {
        match input {
            HaltInput::Proof(proof) => self.on_proof(standing, *proof),
            HaltInput::OwnFault {
                cause,
                height,
                detail,
            } => self.on_own_fault(standing, cause, height, detail),
            HaltInput::Repaired => Ok(self.on_repaired(standing)),
            HaltInput::Message(message) => self.on_message(standing, *message),
            HaltInput::NotFollowed(halt) => Ok(self.on_not_followed(standing, halt)),
            HaltInput::Progress { executed_sequence } => {
                Ok(self.on_progress(standing, executed_sequence))
            }
            HaltInput::EraStarted(era) => Ok(self.on_era_started(standing, era)),
            HaltInput::EraTakenBack(era) => Ok(self.on_era_taken_back(standing, era)),
            HaltInput::ResumeBuilt(era) => Ok(self.on_resume_built(era)),
            HaltInput::ResumeExcluded { sequence } => {
                Ok(self.on_resume_excluded(standing, sequence))
            }
            HaltInput::Lockdown(input) => self.on_lockdown(standing, input),
            HaltInput::Record(event) => {
                let mut effects = vec![HaltEffect::Persist];
                self.note(standing, event, &mut effects);
                Ok(effects)
            }
        }
    }

    fn note(&mut self, standing: Standing, event: JournalEvent, effects: &mut Vec<HaltEffect>) {
        let era = self.state.era;
        let entry = self
            .state
            .journal
            .append(standing.wall, era, standing.head, event);
        effects.push(HaltEffect::Journal(entry));
    }

    /// A halt took effect (H13: the state goes first).
    fn began(
        &mut self,
        standing: Standing,
        halt: HaltId,
        mode: Mode,
        cause: Option<HaltCause>,
    ) -> Vec<HaltEffect> {
        let mut effects = vec![HaltEffect::Persist];
        self.note(
            standing,
            JournalEvent::HaltBegan { halt, mode, cause },
            &mut effects,
        );
        effects.push(HaltEffect::Began { halt, mode, cause });
        effects
    }

    fn ended(
        &mut self,
        standing: Standing,
        halt: HaltId,
        mode: Mode,
        effects: &mut Vec<HaltEffect>,
    ) {
        let event = JournalEvent::HaltEnded {
            halt: Some(halt),
            mode,
        };
        self.note(standing, event, effects);
        effects.push(HaltEffect::Ended { halt, mode });
    }

    /// H1 to H3.
    fn on_proof(&mut self, standing: Standing, proof: HaltProof) -> Transition {
        let running = self.state.era;
        let era = proof.era().unwrap_or_default();
        if era != running {
            return Err(HaltRefusal::OtherEra {
                proof: era,
                running,
            });
        }
        let id = proof.id();
        let known = self.state.hard.iter().any(|halt| halt.id == id);
        if known || self.state.hard.len() >= HARD_HALTS_MAX {
            return Err(HaltRefusal::Known);
        }
        let cause = proof.cause();
        self.state.hard.push(HardHalt {
            id,
            cause,
            proof: proof.clone(),
            since: standing.wall,
        });
        let mut effects = self.began(standing, id, Mode::HardHalt, Some(cause));
        effects.push(HaltEffect::AnnounceProof(proof));
        Ok(effects)
    }

    /// H4. The first fault is the one to look into.
    fn on_own_fault(
        &mut self,
        standing: Standing,
        cause: HaltCause,
        height: Height,
        detail: String,
    ) -> Transition {
        if self.state.own_fault.is_some() {
            return Err(HaltRefusal::Known);
        }
        let id = HaltId::of_event(cause, self.state.era, height);
        self.state.own_fault = Some(OwnFault {
            id,
            cause,
            height,
            detail,
            since: standing.wall,
        });
        Ok(self.began(standing, id, Mode::HardHalt, Some(cause)))
    }

    fn on_repaired(&mut self, standing: Standing) -> Vec<HaltEffect> {
        let Some(fault) = self.state.own_fault.take() else {
            return Vec::new();
        };
        let mut effects = vec![HaltEffect::Persist];
        self.ended(standing, fault.id, Mode::HardHalt, &mut effects);
        effects
    }

    /// H5, H6, H8, H11, H12.
    fn on_message(&mut self, standing: Standing, message: GovernanceMessage) -> Transition {
        let sequence = message.body.sequence;
        let resume = self.state.resume.as_ref();
        let last = match message.body.action {
            GovernanceAction::Resume { .. } => resume
                .map_or(0, |resume| resume.body.sequence)
                .max(self.state.executed_sequence)
                .max(self.state.excluded_sequence),
            GovernanceAction::Halt { .. } | GovernanceAction::RotateKeys { .. } => {
                self.state.sequence
            }
        };
        if sequence <= last {
            return Err(GovernanceError::Replayed {
                actual: sequence,
                last,
            }
            .into());
        }
        let id = message.body.id(&self.config.chain);
        let effects = match &message.body.action {
            GovernanceAction::Halt {
                until,
                after_height,
                ..
            } => {
                self.check_halt(standing, &message)?;
                self.begin_emergency(standing, id, *until, *after_height, message.clone())
            }
            GovernanceAction::Resume { .. } => self.begin_resume(standing, id, message.clone())?,
            GovernanceAction::RotateKeys { .. } => vec![HaltEffect::Persist],
        };
        self.state.sequence = self.state.sequence.max(sequence);
        if !matches!(message.body.action, GovernanceAction::Resume { .. }) {
            // H12. Of too many the oldest goes: a later one is what holds.
            self.state.waiting.push(message.clone());
            if self.state.waiting.len() > MESSAGES_WAITING_MAX {
                self.state.waiting.remove(0);
            }
        }
        let mut all = effects;
        self.note(
            standing,
            JournalEvent::MessageReceived {
                message: id,
                sequence,
            },
            &mut all,
        );
        all.push(HaltEffect::AnnounceMessage(message));
        Ok(all)
    }

    /// H8.
    fn begin_resume(
        &mut self,
        standing: Standing,
        id: Hash32,
        message: GovernanceMessage,
    ) -> Transition {
        if let Some(running) = &self.state.resume
            && self.state.resume_is_built
        {
            return Err(HaltRefusal::Resuming {
                sequence: running.body.sequence,
            });
        }
        let running = self.state.era;
        if let Some(point) = message.body.action.resume_point()
            && point.era < running
        {
            let era = point.era;
            return Err(HaltRefusal::EraIsOver { era, running });
        }
        self.state.resume = Some(message);
        let mut effects = vec![HaltEffect::Persist];
        self.note(
            standing,
            JournalEvent::ResumeRequested { message: id },
            &mut effects,
        );
        effects.push(HaltEffect::Resume);
        Ok(effects)
    }

    fn on_resume_built(&mut self, era: Era) -> Vec<HaltEffect> {
        // Also if a lockdown has come since: what is carried out here is not replaced (H8).
        let ordered = self.state.resume.as_ref();
        let ordered = ordered.and_then(|message| message.body.action.resume_point());
        let point = self.resume_point().or(ordered);
        if point.is_none_or(|point| point.era != era) || self.state.resume_is_built {
            return Vec::new();
        }
        self.state.resume_is_built = true;
        vec![HaltEffect::Persist]
    }

    /// H14.
    fn on_resume_excluded(&mut self, standing: Standing, sequence: u64) -> Vec<HaltEffect> {
        let resume = &mut self.state.resume;
        let Some(message) = resume.take_if(|message| message.body.sequence == sequence) else {
            return Vec::new();
        };
        self.state.resume_is_built = false;
        self.state.excluded_sequence = sequence;
        let mut effects = vec![HaltEffect::Persist];
        let message = message.body.id(&self.config.chain);
        self.note(
            standing,
            JournalEvent::ResumeExcluded { message },
            &mut effects,
        );
        effects
    }

    /// H6, H7, H10, H12.
    fn on_progress(&mut self, standing: Standing, executed_sequence: u64) -> Vec<HaltEffect> {
        let mut effects = Vec::new();
        let waiting = self.state.waiting.len();
        self.state
            .waiting
            .retain(|message| message.body.sequence > executed_sequence);
        if self.state.waiting.len() != waiting || executed_sequence > self.state.executed_sequence {
            self.state.executed_sequence = self.state.executed_sequence.max(executed_sequence);
            self.state.sequence = self.state.sequence.max(executed_sequence);
            effects.push(HaltEffect::Persist);
        }
        let is_over = |halt: &mut EmergencyHalt| {
            executed_sequence > halt.message.body.sequence || halt.until <= standing.wall
        };
        if let Some(halt) = self.state.emergency.take_if(is_over) {
            effects.extend(self.end_emergency(standing, &halt));
        }
        if let Some(halt) = &mut self.state.emergency
            && !halt.active
            && !halt.message.body.action.waits_at(standing.head)
        {
            halt.active = true;
            let id = halt.id;
            effects.extend(self.began(standing, id, Mode::EmergencyHalt, None));
        }
        let lockdown = self.on_lockdown(standing, LockdownInput::Tick);
        effects.extend(lockdown.unwrap_or_default());
        effects
    }
}
