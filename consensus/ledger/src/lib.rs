//! Deterministic execution: blocks turn one state into the next.
//!
//! Rules of this crate:
//!
//! * L1. Pure: the outcome of a block is a function of the state before it, the parameters and the input. No clock,
//!   no I/O but reads through [`StateStore`], no randomness, no floats, no iteration over unordered maps.
//! * L2. No input fails a block. A bad transaction gets a failed receipt; [`LedgerError`] is a broken store, a broken
//!   caller or a broken invariant of our own, and stops the node.
//! * L3. Arithmetic is checked. Work is bounded by the input and by constants: no loop runs over all accounts.
//! * L4. A transaction takes effect whole or, apart from fee and nonce, not at all.
//! * L5. Money is conserved: balances, stakes, unbonding pools and treasury sum to the total supply after every
//!   block, and only burning changes the total supply. Checked on the changed objects of every block.
//! * L6. The state is a map from byte keys ([`keys`]) to versioned objects ([`objects`]), committed to by a Merkle
//!   tree ([`tree`]) that follows from it.
//! * L7. Every change can be taken back exactly with the block's [`UndoRecord`].
//! * L8. The last irreversible block is at most the head's parent and never falls ([`irreversible`]).

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::panic,
        clippy::let_underscore_must_use
    )
)]

pub mod block;
pub mod emergency;
mod epoch;
mod evidence;
pub mod genesis;
mod governance;
pub mod irreversible;
pub mod keys;
pub mod objects;
mod overlay;
pub mod penalty;
pub mod pool;
pub mod query;
pub mod staking;
pub mod state;
pub mod transaction;
pub mod tree;
pub mod validator;

#[cfg(any(test, feature = "test-utils"))]
pub mod memory;

pub use block::{
    BlockInput, BlockOutcome, HARDFORK_KNOWN, LedgerError, ResumeInput, execute_block,
    execute_emergency, execute_resume,
};
pub use emergency::{
    EMERGENCY_HARDFORK, EmergencyClock, EmergencyPhase, EmergencyPlace, EmergencyRefusal,
    EmergencyRound, EmergencyStanding, EmergencyView, ExitProgress, emergency_clock,
    emergency_standing, judge_emergency_block, repaired_slots,
};
pub use genesis::{
    GenesisAccount, GenesisOutcome, GenesisState, GenesisStateError, GenesisValidator,
    check_genesis, genesis,
};
pub use irreversible::lib_height;
#[cfg(any(test, feature = "test-utils"))]
pub use memory::MemoryState;
pub use objects::{Account, DynamicProperties, Validator};
pub use query::{
    account, check_transaction, dynamic_properties, governors, is_punished, prove_account,
    stake_of, supports, validator, validator_of_key, validators,
};
pub use state::{StateChanges, StateError, StateStore, UndoRecord};
pub use tree::{ProofError, prove, state_root, verify_proof};
