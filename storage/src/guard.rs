//! The sign guard: what this key has signed, in a small synced file that lives with the key (DESIGN §3).

use holdfast_replica::SignGuardRecord;
use holdfast_types::PublicKey;
use std::path::{Path, PathBuf};

/// Why the guard refuses. No guard, no signing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    #[error("there is no sign guard at {}: `holdfast init` creates one for a new key; for a key that has signed before use `--init-sign-guard`, and the node listens before it signs", path.display())]
    Missing { path: PathBuf },
    #[error("there is a sign guard at {} already: it is never overwritten", path.display())]
    Exists { path: PathBuf },
    #[error("another process{} holds the sign guard {}: two processes must never sign with one key", owner.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), path.display())]
    Locked { path: PathBuf, owner: Option<u32> },
    #[error("the sign guard {} belongs to key {found}, not to {expected}", path.display())]
    ForeignKey {
        path: PathBuf,
        found: PublicKey,
        expected: PublicKey,
    },
    #[error("the sign guard {} is damaged: {reason}. Next step: import an export of it, or create a new one with `--init-sign-guard`", path.display())]
    Corrupted { path: PathBuf, reason: String },
    #[error("the sign guard refuses to lower {what}: it stands at {current}, asked for {asked}")]
    Lowers {
        what: &'static str,
        current: String,
        asked: String,
    },
    #[error("the interchange document is refused: {reason}")]
    Interchange { reason: String },
    #[error("writing the sign guard {} failed: {reason}", path.display())]
    Io { path: PathBuf, reason: String },
}

/// The open, exclusively locked guard of one key.
#[derive(Debug)]
pub struct SignGuardFile {
    record: SignGuardRecord,
}

impl SignGuardFile {
    /// Creates the guard of a key that has signed nothing. An explicit act of the operator.
    pub fn create(_path: &Path, _key: PublicKey) -> Result<Self, GuardError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Opens the guard of `key`.
    pub fn open(_path: &Path, _key: PublicKey) -> Result<Self, GuardError> {
        unimplemented!("bodies follow the signatures")
    }

    /// What the key has signed.
    #[must_use]
    pub const fn record(&self) -> &SignGuardRecord {
        &self.record
    }

    /// True if the newest write was found torn when the file was opened: its signature never left.
    #[must_use]
    pub const fn was_torn(&self) -> bool {
        false
    }

    /// Raises the guard; durable when this returns. Each part stays or rises; the same record again is no write.
    pub fn raise(&mut self, _record: &SignGuardRecord) -> Result<(), GuardError> {
        unimplemented!("bodies follow the signatures")
    }

    /// Interchange document (JSON) with what the key has signed.
    #[must_use]
    pub fn export(&self) -> String {
        unimplemented!("bodies follow the signatures")
    }

    /// Raises the guard to what the document says; where the guard is higher it stays.
    pub fn import(&mut self, _document: &str) -> Result<(), GuardError> {
        unimplemented!("bodies follow the signatures")
    }
}
