//! Account names and amounts.

use crate::limits::ACCOUNT_NAME_BYTES_MAX;
use borsh::{BorshDeserialize, BorshSerialize};
use std::cmp::Ordering;
use std::fmt;
use std::io;
use std::str::FromStr;

/// Money in base units. The total supply fits, so a sum of balances does too; every operation is checked.
pub type Amount = u64;

/// Name of an account: 1 to 24 characters of `a-z`, `0-9`, `-` and `.`, beginning with a letter and ending with a
/// letter or digit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountName {
    length: u8,
    bytes: [u8; ACCOUNT_NAME_BYTES_MAX],
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "account name {text:?} breaks the rule: 1 to 24 characters of a-z, 0-9, '-' and '.', first a letter, last a letter or digit"
)]
pub struct AccountNameError {
    pub text: String,
}

impl AccountName {
    /// The name, if `text` obeys the rule.
    pub fn new(text: &str) -> Result<Self, AccountNameError> {
        if !Self::is_valid(text.as_bytes()) {
            return Err(AccountNameError {
                text: text.chars().take(64).collect(),
            });
        }
        let mut bytes = [0; ACCOUNT_NAME_BYTES_MAX];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Ok(Self {
            length: u8::try_from(text.len()).unwrap_or(0),
            bytes,
        })
    }

    fn is_valid(text: &[u8]) -> bool {
        let (Some(first), Some(last)) = (text.first(), text.last()) else {
            return false;
        };
        text.len() <= ACCOUNT_NAME_BYTES_MAX
            && first.is_ascii_lowercase()
            && (last.is_ascii_lowercase() || last.is_ascii_digit())
            && text
                .iter()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

impl PartialOrd for AccountName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AccountName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        Self::new(text)
    }
}

impl BorshSerialize for AccountName {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&[self.length])?;
        writer.write_all(self.as_bytes())
    }
}

impl BorshDeserialize for AccountName {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let length = u8::deserialize_reader(reader)?;
        let mut bytes = [0; ACCOUNT_NAME_BYTES_MAX];
        let name = bytes.get_mut(..usize::from(length)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "account name is too long")
        })?;
        reader.read_exact(name)?;
        if !Self::is_valid(name) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "account name breaks the rule for names",
            ));
        }
        Ok(Self { length, bytes })
    }
}

impl serde::Serialize for AccountName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for AccountName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
