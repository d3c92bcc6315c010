//! The file: two pages, written in turn, each with two copies of its record.
//!
//! A torn write spoils at most the page that it was writing, so the record before it stays. A flipped bit spoils one
//! copy of two, so it never brings an older record back. The file never grows and is written in place, so a sync
//! writes one page and no metadata.
//!
//! ```text
//! page 0: copy of record n     at 0,    copy of record n     at 2048
//! page 1: copy of record n + 1 at 4096, copy of record n + 1 at 6144
//! copy:   "HFGUARD5" | number, u64 LE | length, u32 LE | record, borsh | BLAKE3 of all before
//! ```

use super::error::GuardError;
use holdfast_replica::SignGuardRecord;
use holdfast_types::codec;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"HFGUARD5";
const PAGE_BYTES: usize = 4096;
const COPY_BYTES: usize = PAGE_BYTES / 2;
const FILE_BYTES: usize = 2 * PAGE_BYTES;
const HEADER_BYTES: usize = 8 + 8 + 4;
const CHECKSUM_BYTES: usize = 32;
/// An encoded record is at most 634 bytes long.
const RECORD_BYTES_MAX: usize = 1024;

const _: () = assert!(HEADER_BYTES + RECORD_BYTES_MAX + CHECKSUM_BYTES <= COPY_BYTES);

/// The open, locked file.
#[derive(Debug)]
pub(super) struct SlotFile {
    path: PathBuf,
    file: File,
    /// Number of the newest record; it lies in page `number % 2`.
    number: u64,
}

/// What opening found.
#[derive(Debug)]
pub(super) struct Read {
    pub record: SignGuardRecord,
    /// Some copy did not check.
    pub is_damaged: bool,
    /// Neither copy of the page that the newest write went to checks.
    pub was_torn: bool,
}

/// Creates the file with `record` in both pages, durable with its name when this returns.
pub(super) fn create(path: &Path, record: &SignGuardRecord) -> Result<(), GuardError> {
    let io = |error: std::io::Error| GuardError::io(path, &error);
    let exists = || GuardError::Exists {
        path: path.to_owned(),
    };
    if path.exists() {
        return Err(exists());
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut contents = encode_page(0, record);
    contents.extend_from_slice(&encode_page(1, record));
    // The name appears with the complete file or not at all, and never in place of another.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(io)?;
    let written = file
        .write_all(&contents)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists()),
        other => other.map_err(io)?,
    }
    removed.map_err(io)?;
    let directory = File::open(directory).map_err(io)?;
    directory.sync_all().map_err(io)
}

impl SlotFile {
    pub(super) fn open(path: &Path) -> Result<(Self, Read), GuardError> {
        let io = |error: std::io::Error| GuardError::io(path, &error);
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|error| match error.kind() {
            ErrorKind::NotFound => GuardError::Missing {
                path: path.to_owned(),
            },
            _ => io(error),
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(GuardError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let length = file.metadata().map_err(io)?.len();
        if length != FILE_BYTES as u64 {
            return Err(GuardError::Corrupted {
                path: path.to_owned(),
                reason: format!("it is {length} bytes long, not {FILE_BYTES}"),
            });
        }
        let mut contents = [0; FILE_BYTES];
        file.read_exact_at(&mut contents, 0).map_err(io)?;
        let (number, read) = newest(&contents).map_err(|reason| GuardError::Corrupted {
            path: path.to_owned(),
            reason,
        })?;
        let slots = Self {
            path: path.to_owned(),
            file,
            number,
        };
        Ok((slots, read))
    }

    /// Writes `record` over the older page and syncs it. After a failure the file's content is not known.
    pub(super) fn write(&mut self, record: &SignGuardRecord) -> Result<(), GuardError> {
        let number = self.number + 1;
        let page = encode_page(number, record);
        self.file
            .write_all_at(&page, (number % 2) * PAGE_BYTES as u64)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| GuardError::io(&self.path, &error))?;
        self.number = number;
        Ok(())
    }
}

fn encode_page(number: u64, record: &SignGuardRecord) -> Vec<u8> {
    let record = codec::encode(record);
    assert!(
        record.len() <= RECORD_BYTES_MAX,
        "a guard record has a fixed greatest length"
    );
    let mut copy = Vec::with_capacity(COPY_BYTES);
    copy.extend_from_slice(MAGIC);
    copy.extend_from_slice(&number.to_le_bytes());
    copy.extend_from_slice(&(record.len() as u32).to_le_bytes());
    copy.extend_from_slice(&record);
    let checksum = blake3::hash(&copy);
    copy.extend_from_slice(checksum.as_bytes());
    copy.resize(COPY_BYTES, 0);
    copy.repeat(2)
}

/// The newest record and its number.
fn newest(contents: &[u8; FILE_BYTES]) -> Result<(u64, Read), String> {
    let copies: Vec<_> = contents.chunks(COPY_BYTES).map(decode_copy).collect();
    let page = |page: usize| &copies[page * 2..page * 2 + 2];
    let newest = copies
        .iter()
        .flatten()
        .max_by_key(|(number, _)| *number)
        .ok_or("no copy of a record checks")?;
    let (number, record) = newest.clone();
    let of_same_number = copies.iter().flatten().filter(|copy| copy.0 == number);
    for (_, other) in of_same_number {
        if *other != record {
            return Err(format!("two different records carry the number {number}"));
        }
    }
    // The newest write went to the page after the newest record if that one is unreadable, else to its own.
    let newest_page = usize::from(number % 2 == 1);
    let read = Read {
        record,
        is_damaged: copies.iter().any(Option::is_none),
        was_torn: page(1 - newest_page).iter().all(Option::is_none),
    };
    Ok((number, read))
}

fn decode_copy(copy: &[u8]) -> Option<(u64, SignGuardRecord)> {
    let (magic, rest) = copy.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if magic != MAGIC || length > RECORD_BYTES_MAX {
        return None;
    }
    let record = rest.get(..length)?;
    let checksum = rest.get(length..length + CHECKSUM_BYTES)?;
    if blake3::hash(&copy[..HEADER_BYTES + length]).as_bytes() != checksum {
        return None;
    }
    let record = codec::decode("a sign guard record", record, RECORD_BYTES_MAX).ok()?;
    Some((u64::from_le_bytes(*number), record))
}
