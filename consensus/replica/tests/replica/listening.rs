//! R12: what a process hears before it signs its first vertex.

use crate::bench::{Bench, slot};
use holdfast_replica::{
    Fact, Input, LISTEN_ROUNDS, LastVertices, Message, Output, SignGuard, SignGuardRecord,
    SigningState,
};
use holdfast_types::test_util::key_pair;
use holdfast_types::{AuthorityIndex, Era, Round, Signer, VertexPayload, VertexRef};

const LIMIT_MS: u64 = 2_000;

fn guard() -> SignGuardRecord {
    SignGuard::empty(key_pair(0).public_key()).record().clone()
}

fn without_past() -> SignGuardRecord {
    SignGuardRecord {
        emergency_end: None,
        end_vote: None,
        recovery: None,
        past_unknown: true,
        ..guard()
    }
}

fn listening(guard: SignGuardRecord) -> Bench {
    Bench::listening(guard, LIMIT_MS)
}

fn answer(bench: &Bench, from: u16, own: Option<VertexRef>, of_asker: Option<VertexRef>) -> Input {
    Input::LastVertices(LastVertices {
        from: AuthorityIndex(from),
        era: bench.context.era,
        running: Some(bench.context.era),
        own,
        of_asker,
    })
}

/// The last vertex of a peer.
fn last_of(bench: &Bench, author: u16) -> VertexRef {
    let last = bench.previous.iter().find(|one| one.author.0 == author);
    *last.expect("peers have a vertex in every round")
}

fn asked(output: &Output) -> Vec<u16> {
    let to = output.send.iter().filter_map(|message| match message {
        Message::AskLastVertices { to, .. } => Some(to.0),
        _ => None,
    });
    to.collect()
}

fn is_doppelganger(output: &Output) -> bool {
    let facts = output.facts.iter();
    facts
        .into_iter()
        .any(|fact| matches!(fact, Fact::Doppelganger { .. }))
}

#[test]
fn a_good_guard_signs_when_those_have_answered_that_the_dag_needs() {
    let mut bench = listening(guard());
    assert_eq!(asked(&bench.tick(1)), [1, 2, 3]);
    assert_eq!(asked(&bench.tick(100)), [0_u16; 0], "not so soon again");
    let _one = bench.step(answer(&bench, 1, None, None));
    let _tick = bench.tick(100);
    assert_eq!(bench.sent.len(), 0, "one of two answers");
    let _two = bench.step(answer(&bench, 2, None, None));
    let _tick = bench.tick(100);
    assert_eq!(bench.sent.len(), 1);
}

/// A copy of a guard that is good looks like one, and whoever could tell is not there.
#[test]
fn no_guard_is_good_enough_to_sign_while_too_few_answer() {
    let mut bench = listening(guard());
    let _late = bench.tick(10 * LIMIT_MS);
    let _one = bench.step(answer(&bench, 1, None, None));
    let _later = bench.tick(10 * LIMIT_MS);
    assert_eq!(bench.sent.len(), 0);
    let _two = bench.step(answer(&bench, 2, None, None));
    let _then = bench.tick(1);
    assert_eq!(bench.sent.len(), 1);
}

/// Found by seed 262 of the simulator's profile `disk`: a copy of a guard, in a node so far behind that nothing of what the
/// others have signed is there.
#[test]
fn who_is_far_behind_signs_nothing_below_what_more_than_f_have_signed() {
    let mut bench = listening(guard());
    let far = |round: u64| VertexRef {
        round: Round(round),
        ..bench.own_vertex(Round(1)).reference()
    };
    let answers = [(1, far(600)), (2, far(40)), (3, far(39))];
    for (from, own) in answers {
        let _answered = bench.step(answer(&bench, from, Some(own), None));
    }
    let _late = bench.tick(LIMIT_MS + 1);
    bench.rounds(38);
    assert_eq!(bench.sent.len(), 0);
    bench.rounds(3);
    let first = bench.sent.first().expect("a liar names any round");
    assert_eq!(first.round(), Round(40));
}

