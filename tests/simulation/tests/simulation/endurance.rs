//! Long runs at a small scale; `holdfast-sim endure` runs them at any.

use holdfast_simulation::endurance::{Hours, cycles, without_emergency};

#[test]
fn no_emergency_begins_in_days_of_whole_networks() {
    for (number, hours) in Hours::ALL.into_iter().enumerate() {
        let endured = without_emergency(hours, 12, number as u64);
        let endured = endured.unwrap_or_else(|wrong| panic!("{wrong}"));
        let has_faults = matches!(hours, Hours::Restarting | Hours::Syncing);
        assert_eq!(endured.crashes > 0, has_faults, "{hours:?} {endured:?}");
        assert!(endured.ranges > 0 || hours != Hours::Syncing, "{endured:?}");
    }
}

#[test]
fn a_network_stalls_and_comes_back_again_and_again() {
    let eras = cycles(5, 1).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(eras > 10, "{eras} eras");
}
