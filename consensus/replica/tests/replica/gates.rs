//! Rule R13: whatever comes to a halted replica, it does nothing that the matrix forbids, and all that it lets go on.

use crate::bench::{
    Bench, WALL, attestation, emergency_block, executed_block, next_era, own_vertex, standing,
    transaction,
};
use crate::locking::lock_vote;
use holdfast_chain::{ExecutedBlock, ProductionRefusal};
use holdfast_halt::Mode;
use holdfast_halt::matrix::Activity;
use holdfast_ledger::EmergencyClock;
use holdfast_replica::{
    Fact, Input, LastVertices, Locking, MempoolReject, Message, Origin, Output, Record, Submission,
};
use holdfast_types::test_util::{CHAIN, key_pair, samples};
use holdfast_types::{
    Attestation, AuthorityIndex, Certificate, Era, Evidence, GovernanceAction, GovernanceBody,
    GovernanceMessage, HaltCause, HaltProof, HaltStatus, Height, LockdownMessage, LockdownTrigger,
    Readiness, SoftwareVersion, StateRoot, TimestampMs, VertexPayload,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What of the matrix an output shows to be done.
fn effects(output: &Output) -> BTreeSet<Activity> {
    let mut effects = BTreeSet::new();
    let signs = |message: &Message| matches!(message, Message::Vertex(_) | Message::Statement(_));
    // A vote to go on raises the guard as well.
    let votes = |message: &Message| {
        let recovery = |message: &LockdownMessage| matches!(message, LockdownMessage::Recovery(_));
        matches!(message, Message::Lockdown { message, .. } if recovery(message))
    };
    let is_vote = output.send.iter().any(votes);
    let raises = |record: &Record| match record {
        Record::SignGuard(_) => !is_vote,
        record => matches!(record, Record::OwnVertex(_)),
    };
    if own_vertex(output).is_some()
        || output.send.iter().any(signs)
        || output.persist.iter().any(raises)
    {
        effects.insert(Activity::VertexProduction);
    }
    if !output.execute.is_empty() {
        effects.insert(Activity::Commits);
    }
    if output.submissions.iter().any(Result::is_ok) {
        effects.insert(Activity::TransactionSubmission);
    }
    if output
        .persist
        .iter()
        .any(|record| matches!(record, Record::Evidence(_)))
    {
        effects.insert(Activity::SlashingEvidence);
    }
    let told = |message: &Message| {
        matches!(
            message,
            Message::Evidence(_)
                | Message::HaltProof { .. }
                | Message::HaltStatus(_)
                | Message::Governance(_)
        )
    };
    if output.produce.is_some() || !output.offer.is_empty() {
        effects.insert(Activity::EmergencyBlocks);
    }
    if output.send.iter().any(told) {
        effects.insert(Activity::Gossip);
    }
    effects
}

/// What comes to the replica: one of each kind of input but [`Input::Repaired`] and a message that resumes, which end halts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Come {
    Time(u16),
    Round,
    Early,
    Attestations,
    EndVote,
    Certificate,
    Evidence(u8),
    SecondProof,
    GovernanceAgain,
    Status,
    LockdownVote(u8),
    LockdownVoteAgain,
    RecoveryVote,
    OwnFault,
    Refused,
    Excluded,
    LastVertices,
    Transaction(u8),
    Executed { ends_era: bool },
    TakenBack,
    Synced,
    EmergencyBlock,
    Produced,
    PeersAt(u8),
}

/// A new variant of [`Input`] does not compile here: it needs a [`Come`].
const fn is_known(input: &Input) -> bool {
    match input {
        Input::Tick
        | Input::Vertices(_)
        | Input::EarlyVertex(_)
        | Input::Attestations(_)
        | Input::EndVote(_)
        | Input::Certificate(_)
        | Input::Evidence(_)
        | Input::HaltProof(_)
        | Input::Governance(_)
        | Input::HaltStatus(_)
        | Input::Locking(_)
        | Input::OwnFault { .. }
        | Input::Repaired
        | Input::ResumeRefused(_)
        | Input::ResumeExcluded { .. }
        | Input::LastVertices(_)
        | Input::Transactions(_)
        | Input::Executed(_)
        | Input::TakenBack { .. }
        | Input::EmergencyBlock(_)
        | Input::Held(_)
        | Input::Produced(_)
        | Input::PeersAt(_)
        | Input::Synced(_) => true,
    }
}

fn come() -> impl Strategy<Value = Come> {
    prop_oneof![
        2 => (1u16..3_000).prop_map(Come::Time),
        4 => Just(Come::Round),
        1 => Just(Come::Early),
        1 => Just(Come::Attestations),
        1 => Just(Come::EndVote),
        1 => Just(Come::Certificate),
        1 => (0u8..8).prop_map(Come::Evidence),
        1 => Just(Come::SecondProof),
        1 => Just(Come::GovernanceAgain),
        1 => Just(Come::Status),
        1 => (0u8..4).prop_map(Come::LockdownVote),
        1 => Just(Come::LockdownVoteAgain),
        1 => Just(Come::RecoveryVote),
        1 => Just(Come::OwnFault),
        1 => Just(Come::Refused),
        1 => Just(Come::Excluded),
        1 => Just(Come::LastVertices),
        2 => (0u8..40).prop_map(Come::Transaction),
        2 => any::<bool>().prop_map(|ends_era| Come::Executed { ends_era }),
        1 => Just(Come::TakenBack),
        1 => Just(Come::Synced),
        1 => Just(Come::EmergencyBlock),
        1 => Just(Come::Produced),
        1 => (0u8..40).prop_map(Come::PeersAt),
    ]
}

