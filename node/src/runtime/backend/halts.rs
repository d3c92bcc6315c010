//! What RPC says of halts, made of the picture on the board.

mod convert;
mod meter;
mod submit;

use super::NodeBackend;
use super::convert::hash;
use crate::runtime::board::Standing;
use crate::runtime::halted::HaltPicture;
use convert::message_summary;
use holdfast_chain::ChainStore as _;
use holdfast_genesis::GenesisTime;
use holdfast_halt::matrix::{permission, permission_in, wording};
use holdfast_halt::{Activity, Mode, Permission, StallReason};
use holdfast_rpc::dto::{
    BlockRef, ChainState, EvidenceItem, GovernanceState, Governor, HaltFigures, HaltMatrix,
    HaltNotification, HaltPhase, HaltProof, HaltReport, HaltStatus, Hash, JournalEntry, MatrixCell,
    MatrixRow, Number, ResumeInProgress, StallReport,
};
use holdfast_rpc::{BackendError, ChainEvent, Check, NotReady};
use holdfast_types::{BlockId, Era, EraContext, GovernanceAction, Height, TimestampMs};
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// In one word where the chain stands between stop and start.
#[must_use]
pub(in crate::runtime) fn phase(picture: &HaltPicture) -> HaltPhase {
    if picture.state.resume.is_some() {
        HaltPhase::Resuming
    } else if !picture.modes.ordered().is_empty() {
        HaltPhase::Halted
    } else if picture.modes.contains(Mode::SoftStall) {
        HaltPhase::Stalled
    } else {
        HaltPhase::Running
    }
}

/// The state of the chain that the modes mean; none: they mean nothing special.
pub(super) fn chain_state(picture: &HaltPicture) -> Option<ChainState> {
    let modes = picture.modes;
    if modes.contains(Mode::Lockdown) {
        Some(ChainState::Lockdown)
    } else if modes.contains(Mode::HardHalt) || modes.contains(Mode::EmergencyHalt) {
        Some(ChainState::Halted)
    } else if modes.contains(Mode::EmergencyConsensus) {
        Some(ChainState::Emergency)
    } else if modes.contains(Mode::SoftStall) {
        Some(ChainState::Stalled)
    } else {
        None
    }
}

/// The kinds of what holds and why, in a line.
pub(super) fn in_a_line(picture: &HaltPicture) -> Option<(&'static str, String)> {
    if let Some(fault) = &picture.state.own_fault {
        let cause = fault.cause;
        let text = format!("{}, {}: {}", cause.name(), cause.message(), fault.detail);
        return Some((Mode::HardHalt.name(), text));
    }
    if let Some(halt) = picture.state.hard.first() {
        let text = format!("{}, {}", halt.cause.name(), halt.cause.message());
        return Some((Mode::HardHalt.name(), text));
    }
    if let Some(halt) = picture.state.emergency.as_ref().filter(|halt| halt.active) {
        let reason = halt.message.body.action.reason().unwrap_or_default();
        let until = GenesisTime(halt.until);
        let text = format!("ordered by governance until {until}: {reason}");
        return Some((Mode::EmergencyHalt.name(), text));
    }
    let resume = picture.state.resume.as_ref()?;
    let text = format!(
        "resume message {} is being carried out",
        resume.body.sequence
    );
    Some((Mode::HardHalt.name(), text))
}

/// The check of `/readyz` on halts.
pub(super) fn not_halted(picture: &HaltPicture) -> Check {
    let reason = match chain_state(picture) {
        Some(ChainState::Lockdown) => NotReady::Lockdown,
        Some(ChainState::Emergency) => NotReady::Emergency,
        Some(ChainState::Halted) => NotReady::Halted,
        _ => return Check::Pass,
    };
    let detail = in_a_line(picture).map_or_else(
        || "a mode that stops the chain holds".to_owned(),
        |(mode, text)| format!("{mode}: {text}"),
    );
    Check::Fail { reason, detail }
}

/// Why nothing is committed, if this node sees a soft stall.
pub(super) fn stalled(picture: &HaltPicture) -> Option<String> {
    let is_stalled = picture.modes.contains(Mode::SoftStall);
    is_stalled.then(|| stall_reasons(picture).join(", "))
}

/// The refusal of a transaction that a mode rejects.
pub(super) fn rejected(picture: &HaltPicture) -> BackendError {
    if picture.modes.contains(Mode::Lockdown) {
        return BackendError::Lockdown;
    }
    let (kind, reason) = in_a_line(picture).unwrap_or(("halt", String::new()));
    BackendError::ChainHalted {
        halt_kind: kind.to_owned(),
        reason,
    }
}

