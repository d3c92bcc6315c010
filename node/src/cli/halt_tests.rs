use super::*;
use holdfast_rpc::Backend as _;
use holdfast_rpc::testing::FakeBackend;
use holdfast_rpc::{FeedLimits, testing};

/// The report of the fake chain of `holdfast-rpc`.
pub(in crate::cli) fn report(halted: bool) -> HaltReport {
    let backend = FakeBackend::new(FeedLimits::default());
    backend.set_halted(halted);
    backend.halt_report().unwrap()
}

#[test]
fn the_screen_of_a_halt_says_what_who_and_what_next() {
    let text = status_sheet(&report(true), "http://node").into_text();
    let id = testing::halt_id();
    for part in [
        "HALTED (emergency_halt)  http://node",
        &format!("  halts         {id}  emergency_halt"),
        "the governors ordered it: \"a bug in the bridge\"",
        "  resume        nobody has resumed",
        "  ready         0 of 3 needed: none",
        "  missing       validator-3",
        "validator-0*",
        "  next          holdfast governance draft resume --from-node URL",
        "  runbook       docs/runbooks/emergency-halt.md",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn the_screen_of_a_running_chain_has_no_meter() {
    let text = status_sheet(&report(false), "http://node").into_text();
    assert!(text.starts_with("RUNNING  http://node\n"), "{text}");
    assert!(!text.contains("nobody has resumed"), "{text}");
}

#[test]
fn journal_lines_are_short() {
    let backend = FakeBackend::new(FeedLimits::default());
    backend.set_halted(true);
    let entries = backend.halt_history(0, 1).unwrap();
    assert_eq!(
        journal_line(&entries[0]),
        "    0  2026-01-01T00:01:40Z  era 1 head 0  halt_began  halt 5e5e5e5e5e5e, mode emergency_halt"
    );
}

#[test]
fn a_journal_without_such_entries_says_where_it_ends() {
    let backend = FakeBackend::new(FeedLimits::default());
    backend.set_halted(true);
    backend.set_halted(false);
    let entries = backend.halt_history(0, 9).unwrap();
    let text = history_text(&entries, 0, 2);
    assert_eq!(text.lines().count(), 3, "{text}");
    let hash = entries[1].hash;
    assert!(text.contains(&format!("last entry: {hash};")), "{text}");
    assert_eq!(
        history_text(&[], 7, 2),
        "the halt journal has no entry from 7 on, its last is 1\n"
    );
    assert!(history_text(&[], 0, 0).contains("nothing has halted"));
}
