//! A network of local validators: each a child process with a home of its own.
//!
//! - [`ports`]: free ports on loopback;
//! - [`process`]: starting, watching and stopping one child;
//! - [`readiness`]: asking a child's `/readyz`;
//! - [`table`]: the live table, from samples that somebody else takes.

pub mod ports;
pub mod process;
pub mod readiness;
pub mod table;
