//! Style as a test: what a reviewer should not have to look for.
//!
//! Every check takes text and gives [`Violation`]s; `tests/repository.rs` runs all of them over the repository. What
//! may break a rule stands in [`exemptions`], with the reason.

pub mod code;
pub mod documents;
pub mod exemptions;
pub mod functions;
pub mod manifests;
pub mod names;
pub mod repository;
pub mod text;

use std::fmt;

/// A rule that a file breaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Path from the root of the repository.
    pub path: String,
    /// Line number from 1; 0 if it is about the whole file.
    pub line: usize,
    /// Short name of the rule, as exemptions name it.
    pub rule: &'static str,
    /// What is wrong, and what to do instead.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            rule,
            message,
        } = self;
        write!(formatter, "{path}:{line}: [{rule}] {message}")
    }
}
