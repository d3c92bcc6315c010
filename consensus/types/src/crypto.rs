//! Ed25519 with one verdict.
//!
//! RFC 8032 leaves open what a verifier does with small-order and non-canonical points, and plain batch
//! verification disagrees with plain single verification. Two nodes that disagree on one signature fork the chain,
//! so both ways follow ZIP-215 here: any point encoding that decompresses, canonical `s`, cofactored equation.
//! Signing is `ed25519-dalek`, the verdict on one signature `ed25519-zebra`, the equation of a batch our own
//! (`verify`), all on the same curve library.

mod verify;

pub use verify::{CachingEd25519, Ed25519};

use crate::hash::Hash32;
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use zeroize::Zeroizing;

/// What is signed: the hash that one of the named purposes made. Only this crate makes one, so nothing can be
/// signed that has no purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningHash(Hash32);

impl SigningHash {
    pub(crate) const fn new(hash: Hash32) -> Self {
        Self(hash)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &Hash32 {
        &self.0
    }
}

/// Text that is not the hexadecimal form of a key or signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} is {digits} hexadecimal digits, got {text:?}")]
pub struct KeyTextError {
    pub kind: &'static str,
    pub digits: usize,
    pub text: String,
}

macro_rules! byte_newtype {
    ($(#[$doc:meta])* $name:ident, $length:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name([u8; $length]);

        impl $name {
            #[must_use]
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    formatter,
                    concat!(stringify!($name), "({})"),
                    hex::encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
                )
            }
        }

        impl FromStr for $name {
            type Err = KeyTextError;

            fn from_str(text: &str) -> Result<Self, KeyTextError> {
                let mut bytes = [0; $length];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyTextError {
                    kind: $kind,
                    digits: 2 * $length,
                    text: text.chars().take(160).collect(),
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

byte_newtype!(
    /// An ed25519 public key, as bytes: whether they are a point is decided at verification, once, for everybody.
    PublicKey, 32, "a public key"
);
byte_newtype!(
    /// An ed25519 signature.
    Signature, 64, "a signature"
);

/// One signature to be checked.
#[derive(Clone, Copy, Debug)]
pub struct SignatureCheck {
    pub key: PublicKey,
    pub message: SigningHash,
    pub signature: Signature,
}

/// How signatures are verified. The node uses [`Ed25519`]; a simulation may use a cheaper keyed scheme.
pub trait SignatureScheme: fmt::Debug + Send + Sync {
    fn verify(&self, check: &SignatureCheck) -> bool;

    /// True exactly if [`Self::verify`] is true for every check.
    fn verify_batch(&self, checks: &[SignatureCheck]) -> bool;
}

/// Which of the signatures are valid. A few bad ones among many good are found by halving, so whoever sends them costs the
/// others little; after that each is checked alone, which is cheaper than to halve for every one of many bad ones.
#[must_use]
pub fn verify_each(checks: &[SignatureCheck], scheme: &dyn SignatureScheme) -> Vec<bool> {
    const HALVED_FOR_MAX: usize = 4;
    let mut valid = vec![true; checks.len()];
    let mut bad = 0usize;
    let mut open: Vec<Range<usize>> = std::iter::once(0..checks.len()).collect();
    while let Some(range) = open.pop() {
        let part = checks.get(range.clone()).unwrap_or_default();
        if part.len() > 1 && bad < HALVED_FOR_MAX {
            if !scheme.verify_batch(part) {
                let middle = range.start.midpoint(range.end);
                open.push(range.start..middle);
                open.push(middle..range.end);
            }
            continue;
        }
        for (check, valid) in part.iter().zip(valid.iter_mut().skip(range.start)) {
            *valid = scheme.verify(check);
            bad = bad.saturating_add(usize::from(!*valid));
        }
    }
    valid
}

/// How this node signs. The key may live elsewhere; what it may sign is decided by the sign guard before.
pub trait Signer: fmt::Debug + Send + Sync {
    fn public_key(&self) -> PublicKey;

    fn sign(&self, message: &SigningHash) -> Signature;
}

/// An ed25519 key pair in memory; the secret is wiped on drop.
#[derive(Clone)]
pub struct KeyPair {
    key: ed25519_dalek::SigningKey,
}

impl KeyPair {
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self {
            key: ed25519_dalek::SigningKey::from_bytes(secret),
        }
    }

    /// The secret, for a keystore to encrypt.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }
}

impl Signer for KeyPair {
    fn public_key(&self) -> PublicKey {
        PublicKey::new(self.key.verifying_key().to_bytes())
    }

    fn sign(&self, message: &SigningHash) -> Signature {
        use ed25519_dalek::Signer as _;
        Signature::new(self.key.sign(message.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyPair({})", self.public_key())
    }
}
