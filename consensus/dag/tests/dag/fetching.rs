//! Fetching of missing ancestors (rule D1; FAULTS C8, C9, C21): who is asked, when again, and what a liar can cost.

use crate::harness::{Random, config, core, unsigned};
use holdfast_dag::drawing::Drawing;
use holdfast_dag::{AddOutcome, DagCore};
use holdfast_types::limits::FETCH_REFERENCES_MAX;
use holdfast_types::test_util::CHAIN;
use holdfast_types::{
    AuthorityIndex, Round, TimestampMs, VerifiedVertex, VertexDigest, VertexPayload, VertexRef,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const PATIENCE_MS: u64 = 50;

/// A vertex of `author` in `round` with made-up parents: of every author in the round before, and `older` more.
fn with_invented_parents(
    drawing: &Drawing,
    (round, author): (Round, AuthorityIndex),
    older: u64,
    random: &mut Random,
) -> Arc<VerifiedVertex> {
    let mut parents = Vec::new();
    let committee = &drawing.context.committee;
    let size = committee.size() as u64;
    let mut invent = |round, author| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&random.next().to_le_bytes());
        parents.push(VertexRef {
            round,
            author,
            digest: VertexDigest::new(digest),
        });
    };
    for other in committee.authorities() {
        invent(round.previous(), other);
    }
    let others: Vec<AuthorityIndex> = committee.authorities().filter(|a| *a != author).collect();
    for more in 0..older {
        let lower = Round(round.0 - 2 - more / (size - 1));
        let other = others[usize::try_from(more % (size - 1)).expect("small")];
        invent(lower, other);
    }
    let timestamp = TimestampMs(random.next());
    let payload = VertexPayload::default();
    unsigned(
        &drawing.context,
        (round, author),
        parents,
        timestamp,
        payload,
    )
}

fn suspended(drawing: &Drawing, names: &[&str]) -> DagCore {
    let mut core = core(&drawing.context, &config(1));
    for name in names {
        let outcome = core.add(drawing.vertex(name), 0).outcome;
        assert_eq!(outcome, AddOutcome::Suspended, "{name}");
    }
    core
}

#[test]
fn the_children_are_asked_first_then_the_author_then_everybody() {
    let drawing = Drawing::new(4, "@1: *; @2: A1 B1 C1");
    let mut core = core(&drawing.context, &config(1));
    for name in ["B1", "C1", "D1"] {
        assert_eq!(
            core.add(drawing.vertex(name), 0).outcome,
            AddOutcome::Accepted
        );
    }
    // A1 is missing; C and B, in this order, have built on it.
    for name in ["C2", "B2"] {
        assert_eq!(
            core.add(drawing.vertex(name), 0).outcome,
            AddOutcome::Suspended
        );
    }
    let mut asked = Vec::new();
    let mut now_ms = 0;
    while asked.len() < 8 {
        now_ms = core.next_fetch_ms().expect("A1 is missing").max(now_ms);
        for request in core.fetches(now_ms) {
            assert_eq!(request.references, [drawing.reference("A1")]);
            asked.push(request.from.0);
        }
    }
    assert_eq!(asked[..3], [2, 1, 0]);
    let mut everybody = asked[3..].to_vec();
    everybody.sort_unstable();
    everybody.dedup();
    assert_eq!(everybody, [0, 1, 2, 3]);
}

#[test]
fn nobody_asks_itself() {
    let drawing = Drawing::new(4, "@1..2: *");
    let me = AuthorityIndex(0);
    let context = Arc::clone(&drawing.context);
    let mut core = DagCore::new(CHAIN, context, config(1), Some(me), 0);
    for name in ["A2", "B2"] {
        drop(core.add(drawing.vertex(name), 0));
    }
    let mut now_ms = 0;
    for _ in 0..40 {
        now_ms = core
            .next_fetch_ms()
            .expect("round 1 is missing")
            .max(now_ms);
        for request in core.fetches(now_ms) {
            assert_ne!(request.from, me);
        }
    }
}

