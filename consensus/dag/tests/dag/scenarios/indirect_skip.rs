//! The leader of round 4 gets f + 1 votes, too few to be certified by anyone, too many to be skipped at once. Its anchor
//! finds no certificate in its history and skips it. The same if a certificate exists, but no vertex that the anchor
//! stands on names it.

use crate::harness::{config, scenario};

const SIZES: [u16; 4] = [4, 7, 21, 128];

#[test]
fn indirect_skip_without_certificate() {
    let text = "!last ^4
        @1..4: *
        @5 first(q-1): * -^4
        @5 rest(q-1): *
        @6..8: *";
    scenario(&SIZES, &config(1), text, "1 2 3");
    let text = format!("{text}; @9..10: *");
    scenario(&SIZES, &config(1), &text, "1 2 3 -4 5 6 7 8");
}

#[test]
fn indirect_skip_of_a_certificate_that_the_anchor_does_not_see() {
    // As in the indirect commit, the author of ^4 alone certifies it in round 6. In round 7 nobody but this author names
    // that vertex, and nobody names this author's vertices of the rounds 7 and above before the anchor is committed.
    let text = "!first ^4
        @1..4: *
        @5 first(q): *
        @5 rest(q): * -^4
        @6 first(1): *
        @6 rest(1): * -^4
        @7..9 -^4: * -^4";
    for (drawing, sub_dags) in scenario(&SIZES, &config(1), text, "1 2 3 -4 5 6 7") {
        let unseen = drawing.reference("^4@6");
        for sub_dag in &sub_dags {
            assert!(
                sub_dag
                    .vertices
                    .iter()
                    .all(|vertex| vertex.reference() != unseen)
            );
        }
    }
}
