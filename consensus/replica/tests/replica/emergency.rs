//! Rules R18 to R21: what a replica does in an emergency of the chain.

use crate::bench::{
    Bench, WALL, attestation, config, emergency_block, executed_block, next_era, now, own_vertex,
    standing,
};
use crate::halts::{halt, resume};
use holdfast_chain::{ExecutedBlock, ProductionRefusal};
use holdfast_halt::Mode;
use holdfast_ledger::EmergencyClock;
use holdfast_replica::{ChainStanding, Fact, Input, Message, Origin, Output, Record};
use holdfast_types::test_util::key_pair;
use holdfast_types::{
    AccountName, AttestationBody, AuthorityIndex, Block, CommitDigest, Committee, EndStatement,
    Era, EraContext, EraKind, Height, Member, Signer, SoftwareVersion, TimestampMs, VerifiedVertex,
};
use std::sync::Arc;

/// The emergency that begins with the block at `height`.
pub(crate) fn emergency(height: u64) -> Arc<EraContext> {
    let member = Member {
        account: AccountName::new("committee").expect("a valid name"),
        signing_key: key_pair(999).public_key(),
    };
    Arc::new(EraContext {
        kind: EraKind::Emergency,
        committee: Committee::new(vec![member]).expect("one member is a committee"),
        ..EraContext::clone(&next_era(height))
    })
}

/// The era that follows it on the block at `height`.
pub(crate) fn dag_after(height: u64) -> Arc<EraContext> {
    Arc::new(EraContext {
        era: Era(3),
        ..EraContext::clone(&next_era(height))
    })
}

pub(crate) fn body(era: u64, height: u64) -> AttestationBody {
    AttestationBody {
        era: Era(era),
        commit: CommitDigest::default(),
        ..attestation(height, 7)
    }
}

/// An emergency block of `era` is executed.
pub(crate) fn executed(
    bench: &mut Bench,
    era: u64,
    height: u64,
    next: Option<Arc<EraContext>>,
) -> Output {
    let block = executed_block(body(era, height), bench.now_ms, next);
    bench.step(Input::Executed(vec![block]))
}

pub(crate) fn attested(output: &Output) -> Vec<(Era, Height, AuthorityIndex)> {
    let attested = statements(output).filter(|one| matches!(one, EndStatement::Attestation(_)));
    attested.map(|one| place(&one)).collect()
}

pub(crate) fn voted(output: &Output) -> Vec<(Era, Height, AuthorityIndex)> {
    let votes = statements(output).filter(|one| matches!(one, EndStatement::Vote(_)));
    votes.map(|one| place(&one)).collect()
}

pub(crate) fn statements(output: &Output) -> impl Iterator<Item = EndStatement> {
    output.send.iter().filter_map(|message| match message {
        Message::Statement(gossiped) => Some(gossiped.statement),
        _ => None,
    })
}

fn place(statement: &EndStatement) -> (Era, Height, AuthorityIndex) {
    let body = statement.body();
    (body.era, body.height, statement.author())
}

/// A validator in an emergency that began with block 1.
pub(crate) fn in_emergency() -> Bench {
    enter_emergency(Bench::new())
}

pub(crate) fn enter_emergency(mut bench: Bench) -> Bench {
    drop(bench.submit(0, Origin::Local));
    bench.rounds(3);
    assert_eq!(bench.replica.mempool().in_flight_len(), 1);
    let output = executed(&mut bench, 1, 1, Some(emergency(1)));
    assert!(
        output
            .era_started
            .as_ref()
            .is_some_and(|era| era.kind == EraKind::Emergency)
    );
    let started = |fact: &Fact| {
        matches!(
            fact,
            Fact::EraStarted {
                era: Era(2),
                authority: None,
                ..
            }
        )
    };
    assert!(output.facts.iter().any(started));
    assert_eq!(attested(&output), []);
    bench
}

