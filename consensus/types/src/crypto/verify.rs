//! Verification of Ed25519 signatures, alone and in batches.
//!
//! A batch of signatures (R, s) by keys A over messages M is valid if, with k = SHA-512(R || A || M) and a coefficient z
//! per signature,
//!
//! 8 (sum(z s) B - sum(z R) - sum(z k A)) = 0.
//!
//! This is the equation of ZIP-215 summed up, cofactor included; with 128-bit coefficients that nobody can choose, a
//! batch with an invalid signature passes with a probability of 2^-128. Decompressing the points is much of the work.
//! The keys of a chain come again and again, so [`CachingEd25519`] keeps theirs; `ed25519-zebra`, which has the same
//! equation, does not take decompressed ones.

use super::{PublicKey, SignatureCheck, SignatureScheme};
use crate::hash::Purpose;
use crate::mutant::{self, Mutant};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha512};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Below this size the batch equation saves nothing.
const BATCH_WORTH_IT: usize = 3;

/// Ed25519 as of ZIP-215.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519;

impl SignatureScheme for Ed25519 {
    fn verify(&self, check: &SignatureCheck) -> bool {
        verify_alone(check)
    }

    fn verify_batch(&self, checks: &[SignatureCheck]) -> bool {
        verify_together(checks, decompress)
    }
}

/// A key and its point, once there was one.
type Place = Mutex<Option<(PublicKey, EdwardsPoint)>>;

/// The same verdicts as [`Ed25519`]; remembers the points of keys that it met. For a node, where the same keys sign
/// again and again.
pub struct CachingEd25519 {
    /// A key has one place, given by its bytes. Who makes keys for the place of another slows both down to what they
    /// would be without.
    places: Box<[Place]>,
}

impl CachingEd25519 {
    /// Room for about `keys` keys, 208 bytes each once used.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self {
            places: (0..keys.max(1)).map(|_| Mutex::new(None)).collect(),
        }
    }

    fn point(&self, key: &PublicKey) -> Option<EdwardsPoint> {
        let [a, b, c, d, ..] = *key.as_bytes();
        let number = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or_default();
        let place = number
            .checked_rem(self.places.len())
            .and_then(|number| self.places.get(number))?;
        {
            let held = place.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((known, point)) = *held
                && known == *key
            {
                return Some(point);
            }
        }
        let point = decompress(key)?;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((*key, point));
        Some(point)
    }
}

impl fmt::Debug for CachingEd25519 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CachingEd25519({} places)", self.places.len())
    }
}

impl SignatureScheme for CachingEd25519 {
    fn verify(&self, check: &SignatureCheck) -> bool {
        verify_alone(check)
    }

    fn verify_batch(&self, checks: &[SignatureCheck]) -> bool {
        verify_together(checks, |key| self.point(key))
    }
}

fn decompress(key: &PublicKey) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*key.as_bytes()).decompress()
}

fn verify_alone(check: &SignatureCheck) -> bool {
    let signature = ed25519_zebra::Signature::from_bytes(check.signature.as_bytes());
    ed25519_zebra::VerificationKey::try_from(*check.key.as_bytes())
        .is_ok_and(|key| key.verify(&signature, check.message.as_bytes()).is_ok())
}

fn verify_together(
    checks: &[SignatureCheck],
    point: impl Fn(&PublicKey) -> Option<EdwardsPoint>,
) -> bool {
    if checks.len() < BATCH_WORTH_IT {
        return checks.iter().all(verify_alone);
    }
    batch_equation(checks, point) == Some(true)
}

/// Whether the equation of the batch holds. None if a part of a signature or key is no point or no scalar.
#[allow(
    clippy::arithmetic_side_effects,
    reason = "scalars are integers modulo a prime: nothing overflows"
)]
fn batch_equation(
    checks: &[SignatureCheck],
    point: impl Fn(&PublicKey) -> Option<EdwardsPoint>,
) -> Option<bool> {
    let mut coefficients = coefficients(checks);
    let mut base_scalar = Scalar::ZERO;
    let count = checks.len().saturating_mul(2).saturating_add(1);
    let mut scalars = Vec::with_capacity(count);
    let mut points = Vec::with_capacity(count);
    for check in checks {
        let (nonce_bytes, scalar_bytes) = check.signature.as_bytes().split_first_chunk::<32>()?;
        let nonce_point = CompressedEdwardsY(*nonce_bytes).decompress()?;
        let scalar = Scalar::from_canonical_bytes(*scalar_bytes.first_chunk::<32>()?);
        let scalar = Option::<Scalar>::from(scalar)?;
        let hash = Sha512::new()
            .chain_update(nonce_bytes)
            .chain_update(check.key.as_bytes())
            .chain_update(check.message.as_bytes());
        let hash = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut coefficient = [0; 16];
        coefficients.fill_bytes(&mut coefficient);
        let coefficient = Scalar::from(u128::from_le_bytes(coefficient));
        base_scalar -= coefficient * scalar;
        scalars.push(coefficient);
        points.push(nonce_point);
        scalars.push(coefficient * hash);
        points.push(point(&check.key)?);
    }
    scalars.push(base_scalar);
    points.push(ED25519_BASEPOINT_POINT);
    let sum = EdwardsPoint::vartime_multiscalar_mul(scalars, points);
    if mutant::is_on(Mutant::BatchWithoutCofactor) {
        return Some(sum.is_identity());
    }
    Some(sum.mul_by_cofactor().is_identity())
}

/// The coefficients depend on every byte of the batch, so nobody can choose signatures that cancel out under
/// coefficients known beforehand; and a run stays reproducible.
fn coefficients(checks: &[SignatureCheck]) -> rand_chacha::ChaCha12Rng {
    let mut hasher = Purpose::BATCH_COEFFICIENTS.hasher();
    for check in checks {
        hasher.update(check.key.as_bytes());
        hasher.update(check.message.as_bytes());
        hasher.update(check.signature.as_bytes());
    }
    rand_chacha::ChaCha12Rng::from_seed(*hasher.finalize().as_bytes())
}
