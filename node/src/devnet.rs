//! A network of local validators: each a child process with a home of its own.
//!
//! - [`homes`]: genesis document, keys, configuration and sign guard of every validator;
//! - [`session`]: the running devnet: processes, samples, the final comparison;
//! - [`ports`]: free ports on loopback;
//! - [`process`]: starting, watching and stopping one child;
//! - [`readiness`]: asking a child's `/readyz`;
//! - [`table`]: the live table, from samples that somebody else takes.

pub mod homes;
pub mod islands;
pub mod ports;
pub mod process;
pub mod readiness;
pub mod session;
pub mod table;
