//! Bundles: whole, in part, twice, too many; and that nothing that goes wrong here goes further.

use super::content::{HaltRecord, JournalRecord, ManifestRecord, PeersRecord, ProofRecord};
use super::*;
use crate::incident::fixture::{extend, genesis, key, store, transfer};
use crate::incident::report::Report;
use crate::incident::{Bundle, Soundness};
use crate::recorder::{Recorder, Recording};
use crate::runtime::halted::fixture::{self, change, own_fault};
use crate::supervisor::{StopReason, Supervisor};
use holdfast_chain::ChainStore as _;
use holdfast_halt::{HaltState, HardHalt, Journal, JournalEntry, JournalEvent, Mode, ModeSet};
use holdfast_rpc::{BuildInfo, Metrics};
use holdfast_storage::Storage;
use holdfast_types::{
    AttestationBody, AuthorityIndex, BlockId, CommitDigest, Era, HaltCause, HaltId, HaltProof,
    HaltStatus, Height, Signer as _, StateRoot, TimestampMs,
};
use std::fs;
use std::sync::{Arc, Mutex, mpsc};
use tempfile::TempDir;

/// A node that is in a hard halt, with a real store.
#[derive(Clone)]
struct TestScene {
    facts: StaticFacts,
    storage: Arc<Storage>,
    picture: Picture,
    recorder: Recorder,
    free_bytes: Result<u64, String>,
    journal: Result<Vec<JournalEntry>, String>,
    checkpoints: Arc<Mutex<u32>>,
    panics: bool,
    /// So many looks from now on the node stops; none: it does not.
    looks_left: Arc<Mutex<Option<u32>>>,
}

impl Scene for TestScene {
    fn facts(&self) -> &StaticFacts {
        &self.facts
    }

    fn recording(&self) -> Recording {
        self.recorder.recording()
    }

    fn checkpoint(&self, path: &Path) -> Result<(), String> {
        *self.checkpoints.lock().unwrap() += 1;
        self.storage
            .checkpoint(path)
            .map_err(|error| error.to_string())
    }

    fn free_bytes(&self) -> Result<u64, String> {
        assert!(!self.panics, "a bug");
        self.free_bytes.clone()
    }

    fn journal(&self) -> Result<Vec<JournalEntry>, String> {
        self.journal.clone()
    }

    fn picture(&self, _halt: HaltId) -> Picture {
        self.picture.clone()
    }

    fn halts(&self) -> HaltState {
        self.picture.standing.halts.state.as_ref().clone()
    }

