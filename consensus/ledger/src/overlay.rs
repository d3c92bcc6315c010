//! The state as a block sees and changes it: every object is read and decoded once, changed in memory, and written
//! back once.

use crate::block::LedgerError;
use crate::keys::{
    AccountKey, CandidateIndexKey, EmergencyKey, GovernorsKey, PenaltyKey, PropertiesKey,
    PunishedSlotKey, ReversibleTimestampsKey, SigningKeyKey, StakePositionKey, StateKey,
    SupportsKey, UnbondingKey, ValidatorIndexKey, ValidatorKey,
};
use crate::objects::{Account, DynamicProperties, StateObject, Validator};
use crate::state::{StateError, StateStore};
use holdfast_types::{AccountName, Height};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Keys with their values; no value: the key does not exist.
pub(crate) type KeyValues = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// An object before and after.
struct Cell<T> {
    stored: Option<(Vec<u8>, T)>,
    current: Option<T>,
}

impl<T: StateObject> Cell<T> {
    fn read(bytes: Option<Vec<u8>>) -> Result<Self, StateError> {
        let stored = bytes
            .map(|bytes| T::decode(&bytes).map(|object| (bytes, object)))
            .transpose()?;
        let current = stored.as_ref().map(|(_, object)| object.clone());
        Ok(Self { stored, current })
    }
}

/// Objects of one kind.
pub(crate) struct Table<K: StateKey> {
    cells: BTreeMap<K, Cell<K::Object>>,
}

impl<K: StateKey> Default for Table<K> {
    fn default() -> Self {
        Self {
            cells: BTreeMap::new(),
        }
    }
}

impl<K: StateKey> Table<K> {
    fn cell<S: StateStore + ?Sized>(
        &mut self,
        store: &S,
        key: &K,
    ) -> Result<&mut Cell<K::Object>, StateError> {
        match self.cells.entry(key.clone()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let cell = Cell::read(store.value(&key.bytes())?)?;
                Ok(entry.insert(cell))
            }
        }
    }

    /// Reads many objects that are not known yet, in one call.
    fn prefetch<S: StateStore + ?Sized>(
        &mut self,
        store: &S,
        mut keys: Vec<K>,
    ) -> Result<(), StateError> {
        keys.retain(|key| !self.cells.contains_key(key));
        let encoded: Vec<_> = keys.iter().map(StateKey::bytes).collect();
        let values = store.values(&encoded)?;
        if values.len() != keys.len() {
            return Err(StateError {
                reason: format!("asked for {} values, got {}", keys.len(), values.len()),
            });
        }
        for (key, bytes) in keys.into_iter().zip(values) {
            self.cells.insert(key, Cell::read(bytes)?);
        }
        Ok(())
    }

    /// Appends what changed: new values to `changes`, old ones to `undo`.
    fn collect(&self, changes: &mut KeyValues, undo: &mut KeyValues) {
        for (key, cell) in &self.cells {
            let stored = cell.stored.as_ref();
            if stored.map(|(_, object)| object) == cell.current.as_ref() {
                continue;
            }
            let bytes = key.bytes();
            undo.push((bytes.clone(), stored.map(|(bytes, _)| bytes.clone())));
            changes.push((bytes, cell.current.as_ref().map(StateObject::encode)));
        }
    }

    /// Sum of a number over all objects that were touched, after less before.
    fn sum_of_changes(&self, number: impl Fn(&K::Object) -> i128) -> i128 {
        self.cells.values().fold(0, |sum, cell| {
            let before = cell.stored.as_ref().map_or(0, |(_, object)| number(object));
            let after = cell.current.as_ref().map_or(0, &number);
            // Numbers are below 2^66 and objects far fewer than 2^60.
            sum.saturating_add(after).saturating_sub(before)
        })
    }
}

