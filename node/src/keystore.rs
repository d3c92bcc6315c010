//! Keys at rest: one encrypted JSON file per key.
//!
//! The shape follows EIP-2335: key derivation, cipher and checksum each carry their function, their parameters and
//! their output, and the public key is in clear. The functions are argon2id and ChaCha20-Poly1305. Every field that
//! is in clear is bound to the ciphertext as associated data, so a changed field is noticed when the file is opened.
//!
//! - `format`: the JSON document, its versions, and what is refused before any password is asked for;
//! - `seal`: from secret to document and back;
//! - `file`: reading with a look at who else may read, writing durably, never over another key;
//! - `password`: where a password comes from.

mod file;
mod format;
mod password;
mod seal;

pub use file::{KeystoreError, load, load_of, save_new, save_replacing, unlock};
pub use format::{FormatError, KdfParameters, KeyFile, KeyKind};
#[cfg(test)]
pub(crate) use password::tests::Answers;
pub use password::{Password, PasswordError, PasswordSources, Prompt, Purpose, TerminalPrompt};
pub use seal::{SealError, UnlockError, UnlockedKey};
