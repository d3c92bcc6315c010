//! What may only change on purpose.
//!
//! Two kinds of things are pinned: files that are generated from the code ([`check_file`]) and encodings of wire and stored
//! types ([`formats::Formats`]). A test compares with what is in the repository and fails on a difference. With the
//! environment variable [`UPDATE_VARIABLE`] set to `1` it writes what it found instead; the difference is then
//! read in the commit.

pub mod file;
pub mod formats;

pub use file::{check_file, check_section, updating};
pub use formats::Formats;

/// Set to `1`, pinned files are rewritten instead of compared.
pub const UPDATE_VARIABLE: &str = "HOLDFAST_UPDATE";
