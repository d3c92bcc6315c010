//! The validator guard: watches the own signing key on the chain, and gives it back by transaction when an emergency has
//! taken it (document 002 and its companion description; FAULTS D1).
//!
//! Rules:
//!
//! * VG1. It acts only if the key on the chain is null. An operator who takes the key away on purpose turns the guard off first.
//! * VG2. *Sync.* Nothing is sent from a state that is behind the peers: it may be an old one.
//! * VG3. *Long fork.* Outside of an emergency nothing is sent while the last irreversible block is older than
//!   [`GuardConfig::lib_age_max_ms`]: the branch may be a lonely one. In an emergency that is no reason (guard 12 of the
//!   document): it handles its own recovery.
//! * VG4. *One at a time.* After a transaction was sent, none is for [`GuardConfig::in_flight_ms`]; it expires by then, so two
//!   of them never take effect.
//! * VG5. *Own blocks only.* Whoever has made the last [`GuardConfig::own_blocks_max`] blocks alone stands on a branch of
//!   its own: the key stays away until another produces.
//! * VG6. Each reason not to act is one of a closed list, for metrics and RPC.
//! * VG7. *Farewell.* A node that is asked to stop may take its key off the chain first, so that nobody waits for it: only its own
//!   key, and not from a state that is behind. It looks no more after that; the next start gives the key back.

use holdfast_ledger::keys::EmergencyKey;
use holdfast_ledger::query::object;
use holdfast_ledger::{StateError, StateStore, account, dynamic_properties, validator};
use holdfast_types::parameters::EmergencyParameters;
use holdfast_types::{
    AccountName, Action, ChainId, PublicKey, SignedTransaction, Signer, TimestampMs,
    TransactionBody,
};

/// What the guard is built with.
#[derive(Clone, Debug)]
pub struct GuardConfig {
    pub chain: ChainId,
    /// The validator's account.
    pub account: AccountName,
    /// The key that belongs on the chain.
    pub signing_key: PublicKey,
    /// How long a transaction may be under way, in ms of the monotonic clock.
    pub in_flight_ms: u64,
    /// Age of the last irreversible block from which on a branch is not trusted, in ms.
    pub lib_age_max_ms: u64,
    /// Own blocks in a row after which the guard rests.
    pub own_blocks_max: usize,
    pub fee_max: u64,
}

/// How long the transaction of a farewell may be under way, in ms: a node that stops does not wait for longer.
pub const FAREWELL_MS: u64 = 10_000;
/// How long a transaction of the guard may be under way, in ms.
const IN_FLIGHT_MS: u64 = 20_000;

impl GuardConfig {
    /// For the validator of `account` on a chain with these parameters.
    #[must_use]
    pub fn new(
        chain: ChainId,
        account: AccountName,
        signing_key: PublicKey,
        emergency: &EmergencyParameters,
    ) -> Self {
        Self {
            chain,
            account,
            signing_key,
            in_flight_ms: IN_FLIGHT_MS,
            lib_age_max_ms: emergency.timeout_ms,
            own_blocks_max: usize::try_from(emergency.exit_normal_blocks).unwrap_or(usize::MAX),
            // A key that stays away costs more than any fee.
            fee_max: u64::MAX,
        }
    }
}

/// What the guard sees of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardView {
    /// What the chain has of the validator; none: it is not registered.
    pub validator: Option<GuardedValidator>,
    /// Next nonce of the account, those that wait in the mempool counted.
    pub nonce: u64,
    /// Peers are ahead.
    pub is_behind: bool,
    pub in_emergency: bool,
    /// Time since the last irreversible block, in ms.
    pub lib_age_ms: u64,
    /// Of the last blocks, those in a row that the validator has made.
    pub own_blocks: usize,
}

impl GuardView {
    /// What the state in `store` shows to the guard of `account`. `queued` is the next nonce after what waits in the mempool,
    /// if that is known.
    pub fn of<S: StateStore + ?Sized>(
        store: &S,
        name: &AccountName,
        wall: TimestampMs,
        is_behind: bool,
        queued: Option<u64>,
    ) -> Result<Self, StateError> {
        let found = validator(store, name)?;
        let properties = dynamic_properties(store)?.ok_or_else(|| StateError {
            reason: "the dynamic properties are missing".to_owned(),
        })?;
        let record = object(store, &EmergencyKey())?;
        let recent = record.map_or_else(Vec::new, |record| record.recent);
        let own_blocks = recent.iter().rev().take_while(|producer| *producer == name);
        let nonce = account(store, name)?.map_or(0, |account| account.nonce);
        Ok(Self {
            validator: found.map(|found| GuardedValidator {
                signing_key: found.signing_key,
                url: found.url,
            }),
            nonce: queued.unwrap_or_default().max(nonce),
            is_behind,
            in_emergency: properties.emergency_consensus_active,
            lib_age_ms: wall.since(properties.lib_timestamp),
            own_blocks: own_blocks.count(),
        })
    }
}