fn proof(roots: [u8; 2]) -> Input {
    let sign = |(author, root): (u16, u8)| {
        let mut body = attestation(5, 7);
        body.state_root = StateRoot::new([root; 32]);
        body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
    };
    let attestations = [(1, roots[0]), (3, roots[1])].map(sign).to_vec();
    Input::HaltProof(Box::new(HaltProof::Divergence { attestations }))
}

fn governance() -> Input {
    let action = GovernanceAction::Halt {
        reason: Vec::new(),
        until: TimestampMs(WALL + 86_400_000),
        after_height: None,
    };
    Input::Governance(Box::new(GovernanceMessage {
        body: GovernanceBody {
            sequence: 1,
            action,
        },
        signatures: Vec::new(),
    }))
}

/// A member votes for a lockdown.
fn lock_of(author: u16) -> Input {
    Input::Locking(Locking::Said(Box::new(LockdownMessage::Vote(lock_vote(
        author, WALL,
    )))))
}

fn vote_to_lock() -> Input {
    Input::Locking(Locking::VoteToLock {
        trigger: LockdownTrigger::Operator,
        reason: Vec::new(),
    })
}

fn own_fault() -> Input {
    Input::OwnFault {
        cause: HaltCause::BrokenInvariant,
        height: Height(3),
        detail: String::from("a test"),
    }
}

fn status() -> HaltStatus {
    HaltStatus {
        era: Era(1),
        head: Height(2),
        head_id: attestation(2, 7).block,
        state_root: StateRoot::default(),
        certified: Height(2),
        attested: Height(2),
        version: SoftwareVersion::default(),
        halts: Vec::new(),
        own_fault: None,
        resume: None,
        readiness: Readiness::NotAsked,
        at: TimestampMs(WALL),
    }
}

struct World {
    bench: Bench,
    height: u64,
    ended: bool,
}

impl World {
    fn new() -> Self {
        Self {
            bench: Bench::master(),
            height: 0,
            ended: false,
        }
    }

    fn executed(&mut self, ends_era: bool) -> Input {
        let next = (ends_era && !self.ended).then(|| next_era(self.height + 1));
        self.ended |= next.is_some();
        self.height += 1;
        let body = attestation(self.height, 7);
        // An emergency can begin all the time.
        let emergency = EmergencyClock {
            slot_zero: Some(TimestampMs(WALL)),
            is_active: false,
        };
        Input::Executed(vec![ExecutedBlock {
            emergency,
            timestamp: TimestampMs(WALL),
            ..executed_block(body, self.bench.now_ms, next)
        }])
    }

    fn certificate(&self) -> Certificate {
        let body = attestation(self.height, 7);
        let sign = |author: u16| {
            let signed = body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author));
            (signed.author, signed.signature)
        };
        Certificate {
            body,
            signatures: (1..4).map(sign).collect(),
        }
    }

    /// The outputs of what comes.
    fn take(&mut self, come: Come) -> Vec<Output> {
        let input = match come {
            Come::Time(ms) => return vec![self.bench.tick(u64::from(ms))],
            Come::Round => return self.bench.round(<[VertexPayload; 3]>::default()).into(),
            Come::Early => {
                let vertex = self.bench.peer_vertex(1, 0, VertexPayload::default());
                let mut vertex = vertex.vertex().clone();
                vertex.signed.header.era = Era(2);
                Input::EarlyVertex(Box::new(vertex))
            }
            Come::Attestations => {
                let sign = |author: u16| {
                    let body = attestation(self.height + 1, 7);
                    body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
                };
                Input::Attestations((1..4).map(sign).collect())
            }
            Come::EndVote => {
                let end = attestation(self.height, 7);
                Input::EndVote(end.vote(AuthorityIndex(1), &CHAIN, &key_pair(1)))
            }
            Come::Certificate => Input::Certificate(self.certificate()),
            Come::Evidence(height) => Input::Evidence(vec![offence(u64::from(height))]),
            Come::SecondProof => proof([2, 3]),
            Come::GovernanceAgain => governance(),
            Come::Status => {
                let says = status().sign(AuthorityIndex(1), &CHAIN, &key_pair(1));
                Input::HaltStatus(Box::new(says))
            }
            Come::LockdownVote(author) => lock_of(author.into()),
            Come::LockdownVoteAgain => vote_to_lock(),
            // Of this node; another one would be two of four.
            Come::RecoveryVote => Input::Locking(Locking::VoteToGoOn),
            Come::OwnFault => own_fault(),
            Come::Refused => Input::ResumeRefused(Readiness::Behind),
            Come::Excluded => Input::ResumeExcluded { sequence: 9 },
            Come::LastVertices => Input::LastVertices(LastVertices {
                from: AuthorityIndex(1),
                era: Era(1),
                running: Some(Era(1)),
                own: None,
                of_asker: None,
            }),
            Come::Transaction(nonce) => Input::Transactions(vec![Submission {
                transaction: transaction(u64::from(nonce)),
                account_nonce: 0,
                as_of: Height::ZERO,
                origin: Origin::Local,
            }]),
            Come::Executed { ends_era } => self.executed(ends_era),
            Come::TakenBack => Input::TakenBack {
                common_ancestor: Height(self.height),
                transactions: Vec::new(),
            },
            Come::Synced => Input::Synced(Box::new(standing(self.bench.replica.context()))),
            Come::EmergencyBlock => Input::EmergencyBlock(emergency_block(WALL)),
            Come::Produced => Input::Produced(Err(ProductionRefusal::NotScheduled)),
            Come::PeersAt(height) => Input::PeersAt(Some(Height(u64::from(height)))),
        };
        assert!(is_known(&input));
        vec![self.bench.step(input)]
    }
}

