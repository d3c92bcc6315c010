//! What the execution thread does with the rest of a command once the chain of this node cannot go on.

use super::*;
use crate::incident::fixture::{extend, genesis, store, transfer};
use crate::logging::captured;
use crate::runtime::board::Board;
use crate::runtime::core_thread::CoreCommand;
use crate::runtime::halted::fixture::{context, picture, standing};
use crate::runtime::start::BUILD;
use holdfast_dag::DagConfig;
use holdfast_halt::ModeSet;
use holdfast_types::{
    AttestationBody, AuthorityIndex, CachingEd25519, CommitDigest, CommitRecord, Event, HaltCause,
    Round, TimestampMs, VertexDigest, VertexRef,
};
use std::sync::mpsc;
use tempfile::TempDir;

#[derive(Debug)]
struct Nobody;

impl ChainObserver for Nobody {
    fn applied(&self, _block: &AppliedSummary) {}

    fn switched(&self, _common_ancestor: Height) {}

    fn finality(&self, _certified: (Height, BlockId), _lib: Height) {}
}

/// The execution thread of a node with three blocks, carried out by hand.
struct Fixture {
    _folder: TempDir,
    thread: ExecutionThread,
    core: Receiver<CoreCommand>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let genesis = genesis();
        let storage = Arc::new(store(folder.path(), &genesis));
        for nonce in 0..3 {
            let transfer = transfer(&genesis, nonce, 7);
            extend(&storage, &genesis, &[transfer], |_, _| {});
        }
        let chain_id = genesis.chain_id();
        let parameters = Arc::new(genesis.parameters().clone());
        let dag = DagConfig::from_parameters(&parameters);
        let scheme: Arc<dyn SignatureScheme> = Arc::new(CachingEd25519::new(16));
        let chain = Chain::open(storage.as_ref(), chain_id, parameters, Arc::clone(&scheme));
        let (core, core_commands) = mpsc::sync_channel(16);
        let standing = standing(&Arc::new(context()), picture(ModeSet::EMPTY, Vec::new()));
        let thread = ExecutionThread {
            chain_id,
            chain: chain.unwrap(),
            storage,
            scheme,
            commands: mpsc::channel().1,
            core: CoreHandle::new(core),
            board: Board::new(standing),
            observer: Arc::new(Nobody),
            supervisor: Supervisor::new(),
            dag,
            halt_height: None,
            is_faulty: false,
            recorder: Recorder::default(),
            started: Instant::now(),
            heartbeat: Heartbeat::default(),
            metrics: Metrics::new(BUILD),
            validator: None,
            master: None,
        };
        Self {
            _folder: folder,
            thread,
            core: core_commands,
        }
    }

    fn faults(&self) -> Vec<HaltCause> {
        let faults = self.core.try_iter().filter_map(|command| match command {
            CoreCommand::Input(Input::OwnFault { cause, .. }) => Some(cause),
            _ => None,
        });
        faults.collect()
    }

    /// The first commit of the era: the blocks of the fixture come of none. It stands on no other.
    fn commit(&self, previous: CommitDigest) -> SubDag {
        let era = self.thread.chain.era();
        let record = CommitRecord {
            era: era.era,
            index: 1,
            leader: VertexRef {
                round: Round(8),
                author: AuthorityIndex(0),
                digest: VertexDigest::new([4; 32]),
            },
            previous,
            timestamp: TimestampMs(1_798_761_601_000),
            vertices: Vec::new(),
        };
        SubDag {
            anchor: era.anchor,
            digest: record.digest(&self.thread.chain_id),
            record,
            vertices: Vec::new(),
            equivocations: Vec::new(),
        }
    }

    /// A certificate of the head, or of another block in its place.
    fn certificate(&self, other: bool) -> Certificate {
        let (height, id) = self.thread.chain.head();
        let block = self.thread.storage.block_at(height).unwrap().unwrap();
        let mut body = AttestationBody::of_block(id, &block.header);
        if other {
            body.block = BlockId::new([9; 32]);
        }
        Certificate {
            body,
            signatures: Vec::new(),
        }
    }
}

#[test]
fn the_commits_after_a_fault_are_not_executed() {
    let mut sound = Fixture::new();
    let commits = vec![sound.commit(CommitDigest::default())];
    let carried_out = sound.thread.carry_out(ExecutionCommand::Commits(commits));
    assert_eq!(carried_out, Ok(()));
    assert_eq!(sound.thread.chain.head().0, Height(4));
    let mut faulty = Fixture::new();
    let commits = vec![
        faulty.commit(CommitDigest::new([8; 32])),
        faulty.commit(CommitDigest::default()),
    ];
    let carried_out = faulty.thread.carry_out(ExecutionCommand::Commits(commits));
    assert_eq!(carried_out, Ok(()));
    assert_eq!(faulty.faults(), [HaltCause::DagFork]);
    assert_eq!(faulty.thread.chain.head().0, Height(3));
}

#[test]
fn the_beginning_and_the_end_of_an_emergency_are_in_the_log() {
    let mut fixture = Fixture::new();
    let commit = fixture.commit(CommitDigest::default());
    let step = fixture
        .thread
        .chain
        .order(fixture.thread.storage.as_ref(), &commit);
    let mut step = step.unwrap().unwrap();
    step.batch.apply[0].events.extend([
        Event::EmergencyActivated {
            slot: 0,
            stalled_ms: 60_001,
        },
        Event::EmergencyDeactivated { validators: 3 },
    ]);
    let text = captured(|| fixture.thread.apply(step).unwrap());
    let lib = fixture.thread.chain.irreversible();
    for line in [
        format!(
            "EMERGENCY CONSENSUS MODE activated at block #4. No blocks for 60 seconds since LIB {lib}."
        ),
        "EMERGENCY CONSENSUS MODE deactivated at block #4. 3 real validators active.".to_owned(),
    ] {
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn the_certificates_after_a_fault_are_not_taken() {
    let mut sound = Fixture::new();
    let certificates = vec![sound.certificate(false)];
    let carried_out = sound
        .thread
        .carry_out(ExecutionCommand::Certificates(certificates));
    assert_eq!(carried_out, Ok(()));
    assert_eq!(sound.thread.chain.certified(), Height(3));
    let mut faulty = Fixture::new();
    let certificates = vec![faulty.certificate(true), faulty.certificate(false)];
    let carried_out = faulty
        .thread
        .carry_out(ExecutionCommand::Certificates(certificates));
    assert_eq!(carried_out, Ok(()));
    assert_eq!(faulty.faults(), [HaltCause::OwnDivergence]);
    assert_eq!(faulty.thread.chain.certified(), Height::ZERO);
}
