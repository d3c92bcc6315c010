//! Two or three leaders in every round. Slots are taken by round, then position; a slot that is undecided holds back every
//! slot behind it, also those of its own round that are decided.

use crate::harness::{config, scenario};

#[test]
fn several_leaders_of_a_full_dag() {
    for (_, sub_dags) in scenario(
        &[4, 7, 21, 128],
        &config(2),
        "@1..6: *",
        "1.0 1.1 2.0 2.1 3.0 3.1 4.0 4.1",
    ) {
        let lengths: Vec<usize> = sub_dags.iter().map(|s| s.vertices.len()).collect();
        assert_eq!(
            lengths[..2],
            [1, 1],
            "the leaders of round 1 have only implied parents"
        );
        assert_eq!(
            lengths[3], 1,
            "the second leader of a round brings only itself"
        );
    }
    scenario(
        &[4, 7, 21, 128],
        &config(3),
        "@1..5: *",
        "1.0 1.1 1.2 2.0 2.1 2.2 3.0 3.1 3.2",
    );
}

#[test]
fn the_second_leader_is_missing() {
    scenario(
        &[4, 7, 21, 128],
        &config(2),
        "@1..3: *; @4 -^4.1: *; @5..8: *",
        "1.0 1.1 2.0 2.1 3.0 3.1 4.0 -4.1 5.0 5.1 6.0 6.1",
    );
}

#[test]
fn an_undecided_leader_holds_back_those_behind_it() {
    // As in the indirect commit: one certificate for the first leader of round 4, decided by the first of round 7.
    let text = "!first ^4
        @1..4: *
        @5 first(q): *
        @5 rest(q): * -^4
        @6 first(1): *
        @6 rest(1): * -^4
        @7..8: *";
    let before = "1.0 1.1 2.0 2.1 3.0 3.1";
    scenario(&[21, 128], &config(2), text, before);
    let text = format!("{text}; @9: *");
    let after = format!("{before} 4.0 4.1 5.0 5.1 6.0 6.1 7.0 7.1");
    scenario(&[21, 128], &config(2), &text, &after);
}

#[test]
fn more_leaders_than_authors_are_all_authors() {
    scenario(
        &[4],
        &config(9),
        "@1..4: *",
        "1.0 1.1 1.2 1.3 2.0 2.1 2.2 2.3",
    );
}
