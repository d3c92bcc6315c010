//! The flight recorder: what this node has seen and done in its last minutes, always on, in memory.
//!
//! It is there for the moment at which the chain halts: logs are written for what was expected to matter, and a halt is
//! what nobody expected. So everything goes in, in short entries, and the oldest go out. The threads that feed it hold its
//! lock for a push of what they have collected, never while anything is written: a dump takes shares of sealed chunks, and
//! copies no more than one chunk.

mod entry;
mod observe;

pub use entry::{Entry, Kind, Moment};

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long an entry is kept. A halt on proof follows its cause within seconds; five minutes hold the start of most stalls
/// that lead to one, and are what a person can read.
const KEPT_MS: u64 = 5 * 60 * 1000;
/// Memory for all entries. Four validators fill a fifth of it in five minutes; 128 fill it in about two.
const BYTES_MAX: usize = 16 << 20;
/// Entries that are sealed together: what a dump copies under the lock at most, and how finely the oldest go.
const CHUNK_ENTRIES: usize = 256;

/// Shared, cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    ring: Arc<Mutex<Ring>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::bounded(BYTES_MAX, KEPT_MS)
    }
}

impl Recorder {
    fn bounded(bytes_max: usize, kept_ms: u64) -> Self {
        Self {
            ring: Arc::new(Mutex::new(Ring {
                bytes_max,
                kept_ms,
                sealed: VecDeque::new(),
                open: Vec::with_capacity(CHUNK_ENTRIES),
                open_bytes: 0,
                bytes: 0,
                forgotten: 0,
            })),
        }
    }

    /// Takes the entries; what they came in stays with the caller, to be filled again.
    pub fn append(&self, entries: &mut Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let mut ring = self.lock();
        for entry in entries.drain(..) {
            ring.push(entry);
        }
    }

    /// Takes one entry.
    pub fn record(&self, entry: Entry) {
        self.lock().push(entry);
    }

    /// What is in it now.
    #[must_use]
    pub fn recording(&self) -> Recording {
        let ring = self.lock();
        let mut chunks: Vec<_> = ring
            .sealed
            .iter()
            .map(|chunk| &chunk.entries)
            .cloned()
            .collect();
        chunks.push(ring.open.clone().into());
        Recording {
            chunks,
            forgotten: ring.forgotten,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing that can panic runs under this lock but allocation.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries that change no more.
#[derive(Debug)]
struct Chunk {
    entries: Arc<[Entry]>,
    bytes: usize,
    newest_ms: u64,
}

#[derive(Debug)]
struct Ring {
    bytes_max: usize,
    kept_ms: u64,
    sealed: VecDeque<Chunk>,
    open: Vec<Entry>,
    open_bytes: usize,
    /// Of sealed and open entries.
    bytes: usize,
    forgotten: u64,
}

impl Ring {
    fn push(&mut self, entry: Entry) {
        let bytes = entry.bytes_held();
        let now_ms = entry.monotonic_ms;
        self.open_bytes += bytes;
        self.bytes += bytes;
        self.open.push(entry);
        if self.open.len() >= CHUNK_ENTRIES {
            self.seal(now_ms);
        }
        while let Some(oldest) = self.sealed.front()
            && (self.bytes > self.bytes_max
                || oldest.newest_ms.saturating_add(self.kept_ms) < now_ms)
        {
            self.bytes -= oldest.bytes;
            self.forgotten += oldest.entries.len() as u64;
            self.sealed.pop_front();
        }
    }

    fn seal(&mut self, newest_ms: u64) {
        self.sealed.push_back(Chunk {
            entries: self.open.drain(..).collect(),
            bytes: std::mem::take(&mut self.open_bytes),
            newest_ms,
        });
    }
}

/// What a recorder held at one moment. Holding it costs the recorder nothing.
#[derive(Clone, Debug)]
pub struct Recording {
    chunks: Vec<Arc<[Entry]>>,
    /// Entries that had gone before.
    pub forgotten: u64,
}

impl Recording {
    /// The entries, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Writes one JSON object per line.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn write_json_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        for entry in self.entries() {
            serde_json::to_writer(&mut *out, entry)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "recorder/recorder_tests.rs"]
mod tests;
