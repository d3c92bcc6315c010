//! The leader of a round has crashed and has no vertex. The round above it, complete without it, skips the slot; the
//! leaders around it are committed as if nothing were. Even all f may be gone.

use crate::harness::{config, scenario};
use holdfast_dag::drawing::Drawing;
use holdfast_types::Round;

const SIZES: [u16; 4] = [4, 7, 21, 128];

#[test]
fn missing_leader_is_skipped() {
    let text = "@1..3: *
        @4 -^4: *
        @5..8: *";
    scenario(&SIZES, &config(1), text, "1 2 3 -4 5 6");
}

#[test]
fn missing_leader_is_skipped_when_the_round_above_is_complete() {
    scenario(
        &SIZES,
        &config(1),
        "@1..3: *; @4 -^4: *; @5 first(q-1): *",
        "1 2",
    );
    scenario(
        &SIZES,
        &config(1),
        "@1..3: *; @4 -^4: *; @5 first(q): *",
        "1 2 3 -4",
    );
}

#[test]
fn a_leader_that_comes_too_late_stays_skipped() {
    // Its vertex arrives after the slot was skipped, and others name it as a straggler.
    let text = "@1..3: *
        @4 -^4: *
        @5..6 -^4: *
        ^4: *
        @7: * ^4
        @8..10: *";
    for (drawing, sub_dags) in scenario(&[4, 7, 21], &config(1), text, "1 2 3 -4 5 6 7 8") {
        let late = drawing.reference("^4");
        let bringing = sub_dags
            .iter()
            .find(|sub_dag| sub_dag.vertices.iter().any(|v| v.reference() == late))
            .expect("a straggler that is named is ordered");
        assert!(bringing.record.leader.round >= Round(7));
    }
}

#[test]
fn f_silent_authors_cost_only_their_own_slots() {
    for size in SIZES {
        let drawing = Drawing::new(size, "");
        let quorum = drawing.context.committee.quorum();
        let silent = |round: u64| drawing.leader(Round(round), 0).as_usize() >= quorum;
        // The leader of round 9 has no certificates yet; a silent one is skipped by round 10 all the same.
        let expected: Vec<String> = (1..=9)
            .take_while(|round| *round < 9 || silent(*round))
            .map(|round| format!("{}{round}", if silent(round) { "-" } else { "" }))
            .collect();
        let text = "@1..10 first(q): *";
        scenario(&[size], &config(1), text, &expected.join(" "));
    }
}
