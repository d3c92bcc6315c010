//! Account names.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

const NAME_CHARS_MAX: usize = 24;

/// The name of an account: 1 to 24 characters of `a-z`, `0-9`, `.` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct AccountName(Box<str>);

/// A text that is no account name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account name has 1 to 24 characters of a-z, 0-9, '.' and '-'")]
pub struct AccountNameError;

impl AccountName {
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        if (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(AccountNameError)
        }
    }
}

impl TryFrom<Cow<'_, str>> for AccountName {
    type Error = AccountNameError;

    fn try_from(text: Cow<'_, str>) -> Result<Self, AccountNameError> {
        text.parse()
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl JsonSchema for AccountName {
    fn schema_name() -> Cow<'static, str> {
        "AccountName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of an account: 1 to 24 characters of a-z, 0-9, '.' and '-'.",
            "type": "string",
            "pattern": "^[a-z0-9.-]{1,24}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["a", "alice", "val-1.eu", "012345678901234567890123"] {
            assert_eq!(name.parse::<AccountName>().unwrap().as_str(), name);
        }
        for name in ["", "Alice", "a b", "ä", "0123456789012345678901234"] {
            assert_eq!(name.parse::<AccountName>(), Err(AccountNameError));
        }
    }
}