    fn is_stopping(&self) -> bool {
        match self.looks_left.lock().unwrap().as_mut() {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    fn now_ms(&self) -> u64 {
        1_800_000_000_500
    }
}

struct Fixture {
    _folder: TempDir,
    scene: TestScene,
    settings: Settings,
    halt: HaltId,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let genesis = genesis();
        let storage = store(&folder.path().join("data"), &genesis);
        for nonce in 0..3 {
            extend(
                &storage,
                &genesis,
                &[transfer(&genesis, nonce, 7)],
                |_, _| {},
            );
        }
        let context = Arc::new(storage.latest_era().unwrap().unwrap());
        let proof = divergence(&genesis.chain_id(), Height(3));
        let halt = proof.id();
        let (head, head_id) = storage.head().unwrap().unwrap();
        let own = status(head, head_id, halt);
        let statuses = vec![
            own.sign(AuthorityIndex(0), &genesis.chain_id(), &key(31)),
            status(head, BlockId::new([9; 32]), halt).sign(
                AuthorityIndex(3),
                &genesis.chain_id(),
                &key(34),
            ),
        ];
        let mut halts = fixture::picture(ModeSet::of(Mode::HardHalt), statuses);
        change(&mut halts, |state| {
            state.era = Era(1);
            state.hard.push(hard(proof));
        });
        let standing = fixture::standing(&context, halts);
        let scene = TestScene {
            facts: StaticFacts {
                chain: genesis.chain_id(),
                chain_name: genesis.chain_name().to_owned(),
                parameters: Arc::new(genesis.parameters().clone()),
                parameters_hash: genesis.parameters_hash(),
                settings: serde_json::json!({ "node.moniker": { "value": "kelp" } }),
                key: Some(key(31).public_key()),
                commit: "test",
            },
            storage: Arc::new(storage),
            picture: Picture {
                standing,
                connections: vec![("12D3".to_owned(), Some(key(32).public_key()))],
            },
            recorder: Recorder::default(),
            free_bytes: Ok(u64::MAX),
            journal: Ok(journal(halt)),
            checkpoints: Arc::default(),
            panics: false,
            looks_left: Arc::default(),
        };
        Self {
            settings: Settings::beside(&folder.path().join("data")),
            _folder: folder,
            scene,
            halt,
        }
    }

    fn preserve(&self) -> Outcome {
        preserve(&self.scene, &self.settings, self.halt, false)
    }

    /// Changes what holds.
    fn change(&mut self, what: impl FnOnce(&mut HaltState)) {
        change(Arc::make_mut(&mut self.scene.picture.standing.halts), what);
    }

    /// A preserver that is asked for these halts and then ends.
    fn run(&self, asked: &[HaltId]) {
        let (preserver, requests) = preserver(self.scene.clone(), self.settings.clone());
        for halt in asked {
            requests.send(*halt).unwrap();
        }
        drop(requests);
        assert_eq!(preserver.run(), Ok(()));
    }

    /// The names of the bundles.
    fn bundles(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.settings.folder) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn bundle(&self) -> Bundle {
        Bundle::at(self.settings.folder.join(self.halt.to_string()))
    }

    fn file<T: serde::de::DeserializeOwned>(&self, name: &str) -> T {
        self.bundle().json(name).unwrap().unwrap()
    }
}

fn divergence(chain: &holdfast_types::ChainId, height: Height) -> HaltProof {
    let attestation = |author: u16, root: u8| {
        let body = AttestationBody {
            era: Era(1),
            height,
            block: BlockId::new([root; 32]),
            commit: CommitDigest::new([1; 32]),
            state_root: StateRoot::new([root; 32]),
        };
        let signer = key(31 + u8::try_from(author).unwrap());
        body.sign(AuthorityIndex(author), chain, &signer)
    };
    HaltProof::Divergence {
        attestations: vec![
            attestation(0, 5),
            attestation(1, 5),
            attestation(2, 6),
            attestation(3, 6),
        ],
    }
}

fn hard(proof: HaltProof) -> HardHalt {
    HardHalt {
        id: proof.id(),
        cause: proof.cause(),
        proof,
        since: TimestampMs(1_800_000_000_000),
    }
}

fn status(head: Height, head_id: BlockId, halt: HaltId) -> HaltStatus {
    HaltStatus {
        head_id,
        halts: vec![halt],
        ..fixture::status(head.0, 5)
    }
}

fn journal(halt: HaltId) -> Vec<JournalEntry> {
    let mut journal = Journal::new();
    let began = JournalEvent::HaltBegan {
        halt,
        mode: Mode::HardHalt,
        cause: Some(HaltCause::RootDivergence),
    };
    let at = TimestampMs(1_800_000_000_000);
    let era = JournalEvent::EraStarted { era: Era(1) };
    vec![
        journal.append(TimestampMs(1_799_000_000_000), Era(1), Height::ZERO, era),
        journal.append(at, Era(1), Height(3), began),
    ]
}

#[test]
fn a_bundle_holds_everything_and_its_report_says_what_happened() {
    let fixture = Fixture::new();
    assert_eq!(fixture.preserve(), Outcome::Complete);
    let bundle = fixture.bundle();
    assert_eq!(bundle.soundness().unwrap(), Soundness::Complete);
    let manifest: ManifestRecord = fixture.file(names::MANIFEST);
    let files: Vec<_> = manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    for expected in [
        names::HALT,
        names::PROOF,
        names::PROOF_BYTES,
        names::RECORDER,
        names::JOURNAL,
        names::PEERS,
        names::CONFIG,
        "checkpoint/CURRENT",
    ] {
        assert!(files.contains(&expected), "{expected}: {files:?}");
    }
    let halt: HaltRecord = fixture.file(names::HALT);
    assert_eq!((halt.mode.as_str(), halt.head.height), ("hard_halt", 3));
    assert_eq!(halt.authority, Some(0));
    assert_eq!(halt.problems, []);
    let proof: ProofRecord = fixture.file(names::PROOF);
    assert_eq!(proof.statements.len(), 2);
    let journal: JournalRecord = fixture.file(names::JOURNAL);
    assert!(journal.unbroken && journal.entries.len() == 2);
    let peers: PeersRecord = fixture.file(names::PEERS);
    assert_eq!(peers.silent.len(), 2);
    assert_eq!(peers.connections[0].account.as_deref(), Some("val-b"));
    let bytes = fs::read(bundle.path().join(names::PROOF_BYTES)).unwrap();
    let decoded: HaltProof = borsh::from_slice(&bytes).unwrap();
    assert_eq!(decoded.id(), fixture.halt);
    let report = Report::read(&bundle).unwrap();
    assert_eq!(
        report.sentence,
        "In era 1, at height 3: validators signed contradictory state roots for one commit: 2 signed one result, 2 another."
    );
    assert!(
        report.proof[0].starts_with("val-a, val-b signed block 0505"),
        "{:?}",
        report.proof
    );
    assert!(
        report
            .differing
            .iter()
            .any(|text| text.starts_with("val-c signed state root 0606"))
    );
    assert!(
        report
            .differing
            .iter()
            .any(|text| text.starts_with("val-d has block 0909"))
    );
    assert!(
        report
            .differing
            .contains(&"val-b has said nothing".to_owned())
    );
    assert_eq!(report.timeline.last().unwrap().event, "halt_began");
}

#[test]
fn a_complete_bundle_is_never_written_again() {
    let fixture = Fixture::new();
    assert_eq!(fixture.preserve(), Outcome::Complete);
    let before = fs::metadata(fixture.bundle().path().join(names::MANIFEST)).unwrap();
    assert_eq!(fixture.preserve(), Outcome::AlreadyThere);
    let after = fs::metadata(fixture.bundle().path().join(names::MANIFEST)).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!(*fixture.scene.checkpoints.lock().unwrap(), 1);
}

#[test]
fn an_interrupted_bundle_is_completed_with_what_it_has() {
    let fixture = Fixture::new();
    let path = fixture.bundle().path().to_owned();
    fs::create_dir_all(path.join("checkpoint.tmp")).unwrap();
    fs::write(path.join(names::RECORDER), "{\"wall_ms\":1}\n").unwrap();
    assert_eq!(fixture.bundle().soundness().unwrap(), Soundness::Incomplete);
    assert_eq!(fixture.preserve(), Outcome::Complete);
    let recorder = fs::read_to_string(path.join(names::RECORDER)).unwrap();
    assert_eq!(
        recorder, "{\"wall_ms\":1}\n",
        "only the process before knew it"
    );
    assert!(!path.join("checkpoint.tmp").exists());
}

#[test]
fn without_space_there_is_no_checkpoint_and_everything_else() {
    let mut fixture = Fixture::new();
    fixture.scene.free_bytes = Ok(HEADROOM_BYTES - 1);
    assert_eq!(fixture.preserve(), Outcome::Partial(1));
    assert_eq!(*fixture.scene.checkpoints.lock().unwrap(), 0);
    assert_eq!(fixture.bundle().checkpoint(), None);
    let halt: HaltRecord = fixture.file(names::HALT);
    assert_eq!(halt.problems[0].file, "checkpoint");
    assert_eq!(
        halt.problems[0].reason,
        "skipped: 2147483647 bytes are free, 2147483648 have to be"
    );
    assert_eq!(fixture.bundle().soundness().unwrap(), Soundness::Complete);
}

/// Each file in turn cannot be written, because a folder stands in its place.
#[test]
fn whatever_cannot_be_written_is_named_and_the_rest_is_there() {
    let all = [
        names::RECORDER,
        names::PROOF_BYTES,
        names::PROOF,
        names::JOURNAL,
        names::PEERS,
        names::CONFIG,
        names::HALT,
    ];
    for broken in all {
        let fixture = Fixture::new();
        let path = fixture.bundle().path().to_owned();
        fs::create_dir_all(path.join(broken).join("in-the-way")).unwrap();
        assert_eq!(fixture.preserve(), Outcome::Partial(1), "{broken}");
        let manifest: ManifestRecord = fixture.file(names::MANIFEST);
        assert_eq!(manifest.problems[0].file, broken);
        for other in all.iter().filter(|other| **other != broken) {
            assert!(path.join(other).is_file(), "{broken}: {other}");
        }
        assert!(fixture.bundle().checkpoint().is_some(), "{broken}");
    }
}

#[test]
fn what_does_not_read_and_what_does_not_copy_is_named_too() {
    let mut fixture = Fixture::new();
    fixture.scene.journal = Err("no journal".to_owned());
    let path = fixture.bundle().path().to_owned();
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join(names::CHECKPOINT), "in the way").unwrap();
    assert_eq!(fixture.preserve(), Outcome::Partial(2));
    let halt: HaltRecord = fixture.file(names::HALT);
    let files: Vec<_> = halt
        .problems
        .iter()
        .map(|problem| problem.file.as_str())
        .collect();
    assert_eq!(files, [names::CHECKPOINT, names::JOURNAL]);
}

