//! Key files on disk.

use super::format::{FormatError, KeyFile, KeyKind};
use super::password::{Password, PasswordError};
use super::seal::{SealError, UnlockError, UnlockedKey};
use crate::durable_file::{self, Existing};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A key file could not be read, written or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    #[error("{path} does not exist")]
    Missing { path: PathBuf },
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} can be read by others (mode {mode:04o})")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{path}: {source}")]
    Refused { path: PathBuf, source: FormatError },
    #[error("{path} holds {article} {found}, wanted is {wanted_article} {wanted}", article = found.article(), wanted_article = wanted.article())]
    WrongKind {
        path: PathBuf,
        found: KeyKind,
        wanted: KeyKind,
    },
    #[error("{path}: {source}")]
    Locked { path: PathBuf, source: UnlockError },
    #[error("{path} is there already")]
    Exists { path: PathBuf },
    #[error("cannot write {path}: {source}")]
    Unwritable { path: PathBuf, source: io::Error },
}

/// Reads a key file without opening it. Refuses files that others than the owner may read.
///
/// # Errors
/// Everything but `WrongKind`, `Locked`, `Exists` and `Unwritable`.
pub fn load(path: &Path) -> Result<KeyFile, KeystoreError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeystoreError::Missing {
            path: path.to_owned(),
        },
        _ => KeystoreError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a regular file")));
    }
    // Asked of the open file, not of its name, which could point elsewhere a moment later.
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeystoreError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let bytes = durable_file::read_bounded(&mut file, KEY_FILE_BYTES_MAX).map_err(unreadable)?;
    let refused = |source| KeystoreError::Refused {
        path: path.to_owned(),
        source,
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        refused(FormatError::NotAKeyFile {
            reason: error.to_string(),
        })
    })?;
    text.parse().map_err(refused)
}

/// Reads a key file without opening it, and checks what it is for: before anybody is asked for its password.
///
/// # Errors
/// Everything but `Locked`, `Exists` and `Unwritable`.
pub fn load_of(path: &Path, wanted: KeyKind) -> Result<KeyFile, KeystoreError> {
    let key_file = load(path)?;
    let found = key_file.kind();
    if found != wanted {
        return Err(KeystoreError::WrongKind {
            path: path.to_owned(),
            found,
            wanted,
        });
    }
    Ok(key_file)
}

/// Reads a key file, checks what it is for, and opens it. Warns in the log when the file protects nothing.
///
/// # Errors
/// Everything but `Exists` and `Unwritable`.
pub fn unlock(
    path: &Path,
    wanted: KeyKind,
    password: &Password,
) -> Result<UnlockedKey, KeystoreError> {
    let key_file = load_of(path, wanted)?;
    if key_file.is_insecure() {
        tracing::warn!(
            path = %path.display(),
            "INSECURE KEY FILE: its password can be guessed in no time (insecure_kdf); use it for a devnet only"
        );
    }
    key_file
        .unlock(password)
        .map_err(|source| KeystoreError::Locked {
            path: path.to_owned(),
            source,
        })
}

/// Writes a key file that was not there before; never touches another one.
///
/// # Errors
/// `Exists` or `Unwritable`.
pub fn save_new(path: &Path, key_file: &KeyFile) -> Result<(), KeystoreError> {
    save(path, key_file, Existing::Keep)
}

/// Puts a key file in the place of one that the caller has opened: same key, new password.
///
/// # Errors
/// `Unwritable`.
pub fn save_replacing(path: &Path, key_file: &KeyFile) -> Result<(), KeystoreError> {
    save(path, key_file, Existing::Replace)
}

fn save(path: &Path, key_file: &KeyFile, existing: Existing) -> Result<(), KeystoreError> {
    let json = key_file.to_json();
    durable_file::write(path, json.as_bytes(), durable_file::PRIVATE, existing).map_err(|source| {
        match source.kind() {
            io::ErrorKind::AlreadyExists => KeystoreError::Exists {
                path: path.to_owned(),
            },
            _ => KeystoreError::Unwritable {
                path: path.to_owned(),
                source,
            },
        }
    })
}

impl From<KeystoreError> for Failure {
    fn from(error: KeystoreError) -> Self {
        let why = error.to_string();
        let keystore =
            |what: &str, next_step: String| Self::new(ExitCode::Keystore, what, &why, next_step);
        match error {
            KeystoreError::Missing { path } => keystore(
                "cannot read a key file",
                format!(
                    "check the path; to make a new key: holdfast keys new --output {}",
                    path.display()
                ),
            ),
            KeystoreError::Unreadable { .. } => keystore(
                "cannot read a key file",
                "check that the path is right and that the user that runs holdfast owns the file".into(),
            ),
            KeystoreError::Exposed { path, .. } => keystore(
                "a key file is not private",
                format!(
                    "chmod 600 {}; if others had access to this machine, replace the key",
                    path.display()
                ),
            ),
            KeystoreError::Refused { source, .. } => keystore("a key file is refused", advice(&source)),
            KeystoreError::WrongKind { .. } => keystore(
                "a key file is of the wrong kind",
                "check which file is configured for which purpose: holdfast keys inspect".into(),
            ),
            KeystoreError::Locked { source: UnlockError::WrongPassword, .. } => keystore(
                "cannot open a key file",
                "check the password; the key files of one node share one password \
                 (holdfast keys change-password)"
                    .into(),
            ),
            KeystoreError::Locked { source: UnlockError::PublicKeyDiffers, .. } => keystore(
                "cannot open a key file",
                "restore the key file from a backup".into(),
            ),
            KeystoreError::Locked { source: UnlockError::Kdf { .. }, .. } => keystore(
                "cannot open a key file",
                "free memory: the key derivation needs as much as crypto.kdf.memory_kib of the file says"
                    .into(),
            ),
            KeystoreError::Exists { path } => Self::new(
                ExitCode::Usage,
                "will not overwrite a key file",
                &why,
                format!(
                    "choose another --output, or move the file away yourself once you are sure that \
                     nobody needs it: {}",
                    path.display()
                ),
            ),
            KeystoreError::Unwritable { path, source } => {
                Self::disk(format!("cannot write the key file {}", path.display()), &source)
            }
        }
    }
}

fn advice(error: &FormatError) -> String {
    match error {
        FormatError::Version { .. } | FormatError::Function { .. } => {
            "use the version of holdfast that wrote the file, or a newer one".into()
        }
        FormatError::CostTooLow { .. } => {
            "restore the key file from a backup: someone lowered the cost of guessing its password"
                .into()
        }
        FormatError::NotAKeyFile { .. }
        | FormatError::Checksum
        | FormatError::CostOutOfBounds { .. } => {
            "restore the key file from a backup; do not edit key files by hand".into()
        }
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        let next_step = match &error {
            PasswordError::NoSource {
                flag,
                credential,
                variable,
            } => format!(
                "give one of: {flag} FILE, {}, the systemd credential {credential}, the environment variable {variable}",
                flag.replace("-file", "-fd N"),
            ),
            PasswordError::Unreadable { .. } => "check where the password comes from".into(),
            PasswordError::Exposed { path, .. } => format!("chmod 600 {}", path.display()),
            PasswordError::Empty { .. } => "give a password that is not empty".into(),
            PasswordError::TooShort => {
                "choose a longer one: it is all that protects the key if the file gets out".into()
            }
            PasswordError::Mismatch => "try again".into(),
        };
        Self::new(ExitCode::Keystore, "no usable password", &error, next_step)
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Self::new(
            ExitCode::Keystore,
            "cannot make a key file",
            &error,
            "free memory (the key derivation needs 64 MiB), then try again",
        )
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