/// One typed table per kind of object.
macro_rules! tables {
    ($($key:ident => $field:ident),* $(,)?) => {
        /// All tables.
        #[derive(Default)]
        pub(crate) struct Tables { $($field: Table<$key>,)* }

        impl Tables {
            /// New and old values of all that changed, each sorted by key.
            fn collect(&self) -> (KeyValues, KeyValues) {
                let (mut changes, mut undo) = (KeyValues::new(), KeyValues::new());
                $(self.$field.collect(&mut changes, &mut undo);)*
                changes.sort_unstable();
                undo.sort_unstable();
                (changes, undo)
            }
        }

        $(impl TableOf for $key {
            fn table(tables: &mut Tables) -> &mut Table<Self> {
                &mut tables.$field
            }
        })*
    };
}

/// Says which table holds the objects of a key.
pub(crate) trait TableOf: StateKey {
    fn table(tables: &mut Tables) -> &mut Table<Self>;
}

tables! {
    PropertiesKey => properties,
    SupportsKey => supports,
    ReversibleTimestampsKey => reversible_timestamps,
    GovernorsKey => governors,
    EmergencyKey => emergency,
    AccountKey => accounts,
    ValidatorKey => validators,
    ValidatorIndexKey => validator_index,
    CandidateIndexKey => candidate_index,
    SigningKeyKey => signing_keys,
    StakePositionKey => stake_positions,
    UnbondingKey => unbondings,
    PenaltyKey => penalties,
    PunishedSlotKey => punished_slots,
}

/// The state that a block is executed on.
pub(crate) struct Overlay<'a, S: ?Sized> {
    store: &'a S,
    tables: Tables,
    /// Read at the beginning, written back at the end.
    pub(crate) properties: DynamicProperties,
    /// Height of the block, for messages.
    pub(crate) height: Height,
}

impl<'a, S: StateStore + ?Sized> Overlay<'a, S> {
    /// The state in `store`, on which the block at `height` is executed.
    pub(crate) fn open(store: &'a S, height: Height) -> Result<Self, LedgerError> {
        let mut tables = Tables::default();
        let properties = tables
            .properties
            .cell(store, &PropertiesKey())?
            .current
            .clone()
            .ok_or_else(|| StateError {
                reason: "the dynamic properties are missing".to_owned(),
            })?;
        Ok(Self {
            store,
            tables,
            properties,
            height,
        })
    }

    /// The state in `store`, for what the next block may be.
    pub(crate) fn next(store: &'a S) -> Result<Self, LedgerError> {
        let mut overlay = Self::open(store, Height::ZERO)?;
        overlay.height = overlay.properties.height.next();
        Ok(overlay)
    }

    /// A state that is empty but for the given properties: block 0.
    pub(crate) fn empty(store: &'a S, properties: DynamicProperties) -> Self {
        Self {
            store,
            tables: Tables::default(),
            properties,
            height: Height::ZERO,
        }
    }

