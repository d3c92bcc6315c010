//! Bundles: whole, in part, twice, too many; and that nothing that goes wrong here goes further.

use super::content::{HaltRecord, JournalRecord, ManifestRecord, PeersRecord, ProofRecord};
use super::*;
use crate::incident::fixture::{extend, genesis, key, store, transfer};
use crate::incident::report::Report;
use crate::incident::{Bundle, Soundness};
use crate::recorder::{Recorder, Recording};
use crate::runtime::board::Standing;
use crate::runtime::halted::HaltPicture;
use crate::supervisor::{StopReason, Supervisor};
use holdfast_chain::ChainStore as _;
use holdfast_halt::{
    HaltState, HardHalt, Journal, JournalEntry, JournalEvent, Mode, ModeSet, OwnFault,
};
use holdfast_rpc::{BuildInfo, Metrics};
use holdfast_storage::Storage;
use holdfast_types::{
    AttestationBody, AuthorityIndex, BlockId, CommitDigest, Era, HaltCause, HaltId, HaltProof,
    HaltStatus, Height, Readiness, Round, Signer as _, StateRoot, TimestampMs,
};
use std::fs;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;
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
        self.picture.standing.halts.state.clone()
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
        let proof = divergence(&genesis.chain_id());
        let halt = proof.id();
        let (head, head_id) = storage.head().unwrap().unwrap();
        let own = status(head, head_id, halt);
        let statuses = vec![
            own.clone()
                .sign(AuthorityIndex(0), &genesis.chain_id(), &key(31)),
            status(head, BlockId::new([9; 32]), halt).sign(
                AuthorityIndex(3),
                &genesis.chain_id(),
                &key(34),
            ),
        ];
        let state = HaltState {
            era: Era(1),
            hard: vec![HardHalt {
                id: halt,
                cause: proof.cause(),
                proof,
                since: TimestampMs(1_800_000_000_000),
            }],
            ..HaltState::default()
        };
        let standing = standing(context, (head, head_id), picture(state, own, statuses));
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

    fn bundle(&self) -> Bundle {
        Bundle::at(self.settings.folder.join(self.halt.to_string()))
    }

    fn file<T: serde::de::DeserializeOwned>(&self, name: &str) -> T {
        self.bundle().json(name).unwrap().unwrap()
    }
}

fn divergence(chain: &holdfast_types::ChainId) -> HaltProof {
    let attestation = |author: u16, root: u8| {
        let body = AttestationBody {
            era: Era(1),
            height: Height(3),
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

fn status(head: Height, head_id: BlockId, halt: HaltId) -> HaltStatus {
    HaltStatus {
        era: Era(1),
        head,
        head_id,
        state_root: StateRoot::new([5; 32]),
        certified: Height(2),
        attested: head,
        version: "0.1.0".parse().unwrap(),
        halts: vec![halt],
        own_fault: None,
        resume: None,
        readiness: Readiness::NotAsked,
        at: TimestampMs(1_800_000_000_100),
    }
}

fn picture(
    state: HaltState,
    own: HaltStatus,
    statuses: Vec<holdfast_types::SignedHaltStatus>,
) -> HaltPicture {
    HaltPicture {
        state,
        modes: ModeSet::of(Mode::HardHalt),
        stall: None,
        now_ms: 0,
        readiness: Readiness::NotAsked,
        own,
        statuses,
        heard_ms: Vec::new(),
        in_newest_round: std::collections::BTreeSet::new(),
        evidence: Vec::new(),
    }
}

fn standing(
    context: Arc<holdfast_types::EraContext>,
    (head, head_id): (Height, BlockId),
    halts: HaltPicture,
) -> Standing {
    Standing {
        head,
        head_id,
        head_timestamp: TimestampMs(1_799_999_999_000),
        lib: Height(1),
        certified: Height(2),
        certified_id: BlockId::new([2; 32]),
        fork_blocks: 0,
        context,
        between_eras: false,
        round: Round(8),
        certified_vertices: 4,
        active_committee: 4,
        head_changed_at: Instant::now(),
        lib_changed_at: Instant::now(),
        mempool_transactions: 0,
        mempool_bytes: 0,
        sync_target: None,
        sync_blocks_per_second: 0.0,
        signing_stopped: None,
        halts: Arc::new(halts),
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
    let mut left: Vec<_> = fs::read_dir(&fixture.settings.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let id = fixture.halt.to_string();
    let mut expected = vec!["old-1", "old-3", "old-4", "old-5", &id];
    expected.sort_unstable();
    assert_eq!(left, expected);
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
        supervisor: Supervisor::new(),
    };
    (preserver, sender)
}

#[test]
fn a_panic_while_preserving_ends_there_and_is_counted() {
    let mut fixture = Fixture::new();
    fixture.scene.panics = true;
    let (preserver, requests) = preserver(fixture.scene.clone(), fixture.settings.clone());
    let metrics = preserver.metrics.clone();
    let supervisor = preserver.supervisor.clone();
    supervisor
        .spawn_thread("forensics", move || preserver.run())
        .unwrap();
    requests.send(fixture.halt).unwrap();
    supervisor.stop(StopReason::Asked {
        by: "the test".to_owned(),
    });
    assert_eq!(supervisor.run_to_end(), Ok(()));
    assert!(metrics.halt.bundles.with("failed").get() >= 1);
}

#[test]
fn a_restart_in_a_halt_preserves_what_was_not_and_takes_nobodys_place() {
    let mut fixture = Fixture::new();
    let mut state = fixture.scene.halts();
    state.own_fault = Some(OwnFault {
        id: HaltId::of_event(HaltCause::OwnDivergence, Era(1), Height(3)),
        cause: HaltCause::OwnDivergence,
        height: Height(3),
        detail: "expected a, found b".to_owned(),
        since: TimestampMs(1_800_000_000_000),
    });
    let mut halts = fixture.scene.picture.standing.halts.as_ref().clone();
    halts.state = state;
    fixture.scene.picture.standing.halts = Arc::new(halts);
    fixture.settings.bundles_max = 1;
    let run = || {
        let (preserver, requests) = preserver(fixture.scene.clone(), fixture.settings.clone());
        drop(requests);
        assert_eq!(preserver.run(), Ok(()));
    };
    run();
    let halt: HaltRecord = fixture.file(names::HALT);
    assert!(halt.after_restart);
    assert_eq!(retention::count(&fixture.settings.folder).unwrap(), 1);
    run();
    assert_eq!(*fixture.scene.checkpoints.lock().unwrap(), 1);
}
