//! BLAKE3 with a context for every use.

use crate::ids::ChainId;
use borsh::BorshSerialize;

/// 32 bytes of BLAKE3 output.
pub type Hash32 = [u8; 32];

/// A hashing purpose: the derive-key context string of BLAKE3. Two purposes never give the same hash for the
/// same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Purpose(&'static str);

impl Purpose {
    pub const TRANSACTION: Self = Self("holdfast transaction v1");
    pub const VERTEX: Self = Self("holdfast vertex v1");
    pub const VERTEX_PARENTS: Self = Self("holdfast vertex parents v1");
    pub const VERTEX_PAYLOAD: Self = Self("holdfast vertex payload v1");
    pub const VERTEX_GENESIS: Self = Self("holdfast round-0 vertex v1");
    pub const BLOCK: Self = Self("holdfast block v1");
    pub const BLOCK_SYSTEM: Self = Self("holdfast block system v1");
    pub const COMMIT: Self = Self("holdfast commit v1");
    pub const ATTESTATION: Self = Self("holdfast attestation v1");
    pub const COMMITTEE: Self = Self("holdfast committee v1");
    pub const ERA_SEED: Self = Self("holdfast era seed v1");
    pub const LEADER: Self = Self("holdfast leader v1");
    pub const COMMITTEE_SAMPLE: Self = Self("holdfast committee sample v1");
    pub const EVIDENCE: Self = Self("holdfast evidence v1");
    pub const RECEIPT: Self = Self("holdfast receipt v1");
    pub const MERKLE_LEAF: Self = Self("holdfast merkle leaf v1");
    pub const MERKLE_NODE: Self = Self("holdfast merkle node v1");
    pub const GENESIS: Self = Self("holdfast genesis v1");
    pub const PARAMETERS: Self = Self("holdfast parameters v1");
    pub const PEER_CLAIM: Self = Self("holdfast peer claim v1");
    pub const BATCH_COEFFICIENTS: Self = Self("holdfast batch verification v1");

    /// The context string, as another language needs it (`blake3.derive_key`).
    #[must_use]
    pub const fn context(self) -> &'static str {
        self.0
    }

    /// A hasher of this purpose.
    #[must_use]
    pub fn hasher(self) -> blake3::Hasher {
        blake3::Hasher::new_derive_key(self.0)
    }

    /// Hash of raw bytes.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> Hash32 {
        *self.hasher().update(bytes).finalize().as_bytes()
    }

    /// Hash of the canonical encoding of `value`.
    #[must_use]
    pub fn hash_encoded<T: BorshSerialize + ?Sized>(self, value: &T) -> Hash32 {
        let mut hasher = self.hasher();
        write_encoded(&mut hasher, value);
        *hasher.finalize().as_bytes()
    }

    /// Hash of the chain id followed by the canonical encoding of `value`: the form of everything that is signed.
    #[must_use]
    pub fn hash_on_chain<T: BorshSerialize + ?Sized>(self, chain: &ChainId, value: &T) -> Hash32 {
        let mut hasher = self.hasher();
        hasher.update(chain.as_bytes());
        write_encoded(&mut hasher, value);
        *hasher.finalize().as_bytes()
    }
}

fn write_encoded<T: BorshSerialize + ?Sized>(hasher: &mut blake3::Hasher, value: &T) {
    let bytes = crate::codec::encode(value);
    hasher.update(&bytes);
}
