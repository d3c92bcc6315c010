//! When a validator proposes, and when it asks the others (rules D4 and D11).

use crate::harness::{config, core as follower};
use holdfast_dag::drawing::Drawing;
use holdfast_dag::{AddOutcome, DagCore, Pace};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{AuthorityIndex, Round};
use std::sync::Arc;

const IDLE_MS: u64 = 1000;
const MIN_MS: u64 = 50;
const LEADER_MS: u64 = 250;

/// D, which leads none of the first rounds.
const ME: AuthorityIndex = AuthorityIndex(3);

fn core_of_me(drawing: &Drawing) -> DagCore {
    DagCore::new(CHAIN, Arc::clone(&drawing.context), config(1), Some(ME), 0)
}

fn add_at(core: &mut DagCore, drawing: &Drawing, names: &str, now_ms: u64) {
    for name in names.split_whitespace() {
        let vertex = drawing.vertex(name);
        let outcome = core.add(Arc::clone(&vertex), now_ms).outcome;
        assert_eq!(outcome, AddOutcome::Accepted, "{name}");
        if vertex.author() == ME {
            core.proposed(&vertex, now_ms);
        }
    }
}

fn proposes(pace: &Pace, round: u64) -> bool {
    matches!(pace, Pace::Propose(plan) if plan.round == Round(round))
}

#[test]
fn a_follower_never_proposes() {
    let drawing = Drawing::new(4, "@1: *");
    let core = follower(&drawing.context, &config(1));
    assert_eq!(core.pace(1_000_000, true), Pace::Blocked);
}

#[test]
fn nothing_to_do_idles_and_something_to_do_wakes() {
    let drawing = Drawing::new(4, "@1..2: *");
    let mut core = core_of_me(&drawing);
    add_at(&mut core, &drawing, "D1 A1 B1 C1", 100);
    assert_eq!(core.pace(120, false), Pace::Until(100 + IDLE_MS));
    assert_eq!(core.pace(120, true), Pace::Until(100 + MIN_MS));
    assert!(proposes(&core.pace(100 + MIN_MS, true), 2));
    assert!(proposes(&core.pace(100 + IDLE_MS, false), 2));
}

/// A round that somebody has begun is joined, wherever in its own idle interval a validator is. Else a round would stay half
/// complete for as long as the validators' timers differ, and a transaction that reaches a validator just after its
/// vertex would wait for the last of them.
#[test]
fn a_round_that_somebody_has_begun_is_joined() {
    let drawing = Drawing::new(4, "@1..2: *");
    let mut core = core_of_me(&drawing);
    add_at(&mut core, &drawing, "D1 A1 B1 C1", 100);
    assert_eq!(core.pace(200, false), Pace::Until(100 + IDLE_MS));
    add_at(&mut core, &drawing, "A2", 200);
    assert!(proposes(&core.pace(200, false), 2));
    // Still not faster than the least interval.
    let mut early = core_of_me(&drawing);
    add_at(&mut early, &drawing, "D1 A1 B1 C1 A2", 100);
    assert_eq!(early.pace(110, false), Pace::Until(100 + MIN_MS));
}

#[test]
fn a_payload_of_anybody_keeps_the_pace_for_some_rounds() {
    let drawing = Drawing::new(4, "@1..14: *; A1': *");
    let mut core = core_of_me(&drawing);
    add_at(&mut core, &drawing, "D1 A1 B1 C1", 0);
    assert!(!core.is_busy());
    // The second version of A1 carries a transaction.
    add_at(&mut core, &drawing, "A1'", 0);
    for round in 2..=14 {
        assert_eq!(core.is_busy(), round <= 11, "in round {round}");
        for author in ["D", "A", "B", "C"] {
            add_at(&mut core, &drawing, &format!("{author}{round}"), 0);
        }
    }
}

#[test]
fn a_missing_leader_is_waited_for_once() {
    // A leads round 1.
    let drawing = Drawing::new(4, "@1..2: *");
    assert_eq!(drawing.reference("^1"), drawing.reference("A1"));
    let mut core = core_of_me(&drawing);
    add_at(&mut core, &drawing, "D1 B1", 10);
    add_at(&mut core, &drawing, "C1", 30);
    assert_eq!(core.pace(100, true), Pace::Until(30 + LEADER_MS));
    assert!(proposes(&core.pace(30 + LEADER_MS, true), 2));
    // When it comes, nothing is waited for any more.
    add_at(&mut core, &drawing, "A1", 100);
    assert!(proposes(&core.pace(100, true), 2));
}

#[test]
fn an_incomplete_round_blocks_whatever_the_time() {
    let drawing = Drawing::new(4, "@1: *");
    let mut core = core_of_me(&drawing);
    add_at(&mut core, &drawing, "D1 A1", 0);
    assert_eq!(core.pace(u64::MAX, true), Pace::Blocked);
}

#[test]
fn others_are_asked_for_the_rounds_without_a_decision_too() {
    let drawing = Drawing::new(7, "@1..7: *");
    let mut core = core_of_me(&drawing);
    for round in 1..=7 {
        let names = ["A", "B", "C", "D", "E", "F", "G"].map(|author| format!("{author}{round}"));
        add_at(&mut core, &drawing, &names.join(" "), 100);
    }
    let mut from = || -> Vec<Round> {
        let now_ms = core.next_ask_ms();
        let from = core.asks(now_ms).iter().map(|ask| ask.from).collect();
        core.try_commit(now_ms);
        from
    };
    let first: Vec<Round> = from();
    assert_eq!(first, [Round(7), Round(1)].repeat(4), "nothing is decided");
    assert_eq!(
        from(),
        [Round(7), Round(5)].repeat(4),
        "round 5 was decided last"
    );
}

/// A vertex that this validator waits for was lost on the way, and nobody sends it again by himself.
#[test]
fn others_are_asked_what_they_have_while_the_round_does_not_move() {
    let drawing = Drawing::new(7, "@1..2: *");
    let mut core = core_of_me(&drawing);
    add_at(&mut core, &drawing, "D1 A1 B1", 100);
    let first_ms = core.next_ask_ms();
    assert!(first_ms >= 100 + LEADER_MS);
    assert_eq!(core.asks(first_ms - 1), []);
    let asks = core.asks(first_ms);
    for ask in &asks {
        assert_eq!(ask.from, Round::ZERO);
        assert_eq!(ask.held[1], [0, 1, 3].map(AuthorityIndex));
    }
    assert_eq!(core.asks(first_ms), [], "once");
    let second_ms = core.next_ask_ms();
    assert!(second_ms >= first_ms + LEADER_MS);
    let mut asked: Vec<_> = asks.iter().map(|ask| ask.to).collect();
    asked.extend(core.asks(second_ms).iter().map(|ask| ask.to));
    asked.sort_unstable();
    asked.dedup();
    let others = [0, 1, 2, 4, 5, 6].map(AuthorityIndex);
    assert_eq!(asked, others, "everybody's turn comes, but not our own");
    add_at(&mut core, &drawing, "C1 E1", second_ms);
    assert!(
        core.next_ask_ms() > second_ms + LEADER_MS,
        "the round moved"
    );
}

#[test]
fn a_moving_dag_asks_nothing() {
    let drawing = Drawing::new(4, "@1: *");
    let mut core = core_of_me(&drawing);
    add_at(&mut core, &drawing, "D1 A1 B1", 0);
    let Pace::Until(at_ms) = core.pace(500, false) else {
        panic!("an idle DAG waits")
    };
    assert!(core.next_ask_ms() > at_ms);
}
