//! `holdfast incident` as it is typed.

use crate::cli::cli_machine::Machine;
use crate::exit_codes::ExitCode;
use crate::incident::fixture::{enrich_bob, extend, genesis, store, transfer};
use std::fs;

#[test]
fn diff_names_block_receipt_and_key_and_changes_nothing() {
    let machine = Machine::new();
    let genesis = genesis();
    let paths = ["left", "right"].map(|name| machine.path(name));
    for (number, path) in paths.iter().enumerate() {
        let storage = store(path, &genesis);
        extend(&storage, &genesis, &[transfer(&genesis, 0, 5)], |_, _| {});
        extend(
            &storage,
            &genesis,
            &[transfer(&genesis, 1, 5)],
            |storage, outcome| {
                if number == 1 {
                    enrich_bob(storage, outcome);
                }
            },
        );
    }
    let [left, right] = paths.map(|path| path.to_str().unwrap().to_owned());
    let names = |path: &str| -> Vec<_> {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().len()))
            .collect();
        names.sort();
        names
    };
    let before = names(&left);
    let text = machine.run(&["incident", "diff", &left, &right]).unwrap();
    for expected in [
        "the first block that differs is block 2",
        "- state root",
        "The transactions are the same",
        "**account bob** (`10626f62`)",
        "balance: left ",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let json = machine
        .run(&["incident", "diff", &left, &right, "--json"])
        .unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["result"], "differs");
    assert_eq!(json["keys"][0]["name"], "account bob");
    let same = machine.run(&["incident", "diff", &left, &left]).unwrap();
    assert!(same.contains("no difference up to height 2"), "{same}");
    assert_eq!(names(&left), before);
}

#[test]
fn without_bundles_the_list_is_empty_and_a_report_is_refused() {
    let machine = Machine::new();
    let text = machine.run(&["incident", "list"]).unwrap();
    assert!(text.starts_with("no halt has left a bundle in "), "{text}");
    let failure = machine.failure(&["incident", "report", "--halt", "ab12"]);
    assert_eq!(failure.code, ExitCode::Refused);
    assert!(
        failure.next_step.contains("holdfast incident list"),
        "{failure}"
    );
}

/// What a bundle of another format or of nothing at all leaves to say.
#[test]
fn an_empty_bundle_is_listed_and_reported_as_incomplete() {
    let machine = Machine::new();
    let data = machine.path("data");
    fs::create_dir_all(data.join("forensics/ab12cd")).unwrap();
    let data = data.to_str().unwrap();
    let list = machine
        .run(&["incident", "list", "--data-dir", data])
        .unwrap();
    assert!(
        list.contains("ab12cd") && list.contains("[incomplete, no checkpoint]"),
        "{list}"
    );
    let report = machine
        .run(&["incident", "report", "--halt", "ab", "--data-dir", data])
        .unwrap();
    assert!(report.contains("INCOMPLETE"), "{report}");
    let failure = machine.failure(&["incident", "diff", "ab", "ab", "--data-dir", data]);
    assert_eq!(failure.code, ExitCode::Refused);
}