/// Found by seed 711 of the simulator's profile `disk`: members that answered late took an honest validator off for good.
#[test]
fn what_was_signed_before_the_first_round_of_this_process_is_no_news_when_it_comes_late() {
    let mut bench = listening(without_past());
    bench.rounds(5);
    for from in [1, 2, 3] {
        let last = Some(last_of(&bench, from));
        let _answered = bench.step(answer(&bench, from, last, None));
    }
    let last = last_of(&bench, 1).round;
    while bench.sent.is_empty() && bench.replica.signing() == &SigningState::Active {
        // It has heard enough, and its first vertex is yet to come.
        let output = bench.round([(); 3].map(|()| VertexPayload::default()));
        if output
            .iter()
            .any(|output| output.facts.contains(&Fact::Listened))
        {
            break;
        }
    }
    // The highest that a process before this one can have signed.
    let old = Input::Vertices(vec![bench.own_vertex(last.next())]);
    assert!(!is_doppelganger(&bench.step(old)));
    bench.rounds(3);
    assert!(!bench.sent.is_empty(), "it signs");
}

#[test]
fn who_names_vertices_that_do_not_exist_does_not_keep_a_good_guard_silent() {
    let mut bench = listening(guard());
    let invented = VertexRef {
        round: Round(9),
        ..bench.own_vertex(Round(1)).reference()
    };
    for (from, own) in [(1, None), (2, Some(invented))] {
        let _answered = bench.step(answer(&bench, from, own, None));
    }
    let _first = bench.tick(LIMIT_MS - 1);
    assert_eq!(bench.sent.len(), 0);
    let _late = bench.tick(2);
    assert_eq!(bench.sent.len(), 1);
}

#[test]
fn an_era_that_is_over_elsewhere_is_not_signed_in() {
    let mut bench = listening(guard());
    for from in [1, 2] {
        let ahead = LastVertices {
            from: AuthorityIndex(from),
            era: bench.context.era,
            running: Some(bench.context.era.next()),
            own: None,
            of_asker: None,
        };
        let _answered = bench.step(Input::LastVertices(ahead));
    }
    let _late = bench.tick(10 * LIMIT_MS);
    assert_eq!(bench.sent.len(), 0);
}

#[test]
fn without_a_past_the_first_vertex_is_beyond_all_that_q_others_have_signed() {
    let mut bench = listening(without_past());
    bench.rounds(7);
    let _late = bench.tick(10 * LIMIT_MS);
    for from in [1, 2] {
        let last = Some(last_of(&bench, from));
        let _answered = bench.step(answer(&bench, from, last, None));
    }
    bench.rounds(LISTEN_ROUNDS as usize + 9);
    assert_eq!(bench.sent.len(), 0, "two others are no quorum");
    let last = last_of(&bench, 3);
    let _answered = bench.step(answer(&bench, 3, Some(last), None));
    bench.rounds(2 * LISTEN_ROUNDS as usize);
    let first = bench.sent.first().expect("it signs again");
    assert!(first.round() >= last.round.plus(2 + LISTEN_ROUNDS));
    let mut guards = bench.persisted.iter().filter_map(|record| match record {
        holdfast_replica::Record::SignGuard(guard) => Some(guard),
        _ => None,
    });
    let last = guards.next_back().expect("a signature raises the guard");
    assert!(!last.past_unknown, "from now on the guard is good");
}

#[test]
fn a_round_that_nobody_has_seen_counts_for_nothing() {
    let mut bench = listening(without_past());
    bench.rounds(3);
    for from in [1, 2] {
        let last = Some(last_of(&bench, from));
        let _answered = bench.step(answer(&bench, from, last, None));
    }
    let invented = VertexRef {
        round: Round(1_000_000),
        ..last_of(&bench, 3)
    };
    let _lie = bench.step(answer(&bench, 3, Some(invented), None));
    bench.rounds(3 * LISTEN_ROUNDS as usize);
    assert_eq!(bench.sent.len(), 0);
    let last = Some(last_of(&bench, 3));
    let _truth = bench.step(answer(&bench, 3, last, None));
    bench.rounds(2 * LISTEN_ROUNDS as usize);
    assert!(!bench.sent.is_empty());
}

