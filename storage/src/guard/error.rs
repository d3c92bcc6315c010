//! Why the guard refuses.

use holdfast_types::PublicKey;
use std::path::{Path, PathBuf};

/// Why the guard refuses. No guard, no signing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    #[error(
        "there is no sign guard at {}: `holdfast init` creates one for a new key; for a key that may have signed before use `--init-sign-guard`, and the node listens before it signs",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("there is a sign guard at {} already: it is never overwritten", path.display())]
    Exists { path: PathBuf },
    #[error(
        "another process holds the sign guard {}: two processes must never sign with one key",
        path.display()
    )]
    Locked { path: PathBuf },
    #[error("the sign guard {} belongs to key {found}, not to key {expected}", path.display())]
    ForeignKey {
        path: PathBuf,
        found: PublicKey,
        expected: PublicKey,
    },
    #[error(
        "the sign guard {} is damaged: {reason}. Next step: move it away, create a new one with `--init-sign-guard` and import the last export into it; the node listens before it signs",
        path.display()
    )]
    Corrupted { path: PathBuf, reason: String },
    /// The caller's mistake, or a second instance of the key: nothing was signed.
    #[error("the sign guard refuses to lower {what}: it stands at {current}, asked for {asked}")]
    Lowers {
        what: &'static str,
        current: String,
        asked: String,
    },
    #[error("the interchange document is refused: {reason}")]
    Interchange { reason: String },
    /// Fatal: what the file holds is not known, so nothing is signed any more.
    #[error("writing or reading the sign guard {} failed: {reason}", path.display())]
    Io { path: PathBuf, reason: String },
}

impl GuardError {
    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}
