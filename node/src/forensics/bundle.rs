//! Writing one bundle.

use super::content::{
    ConfigRecord, FORMAT, FileRecord, HaltRecord, ManifestRecord, ProblemRecord, RecorderRecord,
    VersionRecord,
};
use super::scene::{Picture, Scene};
use super::{Settings, describe, names, retention};
use crate::durable_file::{self, Existing, PRIVATE};
use crate::recorder::Recording;
use holdfast_halt::{HaltInForce, HaltState};
use holdfast_storage::FORMAT_VERSION;
use holdfast_types::HaltId;
use serde::Serialize;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is there.
    Complete,
    /// So many files are not.
    Partial(usize),
    /// Rule F4: it was complete before.
    AlreadyThere,
    /// Rule F7: the node stops.
    Interrupted,
    /// Nothing could be kept, or it cannot be told from an incomplete one.
    Failed(String),
}

impl Outcome {
    /// Stable name for metrics; none if nothing was done, or not all yet.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Complete => Some("complete"),
            Self::Partial(_) => Some("partial"),
            Self::Failed(_) => Some("failed"),
            Self::AlreadyThere | Self::Interrupted => None,
        }
    }
}

/// A bundle in the making.
struct Bundle<'a> {
    scene: &'a dyn Scene,
    settings: &'a Settings,
    path: PathBuf,
    problems: Vec<ProblemRecord>,
}

/// Preserves what is to be known of a halt. `after_restart`: the node was started in it.
pub fn preserve(
    scene: &dyn Scene,
    settings: &Settings,
    halt: HaltId,
    after_restart: bool,
) -> Outcome {
    let mut bundle = Bundle {
        scene,
        settings,
        path: settings.folder.join(halt.to_string()),
        problems: Vec::new(),
    };
    if bundle.path.join(names::MANIFEST).is_file() {
        return Outcome::AlreadyThere;
    }
    if let Err(error) = bundle.open() {
        return Outcome::Failed(format!("{}: {error}", bundle.path.display()));
    }
    let recording = bundle.recorder();
    bundle.checkpoint();
    let picture = scene.picture(halt);
    bundle.facts(&picture, halt);
    let record = bundle.halt(&picture, halt, &recording, after_restart);
    bundle.json(names::HALT, || Ok(record));
    bundle.close(halt)
}

