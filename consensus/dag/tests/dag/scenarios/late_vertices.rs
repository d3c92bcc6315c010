//! The vertex of one author in round 4 is seen by nobody in the rounds 5 and 6. In round 7 everybody names it as a
//! straggler, and the next sub-DAG orders it, at its place by round: unless garbage collection has passed it, which
//! every node decides alike from the leader's round.

use crate::harness::{Said, config, core, feed, said, scenario};
use crate::oracle::Oracle;
use holdfast_dag::AddOutcome;
use holdfast_dag::drawing::Drawing;
use holdfast_types::Round;

const SIZES: [u16; 4] = [4, 7, 21, 128];

const TEXT: &str = "@1..4: *
    @5..6 -^3: * -^3
    @7 -^3: * ^3@4
    @8..9 -^3: *";

#[test]
fn a_straggler_is_ordered_by_a_later_leader() {
    for (drawing, sub_dags) in scenario(&SIZES, &config(1), TEXT, "1 2 3 4 5 6 7") {
        let straggler = drawing.reference("^3@4");
        let commits = said(&sub_dags);
        let bringing = bringing(&commits, &drawing, "^3@4").expect("it is ordered");
        assert_eq!(bringing.leader.round, Round(7));
        assert_eq!(
            bringing.ordered[0], straggler,
            "the lowest round comes first"
        );
    }
}

#[test]
fn a_straggler_at_the_edge_of_garbage_collection() {
    // Leader 7 brings what lies above round 7 - depth.
    for (depth, is_ordered) in [(3, false), (4, true)] {
        for size in SIZES {
            let mut config = config(1);
            config.gc_depth = depth;
            let drawing = Drawing::new(size, TEXT);
            let mut core = core(&drawing.context, &config);
            let commits = said(&feed(&mut core, &drawing.vertices));
            let bringing = bringing(&commits, &drawing, "^3@4");
            assert_eq!(bringing.is_some(), is_ordered, "n = {size}, depth {depth}");
            assert_eq!(core.gc_round(), Round(7 - depth));
            if size <= 21 {
                let oracle = Oracle::new(&drawing.context, &config, &drawing.vertices);
                assert_eq!(commits, oracle.commits(), "n = {size}, depth {depth}");
            }
        }
    }
}

#[test]
fn a_vertex_that_comes_after_garbage_collection_is_refused() {
    // The straggler reaches this node only when it has committed leader 8: nobody named it, nobody needs it.
    let text = "@1..4: *
        @5..10 -^3: * -^3";
    for size in SIZES {
        let mut config = config(1);
        config.gc_depth = 4;
        let drawing = Drawing::new(size, text);
        let late = drawing.vertex("^3@4");
        let mut core = core(&drawing.context, &config);
        let in_time: Vec<_> = drawing
            .vertices
            .iter()
            .filter(|vertex| vertex.reference() != late.reference())
            .cloned()
            .collect();
        let commits = said(&feed(&mut core, &in_time));
        assert_eq!(commits.last().map(|last| last.leader.round), Some(Round(8)));
        assert_eq!(core.add(late, 0).outcome, AddOutcome::TooOld);
    }
}

#[test]
fn a_child_of_what_garbage_collection_passed_is_accepted_without_it() {
    // The straggler never comes. Its children wait until its round is passed, then they enter the DAG.
    let text = "@1..4: *
        @5..10 -^3: * -^3
        ^3@11: * ^3@4";
    for size in [4, 7, 21] {
        let mut config = config(1);
        config.gc_depth = 4;
        let drawing = Drawing::new(size, text);
        let (missing, child) = (drawing.reference("^3@4"), drawing.vertex("^3@11"));
        let mut core = core(&drawing.context, &config);
        assert_eq!(core.add(child.clone(), 0).outcome, AddOutcome::Suspended);
        for vertex in &drawing.vertices {
            if vertex.reference() != missing && vertex.reference() != child.reference() {
                drop(core.add(vertex.clone(), 0));
                drop(core.try_commit(0));
                let entered = core.vertices().contains(&child.reference());
                assert!(!entered || core.gc_round() >= missing.round, "n = {size}");
            }
        }
        assert!(core.vertices().contains(&child.reference()), "n = {size}");
        assert_eq!(core.waiting(), (0, 0));
    }
}

fn bringing<'a>(commits: &'a [Said], drawing: &Drawing, name: &str) -> Option<&'a Said> {
    let reference = drawing.reference(name);
    commits
        .iter()
        .find(|commit| commit.ordered.contains(&reference))
}