#[test]
fn r18_an_emergency_begins_at_once_and_the_dag_is_silent_in_it() {
    let mut bench = in_emergency();
    assert_eq!(bench.replica.era(), Era(2));
    assert!(bench.replica.dag().is_none());
    assert_eq!(
        bench.replica.mempool().in_flight_len(),
        0,
        "it waits for an emergency block"
    );
    for height in 2..8 {
        let output = executed(&mut bench, 2, height, None);
        assert_eq!(attested(&output), [], "nobody certifies them");
        let output = bench.tick(3_000);
        assert!(own_vertex(&output).is_none());
        assert_eq!(attested(&output), []);
    }
}

/// The chain has taken the emergency back to where it began, and stands in era 1 again.
pub(crate) fn taken_back(bench: &mut Bench, vertices: Vec<Arc<VerifiedVertex>>) -> Output {
    drop(bench.step(Input::TakenBack {
        common_ancestor: Height::ZERO,
        transactions: Vec::new(),
    }));
    bench.step(Input::Synced(Box::new(ChainStanding {
        vertices,
        ..standing(&bench.context)
    })))
}

/// Vertices of the DAG below the emergency that the others had made before it, as they come one round after the other.
pub(crate) fn rounds_below(bench: &mut Bench, count: usize) -> usize {
    let before = bench.commits.len();
    for _ in 0..count {
        let [ticked, came] = bench.round(Default::default());
        assert!(own_vertex(&ticked).is_none() && own_vertex(&came).is_none());
    }
    bench.commits.len() - before
}

#[test]
fn r21_commits_of_the_dag_below_go_to_the_chain_and_its_vertices_are_kept() {
    let mut bench = in_emergency();
    assert_eq!(bench.replica.tail().map(|tail| tail.era), Some(Era(1)));
    let kept = |record: &&Record| matches!(record, Record::PeerVertex(_));
    let before = bench.persisted.iter().filter(kept).count();
    assert!(rounds_below(&mut bench, 4) > 0, "what the chain lacks");
    assert_eq!(bench.persisted.iter().filter(kept).count(), before + 12);
    // It asks for what it lacks, too.
    let asked = bench.tick(60_000);
    let is_ask =
        |message: &Message| matches!(message, Message::Ask { era, .. } if era.era == Era(1));
    assert!(asked.send.iter().any(is_ask));
    // The chain goes back there: the DAG goes on with the vertices of the store, above what was signed.
    let stored = bench.persisted.iter().filter_map(|record| match record {
        Record::PeerVertex(vertex) | Record::OwnVertex(vertex) => Some(Arc::clone(vertex)),
        _ => None,
    });
    let mut stored: Vec<_> = stored.collect();
    stored.sort_by_key(|vertex| vertex.reference());
    let last = bench.sent.last().map(|own| own.round());
    let commits = bench.commits.len();
    drop(taken_back(&mut bench, stored));
    assert!(bench.replica.tail().is_none());
    assert!(bench.commits.len() > commits, "all of them again");
    let proposed = bench.tick(1_000);
    let vertex = own_vertex(&proposed).or_else(|| bench.sent.last());
    assert!(vertex.map(|own| own.round()) > last);
}

#[test]
fn r21_what_a_resume_message_kept_back_goes_to_the_chain_from_below_the_emergency() {
    let mut bench = Bench::new();
    bench.rounds(6);
    let committed = bench.commits.len() as u64;
    let block = ExecutedBlock {
        commit: bench.commits.last().cloned(),
        ..executed_block(body(1, committed), bench.now_ms, None)
    };
    drop(bench.step(Input::Executed(vec![block])));
    drop(bench.step(halt(1, 10_000)));
    bench.rounds(12);
    drop(bench.step(resume(2, committed + 2, SoftwareVersion::default())));
    drop(bench.tick(10));
    assert_eq!(bench.commits.len() as u64, committed + 2);
    // Others have not heard of it, and went on alone.
    drop(executed(
        &mut bench,
        1,
        committed + 1,
        Some(emergency(committed + 1)),
    ));
    drop(bench.tick(10_000));
    assert!(rounds_below(&mut bench, 4) > 0);
    let indexes: Vec<u64> = bench.commits.iter().map(|commit| commit.index).collect();
    let all: Vec<u64> = (1..).take(indexes.len()).collect();
    assert_eq!(indexes, all, "none is left out");
}