impl Bundle<'_> {
    fn open(&mut self) -> io::Result<()> {
        let folder = &self.settings.folder;
        let state = self.scene.halts();
        let in_force = state
            .in_force()
            .map(|halt| folder.join(halt.id().to_string()));
        let in_force: Vec<_> = in_force.collect();
        let room = retention::make_room(folder, &self.path, &in_force, self.settings.bundles_max);
        // Old bundles in the way are no reason not to keep a new one.
        if let Err(error) = room {
            self.problem("(old bundles)", &error.to_string());
        }
        let mut folders = fs::DirBuilder::new();
        folders.recursive(true).mode(0o700).create(&self.path)
    }

    fn problem(&mut self, file: &str, reason: &str) {
        tracing::error!(file, reason, path = %self.path.display(), "not preserved");
        self.problems.push(ProblemRecord {
            file: file.to_owned(),
            reason: reason.to_owned(),
        });
    }

    /// Writes a file unless it is there from an earlier attempt: then it is whole (rule F3).
    fn file(&mut self, name: &str, make: impl FnOnce() -> Result<Vec<u8>, String>) {
        let path = self.path.join(name);
        if path.is_file() {
            return;
        }
        let written = make().and_then(|content| {
            durable_file::write(&path, &content, PRIVATE, Existing::Replace)
                .map_err(|error| error.to_string())
        });
        if let Err(reason) = written {
            self.problem(name, &reason);
        }
    }

    fn json<T: Serialize>(&mut self, name: &str, make: impl FnOnce() -> Result<T, String>) {
        self.file(name, || {
            let record = make()?;
            serde_json::to_vec_pretty(&record).map_err(|error| error.to_string())
        });
    }

    fn recorder(&mut self) -> Recording {
        let recording = self.scene.recording();
        self.file(names::RECORDER, || {
            let mut lines = Vec::new();
            recording
                .write_json_lines(&mut lines)
                .map_err(|error| error.to_string())?;
            Ok(lines)
        });
        recording
    }

    fn checkpoint(&mut self) {
        let path = self.path.join(names::CHECKPOINT);
        if path.is_dir() {
            return;
        }
        if let Err(reason) = self.try_checkpoint(&path) {
            self.problem(names::CHECKPOINT, &reason);
        }
    }

    fn try_checkpoint(&self, path: &Path) -> Result<(), String> {
        let free = self.scene.free_bytes()?;
        let needed = self.settings.headroom_bytes;
        if free < needed {
            return Err(format!(
                "skipped: {free} bytes are free, {needed} have to be"
            ));
        }
        // RocksDB moves it into its place when it is whole; what a crash has left stands beside.
        let unfinished = path.with_extension("tmp");
        if unfinished.is_dir() {
            fs::remove_dir_all(&unfinished).map_err(|error| error.to_string())?;
        }
        self.scene.checkpoint(path)
    }

    /// Everything but the halt itself.
    fn facts(&mut self, picture: &Picture, halt: HaltId) {
        let committee = &picture.standing.context.committee;
        match find(&picture.standing.halts.state, halt) {
            Some(in_force) => {
                let (bytes, record) = describe::proof(in_force, committee);
                if let Some(bytes) = bytes {
                    self.file(names::PROOF_BYTES, || Ok(bytes));
                }
                self.json(names::PROOF, || Ok(record));
            }
            // It ended before it was looked at.
            None => self.problem(names::PROOF, "the halt is not in force any more"),
        }
        let scene = self.scene;
        self.json(names::JOURNAL, || Ok(describe::journal(&scene.journal()?)));
        let statuses = &picture.standing.halts.statuses;
        self.json(names::PEERS, || {
            Ok(describe::peers(statuses, &picture.connections, committee))
        });
        let facts = scene.facts();
        self.json(names::CONFIG, || {
            Ok(ConfigRecord {
                chain: facts.chain.to_string(),
                parameters: hex::encode(facts.parameters_hash),
                settings: facts.settings.clone(),
            })
        });
    }

    fn halt(
        &self,
        picture: &Picture,
        halt: HaltId,
        recording: &Recording,
        after_restart: bool,
    ) -> HaltRecord {
        let standing = &picture.standing;
        let halts = &standing.halts;
        let committee = &standing.context.committee;
        let facts = self.scene.facts();
        let now_ms = self.scene.now_ms();
        let halted = find(&halts.state, halt);
        let authority = facts.key.and_then(|key| committee.authority_of_key(&key));
        HaltRecord {
            format: FORMAT,
            halt: halt.to_string(),
            mode: halted.map_or_else(String::new, |one| one.mode().name().to_owned()),
            cause: halted.and_then(|one| Some(one.cause()?.name().to_owned())),
            what: halted.map_or_else(
                || String::from("it ended before it was looked at"),
                describe::what,
            ),
            began_ms: halted.map_or(now_ms, |one| one.since().0),
            preserved_ms: now_ms,
            after_restart,
            chain: facts.chain.to_string(),
            chain_name: facts.chain_name.clone(),
            era: standing.context.era.0,
            committee: describe::members(committee),
            authority: authority.map(|authority| authority.0),
            head: describe::point(standing.head, &standing.head_id),
            head_timestamp_ms: standing.head_timestamp.0,
            state_root: halts.own.state_root.to_string(),
            certified: describe::point(standing.certified, &standing.certified_id),
            irreversible: standing.lib.0,
            round: standing.round.0,
            modes: halts
                .modes
                .iter()
                .map(|mode| mode.name().to_owned())
                .collect(),
            versions: versions(facts.commit),
            thresholds: describe::thresholds(&facts.parameters, committee),
            stall: halts
                .stall
                .map(|stall| describe::stall(&stall, halts.now_ms)),
            evidence: describe::offences(&halts.evidence, committee),
            recorder: RecorderRecord {
                entries: recording.entries().count() as u64,
                forgotten: recording.forgotten,
                from_ms: recording.entries().next().map_or(0, |entry| entry.wall_ms),
            },
            problems: self.problems.clone(),
        }
    }

    /// Hashes what is there and writes the manifest: from now on the bundle is complete.
    fn close(mut self, halt: HaltId) -> Outcome {
        let mut items = Vec::new();
        if let Err(error) = list(&self.path, "", &mut items) {
            self.problem("(listing)", &error.to_string());
        }
        let mut files = Vec::new();
        for item in items {
            // Reading a checkpoint takes as long as the disk takes.
            if self.scene.is_stopping() {
                return Outcome::Interrupted;
            }
            match item.hash() {
                Ok(Some(file)) => files.push(file),
                Ok(None) => self.problem(&item.name, "it is neither a file nor a folder"),
                Err(error) => self.problem(&item.name, &error.to_string()),
            }
        }
        files.sort_by(|one: &FileRecord, other| one.path.cmp(&other.path));
        let missing = self.problems.len();
        let manifest = ManifestRecord {
            format: FORMAT,
            halt: halt.to_string(),
            written_ms: self.scene.now_ms(),
            files,
            problems: self.problems.clone(),
        };
        self.json(names::MANIFEST, || Ok(manifest));
        match self.problems.get(missing) {
            Some(problem) => Outcome::Failed(format!("{}: {}", problem.file, problem.reason)),
            None if missing == 0 => Outcome::Complete,
            None => Outcome::Partial(missing),
        }
    }
}

fn versions(commit: &str) -> VersionRecord {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    VersionRecord {
        software: String::from(env!("CARGO_PKG_VERSION")),
        commit: commit.to_owned(),
        database_format: FORMAT_VERSION,
        operating_system: format!("{} {}", std::env::consts::OS, kernel.trim())
            .trim_end()
            .to_owned(),
    }
}

fn find(state: &HaltState, halt: HaltId) -> Option<HaltInForce<'_>> {
    state.in_force().find(|one| one.id() == halt)
}

/// Something in a bundle that is no folder.
pub(crate) struct Item {
    /// Below the bundle, with `/`.
    pub(crate) name: String,
    path: PathBuf,
    is_file: bool,
}

impl Item {
    /// None: it is no file, and nothing of it is read.
    pub(crate) fn hash(&self) -> io::Result<Option<FileRecord>> {
        if !self.is_file {
            return Ok(None);
        }
        let mut file = File::open(&self.path)?;
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut file, &mut hasher)?;
        Ok(Some(FileRecord {
            path: self.name.clone(),
            bytes,
            blake3: hasher.finalize().to_string(),
        }))
    }
}

/// Lists what is below `folder`, but not the manifest and what a person puts beside it; `prefix` is its path in the bundle.
/// No link is followed: what it leads to is not in the bundle.
pub(crate) fn list(folder: &Path, prefix: &str, items: &mut Vec<Item>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if kind.is_dir() {
            list(&path, &format!("{name}/"), items)?;
        } else if name != names::MANIFEST && name != names::KEEP {
            items.push(Item {
                name,
                path,
                is_file: kind.is_file(),
            });
        }
    }
    Ok(())
}
