//! Errors, split by what the caller must do.

use std::path::PathBuf;

/// Why a store does not open. Nothing on disk was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("there is no database in {}: create it with `holdfast init`", path.display())]
    Missing { path: PathBuf },
    #[error("there is a database in {} already: it is not overwritten", path.display())]
    Exists { path: PathBuf },
    #[error("another process{} has {} open: stop it first, or use another data directory", owner.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), path.display())]
    Locked { path: PathBuf, owner: Option<u32> },
    #[error("{} has storage format {found}, this version reads {expected}: run the version that wrote it, or sync into a new directory", path.display())]
    WrongFormat {
        path: PathBuf,
        found: u32,
        expected: u32,
    },
    #[error("{} belongs to chain {found}, the genesis file is of chain {expected}: check genesis file and data directory", path.display())]
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
    #[error("{operation} failed: {reason}")]
    Database {
        operation: &'static str,
        reason: String,
    },
    #[error("the store contradicts itself: {reason}")]
    Inconsistent { reason: String },
    #[error("the batch does not continue the chain in the store: {reason}")]
    WrongBatch { reason: String },
    #[error("the sign guard was not raised: {reason}")]
    Guard { reason: String },
}
