//! Keys and objects of the state, as a person reads them.

use holdfast_ledger::keys::{
    AccountKey, CandidateIndexKey, GovernorsKey, PropertiesKey, PunishedSlotKey,
    ReversibleTimestampsKey, SigningKeyKey, StakePositionKey, StateKey, SupportsKey, UnbondingKey,
    ValidatorIndexKey, ValidatorKey,
};
use holdfast_ledger::objects::StateObject as _;
use std::fmt::Debug;

/// What a key stands for: "account alice".
#[must_use]
pub(super) fn name(key: &[u8]) -> String {
    named(key).unwrap_or_else(|| format!("key {} (of no known kind)", hex::encode(key)))
}

fn named(key: &[u8]) -> Option<String> {
    let (&prefix, rest) = key.split_first()?;
    let text = || std::str::from_utf8(rest).ok();
    let name = match prefix {
        PropertiesKey::PREFIX if rest.is_empty() => "dynamic properties".to_owned(),
        SupportsKey::PREFIX if rest.is_empty() => "supports".to_owned(),
        ReversibleTimestampsKey::PREFIX if rest.is_empty() => {
            "timestamps of reversible blocks".to_owned()
        }
        GovernorsKey::PREFIX if rest.is_empty() => "governors".to_owned(),
        AccountKey::PREFIX => format!("account {}", text()?),
        ValidatorKey::PREFIX => format!("validator {}", text()?),
        ValidatorIndexKey::PREFIX => format!(
            "validator number {}",
            u32::from_be_bytes(rest.try_into().ok()?)
        ),
        CandidateIndexKey::PREFIX => format!(
            "candidate number {}",
            u32::from_be_bytes(rest.try_into().ok()?)
        ),
        SigningKeyKey::PREFIX => format!("owner of signing key {}", hex::encode(rest)),
        StakePositionKey::PREFIX => {
            let (length, names) = rest.split_first()?;
            let (staker, validator) = names.split_at_checked(usize::from(*length))?;
            format!(
                "stake of {} with validator {}",
                std::str::from_utf8(staker).ok()?,
                std::str::from_utf8(validator).ok()?
            )
        }
        UnbondingKey::PREFIX => format!(
            "unbonding number {}",
            u64::from_be_bytes(rest.try_into().ok()?)
        ),
        PunishedSlotKey::PREFIX => format!("punished slot {}", hex::encode(rest)),
        _ => return None,
    };
    Some(name)
}

/// The fields of a stored object, one per line; the bytes if they do not decode.
#[must_use]
pub(super) fn object(key: &[u8], value: &[u8]) -> String {
    let text = key.first().and_then(|prefix| match *prefix {
        PropertiesKey::PREFIX => fields::<PropertiesKey>(value),
        SupportsKey::PREFIX => fields::<SupportsKey>(value),
        ReversibleTimestampsKey::PREFIX => fields::<ReversibleTimestampsKey>(value),
        GovernorsKey::PREFIX => fields::<GovernorsKey>(value),
        AccountKey::PREFIX => fields::<AccountKey>(value),
        ValidatorKey::PREFIX => fields::<ValidatorKey>(value),
        ValidatorIndexKey::PREFIX => fields::<ValidatorIndexKey>(value),
        CandidateIndexKey::PREFIX => fields::<CandidateIndexKey>(value),
        SigningKeyKey::PREFIX => fields::<SigningKeyKey>(value),
        StakePositionKey::PREFIX => fields::<StakePositionKey>(value),
        UnbondingKey::PREFIX => fields::<UnbondingKey>(value),
        PunishedSlotKey::PREFIX => fields::<PunishedSlotKey>(value),
        _ => None,
    });
    text.unwrap_or_else(|| format!("0x{}", hex::encode(value)))
}

fn fields<K: StateKey<Object: Debug>>(value: &[u8]) -> Option<String> {
    let object = K::Object::decode(value).ok()?;
    Some(format!("{object:#?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_ledger::objects::PunishedSlot;
    use holdfast_types::{AccountName, Height, PublicKey};

    #[test]
    fn every_kind_of_key_has_a_name() {
        let account = |text| AccountName::new(text).unwrap();
        let names = [
            name(&PropertiesKey().bytes()),
            name(&SupportsKey().bytes()),
            name(&ReversibleTimestampsKey().bytes()),
            name(&GovernorsKey().bytes()),
            name(&AccountKey(account("alice")).bytes()),
            name(&ValidatorKey(account("bob")).bytes()),
            name(&ValidatorIndexKey(7).bytes()),
            name(&CandidateIndexKey(8).bytes()),
            name(&SigningKeyKey(PublicKey::new([0xab; 32])).bytes()),
            name(&StakePositionKey(account("alice"), account("bob")).bytes()),
            name(&UnbondingKey(300).bytes()),
            name(&PunishedSlotKey([1; 32]).bytes()),
        ];
        let expected = [
            "dynamic properties",
            "supports",
            "timestamps of reversible blocks",
            "governors",
            "account alice",
            "validator bob",
            "validator number 7",
            "candidate number 8",
            &format!("owner of signing key {}", "ab".repeat(32)),
            "stake of alice with validator bob",
            "unbonding number 300",
            &format!("punished slot {}", "01".repeat(32)),
        ];
        assert_eq!(names, expected);
        assert_eq!(name(b"\x99x"), "key 9978 (of no known kind)");
        assert_eq!(name(b""), "key  (of no known kind)");
        assert_eq!(name(b"\x15\x09ab"), "key 15096162 (of no known kind)");
    }

    #[test]
    fn objects_are_shown_by_their_fields() {
        let slot = PunishedSlot {
            validator: AccountName::new("bob").unwrap(),
            height: Height(5),
        };
        let text = object(&PunishedSlotKey([1; 32]).bytes(), &slot.encode());
        assert!(text.contains("bob") && text.contains("height: "), "{text}");
        assert_eq!(object(b"\x10alice", &[9, 9]), "0x0909");
        assert_eq!(object(b"\x99", &[1]), "0x01");
    }
}
