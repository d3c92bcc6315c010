//! What RPC says of halts, made of the picture on the board.

mod convert;
mod meter;
mod submit;

use super::NodeBackend;
use super::convert::hash;
use crate::clock;
use crate::runtime::board::{Standing, era_of};
use crate::runtime::halted::HaltPicture;
use convert::message_summary;
use holdfast_genesis::GenesisTime;
use holdfast_halt::lockdown::Lock;
use holdfast_halt::matrix::{permission, permission_in, wording};
use holdfast_halt::{Activity, HaltInForce, Mode, Permission, StallReason};
use holdfast_rpc::dto::{
    BlockRef, ChainState, EvidenceItem, GovernanceState, Governor, HaltFigures, HaltMatrix,
    HaltNotification, HaltPhase, HaltProof, HaltReport, HaltStatus, Hash, JournalEntry, MatrixCell,
    MatrixRow, Number, ResumeInProgress, StallReport,
};
use holdfast_rpc::{BackendError, ChainEvent, Check, NotReady};
use holdfast_types::{BlockId, Era, EraContext, Height, TimestampMs};
use std::sync::{Arc, PoisonError};

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

/// The mode of what holds and why, in a line.
pub(super) fn in_a_line(picture: &HaltPicture) -> Option<(Mode, String)> {
    let state = &picture.state;
    // Whatever else holds: this one needs a hand here.
    let own_fault = state.own_fault.as_ref().map(HaltInForce::OwnFault);
    let Some(halt) = own_fault.or_else(|| state.in_force().next()) else {
        let resume = state.resume.as_ref()?;
        let text = format!(
            "resume message {} is being carried out",
            resume.body.sequence
        );
        return Some((Mode::HardHalt, text));
    };
    let text = match halt {
        HaltInForce::OwnFault(fault) => {
            let cause = fault.cause;
            format!("{}, {}: {}", cause.name(), cause.message(), fault.detail)
        }
        HaltInForce::Hard(halt) => format!("{}, {}", halt.cause.name(), halt.cause.message()),
        HaltInForce::Emergency(halt) => {
            let reason = halt.message.body.action.reason().unwrap_or_default();
            let until = GenesisTime(halt.until);
            format!("ordered by governance until {until}: {reason}")
        }
        HaltInForce::Lockdown(_, lock) => voted(lock),
    };
    Some((halt.mode(), text))
}

fn voted(lock: &Lock) -> String {
    let votes = lock.certificate.votes.len();
    format!("{votes} validators voted for it; as many have to vote to go on")
}

/// The check of `/readyz` on halts.
pub(super) fn not_halted(picture: &HaltPicture) -> Check {
    let reason = match chain_state(picture) {
        Some(ChainState::Lockdown) => NotReady::Lockdown,
        Some(ChainState::Emergency) => NotReady::Emergency,
        Some(ChainState::Halted) => NotReady::Halted,
        _ => return Check::Pass,
    };
    let detail = match in_a_line(picture) {
        Some((mode, text)) => format!("{}: {text}", mode.name()),
        None if reason == NotReady::Emergency => super::emergency::PROVISIONAL.to_owned(),
        None => "a mode that stops the chain holds".to_owned(),
    };
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
    let (kind, reason) =
        in_a_line(picture).map_or(("halt", String::new()), |(mode, text)| (mode.name(), text));
    BackendError::ChainHalted {
        halt_kind: kind.to_owned(),
        reason,
    }
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

pub(super) use submit::wait;

pub(super) fn block_ref(height: Height, id: &BlockId) -> BlockRef {
    BlockRef {
        height: Number(height.0),
        id: hash(id.as_bytes()),
    }
}

impl NodeBackend {
    pub(super) fn report_of_halts(&self) -> HaltReport {
        let standing = self.parts.board.read();
        let picture = &standing.halts;
        let wall = clock::wall();
        let committee = &standing.context.committee;
        let state = &picture.state;
        let stall = picture
            .stall
            .filter(|_| picture.modes.contains(Mode::SoftStall));
        let resume = meter::meter(
            picture,
            committee,
            &self.parts.chain_id,
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

    pub(super) fn matrix_now(&self) -> HaltMatrix {
        let picture = self.parts.board.halts();
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
        let picture = self.parts.board.halts();
        let state = &picture.state;
        let chain = &self.parts.chain_id;
        let accepted = state.sequence.max(governors.sequence);
        let keys = (0..).zip(&governors.keys);
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
            halt: state.emergency.as_ref().map(convert::emergency),
            resume: state.resume.as_ref().and_then(|message| {
                let point = message.body.action.resume_point()?;
                Some(ResumeInProgress {
                    message: message_summary(message, chain),
                    era: Number(point.era.0),
                    block: block_ref(point.height, &point.block),
                    state_root: hash(point.state_root.as_bytes()),
                    minimum_version: point.minimum_version.to_string(),
                })
            }),
            halt_max_ms: Number(self.parts.parameters.halt.emergency_halt_max_ms),
        })
    }

    pub(super) fn evidence_waiting(&self) -> Vec<EvidenceItem> {
        let picture = self.parts.board.halts();
        let item = |evidence| {
            let context = self.context_of(holdfast_types::Evidence::era(evidence));
            convert::evidence(evidence, context.as_deref())
        };
        picture.evidence.iter().map(item).collect()
    }

    fn context_of(&self, era: Era) -> Option<Arc<EraContext>> {
        let running = self.parts.board.read().context;
        era_of(&running, &self.parts.storage, era)
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
            self.parts.key.as_ref(),
        );
        let news = HaltNotification {
            chain_state: phase(picture),
            modes: mode_names(picture),
            halts: convert::halts(&picture.state)
                .into_iter()
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
        drop(told);
        self.tell_lockdown();
    }
}

/// What holds, as `chain_getStatus` lists it.
pub(super) fn in_short(picture: &HaltPicture, wall: TimestampMs) -> Vec<HaltStatus> {
    let status = |mode: Mode, since: TimestampMs, reason: String| HaltStatus {
        kind: mode.name().to_owned(),
        since_ms: Number(since.0),
        reason,
    };
    let halts = picture.state.in_force().map(|halt| {
        let reason = match halt {
            HaltInForce::Hard(halt) => halt.cause.message().to_owned(),
            HaltInForce::OwnFault(fault) => format!("{}: {}", fault.cause.message(), fault.detail),
            HaltInForce::Emergency(halt) => halt.message.body.action.reason().unwrap_or_default(),
            HaltInForce::Lockdown(_, lock) => voted(lock),
        };
        status(halt.mode(), halt.since(), reason)
    });
    let stall = stalled(picture).map(|reasons| {
        let since_ms = picture.stall.map_or(picture.now_ms, |stall| stall.since_ms);
        let age_ms = picture.now_ms.saturating_sub(since_ms);
        status(Mode::SoftStall, wall.minus(age_ms), reasons)
    });
    halts.chain(stall).collect()
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

#[cfg(test)]
#[path = "halts/halts_tests.rs"]
mod tests;
