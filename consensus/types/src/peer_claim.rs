//! The claim of a peer to be a validator: binds a validator key to a network identity, so that a request can be sent to
//! the peer that an authority runs.

use crate::crypto::{PublicKey, Signature, SignatureCheck, SignatureScheme, Signer, SigningHash};
use crate::hash::Purpose;
use crate::ids::ChainId;
use borsh::{BorshDeserialize, BorshSerialize};

/// Longest encoded claim in bytes.
pub const PEER_CLAIM_BYTES_MAX: usize = 1024;

/// "The validator of this key runs the peer that shows this." The peer's identity is proved by the transport and not
/// repeated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PeerClaim {
    pub key: PublicKey,
    pub signature: Signature,
}

impl PeerClaim {
    fn signing_hash(chain: &ChainId, peer_id: &[u8]) -> SigningHash {
        SigningHash::new(Purpose::PEER_CLAIM.hash_on_chain(chain, peer_id))
    }

    /// Signs for the own network identity `peer_id`.
    #[must_use]
    pub fn sign(chain: &ChainId, peer_id: &[u8], signer: &dyn Signer) -> Self {
        Self {
            key: signer.public_key(),
            signature: signer.sign(&Self::signing_hash(chain, peer_id)),
        }
    }

    /// True if the validator of `self.key` has signed for `peer_id`.
    #[must_use]
    pub fn verify(&self, chain: &ChainId, peer_id: &[u8], scheme: &dyn SignatureScheme) -> bool {
        scheme.verify(&SignatureCheck {
            key: self.key,
            message: Self::signing_hash(chain, peer_id),
            signature: self.signature,
        })
    }
}
