//! What a snapshot says of itself: numbered fields.
//!
//! | field | content | if it is missing |
//! |---|---|---|
//! | 1 | chain id | refused |
//! | 2 | height and id of the base | refused |
//! | 3 | height and id of the last block | the base |
//! | 4 | version of the software that wrote it, text | empty |
//! | 5 | `emergency_consensus_active` after the last block | false |
//! | 6 | `emergency_consensus_start_block` | 0 |
//! | 7 | height and timestamp of the last irreversible block | unknown |
//!
//! Fields 5 to 7 are for people: the state itself carries them. What is there must be what the state says.

use super::error::SnapshotError;
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_ledger::objects::DynamicProperties;
use holdfast_types::{BlockId, ChainId, Height, TimestampMs, codec};
use std::collections::BTreeMap;

const CHAIN: u16 = 1;
const BASE: u16 = 2;
const TOP: u16 = 3;
const SOFTWARE: u16 = 4;
const EMERGENCY_ACTIVE: u16 = 5;
const EMERGENCY_START: u16 = 6;
const IRREVERSIBLE: u16 = 7;

/// The first record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub chain: ChainId,
    /// The block that the values are the state of.
    pub base: (Height, BlockId),
    /// The last block: the base, or the last one of an emergency above it.
    pub top: (Height, BlockId),
    /// What wrote the snapshot.
    pub software: String,
    /// None: the snapshot does not say, which counts as false.
    pub emergency_consensus_active: Option<bool>,
    /// None: the snapshot does not say, which counts as 0.
    pub emergency_consensus_start_block: Option<Height>,
    /// Height and time; none: the snapshot does not say.
    pub irreversible: Option<(Height, TimestampMs)>,
}

impl Manifest {
    /// What a snapshot of this chain says whose state after `top` has these properties.
    pub(crate) fn of(
        chain: ChainId,
        base: (Height, BlockId),
        top: (Height, BlockId),
        properties: &DynamicProperties,
    ) -> Self {
        Self {
            chain,
            base,
            top,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            emergency_consensus_active: Some(properties.emergency_consensus_active),
            emergency_consensus_start_block: Some(properties.emergency_consensus_start_block),
            irreversible: Some((properties.lib, properties.lib_timestamp)),
        }
    }

    /// Whether an emergency is active after the last block.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.emergency_consensus_active.unwrap_or_default()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Fields::default();
        fields.put(CHAIN, &self.chain);
        fields.put(BASE, &self.base);
        fields.put(TOP, &self.top);
        fields.put(SOFTWARE, &self.software);
        fields.put_some(EMERGENCY_ACTIVE, self.emergency_consensus_active.as_ref());
        let start = self.emergency_consensus_start_block.as_ref();
        fields.put_some(EMERGENCY_START, start);
        fields.put_some(IRREVERSIBLE, self.irreversible.as_ref());
        codec::encode(&fields.0)
    }

    /// Fields that are not known are passed over.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let fields = codec::decode("the manifest", bytes, usize::MAX);
        let fields = Fields(fields.map_err(|error| error.to_string())?);
        let base = fields.required(BASE, "height and id of its base")?;
        Ok(Self {
            chain: fields.required(CHAIN, "chain id")?,
            base,
            top: fields.get(TOP)?.unwrap_or(base),
            software: fields.get(SOFTWARE)?.unwrap_or_default(),
            emergency_consensus_active: fields.get(EMERGENCY_ACTIVE)?,
            emergency_consensus_start_block: fields.get(EMERGENCY_START)?,
            irreversible: fields.get(IRREVERSIBLE)?,
        })
    }

    /// What is said of the state after the last block must hold.
    pub(crate) fn check(&self, properties: &DynamicProperties) -> Result<(), SnapshotError> {
        check(
            "emergency_consensus_active",
            self.emergency_consensus_active,
            properties.emergency_consensus_active,
        )?;
        check(
            "emergency_consensus_start_block",
            self.emergency_consensus_start_block,
            properties.emergency_consensus_start_block,
        )?;
        let (lib, time) = self.irreversible.unzip();
        check("the last irreversible block", lib, properties.lib)?;
        check(
            "the time of the last irreversible block",
            time,
            properties.lib_timestamp,
        )
    }
}

fn check<T: PartialEq + ToString>(
    field: &'static str,
    said: Option<T>,
    actual: T,
) -> Result<(), SnapshotError> {
    match said.filter(|said| *said != actual) {
        None => Ok(()),
        Some(said) => Err(SnapshotError::Contradiction {
            field,
            said: said.to_string(),
            actual: actual.to_string(),
        }),
    }
}

/// Encoded values by field number.
#[derive(Default)]
struct Fields(BTreeMap<u16, Vec<u8>>);

impl Fields {
    fn put<T: BorshSerialize>(&mut self, number: u16, value: &T) {
        self.0.insert(number, codec::encode(value));
    }

    fn put_some<T: BorshSerialize>(&mut self, number: u16, value: Option<&T>) {
        if let Some(value) = value {
            self.put(number, value);
        }
    }

    fn get<T: BorshDeserialize>(&self, number: u16) -> Result<Option<T>, String> {
        let bytes = self.0.get(&number);
        let value = bytes.map(|bytes| codec::decode("a field of the manifest", bytes, usize::MAX));
        value.transpose().map_err(|error| error.to_string())
    }

    fn required<T: BorshDeserialize>(&self, number: u16, what: &str) -> Result<T, String> {
        self.get(number)?
            .ok_or_else(|| format!("the manifest lacks the {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::test_util::CHAIN as CHAIN_ID;

    fn minimal() -> Fields {
        let mut fields = Fields::default();
        fields.put(CHAIN, &CHAIN_ID);
        fields.put(BASE, &(Height(7), BlockId::new([7; 32])));
        fields
    }

    #[test]
    fn what_is_missing_has_the_documented_defaults() {
        let manifest = Manifest::decode(&codec::encode(&minimal().0)).unwrap();
        assert_eq!(manifest.top, manifest.base);
        assert_eq!(manifest.software, "");
        assert!(!manifest.is_emergency());
        let start = manifest.emergency_consensus_start_block;
        assert_eq!(start.unwrap_or_default(), Height::ZERO);
        assert_eq!(manifest.irreversible, None);
    }

    #[test]
    fn fields_that_nobody_knows_are_passed_over() {
        let mut fields = minimal();
        fields.put(900, &String::from("of a later version"));
        assert_eq!(
            Manifest::decode(&codec::encode(&fields.0)),
            Manifest::decode(&codec::encode(&minimal().0))
        );
    }

    #[test]
    fn without_chain_or_base_it_is_no_manifest() {
        for (number, what) in [(CHAIN, "chain id"), (BASE, "base")] {
            let mut fields = minimal();
            fields.0.remove(&number);
            let refusal = Manifest::decode(&codec::encode(&fields.0)).unwrap_err();
            assert!(refusal.contains(what), "{refusal}");
        }
    }
}
