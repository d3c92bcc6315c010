//! What is preserved when the chain halts: one bundle per halt, in `<data folder>/forensics/<halt id>/`.
//!
//! The core thread says that a halt began and goes on; a thread of its own preserves ([`Preserver`]). Rules:
//!
//! * F1. Nothing that goes wrong here stops the halt or the node: each file that cannot be written is logged, counted and
//!   named in the bundle, and the others are written.
//! * F2. What is lost first is taken first: the recorder, then the checkpoint, then what the node still knows afterwards.
//! * F3. Each file is whole or absent. The manifest, with the BLAKE3 of each, is the last: without it a bundle is
//!   incomplete, and the next start of the node writes what is missing and keeps what is there.
//! * F4. A complete bundle is never written again.
//! * F5. The disk is bounded: at most [`BUNDLES_MAX`] bundles, the oldest goes; one with a file `keep` in it stays and does not
//!   count, and those of the halts in force stay. No checkpoint is made if less than [`HEADROOM_BYTES`] are free.
//! * F6. Of the hard halts on proof of one era the first is preserved: the chain stood still when the others came, and there
//!   may be many.
//! * F7. The node does not wait to stop: what is not finished then, its next start finishes (F3).
//!
//! [`content`] is the shape of the files, which `holdfast incident` reads ([`crate::incident`]).

mod bundle;
pub mod content;
mod describe;
mod preserver;
mod retention;
mod scene;

pub(crate) use bundle::list;
pub use bundle::{Outcome, preserve};
pub use preserver::Preserver;
pub use scene::{NodeScene, Picture, Scene, StaticFacts};

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bundles without a `keep` marker. Their checkpoints hold on to table files that the store would have deleted: each may
/// come to be as large as the store was when it was made.
pub const BUNDLES_MAX: usize = 4;
/// Free space below which no checkpoint is made. Making one takes at most the write buffers and the write-ahead log, some
/// 256 MiB; the rest is for the node, which must not run out of space because it was preserved.
pub const HEADROOM_BYTES: u64 = 2 << 30;
/// How long to wait for what the other validators say of themselves. They halt within a second of each other; who has said
/// nothing after this is named as silent.
pub const PEERS_WAIT: Duration = Duration::from_secs(5);

/// Names of the files of a bundle.
pub mod names {
    pub const HALT: &str = "halt.json";
    pub const PROOF: &str = "proof.json";
    /// The signed objects themselves, as they travel.
    pub const PROOF_BYTES: &str = "proof.bin";
    pub const RECORDER: &str = "recorder.jsonl";
    pub const JOURNAL: &str = "journal.json";
    pub const PEERS: &str = "peers.json";
    pub const CONFIG: &str = "config.json";
    pub const CHECKPOINT: &str = "checkpoint";
    pub const MANIFEST: &str = "manifest.json";
    /// Put there by a person: the bundle stays.
    pub const KEEP: &str = "keep";
}

/// How much is preserved, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    pub folder: PathBuf,
    pub bundles_max: usize,
    pub headroom_bytes: u64,
}

impl Settings {
    /// The bundles of the store in this data folder.
    #[must_use]
    pub fn beside(data_dir: &Path) -> Self {
        Self {
            folder: folder_of(data_dir),
            bundles_max: BUNDLES_MAX,
            headroom_bytes: HEADROOM_BYTES,
        }
    }
}

/// Where the bundles of a data folder lie.
#[must_use]
pub fn folder_of(data_dir: &Path) -> PathBuf {
    data_dir.join("forensics")
}

#[cfg(test)]
#[path = "forensics/forensics_tests.rs"]
mod tests;
