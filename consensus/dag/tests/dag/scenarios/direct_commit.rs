//! Everybody names everybody. A leader is committed as soon as a quorum of vertices two rounds above certify it, each by
//! naming a quorum of votes; its sub-DAG is all of its history that no earlier leader had.

use crate::harness::{config, core, feed, said, scenario};
use holdfast_dag::drawing::Drawing;

const SIZES: [u16; 4] = [4, 7, 21, 128];

#[test]
fn direct_commit_of_a_full_dag() {
    for (drawing, sub_dags) in scenario(&SIZES, &config(1), "@1..8: *", "1 2 3 4 5 6") {
        let size = drawing.context.committee.size();
        let lengths: Vec<usize> = sub_dags
            .iter()
            .map(|sub_dag| sub_dag.vertices.len())
            .collect();
        // The first leader has only implied parents; each later one brings the rest of the round below it.
        assert_eq!(lengths, [1, size, size, size, size, size]);
        for (said, round) in said(&sub_dags).iter().zip(1..) {
            assert_eq!(said.leader, drawing.reference(&format!("^{round}")));
            assert_eq!(said.index, round);
            assert!(said.ordered.is_sorted());
        }
    }
}

#[test]
fn direct_commit_with_exactly_a_quorum_of_everything() {
    // The authors behind the quorum are silent from the start, and no round has a vertex to spare.
    let text = "!first ^1; !first ^2; !first ^3
        @1..6 first(q): first(q)
        ";
    for size in SIZES {
        let drawing = Drawing::new(size, text);
        let mut core = core(&drawing.context, &config(1));
        let leaders: Vec<u64> = feed(&mut core, &drawing.vertices)
            .iter()
            .map(|sub_dag| sub_dag.record.leader.round.0)
            .collect();
        assert!(leaders.starts_with(&[1, 2, 3]), "n = {size}: {leaders:?}");
    }
}

#[test]
fn direct_commit_comes_with_the_last_certificate_of_a_quorum() {
    let text = "@1..2: *
        @3 first(q-1): *";
    scenario(&SIZES, &config(1), text, "");
    let text = "@1..2: *
        @3 first(q): *";
    scenario(&SIZES, &config(1), text, "1");
}

#[test]
fn a_certificate_needs_a_quorum_of_votes() {
    // A quorum votes for ^4, but each vertex of round 6 leaves out one of the votes: nobody certifies.
    let text = "!last ^4
        @1..4: *
        @5 first(q-1): *
        @5 rest(q-1): * -^4
        @6 -^4: * -^4";
    scenario(&SIZES, &config(1), text, "1 2 3");
}
