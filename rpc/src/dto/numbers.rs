//! 64-bit numbers in JSON, whose numbers are exact below 2^53 only.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// From here on an integer is a decimal string in JSON: 2^53, above which readers that use doubles lose digits.
pub const SAFE_INTEGER_END: u64 = 1 << 53;

/// A height, round, era, nonce, index or timestamp: a JSON number below 2^53, a decimal string from there on.
/// Both forms are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u64);

/// An amount in base units: always a decimal string. A JSON number is not read, so that no amount is ever rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub u64);

impl Number {
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 < SAFE_INTEGER_END {
            serializer.serialize_u64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("a whole number from 0 to 2^64 - 1, or the same as a decimal string")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                parse_decimal(text)
                    .map(Number)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number: a JSON number below 2^53, a decimal string from there on.",
            "oneOf": [
                { "type": "integer", "minimum": 0, "maximum": SAFE_INTEGER_END - 1 },
                { "type": "string", "pattern": "^[0-9]{16,20}$" },
            ],
        })
    }
}

impl From<u64> for Amount {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an amount in base units as a decimal string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                parse_decimal(text)
                    .map(Amount)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(AmountVisitor)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount in base units, always a decimal string.",
            "type": "string",
            "pattern": "^[0-9]{1,20}$",
        })
    }
}

/// Digits only: the standard parser would also take a leading plus sign.
fn parse_decimal(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_turn_into_strings_at_2_pow_53() {
        let below = serde_json::to_string(&Number(SAFE_INTEGER_END - 1)).unwrap();
        let above = serde_json::to_string(&Number(SAFE_INTEGER_END)).unwrap();
        assert_eq!(below, "9007199254740991");
        assert_eq!(above, "\"9007199254740992\"");
        assert_eq!(serde_json::to_string(&Amount(7)).unwrap(), "\"7\"");
    }

    #[test]
    fn what_is_no_whole_number_is_refused() {
        for text in [
            "-1",
            "1.0",
            "1e3",
            "\"+1\"",
            "\"\"",
            "\" 1\"",
            "null",
            "18446744073709551616",
        ] {
            assert!(serde_json::from_str::<Number>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Amount>("1").is_err());
    }

    proptest! {
        #[test]
        fn round_trip(value: u64) {
            let number = serde_json::to_string(&Number(value)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Number>(&number).unwrap(), Number(value));
            let amount = serde_json::to_string(&Amount(value)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Amount>(&amount).unwrap(), Amount(value));
        }
    }
}
