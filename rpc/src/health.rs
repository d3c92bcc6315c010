//! The facts behind `/livez` and `/readyz`, and the replies made of them. Health is progress, not mere life.

use serde::{Deserialize, Serialize};

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It holds.
    Pass,
    /// It does not.
    Fail {
        /// Stable name of the reason.
        reason: NotReady,
        /// The reason in words, with figures.
        detail: String,
    },
}

/// Stable names of what keeps a node from being ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// The thread of consensus or of execution does not move: the process should be restarted.
    CoreUnresponsive,
    /// The node starts and does not know yet where the chain stands.
    Starting,
    /// The node catches up.
    Behind,
    /// No commit for longer than the stall timeout.
    Stalled,
    /// A halt is in force.
    Halted,
    /// The validators have locked the chain.
    Lockdown,
    /// Emergency consensus makes the blocks: they are provisional.
    Emergency,
    /// The clock of this machine is off by more than the bound.
    ClockSkew,
}

/// The facts, as the node knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The threads of consensus and of execution move. The only check behind `/livez`.
    pub core_responsive: Check,
    /// The node has what the chain has.
    pub caught_up: Check,
    /// Blocks are made.
    pub chain_moving: Check,
    /// No halt is in force.
    pub not_halted: Check,
    /// The clock of this machine agrees with the peers'.
    pub clock_agrees: Check,
}

/// Reply of `/livez` and `/readyz`. The HTTP status is 200 if `ok`, else 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReply {
    /// Whether every check holds.
    pub ok: bool,
    /// Reasons of the checks that do not hold.
    pub reasons: Vec<NotReady>,
    /// Every check with its outcome.
    pub checks: Vec<CheckReply>,
}

/// One check in a [`HealthReply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReply {
    /// Name of the check.
    pub check: String,
    /// Whether it holds.
    pub ok: bool,
    /// Reason, if it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<NotReady>,
    /// The reason in words, if it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

impl Check {
    /// A check that holds if `holds`; else it fails with this reason.
    #[must_use]
    pub fn require(holds: bool, reason: NotReady, detail: impl FnOnce() -> String) -> Self {
        if holds {
            Self::Pass
        } else {
            Self::Fail {
                reason,
                detail: detail(),
            }
        }
    }
}

impl Health {
    /// A node that is well.
    #[must_use]
    pub const fn all_pass() -> Self {
        Self {
            core_responsive: Check::Pass,
            caught_up: Check::Pass,
            chain_moving: Check::Pass,
            not_halted: Check::Pass,
            clock_agrees: Check::Pass,
        }
    }

    /// Reply of `/livez`: is the process worth keeping?
    #[must_use]
    pub fn live(&self) -> HealthReply {
        HealthReply::of(&[("core_responsive", &self.core_responsive)])
    }

    /// Reply of `/readyz`: should traffic go to this node?
    #[must_use]
    pub fn ready(&self) -> HealthReply {
        HealthReply::of(&[
            ("core_responsive", &self.core_responsive),
            ("caught_up", &self.caught_up),
            ("chain_moving", &self.chain_moving),
            ("not_halted", &self.not_halted),
            ("clock_agrees", &self.clock_agrees),
        ])
    }
}

impl HealthReply {
    fn of(checks: &[(&str, &Check)]) -> Self {
        let checks: Vec<_> = checks
            .iter()
            .map(|(name, check)| CheckReply::of(name, check))
            .collect();
        let mut reasons: Vec<_> = checks.iter().filter_map(|check| check.reason).collect();
        reasons.dedup();
        Self {
            ok: reasons.is_empty(),
            reasons,
            checks,
        }
    }
}

impl CheckReply {
    fn of(name: &str, check: &Check) -> Self {
        let (reason, detail) = match check {
            Check::Pass => (None, None),
            Check::Fail { reason, detail } => (Some(*reason), Some(detail.clone())),
        };
        Self {
            check: name.to_owned(),
            ok: reason.is_none(),
            reason,
            detail,
        }
    }
}
