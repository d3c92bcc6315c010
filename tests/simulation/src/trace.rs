//! What happened, as one number and, if wanted, as text: the same seed gives the same.

use std::fmt;

/// A rolling hash over all that happens.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
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
    pub fn add(&mut self, now_ms: u64, node: usize, what: u64, text: impl FnOnce() -> String) {
        self.events += 1;
        for number in [now_ms, node as u64, what] {
            let mixed = (self.hash.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.hash = mixed ^ (mixed >> 29);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{now_ms:>8} {node:>2} {}", text()));
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
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.hash)
    }
}
