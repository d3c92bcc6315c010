//! Objects of the state and their encoding.
//!
//! An object is stored as one version byte and the borsh encoding of its fields. A field is added by raising
//! [`StateObject::VERSION`], reading the versions before in [`StateObject::decode_older`] and writing the new one from
//! an agreed height on: stored objects are rewritten as they change.

use crate::pool::Pool;
use crate::state::StateError;
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::hash::Hash32;
use holdfast_types::{
    AccountName, Amount, ChainProperties, Era, Governors, Height, PublicKey, TimestampMs,
};

/// What is stored under a key of the state.
pub trait StateObject: Clone + PartialEq + BorshSerialize + BorshDeserialize {
    /// Name for error messages.
    const NAME: &'static str;
    /// Version that is written.
    const VERSION: u8 = 1;

    /// Reads the fields of an older version; none if there was no such version.
    #[must_use]
    fn decode_older(_version: u8, _fields: &[u8]) -> Option<Self> {
        None
    }

    /// The object as the store keeps it.
    #[must_use]
    fn encode(&self) -> Vec<u8> {
        holdfast_types::codec::encode(&(Self::VERSION, self))
    }

    /// Reads what the store kept. An error means that the store is damaged, or newer than this software.
    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let damaged = |reason: String| StateError {
            reason: format!("{} does not decode: {reason}", Self::NAME),
        };
        match bytes.split_first() {
            Some((&version, fields)) if version == Self::VERSION => {
                borsh::from_slice(fields).map_err(|error| damaged(error.to_string()))
            }
            Some((&version, fields)) => Self::decode_older(version, fields)
                .ok_or_else(|| damaged(format!("version {version} is unknown"))),
            None => Err(damaged("it is empty".to_owned())),
        }
    }
}

