//! What is not just what was written is refused.

use super::*;
use holdfast_types::test_util::{CHAIN, Sample, Sampler};
use holdfast_types::{BlockId, Height};
use proptest::prelude::*;

fn manifest() -> Manifest {
    Manifest {
        chain: CHAIN,
        base: (Height(5), BlockId::new([5; 32])),
        top: (Height(6), BlockId::new([6; 32])),
        software: String::from("0.1.0"),
        emergency_consensus_active: Some(true),
        emergency_consensus_start_block: Some(Height(6)),
        irreversible: Some((Height(4), holdfast_types::TimestampMs(40))),
    }
}

/// One record of each kind.
fn records() -> Vec<Record> {
    let sampler = &mut Sampler::new("snapshot", 0);
    vec![
        Record::Manifest(manifest()),
        Record::Era(Box::new(EraLink {
            context: Sample::sample(sampler),
            proof: Some((Sample::sample(sampler), Sample::sample(sampler))),
        })),
        Record::Block(Box::new(ExecutedRecord {
            block: Sample::sample(sampler),
            receipts: vec![Sample::sample(sampler)],
            events: vec![Sample::sample(sampler)],
            certificate: Some(Sample::sample(sampler)),
        })),
        Record::State(vec![(vec![1], vec![2, 3]), (vec![4], Vec::new())]),
        Record::BlockAbove(Box::new(Sample::sample(sampler))),
    ]
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = SnapshotWriter::new(&mut bytes).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Record>, SnapshotError> {
    let mut reader = SnapshotReader::new(bytes)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    Ok(records)
}

/// A file of the version `minor` with a record that nobody knows yet.
fn of_a_later_version(minor: u16) -> Vec<u8> {
    let header = header(MAJOR, minor);
    let mut bytes = header.clone();
    let mut writer = SnapshotWriter {
        inner: &mut bytes,
        hash: Purpose::SNAPSHOT.hash(&header),
    };
    writer.write(&Record::Manifest(manifest())).unwrap();
    writer.put(77, b"what comes later").unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn every_record_comes_back() {
    assert_eq!(read(&written(&records())).unwrap(), records());
}

#[test]
fn records_of_a_newer_minor_version_are_passed_over() {
    let later = read(&of_a_later_version(MINOR + 1)).unwrap();
    assert_eq!(later, [Record::Manifest(manifest())]);
    let refusal = read(&of_a_later_version(MINOR)).unwrap_err();
    assert!(refusal.to_string().contains("kind 77"), "{refusal}");
}

#[test]
fn a_newer_major_version_is_refused_by_its_number() {
    let mut bytes = written(&records());
    bytes[MAGIC.len()] = 9;
    let refusal = read(&bytes).unwrap_err();
    assert!(
        matches!(refusal, SnapshotError::NewerFormat { found: 9, .. }),
        "{refusal}"
    );
}

#[test]
fn other_files_are_no_snapshots() {
    for bytes in [
        &b""[..],
        b"HOLDFAST",
        b"something that is long enough to be one",
    ] {
        assert!(matches!(read(bytes), Err(SnapshotError::NotASnapshot)));
    }
}

#[test]
fn a_length_that_lies_costs_no_memory() {
    let mut bytes = header(MAJOR, MINOR);
    bytes.push(STATE);
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    let refusal = read(&bytes).unwrap_err();
    assert!(refusal.to_string().contains("bytes long"), "{refusal}");
}

#[test]
fn records_that_are_moved_left_out_or_doubled_are_refused() {
    let bytes = |order: &[usize]| {
        // Each record as it stands in the file, hash included.
        let whole = written(&records());
        let mut at = MAGIC.len() + 4;
        let mut parts = Vec::new();
        while at < whole.len() {
            let length = u32::from_le_bytes(whole[at + 1..at + 5].try_into().unwrap());
            let end = at + 5 + length as usize + 32;
            parts.push(whole[at..end].to_vec());
            at = end;
        }
        let mut bytes = whole[..MAGIC.len() + 4].to_vec();
        bytes.extend(order.iter().flat_map(|number| parts[*number].clone()));
        bytes
    };
    assert!(read(&bytes(&[0, 1, 2, 3, 4, 5])).is_ok());
    for order in [
        &[0, 2, 1, 3, 4, 5][..],
        &[0, 1, 2, 4, 5],
        &[0, 1, 2, 3, 3, 4, 5],
        &[0, 1, 2, 3, 4],
        &[0, 1, 2, 3, 4, 5, 5],
    ] {
        let refused = read(&bytes(order));
        assert!(
            matches!(refused, Err(SnapshotError::Damaged { .. })),
            "{order:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bit_that_flips_is_noticed(position in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = written(&records());
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn any_end_that_is_missing_is_noticed(length in any::<prop::sample::Index>()) {
        let bytes = written(&records());
        prop_assert!(read(&bytes[..length.index(bytes.len())]).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = header(MAJOR, MINOR);
        bytes.extend(tail);
        prop_assert!(read(&bytes).is_err());
    }
}
