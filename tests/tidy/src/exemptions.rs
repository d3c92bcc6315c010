//! What may break a rule, and why.

use crate::Violation;

/// A file that may break a rule.
#[derive(Clone, Copy, Debug)]
pub struct Exemption {
    pub rule: &'static str,
    pub path: &'static str,
    pub reason: &'static str,
}

/// Every exemption. Keep it short: each is a debt.
pub const EXEMPTIONS: &[Exemption] = &[Exemption {
    rule: "machine-path",
    path: "node/src/config/checks_tests.rs",
    reason: "a made-up home directory is the input of the rules for paths",
}];

/// Violations that no exemption covers, and exemptions that cover nothing any more.
#[must_use]
pub fn apply(violations: Vec<Violation>, exemptions: &[Exemption]) -> Vec<Violation> {
    let covers = |exemption: &Exemption, violation: &Violation| {
        exemption.rule == violation.rule && exemption.path == violation.path
    };
    let stale = exemptions
        .iter()
        .filter(|exemption| {
            !violations
                .iter()
                .any(|violation| covers(exemption, violation))
        })
        .map(|exemption| Violation {
            path: exemption.path.to_owned(),
            line: 0,
            rule: "stale-exemption",
            message: format!("nothing breaks {} here any more: remove it", exemption.rule),
        })
        .collect::<Vec<_>>();
    violations
        .into_iter()
        .filter(|violation| {
            !exemptions
                .iter()
                .any(|exemption| covers(exemption, violation))
        })
        .chain(stale)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exemptions_cover_one_rule_of_one_file_and_must_be_needed() {
        let violation = |rule| Violation {
            path: "a.rs".to_owned(),
            line: 1,
            rule,
            message: String::new(),
        };
        let exemption = |rule| Exemption {
            rule,
            path: "a.rs",
            reason: "for the test",
        };
        let left = apply(
            vec![violation("one"), violation("two")],
            &[exemption("one")],
        );
        assert_eq!(left, [violation("two")]);
        let left = apply(vec![], &[exemption("one")]);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].rule, "stale-exemption");
    }
}