#[test]
fn r18_a_certificate_takes_the_emergency_back_and_the_dag_goes_on() {
    let mut bench = in_emergency();
    let synced = taken_back(&mut bench, Vec::new());
    assert_eq!(attested(&synced), []);
    assert!(synced.era_started.is_some_and(|era| era.era == Era(1)));
    assert_eq!(bench.replica.era(), Era(1));
    assert_eq!(bench.replica.halts().manager().state().era, Era(1));
    assert!(bench.replica.dag().is_some());
}

#[test]
fn r18_a_node_that_comes_back_in_an_emergency_has_no_dag_either() {
    let mut bench = Bench::new();
    let synced = bench.step(Input::Synced(Box::new(standing(&emergency(4)))));
    assert!(
        synced
            .era_started
            .is_some_and(|era| era.kind == EraKind::Emergency)
    );
    assert!(bench.replica.dag().is_none());
    // Once more changes nothing.
    let again = bench.step(Input::Synced(Box::new(standing(&emergency(4)))));
    assert!(again.era_started.is_none());
}

/// Length of a slot, in ms.
pub(crate) const SLOT_MS: u64 = 3_000;
/// Slots begin here.
const SLOT_ZERO: u64 = WALL + 10_000;

/// A block is executed whose slot began at `at_ms`.
fn in_slot(bench: &mut Bench, height: u64, at_ms: u64, clock: (bool, Option<Arc<EraContext>>)) {
    let (is_active, next) = clock;
    let block = ExecutedBlock {
        timestamp: TimestampMs(at_ms),
        emergency: EmergencyClock {
            slot_zero: Some(TimestampMs(SLOT_ZERO)),
            is_active,
        },
        ..executed_block(body(1 + u64::from(height > 1), height), 0, next)
    };
    drop(bench.step(Input::Executed(vec![block])));
    if height == 1 {
        drop(bench.step(Input::PeersAt(None)));
    }
}

/// Turns that come up to `until_ms` after [`WALL`], of which `answer` tells what comes.
fn turns(
    bench: &mut Bench,
    until_ms: u64,
    answer: impl Fn(u64) -> Result<Box<Block>, ProductionRefusal>,
) -> Vec<(u64, bool, usize)> {
    let mut turns = Vec::new();
    while bench.now_ms < until_ms {
        let wake = bench.replica.next_wake_ms(now(bench.now_ms));
        let wake = wake.expect("it has turns to wait for").min(until_ms);
        let mut output = bench.tick(wake.max(bench.now_ms + 1) - bench.now_ms);
        while let Some(turn) = output.produce.take() {
            let at_ms = turn.timestamp.0 - SLOT_ZERO;
            turns.push((at_ms, turn.is_late, turn.transactions.len()));
            output = bench.step(Input::Produced(answer(at_ms)));
        }
    }
    turns
}

const fn refused(_: u64) -> Result<Box<Block>, ProductionRefusal> {
    Err(ProductionRefusal::NotScheduled)
}

