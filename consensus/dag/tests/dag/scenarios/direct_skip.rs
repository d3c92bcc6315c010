//! The leader of round 4 is late: a quorum of round 5 does not name its vertex. That quorum is enough to skip the slot,
//! without waiting for anything else; what did name the vertex brings it into a later sub-DAG.

use crate::harness::{config, scenario};

const SIZES: [u16; 4] = [4, 7, 21, 128];

#[test]
fn direct_skip() {
    let text = "!last ^4
        @1..4: *
        @5 first(q): * -^4
        @5 rest(q): *
        @6..9: *";
    for (drawing, sub_dags) in scenario(&SIZES, &config(1), text, "1 2 3 -4 5 6 7") {
        let skipped = drawing.reference("^4");
        let bringing: Vec<u64> = sub_dags
            .iter()
            .filter(|sub_dag| sub_dag.vertices.iter().any(|v| v.reference() == skipped))
            .map(|sub_dag| sub_dag.record.leader.round.0)
            .collect();
        assert_eq!(
            bringing.len(),
            1,
            "the skipped leader is ordered once, as a plain vertex"
        );
        assert!(bringing[0] > 4);
    }
}

#[test]
fn direct_skip_needs_only_the_round_above() {
    let text = "!last ^4
        @1..4: *
        @5 first(q): * -^4";
    // Leader 3 is certified by the same vertices that skip leader 4.
    scenario(&SIZES, &config(1), text, "1 2 3 -4");
}

#[test]
fn one_less_than_a_quorum_skips_nothing() {
    let text = "!last ^4
        @1..4: *
        @5 first(q-1): * -^4
        @5 rest(q-1): *";
    scenario(&SIZES, &config(1), text, "1 2 3");
}
