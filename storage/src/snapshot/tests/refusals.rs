//! What is not a snapshot of this chain leaves nothing behind.

use super::*;
use crate::snapshot::format::{Record, SnapshotReader, SnapshotWriter};
use crate::snapshot::manifest::Manifest;
use holdfast_types::{ChainId, TimestampMs};
use proptest::prelude::*;
use std::sync::LazyLock;

/// A snapshot of six blocks, and the chain that it is of.
static SIX: LazyLock<(SnapshotChain, Vec<u8>)> = LazyLock::new(|| {
    let node = chain_of(6);
    let (_, snapshot) = Follower::of(&node).export(None);
    (of_chain(&node), snapshot)
});

fn refusal(snapshot: &[u8], chain: &SnapshotChain) -> SnapshotError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let refused = import_snapshot(snapshot, &path, chain).unwrap_err();
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "something is left: {refused}");
    refused
}

/// The snapshot with its records changed, and whole again as a file.
fn rewritten(change: impl Fn(&mut Vec<Record>)) -> Vec<u8> {
    let mut reader = SnapshotReader::new(SIX.1.as_slice()).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        records.push(record);
    }
    change(&mut records);
    let mut bytes = Vec::new();
    let mut writer = SnapshotWriter::new(&mut bytes).unwrap();
    for record in &records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn manifest(records: &mut [Record]) -> &mut Manifest {
    match &mut records[0] {
        Record::Manifest(manifest) => manifest,
        other => panic!("the manifest comes first: {other:?}"),
    }
}

fn values(records: &mut [Record]) -> &mut Vec<(Vec<u8>, Vec<u8>)> {
    let values = records.iter_mut().find_map(|record| match record {
        Record::State(values) => Some(values),
        _ => None,
    });
    values.unwrap()
}

#[test]
fn a_state_that_is_not_that_of_the_base_is_refused() {
    type Change = fn(&mut Vec<(Vec<u8>, Vec<u8>)>);
    let changes: [Change; 4] = [
        |values| *values.last_mut().unwrap().1.last_mut().unwrap() ^= 1,
        |values| drop(values.remove(3)),
        |values| values.push((vec![0xff; 40], vec![1])),
        Vec::clear,
    ];
    for change in changes {
        let snapshot = rewritten(|records| change(values(records)));
        let refused = refusal(&snapshot, &SIX.0);
        assert!(
            matches!(refused, SnapshotError::WrongState { .. }),
            "{refused}"
        );
    }
    let snapshot = rewritten(|records| values(records).swap(0, 1));
    assert!(matches!(
        refusal(&snapshot, &SIX.0),
        SnapshotError::Damaged { .. }
    ));
}

#[test]
fn records_out_of_their_place_are_refused() {
    let last_first = rewritten(|records| records.rotate_right(1));
    assert!(matches!(
        refusal(&last_first, &SIX.0),
        SnapshotError::Damaged { .. }
    ));
    let era_last = rewritten(|records| {
        let era = records.remove(1);
        records.push(era);
    });
    assert!(matches!(
        refusal(&era_last, &SIX.0),
        SnapshotError::Refused(_)
    ));
}

#[test]
fn a_snapshot_that_contradicts_its_state_is_refused_and_one_that_is_silent_is_not() {
    let lies = rewritten(|records| manifest(records).emergency_consensus_active = Some(true));
    let refused = refusal(&lies, &SIX.0);
    assert!(refused.to_string().contains("emergency_consensus_active"));
    let late = rewritten(|records| {
        manifest(records).irreversible = Some((Height(5), TimestampMs::ZERO));
    });
    assert!(refusal(&late, &SIX.0).to_string().contains("the time of"));
    let top = rewritten(|records| manifest(records).top.0 = Height(7));
    assert!(matches!(
        refusal(&top, &SIX.0),
        SnapshotError::WrongTop { .. }
    ));
    let silent = rewritten(|records| {
        let manifest = manifest(records);
        manifest.emergency_consensus_active = None;
        manifest.emergency_consensus_start_block = None;
        manifest.irreversible = None;
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let imported = import_snapshot(silent.as_slice(), &path, &SIX.0).unwrap();
    assert!(!imported.is_emergency);
}

#[test]
fn a_snapshot_of_another_chain_is_refused() {
    let other = SnapshotChain {
        id: ChainId::new([3; 32]),
        ..SIX.0.clone()
    };
    assert!(matches!(
        refusal(&SIX.1, &other),
        SnapshotError::WrongChain { .. }
    ));
}

#[test]
fn a_directory_with_anything_in_it_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("notes"), "mine").unwrap();
    let refused = import_snapshot(SIX.1.as_slice(), &path, &SIX.0).unwrap_err();
    assert!(
        matches!(refused, SnapshotError::NotEmpty { .. }),
        "{refused}"
    );
    assert_eq!(std::fs::read(path.join("notes")).unwrap(), b"mine");
    std::fs::remove_file(path.join("notes")).unwrap();
    import_snapshot(SIX.1.as_slice(), &path, &SIX.0).unwrap();
    // Nor is the store that was imported.
    let refused = import_snapshot(SIX.1.as_slice(), &path, &SIX.0).unwrap_err();
    assert!(
        matches!(refused, SnapshotError::NotEmpty { .. }),
        "{refused}"
    );
}

/// An import that died leaves its scratch directory, which the next one removes; one that runs keeps it.
#[test]
fn what_a_dead_import_has_left_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let scratch = directory.path().join("data.importing");
    let running = open(&scratch, None);
    let refused = import_snapshot(SIX.1.as_slice(), &path, &SIX.0).unwrap_err();
    assert!(refused.to_string().contains("another process"), "{refused}");
    drop(running);
    import_snapshot(SIX.1.as_slice(), &path, &SIX.0).unwrap();
    assert!(!scratch.exists());
}

#[test]
fn what_the_store_does_not_have_any_more_is_not_exported() {
    let node = chain_of(14);
    let exporter = Follower::of(&node);
    let export = |height| {
        let exported = exporter
            .storage
            .export_snapshot(Some(Height(height)), Vec::new());
        exported.unwrap_err()
    };
    assert!(matches!(export(15), SnapshotError::AboveHead { .. }));
    let (_, snapshot) = exporter.export(None);
    let imported = Follower::from_snapshot(&snapshot, &node);
    let of_old = imported
        .storage
        .export_snapshot(Some(Height(13)), Vec::new());
    let refused = of_old.unwrap_err();
    assert!(
        matches!(refused, SnapshotError::UndoPruned { .. }),
        "{refused}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_snapshot_with_any_byte_changed_leaves_nothing(
        position in any::<prop::sample::Index>(),
        by in 1..=255u8,
    ) {
        let mut snapshot = SIX.1.clone();
        let position = position.index(snapshot.len());
        snapshot[position] ^= by;
        refusal(&snapshot, &SIX.0);
    }
}
