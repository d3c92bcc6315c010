//! What the contract does not ask: copies, figures, concurrent readers, what is left behind.

use crate::harness::{assert_sound, open, options};
use crate::script::{advance, assert_history, builder_at, next_block, own_key, records};
use holdfast_chain::{ChainBatch, ChainStore};
use holdfast_ledger::StateStore;
use holdfast_replica::Record;
use holdfast_storage::{OpenError, RecordWriter, SignGuardFile, Storage, StorageError};
use holdfast_store_contract::{key_of, transaction};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{Era, Height, Round};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_checkpoint_opens_like_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(&directory.path().join("data"));
    let mut builder = builder_at(None);
    for _ in 0..45 {
        advance(&storage, &mut builder);
    }
    let copy = directory.path().join("copy");
    storage.checkpoint(&copy).unwrap();
    for _ in 0..5 {
        advance(&storage, &mut builder);
    }
    let copied = open(&copy);
    assert_history(&copied, Some(Height(44)));
    assert_eq!(copied.head().unwrap().unwrap().0, Height(44));
    assert_history(&storage, Some(Height(49)));
    let refused = storage.checkpoint(&copy);
    assert!(refused.is_err(), "a checkpoint never overwrites");
}

/// Everything that a directory holds, with the bytes.
fn content(directory: &std::path::Path) -> BTreeMap<std::ffi::OsString, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name(), std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn a_copy_is_read_and_what_it_was_made_of_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(&directory.path().join("data"));
    let mut builder = builder_at(None);
    for _ in 0..45 {
        advance(&storage, &mut builder);
    }
    let checkpoint = directory.path().join("checkpoint");
    storage.checkpoint(&checkpoint).unwrap();
    let before = content(&checkpoint);
    for _ in 0..2 {
        let scratch = tempfile::tempdir().unwrap();
        let copy = Storage::open_copy(&checkpoint, scratch.path()).unwrap();
        assert_eq!(copy.chain_id(), CHAIN);
        assert_history(&copy, Some(Height(44)));
        // Even writing to the copy changes nothing there.
        let mut further = builder.clone();
        for _ in 0..20 {
            advance(&copy, &mut further);
        }
        drop(copy);
        assert!(content(&checkpoint) == before, "a file of it has changed");
    }
    let empty = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let refused = Storage::open_copy(empty.path(), scratch.path());
    assert!(
        matches!(refused, Err(OpenError::Missing { .. })),
        "{refused:?}"
    );
}

#[test]
fn figures_are_given_for_every_family() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let mut builder = builder_at(None);
    for _ in 0..5 {
        advance(&storage, &mut builder);
    }
    let metrics = storage.metrics().unwrap();
    assert_eq!(metrics.families.len(), 19);
    assert!(
        metrics
            .families
            .iter()
            .all(|family| family.memtables_bytes > 0)
    );
    assert!(metrics.unflushed_state_bytes > 0);
    assert!(!metrics.writes_stalled);
    let space = storage.disk_space().unwrap();
    assert!(space.available > 0 && space.available <= space.total);
}

/// State and tree hold the live rows and no others, whatever was popped in between.
#[test]
fn nothing_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let mut builder = builder_at(None);
    for _ in 0..150 {
        advance(&storage, &mut builder);
    }
    // A switch writes the whole state to its place.
    let head = storage.head().unwrap().unwrap();
    storage
        .apply(ChainBatch {
            pop: vec![head],
            ..ChainBatch::default()
        })
        .unwrap();
    let builder = builder_at(Some(head.0.previous()));
    let report = storage.check().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.state_values, builder.values().len() as u64);
    assert_eq!(report.tree_nodes, builder.live_nodes().count() as u64);
    assert_eq!(report.blocks, head.0.0);
    let undo_from = storage.view().undo_from().unwrap();
    assert_eq!(report.undo_records, head.0.since(undo_from));
}

