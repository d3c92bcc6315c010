//! Where a bundle's content comes from: a running node, or a test.

use super::PEERS_WAIT;
use crate::recorder::{Recorder, Recording};
use crate::runtime::board::{Board, Standing};
use crate::runtime::peers::Peers;
use crate::supervisor::Supervisor;
use holdfast_halt::{HaltState, JournalEntry};
use holdfast_storage::Storage;
use holdfast_types::{ChainId, HaltId, Parameters, PublicKey};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Journal entries that are preserved: the newest. A journal of years fits.
const JOURNAL_ENTRIES_MAX: u64 = 10_000;
/// How often to look whether what is waited for is there.
const LOOK: Duration = Duration::from_millis(50);
/// The core thread shows a halt on the board right after it has told of it.
const BOARD_WAIT: Duration = Duration::from_secs(2);

/// What does not change while the node runs.
#[derive(Clone, Debug)]
pub struct StaticFacts {
    pub chain: ChainId,
    pub chain_name: String,
    pub parameters: Arc<Parameters>,
    pub parameters_hash: [u8; 32],
    /// Every setting with its origin.
    pub settings: serde_json::Value,
    /// The public half of the signing key, on a validator.
    pub key: Option<PublicKey>,
    pub commit: &'static str,
}

/// Where the node stands, and who is connected.
#[derive(Clone, Debug)]
pub struct Picture {
    pub standing: Standing,
    pub connections: Vec<(String, Option<PublicKey>)>,
}

/// The reads that a bundle is made of. Each may fail; none may change anything.
pub trait Scene {
    fn facts(&self) -> &StaticFacts;

    fn recording(&self) -> Recording;

    /// Makes a checkpoint of the store in the new directory `path`.
    fn checkpoint(&self, path: &Path) -> Result<(), String>;

    /// Free space of the file system of the store.
    fn free_bytes(&self) -> Result<u64, String>;

    fn journal(&self) -> Result<Vec<JournalEntry>, String>;

    /// The picture once it shows this halt and what the other validators say of it, or when waiting is over.
    fn picture(&self, halt: HaltId) -> Picture;

    /// What holds, a halt included that anybody has been told of.
    fn halts(&self) -> HaltState;

    /// Whether the node stops: then nothing may take long any more.
    fn is_stopping(&self) -> bool;

    fn now_ms(&self) -> u64;
}

/// A running node.
#[derive(Debug)]
pub struct NodeScene {
    pub facts: StaticFacts,
    pub recorder: Recorder,
    pub board: Board,
    pub storage: Arc<Storage>,
    pub peers: Peers,
    pub supervisor: Supervisor,
}

impl NodeScene {
    fn wait_until(&self, limit: Duration, is_there: impl Fn(&Standing) -> bool) {
        let started = Instant::now();
        while !is_there(&self.board.read())
            && started.elapsed() < limit
            && !self.supervisor.stops_within(LOOK)
        {}
    }
}

impl Scene for NodeScene {
    fn facts(&self) -> &StaticFacts {
        &self.facts
    }

    fn recording(&self) -> Recording {
        self.recorder.recording()
    }

    fn checkpoint(&self, path: &Path) -> Result<(), String> {
        self.storage
            .checkpoint(path)
            .map_err(|error| error.to_string())
    }

    fn free_bytes(&self) -> Result<u64, String> {
        let space = self
            .storage
            .disk_space()
            .map_err(|error| error.to_string())?;
        Ok(space.available)
    }

    fn journal(&self) -> Result<Vec<JournalEntry>, String> {
        let state = self
            .storage
            .halt_state()
            .map_err(|error| error.to_string())?;
        let first = state
            .journal
            .next_index()
            .saturating_sub(JOURNAL_ENTRIES_MAX);
        let limit = usize::try_from(JOURNAL_ENTRIES_MAX).unwrap_or(usize::MAX);
        self.storage
            .halt_journal(first, limit)
            .map_err(|error| error.to_string())
    }

    fn picture(&self, halt: HaltId) -> Picture {
        self.wait_until(BOARD_WAIT, |standing| {
            let mut in_force = standing.halts.state.in_force();
            in_force.any(|one| one.id() == halt)
        });
        self.wait_until(PEERS_WAIT, |standing| {
            let said = standing.halts.statuses.iter();
            let said = said
                .filter(|signed| signed.status.halts.contains(&halt))
                .count();
            said >= standing.context.committee.size()
        });
        let connected = self.peers.all().into_iter();
        Picture {
            standing: self.board.read(),
            connections: connected
                .map(|peer| (peer.to_string(), self.peers.key_of(&peer)))
                .collect(),
        }
    }

    fn halts(&self) -> HaltState {
        // The store knows a halt before it is told, the board shows it after.
        let stored = self.storage.halt_state();
        stored.unwrap_or_else(|_| self.board.halts().state.as_ref().clone())
    }

    fn is_stopping(&self) -> bool {
        self.supervisor.stopping().is_cancelled()
    }

    fn now_ms(&self) -> u64 {
        crate::clock::wall().0
    }
}
