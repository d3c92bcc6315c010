//! Behaviour of the ledger, block by block, on a state in memory.
//!
//! After every block of every test, [`audit`] recounts the whole state, and the block is undone and applied again.

// Sums of a test may overflow: then it fails.
#![allow(clippy::disallowed_methods)]

mod audit;
mod emergency;
mod emergency_exit;
mod emergency_neutral;
mod emergency_standing;
mod epochs;
mod formats;
mod genesis;
mod halts;
mod hostile;
mod oracle;
mod penalties;
mod random;
mod slashing;
mod staking;
mod transactions;
mod trees;
mod validators;
mod world;
