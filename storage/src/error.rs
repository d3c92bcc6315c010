//! Errors, split by what the caller must do.

use holdfast_ledger::StateError;
use std::path::{Path, PathBuf};

/// What to do about a damaged store: its content can be had from the network, its key's memory cannot.
pub(crate) const NEXT_STEP_RESYNC: &str = "restore the directory from a copy, or move it away and let the node sync \
     into a new one; leave the sign guard in its place";
/// What to do about a damaged write-ahead log.
pub(crate) const NEXT_STEP_WAL: &str = "restore the directory from a copy, or open once with damage in the \
     write-ahead log truncated: what follows the damage is dropped and comes back from peers; leave the sign guard \
     in its place";

/// Why a store does not open. Nothing on disk was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("there is no database in {}: create it with `holdfast init`", path.display())]
    Missing { path: PathBuf },
    #[error("there is a database in {} already: it is not overwritten", path.display())]
    Exists { path: PathBuf },
    #[error(
        "another process{} has {} open: stop it first, or use another data directory",
        owner.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        path.display()
    )]
    Locked { path: PathBuf, owner: Option<u32> },
    #[error(
        "{} has storage format {found}, this version reads {expected}: run the version that wrote it, or sync into a new directory",
        path.display()
    )]
    WrongFormat {
        path: PathBuf,
        found: u32,
        expected: u32,
    },
    #[error(
        "{} belongs to chain {found}, the genesis file is of chain {expected}: check genesis file and data directory",
        path.display()
    )]
    WrongChain {
        path: PathBuf,
        found: String,
        expected: String,
    },
    #[error("{} is damaged: {reason}. Nothing was changed. Next step: {next_step}", file.display())]
    Corrupted {
        file: PathBuf,
        reason: String,
        next_step: &'static str,
    },
    #[error("{} cannot be used: {reason}", path.display())]
    Io { path: PathBuf, reason: String },
}

/// A read or write of an open store failed. Fatal: the node stops and sends nothing more. The first failure of a
/// write is kept, and every later write returns it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Free space, then start again: nothing that was acknowledged is lost.
    #[error("{operation}: no space left on the device: {reason}")]
    NoSpace {
        operation: &'static str,
        reason: String,
    },
    #[error("{operation}: the store is damaged: {reason}. Next step: {NEXT_STEP_RESYNC}")]
    Corrupted {
        operation: &'static str,
        reason: String,
    },
    #[error("{operation} failed: {reason}")]
    Database {
        operation: &'static str,
        reason: String,
    },
    /// The caller's mistake: the chain and its store disagree on what comes next.
    #[error("the batch does not continue the chain in the store: {reason}")]
    WrongBatch { reason: String },
    #[error("the sign guard was not raised: {reason}")]
    Guard { reason: String },
}

impl StorageError {
    pub(crate) fn of_database(operation: &'static str, error: &rocksdb::Error) -> Self {
        let reason = error.to_string();
        if reason.contains("No space left") || reason.contains("Disk quota exceeded") {
            Self::NoSpace { operation, reason }
        } else if error.kind() == rocksdb::ErrorKind::Corruption {
            Self::Corrupted { operation, reason }
        } else {
            Self::Database { operation, reason }
        }
    }

    /// A row that does not decode, or rows that contradict each other.
    pub(crate) fn damaged(operation: &'static str, reason: impl Into<String>) -> Self {
        Self::Corrupted {
            operation,
            reason: reason.into(),
        }
    }
}

impl From<StorageError> for StateError {
    fn from(error: StorageError) -> Self {
        Self {
            reason: error.to_string(),
        }
    }
}

impl OpenError {
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    /// A failure of the database while it was opened.
    pub(crate) fn of_database(path: &Path, error: &rocksdb::Error) -> Self {
        let reason = error.to_string();
        let missing_file = reason.contains("No such file or directory");
        if error.kind() == rocksdb::ErrorKind::Corruption || missing_file {
            return Self::Corrupted {
                file: file_in_message(path, &reason),
                reason,
                next_step: NEXT_STEP_RESYNC,
            };
        }
        Self::Io {
            path: path.to_owned(),
            reason,
        }
    }

    /// A store that opens, but whose rows do not fit together.
    pub(crate) fn of_storage(path: &Path, error: &StorageError) -> Self {
        match error {
            StorageError::Corrupted { reason, .. } => Self::Corrupted {
                file: file_in_message(path, reason),
                reason: reason.clone(),
                next_step: NEXT_STEP_RESYNC,
            },
            _ => Self::Io {
                path: path.to_owned(),
                reason: error.to_string(),
            },
        }
    }
}

/// The file of the store that a message of the database names; the directory if it names none.
fn file_in_message(path: &Path, message: &str) -> PathBuf {
    let is_ours = |name: &str| {
        name.starts_with("MANIFEST-")
            || name == "CURRENT"
            || [".sst", ".log"].iter().any(|end| name.ends_with(end))
    };
    message
        .split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '(' | ')' | ','))
        .map(|word| word.trim_end_matches([':', '.', ';']))
        .filter_map(|word| word.rsplit('/').next())
        .find(|name| is_ours(name))
        .map_or_else(|| path.to_owned(), |name| path.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_in_the_message() {
        let path = Path::new("/data");
        let file = |message| file_in_message(path, message);
        assert_eq!(
            file(
                "Corruption: block checksum mismatch: stored = 1, computed = 2  in /data/000012.sst offset 0 size 9"
            ),
            path.join("000012.sst")
        );
        assert_eq!(
            file("Corruption: CURRENT file does not end with newline"),
            path.join("CURRENT")
        );
        assert_eq!(
            file(
                "IO error: No such file or directory: while open a file: /data/MANIFEST-000005: gone"
            ),
            path.join("MANIFEST-000005")
        );
        assert_eq!(file("Corruption: something else"), path);
    }
}