#[test]
fn what_is_here_and_waits_itself_is_not_asked_for_and_wakes_nobody() {
    // B3 waits for round 2, of which B2 is here and waits for round 1.
    let drawing = Drawing::new(4, "@1..3: *");
    let mut core = suspended(&drawing, &["B3", "B2"]);
    let requests = core.fetches(1_000);
    let asked: Vec<VertexRef> = requests.into_iter().flat_map(|r| r.references).collect();
    assert!(!asked.contains(&drawing.reference("B2")));
    let next_ms = core.next_fetch_ms().expect("round 1 is missing");
    assert!(
        next_ms > 1_000,
        "the next request is due at {next_ms}, not at once"
    );
    // When all that is missing has come and waits for one vertex, only that one is asked for.
    let mut core = suspended(&drawing, &["A2", "B2", "C2", "D2", "B3"]);
    for name in ["B1", "C1", "D1"] {
        drop(core.add(drawing.vertex(name), 0));
    }
    let requests = core.fetches(PATIENCE_MS);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].references, [drawing.reference("A1")]);
    assert!(
        core.next_fetch_ms()
            .is_some_and(|next_ms| next_ms > PATIENCE_MS)
    );
}

#[test]
fn a_vertex_that_lost_its_place_is_asked_for_again() {
    let drawing = Drawing::new(4, "@1..4: *");
    let mut config = config(1);
    config.suspended_per_author_max = 1;
    let mut core = core(&drawing.context, &config);
    for name in ["C3", "D4", "C2"] {
        // C3 gives way to C2, and D4 still waits for C3.
        assert_eq!(
            core.add(drawing.vertex(name), 0).outcome,
            AddOutcome::Suspended
        );
    }
    let requests = core.fetches(1_000);
    let asked: Vec<VertexRef> = requests.into_iter().flat_map(|r| r.references).collect();
    assert!(asked.contains(&drawing.reference("C3")));
    assert_eq!(
        core.add(drawing.vertex("C3"), 1_000).outcome,
        AddOutcome::NoPlace
    );
    assert!(core.next_fetch_ms().is_some_and(|next_ms| next_ms > 1_000));
}

#[test]
fn missing_vertices_that_nobody_has_are_asked_for_ever_more_seldom() {
    let drawing = Drawing::new(4, "");
    let mut core = core(&drawing.context, &config(1));
    let liar = AuthorityIndex(3);
    let junk = with_invented_parents(&drawing, (Round(5), liar), 0, &mut Random::new(1));
    assert_eq!(core.add(junk, 0).outcome, AddOutcome::Suspended);
    let mut requests = 0;
    let mut now_ms = 0;
    while now_ms < 60_000 {
        requests += core.fetches(now_ms).len();
        let next_ms = core.next_fetch_ms().expect("nobody has them");
        assert!(next_ms > now_ms, "time passes between requests");
        now_ms = next_ms;
    }
    assert!(
        requests < 150,
        "{requests} requests in a minute for one vertex"
    );
}

/// A third of the committee invents parents as fast as it can. What is kept is bounded per liar, what is asked for per
/// target, and an honest vertex is still fetched at once.
#[test]
fn invented_parents_cost_bounded_memory_and_no_one_else_a_fetch() {
    let drawing = Drawing::new(7, "@1..2: *");
    let size = drawing.context.committee.size();
    let mut random = Random::new(7);
    let mut core = core(&drawing.context, &config(1));
    let places = config(1).suspended_per_author_max;
    for round in 3..=60 {
        for version in 0..10 {
            for liar in [5, 6] {
                let older = if round > 10 { version } else { 0 };
                let slot = (Round(round), AuthorityIndex(liar));
                drop(core.add(with_invented_parents(&drawing, slot, older, &mut random), 0));
            }
        }
    }
    let (waiting, missing) = core.waiting();
    // Two liars, each with its places for vertices that wait for parents and for versions that nobody names.
    assert!(waiting <= 2 * 2 * places, "{waiting}");
    assert!(missing <= 2 * places * size, "{missing}");
    let mut requests_by_target: BTreeMap<AuthorityIndex, usize> = BTreeMap::new();
    let mut now_ms = 100;
    drop(core.fetches(now_ms));
    // B2 waits for round 1; the liars' junk is due at the same time.
    assert_eq!(
        core.add(drawing.vertex("B2"), now_ms).outcome,
        AddOutcome::Suspended
    );
    let mut asked_at_ms = None;
    while now_ms < 10_000 {
        for request in core.fetches(now_ms) {
            assert!(request.references.len() <= FETCH_REFERENCES_MAX);
            *requests_by_target.entry(request.from).or_default() += 1;
            if request.references.contains(&drawing.reference("A1")) {
                asked_at_ms = asked_at_ms.or(Some(now_ms));
            }
        }
        let next_ms = core.next_fetch_ms().expect("junk is missing");
        assert!(next_ms > now_ms, "time passes between requests");
        now_ms = next_ms;
    }
    let asked_at_ms = asked_at_ms.expect("what an honest vertex waits for is asked for");
    assert!(
        asked_at_ms <= 100 + PATIENCE_MS,
        "and at once: {asked_at_ms}"
    );
    for (target, requests) in requests_by_target {
        assert!(
            requests < 200,
            "{target:?} got {requests} requests in ten seconds"
        );
    }
}

