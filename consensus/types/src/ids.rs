//! Numbers and hashes with a meaning. No `From<u64>`: a height never becomes a round by accident.

use crate::hash::Hash32;
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::str::FromStr;

/// Text that is not 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} is 64 hexadecimal digits, got {text:?}")]
pub struct HashTextError {
    pub kind: &'static str,
    pub text: String,
}

macro_rules! hash_newtype {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize)]
        pub struct $name(Hash32);

        impl $name {
            #[must_use]
            pub const fn new(bytes: Hash32) -> Self {
                Self(bytes)
            }

            #[must_use]
            pub const fn as_bytes(&self) -> &Hash32 {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                if formatter.alternate() {
                    formatter.write_str(&hex::encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4])))
                } else {
                    formatter.write_str(&hex::encode(self.0))
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({:#})"), self)
            }
        }

        impl FromStr for $name {
            type Err = HashTextError;

            fn from_str(text: &str) -> Result<Self, HashTextError> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| HashTextError {
                    kind: $kind,
                    text: text.chars().take(80).collect(),
                })?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_newtype!(
    /// Hash of the genesis document: what tells one chain from another in every signature.
    ChainId, "a chain id"
);
hash_newtype!(
    /// Hash of a block header.
    BlockId, "a block id"
);
hash_newtype!(
    /// Hash of a vertex header.
    VertexDigest, "a vertex digest"
);
hash_newtype!(
    /// Hash of a transaction body: also the message that its sender signs.
    TransactionId, "a transaction id"
);
hash_newtype!(
    /// Hash of a commit record, chained to the commit before it.
    CommitDigest, "a commit digest"
);
hash_newtype!(
    /// Root of the Merkle commitment over the key-value state.
    StateRoot, "a state root"
);
hash_newtype!(
    /// Names a halt: the same on every node that is in it.
    HaltId, "a halt id"
);

macro_rules! number_newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default,
            BorshSerialize, BorshDeserialize, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            pub const ZERO: Self = Self(0);
            pub const MAX: Self = Self(<$inner>::MAX);

            /// The next value; stays at the maximum.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The value before; stays at zero.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// `self + count`; stays at the maximum.
            #[must_use]
            pub const fn plus(self, count: $inner) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// `self - count`; stays at zero.
            #[must_use]
            pub const fn minus(self, count: $inner) -> Self {
                Self(self.0.saturating_sub(count))
            }

            /// How far `self` lies above `earlier`; zero if it does not.
            #[must_use]
            pub const fn since(self, earlier: Self) -> $inner {
                self.0.saturating_sub(earlier.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

number_newtype!(
    /// Number of a block; genesis is 0.
    Height(u64), "H"
);
number_newtype!(
    /// Layer of the DAG within an era; round 0 is implied.
    Round(u64), "R"
);
number_newtype!(
    /// One run of the DAG, or one emergency; the first is 1, genesis itself is 0.
    Era(u64), "E"
);
number_newtype!(
    /// Milliseconds since the Unix epoch.
    TimestampMs(u64), "t"
);
number_newtype!(
    /// Position of a validator in the committee of an era.
    AuthorityIndex(u16), "V"
);

impl AuthorityIndex {
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}
