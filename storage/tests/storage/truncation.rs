//! What a dying machine leaves of the end of the log: less of it, zeros, or anything.

use crate::harness::open;
use crate::script::{advance, assert_history, builder_at};
use holdfast_chain::ChainStore;
use holdfast_types::Height;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const BLOCKS: u64 = 60;

/// A store that was not closed: everything lies in its log.
fn written() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("written");
    let storage = open(&path);
    let mut builder = builder_at(None);
    for _ in 0..=BLOCKS {
        advance(&storage, &mut builder);
    }
    // The files as they are while the store is open are what a power loss leaves at best.
    copy(&path, &directory.path().join("copy"));
    directory
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The log file with the most in it.
pub fn log_file(path: &Path) -> PathBuf {
    let files = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

/// Replaces the log from `kept` on by `tail` and opens the store.
fn open_with_tail(written: &TempDir, kept: usize, tail: &[u8]) -> Height {
    let path = written.path().join(format!("tail {kept} {}", tail.len()));
    copy(&written.path().join("copy"), &path);
    let log = log_file(&path);
    let mut bytes = fs::read(&log).unwrap();
    bytes.truncate(kept);
    bytes.extend_from_slice(tail);
    fs::write(&log, bytes).unwrap();
    let storage = open(&path);
    let mut builder = assert_history(&storage, None);
    let head = storage
        .head()
        .unwrap()
        .map_or(Height::ZERO, |(head, _)| head);
    // It goes on from there.
    advance(&storage, &mut builder);
    drop(storage);
    assert_history(&open(&path), Some(head));
    fs::remove_dir_all(&path).unwrap();
    head
}

#[test]
fn a_shortened_log_gives_an_earlier_whole_state() {
    let written = written();
    let length = fs::read(log_file(&written.path().join("copy")))
        .unwrap()
        .len();
    let mut before = Height::ZERO;
    for part in 1..=12 {
        let head = open_with_tail(&written, length * part / 12 - usize::from(part < 12), &[]);
        assert!(
            head >= before,
            "a longer log gives {head}, a shorter one gave {before}"
        );
        before = head;
    }
    assert_eq!(before, Height(BLOCKS));
}

#[test]
fn zeros_after_the_log_are_nothing() {
    let written = written();
    let length = fs::read(log_file(&written.path().join("copy")))
        .unwrap()
        .len();
    assert_eq!(
        open_with_tail(&written, length, &[0; 100_000]),
        Height(BLOCKS)
    );
    assert!(open_with_tail(&written, length - 9, &[0; 100_000]) >= Height(BLOCKS - 1));
}

#[test]
fn garbage_at_the_end_of_the_log_is_dropped() {
    let written = written();
    let length = fs::read(log_file(&written.path().join("copy")))
        .unwrap()
        .len();
    let garbage: Vec<u8> = (0..70_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    assert_eq!(open_with_tail(&written, length, &garbage), Height(BLOCKS));
    assert!(open_with_tail(&written, length - 300, &garbage) >= Height(BLOCKS - 2));
}