#[test]
fn without_a_manifest_or_a_folder_it_has_failed() {
    let fixture = Fixture::new();
    let path = fixture.bundle().path().to_owned();
    fs::create_dir_all(path.join(names::MANIFEST).join("in-the-way")).unwrap();
    assert!(matches!(fixture.preserve(), Outcome::Failed(_)));
    assert_eq!(Outcome::Failed(String::new()).name(), Some("failed"));
    let fixture = Fixture::new();
    fs::write(&fixture.settings.folder, "in the way").unwrap();
    assert!(matches!(fixture.preserve(), Outcome::Failed(_)));
}

#[test]
fn a_changed_file_is_noticed() {
    let fixture = Fixture::new();
    fixture.preserve();
    let path = fixture.bundle().path().join(names::PEERS);
    fs::write(path, "{}").unwrap();
    let files = vec![names::PEERS.to_owned()];
    assert_eq!(
        fixture.bundle().soundness().unwrap(),
        Soundness::Changed { files }
    );
}

#[test]
fn the_oldest_bundle_goes_and_a_kept_one_stays() {
    let fixture = Fixture::new();
    let at = |number: u64| std::time::UNIX_EPOCH + Duration::from_secs(number);
    for number in 1..=5 {
        let path = fixture.settings.folder.join(format!("old-{number}"));
        fs::create_dir_all(&path).unwrap();
        if number == 1 {
            fs::write(path.join(names::KEEP), "").unwrap();
        }
        fs::File::open(&path)
            .unwrap()
            .set_modified(at(number))
            .unwrap();
    }
    assert_eq!(fixture.preserve(), Outcome::Complete);
    let id = fixture.halt.to_string();
    let mut expected = vec!["old-1", "old-3", "old-4", "old-5", &id];
    expected.sort_unstable();
    assert_eq!(fixture.bundles(), expected);
}