fn offence(height: u64) -> Evidence {
    let mut attestation: Attestation = samples("offence", 1).next().unwrap();
    attestation.author = AuthorityIndex(2);
    attestation.body.era = Era(1);
    attestation.body.height = Height(height);
    Evidence::BadStateRoot { attestation }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn r13_no_activity_bypasses_the_matrix(
        order in 0usize..4,
        before in 0usize..8,
        comes in prop::collection::vec(come(), 1..40),
    ) {
        let mut world = World::new();
        world.bench.rounds(before);
        let (input, mode) = match order {
            0 => (proof([0, 1]), Mode::HardHalt),
            1 => (own_fault(), Mode::HardHalt),
            2 => {
                drop(world.bench.step(lock_of(1)));
                drop(world.bench.step(lock_of(2)));
                (lock_of(3), Mode::Lockdown)
            }
            _ => (governance(), Mode::EmergencyHalt),
        };
        let entered = world.bench.step(input);
        prop_assert_eq!(entered.verdicts, [Ok(())]);
        for come in comes {
            // Who votes to go on after a lockdown executes what was decided before it.
            let catches_up = world.bench.replica.catches_up();
            let outputs = world.take(come);
            let goes_on = catches_up || world.bench.replica.catches_up();
            if mode == Mode::Lockdown && world.bench.replica.era() > Era(1) {
                // A lockdown ends with its era, which a quorum has ended.
                return Ok(());
            }
            let manager = world.bench.replica.halts().manager();
            let is_void = |fact: &Fact| matches!(fact, Fact::HaltVoid { .. });
            if outputs.iter().flat_map(|output| &output.facts).any(is_void) {
                // A quorum has gone on for a while (rule H20 of the manager).
                prop_assert!(mode == Mode::EmergencyHalt && come == Come::Round);
                prop_assert!(world.bench.now_ms > 10_000);
                return Ok(());
            }
            prop_assert!(manager.modes().contains(mode), "{:?} ends the halt", come);
            for activity in outputs.iter().flat_map(effects) {
                let is_known = activity == Activity::Commits && goes_on;
                prop_assert!(manager.allows(activity) || is_known, "{:?} after {:?}", activity, come);
            }
        }
        // What the matrix lets go on goes on.
        let evidence = world.take(Come::Evidence(100)).remove(0);
        prop_assert!(effects(&evidence).contains(&Activity::SlashingEvidence));
        prop_assert!(effects(&evidence).contains(&Activity::Gossip));
        let queued = world.take(Come::Transaction(0)).remove(0);
        let is_new = queued.submissions.iter().all(Result::is_ok);
        let is_rejected = world.bench.replica.halts().modes().contains(Mode::Lockdown);
        prop_assert_eq!(is_rejected, queued.submissions == [Err(MempoolReject::Halted)]);
        prop_assert!(is_rejected || is_new || world.bench.replica.mempool().contains(&transaction(0).id()));
    }
}

/// The same inputs do all of it where nothing halts: the test above sees what it looks for.
#[test]
fn r13_without_a_halt_the_same_inputs_do_everything() {
    let mut world = World::new();
    let mut seen = BTreeSet::new();
    let executed = Come::Executed { ends_era: false };
    let comes = [
        Come::Transaction(0),
        executed,
        Come::Round,
        Come::Evidence(1),
        Come::Round,
        Come::EmergencyBlock,
        Come::PeersAt(0),
    ];
    for come in comes.into_iter().chain([Come::Round; 8]) {
        seen.extend(world.take(come).iter().flat_map(effects));
    }
    let all = [
        Activity::VertexProduction,
        Activity::Commits,
        Activity::TransactionSubmission,
        Activity::SlashingEvidence,
        Activity::Gossip,
        Activity::EmergencyBlocks,
    ];
    assert_eq!(seen, BTreeSet::from(all));
}
