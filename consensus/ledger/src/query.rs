//! Reads for RPC and for the node itself.

use crate::objects::{Account, DynamicProperties, Validator};
use crate::state::{StateError, StateStore};
use holdfast_types::AccountName;

/// The account of this name.
pub fn account<S: StateStore + ?Sized>(
    _store: &S,
    _name: &AccountName,
) -> Result<Option<Account>, StateError> {
    unimplemented!("bodies follow the signatures")
}

/// The validator of this name.
pub fn validator<S: StateStore + ?Sized>(
    _store: &S,
    _name: &AccountName,
) -> Result<Option<Validator>, StateError> {
    unimplemented!("bodies follow the signatures")
}

/// Up to `limit` validators in the order of registration, from position `start`.
pub fn validators<S: StateStore + ?Sized>(
    _store: &S,
    _start: u32,
    _limit: u32,
) -> Result<Vec<Validator>, StateError> {
    unimplemented!("bodies follow the signatures")
}

/// The dynamic properties; none before genesis is applied.
pub fn dynamic_properties<S: StateStore + ?Sized>(
    _store: &S,
) -> Result<Option<DynamicProperties>, StateError> {
    unimplemented!("bodies follow the signatures")
}