#[test]
fn a_guard_older_than_what_others_show_is_durable_as_such_and_listens() {
    for by_answer in [true, false] {
        let mut bench = listening(SignGuardRecord {
            vertex: Some(slot(1)),
            ..guard()
        });
        bench.rounds(4);
        let lost = bench.own_vertex(Round(5));
        let output = if by_answer {
            bench.step(answer(&bench, 1, None, Some(lost.reference())))
        } else {
            bench.step(Input::Vertices(vec![lost]))
        };
        let is_news = |fact: &Fact| matches!(fact, Fact::PastUnknown { era, round } if (*era, *round) == (Era(1), Round(5)));
        assert!(output.facts.iter().any(is_news));
        assert!(output.persist.iter().any(|record| matches!(
            record,
            holdfast_replica::Record::SignGuard(guard) if guard.past_unknown
        )));
        let _late = bench.tick(10 * LIMIT_MS);
        bench.rounds(30);
        assert_eq!(bench.sent.len(), 0, "nobody has answered");
        assert_eq!(*bench.replica.signing(), SigningState::Active);
    }
}

#[test]
fn who_lives_elsewhere_with_the_same_key_is_heard() {
    let mut bench = listening(without_past());
    bench.rounds(3);
    for from in [1, 2, 3] {
        let last = Some(last_of(&bench, from));
        let _answered = bench.step(answer(&bench, from, last, None));
    }
    bench.rounds(1);
    // M is 3: the other process may have signed round 4 before it died, not round 5.
    let old = Input::Vertices(vec![bench.own_vertex(Round(5))]);
    assert!(!is_doppelganger(&bench.tick(1)));
    let output = bench.step(old);
    assert!(is_doppelganger(&output));
    bench.rounds(3 * LISTEN_ROUNDS as usize);
    assert_eq!(bench.sent.len(), 0);
}

const MIN_MS: u64 = 150;

/// A process with a good guard whose questions were answered.
fn answered(guard: SignGuardRecord) -> Bench {
    let mut bench = Bench::listening_on(guard, MIN_MS, LIMIT_MS);
    let _asked = bench.tick(1);
    for from in [1, 2] {
        let _answered = bench.step(answer(&bench, from, None, None));
    }
    bench
}

#[test]
fn the_questions_are_asked_at_once() {
    let mut bench = listening(guard());
    assert_eq!(bench.replica.next_wake_ms(crate::bench::now(0)), Some(0));
    assert_eq!(asked(&bench.tick(0)), [1, 2, 3]);
}

#[test]
fn a_good_guard_listens_for_a_while_once_it_has_its_answers() {
    let mut bench = answered(guard());
    let _soon = bench.tick(MIN_MS - 1);
    assert_eq!(bench.sent.len(), 0);
    let wake = bench.replica.next_wake_ms(crate::bench::now(bench.now_ms));
    assert_eq!(wake, Some(bench.now_ms + 1));
    let _then = bench.tick(1);
    assert_eq!(bench.sent.len(), 1);
}

#[test]
fn a_limit_shorter_than_the_while_is_none() {
    let mut bench = Bench::listening_on(guard(), MIN_MS, 1);
    for from in [1, 2] {
        let _answered = bench.step(answer(&bench, from, None, None));
    }
    let _soon = bench.tick(MIN_MS - 1);
    assert_eq!(bench.sent.len(), 0);
    let _then = bench.tick(1);
    assert_eq!(bench.sent.len(), 1);
}

#[test]
fn who_signs_meanwhile_on_a_copy_of_the_guard_is_heard() {
    let mut bench = answered(guard());
    let first = bench.own_vertex(Round(1));
    let _heard = bench.step(Input::Vertices(vec![first]));
    bench.rounds(3);
    assert_eq!(bench.sent.len(), 0, "the guard proves nothing now");
    for from in [1, 2, 3] {
        let last = Some(last_of(&bench, from));
        let _answered = bench.step(answer(&bench, from, last, None));
    }
    bench.rounds(2);
    // M is 3: who signs round 5 lives.
    let alive = Input::Vertices(vec![bench.own_vertex(Round(5))]);
    assert!(is_doppelganger(&bench.step(alive)));
}

#[test]
fn own_last_vertices_that_come_back_after_a_restart_are_no_news() {
    let mut bench = answered(SignGuardRecord {
        vertex: Some(slot(1)),
        ..guard()
    });
    // The store had lost it; another copy of it comes with an answer.
    let last = bench.own_vertex(Round(1));
    let _back = bench.step(Input::Vertices(vec![last.clone(), last.clone()]));
    let _late = bench.step(answer(&bench, 3, None, Some(last.reference())));
    bench.rounds(4);
    assert_eq!(*bench.replica.signing(), SigningState::Active);
    assert!(!bench.sent.is_empty());
}
