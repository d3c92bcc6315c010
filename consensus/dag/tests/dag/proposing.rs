//! What an own vertex stands on (rule D3): always something that every peer will accept.

use crate::harness::{config, unsigned};
use holdfast_dag::drawing::Drawing;
use holdfast_dag::{AddOutcome, DagCore, Pace, ProposalPlan};
use holdfast_types::limits::PARENTS_PER_MEMBER_MAX;
use holdfast_types::test_util::{CHAIN, genesis_refs};
use holdfast_types::{
    AuthorityIndex, Round, SignatureCheck, SignatureScheme, TimestampMs, VerifiedVertex,
    VertexPayload, VertexRef,
};
use std::sync::Arc;

const ME: AuthorityIndex = AuthorityIndex(0);

/// The rules of the vertex format without the signatures.
#[derive(Debug)]
struct AnySignature;

impl SignatureScheme for AnySignature {
    fn verify(&self, _: &SignatureCheck) -> bool {
        true
    }

    fn verify_batch(&self, _: &[SignatureCheck]) -> bool {
        true
    }
}

fn core_of_me(drawing: &Drawing) -> DagCore {
    DagCore::new(CHAIN, Arc::clone(&drawing.context), config(1), Some(ME), 0)
}

fn add(core: &mut DagCore, drawing: &Drawing, names: &str) {
    for name in names.split_whitespace() {
        let outcome = core.add(drawing.vertex(name), 0).outcome;
        assert_eq!(outcome, AddOutcome::Accepted, "{name}");
    }
}

/// The vertex that a plan makes, as peers would verify it.
fn vertex_of(drawing: &Drawing, plan: &ProposalPlan) -> Arc<VerifiedVertex> {
    let vertex = unsigned(
        &drawing.context,
        (plan.round, ME),
        plan.parents.clone(),
        TimestampMs(5),
        VertexPayload::default(),
    );
    assert_eq!(
        vertex.parents(),
        plan.parents,
        "the plan is in canonical order"
    );
    let context = &drawing.context;
    let verified = VerifiedVertex::verify(vertex.vertex().clone(), &CHAIN, context, &AnySignature);
    assert!(verified.is_ok(), "{verified:?}");
    vertex
}

fn plan(core: &DagCore) -> Option<ProposalPlan> {
    match core.pace(1_000_000, true) {
        Pace::Propose(plan) => Some(plan),
        Pace::Until(at) => panic!("the time has come, yet waits until {at}"),
        Pace::Blocked => None,
    }
}

fn propose(core: &mut DagCore, drawing: &Drawing) -> VertexRef {
    let plan = plan(core).expect("may propose");
    let vertex = vertex_of(drawing, &plan);
    assert_eq!(
        core.add(Arc::clone(&vertex), 0).outcome,
        AddOutcome::Accepted
    );
    core.proposed(&vertex, 0);
    vertex.reference()
}

#[test]
fn the_first_vertex_stands_on_the_implied_ones() {
    let drawing = Drawing::new(4, "");
    let core = core_of_me(&drawing);
    let plan = plan(&core).expect("round 0 is complete by definition");
    assert_eq!(plan.round, Round(1));
    assert_eq!(plan.parents, genesis_refs(&drawing.context));
}

#[test]
fn one_proposal_per_round() {
    let drawing = Drawing::new(4, "@1: *");
    let mut core = core_of_me(&drawing);
    propose(&mut core, &drawing);
    assert_eq!(plan(&core), None);
    add(&mut core, &drawing, "B1 C1");
    assert_eq!(propose(&mut core, &drawing).round, Round(2));
    assert_eq!(plan(&core), None);
}

#[test]
fn stragglers_are_named_once() {
    let drawing = Drawing::new(4, "@1..2: *; D2: * -A; @3 -D: * -D");
    let mut core = core_of_me(&drawing);
    add(&mut core, &drawing, "A1 B1 C1");
    let first = propose(&mut core, &drawing);
    assert_eq!(first.round, Round(2));
    // D1 arrives when it is too late for round 2.
    add(&mut core, &drawing, "D1 B2 C2");
    let third = plan(&core).expect("round 2 is complete");
    let expected = [
        first,
        drawing.reference("D1"),
        drawing.reference("B2"),
        drawing.reference("C2"),
    ];
    assert_eq!(
        third.parents, expected,
        "own first, then by round and author"
    );
    propose(&mut core, &drawing);
    add(&mut core, &drawing, "D2");
    // Of D, round 1 is in the own history now, and round 2 is the straggler.
    let own = core.own_last().expect("it has proposed");
    assert_eq!(own.round, Round(3));
    assert_eq!(plan(&core), None);
    assert!(!third.parents.contains(&drawing.reference("D2")));
}

#[test]
fn parents_stay_within_the_limit() {
    // Nothing of 40 rounds is named by this validator when it comes back.
    let drawing = Drawing::new(4, "@1..40 -A: * -A");
    let mut core = core_of_me(&drawing);
    for vertex in &drawing.vertices {
        assert_eq!(
            core.add(Arc::clone(vertex), 0).outcome,
            AddOutcome::Accepted
        );
    }
    let plan = plan(&core).expect("round 40 is complete");
    assert!(plan.parents.len() <= 4 * PARENTS_PER_MEMBER_MAX);
    vertex_of(&drawing, &plan);
}

/// The store lost the own vertex of round 3, a peer still has it, and one of its ancestors has not come yet. An own vertex on
/// top of it would wait in the own DAG, and in everybody's.
#[test]
fn an_own_vertex_that_waits_is_no_parent() {
    let drawing = Drawing::new(4, "@1..2: *; A3: *; @3 -A: B2 C2 D2; @4..6 -A: * -A");
    let mut core = core_of_me(&drawing);
    add(&mut core, &drawing, "A1 B1 C1 D1 B2 C2 D2 B3 C3 D3");
    let own = drawing.vertex("A3");
    assert_eq!(core.add(Arc::clone(&own), 0).outcome, AddOutcome::Suspended);
    core.set_own_last(&own);
    assert_eq!(plan(&core), None, "A3 waits for A2");
    add(&mut core, &drawing, "A2");
    let plan = plan(&core).expect("A3 is in the DAG now");
    assert_eq!(plan.parents[0], own.reference());
    vertex_of(&drawing, &plan);
}

/// After the loss of its store a validator knows no own vertex, but peers bring one of the round before: it must not count
/// as somebody else's parent of that round.
#[test]
fn an_own_vertex_from_outside_is_the_own_last() {
    let drawing = Drawing::new(4, "@1..3: *");
    let mut core = core_of_me(&drawing);
    core.raise_proposal_floor(Round(4));
    add(&mut core, &drawing, "A1 B1 C1 D1 A2 B2 C2 D2 A3 B3 C3");
    assert_eq!(core.own_last(), Some(drawing.reference("A3")));
    let plan = plan(&core).expect("round 3 is complete");
    assert_eq!(plan.parents[0], drawing.reference("A3"));
    vertex_of(&drawing, &plan);
}

/// The own last vertex is known to be an old one, and the store has another of the round before that was never told.
#[test]
fn an_own_vertex_counts_only_as_the_first_parent() {
    let drawing = Drawing::new(4, "@1..2: *; A2': *");
    let mut core = core_of_me(&drawing);
    add(&mut core, &drawing, "A1 B1 C1 D1 A2 B2 C2");
    assert_eq!(core.round(), Round(3));
    core.set_own_last(&drawing.vertex("A1"));
    let Some(plan) = plan(&core) else { return };
    assert_eq!(plan.parents[0].author, ME);
    vertex_of(&drawing, &plan);
}