fn preserver(scene: TestScene, settings: Settings) -> (Preserver, mpsc::Sender<HaltId>) {
    let (sender, requests) = mpsc::channel();
    let preserver = Preserver {
        scene: Box::new(scene),
        settings,
        requests,
        metrics: Metrics::new(BuildInfo {
            version: "0",
            commit: "test",
        }),
    };
    (preserver, sender)
}

#[test]
fn a_panic_while_preserving_ends_there_and_is_counted() {
    let mut fixture = Fixture::new();
    fixture.scene.panics = true;
    let (preserver, requests) = preserver(fixture.scene.clone(), fixture.settings.clone());
    let metrics = preserver.metrics.clone();
    let supervisor = Supervisor::new();
    supervisor
        .spawn_thread("forensics", move || preserver.run())
        .unwrap();
    requests.send(fixture.halt).unwrap();
    drop(requests);
    supervisor.stop(StopReason::Asked {
        by: "the test".to_owned(),
    });
    assert_eq!(supervisor.run_to_end(), Ok(()));
    assert_eq!(metrics.halt.bundles.with("failed").get(), 2);
}

#[test]
fn a_restart_in_a_halt_preserves_what_was_not_and_nothing_twice() {
    let mut fixture = Fixture::new();
    fixture.change(|state| state.own_fault = Some(own_fault()));
    fixture.run(&[]);
    let halt: HaltRecord = fixture.file(names::HALT);
    assert!(halt.after_restart);
    assert_eq!(fixture.bundles().len(), 2);
    fixture.run(&[]);
    assert_eq!(*fixture.scene.checkpoints.lock().unwrap(), 2);
}

