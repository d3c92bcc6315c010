//! Snapshots: the state after a block in one file, from which a node goes on without the blocks before.
//!
//! * SF1. A file is a header and records ([`format`]). Each record carries a hash of itself and of all before it, so what was
//!   cut off, changed, moved or put in is found where it happens. Neither side ever holds more than one record.
//! * SF2. Of a newer minor version, records and fields that are not known are passed over. Fields that are missing have the
//!   defaults of [`Manifest`]. A newer major version is refused.
//! * SF3. *Base.* The state is that after the highest block up to the wanted one that has a certificate of its own. In an
//!   emergency the blocks above it follow, up to the wanted one.
//! * SF4. What is written is what the rules SN1 to SN5 of [`holdfast_chain::snapshot`] ask for.
//! * SF5. *Import* makes a store beside the data directory. It becomes the data directory when everything has been verified
//!   and is on the disk; an import that fails leaves nothing, and what one that died has left is removed by the next one. A
//!   directory with anything in it is never replaced.
//! * SF6. Values enter the state as they are in the file, and their root must be that of the base: an object that an older
//!   software has written stays as it is, and what it lacks has the defaults of the ledger. So a state without the time of its
//!   last irreversible block knows of no stall (E2), and no emergency begins on it before LIB moves.
//! * SF7. Neither the sign guard nor vertices, mempool, halts or evidence are of a snapshot: they belong to a node.

mod error;
mod export;
pub(crate) mod format;
mod import;
mod manifest;
#[cfg(test)]
mod tests;

pub use error::SnapshotError;
pub use export::Exported;
pub use import::{Imported, SnapshotChain, import_snapshot, read_manifest};
pub use manifest::Manifest;