#[test]
fn r19_a_master_begins_an_emergency_in_slot_zero_and_nobody_else_does() {
    for is_master in [false, true] {
        let mut bench = if is_master {
            Bench::master()
        } else {
            Bench::new()
        };
        drop(bench.submit(0, Origin::Local));
        // The process is older than a round by then.
        let block = ExecutedBlock {
            timestamp: TimestampMs(WALL),
            emergency: EmergencyClock {
                slot_zero: Some(TimestampMs(SLOT_ZERO + 6_000)),
                is_active: false,
            },
            ..executed_block(body(1, 1), 0, None)
        };
        drop(bench.step(Input::Executed(vec![block])));
        drop(bench.step(Input::PeersAt(None)));
        let early = turns(&mut bench, 15_999, refused);
        assert_eq!(early, [], "not before its time");
        let taken = turns(&mut bench, 20_600, refused);
        let expected = [
            (6_000, false, 0),
            (6_000, true, 0),
            (9_000, false, 0),
            (9_000, true, 0),
        ];
        assert_eq!(taken, &expected[..if is_master { 4 } else { 0 }]);
    }
}

#[test]
fn r19_in_an_emergency_who_has_a_key_has_a_turn_in_each_half_of_an_empty_slot() {
    let mut bench = Bench::new();
    in_slot(&mut bench, 1, SLOT_ZERO, (true, Some(emergency(1))));
    drop(bench.submit(0, Origin::Local));
    assert_eq!(
        turns(&mut bench, 12_999, refused),
        [],
        "slot 0 has its block"
    );
    // What one turn does not take comes in the next.
    let taken = turns(&mut bench, 14_999, refused);
    assert_eq!(taken, [(3_000, false, 1), (3_000, true, 1)]);
    let refusal = bench.replica.production().refusal();
    assert_eq!(refusal, Some(ProductionRefusal::NotScheduled));
    // A block of the slot comes in its first half.
    bench.now_ms = 16_200;
    in_slot(&mut bench, 2, SLOT_ZERO + 6_000, (true, None));
    assert_eq!(turns(&mut bench, 18_999, refused), []);
    let made = turns(&mut bench, 19_100, |at_ms| {
        Ok(emergency_block(SLOT_ZERO + at_ms))
    });
    assert_eq!(made, [(9_000, false, 1)]);
    assert_eq!(bench.replica.production().refusal(), None);
    // A clock that jumps ahead skips the slots between.
    bench.now_ms = 40_000;
    assert_eq!(turns(&mut bench, 40_001, refused), [(30_000, false, 1)]);
    // A follower without a key has none.
    let mut follower = Bench::follower();
    in_slot(&mut follower, 1, SLOT_ZERO, (true, Some(emergency(1))));
    follower.now_ms = 14_000;
    assert!(follower.tick(1).produce.is_none());
}

#[test]
fn r19_a_block_that_was_made_is_told() {
    let mut bench = in_emergency();
    let block = emergency_block(SLOT_ZERO);
    let output = bench.step(Input::Produced(Ok(block.clone())));
    let told =
        |message: &Message| matches!(message, Message::EmergencyBlock(told) if *told == block);
    assert!(output.send.iter().any(told));
    let fact = |fact: &Fact| matches!(fact, Fact::Produced { slot: 3, .. });
    assert!(output.facts.iter().any(fact));
}

#[test]
fn r19_the_time_in_a_halt_that_ended_by_itself_is_no_stall() {
    const HALT_MS: u64 = 7_200_000;
    let mut bench = Bench::master();
    in_slot(&mut bench, 1, WALL, (false, None));
    drop(bench.step(halt(1, HALT_MS)));
    assert_eq!(turns(&mut bench, HALT_MS, refused), []);
    let refusal = bench.replica.production().refusal();
    assert_eq!(refusal, Some(ProductionRefusal::Halted));
    assert!(!bench.replica.production().is_overdue());
    // The emergency could begin by the blocks alone, two hours after slot 0.
    let over_ms = HALT_MS + 3_600_000;
    assert_eq!(turns(&mut bench, over_ms, refused), []);
    let refusal = bench.replica.production().refusal();
    assert_eq!(refusal, Some(ProductionRefusal::NotBegun));
    assert!(!bench.replica.production().is_overdue());
    let taken = turns(&mut bench, over_ms + 6_000, refused);
    assert!(!taken.is_empty(), "a DAG that stays away is a stall");
    // One that is active goes on as soon as the halt is over.
    let mut bench = Bench::master();
    in_slot(&mut bench, 1, SLOT_ZERO, (true, Some(emergency(1))));
    drop(bench.step(halt(1, HALT_MS)));
    assert_eq!(turns(&mut bench, HALT_MS, refused), []);
    assert!(!turns(&mut bench, HALT_MS + 6_000, refused).is_empty());
}

