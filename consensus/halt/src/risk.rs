//! Risk analyzer: what a node sees that may become a reason to freeze the chain (document 000, DESIGN §8).
//!
//! It judges what one node measures, and decides nothing for others: a level is shown and told, and makes this validator vote only where
//! its operator has said so. Rules:
//!
//! * RA1. The rules are data: [`RULES`]. Each judges one signal over its window by a threshold for each level. A level without a threshold
//!   is not reached by it.
//! * RA2. Counters are judged by how much they have risen within the window.
//! * RA3. Readings are judged by the mildest one of a full window: what holds for a moment is no risk.
//! * RA4. What is used up is judged by how long it lasts at the pace of a full window.
//! * RA5. A level is reached at once, and left when nothing has reached it for [`CALM_MS`].
//! * RA6. The level of the node is the highest of its rules.
//! * RA7. What concerns this machine alone (its clock, disk, memory and links), or is no fault of anybody, never becomes critical: to
//!   freeze the chain would not help.

mod readings;
mod rules;

use readings::Readings;
pub use rules::{Judgement, RULES, RiskRule, RiskSignal};

/// How long a level stays after the last reading that has reached it, in ms.
pub const CALM_MS: u64 = 60_000;

/// How much there is to worry about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskLevel {
    #[default]
    Normal,
    /// Look at it today.
    Elevated,
    /// Look at it now.
    High,
    /// A reason to freeze the chain.
    Critical,
}

impl RiskLevel {
    pub const ALL: [Self; 4] = [Self::Normal, Self::Elevated, Self::High, Self::Critical];
    /// Those that have thresholds, in the order of [`RiskRule::thresholds`].
    pub const RAISED: [Self; 3] = [Self::Elevated, Self::High, Self::Critical];

    /// Stable name for RPC, metrics, configuration and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// What was measured at one moment, a value for each signal; none: it could not be measured, or means nothing now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RiskSample([Option<u64>; RiskSignal::COUNT]);

impl RiskSample {
    pub fn set(&mut self, signal: RiskSignal, value: u64) {
        if let Some(slot) = self.0.get_mut(signal as usize) {
            *slot = Some(value);
        }
    }

    fn get(&self, signal: RiskSignal) -> Option<u64> {
        self.0.get(signal as usize).copied().flatten()
    }
}

/// How a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleStanding {
    pub rule: &'static RiskRule,
    pub level: RiskLevel,
    /// What the rule compares with its thresholds; none as long as there is too little to judge by.
    pub value: Option<u64>,
}

/// The level has become another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskChange {
    pub from: RiskLevel,
    pub to: RiskLevel,
}

/// One rule at work.
#[derive(Clone, Debug)]
struct Watched {
    rule: &'static RiskRule,
    readings: Readings,
    value: Option<u64>,
    /// When each of [`RiskLevel::RAISED`] was reached last, in ms.
    reached_ms: [Option<u64>; 3],
}

impl Watched {
    fn new(rule: &'static RiskRule) -> Self {
        Self {
            rule,
            readings: Readings::new(rule.window_ms),
            value: None,
            reached_ms: [None; 3],
        }
    }

    fn observe(&mut self, now_ms: u64, value: Option<u64>) {
        let Some(value) = value else {
            self.readings.clear();
            self.value = None;
            return;
        };
        self.readings.add(now_ms, value);
        self.value = match self.rule.judgement {
            Judgement::Rise => Some(self.readings.rise()),
            Judgement::Lasting => self.readings.mildest(now_ms),
            Judgement::Runway => self.readings.runway_seconds(now_ms),
        };
        let value = self.value;
        let thresholds = self.rule.thresholds.into_iter();
        for (reached_ms, threshold) in self.reached_ms.iter_mut().zip(thresholds) {
            let is_reached = value.zip(threshold).is_some_and(|(value, threshold)| {
                if self.rule.judgement == Judgement::Runway {
                    value <= threshold
                } else {
                    value >= threshold
                }
            });
            if is_reached {
                *reached_ms = Some(now_ms);
            }
        }
    }

    /// RA5.
    fn level(&self, now_ms: u64) -> RiskLevel {
        let holds =
            |at_ms: &Option<u64>| at_ms.is_some_and(|at| now_ms.saturating_sub(at) < CALM_MS);
        let reached = self.reached_ms.iter().zip(RiskLevel::RAISED);
        let held = reached.filter(|(at_ms, _)| holds(at_ms));
        held.map(|(_, level)| level).max().unwrap_or_default()
    }
}

/// All rules at work.
#[derive(Clone, Debug)]
pub struct RiskAnalyzer {
    watched: Vec<Watched>,
    level: RiskLevel,
    now_ms: u64,
}

impl Default for RiskAnalyzer {
    fn default() -> Self {
        Self {
            watched: RULES.iter().map(Watched::new).collect(),
            level: RiskLevel::Normal,
            now_ms: 0,
        }
    }
}

impl RiskAnalyzer {
    /// Takes a sample at `now_ms` of a clock that does not go back. The change is of the level of the node (RA6).
    pub fn observe(&mut self, now_ms: u64, sample: &RiskSample) -> Option<RiskChange> {
        self.now_ms = self.now_ms.max(now_ms);
        for watched in &mut self.watched {
            watched.observe(self.now_ms, sample.get(watched.rule.signal));
        }
        let levels = self.standings().map(|standing| standing.level);
        let to = levels.max().unwrap_or_default();
        let from = std::mem::replace(&mut self.level, to);
        (from != to).then_some(RiskChange { from, to })
    }

    #[must_use]
    pub const fn level(&self) -> RiskLevel {
        self.level
    }

    /// How each rule stands, in the order of [`RULES`].
    pub fn standings(&self) -> impl Iterator<Item = RuleStanding> {
        self.watched.iter().map(|watched| RuleStanding {
            rule: watched.rule,
            level: watched.level(self.now_ms),
            value: watched.value,
        })
    }
}