    pub(crate) const fn store(&self) -> &'a S {
        self.store
    }

    /// The error for something that cannot be: a bug of ours or a damaged store.
    pub(crate) fn broken(&self, invariant: impl Into<String>) -> LedgerError {
        LedgerError::BrokenInvariant {
            height: self.height,
            invariant: invariant.into(),
        }
    }

    pub(crate) fn get<K: TableOf>(&mut self, key: &K) -> Result<Option<K::Object>, StateError> {
        let cell = K::table(&mut self.tables).cell(self.store, key)?;
        Ok(cell.current.clone())
    }

    pub(crate) fn contains<K: TableOf>(&mut self, key: &K) -> Result<bool, StateError> {
        let cell = K::table(&mut self.tables).cell(self.store, key)?;
        Ok(cell.current.is_some())
    }

    /// An object that must exist.
    pub(crate) fn existing<K: TableOf + std::fmt::Debug>(
        &mut self,
        key: &K,
    ) -> Result<K::Object, LedgerError> {
        self.get(key)?
            .ok_or_else(|| self.broken(format!("{key:?} is missing")))
    }

    pub(crate) fn set<K: TableOf>(&mut self, key: &K, object: K::Object) -> Result<(), StateError> {
        let cell = K::table(&mut self.tables).cell(self.store, key)?;
        cell.current = Some(object);
        Ok(())
    }

    pub(crate) fn remove<K: TableOf>(&mut self, key: &K) -> Result<(), StateError> {
        let cell = K::table(&mut self.tables).cell(self.store, key)?;
        cell.current = None;
        Ok(())
    }

    pub(crate) fn prefetch<K: TableOf>(&mut self, keys: Vec<K>) -> Result<(), StateError> {
        K::table(&mut self.tables).prefetch(self.store, keys)
    }

    pub(crate) fn account(&mut self, name: AccountName) -> Result<Option<Account>, StateError> {
        self.get(&AccountKey(name))
    }

    pub(crate) fn set_account(
        &mut self,
        name: AccountName,
        account: Account,
    ) -> Result<(), StateError> {
        self.set(&AccountKey(name), account)
    }

    pub(crate) fn validator(&mut self, name: AccountName) -> Result<Option<Validator>, StateError> {
        self.get(&ValidatorKey(name))
    }

    pub(crate) fn set_validator(
        &mut self,
        name: AccountName,
        validator: Validator,
    ) -> Result<(), StateError> {
        self.set(&ValidatorKey(name), validator)
    }

    /// Ends the block: checks that money was conserved and gives new and old values of all that changed.
    pub(crate) fn close(mut self) -> Result<(KeyValues, KeyValues), LedgerError> {
        let properties = self.properties.clone();
        self.set(&PropertiesKey(), properties)?;
        let accounts = self
            .tables
            .accounts
            .sum_of_changes(|account| i128::from(account.balance));
        let stakes = self.tables.validators.sum_of_changes(|validator| {
            i128::from(validator.bonded.amount)
                .saturating_add(i128::from(validator.unbonding.amount))
        });
        let treasury = self
            .tables
            .properties
            .sum_of_changes(|properties| i128::from(properties.treasury));
        let supply = self
            .tables
            .properties
            .sum_of_changes(|properties| i128::from(properties.total_supply));
        let held = accounts.saturating_add(stakes).saturating_add(treasury);
        if held != supply {
            return Err(self.broken(format!(
                "money is conserved: balances changed by {accounts}, stakes by {stakes}, treasury by {treasury}, but the total supply by {supply}"
            )));
        }
        Ok(self.tables.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryState;
    use holdfast_types::{ChainProperties, Era, PublicKey, TimestampMs};

    fn properties(total_supply: u64) -> DynamicProperties {
        DynamicProperties {
            height: Height(0),
            timestamp: TimestampMs(1),
            era: Era(1),
            committee: [0; 32],
            epoch: 1,
            epoch_start: TimestampMs(1),
            lib: Height(0),
            lib_timestamp: TimestampMs(1),
            stall_clock: None,
            emergency_consensus_active: false,
            emergency_consensus_start_block: Height(0),
            halted_ms: 0,
            total_supply,
            treasury: 0,
            properties: ChainProperties {
                transaction_fee: 0,
                byte_fee: 0,
                account_creation_fee: 0,
            },
            hardfork_version: 0,
            validators: 0,
            candidates: 0,
            unbonding_first: 0,
            unbonding_next: 0,
            penalty_first: 0,
            penalty_next: 0,
        }
    }

    #[test]
    fn money_from_nowhere_is_a_broken_invariant() {
        let store = MemoryState::default();
        for (supply, conserved) in [(4, false), (5, true), (6, false)] {
            let mut overlay = Overlay::empty(&store, properties(supply));
            let account = Account {
                public_key: PublicKey::new([1; 32]),
                balance: 5,
                nonce: 0,
                unbondings: 0,
            };
            let name = AccountName::new("alice").expect("a valid name");
            overlay.set_account(name, account).expect("memory reads");
            match overlay.close() {
                Ok(_) => assert!(conserved),
                Err(error) => {
                    assert!(!conserved);
                    assert!(matches!(error, LedgerError::BrokenInvariant { .. }));
                }
            }
        }
    }
}
