//! Rules RA1 to RA7: what may become a reason to freeze the chain.

use holdfast_halt::risk::{
    CALM_MS, Judgement, RULES, RiskAnalyzer, RiskChange, RiskLevel, RiskSample, RiskSignal,
};

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;

fn sample(signal: RiskSignal, value: u64) -> RiskSample {
    let mut sample = RiskSample::default();
    sample.set(signal, value);
    sample
}

/// The levels at each second, of a signal that is measured as `value` says.
fn levels(signal: RiskSignal, seconds: u64, value: impl Fn(u64) -> u64) -> Vec<RiskLevel> {
    let mut analyzer = RiskAnalyzer::default();
    let each = (0..seconds).map(|second| {
        analyzer.observe(second * SECOND_MS, &sample(signal, value(second)));
        analyzer.level()
    });
    each.collect()
}

fn first(levels: &[RiskLevel], level: RiskLevel) -> Option<usize> {
    levels.iter().position(|reached| *reached >= level)
}

#[test]
fn ra1_each_signal_has_one_rule_and_thresholds_that_get_worse() {
    for (number, rule) in RULES.iter().enumerate() {
        assert_eq!(rule.signal as usize, number);
        let thresholds: Vec<u64> = rule.thresholds.into_iter().flatten().collect();
        assert!(!thresholds.is_empty());
        let is_runway = rule.judgement == Judgement::Runway;
        assert!(
            thresholds
                .windows(2)
                .all(|pair| (pair[1] > pair[0]) != is_runway)
        );
    }
    let names: std::collections::BTreeSet<_> =
        RULES.iter().map(|rule| rule.signal.name()).collect();
    assert_eq!(names.len(), RULES.len());
    for level in RiskLevel::ALL {
        assert_eq!(RiskLevel::named(level.name()), Some(level));
    }
}

#[test]
fn ra2_a_counter_is_judged_by_how_much_it_rises_and_not_by_how_high_it_is() {
    let signal = RiskSignal::InvalidMessages;
    let steady = levels(signal, 2_000, |_| 1_000);
    assert_eq!(steady.iter().max(), Some(&RiskLevel::Normal));
    // Two a second are 60 after half of the window, and never more than 120 in one.
    let rises = levels(signal, 700, |second| 1_000 + 2 * second);
    assert_eq!(first(&rises, RiskLevel::Elevated), Some(30));
    assert_eq!(first(&rises, RiskLevel::High), None);
    let flood = levels(signal, 700, |second| 20 * second);
    assert_eq!(first(&flood, RiskLevel::High), Some(30));
    // One in two seconds is never more than 31 in a window.
    let slow = levels(signal, 2_000, |second| second / 2);
    assert_eq!(first(&slow, RiskLevel::Elevated), None);
}

#[test]
fn ra3_a_reading_counts_when_it_has_lasted_for_its_window() {
    let signal = RiskSignal::MembersMissing;
    let lasts = levels(signal, 60, |second| if second < 10 { 0 } else { 1_000 });
    assert_eq!(first(&lasts, RiskLevel::Elevated), Some(40));
    assert_eq!(first(&lasts, RiskLevel::High), Some(40));
    // It is back for a moment.
    let flaps = levels(signal, 300, |second| 1_000 * u64::from(second % 20 != 0));
    assert_eq!(first(&flaps, RiskLevel::Elevated), None);
    // Nothing to judge by, in a halt for example: time begins anew.
    let mut analyzer = RiskAnalyzer::default();
    for second in 0..50 {
        let missing = sample(signal, 1_000);
        let sample = if second == 25 {
            RiskSample::default()
        } else {
            missing
        };
        assert_eq!(analyzer.observe(second * SECOND_MS, &sample), None);
    }
}

#[test]
fn ra4_what_is_left_is_judged_by_how_long_it_lasts() {
    let signal = RiskSignal::DiskFree;
    let value = |used_per_second: i64| {
        let mut analyzer = RiskAnalyzer::default();
        for second in 0..=3_600 {
            let free = 1_000_000_000_000 - used_per_second * second;
            let now_ms = second.unsigned_abs() * SECOND_MS;
            analyzer.observe(now_ms, &sample(signal, free.unsigned_abs()));
        }
        let standing = analyzer.standings().nth(signal as usize);
        let standing = standing.expect("each signal has a rule");
        (standing.level, standing.value)
    };
    assert_eq!(value(0), (RiskLevel::Normal, None));
    assert_eq!(value(-1_000_000), (RiskLevel::Normal, None));
    assert_eq!(value(1_000_000), (RiskLevel::Normal, Some(996_400)));
    assert_eq!(value(12_500_000), (RiskLevel::Elevated, Some(76_400)));
    assert_eq!(value(100_000_000), (RiskLevel::High, Some(6_400)));
}

#[test]
fn ra5_a_level_comes_at_once_and_goes_when_it_was_calm_for_a_while() {
    let signal = RiskSignal::CommitDelay;
    let mut analyzer = RiskAnalyzer::default();
    let mut at =
        |second: u64, value: u64| analyzer.observe(second * SECOND_MS, &sample(signal, value));
    let change = |from, to| Some(RiskChange { from, to });
    let (normal, elevated, high) = (RiskLevel::Normal, RiskLevel::Elevated, RiskLevel::High);
    assert_eq!(at(0, 100), None);
    assert_eq!(at(1, 1_000), change(normal, high));
    assert_eq!(at(2, 600), None);
    let calm = CALM_MS / SECOND_MS;
    assert_eq!(at(calm, 100), None);
    assert_eq!(at(1 + calm, 100), change(high, elevated));
    assert_eq!(at(2 + calm, 100), change(elevated, normal));
}

#[test]
fn ra6_the_level_is_the_highest_and_each_rule_says_how_it_stands() {
    let mut analyzer = RiskAnalyzer::default();
    let both = |equivocations: u64, delay: u64| {
        let mut both = sample(RiskSignal::Equivocations, equivocations);
        both.set(RiskSignal::CommitDelay, delay);
        both
    };
    analyzer.observe(0, &both(0, 0));
    analyzer.observe(MINUTE_MS, &both(1_000, 700));
    assert_eq!(analyzer.level(), RiskLevel::Critical);
    let raised: Vec<_> = analyzer
        .standings()
        .filter(|standing| standing.level > RiskLevel::Normal)
        .map(|standing| (standing.rule.signal, standing.level, standing.value))
        .collect();
    let expected = [
        (RiskSignal::Equivocations, RiskLevel::Critical, Some(1_000)),
        (RiskSignal::CommitDelay, RiskLevel::Elevated, Some(700)),
    ];
    assert_eq!(raised, expected);
}

#[test]
fn ra7_what_concerns_this_machine_alone_is_never_critical() {
    use RiskSignal as S;
    for signal in [
        S::InvalidMessages,
        S::ClockOffset,
        S::MembersMissing,
        S::CommitDelay,
        S::DiskFree,
        S::Memory,
    ] {
        let worst = levels(signal, 7_200, |second| {
            if signal == S::DiskFree {
                7_200 - second
            } else {
                second * 1_000_000
            }
        });
        assert_eq!(worst.last(), Some(&RiskLevel::High), "{signal:?}");
    }
}
