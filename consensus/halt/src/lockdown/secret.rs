//! The cluster secret: the outer gate against everybody who is no member of the cluster (document 000, DESIGN §8).
//!
//! A tag proves that its maker knows the secret, not who it is: every holder can make every tag. So whoever speaks signs as
//! well, and a tag without the signature of a member, or a signature without a tag, changes nothing. Rules:
//!
//! * KS1. The tag is the whole HMAC-SHA256 over the canonical encoding of everything that is said, after a domain string and
//!   the chain id.
//! * KS2. Tags are compared in constant time, in one place.
//! * KS3. A secret has at least 32 bytes and at most 1,024. There is no empty one to fall back on.
//! * KS4. While the secret is changed two are valid: tags are made with the new one, and the old one still verifies.

use hmac::{Hmac, KeyInit as _, Mac};
use holdfast_types::lockdown::{GossipedLockdown, LockdownMessage};
use holdfast_types::{ChainId, codec};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Shortest and longest secret in bytes (KS3).
pub const SECRET_BYTES_MIN: usize = 32;
pub const SECRET_BYTES_MAX: usize = 1024;

/// KS1: nothing else is ever tagged under this domain.
const DOMAIN: &[u8] = b"holdfast lockdown message v1";

/// Bytes that are no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("the cluster secret is {actual} bytes long, the least is {SECRET_BYTES_MIN}")]
    TooShort { actual: usize },
    #[error("the cluster secret is {actual} bytes long, the most is {SECRET_BYTES_MAX}")]
    TooLong { actual: usize },
    #[error("all bytes of the cluster secret are the same: anybody guesses it")]
    Constant,
}

/// What the members of a cluster share.
#[derive(Clone)]
pub struct ClusterSecret(Zeroizing<Vec<u8>>);

impl ClusterSecret {
    /// KS3.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        let actual = bytes.len();
        if actual < SECRET_BYTES_MIN {
            return Err(SecretError::TooShort { actual });
        }
        if actual > SECRET_BYTES_MAX {
            return Err(SecretError::TooLong { actual });
        }
        if bytes.windows(2).all(|pair| pair.first() == pair.last()) {
            return Err(SecretError::Constant);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    fn mac(&self, chain: &ChainId, message: &LockdownMessage, repetition: u32) -> Hmac<Sha256> {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of every length")
        };
        mac.chain_update(DOMAIN)
            .chain_update(chain.as_bytes())
            .chain_update(codec::encode(&(message, repetition)))
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClusterSecret(…)")
    }
}

/// The secret, and the one before it while it is changed (KS4).
#[derive(Clone, Debug)]
pub struct ClusterSecrets {
    current: ClusterSecret,
    previous: Option<ClusterSecret>,
}

impl ClusterSecrets {
    #[must_use]
    pub const fn new(current: ClusterSecret, previous: Option<ClusterSecret>) -> Self {
        Self { current, previous }
    }

    /// Whether the secret is being changed.
    #[must_use]
    pub const fn is_changing(&self) -> bool {
        self.previous.is_some()
    }

    /// What goes to the others.
    #[must_use]
    pub fn tag(
        &self,
        chain: &ChainId,
        message: LockdownMessage,
        repetition: u32,
    ) -> GossipedLockdown {
        let mac = self.current.mac(chain, &message, repetition);
        GossipedLockdown {
            message,
            repetition,
            tag: mac.finalize().into_bytes().into(),
        }
    }

    /// Whether a holder of the secret has made this (KS1, KS2, KS4).
    #[must_use]
    pub fn verify(&self, chain: &ChainId, gossiped: &GossipedLockdown) -> bool {
        let GossipedLockdown {
            message,
            repetition,
            tag,
        } = gossiped;
        let is_by = |secret: &ClusterSecret| {
            let mac = secret.mac(chain, message, *repetition);
            mac.verify_slice(tag).is_ok()
        };
        // Which of the two it was takes no other time.
        let current = is_by(&self.current);
        let previous = self.previous.as_ref().is_some_and(is_by);
        current | previous
    }
}
