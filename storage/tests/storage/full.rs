//! No room for another byte: the store stops, says so, and opens again when there is room.

use crate::harness::open;
use crate::script::{advance, assert_history, builder_at, records};
use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_replica::Record;
use holdfast_storage::{Storage, StorageError};
use holdfast_types::Height;
use std::path::Path;
use std::process::Command;

const DIRECTORY: &str = "HOLDFAST_STORAGE_TEST_FULL_DIRECTORY";
/// In units of 512 bytes, as POSIX has it.
const FILE_SIZE_LIMIT: &str = "1024";

/// Writes until a write fails; gives back the failure and the last height before it.
fn fill(storage: &Storage) -> (StorageError, Height) {
    let mut builder = builder_at(storage.head().unwrap().map(|(height, _)| height));
    let mut written = Height::ZERO;
    for _ in 0..20_000 {
        // One block a batch, so that a failed batch is a block that is not there.
        let block = crate::script::next_block(&mut builder);
        let height = block.block.header.height;
        let applied = storage.apply(ChainBatch {
            apply: vec![block],
            ..ChainBatch::default()
        });
        let synced = applied.and_then(|()| storage.commit_records(&without_guard(height)));
        if let Err(error) = synced {
            return (error, written);
        }
        written = height;
    }
    panic!("the limit was never reached");
}

fn without_guard(height: Height) -> Vec<Record> {
    let mut records = records(height);
    records.retain(|record| !matches!(record, Record::SignGuard(_)));
    records
}

/// The process whose files must not grow. On its own it checks that it can write at all.
#[test]
fn limited_process() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        let directory = tempfile::tempdir().unwrap();
        let storage = open(directory.path());
        let height = advance(&storage, &mut builder_at(None));
        assert_eq!(storage.commit_records(&without_guard(height)), Ok(()));
        return;
    };
    let storage = open(Path::new(&directory));
    let (failure, written) = fill(&storage);
    println!("failed after {written}: {failure}");
    assert!(
        matches!(
            failure,
            StorageError::Database { .. } | StorageError::NoSpace { .. }
        ),
        "{failure:?}"
    );
    // Fail-stop: the same answer to every write from now on, and no sync that pretends.
    let next = storage.commit_records(&without_guard(written.next()));
    assert_eq!(next, Err(failure.clone()));
    assert_eq!(storage.apply(ChainBatch::default()), Err(failure.clone()));
    assert_eq!(storage.sync(), Err(failure));
    std::fs::write(Path::new(&directory).join("written"), written.0.to_string()).unwrap();
}

#[test]
fn a_full_disk_stops_the_store_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut builder = builder_at(None);
    advance(&open(path), &mut builder);
    // A file that may not grow fails like a full disk; the signal that goes with it is ignored.
    let script = format!("trap '' XFSZ; ulimit -f {FILE_SIZE_LIMIT}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["full::limited_process", "--exact", "--nocapture"])
        .env(DIRECTORY, path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let written = std::fs::read_to_string(path.join("written")).unwrap();
    let written = Height(written.parse().unwrap());
    assert!(written > Height(10), "{text}");
    let storage = open(path);
    let mut builder = assert_history(&storage, Some(written));
    advance(&storage, &mut builder);
}
