//! The rules by number.

use serde::{Serialize, Serializer};
use std::fmt;

/// A rule that every run watches; the table of [`super`] says when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    Agreement,
    StateRoots,
    Finality,
    Wire,
    Durability,
    Bounds,
    Accounts,
    Halts,
    Modes,
    Authority,
    Slashing,
    Detection,
    Soundness,
}

impl Rule {
    pub const ALL: [Self; 13] = [
        Self::Agreement,
        Self::StateRoots,
        Self::Finality,
        Self::Wire,
        Self::Durability,
        Self::Bounds,
        Self::Accounts,
        Self::Halts,
        Self::Modes,
        Self::Authority,
        Self::Slashing,
        Self::Detection,
        Self::Soundness,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "O1 agreement",
            Self::StateRoots => "O2 state roots",
            Self::Finality => "O3 finality",
            Self::Wire => "O4 one signature per slot",
            Self::Durability => "O5 durability",
            Self::Bounds => "O7 bounds",
            Self::Accounts => "O9 transactions and supply",
            Self::Halts => "O10 halted is halted",
            Self::Modes => "O11 one mode everywhere",
            Self::Authority => "O12 who may halt",
            Self::Slashing => "O14 slashing",
            Self::Detection => "O15 detection",
            Self::Soundness => "soundness",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule, self.what)
    }
}
