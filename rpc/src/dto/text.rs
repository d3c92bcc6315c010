//! Bytes as hexadecimal text.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Longest fixed-size value shown as hexadecimal, in bytes: a signature.
const FIXED_BYTES_MAX: usize = 64;

/// `N` bytes (at most 64) shown as `2 * N` lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const N: usize>([u8; N]);

/// A block id, transaction id, state root or other 32-byte hash.
pub type Hash = Hex<32>;
/// An ed25519 public key.
pub type PublicKey = Hex<32>;
/// An ed25519 signature.
pub type Signature = Hex<64>;

/// A text that is no hexadecimal value of the wanted length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} hexadecimal digits without prefix")]
pub struct HexError {
    digits: usize,
}

impl<const N: usize> Hex<N> {
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        const { assert!(N <= FIXED_BYTES_MAX) };
        Self(bytes)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    fn with_text<R>(&self, use_text: impl FnOnce(&str) -> R) -> R {
        let mut buffer = [0; 2 * FIXED_BYTES_MAX];
        let digits = &mut buffer[..2 * N];
        hex::encode_to_slice(self.0, digits).expect("the buffer is two digits per byte long");
        use_text(std::str::from_utf8(digits).expect("hexadecimal digits are ASCII"))
    }
}

impl<const N: usize> From<[u8; N]> for Hex<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self::new(bytes)
    }
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| HexError { digits: 2 * N })?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| formatter.write_str(text))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexVisitor<const N: usize>;
        impl<const N: usize> Visitor<'_> for HexVisitor<N> {
            type Value = Hex<N>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{} hexadecimal digits without prefix", 2 * N)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(|_| {
                    E::invalid_value(de::Unexpected::Other(&describe_text(text)), &self)
                })
            }
        }
        deserializer.deserialize_str(HexVisitor::<N>)
    }
}

/// What an error message says of a rejected text, without repeating a long one.
fn describe_text(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 24;
    if text.chars().count() <= SHOWN_CHARS_MAX {
        format!("string {text:?}")
    } else {
        let start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        format!("string {start:?}… of {} bytes", text.len())
    }
}

impl<const N: usize> JsonSchema for Hex<N> {
    fn schema_name() -> Cow<'static, str> {
        format!("Hex{N}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": format!("{N} bytes as {} lower-case hexadecimal digits, without prefix.", 2 * N),
            "type": "string",
            "pattern": format!("^[0-9a-f]{{{}}}$", 2 * N),
        })
    }
}

/// Bytes of any length shown as lower-case hexadecimal digits.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl fmt::Debug for HexBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(&self.0))
    }
}

impl From<Vec<u8>> for HexBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = vec![0; 2 * self.0.len()];
        hex::encode_to_slice(&self.0, &mut digits).expect("the buffer is two digits per byte long");
        serializer
            .serialize_str(std::str::from_utf8(&digits).expect("hexadecimal digits are ASCII"))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = HexBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an even number of hexadecimal digits without prefix")
            }

            // The digits are decoded where they stand in the request: the only copy is the decoded one.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HexBytes, E> {
                hex::decode(text).map(HexBytes).map_err(|_| {
                    E::invalid_value(de::Unexpected::Other(&describe_text(text)), &self)
                })
            }
        }
        deserializer.deserialize_str(BytesVisitor)
    }
}

impl JsonSchema for HexBytes {
    fn schema_name() -> Cow<'static, str> {
        "HexBytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes as lower-case hexadecimal digits, two per byte, without prefix.",
            "type": "string",
            "pattern": "^([0-9a-f]{2})*$",
        })
    }
}

/// A signed transaction in its canonical encoding (`docs/transactions.md`), as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct TransactionBytes(pub HexBytes);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hex_round_trip(bytes: [u8; 32], more: Vec<u8>) {
            let fixed = Hash::new(bytes);
            let json = serde_json::to_string(&fixed).unwrap();
            prop_assert_eq!(&json, &format!("\"{fixed}\""));
            prop_assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), fixed);
            let open = HexBytes(more);
            let json = serde_json::to_string(&open).unwrap();
            prop_assert_eq!(serde_json::from_str::<HexBytes>(&json).unwrap(), open);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = text.parse::<Hash>();
            let _ = serde_json::from_value::<HexBytes>(text.into());
        }
    }

    #[test]
    fn refusal_names_the_rule() {
        let error = serde_json::from_str::<Hash>("\"0xabc\"")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected 64 hexadecimal digits without prefix"),
            "{error}"
        );
        let error = serde_json::from_str::<HexBytes>("\"abc\"")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("an even number of hexadecimal digits"),
            "{error}"
        );
        let long = serde_json::to_string(&"z".repeat(500)).unwrap();
        let error = serde_json::from_str::<Hash>(&long).unwrap_err().to_string();
        assert!(
            error.contains("of 500 bytes") && error.len() < 200,
            "{error}"
        );
    }
}
