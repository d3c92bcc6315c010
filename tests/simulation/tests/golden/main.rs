//! Scripts that explain the protocol, and what they give: see `script.rs`. `HOLDFAST_UPDATE=1` writes what they give now;
//! the difference is then read in the commit.

use holdfast_pinned::check_file;
use holdfast_simulation::script::play;
use std::fs;
use std::path::Path;

fn check(name: &str) {
    let file = format!("tests/golden/{name}.txt");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let played = play(&file, &text).unwrap_or_else(|error| panic!("{error}"));
    check_file(&path, &played);
}

macro_rules! scripts {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

scripts!(
    s01_life_of_a_transaction
    s02_a_crashed_leader_is_skipped
    s03_no_quorum_no_progress
    s04_a_minority_waits
    s05_an_equivocator_is_slashed
    s06_a_crash_between_write_and_sync
    s07_a_lost_guard
    s08_a_key_that_runs_twice
    s09_an_epoch_ends
    s10_a_wrong_state_root
);

#[test]
fn every_script_is_played() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(&directory).expect("the directory can be read");
    let mut found: Vec<String> = entries
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            path.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    found.sort();
    assert_eq!(found, NAMES);
}
