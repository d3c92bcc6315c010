//! The Merkle commitment over the state.

use crate::state::{StateError, StateStore};
use holdfast_types::{Height, StateRoot};

/// Why a proof cannot be given or does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error(transparent)]
    Store(#[from] StateError),
    #[error(
        "only the latest state can be proved: asked for height {asked}, the state is at {latest}"
    )]
    NotLatest { asked: Height, latest: Height },
    #[error("the proof does not hold: {reason}")]
    Invalid { reason: String },
}

/// Root of the state at `version`; none if that version is not stored.
pub fn state_root<S: StateStore + ?Sized>(
    _store: &S,
    _version: Height,
) -> Result<Option<StateRoot>, StateError> {
    unimplemented!("bodies follow the signatures")
}

/// Value of a state key at `version`, which is the latest, with the proof of it (of its absence if none).
pub fn prove<S: StateStore + ?Sized>(
    _store: &S,
    _key: &[u8],
    _version: Height,
) -> Result<(Option<Vec<u8>>, Vec<u8>), ProofError> {
    unimplemented!("bodies follow the signatures")
}

/// Checks that under `root` the state key has `value`, or is absent if none.
pub fn verify_proof(
    _root: &StateRoot,
    _key: &[u8],
    _value: Option<&[u8]>,
    _proof: &[u8],
) -> Result<(), ProofError> {
    unimplemented!("bodies follow the signatures")
}
