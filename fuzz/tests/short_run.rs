//! Every target, for a short and reproducible time.

use holdfast_fuzz::{TARGETS, Target, mutation};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

/// Inputs for each target.
const CASES: u64 = 2_000;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs a target, and on a panic says how to run it again.
fn run(target: &Target, bytes: &[u8], origin: &str) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    assert!(
        outcome.is_ok(),
        "target {} panicked on {origin}: {}",
        target.name,
        hex::encode(bytes)
    );
}

fn run_all(of_name: impl Fn(&str) -> bool) {
    for target in TARGETS.iter().filter(|target| of_name(target.name)) {
        for case in 0..CASES {
            let bytes = mutation::input(target.seed, target.name, case);
            run(target, &bytes, &format!("case {case}"));
        }
    }
}

// Four tests, so that they run beside each other.

#[test]
fn targets_a_to_c() {
    run_all(|name| name < "d");
}

#[test]
fn targets_d_to_r() {
    run_all(|name| ("d".."s").contains(&name));
}

#[test]
fn targets_s_to_u() {
    run_all(|name| ("s".."v").contains(&name));
}

#[test]
fn targets_v_to_z() {
    run_all(|name| name >= "v");
}

#[test]
fn what_once_broke_a_target_breaks_it_no_more() {
    for target in TARGETS {
        let Ok(entries) = fs::read_dir(directory().join("regressions").join(target.name)) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a directory entry is readable").path();
            let bytes = fs::read(&path).expect("a regression is readable");
            run(target, &bytes, &path.display().to_string());
        }
    }
}

#[test]
fn every_target_has_its_binary_and_every_binary_its_target() {
    let targets: BTreeSet<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    let manifest: toml::Table = fs::read_to_string(directory().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let binaries = manifest["bin"].as_array().unwrap();
    let binaries: BTreeSet<String> = binaries
        .iter()
        .map(|binary| binary["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(binaries, targets);
    for name in &targets {
        let source =
            fs::read_to_string(directory().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            source.contains(&format!("targets::{name}(")),
            "{name}.rs runs another target"
        );
    }
}

#[test]
fn well_formed_genesis_documents_are_accepted() {
    let target = TARGETS
        .iter()
        .find(|target| target.name == "genesis")
        .expect("it is a target");
    for case in 0..12 {
        let document = String::from_utf8((target.seed)(case)).expect("a document is text");
        holdfast_genesis::Genesis::parse(&document).expect("the seed is a valid document");
    }
}

#[test]
fn well_formed_inputs_are_taken_and_mutated_ones_are_both() {
    // Mutation that always or never breaks an input would test half of a decoder.
    let target = TARGETS
        .iter()
        .find(|target| target.name == "vertex")
        .expect("it is a target");
    let decodes = |bytes: &[u8]| borsh::from_slice::<holdfast_types::Vertex>(bytes).is_ok();
    assert!((0..50).all(|case| decodes(&(target.seed)(case))));
    let mutated: Vec<_> = (0..400)
        .filter(|case| case % 4 > 1)
        .map(|case| decodes(&mutation::input(target.seed, target.name, case)))
        .collect();
    let taken = mutated.iter().filter(|taken| **taken).count();
    assert!((20..180).contains(&taken), "{taken} of {}", mutated.len());
}