/// A validator on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardedValidator {
    pub signing_key: Option<PublicKey>,
    pub url: Vec<u8>,
}

/// Why the guard does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuardRest {
    /// The key is on the chain.
    KeyIsThere,
    NotRegistered,
    /// VG2.
    Behind,
    /// VG3.
    LongFork,
    /// VG4.
    InFlight,
    /// VG5.
    OwnBlocksOnly,
}

impl GuardRest {
    pub const ALL: [Self; 6] = [
        Self::KeyIsThere,
        Self::NotRegistered,
        Self::Behind,
        Self::LongFork,
        Self::InFlight,
        Self::OwnBlocksOnly,
    ];

    /// Stable name for RPC, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyIsThere => "key_is_there",
            Self::NotRegistered => "not_registered",
            Self::Behind => "behind",
            Self::LongFork => "long_fork",
            Self::InFlight => "in_flight",
            Self::OwnBlocksOnly => "own_blocks_only",
        }
    }
}

/// The guard of one validator.
#[derive(Clone, Debug)]
pub struct ValidatorGuard {
    config: GuardConfig,
    /// When the last transaction is no longer under way.
    in_flight_until_ms: Option<u64>,
}

impl ValidatorGuard {
    #[must_use]
    pub const fn new(config: GuardConfig) -> Self {
        Self {
            config,
            in_flight_until_ms: None,
        }
    }

    #[must_use]
    pub const fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// Looks at the chain. The transaction that gives the key back, signed by the owner of the account, or why there is none.
    /// Its expiry is counted from `wall`.
    pub fn look(
        &mut self,
        now_ms: u64,
        wall: TimestampMs,
        view: &GuardView,
        owner: &dyn Signer,
    ) -> Result<SignedTransaction, GuardRest> {
        let Some(validator) = &view.validator else {
            return Err(GuardRest::NotRegistered);
        };
        if validator.signing_key.is_some() {
            self.in_flight_until_ms = None;
            return Err(GuardRest::KeyIsThere);
        }
        if self.in_flight_until_ms.is_some_and(|until| now_ms < until) {
            return Err(GuardRest::InFlight);
        }
        if view.is_behind {
            return Err(GuardRest::Behind);
        }
        if !view.in_emergency && view.lib_age_ms > self.config.lib_age_max_ms {
            return Err(GuardRest::LongFork);
        }
        if view.own_blocks >= self.config.own_blocks_max {
            return Err(GuardRest::OwnBlocksOnly);
        }
        self.in_flight_until_ms = Some(now_ms.saturating_add(self.config.in_flight_ms));
        let action = Action::UpdateValidator {
            signing_key: Some(self.config.signing_key),
            url: validator.url.clone(),
        };
        let expires_at = wall.plus(self.config.in_flight_ms);
        Ok(self.signed(action, view.nonce, expires_at, owner))
    }

    /// The transaction that takes the key off the chain before the node stops, if there is something to take (VG7).
    #[must_use]
    pub fn farewell(
        &self,
        wall: TimestampMs,
        view: &GuardView,
        owner: &dyn Signer,
    ) -> Option<SignedTransaction> {
        let validator = view.validator.as_ref()?;
        if view.is_behind || validator.signing_key != Some(self.config.signing_key) {
            return None;
        }
        let action = Action::UpdateValidator {
            signing_key: None,
            url: validator.url.clone(),
        };
        Some(self.signed(action, view.nonce, wall.plus(FAREWELL_MS), owner))
    }

