//! The matrix, cell by cell, and what several modes say together (rules M1 to M5).

use holdfast_halt::matrix::{render_markdown, wording};
use holdfast_halt::{Activity, Mode, ModeSet, Permission, permission, permission_in};
use std::collections::BTreeSet;
use std::path::Path;

/// The table of DESIGN §6, letter by letter.
const DESIGN: &str = "\
| activity | soft stall | hard halt | emergency halt | lockdown | emergency consensus | partial |
|---|---|---|---|---|---|---|
| vertex production | continues | stops | stops | stops | no era runs | continues |
| commits | paused | paused | paused | paused | no era runs | continue |
| transaction submission | queued | queued | queued | **rejected** | continues | continues, plain only |
| decryption ceremonies | paused | stopped | stopped | stopped | paused | stopped |
| DKG ceremonies | continue unless triggered | stopped | stopped | stopped | paused | stopped until next epoch |
| state queries | continue | continue (forensic) | continue | continue | continue | continue |
| **slashing evidence** | **continues** | **continues** | **continues** | **continues** | **continues** | **continues** |
| gossip | continues | continues | continues | continues | continues | continues |
| emergency blocks | stopped (until §7 holds) | **stopped** | **stopped** | **stopped** | continue | by §7 |
";

/// What the words of a cell mean for a gate.
fn meaning(words: &str) -> Permission {
    match words {
        "continue" | "continues" | "continue (forensic)" => Permission::Continues,
        "continues, plain only" => Permission::PlainOnly,
        "queued" => Permission::Queued,
        "continue unless triggered" => Permission::UnlessTriggered,
        "stopped (until §7 holds)" | "by §7" => Permission::ByRule,
        "paused" => Permission::Paused,
        "no era runs" => Permission::NoEra,
        "stops" | "stopped" | "stopped until next epoch" => Permission::Stopped,
        "rejected" => Permission::Rejected,
        other => panic!("{other:?} stands nowhere in the design"),
    }
}

