//! How a chain begins.
//!
//! A chain is defined by its genesis document, a TOML file that is the same on every node. Its hash is the chain id,
//! which is part of every signature.
//!
//! * G1. [`Genesis::parse`] is the only way to a [`Genesis`], and a [`Genesis`] cannot be invalid: structure, every
//!   value, the relations between parameters ([`rules`]) and the state of block 0 have been checked.
//! * G2. A refusal names the field with its path, the rule and the value.
//! * G3. The chain id is the hash of the meaning of the document, not of its text: comments, spacing and the order of
//!   keys, accounts and validators do not matter; everything else does, the notes included.
//! * G4. A [`Template`] holds the numbers of a kind of chain. What it writes is a document with a comment for every
//!   parameter.

pub mod block;
pub mod document;
pub mod error;
pub mod genesis;
pub mod rules;
pub mod templates;

mod annotate;
mod schema;
mod show;
mod time;

pub use block::{GenesisBlock, block_of_state, genesis_block};
pub use document::{AccountEntry, GenesisDocument, ValidatorEntry};
pub use error::GenesisError;
pub use genesis::Genesis;
pub use templates::{NewChain, Template};
pub use time::GenesisTime;
