//! Emergency consensus does not begin while a quorum lives, however slow, far away or busy with restarts it is (F63, V5).

use holdfast_simulation::chain::EmergencyPlan;
use holdfast_simulation::{Profile, Verdict, run};

/// Masters that would begin after fifteen seconds, in a profile whose quorum is never away for as long.
fn no_emergency(profile: &str, seeds: std::ops::Range<u64>) {
    let named = |name| Profile::named(name).expect("the profile exists");
    let profile = Profile {
        emergency: Some(EmergencyPlan {
            timeout_ms: 15_000,
            interval_ms: 1_000,
        }),
        // What follows the faults of other profiles may be the loss of a quorum for good.
        expects: named("emergency").expects,
        ..*named(profile)
    };
    for seed in seeds {
        let report = run(&profile, seed, false);
        assert_eq!(report.verdict, Verdict::Pass, "{report}");
        assert!(report.virtual_ms > 15_000, "one could have begun: {report}");
        let made = report.reached.get("emergency blocks made");
        assert_eq!(made.copied().unwrap_or_default(), 0, "{report}");
    }
}

#[test]
fn none_begins_in_a_healthy_network() {
    no_emergency("calm", 0..12);
}

#[test]
fn none_begins_in_a_slow_network() {
    no_emergency("wan", 0..6);
}

#[test]
fn none_begins_while_nodes_restart_and_sync_and_eras_change() {
    no_emergency("churn", 0..6);
}