/// Each later halt would need room, and the first one is what people look into.
#[test]
fn halts_that_follow_take_no_room_and_those_in_force_keep_theirs() {
    let mut fixture = Fixture::new();
    fixture.settings.bundles_max = 1;
    let old = fixture.settings.folder.join("old");
    fs::create_dir_all(&old).unwrap();
    let later = divergence(&fixture.scene.facts.chain, Height(2));
    let (first, second) = (fixture.halt, later.id());
    fixture.change(|state| state.hard.push(hard(later)));
    fixture.run(&[first, second]);
    assert_eq!(fixture.bundles(), [first.to_string()]);
    // After a restart it is the same.
    fixture.run(&[]);
    assert_eq!(fixture.bundles(), [first.to_string()]);
    // Another kind of halt has a bundle of its own, whatever it costs.
    fixture.change(|state| state.own_fault = Some(own_fault()));
    fixture.run(&[own_fault().id]);
    let mut both = [first.to_string(), own_fault().id.to_string()];
    both.sort();
    assert_eq!(fixture.bundles(), both);
}

#[test]
fn a_stop_of_the_node_is_not_waited_for_and_the_next_start_goes_on() {
    let fixture = Fixture::new();
    // Before the second file is hashed.
    *fixture.scene.looks_left.lock().unwrap() = Some(1);
    assert_eq!(fixture.preserve(), Outcome::Interrupted);
    assert_eq!(Outcome::Interrupted.name(), None);
    assert_eq!(fixture.bundle().soundness().unwrap(), Soundness::Incomplete);
    // Nothing is begun any more.
    fixture.run(&[fixture.halt]);
    assert_eq!(fixture.bundle().soundness().unwrap(), Soundness::Incomplete);
    *fixture.scene.looks_left.lock().unwrap() = None;
    fixture.run(&[]);
    assert_eq!(fixture.bundle().soundness().unwrap(), Soundness::Complete);
    let halt: HaltRecord = fixture.file(names::HALT);
    assert!(!halt.after_restart, "the process before has written it");
    assert_eq!(*fixture.scene.checkpoints.lock().unwrap(), 1);
}

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

/// A link may lead to what the bundle has nothing to do with, and a pipe never ends.
#[test]
fn links_and_pipes_are_not_read() {
    let fixture = Fixture::new();
    let path = fixture.bundle().path().to_owned();
    fs::create_dir_all(&path).unwrap();
    pipe(&path.join("before"));
    assert_eq!(fixture.preserve(), Outcome::Partial(1));
    let manifest: ManifestRecord = fixture.file(names::MANIFEST);
    assert_eq!(manifest.problems[0].file, "before");
    pipe(&path.join("pipe"));
    let elsewhere = fixture.settings.folder.join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::write(elsewhere.join("file"), "other").unwrap();
    std::os::unix::fs::symlink(&elsewhere, path.join("folder")).unwrap();
    fs::remove_file(path.join(names::PEERS)).unwrap();
    fs::write(elsewhere.join("peers"), "{}").unwrap();
    std::os::unix::fs::symlink(elsewhere.join("peers"), path.join(names::PEERS)).unwrap();
    let files = ["before", "folder", names::PEERS, "pipe"].map(str::to_owned);
    let soundness = Soundness::Changed {
        files: files.into(),
    };
    assert_eq!(fixture.bundle().soundness().unwrap(), soundness);
    let read = fixture.bundle().json::<PeersRecord>(names::PEERS);
    assert!(read.unwrap_err().to_string().ends_with("it is not a file"));
    fs::remove_file(path.join(names::CONFIG)).unwrap();
    pipe(&path.join(names::CONFIG));
    let read = fixture.bundle().json::<PeersRecord>(names::CONFIG);
    assert!(read.unwrap_err().to_string().ends_with("it is not a file"));
}
