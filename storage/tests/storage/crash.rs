//! Killed at any moment: nothing that was acknowledged is lost, and what is there fits together.

use crate::harness::open;
use crate::script::{advance, assert_history, assert_records, commit, own_key};
use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_storage::{OpenError, RecordWriter, SignGuardFile, Storage};
use holdfast_types::Height;
use holdfast_types::test_util::CHAIN;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const DIRECTORY: &str = "HOLDFAST_STORAGE_TEST_DIRECTORY";
const ACKNOWLEDGED: &str = "acknowledged ";

/// Opens store and guard in `directory` and goes on with the history, `steps` blocks or for ever.
fn write_history(directory: &Path, steps: Option<u64>, mut acknowledge: impl FnMut(Height)) {
    let storage = Arc::new(open(&directory.join("data")));
    let guard_path = directory.join("guard");
    let guard = match SignGuardFile::open(&guard_path, own_key()) {
        Err(holdfast_storage::GuardError::Missing { .. }) => {
            SignGuardFile::create(&guard_path, own_key())
        }
        other => other,
    };
    let mut builder = assert_history(&storage, None);
    let mut writer = RecordWriter::new(Arc::clone(&storage), Some(guard.unwrap()));
    let mut step = 0;
    while steps.is_none_or(|steps| step < steps) {
        let height = advance(&storage, &mut builder);
        commit(&mut writer, height);
        acknowledge(height);
        step += 1;
    }
}

/// The process that the other tests kill. On its own it writes a little and finds it again.
#[test]
fn writer_process() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let mut output = std::io::stdout();
        write_history(Path::new(&directory), None, |height| {
            writeln!(output, "{ACKNOWLEDGED}{height}").unwrap();
            output.flush().unwrap();
        });
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    write_history(directory.path(), Some(10), |_| {});
    let storage = open(&directory.path().join("data"));
    assert_history(&storage, Some(Height(9)));
}

fn spawn_writer(directory: &Path) -> (Child, impl Iterator<Item = Height>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::writer_process", "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let heights = output.lines().filter_map(|line| {
        let line = line.unwrap();
        let height = line.strip_prefix(ACKNOWLEDGED)?;
        Some(Height(height.parse().unwrap()))
    });
    (child, heights)
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for acknowledged_count in [1, 2, 40, 3, 17, 5, 64, 8] {
        let (mut child, heights) = spawn_writer(directory.path());
        let acknowledged = heights.take(acknowledged_count).last().unwrap();
        // The writer is somewhere in its next steps.
        child.kill().unwrap();
        child.wait().unwrap();
        let storage = open(&data);
        assert_history(&storage, Some(acknowledged));
        let guard = SignGuardFile::open(&directory.path().join("guard"), own_key()).unwrap();
        assert_records(&storage, &guard, acknowledged);
        undo_still_works(&storage);
    }
}

/// Takes the head back and brings it again, so that the next round goes on.
fn undo_still_works(storage: &Storage) {
    let (head, id) = storage.head().unwrap().unwrap();
    if head == Height::ZERO {
        return;
    }
    storage
        .apply(ChainBatch {
            pop: vec![(head, id)],
            ..ChainBatch::default()
        })
        .unwrap();
    assert_history(storage, Some(head.previous()));
}

#[test]
fn a_second_process_is_refused_with_the_pid_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, mut heights) = spawn_writer(directory.path());
    heights.next().unwrap();
    let data = directory.path().join("data");
    let refused = Storage::open(&data, crate::harness::options(), CHAIN).unwrap_err();
    let expected = OpenError::Locked {
        path: data,
        owner: Some(child.id()),
    };
    assert_eq!(refused, expected);
    let refused = SignGuardFile::open(&directory.path().join("guard"), own_key()).unwrap_err();
    assert!(
        matches!(refused, holdfast_storage::GuardError::Locked { .. }),
        "{refused}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
