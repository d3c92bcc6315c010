//! What happened, as one number and, if wanted, as text: the same seed gives the same.

use std::fmt;

/// Something that a node did, in words that begin with a verb. Digests stand apart: a reader does not need them, a search
/// through a long trace does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub text: String,
    pub digests: String,
}

impl Told {
    #[must_use]
    pub fn named(text: String, digests: impl fmt::Display) -> Self {
        Self {
            text,
            digests: digests.to_string(),
        }
    }
}

impl From<String> for Told {
    fn from(text: String) -> Self {
        Self::named(text, "")
    }
}

/// One line of a trace.
#[derive(Clone, Debug)]
pub struct Line {
    pub at_ms: u64,
    pub node: usize,
    pub told: Told,
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { text, digests } = &self.told;
        write!(formatter, "{:>8} ms  {:>2}  {text}", self.at_ms, self.node)?;
        if digests.is_empty() {
            return Ok(());
        }
        write!(formatter, "  [{digests}]")
    }
}

/// A rolling hash over all that happens.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Vec<Line>>,
}

impl Trace {
    /// `keep_lines`: also keep the text.
    #[must_use]
    pub fn new(keep_lines: bool) -> Self {
        Self {
            lines: keep_lines.then(Vec::new),
            ..Self::default()
        }
    }

    /// Adds something that happened. The text is made only if it is kept.
    pub fn add<T: Into<Told>>(
        &mut self,
        now_ms: u64,
        node: usize,
        what: u64,
        told: impl FnOnce() -> T,
    ) {
        self.add_if_told(now_ms, node, what, || Some(told()));
    }

    /// The same for what may have no text: something else tells it.
    pub fn add_if_told<T: Into<Told>>(
        &mut self,
        now_ms: u64,
        node: usize,
        what: u64,
        told: impl FnOnce() -> Option<T>,
    ) {
        self.events += 1;
        for number in [now_ms, node as u64, what] {
            let mixed = (self.hash.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.hash = mixed ^ (mixed >> 29);
        }
        if let Some(lines) = &mut self.lines {
            lines.extend(told().map(|told| Line {
                at_ms: now_ms,
                node,
                told: told.into(),
            }));
        }
    }

    /// The hash of all so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The kept text.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.hash)
    }
}