fn cells(line: &str) -> Vec<String> {
    let line = line.replace("**", "");
    let inner = line.trim_matches('|').split('|');
    inner.map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn every_cell_is_as_designed() {
    let mut lines = DESIGN.lines();
    let heads = cells(lines.next().unwrap());
    let names = Mode::ALL.map(|mode| mode.name().replace('_', " "));
    assert_eq!(heads[1..6], names[..5]);
    assert_eq!(format!("{} halt", heads[6]), names[5]);
    let rows: Vec<_> = lines.skip(1).map(cells).collect();
    assert_eq!(rows.len(), Activity::ALL.len());
    let mut checked = 0;
    for (activity, row) in Activity::ALL.into_iter().zip(rows) {
        assert_eq!(row[0].to_lowercase(), activity.name().replace('_', " "));
        assert_eq!(row.len(), 1 + Mode::ALL.len());
        for (mode, expected) in Mode::ALL.into_iter().zip(&row[1..]) {
            let at = format!("{} in {}", activity.name(), mode.name());
            assert_eq!(wording(activity, mode), expected, "{at}");
            assert_eq!(permission(activity, mode), meaning(expected), "{at}");
            checked += 1;
        }
    }
    assert_eq!(checked, 54);
}

/// The table of document 001, "What Happens During Halt", row by row.
#[test]
fn the_three_halts_of_the_document_do_what_it_says() {
    let three = [Mode::SoftStall, Mode::HardHalt, Mode::EmergencyHalt];
    let row = |activity| three.map(|mode| permission(activity, mode));
    use Permission::{Continues, Paused, Queued, Stopped, UnlessTriggered};
    for (activity, expected) in [
        (Activity::VertexProduction, [Continues, Stopped, Stopped]),
        (Activity::Commits, [Paused; 3]),
        (Activity::TransactionSubmission, [Queued; 3]),
        (Activity::DecryptionCeremonies, [Paused, Stopped, Stopped]),
        (Activity::DkgCeremonies, [UnlessTriggered, Stopped, Stopped]),
        (Activity::StateQueries, [Continues; 3]),
        (Activity::SlashingEvidence, [Continues; 3]),
        (Activity::Gossip, [Continues; 3]),
    ] {
        assert_eq!(row(activity), expected, "{}", activity.name());
    }
}

/// All 64 sets of modes.
fn subsets() -> impl Iterator<Item = ModeSet> {
    (0..=u8::MAX).filter_map(ModeSet::from_bits)
}

#[test]
fn evidence_gossip_and_queries_continue_in_every_set_of_modes() {
    let mut sets = 0;
    for modes in subsets() {
        for activity in [
            Activity::SlashingEvidence,
            Activity::Gossip,
            Activity::StateQueries,
        ] {
            let permission = permission_in(activity, modes);
            assert_eq!(permission, Permission::Continues, "{activity:?} {modes:?}");
        }
        sets += 1;
    }
    assert_eq!(sets, 64);
}

#[test]
fn nothing_is_restricted_where_no_mode_holds() {
    for activity in Activity::ALL {
        let permission = permission_in(activity, ModeSet::EMPTY);
        assert_eq!(permission, Permission::Continues);
    }
}

#[test]
fn a_mode_alone_says_what_its_column_says() {
    for activity in Activity::ALL {
        for mode in Mode::ALL {
            assert_eq!(
                permission_in(activity, ModeSet::of(mode)),
                permission(activity, mode)
            );
        }
    }
}

#[test]
fn pairs_and_triples_give_the_most_restrictive_answer_in_any_order() {
    for activity in Activity::ALL {
        for one in Mode::ALL {
            for two in Mode::ALL {
                for three in Mode::ALL {
                    let all = [one, two, three];
                    let together = permission_in(activity, all.into_iter().collect());
                    let answers = all.map(|mode| permission(activity, mode));
                    let at = format!("{activity:?} in {all:?}");
                    let folded = answers[2].and(answers[0]).and(answers[1]);
                    assert_eq!(together, folded, "{at}: the order does not matter");
                    assert!(answers.iter().all(|answer| together >= *answer), "{at}");
                    let allowed = answers.iter().all(|answer| answer.allows());
                    assert_eq!(together.allows(), allowed, "{at}");
                    let both = answers.contains(&Permission::Queued)
                        && answers.contains(&Permission::PlainOnly);
                    if !both {
                        assert_eq!(Some(together), answers.into_iter().max(), "{at}");
                    }
                }
            }
        }
    }
}

#[test]
fn another_mode_never_permits_more() {
    for modes in subsets() {
        for mode in Mode::ALL {
            let mut more = modes;
            more.insert(mode);
            for activity in Activity::ALL {
                assert!(permission_in(activity, more) >= permission_in(activity, modes));
            }
        }
    }
}

#[test]
fn permissions_join_alike_however_they_are_grouped() {
    for a in Permission::ALL {
        assert_eq!(a.and(a), a);
        for b in Permission::ALL {
            assert_eq!(a.and(b), b.and(a));
            for c in Permission::ALL {
                assert_eq!(a.and(b).and(c), a.and(b.and(c)), "{a:?} {b:?} {c:?}");
            }
        }
    }
}

#[test]
fn a_halted_chain_never_slides_into_emergency_consensus() {
    for modes in subsets() {
        let halted = [Mode::HardHalt, Mode::EmergencyHalt, Mode::Lockdown]
            .into_iter()
            .any(|mode| modes.contains(mode));
        let allowed = permission_in(Activity::EmergencyBlocks, modes).allows();
        assert_eq!(allowed, !halted, "{modes:?}");
    }
}

#[test]
fn no_vertex_is_made_in_any_halt() {
    for mode in [Mode::HardHalt, Mode::EmergencyHalt, Mode::Lockdown] {
        for modes in subsets().filter(|modes| modes.contains(mode)) {
            let vertices = permission_in(Activity::VertexProduction, modes);
            assert_eq!(vertices, Permission::Stopped, "{modes:?}");
            assert!(!permission_in(Activity::Commits, modes).allows());
        }
    }
}

#[test]
fn a_stall_closes_no_gate() {
    for modes in subsets() {
        let mut unstalled = modes;
        unstalled.remove(Mode::SoftStall);
        assert_eq!(modes.ordered(), unstalled);
    }
    let stalled = ModeSet::of(Mode::SoftStall);
    assert_eq!(
        permission_in(Activity::Commits, stalled),
        Permission::Paused
    );
    assert!(permission_in(Activity::Commits, stalled.ordered()).allows());
}

#[test]
fn what_is_queued_and_plain_only_is_both() {
    let modes = [Mode::EmergencyHalt, Mode::PartialHalt]
        .into_iter()
        .collect();
    let submission = permission_in(Activity::TransactionSubmission, modes);
    assert_eq!(submission, Permission::QueuedPlainOnly);
    assert!(submission.allows());
    let modes = [Mode::Lockdown, Mode::PartialHalt].into_iter().collect();
    let submission = permission_in(Activity::TransactionSubmission, modes);
    assert_eq!(submission, Permission::Rejected);
}

#[test]
fn a_set_of_modes_is_a_set() {
    let mut modes = ModeSet::EMPTY;
    assert!(modes.is_empty());
    modes.insert(Mode::Lockdown);
    modes.insert(Mode::SoftStall);
    modes.insert(Mode::Lockdown);
    assert!(modes.contains(Mode::Lockdown) && !modes.contains(Mode::HardHalt));
    let listed: Vec<_> = modes.iter().collect();
    assert_eq!(listed, [Mode::SoftStall, Mode::Lockdown]);
    assert_eq!(format!("{modes:?}"), "{SoftStall, Lockdown}");
    modes.remove(Mode::SoftStall);
    modes.remove(Mode::SoftStall);
    assert_eq!(modes, ModeSet::of(Mode::Lockdown));
    modes.remove(Mode::Lockdown);
    assert_eq!(modes, ModeSet::EMPTY);
}

#[test]
fn names_are_distinct() {
    let modes = Mode::ALL.map(Mode::name);
    assert_eq!(BTreeSet::from(modes).len(), modes.len());
    let activities = Activity::ALL.map(Activity::name);
    assert_eq!(BTreeSet::from(activities).len(), activities.len());
    let permissions = Permission::ALL.map(Permission::name);
    assert_eq!(BTreeSet::from(permissions).len(), permissions.len());
    let texts = Permission::ALL.map(Permission::text);
    assert_eq!(BTreeSet::from(texts).len(), texts.len());
    assert!(Permission::ALL.is_sorted(), "ALL lists them by restriction");
}

#[test]
fn the_operators_read_the_same_matrix() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/halts.md");
    holdfast_pinned::check_section(
        &path,
        "<!-- matrix: begin -->",
        "<!-- matrix: end -->",
        &render_markdown(),
    );
}
