//! Keys of the state: one prefix byte per kind, then the parts.
//!
//! | prefix | kind | rest of the key | object |
//! |---|---|---|---|
//! | 01 | dynamic properties | | [`DynamicProperties`] |
//! | 02 | supports | | [`Supports`] |
//! | 03 | timestamps of reversible blocks | | [`ReversibleTimestamps`] |
//! | 04 | governors | | [`Governors`] |
//! | 05 | emergency | | [`EmergencyRecord`] |
//! | 10 | account | name | [`Account`] |
//! | 11 | validator | account name | [`Validator`] |
//! | 12 | index of validators | position, u32 big-endian | [`ValidatorName`] |
//! | 13 | index of candidates | position, u32 big-endian | [`ValidatorName`] |
//! | 14 | signing key in use | the key | [`ValidatorName`] |
//! | 15 | stake position | length of the staker's name, staker, validator | [`StakePosition`] |
//! | 16 | unbonding | number, u64 big-endian | [`Unbonding`] |
//! | 17 | punished slot | slot key of the evidence | [`PunishedSlot`] |
//! | 18 | penalty | number, u64 big-endian | [`Penalty`] |
//!
//! Numbers are big-endian, so that keys sort as their parts do. Prefixes are never used again for another kind.

use crate::objects::{
    Account, DynamicProperties, EmergencyRecord, Penalty, PunishedSlot, ReversibleTimestamps,
    StakePosition, StateObject, Supports, Unbonding, Validator, ValidatorName,
};
use holdfast_types::hash::Hash32;
use holdfast_types::{AccountName, Governors, PublicKey};

/// A typed key of the state.
pub trait StateKey: Clone + Ord {
    type Object: StateObject;

    /// What every key of this kind begins with.
    const PREFIX: u8;

    /// The key as the store knows it.
    fn bytes(&self) -> Vec<u8>;
}

macro_rules! state_keys {
    ($($(#[$doc:meta])* $name:ident($($part:ty),*) => $prefix:literal, $object:ty, |$key:ident, $bytes:ident| $write:block;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub struct $name($(pub $part),*);

            impl StateKey for $name {
                type Object = $object;

                const PREFIX: u8 = $prefix;

                fn bytes(&self) -> Vec<u8> {
                    let write: fn(&Self, &mut Vec<u8>) = |$key, $bytes| $write;
                    let mut bytes = vec![Self::PREFIX];
                    write(self, &mut bytes);
                    bytes
                }
            }
        )*
    };
}

state_keys! {
    PropertiesKey() => 0x01, DynamicProperties, |_key, _bytes| {};
    SupportsKey() => 0x02, Supports, |_key, _bytes| {};
    ReversibleTimestampsKey() => 0x03, ReversibleTimestamps, |_key, _bytes| {};
    GovernorsKey() => 0x04, Governors, |_key, _bytes| {};
    EmergencyKey() => 0x05, EmergencyRecord, |_key, _bytes| {};
    AccountKey(AccountName) => 0x10, Account, |key, bytes| {
        bytes.extend_from_slice(key.0.as_bytes());
    };
    ValidatorKey(AccountName) => 0x11, Validator, |key, bytes| {
        bytes.extend_from_slice(key.0.as_bytes());
    };
    ValidatorIndexKey(u32) => 0x12, ValidatorName, |key, bytes| {
        bytes.extend_from_slice(&key.0.to_be_bytes());
    };
    CandidateIndexKey(u32) => 0x13, ValidatorName, |key, bytes| {
        bytes.extend_from_slice(&key.0.to_be_bytes());
    };
    SigningKeyKey(PublicKey) => 0x14, ValidatorName, |key, bytes| {
        bytes.extend_from_slice(key.0.as_bytes());
    };
    /// Staker, then validator.
    StakePositionKey(AccountName, AccountName) => 0x15, StakePosition, |key, bytes| {
        let staker = key.0.as_bytes();
        // A name is at most 24 bytes long.
        bytes.push(u8::try_from(staker.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(staker);
        bytes.extend_from_slice(key.1.as_bytes());
    };
    UnbondingKey(u64) => 0x16, Unbonding, |key, bytes| {
        bytes.extend_from_slice(&key.0.to_be_bytes());
    };
    PunishedSlotKey(Hash32) => 0x17, PunishedSlot, |key, bytes| {
        bytes.extend_from_slice(&key.0);
    };
    PenaltyKey(u64) => 0x18, Penalty, |key, bytes| {
        bytes.extend_from_slice(&key.0.to_be_bytes());
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AccountName {
        AccountName::new(text).expect("a valid name")
    }

    #[test]
    fn stake_positions_of_different_pairs_have_different_keys() {
        let one = StakePositionKey(name("ab"), name("c")).bytes();
        let other = StakePositionKey(name("a"), name("bc")).bytes();
        assert_ne!(one, other);
    }

    #[test]
    fn keys_sort_as_their_numbers() {
        assert!(UnbondingKey(255).bytes() < UnbondingKey(256).bytes());
        assert!(ValidatorIndexKey(255).bytes() < ValidatorIndexKey(256).bytes());
    }

    #[test]
    fn an_account_key_is_prefix_and_name() {
        assert_eq!(AccountKey(name("alice")).bytes(), b"\x10alice");
    }
}
