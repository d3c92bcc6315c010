//! BLAKE3 with a context for every use.

use crate::ids::ChainId;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use borsh::BorshSerialize;
use std::sync::OnceLock;

/// 32 bytes of BLAKE3 output.
pub type Hash32 = [u8; 32];

/// A context string with what BLAKE3 makes of it: derived once, not for every hash.
#[derive(Debug)]
struct Context {
    text: &'static str,
    key: OnceLock<ContextKey>,
}

/// A hashing purpose: the derive-key context string of BLAKE3. Two purposes never give the same hash for the
/// same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Purpose(&'static Context);

macro_rules! purposes {
    ($($name:ident = $text:literal,)*) => {
        impl Purpose {
            $(pub const $name: Self = {
                static CONTEXT: Context = Context { text: $text, key: OnceLock::new() };
                Self(&CONTEXT)
            };)*
        }
    };
}

purposes! {
    TRANSACTION = "holdfast transaction v1",
    VERTEX = "holdfast vertex v1",
    VERTEX_PARENTS = "holdfast vertex parents v1",
    VERTEX_PAYLOAD = "holdfast vertex payload v1",
    VERTEX_GENESIS = "holdfast round-0 vertex v1",
    BLOCK = "holdfast block v1",
    BLOCK_TRANSACTION = "holdfast block transaction v1",
    BLOCK_SYSTEM = "holdfast block system v1",
    EMERGENCY_BLOCK = "holdfast emergency block v1",
    COMMIT = "holdfast commit v1",
    ATTESTATION = "holdfast attestation v1",
    END_VOTE = "holdfast end vote v1",
    DKG_CONFIRMATION = "holdfast dkg confirmation v1",
    COMMITTEE = "holdfast committee v1",
    ERA_SEED = "holdfast era seed v1",
    LEADER = "holdfast leader v1",
    COMMITTEE_SAMPLE = "holdfast committee sample v1",
    EMERGENCY_SCHEDULE = "holdfast emergency schedule v1",
    EVIDENCE = "holdfast evidence v1",
    RECEIPT = "holdfast receipt v1",
    MERKLE_LEAF = "holdfast merkle leaf v1",
    MERKLE_NODE = "holdfast merkle node v1",
    GENESIS = "holdfast genesis v1",
    PARAMETERS = "holdfast parameters v1",
    PEER_CLAIM = "holdfast peer claim v1",
    GOVERNANCE = "holdfast governance v1",
    HALT = "holdfast halt v1",
    HALT_STATUS = "holdfast halt status v1",
    HALT_JOURNAL = "holdfast halt journal v1",
    LOCKDOWN_VOTE = "holdfast lockdown vote v1",
    RECOVERY_VOTE = "holdfast recovery vote v1",
    QUARANTINE_REPORT = "holdfast quarantine report v1",
    SNAPSHOT = "holdfast snapshot v1",
    BATCH_COEFFICIENTS = "holdfast batch verification v1",
}

impl Purpose {
    /// The context string, as another language needs it (`blake3.derive_key`).
    #[must_use]
    pub const fn context(self) -> &'static str {
        self.0.text
    }

    /// A hasher of this purpose.
    #[must_use]
    pub fn hasher(self) -> blake3::Hasher {
        let Context { text, key } = self.0;
        blake3::Hasher::new_from_context_key(key.get_or_init(|| hash_derive_key_context(text)))
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
