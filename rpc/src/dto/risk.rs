//! The risk analyzer: what this node sees that may become a reason to freeze the chain.

use super::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much there is to worry about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// Nothing.
    Normal,
    /// Look at it today.
    Elevated,
    /// Look at it now.
    High,
    /// A reason to freeze the chain.
    Critical,
}

impl RiskLevel {
    /// The word that JSON and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One rule, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RiskRule {
    /// What it judges: `equivocators_permille`, `contradictors_permille`, `evidence`, `invalid_messages`, `clock_offset_permille`,
    /// `members_missing_permille`, `commit_delay_permille`, `disk_runway_seconds`, `memory_permille`.
    pub rule: String,
    /// How it stands.
    pub level: RiskLevel,
    /// What it compares with its thresholds; null as long as there is too little to judge by.
    pub value: Option<Number>,
    /// `rise`: a counter by how much it rose within the window; `lasting`: a reading by the mildest of the window; `runway`: what is
    /// left by how many seconds it lasts, of which few are worse.
    pub judged_by: String,
    /// The window, in seconds.
    pub window_seconds: Number,
    /// From here on it is elevated.
    pub elevated: Option<Number>,
    /// From here on it is high.
    pub high: Option<Number>,
    /// From here on it is critical; null: it never is.
    pub critical: Option<Number>,
}

/// Answer of `node_getRisk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RiskStatus {
    /// The highest level of the rules.
    pub level: RiskLevel,
    /// Since when, by the clock of this node, in milliseconds since 1970.
    pub since_ms: Number,
    /// From which level on this validator votes to freeze the chain by itself; null: it does not.
    pub votes_from: Option<RiskLevel>,
    /// All rules.
    pub rules: Vec<RiskRule>,
    /// What to read.
    pub runbook: String,
}
