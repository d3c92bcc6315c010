//! The leader of round 4 signs two vertices and shows each to one half. At most one of them can get a quorum of votes:
//! with one version certified it is committed, and the other can only be ordered as evidence; with neither, the slot is
//! skipped. The core reports the two headers whatever becomes of them.

use crate::harness::{config, core, scenario};
use holdfast_dag::SubDag;
use holdfast_dag::drawing::Drawing;
use holdfast_types::{Evidence, VerifiedVertex, VertexRef};
use std::sync::Arc;

const SIZES: [u16; 4] = [4, 7, 21, 128];

#[test]
fn neither_version_is_certified() {
    // f + 1 votes for the first, q - 1 for the second, which sees the leader's own.
    let text = "!last ^4
        @1..4: *
        ^4': *
        @5 first(f+1): *
        @5 rest(f+1): * -^4 ^4'
        @6..10: *";
    for (drawing, sub_dags) in scenario(&SIZES, &config(1), text, "1 2 3 -4 5 6 7 8") {
        let versions = [drawing.reference("^4"), drawing.reference("^4'")];
        let ordered: Vec<VertexRef> = sub_dags
            .iter()
            .flat_map(|sub_dag| &sub_dag.record.vertices)
            .map(|committed| committed.reference)
            .filter(|reference| versions.contains(reference))
            .collect();
        assert_eq!(ordered.len(), 2, "both are named, so both are ordered");
        let (executed, evidence) = versions_of(&sub_dags, &versions);
        assert_eq!(executed, ordered[..1], "the first in commit order executes");
        assert_eq!(evidence, ordered[1..]);
    }
}

#[test]
fn one_version_is_certified() {
    let text = "!last ^4
        @1..4: *
        ^4': *
        @5 first(f): *
        @5 rest(f): * -^4 ^4'
        @6..10: *";
    for (drawing, sub_dags) in scenario(&SIZES, &config(1), text, "1 2 3 4' 5 6 7 8") {
        let versions = [drawing.reference("^4"), drawing.reference("^4'")];
        let (executed, evidence) = versions_of(&sub_dags, &versions);
        assert_eq!(executed, [versions[1]], "the committed leader executes");
        assert_eq!(evidence, [versions[0]]);
    }
}

#[test]
fn one_version_is_certified_and_only_its_anchor_sees_it() {
    let text = "!last ^4
        @1..4: *
        ^4': *
        @5 first(f): *
        @5 rest(f): * -^4 ^4'
        @6 rest(n-1): *
        @6 -^4: * -^4
        @7..11: *";
    scenario(&SIZES, &config(1), text, "1 2 3 4' 5 6 7 8 9");
}

#[test]
fn equivocation_is_reported_once() {
    for size in SIZES {
        let drawing = Drawing::new(size, "@1..2: *; ^2': *; ^2'': *; @3..5: *");
        let mut core = core(&drawing.context, &config(1));
        let mut reported = Vec::new();
        for vertex in &drawing.vertices {
            reported.extend(core.add(vertex.clone(), 0).evidence);
        }
        let [Evidence::Equivocation { first, second }] = reported.as_slice() else {
            panic!("n = {size}: {} reports of one slot", reported.len());
        };
        assert_eq!(first.header.author, drawing.reference("^2").author);
        assert_eq!(first.header.round, second.header.round);
        assert_ne!(first.header, second.header);
    }
}

type Versions = Vec<VertexRef>;

/// Which of `versions` execute, and which are ordered as evidence only, in commit order.
fn versions_of(sub_dags: &[SubDag], versions: &[VertexRef]) -> (Versions, Versions) {
    let among = |vertices: &[Arc<VerifiedVertex>]| {
        let references = vertices.iter().map(|vertex| vertex.reference());
        references
            .filter(|reference| versions.contains(reference))
            .collect::<Versions>()
    };
    (
        sub_dags.iter().flat_map(|s| among(&s.vertices)).collect(),
        sub_dags
            .iter()
            .flat_map(|s| among(&s.equivocations))
            .collect(),
    )
}
