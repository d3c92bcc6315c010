//! Is damage in the write-ahead log a torn tail or a hole?
//!
//! RocksDB recovers up to the first record that does not check and drops the rest without a word. That is right for
//! what a dying machine left of writes that nobody synced, and wrong for a flipped bit in the middle: everything
//! after it was acknowledged. The two look alike to the recovery, so this reads the log files before it: if valid
//! records follow a bad one, the bad one was not the end, and the operator decides.
//!
//! Format (RocksDB `log_format.h`): blocks of 32 KiB; each record has a masked CRC-32C over type and payload, a
//! length and a type, and does not cross a block; the last bytes of a block that hold no header are zero.

use crate::error::{NEXT_STEP_WAL, OpenError};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
/// Types of records that carry data: whole records and parts of one. The others are settings at the head of a file.
const DATA_TYPES: std::ops::RangeInclusive<u8> = 1..=4;

/// Refuses log files in which valid records follow a damaged one.
pub(crate) fn check(directory: &Path) -> Result<(), OpenError> {
    let mut damage: Option<(PathBuf, u64)> = None;
    for path in log_files(directory).map_err(|error| OpenError::io(directory, &error))? {
        let found = scan(&path).map_err(|error| OpenError::io(&path, &error))?;
        if let Some((file, offset)) = &damage
            && found.has_data
        {
            return Err(hole(file.clone(), *offset));
        }
        if let Some(offset) = found.damaged_at {
            if found.data_after_damage {
                return Err(hole(path, offset));
            }
            damage.get_or_insert((path, offset));
        }
    }
    if let Some((file, offset)) = damage {
        tracing::warn!(
            file = %file.display(),
            offset,
            "the write-ahead log ends in a torn record, which was never acknowledged: it is dropped"
        );
    }
    Ok(())
}

fn hole(file: PathBuf, offset: u64) -> OpenError {
    OpenError::Corrupted {
        file,
        reason: format!(
            "a record of the write-ahead log at byte {offset} does not check, and valid records follow it"
        ),
        next_step: NEXT_STEP_WAL,
    }
}

/// Log files in the order of their numbers.
fn log_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let number = path
            .file_stem()
            .filter(|_| path.extension().is_some_and(|extension| extension == "log"))
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    has_data: bool,
    damaged_at: Option<u64>,
    data_after_damage: bool,
}

/// What a position in a block holds.
enum Slot {
    Record {
        length: usize,
        kind: u8,
    },
    /// Zeros to the end of the block: nothing was written here.
    Blank,
    Damaged,
}

fn scan(path: &Path) -> io::Result<Scan> {
    let mut file = File::open(path)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut result = Scan::default();
    let mut block_start: u64 = 0;
    loop {
        block.clear();
        file.by_ref()
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(result);
        }
        scan_block(&block, block_start, &mut result);
        block_start += BLOCK_BYTES as u64;
    }
}

fn scan_block(block: &[u8], block_start: u64, result: &mut Scan) {
    let mut offset = 0;
    while offset < block.len() {
        match slot_at(&block[offset..]) {
            Slot::Record { length, kind } => {
                if DATA_TYPES.contains(&kind) {
                    result.has_data = true;
                    result.data_after_damage |= result.damaged_at.is_some();
                }
                offset += HEADER_BYTES + length;
            }
            Slot::Blank => {
                // A blank before data is a page that never reached the device: treated like a damaged one. The
                // trailer of a full block is shorter than a header.
                if block.len() - offset >= HEADER_BYTES {
                    result.damaged_at.get_or_insert(block_start + offset as u64);
                }
                return;
            }
            Slot::Damaged => {
                result.damaged_at.get_or_insert(block_start + offset as u64);
                // Where the next record begins is not known if the length is what was damaged.
                if (offset + 1..block.len()).any(|offset| is_data(&block[offset..])) {
                    result.has_data = true;
                    result.data_after_damage = true;
                }
                return;
            }
        }
    }
}

fn is_data(bytes: &[u8]) -> bool {
    // Cheap to refuse: almost every byte string has no valid type or is too short for its length.
    let plausible = bytes.get(6).is_some_and(|kind| DATA_TYPES.contains(kind));
    plausible && matches!(slot_at(bytes), Slot::Record { length, .. } if length > 0)
}

fn slot_at(bytes: &[u8]) -> Slot {
    if bytes.iter().all(|byte| *byte == 0) {
        return Slot::Blank;
    }
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Slot::Damaged;
    };
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let Some(payload) = rest.get(..length) else {
        return Slot::Damaged;
    };
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
    if mask(checksum) == u32::from_le_bytes([c0, c1, c2, c3]) {
        Slot::Record { length, kind }
    } else {
        Slot::Damaged
    }
}

/// RocksDB stores checksums masked, so that a checksum over data that holds checksums stays strong.
const fn mask(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FULL: u8 = 1;
    const SETTING: u8 = 130;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
        let mut bytes = mask(checksum).to_le_bytes().to_vec();
        let length = u16::try_from(payload.len()).unwrap();
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// A log of records that each fill a quarter of a block.
    fn log(records: usize) -> Vec<u8> {
        (0..records)
            .flat_map(|number| record(FULL, &[number as u8 | 1; BLOCK_BYTES / 4 - HEADER_BYTES]))
            .collect()
    }

    fn checked(files: &[Vec<u8>]) -> Result<(), OpenError> {
        let directory = tempfile::tempdir().unwrap();
        for (number, bytes) in files.iter().enumerate() {
            let name = format!("{:06}.log", number + 7);
            fs::write(directory.path().join(name), bytes).unwrap();
        }
        check(directory.path())
    }

    proptest! {
        #[test]
        fn a_cut_log_has_no_hole(records in 1..12usize, cut in any::<prop::sample::Index>()) {
            let mut bytes = log(records);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert_eq!(checked(&[bytes]), Ok(()));
        }

        #[test]
        fn a_flipped_bit_is_a_hole_unless_nothing_follows(
            records in 1..12usize,
            position in any::<prop::sample::Index>(),
            bit in 0..8u8,
        ) {
            let mut bytes = log(records);
            let position = position.index(bytes.len());
            bytes[position] ^= 1 << bit;
            let is_last = position >= bytes.len() - BLOCK_BYTES / 4;
            prop_assert_eq!(checked(&[bytes]).is_ok(), is_last);
        }
    }

    #[test]
    fn damage_before_a_later_file_with_data_is_a_hole() {
        let mut torn = log(3);
        torn.truncate(torn.len() - 5);
        let empty = record(SETTING, b"settings");
        assert_eq!(checked(&[torn.clone(), empty.clone()]), Ok(()));
        assert_eq!(checked(&[log(2), empty, log(1)]), Ok(()));
        let refused = checked(&[torn, log(1)]).unwrap_err();
        assert!(
            matches!(refused, OpenError::Corrupted { ref file, .. } if file.ends_with("000007.log")),
            "{refused}"
        );
    }

    #[test]
    fn a_blank_page_before_data_is_a_hole() {
        let mut bytes = log(8);
        bytes[BLOCK_BYTES..BLOCK_BYTES + 4096].fill(0);
        assert!(checked(&[bytes]).is_err());
        let mut bytes = log(4);
        bytes.extend_from_slice(&[0; 4096]);
        assert_eq!(checked(&[bytes]), Ok(()));
    }
}