/// A reader sees the head and the state of one and the same batch.
#[test]
fn readers_see_complete_batches() {
    const BLOCKS: u64 = 300;
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(open(directory.path()));
    let mut builder = builder_at(None);
    let mut states = vec![];
    for _ in 0..=BLOCKS {
        next_block(&mut builder);
        states.push(builder.values().clone());
    }
    let states = Arc::new(states);
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (storage, states, done) =
                (Arc::clone(&storage), Arc::clone(&states), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut seen = 0_u64;
                let mut last = Height::ZERO;
                while !done.load(Ordering::Acquire) || last < Height(BLOCKS) {
                    let view = storage.view();
                    let Some((head, id)) = view.head().unwrap() else {
                        continue;
                    };
                    assert!(head >= last, "the head went back");
                    let state = &states[usize::try_from(head.0).unwrap()];
                    for number in 0..40 {
                        let key = key_of(number);
                        assert_eq!(
                            view.value(&key).unwrap().as_ref(),
                            state.get(&key),
                            "{head}"
                        );
                    }
                    assert_eq!(view.block_id_at(head), Ok(Some(id)));
                    assert_eq!(view.block_at(head.next()), Ok(None));
                    seen += u64::from(head > last);
                    last = head;
                }
                seen
            })
        })
        .collect();
    let mut builder = builder_at(None);
    for _ in 0..=BLOCKS {
        let block = next_block(&mut builder);
        storage
            .apply(ChainBatch {
                apply: vec![block],
                ..ChainBatch::default()
            })
            .unwrap();
    }
    done.store(true, Ordering::Release);
    let seen: u64 = readers
        .into_iter()
        .map(|reader| reader.join().unwrap())
        .sum();
    assert!(seen >= 3, "the readers saw nothing");
    assert_sound(&storage);
}

#[test]
fn receipts_events_and_ranges_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path());
    let mut builder = builder_at(None);
    for _ in 0..20 {
        advance(&storage, &mut builder);
    }
    let view = storage.view();
    let lookup = view.receipt(&transaction(12).id()).unwrap().unwrap();
    assert_eq!((lookup.height, lookup.index), (Height(13), 0));
    assert_eq!(lookup.receipt.transaction, transaction(12).id());
    assert_eq!(view.receipt(&transaction(99).id()), Ok(None));
    assert_eq!(view.block_events_at(Height(4)).unwrap().unwrap().len(), 1);
    assert_eq!(view.block_events_at(Height(20)), Ok(None));
    let heights = |from, count, bytes_max| {
        let blocks = view.blocks_from(Height(from), count, bytes_max).unwrap();
        let heights = blocks.iter().map(|(_, block)| block.header.height.0);
        heights.collect::<Vec<_>>()
    };
    assert_eq!(heights(3, 4, usize::MAX), [3, 4, 5, 6]);
    assert_eq!(heights(18, 9, usize::MAX), [18, 19]);
    assert_eq!(heights(20, 9, usize::MAX), [0; 0]);
    assert_eq!(
        heights(5, 9, 0),
        [5],
        "at least one block, or sync never ends"
    );
    assert_eq!(view.lowest_block(), Ok(Height::ZERO));
    assert_eq!(view.undo_from(), Ok(Height::ZERO));
}

#[test]
fn what_the_guard_refuses_is_never_written() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(open(&directory.path().join("data")));
    let guard = SignGuardFile::create(&directory.path().join("guard"), own_key()).unwrap();
    let mut writer = RecordWriter::new(Arc::clone(&storage), Some(guard));
    writer.commit(&records(Height(5))).unwrap();
    let guard = writer.guard().unwrap();
    assert_eq!(guard.record().vertex, Some((Era(1), Round(6))));
    assert_eq!(
        storage.last_own_vertex(Era(1)).unwrap().unwrap().round(),
        Round(6)
    );
    // A lower slot is refused by the guard, so its vertex is never written, nor is anything after it.
    let refused = writer.commit(&records(Height(3))).unwrap_err();
    assert!(matches!(refused, StorageError::Guard { .. }), "{refused}");
    assert_eq!(
        storage.last_own_vertex(Era(1)).unwrap().unwrap().round(),
        Round(6)
    );
    assert_eq!(writer.commit(&records(Height(9))), Err(refused.clone()));
    assert_eq!(storage.apply(ChainBatch::default()), Err(refused));
}

#[test]
fn a_guard_record_without_a_guard_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(open(&directory.path().join("data")));
    let mut writer = RecordWriter::new(Arc::clone(&storage), None);
    writer
        .commit(&[Record::MempoolInsert(Arc::new(transaction(1)))])
        .unwrap();
    let refused = writer.commit(&records(Height(5))).unwrap_err();
    assert!(matches!(refused, StorageError::Guard { .. }), "{refused}");
    assert_eq!(storage.last_own_vertex(Era(1)), Ok(None));
    drop((storage, writer));
    let path = directory.path().join("data");
    let storage = Storage::open(&path, options(), CHAIN).unwrap();
    let refused = storage.commit_records(&records(Height(5))).unwrap_err();
    assert!(matches!(refused, StorageError::Guard { .. }), "{refused}");
}
