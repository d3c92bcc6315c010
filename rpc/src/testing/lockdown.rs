//! A lockdown for tests: of four validators three freeze the chain, and one of them lags.

use super::samples::{name, sample_hash};
use crate::backend::BackendError;
use crate::dto::{
    BlockRef, LockdownPhase, LockdownStatus, LockdownVote, Number, QuarantineReport, RecoveryVote,
};

const VOTED_AT_MS: u64 = 1_767_225_700_000;
const MEMBERS: u16 = 4;
const QUORUM: u16 = 3;

/// What the fake chain knows of a lockdown: as many votes as were cast.
#[derive(Debug, Default)]
pub(super) struct FakeLockdown {
    votes: Vec<String>,
    wants_recovery: bool,
}

impl FakeLockdown {
    fn is_locked(&self) -> bool {
        self.votes.len() >= usize::from(QUORUM)
    }

    pub(super) fn set_votes(&mut self, votes: usize) {
        self.votes = vec!["roots differ between data centres".to_owned(); votes];
    }

    /// Each vote is another validator's.
    pub(super) fn vote(&mut self, reason: &str) -> Result<(), BackendError> {
        if self.is_locked() {
            return Err(BackendError::LockdownRefused {
                reason: "already_locked".to_owned(),
                message: format!("the chain is locked already, since {VOTED_AT_MS} ms"),
            });
        }
        self.votes.push(reason.to_owned());
        Ok(())
    }

    pub(super) fn recover(&mut self) -> Result<(), BackendError> {
        if !self.is_locked() {
            return Err(BackendError::LockdownRefused {
                reason: "not_locked".to_owned(),
                message: "nothing is locked: there is nothing to recover from".to_owned(),
            });
        }
        self.wants_recovery = true;
        Ok(())
    }

    pub(super) fn status(&self, head: &BlockRef) -> LockdownStatus {
        let account = |authority: u16| Some(name(&format!("validator-{authority}")));
        let voted = u16::try_from(self.votes.len()).unwrap_or(MEMBERS);
        let phase = match voted {
            0 => LockdownPhase::Normal,
            _ if self.is_locked() => LockdownPhase::Locked,
            _ => LockdownPhase::Voting,
        };
        let vote = |(authority, reason): (u16, &String)| LockdownVote {
            authority,
            account: account(authority),
            trigger: "operator".to_owned(),
            reason: reason.clone(),
            at_ms: Number(VOTED_AT_MS + u64::from(authority)),
        };
        let report = |authority: u16| QuarantineReport {
            authority,
            account: account(authority),
            head: *head,
            state_root: sample_hash("state", 1),
            certified: head.height,
            attested: head.height,
            pending: Number(2),
            pending_root: sample_hash("pending", 1),
            differs: (authority == 2).then(|| "behind".to_owned()),
            at_ms: Number(VOTED_AT_MS + 20),
        };
        let recovery = RecoveryVote {
            authority: 0,
            account: account(0),
            step: "prevote".to_owned(),
            attempt: 0,
            block: *head,
            resume: None,
            at_ms: Number(VOTED_AT_MS + 30),
        };
        LockdownStatus {
            phase,
            era: Number(1),
            members: MEMBERS,
            quorum: QUORUM,
            recovery_quorum: QUORUM,
            has_secret: true,
            is_secret_changing: false,
            messages_refused: Number(0),
            votes: (0..).zip(&self.votes).map(vote).collect(),
            votes_missing: QUORUM.saturating_sub(voted),
            locked_since_ms: self.is_locked().then_some(Number(VOTED_AT_MS + 10)),
            wants_recovery: self.wants_recovery,
            recovery_votes: self
                .wants_recovery
                .then_some(recovery)
                .into_iter()
                .collect(),
            agreed: None,
            confirmed: None,
            reports: if self.is_locked() {
                (0..QUORUM).map(report).collect()
            } else {
                Vec::new()
            },
            next_command: "holdfast lockdown status".to_owned(),
            runbook: "docs/runbooks/lockdown.md".to_owned(),
        }
    }
}