macro_rules! state_objects {
    ($($(#[$doc:meta])* pub struct $name:ident ($display:literal) { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

            impl StateObject for $name {
                const NAME: &'static str = $display;
            }
        )*
    };
}

state_objects! {
    /// An account.
    pub struct Account("an account") {
        pub public_key: PublicKey,
        pub balance: Amount,
        /// Number of transactions executed for this account: the nonce of its next one.
        pub nonce: u64,
        /// Unbondings of this account in progress.
        pub unbondings: u16,
    }

    /// A registered validator. Its owner is the account of the same name.
    pub struct Validator("a validator") {
        pub owner: AccountName,
        /// None: disabled.
        pub signing_key: Option<PublicKey>,
        /// UTF-8 without control characters.
        pub url: Vec<u8>,
        pub registered_at: TimestampMs,
        /// Not in a committee before this live time.
        pub jailed_until: TimestampMs,
        /// Eras in which it has committed an offence.
        pub offence_eras: u32,
        /// The last of them, and the share of its stake that it has lost for it, in basis points.
        pub offence_era: Era,
        pub offence_basis_points: u16,
        /// For absence (rules A1 to A4 of `penalty`): the sum of its [`Penalty`] objects.
        pub penalty_percent: u8,
        pub property_vote: Option<ChainProperties>,
        pub hardfork_vote: Option<u32>,
        /// Stake at work.
        pub bonded: Pool,
        /// Stake on its way out. Until it is released it answers for offences.
        pub unbonding: Pool,
        /// Position in the index of all validators.
        pub index: u32,
        /// Position in the index of candidates, if it has a signing key and enough stake.
        pub candidate_index: Option<u32>,
    }

    /// Name of a validator, as the indexes hold it.
    pub struct ValidatorName("a validator index entry") {
        pub name: AccountName,
    }

    /// What an account has staked with a validator.
    pub struct StakePosition("a stake position") {
        /// Shares of the validator's bonded pool.
        pub shares: u64,
        pub generation: u32,
    }

    /// Stake on its way back to its owner. They are numbered in the order of their completion.
    pub struct Unbonding("an unbonding") {
        pub account: AccountName,
        pub validator: AccountName,
        /// Shares of the validator's unbonding pool.
        pub shares: u64,
        pub generation: u32,
        /// Live time of the release.
        pub completes_at: TimestampMs,
    }

    /// A slot of the protocol in which an offence was punished.
    pub struct PunishedSlot("a punished slot") {
        pub validator: AccountName,
        pub height: Height,
    }

    /// What an absence has added to the penalty of a validator. They are numbered in the order in which they expire.
    pub struct Penalty("a penalty") {
        pub validator: AccountName,
        pub percent: u8,
        /// Live time at which it is gone.
        pub expires_at: TimestampMs,
    }

    /// Highest supported height of every member of the running committee.
    pub struct Supports("the supports") {
        pub heights: Vec<Height>,
    }

    /// Timestamps of the blocks above the last irreversible one, so that its timestamp is known when it moves.
    pub struct ReversibleTimestamps("the timestamps of reversible blocks") {
        /// Height of the first entry.
        pub first: Height,
        pub timestamps: Vec<TimestampMs>,
    }

    /// An emergency that is active.
    pub struct EmergencyRecord("the emergency") {
        /// Time of slot 0.
        pub slot_zero: TimestampMs,
        /// Slot of the last block.
        pub last_slot: u64,
        /// The round that `schedule` is of.
        pub round: u64,
        /// Whose the slots of a round are.
        pub schedule: Vec<AccountName>,
        /// Who has produced, by account.
        pub producers: Vec<EmergencyProducer>,
        /// Producers of the last block and of `exit_normal_blocks` before it, the newest last.
        pub recent: Vec<AccountName>,
        /// Of the last 128 slots those with a block: the slot of the last one is the lowest bit.
        pub filled: u128,
    }

    /// What is known of the chain as a whole.
    pub struct DynamicProperties("the dynamic properties") {
        pub height: Height,
        pub timestamp: TimestampMs,
        /// Era of the next block.
        pub era: Era,
        /// Hash of the committee of `era`.
        pub committee: Hash32,
        /// Number of the running epoch, from 1.
        pub epoch: u64,
        pub epoch_start: TimestampMs,
        /// The last irreversible block.
        pub lib: Height,
        pub lib_timestamp: TimestampMs,
        /// From when on a stall counts: the latest of `lib_timestamp`, the end of the last emergency and the last resume.
        /// None in a state that was imported without it, until LIB moves.
        pub stall_clock: Option<TimestampMs>,
        pub emergency_consensus_active: bool,
        /// Block that activated the last emergency; 0 if there was none.
        pub emergency_consensus_start_block: Height,
        /// Time in which the chain was stopped, in ms: live time is block time less this.
        pub halted_ms: u64,
        pub total_supply: Amount,
        pub treasury: Amount,
        /// Chain properties in force.
        pub properties: ChainProperties,
        /// Hardfork version in force.
        pub hardfork_version: u32,
        /// Lengths of the indexes of validators and of candidates.
        pub validators: u32,
        pub candidates: u32,
        /// Numbers of the unbonding that completes next and of the one that starts next.
        pub unbonding_first: u64,
        pub unbonding_next: u64,
        /// Numbers of the penalty that expires next and of the one that comes next.
        pub penalty_first: u64,
        pub penalty_next: u64,
    }
}

/// Somebody who has produced emergency blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EmergencyProducer {
    pub account: AccountName,
    /// Blocks since a slot of its own passed without one (`current_run`).
    pub run: u32,
    /// Slot of its last block.
    pub last_slot: u64,
    /// `last_supported_block_num`.
    pub last_supported: Height,
}

impl StateObject for Governors {
    const NAME: &'static str = "the governors";
}

impl DynamicProperties {
    /// Live time at a block time.
    #[must_use]
    pub const fn live_time(&self, timestamp: TimestampMs) -> TimestampMs {
        timestamp.minus(self.halted_ms)
    }

    /// A stall counts from `timestamp` on, if not from later.
    pub(crate) fn advance_stall_clock(&mut self, timestamp: TimestampMs) {
        let clock = self.stall_clock.unwrap_or(timestamp);
        self.stall_clock = Some(clock.max(timestamp));
    }

    /// Goes on to the time of the next block. What lies beyond `live_max_ms` of the way there was no live time.
    pub(crate) const fn advance_time(&mut self, timestamp: TimestampMs, live_max_ms: u64) {
        let stopped = timestamp.since(self.timestamp).saturating_sub(live_max_ms);
        self.halted_ms = self.halted_ms.saturating_add(stopped);
        self.timestamp = timestamp;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_objects_are_errors() {
        let entry = ValidatorName {
            name: AccountName::new("alice").expect("a valid name"),
        };
        let bytes = entry.encode();
        assert_eq!(ValidatorName::decode(&bytes), Ok(entry));
        assert!(ValidatorName::decode(&[]).is_err());
        assert!(ValidatorName::decode(&bytes[..3]).is_err());
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(ValidatorName::decode(&longer).is_err());
        let mut newer = bytes;
        newer[0] = 9;
        assert!(
            ValidatorName::decode(&newer)
                .expect_err("an unknown version")
                .reason
                .contains("version 9")
        );
    }
}