pub(super) fn wall_clock() -> TimestampMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TimestampMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn small(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn mode_names(picture: &HaltPicture) -> Vec<String> {
    let modes = picture.modes.iter();
    modes.map(|mode| mode.name().to_owned()).collect()
}

fn stall_reasons(picture: &HaltPicture) -> Vec<String> {
    let stall = picture
        .stall
        .filter(|_| picture.modes.contains(Mode::SoftStall));
    let reasons = stall.iter().flat_map(|stall| stall.reasons.iter());
    reasons.map(StallReason::name).map(str::to_owned).collect()
}

fn block_ref(height: Height, id: &BlockId) -> BlockRef {
    BlockRef {
        height: Number(height.0),
        id: hash(id.as_bytes()),
    }
}

impl NodeBackend {
    pub(super) fn report_of_halts(&self) -> HaltReport {
        let standing = self.parts.board.read();
        let picture = &standing.halts;
        let wall = wall_clock();
        let committee = &standing.context.committee;
        let state = &picture.state;
        let stall = picture
            .stall
            .filter(|_| picture.modes.contains(Mode::SoftStall));
        let resume = meter::meter(
            picture,
            committee,
            &self.parts.chain_id,
            wall,
            self.parts.key.as_ref(),
        );
        let advice = meter::advice(picture, &resume);
        HaltReport {
            chain_state: phase(picture),
            modes: mode_names(picture),
            halts: convert::halts(state),
            own_fault: state.own_fault.as_ref().map(convert::own_fault),
            stall: stall.map(|stall| {
                let age_ms = picture.now_ms.saturating_sub(stall.since_ms);
                StallReport {
                    reasons: stall_reasons(picture),
                    since_ms: Number(wall.0.saturating_sub(age_ms)),
                    seconds: age_ms as f64 / 1000.0,
                    escalated: stall.escalated,
                }
            }),
            figures: figures(&standing),
            resume,
            transactions_queued: Number(standing.mempool_transactions as u64),
            evidence_waiting: Number(picture.evidence.len() as u64),
            journal_entries: Number(state.journal.next_index()),
            next_command: advice.next_command,
            runbook: advice.runbook.to_owned(),
        }
    }

    /// What holds, as `chain_getStatus` lists it.
    pub(super) fn halts_in_short(&self, standing: &Standing) -> Vec<HaltStatus> {
        let picture = &standing.halts;
        let wall = wall_clock();
        let status = |kind: &str, since_ms: Number, reason: String| HaltStatus {
            kind: kind.to_owned(),
            since_ms,
            reason,
        };
        let mut listed = Vec::new();
        for halt in convert::halts(&picture.state) {
            let reason = halt.reason.unwrap_or(halt.sentence);
            if halt.active {
                listed.push(status(&halt.mode, halt.since_ms, reason));
            }
        }
        if let Some(fault) = &picture.state.own_fault {
            let reason = format!("{}: {}", fault.cause.message(), fault.detail);
            listed.push(status(Mode::HardHalt.name(), Number(fault.since.0), reason));
        }
        if let Some(reasons) = stalled(picture) {
            let since_ms = picture.stall.map_or(picture.now_ms, |stall| stall.since_ms);
            let age_ms = picture.now_ms.saturating_sub(since_ms);
            let since_ms = Number(wall.0.saturating_sub(age_ms));
            listed.push(status(Mode::SoftStall.name(), since_ms, reasons));
        }
        listed
    }

    pub(super) fn matrix_now(&self) -> HaltMatrix {
        let picture = self.parts.board.read().halts;
        let ordered = picture.modes.ordered();
        let row = |activity: Activity| {
            let now = permission_in(activity, ordered);
            let cell = |mode: Mode| MatrixCell {
                mode: mode.name().to_owned(),
                permission: permission(activity, mode).name().to_owned(),
                wording: wording(activity, mode).to_owned(),
            };
            MatrixRow {
                activity: activity.name().to_owned(),
                cells: Mode::ALL.map(cell).into(),
                now: Permission::name(now).to_owned(),
                now_wording: now.text().to_owned(),
                allowed: now.allows(),
            }
        };
        HaltMatrix {
            modes: Mode::ALL.map(|mode| mode.name().to_owned()).into(),
            modes_now: mode_names(&picture),
            rows: Activity::ALL.map(row).into(),
        }
    }

    pub(super) fn journal_entries(
        &self,
        from: u64,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, BackendError> {
        let entries = self.parts.storage.halt_journal(from, limit);
        let entries = entries.map_err(|error| BackendError::Internal {
            cause: error.to_string(),
        })?;
        Ok(entries.iter().map(convert::journal_entry).collect())
    }

    pub(super) fn proof_of_halt(&self, id: &Hash) -> Option<HaltProof> {
        let standing = self.parts.board.read();
        convert::proof(
            &standing.halts.state,
            id,
            &standing.context.committee,
            &self.parts.chain_id,
        )
    }

    pub(super) fn governance_state(&self) -> Result<GovernanceState, BackendError> {
        let governors = holdfast_ledger::governors(self.parts.storage.as_ref())
            .map_err(|error| Self::failed(&error))?
            .ok_or_else(|| BackendError::Internal {
                cause: "the governors are missing".to_owned(),
            })?;
        let picture = self.parts.board.read().halts;
        let state = &picture.state;
        let chain = &self.parts.chain_id;
        let accepted = state.sequence.max(governors.sequence);
        let keys = (0..).zip(&governors.keys);
        let halts = convert::halts(state);
        Ok(GovernanceState {
            chain_id: hash(chain.as_bytes()),
            governors: keys
                .map(|(position, key)| Governor {
                    position,
                    public_key: super::convert::key(key),
                })
                .collect(),
            threshold: governors.threshold,
            sequence_on_chain: Number(governors.sequence),
            sequence_accepted: Number(accepted),
            sequence_next: Number(accepted.saturating_add(1)),
            waiting: state
                .waiting
                .iter()
                .map(|message| message_summary(message, chain))
                .collect(),
            halt: halts.into_iter().find(|halt| halt.sequence.is_some()),
            resume: state
                .resume
                .as_ref()
                .and_then(|message| match &message.body.action {
                    GovernanceAction::Resume {
                        era,
                        height,
                        block,
                        state_root,
                        minimum_version,
                        ..
                    } => Some(ResumeInProgress {
                        message: message_summary(message, chain),
                        era: Number(era.0),
                        block: block_ref(*height, block),
                        state_root: hash(state_root.as_bytes()),
                        minimum_version: minimum_version.to_string(),
                    }),
                    GovernanceAction::Halt { .. } | GovernanceAction::RotateKeys { .. } => None,
                }),
            halt_max_ms: Number(self.parts.parameters.halt.emergency_halt_max_ms),
        })
    }

    pub(super) fn evidence_waiting(&self) -> Vec<EvidenceItem> {
        let picture = self.parts.board.read().halts;
        let item = |evidence| {
            let context = self.context_of(holdfast_types::Evidence::era(evidence));
            convert::evidence(evidence, context.as_deref())
        };
        picture.evidence.iter().map(item).collect()
    }

    /// The era with this number, if it is known here.
    fn context_of(&self, era: Era) -> Option<Arc<EraContext>> {
        let running = self.parts.board.read().context;
        if running.era == era {
            return Some(running);
        }
        self.parts.storage.era(era).ok().flatten().map(Arc::new)
    }

    /// Tells subscribers if what is known of halts has changed.
    pub fn tell_halts(&self) {
        let standing = self.parts.board.read();
        let picture = &standing.halts;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told
            .as_ref()
            .is_some_and(|(known, _)| Arc::ptr_eq(known, picture))
        {
            return;
        }
        let resume = meter::meter(
            picture,
            &standing.context.committee,
            &self.parts.chain_id,
            wall_clock(),
            self.parts.key.as_ref(),
        );
        let halts = convert::halts(&picture.state).into_iter();
        let news = HaltNotification {
            chain_state: phase(picture),
            modes: mode_names(picture),
            halts: halts
                .filter(|halt| halt.active)
                .map(|halt| halt.id)
                .collect(),
            own_fault: picture
                .state
                .own_fault
                .as_ref()
                .map(|fault| fault.cause.name().to_owned()),
            stall_reasons: stall_reasons(picture),
            resume: resume.message_id,
            ready: resume.ready,
            differs: resume.differs,
            evidence_waiting: Number(picture.evidence.len() as u64),
        };
        let is_first = told.is_none();
        let changed = told.as_ref().is_none_or(|(_, known)| *known != news);
        // A node that starts without any halt has nothing to tell.
        if changed && !(is_first && news.modes.is_empty()) {
            self.feed.publish(ChainEvent::Halts(Box::new(news.clone())));
        }
        let ready = i64::try_from(news.ready.len()).unwrap_or(i64::MAX);
        self.parts.metrics.halt.ready_validators.set(ready);
        *told = Some((Arc::clone(picture), news));
    }
}

fn figures(standing: &Standing) -> HaltFigures {
    let committee = &standing.context.committee;
    HaltFigures {
        era: Number(standing.context.era.0),
        head: block_ref(standing.head, &standing.head_id),
        certified: block_ref(standing.certified, &standing.certified_id),
        seconds_since_commit: standing.head_changed_at.elapsed().as_secs_f64(),
        committee_size: small(committee.size()),
        quorum: small(committee.quorum()),
        active_committee: small(standing.active_committee),
        certified_vertices: small(standing.certified_vertices),
        certified_threshold: small(committee.certified_threshold()),
    }
}
