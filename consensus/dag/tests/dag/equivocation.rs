//! Evidence and bounds of equivocation (FAULTS C5, C22): one report per slot however it shows, and no author fills the DAG
//! with versions that nobody names.

use crate::harness::{Random, Vertices, config, core, unsigned};
use holdfast_dag::drawing::Drawing;
use holdfast_dag::{AddOutcome, DagCore};
use holdfast_types::{
    AuthorityIndex, Evidence, Round, TimestampMs, VertexDigest, VertexPayload, VertexRef,
};
use std::sync::Arc;

/// Vertices of one slot that differ in their date.
fn versions(drawing: &Drawing, name: &str, count: u64) -> Vertices {
    let vertex = drawing.vertex(name);
    (1..=count)
        .map(|version| {
            unsigned(
                &drawing.context,
                vertex.reference().slot(),
                vertex.parents().to_vec(),
                TimestampMs(version),
                VertexPayload::default(),
            )
        })
        .collect()
}

fn headers(evidence: &[Evidence]) -> Vec<(Round, AuthorityIndex)> {
    evidence
        .iter()
        .map(|item| match item {
            Evidence::Equivocation { first, second } => {
                assert_ne!(first.header, second.header);
                (first.header.round, first.header.author)
            }
            other => panic!("no equivocation: {other:?}"),
        })
        .collect()
}

fn fed(drawing: &Drawing) -> DagCore {
    let mut core = core(&drawing.context, &config(1));
    for vertex in &drawing.vertices {
        drop(core.add(Arc::clone(vertex), 0));
    }
    core
}

#[test]
fn many_versions_of_a_slot_are_one_report() {
    let drawing = Drawing::new(4, "@1..2: *");
    let mut core = fed(&drawing);
    let mut reported = Vec::new();
    for vertex in versions(&drawing, "D2", 20) {
        reported.extend(core.add(vertex, 0).evidence);
    }
    assert_eq!(headers(&reported), [(Round(2), AuthorityIndex(3))]);
}

#[test]
fn a_version_that_waits_for_its_parents_is_reported() {
    // The second version names a parent that nobody has. Two signed headers are proof enough.
    let drawing = Drawing::new(4, "@1..3: *");
    let mut core = fed(&drawing);
    let mut parents = drawing.vertex("D3").parents().to_vec();
    parents[1].digest = VertexDigest::new([1; 32]);
    let second = unsigned(
        &drawing.context,
        (Round(3), AuthorityIndex(3)),
        parents,
        TimestampMs(1),
        VertexPayload::default(),
    );
    let added = core.add(second, 0);
    assert_eq!(added.outcome, AddOutcome::Suspended);
    assert_eq!(headers(&added.evidence), [(Round(3), AuthorityIndex(3))]);
}

#[test]
fn two_versions_that_wait_are_reported() {
    let drawing = Drawing::new(4, "@1..3: *");
    let mut core = core(&drawing.context, &config(1));
    let [first, second] = versions(&drawing, "D3", 2).try_into().expect("two");
    assert_eq!(core.add(first, 0).outcome, AddOutcome::Suspended);
    let added = core.add(second, 0);
    assert_eq!(added.outcome, AddOutcome::Suspended);
    assert_eq!(headers(&added.evidence), [(Round(3), AuthorityIndex(3))]);
    for vertex in &drawing.vertices[..8] {
        let added = core.add(Arc::clone(vertex), 0);
        assert!(added.evidence.is_empty(), "it was reported before");
    }
}

#[test]
fn versions_that_nobody_names_have_no_place() {
    let drawing = Drawing::new(4, "@1..2: *");
    let mut core = fed(&drawing);
    let before = core.vertices().len();
    for vertex in versions(&drawing, "D2", 100) {
        drop(core.add(vertex, 0));
    }
    assert_eq!(core.vertices().len(), before + 1, "the proof and no more");
    // Neither do they take all places of waiting, nor enter the DAG together when what they wait for comes.
    let drawing = Drawing::new(4, "@1..3: *");
    let mut core = self::core(&drawing.context, &config(1));
    for vertex in versions(&drawing, "D3", 100) {
        drop(core.add(vertex, 0));
    }
    assert_eq!(core.waiting().0, 2);
    for vertex in &drawing.vertices {
        drop(core.add(Arc::clone(vertex), 0));
    }
    assert_eq!(core.vertices().slot(Round(3), AuthorityIndex(3)).len(), 2);
}

#[test]
fn any_version_that_somebody_names_is_accepted() {
    // Five versions of D2 reach this node; then B, which has only seen the fifth, names it.
    let drawing = Drawing::new(4, "@1..2: *");
    let mut core = fed(&drawing);
    let versions = versions(&drawing, "D2", 5);
    for vertex in &versions {
        drop(core.add(Arc::clone(vertex), 0));
    }
    let fifth = Arc::clone(&versions[4]);
    assert_eq!(core.add(Arc::clone(&fifth), 0).outcome, AddOutcome::NoPlace);
    let parents: Vec<VertexRef> = ["A2", "B2", "C2"]
        .iter()
        .map(|name| drawing.reference(name))
        .chain([fifth.reference()])
        .collect();
    let child = unsigned(
        &drawing.context,
        (Round(3), AuthorityIndex(1)),
        parents,
        TimestampMs(7),
        VertexPayload::default(),
    );
    assert_eq!(
        core.add(Arc::clone(&child), 0).outcome,
        AddOutcome::Suspended
    );
    let fetches = core.fetches(1_000);
    assert_eq!(fetches.len(), 1);
    assert_eq!(fetches[0].references, [fifth.reference()]);
    let added = core.add(fifth, 1_000);
    assert_eq!(added.outcome, AddOutcome::Accepted);
    assert_eq!(added.accepted.len(), 2, "and its child with it");
}

#[test]
fn a_flood_of_versions_leaves_the_others_their_commits() {
    let mut random = Random::new(1);
    let drawing = Drawing::new(4, "@1..12: *");
    let mut core = core(&drawing.context, &config(1));
    let mut leaders = Vec::new();
    for vertex in &drawing.vertices {
        let mut offers = vec![Arc::clone(vertex)];
        if vertex.author() == AuthorityIndex(3) {
            offers = versions(&drawing, &format!("D{}", vertex.round()), 50);
            offers.push(Arc::clone(vertex));
            // The version that the others name comes somewhere among them.
            let at = random.below(offers.len());
            let last = offers.len() - 1;
            offers.swap(at, last);
        }
        for offer in offers {
            drop(core.add(offer, 0));
            leaders.extend(core.try_commit(0).0.iter().map(|s| s.record.leader.round.0));
        }
        for request in core.fetches(1_000_000) {
            for reference in request.references {
                let wanted = drawing.vertices.iter().find(|v| v.reference() == reference);
                drop(core.add(Arc::clone(wanted.expect("drawn")), 0));
                leaders.extend(core.try_commit(0).0.iter().map(|s| s.record.leader.round.0));
            }
        }
    }
    assert_eq!(leaders, (1..=10).collect::<Vec<_>>());
    assert!(core.vertices().len() <= 12 * (3 + 3));
}
