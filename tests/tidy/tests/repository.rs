//! The repository keeps its own rules.

use holdfast_tidy::exemptions::{self, EXEMPTIONS, Exemption};
use holdfast_tidy::repository::{File, files, root};
use holdfast_tidy::{Violation, documents, functions, manifests, names, text};

/// Runs `check` over the repository; exemptions of the rules named are applied.
fn assert_tidy(rules: &[&str], check: impl FnOnce(&[File]) -> Vec<Violation>) {
    let exemptions: Vec<Exemption> = EXEMPTIONS
        .iter()
        .filter(|exemption| rules.contains(&exemption.rule))
        .copied()
        .collect();
    let mut violations = exemptions::apply(check(&files(&root())), &exemptions);
    violations.sort();
    let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn files_and_functions_are_short() {
    assert_tidy(&["file-length", "function-length"], |files| {
        files
            .iter()
            .filter(|file| file.is_rust())
            .flat_map(functions::check)
            .collect()
    });
}

#[test]
fn consensus_is_pure() {
    assert_tidy(&["pure-consensus"], |files| {
        let sources = files.iter().filter(|file| file.is_consensus_source());
        sources.flat_map(names::check_consensus).collect()
    });
}

#[test]
fn consensus_libraries_deny_what_pure_code_must_not_do() {
    assert_tidy(&["consensus-header"], |files| {
        files.iter().flat_map(manifests::check_header).collect()
    });
}

#[test]
fn nothing_is_left_over() {
    assert_tidy(&["leftover", "machine-path", "mod-rs"], |files| {
        files.iter().flat_map(text::check).collect()
    });
}

#[test]
fn dependencies_point_down() {
    assert_tidy(&["direction", "manifest"], manifests::check);
}

#[test]
fn every_test_that_a_document_names_exists() {
    assert_tidy(&["named-test"], documents::check);
    let files = files(&root());
    for (path, least) in [
        ("docs/halts.md", 20),
        ("docs/emergency-consensus-rows.md", 100),
        ("docs/lockdown-rows.md", 60),
    ] {
        let document = files.iter().find(|file| file.path == path);
        let named = document.map_or(0, |file| documents::named_tests(file).len());
        assert!(named > least, "{path} names only {named} tests");
    }
}

#[test]
fn every_exemption_names_a_rule_and_a_reason() {
    const RULES: [&str; 10] = [
        "file-length",
        "function-length",
        "pure-consensus",
        "consensus-header",
        "leftover",
        "machine-path",
        "mod-rs",
        "direction",
        "manifest",
        "named-test",
    ];
    for exemption in EXEMPTIONS {
        assert!(RULES.contains(&exemption.rule), "{exemption:?}");
        assert!(exemption.reason.len() > 20, "{exemption:?}");
    }
}
