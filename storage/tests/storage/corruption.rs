//! Damaged files are named with the next step, and never mended in silence.

use crate::harness::{open, options};
use crate::script::{advance, assert_history, builder_at};
use crate::truncation::{copy, log_file};
use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_storage::{CreateMode, FORMAT_VERSION, OpenError, Storage, StorageOptions, WalDamage};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{ChainId, Height};
use rocksdb::{DB, Options};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const BLOCKS: u64 = 60;

/// A store with table files and a log.
fn written() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("written");
    let mut builder = builder_at(None);
    for _ in 0..2 {
        // Opening moves what the log holds to table files.
        let storage = open(&path);
        for _ in 0..BLOCKS / 2 {
            advance(&storage, &mut builder);
        }
    }
    copy(&path, &directory.path().join("copy"));
    directory
}

fn files(path: &Path, matches: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .filter(|entry| matches(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    files.sort_unstable();
    files
}

fn refused(path: &Path) -> OpenError {
    Storage::open(path, options(), CHAIN).unwrap_err()
}

/// The refusal names `file` and a next step.
fn assert_names(error: &OpenError, file: &Path) {
    match error {
        OpenError::Corrupted {
            file: named,
            next_step,
            ..
        } => {
            assert_eq!(named, file, "{error}");
            assert!(error.to_string().contains(next_step), "{error}");
        }
        _ => panic!("not a refusal for damage: {error:?}"),
    }
}

fn flip(file: &Path, position: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[position] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_the_log_is_refused_until_truncation_is_asked_for() {
    let written = written();
    let length = fs::read(log_file(&written.path().join("copy")))
        .unwrap()
        .len();
    for part in [1, 3, 5, 7] {
        let path = written.path().join(format!("flipped {part}"));
        copy(&written.path().join("copy"), &path);
        let log = log_file(&path);
        flip(&log, length * part / 9);
        assert_names(&refused(&path), &log);
        assert_names(&refused(&path), &log);
        let truncate = StorageOptions {
            wal_damage: WalDamage::Truncate,
            ..options()
        };
        let storage = Storage::open(&path, truncate, CHAIN).unwrap();
        let head = storage.head().unwrap().unwrap().0;
        assert!(head < Height(BLOCKS - 1), "nothing was dropped: {head}");
        let mut builder = assert_history(&storage, Some(Height(BLOCKS / 2 - 1)));
        advance(&storage, &mut builder);
        drop(storage);
        assert_history(&open(&path), Some(head.next()));
    }
}

/// The store refuses to open, or its check finds the damage; it never hands out something else.
#[test]
fn a_flipped_bit_in_a_table_file_is_found() {
    let written = written();
    let names = files(&written.path().join("copy"), |name| name.ends_with(".sst"));
    assert!(names.len() >= 8, "{names:?}");
    for (number, name) in names.iter().enumerate() {
        let path = written.path().join(format!("table {number}"));
        copy(&written.path().join("copy"), &path);
        let file = path.join(name.file_name().unwrap());
        let length = fs::metadata(&file).unwrap().len() as usize;
        // In the data at the beginning for one, in the footer at the end for the next.
        flip(&file, if number % 2 == 0 { 10 } else { length - 20 });
        match Storage::open(&path, options(), CHAIN) {
            Err(error) => assert_names(&error, &file),
            Ok(storage) => {
                let report = storage.check().unwrap();
                assert_ne!(report.problems, Vec::<String>::new(), "{}", file.display());
            }
        }
    }
}

#[test]
fn missing_and_damaged_files_of_the_database_are_named() {
    let written = written();
    let case = |name: &str| {
        let path = written.path().join(name);
        copy(&written.path().join("copy"), &path);
        path
    };
    let path = case("no table");
    let table = files(&path, |name| name.ends_with(".sst")).remove(0);
    fs::remove_file(&table).unwrap();
    assert_names(&refused(&path), &table);

    let path = case("short table");
    let table = files(&path, |name| name.ends_with(".sst")).remove(0);
    let bytes = fs::read(&table).unwrap();
    fs::write(&table, &bytes[..bytes.len() / 2]).unwrap();
    assert_names(&refused(&path), &table);

    let path = case("manifest");
    let manifest = files(&path, |name| name.starts_with("MANIFEST-")).remove(0);
    flip(&manifest, 40);
    let error = refused(&path);
    assert!(matches!(error, OpenError::Corrupted { .. }), "{error:?}");

    let path = case("no manifest");
    for manifest in files(&path, |name| name.starts_with("MANIFEST-")) {
        fs::remove_file(manifest).unwrap();
    }
    let error = refused(&path);
    assert!(matches!(error, OpenError::Corrupted { .. }), "{error:?}");

    let path = case("current");
    fs::write(path.join("CURRENT"), "nonsense").unwrap();
    assert_names(&refused(&path), &path.join("CURRENT"));

    for create in [CreateMode::Existing, CreateMode::IfMissing] {
        let path = case(&format!("no current {create:?}"));
        fs::remove_file(path.join("CURRENT")).unwrap();
        let options = StorageOptions {
            create,
            ..options()
        };
        let error = Storage::open(&path, options, CHAIN).unwrap_err();
        assert_names(&error, &path.join("CURRENT"));
    }
}

#[test]
fn create_modes_do_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let open_as = |create| {
        let options = StorageOptions {
            create,
            ..options()
        };
        Storage::open(&path, options, CHAIN)
    };
    let missing = OpenError::Missing { path: path.clone() };
    assert_eq!(open_as(CreateMode::Existing).unwrap_err(), missing);
    assert!(!path.exists(), "a refused open leaves nothing behind");
    drop(open_as(CreateMode::New).unwrap());
    let exists = OpenError::Exists { path: path.clone() };
    assert_eq!(open_as(CreateMode::New).unwrap_err(), exists);
    drop(open_as(CreateMode::Existing).unwrap());
    drop(open_as(CreateMode::IfMissing).unwrap());
}

/// Opens the database under the store and changes it.
fn tamper(path: &Path, change: impl FnOnce(&mut DB)) {
    let options = Options::default();
    let families = DB::list_cf(&options, path).unwrap();
    let mut merging = Options::default();
    merging.set_merge_operator_associative("first_inclusion", |_, existing, operands| {
        let places = existing.into_iter().chain(operands);
        places.min().map(<[u8]>::to_vec)
    });
    let descriptors = families
        .into_iter()
        .map(|name| rocksdb::ColumnFamilyDescriptor::new(name, merging.clone()));
    let mut db = DB::open_cf_descriptors(&options, path, descriptors).unwrap();
    change(&mut db);
}

#[test]
fn another_chain_and_another_format_are_refused() {
    let written = written();
    let path = written.path().join("copy");
    let other = ChainId::new([9; 32]);
    let error = Storage::open(&path, options(), other).unwrap_err();
    let expected = OpenError::WrongChain {
        path: path.clone(),
        found: CHAIN.to_string(),
        expected: other.to_string(),
    };
    assert_eq!(error, expected);
    tamper(&path, |db| {
        db.create_cf("of_the_future", &Options::default()).unwrap();
        let meta = db.cf_handle("meta").unwrap();
        let later = FORMAT_VERSION + 1;
        db.put_cf(meta, b"format", later.to_le_bytes()).unwrap();
    });
    let expected = OpenError::WrongFormat {
        path: path.clone(),
        found: FORMAT_VERSION + 1,
        expected: FORMAT_VERSION,
    };
    assert_eq!(refused(&path), expected);
}

#[test]
fn rows_that_contradict_each_other_are_refused() {
    type Change = fn(&mut DB);
    let height = |height: u64| height.to_be_bytes();
    let head = height(BLOCKS - 1);
    let cases: [(&str, Change); 5] = [
        ("head without its row", |db| {
            let family = db.cf_handle("applied").unwrap();
            db.delete_cf(family, (BLOCKS - 1).to_be_bytes()).unwrap();
        }),
        ("a row above the head", |db| {
            let family = db.cf_handle("applied").unwrap();
            let row = db
                .get_cf(family, (BLOCKS - 1).to_be_bytes())
                .unwrap()
                .unwrap();
            db.put_cf(family, BLOCKS.to_be_bytes(), row).unwrap();
        }),
        ("no undo record", |db| {
            let family = db.cf_handle("undo").unwrap();
            db.delete_cf(family, (BLOCKS - 2).to_be_bytes()).unwrap();
        }),
        ("no journal", |db| {
            let family = db.cf_handle("state_journal").unwrap();
            db.delete_cf(family, (BLOCKS - 1).to_be_bytes()).unwrap();
        }),
        ("no position", |db| {
            let family = db.cf_handle("meta").unwrap();
            db.delete_cf(family, b"position").unwrap();
        }),
    ];
    let written = written();
    for (name, change) in cases {
        let path = written.path().join(name);
        copy(&written.path().join("copy"), &path);
        tamper(&path, |db| {
            let journal = db.cf_handle("state_journal").unwrap();
            assert!(
                db.get_cf(journal, head).unwrap().is_some(),
                "the last block is in the journal, else a case tests nothing"
            );
            change(db);
        });
        let error = refused(&path);
        assert!(
            matches!(error, OpenError::Corrupted { .. }),
            "{name}: {error:?}"
        );
    }
}

#[test]
fn after_a_batch_that_does_not_fit_nothing_is_read_or_written() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let mut builder = builder_at(None);
    for _ in 0..4 {
        advance(&storage, &mut builder);
    }
    let refused = storage.apply(ChainBatch {
        irreversible: Some(Height(9)),
        ..ChainBatch::default()
    });
    let failure = refused.unwrap_err();
    assert_eq!(storage.apply(ChainBatch::default()), Err(failure.clone()));
    assert_eq!(storage.sync(), Err(failure.clone()));
    assert_eq!(
        storage.commit_records(&[holdfast_replica::Record::MempoolRemove(Vec::new())]),
        Err(failure.clone())
    );
    let read = storage.head().unwrap_err();
    assert_eq!(read.reason, failure.to_string());
    drop(storage);
    assert_history(&open(directory.path()), Some(Height(3)));
}