#[test]
fn a_flood_by_one_author_costs_no_other_a_place() {
    let drawing = Drawing::new(4, "@1..12: *");
    let mut random = Random::new(3);
    let mut core = core(&drawing.context, &config(1));
    for round in 2..=50 {
        for _ in 0..20 {
            let slot = (Round(round), AuthorityIndex(3));
            drop(core.add(with_invented_parents(&drawing, slot, 0, &mut random), 0));
        }
    }
    // Everything else arrives upside down and needs all its places.
    for vertex in drawing.vertices.iter().rev() {
        if vertex.author() != AuthorityIndex(3) {
            let outcome = core.add(Arc::clone(vertex), 0).outcome;
            assert_ne!(outcome, AddOutcome::NoPlace, "{}", vertex.reference());
        }
    }
    // D's own vertices are asked for and accepted, whatever else it sent.
    let mut now_ms = 0;
    while core.round() < Round(12) {
        now_ms += 100;
        assert!(now_ms < 100_000);
        for request in core.fetches(now_ms) {
            for reference in request.references {
                let known = drawing.vertices.iter().find(|v| v.reference() == reference);
                if let Some(vertex) = known {
                    drop(core.add(Arc::clone(vertex), now_ms));
                }
            }
        }
    }
}

#[test]
fn garbage_collection_ends_the_search_for_what_it_passed() {
    let drawing = Drawing::new(4, "@1..14 first(q): first(q)");
    let mut config = config(1);
    config.gc_depth = 4;
    let mut core = core(&drawing.context, &config);
    let liar = AuthorityIndex(3);
    for round in 2..=5 {
        let junk =
            with_invented_parents(&drawing, (Round(round), liar), 0, &mut Random::new(round));
        drop(core.add(junk, 0));
    }
    assert_eq!(core.waiting(), (4, 16));
    for vertex in &drawing.vertices {
        drop(core.add(Arc::clone(vertex), 0));
        drop(core.try_commit(0));
    }
    assert!(core.gc_round() >= Round(5));
    assert_eq!(core.waiting(), (0, 0));
    assert_eq!(core.next_fetch_ms(), None);
}

/// Two versions that stand on nothing do not keep out for good the one that the others have.
#[test]
fn a_version_whose_ancestors_nobody_has_makes_room_for_another() {
    let drawing = Drawing::new(4, "@1: *; B2: *");
    let mut core = core(&drawing.context, &config(1));
    for name in ["A1", "B1", "C1", "D1"] {
        drop(core.add(drawing.vertex(name), 0));
    }
    let mut random = Random::new(5);
    let slot = (Round(2), AuthorityIndex(1));
    let [first, second, third] =
        [(); 3].map(|()| with_invented_parents(&drawing, slot, 0, &mut random));
    for version in [first, second] {
        assert_eq!(core.add(version, 0).outcome, AddOutcome::Suspended);
    }
    let real = drawing.vertex("B2");
    let refused = core.add(Arc::clone(&real), 0).outcome;
    assert_eq!(refused, AddOutcome::NoPlace, "they may come yet");
    while let Some(due_ms) = core.next_fetch_ms().filter(|due_ms| *due_ms < 3_000) {
        drop(core.fetches(due_ms));
    }
    assert_eq!(core.add(real, 3_000).outcome, AddOutcome::Accepted);
    // The slot stays as full as it was.
    assert_eq!(core.waiting().0, 1);
    assert_eq!(core.add(third, 3_000).outcome, AddOutcome::Suspended);
    assert_eq!(core.waiting().0, 1);
}