    fn signed(
        &self,
        action: Action,
        nonce: u64,
        expires_at: TimestampMs,
        owner: &dyn Signer,
    ) -> SignedTransaction {
        let body = TransactionBody {
            sender: self.config.account,
            public_key: owner.public_key(),
            nonce,
            fee_max: self.config.fee_max,
            expires_at: Some(expires_at),
            action,
        };
        body.sign(&self.config.chain, owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::test_util::{CHAIN, key_pair};

    fn guard() -> ValidatorGuard {
        ValidatorGuard::new(GuardConfig {
            chain: CHAIN,
            account: AccountName::new("validator-1").expect("a valid name"),
            signing_key: key_pair(1).public_key(),
            in_flight_ms: 20_000,
            lib_age_max_ms: 60_000,
            own_blocks_max: 21,
            fee_max: 1_000,
        })
    }

    fn disabled() -> GuardView {
        GuardView {
            validator: Some(GuardedValidator {
                signing_key: None,
                url: b"https://one.example".to_vec(),
            }),
            nonce: 7,
            is_behind: false,
            in_emergency: true,
            lib_age_ms: 4_000_000,
            own_blocks: 0,
        }
    }

    fn look(guard: &mut ValidatorGuard, at_ms: u64, view: &GuardView) -> Option<GuardRest> {
        let wall = TimestampMs(1_000_000 + at_ms);
        guard.look(at_ms, wall, view, &key_pair(2)).err()
    }

    #[test]
    fn guard_12_a_null_key_is_given_back_in_an_emergency_whatever_the_age_of_lib() {
        let wall = TimestampMs(1_000_000);
        let given = guard().look(0, wall, &disabled(), &key_pair(2));
        let given = given.expect("the key is away");
        assert_eq!((given.body.nonce, given.body.fee_max), (7, 1_000));
        assert_eq!(given.body.expires_at, Some(TimestampMs(1_020_000)));
        assert_eq!(
            given.body.action,
            Action::UpdateValidator {
                signing_key: Some(key_pair(1).public_key()),
                url: b"https://one.example".to_vec(),
            }
        );
    }

    #[test]
    fn vg4_while_one_is_under_way_there_is_no_second_one() {
        let mut guard = guard();
        assert_eq!(look(&mut guard, 0, &disabled()), None);
        assert_eq!(
            look(&mut guard, 19_999, &disabled()),
            Some(GuardRest::InFlight)
        );
        assert_eq!(look(&mut guard, 20_000, &disabled()), None);
        // Its key came and was taken again: that is another emergency.
        let mut there = disabled();
        if let Some(validator) = &mut there.validator {
            validator.signing_key = Some(key_pair(1).public_key());
        }
        assert_eq!(
            look(&mut guard, 21_000, &there),
            Some(GuardRest::KeyIsThere)
        );
        assert_eq!(look(&mut guard, 22_000, &disabled()), None);
    }

    #[test]
    fn vg6_each_reason_to_rest_has_its_case() {
        type Case = (GuardRest, fn(&mut GuardView));
        let cases: [Case; 6] = [
            (GuardRest::KeyIsThere, |view| {
                if let Some(validator) = &mut view.validator {
                    validator.signing_key = Some(key_pair(9).public_key());
                }
            }),
            (GuardRest::NotRegistered, |view| view.validator = None),
            (GuardRest::Behind, |view| view.is_behind = true),
            (GuardRest::LongFork, |view| view.in_emergency = false),
            (GuardRest::OwnBlocksOnly, |view| view.own_blocks = 21),
            (GuardRest::InFlight, |_| {}),
        ];
        let mut seen = Vec::new();
        for (rest, change) in cases {
            let mut guard = guard();
            if rest == GuardRest::InFlight {
                assert_eq!(look(&mut guard, 0, &disabled()), None);
            }
            let mut view = disabled();
            change(&mut view);
            assert_eq!(look(&mut guard, 1, &view), Some(rest));
            seen.push(rest);
        }
        seen.sort_unstable();
        assert_eq!(seen, GuardRest::ALL);
    }

    #[test]
    fn vg3_outside_of_an_emergency_the_age_of_lib_counts_to_the_millisecond() {
        let mut view = GuardView {
            in_emergency: false,
            lib_age_ms: 60_000,
            ..disabled()
        };
        assert_eq!(look(&mut guard(), 0, &view), None);
        view.lib_age_ms = 60_001;
        assert_eq!(look(&mut guard(), 0, &view), Some(GuardRest::LongFork));
    }

    #[test]
    fn vg7_a_node_that_stops_takes_its_own_key_and_no_other() {
        let there = |key| {
            let mut view = disabled();
            if let Some(validator) = &mut view.validator {
                validator.signing_key = key;
            }
            view
        };
        let wall = TimestampMs(1_000_000);
        let farewell = |view: &GuardView| guard().farewell(wall, view, &key_pair(2));
        let own = there(Some(key_pair(1).public_key()));
        let taken = farewell(&own).expect("the key is there");
        assert_eq!(taken.body.nonce, 7);
        assert_eq!(taken.body.expires_at, Some(TimestampMs(1_010_000)));
        assert_eq!(
            taken.body.action,
            Action::UpdateValidator {
                signing_key: None,
                url: b"https://one.example".to_vec(),
            }
        );
        assert_eq!(farewell(&there(None)), None);
        assert_eq!(farewell(&there(Some(key_pair(9).public_key()))), None);
        let behind = GuardView {
            is_behind: true,
            ..own.clone()
        };
        assert_eq!(farewell(&behind), None);
        let stranger = GuardView {
            validator: None,
            ..own
        };
        assert_eq!(farewell(&stranger), None);
    }
}
