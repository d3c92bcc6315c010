//! The format of every key and value is pinned in `conformance.toml`: a change orphans stored data.

use crate::column_family::ColumnFamily;
use crate::keys;
use crate::rows::{AppliedRow, JournalRow, OwnVertexRow, Position, ReceiptsRow, encode_undo};
use crate::snapshot::Manifest;
use crate::snapshot::format::{Record, SnapshotWriter};
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_chain::snapshot::{EraLink, ExecutedRecord};
use holdfast_ledger::{StateChanges, UndoRecord};
use holdfast_pinned::Formats;
use holdfast_types::test_util::{Sample, Sampler};
use holdfast_types::{BlockId, Era, Height, Round, VertexRef};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

const CASES: u64 = 64;

fn add<T>(formats: &mut Formats, name: &str, sample: impl Fn(&mut Sampler) -> T)
where
    T: BorshSerialize + BorshDeserialize + PartialEq + Debug,
{
    let samples = (0..CASES).map(|case| sample(&mut Sampler::new(name, case)));
    formats.add(name, samples);
}

fn any<T: Sample>(sampler: &mut Sampler) -> T {
    T::sample(sampler)
}

fn bytes(sampler: &mut Sampler) -> Vec<u8> {
    let length = sampler.below(40) as usize;
    sampler.bytes::<40>()[..length].to_vec()
}

fn list<T>(sampler: &mut Sampler, item: impl Fn(&mut Sampler) -> T) -> Vec<T> {
    (0..sampler.below(5)).map(|_| item(sampler)).collect()
}

fn option<T>(sampler: &mut Sampler, item: impl Fn(&mut Sampler) -> T) -> Option<T> {
    (sampler.below(3) > 0).then(|| item(sampler))
}

fn changes(sampler: &mut Sampler) -> StateChanges {
    StateChanges {
        values: list(sampler, |s| (bytes(s), option(s, bytes))),
        tree_nodes: list(sampler, |s| (bytes(s), option(s, bytes))),
    }
}

fn undo_record(sampler: &mut Sampler) -> UndoRecord {
    UndoRecord {
        values: list(sampler, |s| (bytes(s), option(s, bytes))),
    }
}

/// A snapshot of one record, from its first byte to its last.
fn record(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = SnapshotWriter::new(&mut bytes).unwrap();
    writer.write(record).unwrap();
    writer.finish().unwrap();
    bytes
}

fn position(sampler: &mut Sampler) -> Position {
    Position {
        head: option(sampler, |s| (any(s), any(s))),
        irreversible: any(sampler),
        certified: any(sampler),
        state_flushed: option(sampler, any),
        undo_from: any(sampler),
        lowest_block: any(sampler),
        base: any(sampler),
    }
}

/// `key_by_block`: of blocks, fork_blocks, certificates. `key_by_height`: of applied, receipts, state_journal, undo,
/// and value of block_index. `key_by_era`: of eras, own_vertices. The values that are not here are types of the
/// vocabulary, pinned there.
fn formats() -> Formats {
    let mut formats = Formats::default();
    let formats_mut = &mut formats;
    add(formats_mut, "key_by_block", |s| {
        keys::block_key(any(s), &any::<BlockId>(s))
    });
    add(formats_mut, "key_by_height", |s| {
        keys::height_key(any::<Height>(s))
    });
    add(formats_mut, "key_by_era", |s| keys::era_key(any::<Era>(s)));
    add(formats_mut, "key_mempool", |s| keys::sequence_key(any(s)));
    add(formats_mut, "key_halt_journal", |s| {
        keys::sequence_key(any(s))
    });
    add(formats_mut, "keys_of_halts", |_| {
        keys::HALT_STATE_KEY.to_vec()
    });
    add(formats_mut, "key_vertices", |s| {
        keys::vertex_key(any::<Era>(s), &any::<VertexRef>(s))
    });
    add(formats_mut, "bound_vertices", |s| {
        keys::vertices_above_key(any::<Era>(s), any::<Round>(s))
    });
    add(formats_mut, "value_transactions", |s| {
        keys::place(any::<Height>(s), any(s))
    });
    add(formats_mut, "value_applied", |s| AppliedRow {
        id: any(s),
        commit: option(s, any),
        anchors_era: s.below(2) == 0,
    });
    add(formats_mut, "value_receipts", |s| ReceiptsRow {
        receipts: list(s, any),
        events: list(s, any),
    });
    add(formats_mut, "value_own_vertices", |s| OwnVertexRow {
        reference: any(s),
        header: any(s),
    });
    add(formats_mut, "value_state_journal", |s| {
        let row: JournalRow = borsh::from_slice(&JournalRow::encode(&changes(s))).unwrap();
        row
    });
    add(formats_mut, "value_undo", |s| {
        let record: UndoRecord = borsh::from_slice(&encode_undo(&undo_record(s))).unwrap();
        record
    });
    add(formats_mut, "value_meta_position", position);
    add_snapshots(formats_mut);
    add(formats_mut, "names_of_families", |_| {
        ColumnFamily::ALL
            .map(|family| family.name().to_owned())
            .to_vec()
    });
    add(formats_mut, "keys_of_meta", |_| {
        [keys::FORMAT_KEY, keys::CHAIN_KEY, keys::POSITION_KEY]
            .map(<[u8]>::to_vec)
            .to_vec()
    });
    formats
}

/// Each kind of record, in a file of its own.
fn add_snapshots(formats_mut: &mut Formats) {
    add(formats_mut, "snapshot_manifest", |s| {
        record(&Record::Manifest(Manifest {
            chain: any(s),
            base: (any(s), any(s)),
            top: (any(s), any(s)),
            software: s.below(100).to_string(),
            emergency_consensus_active: option(s, any),
            emergency_consensus_start_block: option(s, any),
            irreversible: option(s, |s| (any(s), any(s))),
        }))
    });
    add(formats_mut, "snapshot_era", |s| {
        record(&Record::Era(Box::new(EraLink {
            context: any(s),
            proof: option(s, |s| (any(s), any(s))),
        })))
    });
    add(formats_mut, "snapshot_block", |s| {
        record(&Record::Block(Box::new(ExecutedRecord {
            block: any(s),
            receipts: list(s, any),
            events: list(s, any),
            certificate: option(s, any),
        })))
    });
    add(formats_mut, "snapshot_state", |s| {
        record(&Record::State(list(s, |s| (bytes(s), bytes(s)))))
    });
}

#[test]
fn stored_formats_are_pinned() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance.toml");
    formats().compare(&path);
}

#[test]
fn families_are_listed_once() {
    let names: BTreeSet<_> = ColumnFamily::ALL
        .iter()
        .map(|family| family.name())
        .collect();
    assert_eq!(names.len(), ColumnFamily::ALL.len());
}

#[test]
fn a_journal_row_gives_back_the_values() {
    let mut sampler = Sampler::new("journal", 1);
    for _ in 0..20 {
        let changes = changes(&mut sampler);
        let row: JournalRow = borsh::from_slice(&JournalRow::encode(&changes)).unwrap();
        assert_eq!(row.values, changes.values);
    }
}
