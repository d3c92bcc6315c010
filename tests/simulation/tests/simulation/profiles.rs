//! Seeds of every profile, and those that once broke a rule.

use holdfast_simulation::keys::Scheme;
use holdfast_simulation::{Options, PROFILES, Profile, Report, Verdict, World, run, run_with};

fn pass(profile: &str, seed: u64) -> Report {
    let profile = Profile::named(profile).expect("the profile exists");
    let report = run(profile, seed, false);
    assert_eq!(report.verdict, Verdict::Pass, "{report}");
    report
}

/// Runs seeds and checks that together they have reached what the profile is for.
fn pass_all(profile: &str, seeds: std::ops::Range<u64>) {
    let reports: Vec<Report> = seeds.map(|seed| pass(profile, seed)).collect();
    let profile = Profile::named(profile).expect("the profile exists");
    assert_eq!(profile.unreached(&reports), [""; 0], "{}", profile.name);
}

macro_rules! profile_tests {
    ($($profile:ident: $seeds:expr;)*) => {
        $(#[test]
        fn $profile() {
            pass_all(stringify!($profile), $seeds);
        })*
    };
}

profile_tests!(
    calm: 0..10;
    wan: 0..4;
    partition: 0..10;
    rough: 0..8;
    crash: 0..12;
    clock: 0..10;
    byzantine: 0..12;
    churn: 0..6;
    disk: 0..14;
    twins: 0..8;
    chaos: 0..12;
    halts: 0..16;
    emergency: 0..10;
    lockdown: 0..16;
    modes: 0..24;
);

#[test]
fn a_profile_that_does_not_reach_what_it_is_for_says_so() {
    let calm = Profile::named("calm").expect("the profile exists");
    let profile = Profile {
        reaches: &["commits", "crashes"],
        ..*calm
    };
    assert_eq!(profile.unreached(&[run(&profile, 0, false)]), ["crashes"]);
}

/// What each of these broke stands in the log of its fix. A later change may have moved what happens under a seed, so
/// the rules have tests of their own as well.
const ONCE_BROKE_A_RULE: &[(&str, u64)] = &[
    ("partition", 1),
    ("partition", 4),
    ("crash", 1),
    ("churn", 5),
    ("disk", 1),
    ("disk", 5),
    ("disk", 12),
    ("disk", 60),
    ("disk", 262),
    ("disk", 534),
    ("disk", 711),
    ("disk", 859),
    ("chaos", 15),
    ("twins", 1),
    ("clock", 2021),
    ("clock", 2054),
    ("clock", 2183),
    ("crash", 0),
    ("crash", 117),
    ("crash", 137),
    ("churn", 0),
    ("churn", 3),
    ("churn", 36),
    ("churn", 39),
    ("churn", 107),
    ("byzantine", 176),
    ("byzantine", 1062),
    ("byzantine", 1090),
    ("byzantine", 1111),
    ("byzantine", 1167),
    ("halts", 270),
    ("halts", 593),
    ("halts", 670),
    ("halts", 767),
    ("halts", 900),
    ("halts", 2310),
    ("halts", 3231),
    ("halts", 3694),
    ("halts", 4888),
    ("halts", 5004),
    ("halts", 5664),
    ("chaos", 5002),
    ("chaos", 20383),
    ("emergency", 104),
    ("emergency", 30035),
    ("emergency", 50019),
    ("emergency", 100149),
    ("emergency", 100282),
    ("emergency", 105050),
    ("emergency", 130011),
    ("emergency", 140113),
    ("emergency", 300329),
    ("emergency", 305214),
    ("emergency", 405326),
    ("emergency", 410172),
    ("emergency", 500589),
    ("emergency", 600768),
    ("emergency", 812469),
    ("emergency", 710013),
    ("emergency", 710788),
    ("emergency", 721490),
    ("emergency", 721936),
    ("emergency", 731728),
    ("emergency", 803870),
    ("emergency", 821331),
    ("lockdown", 3396),
    ("lockdown", 43229),
    ("lockdown", 68004),
    ("lockdown", 68866),
    ("lockdown", 87471),
    ("lockdown", 115991),
    ("modes", 1230),
    ("modes", 2411),
    ("modes", 3057),
    ("modes", 5288),
];

#[test]
fn seeds_that_once_broke_a_rule() {
    for (profile, seed) in ONCE_BROKE_A_RULE {
        pass(profile, *seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let small = PROFILES
        .iter()
        .filter(|profile| profile.name != "committee128");
    for profile in small {
        for seed in [11, 12] {
            let first = pass(profile.name, seed);
            let again = pass(profile.name, seed);
            assert_eq!(first.trace, again.trace, "{profile:?} {seed}");
            assert_eq!(first.events, again.events, "{profile:?} {seed}");
        }
        let (first, other) = (pass(profile.name, 11), pass(profile.name, 12));
        assert_ne!(first.trace, other.trace, "{profile:?}");
    }
}

#[test]
fn ed25519_carries_whole_networks() {
    let options = Options {
        signatures: Scheme::Real,
        ..Options::default()
    };
    for name in ["calm", "byzantine", "churn", "chaos"] {
        let profile = Profile::named(name).expect("the profile exists");
        for seed in 0..2 {
            let report = run_with(profile, seed, options);
            assert_eq!(report.verdict, Verdict::Pass, "{report}");
        }
    }
}

/// Ids of transactions, which give the order in which nodes hand them on, depend on the keys: so there are none.
#[test]
fn without_transactions_both_schemes_give_the_same_run() {
    let outcome = |signatures| {
        let mut plan = crate::scenarios::plan(7, 1);
        plan.chain.signatures = signatures;
        let mut world = World::new(&plan, 7);
        world.run(10_000);
        crate::scenarios::sound(&world);
        let reached = world.reached().clone();
        (world.oracle().height(), world.trace().events(), reached)
    };
    assert_eq!(outcome(Scheme::Fast), outcome(Scheme::Real));
}
