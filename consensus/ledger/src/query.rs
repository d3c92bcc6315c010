//! Reads for RPC, for the mempool and for the node itself.

use crate::keys::{
    AccountKey, GovernorsKey, PropertiesKey, PunishedSlotKey, SigningKeyKey, StakePositionKey,
    StateKey, SupportsKey, ValidatorIndexKey, ValidatorKey,
};
use crate::objects::{Account, DynamicProperties, StateObject, Validator};
use crate::state::{StateError, StateStore};
use crate::transaction::admit;
use crate::tree::{ProofError, prove};
use holdfast_types::{
    AccountName, Amount, FailureCode, Governors, Hash32, Height, PublicKey, TimestampMs,
    VerifiedTransaction,
};

/// The object under a typed key.
pub fn object<K: StateKey, S: StateStore + ?Sized>(
    store: &S,
    key: &K,
) -> Result<Option<K::Object>, StateError> {
    store
        .value(&key.bytes())?
        .map(|bytes| K::Object::decode(&bytes))
        .transpose()
}

/// Objects under many keys, in their order, in one read; keys that do not exist are left out.
fn objects<K: StateKey, S: StateStore + ?Sized>(
    store: &S,
    keys: impl Iterator<Item = K>,
) -> Result<Vec<K::Object>, StateError> {
    let keys: Vec<_> = keys.map(|key| key.bytes()).collect();
    store
        .values(&keys)?
        .into_iter()
        .flatten()
        .map(|bytes| K::Object::decode(&bytes))
        .collect()
}

/// The account of this name.
pub fn account<S: StateStore + ?Sized>(
    store: &S,
    name: &AccountName,
) -> Result<Option<Account>, StateError> {
    object(store, &AccountKey(*name))
}

/// The validator of this name.
pub fn validator<S: StateStore + ?Sized>(
    store: &S,
    name: &AccountName,
) -> Result<Option<Validator>, StateError> {
    object(store, &ValidatorKey(*name))
}

/// The validator that signs with this key.
pub fn validator_of_key<S: StateStore + ?Sized>(
    store: &S,
    key: &PublicKey,
) -> Result<Option<AccountName>, StateError> {
    Ok(object(store, &SigningKeyKey(*key))?.map(|entry| entry.name))
}

/// Up to `limit` validators in the order of their registration, from position `start`.
pub fn validators<S: StateStore + ?Sized>(
    store: &S,
    start: u32,
    limit: u32,
) -> Result<Vec<Validator>, StateError> {
    let count = dynamic_properties(store)?.map_or(0, |properties| properties.validators);
    let end = start.saturating_add(limit).min(count);
    let names = objects(store, (start..end).map(ValidatorIndexKey))?;
    objects(store, names.iter().map(|entry| ValidatorKey(entry.name)))
}

/// The dynamic properties; none before genesis is applied.
pub fn dynamic_properties<S: StateStore + ?Sized>(
    store: &S,
) -> Result<Option<DynamicProperties>, StateError> {
    object(store, &PropertiesKey())
}

/// Who may sign governance messages, and the last one that took effect; none before genesis is applied.
pub fn governors<S: StateStore + ?Sized>(store: &S) -> Result<Option<Governors>, StateError> {
    object(store, &GovernorsKey())
}

/// Highest supported height of every member of the running committee, in its order.
pub fn supports<S: StateStore + ?Sized>(store: &S) -> Result<Vec<Height>, StateError> {
    Ok(object(store, &SupportsKey())?.map_or_else(Vec::new, |supports| supports.heights))
}

/// Whether the offence with this slot key was punished.
pub fn is_punished<S: StateStore + ?Sized>(store: &S, slot: &Hash32) -> Result<bool, StateError> {
    Ok(store.value(&PunishedSlotKey(*slot).bytes())?.is_some())
}

/// What the stake of `staker` with `validator` is worth now.
pub fn stake_of<S: StateStore + ?Sized>(
    store: &S,
    staker: &AccountName,
    validator: &AccountName,
) -> Result<Amount, StateError> {
    let Some(position) = object(store, &StakePositionKey(*staker, *validator))? else {
        return Ok(0);
    };
    let pool = self::validator(store, validator)?.map(|validator| validator.bonded);
    Ok(pool.map_or(0, |pool| pool.worth(position.shares, position.generation)))
}

/// Whether a transaction could be executed next on the state of the store: its fee, or why not. A nonce that is too
/// high is named as such; whether to wait for the earlier ones is for the mempool to decide.
pub fn check_transaction<S: StateStore + ?Sized>(
    store: &S,
    transaction: &VerifiedTransaction,
    now: TimestampMs,
) -> Result<Result<Amount, FailureCode>, StateError> {
    let properties = dynamic_properties(store)?.ok_or_else(|| StateError {
        reason: "the dynamic properties are missing".to_owned(),
    })?;
    let sender = account(store, &transaction.body().sender)?;
    Ok(admit(
        sender.as_ref(),
        &properties.properties,
        transaction,
        now,
    ))
}

/// The encoded account of this name at `version`, which is the latest, with the proof of it (of its absence if none).
pub fn prove_account<S: StateStore + ?Sized>(
    store: &S,
    name: &AccountName,
    version: Height,
) -> Result<(Option<Vec<u8>>, Vec<u8>), ProofError> {
    prove(store, &AccountKey(*name).bytes(), version)
}
