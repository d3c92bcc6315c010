//! How a simulated chain signs: as the node does, or in a way that costs next to nothing.
//!
//! The rules under test are above the scheme, and Ed25519 has tests of its own, so most runs are fast. A fast signature is
//! a keyed hash of the message, the key being the public one: anybody could forge it. Nobody here does: a Byzantine node
//! signs with its own key only.

use crate::random::Random;
use holdfast_types::crypto::{Ed25519, KeyPair, SigningHash};
use holdfast_types::{PublicKey, Signature, SignatureCheck, SignatureScheme, Signer};

/// The scheme of a simulated chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Fast,
    /// Ed25519 with the verdicts of the node.
    Real,
}

/// A key of a scheme.
#[derive(Clone, Debug)]
pub enum SimulatedKey {
    Fast(PublicKey),
    Real(Box<KeyPair>),
}

impl Scheme {
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "fast" => Some(Self::Fast),
            "real" => Some(Self::Real),
            _ => None,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Real => "real",
        }
    }

    /// The key of this number; different numbers have different keys.
    #[must_use]
    pub fn key(self, number: u64) -> SimulatedKey {
        let mut bytes = [0x5a; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        match self {
            Self::Fast => SimulatedKey::Fast(PublicKey::new(bytes)),
            Self::Real => SimulatedKey::Real(Box::new(KeyPair::from_secret(&bytes))),
        }
    }
}

/// Not against an adversary, but every bit of key and message counts for every bit of the signature.
fn fast_signature(key: &PublicKey, message: &SigningHash) -> Signature {
    let words = key.as_bytes().chunks(8).chain(message.as_bytes().chunks(8));
    let state = words.fold(0, |state: u64, word| {
        let word = u64::from_le_bytes(word.try_into().expect("32 bytes are four words"));
        Random::new(state.rotate_left(32) ^ word).number()
    });
    let mut random = Random::new(state);
    let mut bytes = [0; 64];
    for word in bytes.chunks_mut(8) {
        word.copy_from_slice(&random.number().to_le_bytes());
    }
    Signature::new(bytes)
}

impl SimulatedKey {
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Fast(_) => Scheme::Fast,
            Self::Real(_) => Scheme::Real,
        }
    }
}

impl Signer for SimulatedKey {
    fn public_key(&self) -> PublicKey {
        match self {
            Self::Fast(key) => *key,
            Self::Real(pair) => pair.public_key(),
        }
    }

    fn sign(&self, message: &SigningHash) -> Signature {
        match self {
            Self::Fast(key) => fast_signature(key, message),
            Self::Real(pair) => pair.sign(message),
        }
    }
}

impl SignatureScheme for Scheme {
    fn verify(&self, check: &SignatureCheck) -> bool {
        match self {
            Self::Fast => fast_signature(&check.key, &check.message) == check.signature,
            Self::Real => Ed25519.verify(check),
        }
    }

    fn verify_batch(&self, checks: &[SignatureCheck]) -> bool {
        match self {
            Self::Fast => checks.iter().all(|check| self.verify(check)),
            Self::Real => Ed25519.verify_batch(checks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::{AccountName, Action, ChainId, TransactionBody, VerifiedTransaction};

    #[test]
    fn a_signature_is_good_for_its_key_and_message_only() {
        for scheme in [Scheme::Fast, Scheme::Real] {
            let chain = ChainId::new([1; 32]);
            let key = scheme.key(7);
            let body = TransactionBody {
                sender: AccountName::new("alice").expect("a valid name"),
                public_key: key.public_key(),
                nonce: 0,
                fee_max: 1,
                expires_at: None,
                action: Action::VoteHardfork { version: 1 },
            };
            let good = body.clone().sign(&chain, &key);
            let verify =
                |transaction| VerifiedTransaction::verify(transaction, &chain, &scheme).is_ok();
            assert!(verify(good.clone()));
            let mut changed = good;
            changed.body.nonce = 1;
            assert!(!verify(changed));
            assert!(!verify(body.sign(&chain, &scheme.key(8))));
        }
    }
}