#[test]
fn r19_a_wall_clock_that_is_far_ahead_begins_no_emergency_on_a_chain_that_moves() {
    let mut bench = Bench::master();
    bench.rounds(6);
    let commit = bench.commits.last().cloned();
    assert!(commit.is_some());
    let moves = |bench: &mut Bench, height| {
        let block = ExecutedBlock {
            commit: commit.clone(),
            // By this clock the chain has stood still for ever.
            timestamp: TimestampMs::ZERO,
            emergency: EmergencyClock {
                slot_zero: Some(TimestampMs(WALL - 1_800_000)),
                is_active: false,
            },
            ..executed_block(body(1, height), 0, None)
        };
        drop(bench.step(Input::Executed(vec![block])));
        drop(bench.step(Input::PeersAt(None)));
    };
    let round_ms = SLOT_MS * config().slots;
    for height in 1..4 {
        moves(&mut bench, height);
        let until_ms = bench.now_ms + round_ms - 1;
        assert_eq!(turns(&mut bench, until_ms, refused), []);
    }
    let until_ms = bench.now_ms + 2 * SLOT_MS;
    assert!(!turns(&mut bench, until_ms, refused).is_empty());
}

#[test]
fn r19_a_master_that_has_just_started_hears_the_dag_before_it_begins_an_emergency() {
    let mut bench = Bench::master();
    in_slot(&mut bench, 1, WALL, (false, None));
    let round_ms = SLOT_MS * config().slots;
    // By its store the chain has stood still for long.
    let stalled = ExecutedBlock {
        timestamp: TimestampMs::ZERO,
        emergency: EmergencyClock {
            slot_zero: Some(TimestampMs(WALL - 1_800_000)),
            is_active: false,
        },
        ..executed_block(body(1, 2), 0, None)
    };
    drop(bench.step(Input::Executed(vec![stalled])));
    assert_eq!(turns(&mut bench, round_ms - 1, refused), []);
    assert!(!turns(&mut bench, round_ms + SLOT_MS, refused).is_empty());
}

#[test]
fn r19_a_node_that_is_behind_waits_a_round_and_no_longer() {
    let mut bench = Bench::master();
    in_slot(&mut bench, 1, SLOT_ZERO, (true, Some(emergency(1))));
    drop(bench.step(Input::PeersAt(Some(Height(500)))));
    bench.now_ms = 13_000;
    assert_eq!(turns(&mut bench, 24_999, refused), []);
    let refusal = bench.replica.production().refusal();
    assert_eq!(refusal, Some(ProductionRefusal::SyncFirst));
    let taken = turns(&mut bench, 26_000, refused);
    assert_eq!(taken, [(15_000, false, 0)], "four slots have passed");
    // Whoever has caught up waits anew when it is behind again.
    drop(bench.step(Input::PeersAt(None)));
    assert_eq!(turns(&mut bench, 28_100, refused).len(), 2);
    drop(bench.step(Input::PeersAt(Some(Height(500)))));
    assert_eq!(turns(&mut bench, 37_000, refused), []);
}

