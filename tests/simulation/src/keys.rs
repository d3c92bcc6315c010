//! A signature scheme that costs next to nothing: the rules under test are above it, and Ed25519 has tests of its own.
//!
//! A signature is a function of public key and message, so anybody could forge one. Nobody here does: a Byzantine node
//! signs with its own key only.

use holdfast_types::crypto::SigningHash;
use holdfast_types::{PublicKey, Signature, SignatureCheck, SignatureScheme, Signer};

/// The scheme of all simulated chains.
#[derive(Clone, Copy, Debug, Default)]
pub struct FastScheme;

/// A key of the scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastKey(PublicKey);

impl FastKey {
    /// The key of this number; different numbers have different keys.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let mut bytes = [0x5a; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Self(PublicKey::new(bytes))
    }
}

fn signature(key: &PublicKey, message: &SigningHash) -> Signature {
    let (key, message) = (key.as_bytes(), message.as_bytes());
    let mut bytes = [0; 64];
    for (position, byte) in bytes.iter_mut().enumerate() {
        *byte = if position < 32 {
            message[position] ^ key[position]
        } else {
            message[position - 32].rotate_left(3) ^ key[63 - position]
        };
    }
    Signature::new(bytes)
}

impl Signer for FastKey {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, message: &SigningHash) -> Signature {
        signature(&self.0, message)
    }
}

impl SignatureScheme for FastScheme {
    fn verify(&self, check: &SignatureCheck) -> bool {
        signature(&check.key, &check.message) == check.signature
    }

    fn verify_batch(&self, checks: &[SignatureCheck]) -> bool {
        checks.iter().all(|check| self.verify(check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::{AccountName, Action, ChainId, TransactionBody, VerifiedTransaction};

    #[test]
    fn a_signature_is_good_for_its_key_and_message_only() {
        let chain = ChainId::new([1; 32]);
        let key = FastKey::new(7);
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
            |transaction| VerifiedTransaction::verify(transaction, &chain, &FastScheme).is_ok();
        assert!(verify(good.clone()));
        let mut changed = good;
        changed.body.nonce = 1;
        assert!(!verify(changed));
        assert!(!verify(body.sign(&chain, &FastKey::new(8))));
    }
}
