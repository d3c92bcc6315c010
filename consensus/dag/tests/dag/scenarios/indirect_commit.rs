//! The leader of round 4 gets a quorum of votes, but only its own author sees all of them in round 6: one certificate is
//! too few to commit directly, and votes too many to skip. The next leader that is committed three rounds or more
//! above, the anchor, has the certificate in its history and so commits the slot.

use crate::harness::{config, scenario};

const SIZES: [u16; 4] = [4, 7, 21, 128];

/// A quorum votes for `^4` in round 5; in round 6 only `^4@6` names all of it.
const TEXT: &str = "!first ^4
    @1..4: *
    @5 first(q): *
    @5 rest(q): * -^4
    @6 first(1): *
    @6 rest(1): * -^4";

#[test]
fn indirect_commit() {
    let text = format!("{TEXT}; @7..10: *");
    scenario(&SIZES, &config(1), &text, "1 2 3 4 5 6 7 8");
}

#[test]
fn the_slot_waits_for_its_anchor() {
    // Leaders 5 and 6 are certified in rounds 7 and 8, but none of them is three rounds above the slot.
    scenario(&SIZES, &config(1), &format!("{TEXT}; @7..8: *"), "1 2 3");
    // Leader 7 is the anchor, from its certificates in round 9 on.
    scenario(
        &SIZES,
        &config(1),
        &format!("{TEXT}; @7..8: *; @9 first(q-1): *"),
        "1 2 3",
    );
    scenario(
        &SIZES,
        &config(1),
        &format!("{TEXT}; @7..8: *; @9 first(q): *"),
        "1 2 3 4 5 6 7",
    );
}

#[test]
fn a_skipped_leader_is_no_anchor() {
    // Leader 7 has no vertex at all and is skipped by round 8; leader 8 decides in its place.
    let text = format!("{TEXT}; @7 -^7: *; @8..9: *");
    scenario(&SIZES, &config(1), &text, "1 2 3");
    let text = format!("{TEXT}; @7 -^7: *; @8..10: *");
    scenario(&SIZES, &config(1), &text, "1 2 3 4 5 6 -7 8");
}

#[test]
fn an_undecided_leader_is_an_anchor_that_waits() {
    // Leader 7 has f + 1 votes. Leader 8 is committed, and still nothing from leader 4 on can be decided.
    let text = format!(
        "{TEXT}; @7: *
        !last ^7
        @8 first(q-1): * -^7
        @8 rest(q-1): *
        @9..10: *"
    );
    scenario(&SIZES, &config(1), &text, "1 2 3");
    // Leader 10 skips leader 7, which makes leader 8 the anchor of leader 4.
    let text = format!("{text}; @11..12: *");
    scenario(&SIZES, &config(1), &text, "1 2 3 4 5 6 -7 8 9 10");
}