#[test]
fn r19_a_node_that_has_asked_nobody_yet_waits_a_round_too() {
    let mut bench = Bench::new();
    let block = ExecutedBlock {
        timestamp: TimestampMs(SLOT_ZERO),
        emergency: EmergencyClock {
            slot_zero: Some(TimestampMs(SLOT_ZERO)),
            is_active: true,
        },
        ..executed_block(body(1, 1), 0, Some(emergency(1)))
    };
    drop(bench.step(Input::Executed(vec![block])));
    bench.now_ms = 13_000;
    assert_eq!(turns(&mut bench, 24_999, refused), []);
    assert_eq!(turns(&mut bench, 25_100, refused), [(15_000, false, 0)]);
}

/// Slots are counted from the beginning of each emergency: what was tried in the one before says nothing.
#[test]
fn r19_a_second_emergency_has_its_turns_from_the_first_slot_on() {
    let mut bench = Bench::master();
    in_slot(&mut bench, 1, SLOT_ZERO, (true, Some(emergency(1))));
    bench.now_ms = 100_000;
    assert_eq!(turns(&mut bench, 101_000, refused).len(), 1);
    let second = ExecutedBlock {
        timestamp: TimestampMs(WALL + 110_000),
        emergency: EmergencyClock {
            slot_zero: Some(TimestampMs(WALL + 120_000)),
            is_active: false,
        },
        ..executed_block(body(2, 2), 0, None)
    };
    drop(bench.step(Input::Executed(vec![second])));
    drop(bench.step(Input::PeersAt(Some(Height(500)))));
    // Whom it waits for is counted anew, too.
    assert_eq!(turns(&mut bench, 131_999, refused), []);
    assert!(!turns(&mut bench, 133_000, refused).is_empty());
    drop(bench.step(Input::PeersAt(None)));
    assert_eq!(turns(&mut bench, 136_000, refused).len(), 2);
}

#[test]
fn r19_the_watchdog_of_a_master_says_once_that_slots_stay_empty() {
    let mut bench = Bench::master();
    in_slot(&mut bench, 1, SLOT_ZERO, (true, Some(emergency(1))));
    let mut said = Vec::new();
    for _ in 0..40 {
        let output = bench.tick(1_000);
        said.extend(output.facts.into_iter().filter_map(|fact| match fact {
            Fact::ProducerOverdue { slot, .. } => Some(slot),
            _ => None,
        }));
    }
    assert_eq!(said, [3]);
    assert!(bench.replica.production().is_overdue());
    in_slot(&mut bench, 2, SLOT_ZERO + 30_000, (true, None));
    drop(bench.tick(1));
    assert!(!bench.replica.production().is_overdue());
}

#[test]
fn r20_a_block_that_is_dated_ahead_of_the_clock_is_not_taken() {
    let mut bench = in_emergency();
    let now_ms = WALL + bench.now_ms;
    let offers = |bench: &mut Bench, at_ms| {
        let input = Input::EmergencyBlock(emergency_block(at_ms));
        bench.step(input).offer.len()
    };
    assert_eq!(
        offers(&mut bench, now_ms - 100_000),
        1,
        "old ones may be missing here"
    );
    assert_eq!(
        offers(&mut bench, now_ms + 1_000),
        1,
        "as far as clocks may differ"
    );
    assert_eq!(offers(&mut bench, now_ms + 1_001), 0);
}

#[test]
fn r18_the_mode_is_that_of_an_emergency_while_one_runs() {
    let mut bench = Bench::new();
    assert!(bench.replica.halts().modes().is_empty());
    drop(executed(&mut bench, 1, 1, Some(emergency(1))));
    let modes = bench.replica.halts().modes();
    assert_eq!(modes.iter().collect::<Vec<_>>(), [Mode::EmergencyConsensus]);
    // Its blocks are what shows that the chain lives.
    for height in 2..8 {
        bench.now_ms += 3_000;
        drop(executed(&mut bench, 2, height, None));
        assert!(!bench.replica.halts().modes().contains(Mode::SoftStall));
    }
    let mut stalled = bench.tick(4_000);
    stalled.facts.extend(bench.tick(2_000).facts);
    assert!(bench.replica.halts().modes().contains(Mode::SoftStall));
}
