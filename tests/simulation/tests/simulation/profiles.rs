//! Seeds of every profile, and those that once broke a rule.

use holdfast_simulation::{Profile, Report, Verdict, run};

fn pass(profile: &str, seed: u64) -> Report {
    let profile = Profile::named(profile).expect("the profile exists");
    let report = run(profile, seed, false);
    assert_eq!(report.verdict, Verdict::Pass, "{report}");
    report
}

/// Runs seeds and checks that together they have reached `what`: a fault that never happens tests nothing.
fn pass_all(profile: &str, seeds: std::ops::Range<u64>, what: &[&str]) {
    let reports: Vec<Report> = seeds.map(|seed| pass(profile, seed)).collect();
    for what in what {
        let reached = |report: &Report| report.reached.get(what).is_some_and(|count| *count > 0);
        assert!(
            reports.iter().any(reached),
            "{profile} never reached {what}"
        );
    }
}

#[test]
fn calm() {
    pass_all("calm", 0..10, &["commits", "transactions handed on"]);
}

#[test]
fn wan() {
    pass_all("wan", 0..4, &["vertices fetched"]);
}

#[test]
fn partition() {
    let reached = ["partitions", "one-way cuts", "members asked what they have"];
    pass_all("partition", 0..6, &reached);
}

#[test]
fn crash() {
    let reached = [
        "crashes of all nodes at once",
        "crashes before a write",
        "crashes before a sync",
        "crashes before the guard",
        "crashes before sending",
        "crashes after a block",
        "ranges synced",
    ];
    pass_all("crash", 0..12, &reached);
}

#[test]
fn clock() {
    pass_all("clock", 0..6, &["clock steps", "vertices parked"]);
}

#[test]
fn byzantine() {
    let reached = ["vertices of Byzantine nodes", "equivocations seen"];
    pass_all("byzantine", 6..12, &reached);
}

#[test]
fn churn() {
    let reached = [
        "era starts",
        "early vertices",
        "validators asked to join",
        "validators asked to leave",
        "certificates fetched",
    ];
    pass_all("churn", 0..6, &reached);
}

#[test]
fn disk() {
    let reached = [
        "data lost, guard kept",
        "disks lost with the guard",
        "disks set back with the guard",
        "data set back, guard kept",
        "guards found too old",
    ];
    pass_all("disk", 0..8, &reached);
}

#[test]
fn twins() {
    let reached = ["keys that run twice", "doppelgangers", "partitions"];
    pass_all("twins", 0..8, &reached);
}

#[test]
fn chaos() {
    let reached = [
        "crashes",
        "partitions",
        "clock steps",
        "vertices of Byzantine nodes",
    ];
    pass_all("chaos", 0..12, &reached);
}

/// What each of these broke stands in the log of its fix. A later change may have moved what happens under a seed, so
/// the rules have tests of their own as well.
#[test]
fn seeds_that_once_broke_a_rule() {
    for (profile, seed) in [
        ("partition", 1),
        ("partition", 4),
        ("crash", 1),
        ("churn", 5),
        ("disk", 1),
        ("disk", 5),
        ("disk", 12),
        ("chaos", 15),
        ("twins", 1),
        ("crash", 0),
        ("crash", 117),
        ("crash", 137),
        ("churn", 0),
        ("churn", 3),
        ("churn", 36),
        ("churn", 39),
        ("churn", 107),
    ] {
        pass(profile, seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for profile in ["crash", "churn", "byzantine"] {
        let first = pass(profile, 11);
        let again = pass(profile, 11);
        assert_eq!(first.trace, again.trace, "{profile}");
        assert_eq!(first.events, again.events, "{profile}");
        assert_ne!(first.trace, pass(profile, 12).trace, "{profile}");
    }
}
