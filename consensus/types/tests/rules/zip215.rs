//! One verdict on every signature, alone and in any batch, and that verdict is the one of ZIP-215.
//!
//! The cases: all pairs of the 14 encodings of small-order points, as in the suite of ZIP-215; the twelve of "Taming
//! the many EdDSAs"; keys and nonces with every torsion component; non-canonical encodings of points and scalars;
//! errors that cancel out in a batch without coefficients; random mutations of all of these.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use holdfast_types::crypto::verify_each;
use holdfast_types::test_util::{key_pair, signing_hash};
use holdfast_types::{
    CachingEd25519, Ed25519, PublicKey, Signature, SignatureCheck, SignatureScheme, Signer,
};
use proptest::prelude::*;
use sha2::{Digest, Sha512};
use std::sync::LazyLock;

/// p = 2^255 - 19, little-endian.
const FIELD_PRIME: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed;
    bytes[31] = 0x7f;
    bytes
};
const SIGN_BIT: u8 = 0x80;

fn check(
    key: [u8; 32],
    nonce_point: [u8; 32],
    scalar: [u8; 32],
    message: [u8; 32],
) -> SignatureCheck {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&nonce_point);
    signature[32..].copy_from_slice(&scalar);
    SignatureCheck {
        key: PublicKey::new(key),
        message: signing_hash(message),
        signature: Signature::new(signature),
    }
}

fn valid(number: u16) -> SignatureCheck {
    let message = signing_hash([number.to_be_bytes()[1]; 32]);
    let signer = key_pair(number);
    SignatureCheck {
        key: signer.public_key(),
        message,
        signature: signer.sign(&message),
    }
}

/// So few places that keys drive each other out all the time.
static CACHING: LazyLock<CachingEd25519> = LazyLock::new(|| CachingEd25519::new(3));

/// Asserts that `case` has the verdict `expected` alone, repeated, and at either end of batches of valid ones.
fn assert_verdict(case: &SignatureCheck, expected: bool) {
    static VALID: LazyLock<[SignatureCheck; 4]> = LazyLock::new(|| [0, 1, 2, 3].map(valid));
    assert_eq!(Ed25519.verify(case), expected, "alone: {case:?}");
    assert_eq!(CACHING.verify(case), expected, "alone: {case:?}");
    for size in [1, 2, 3, 4] {
        for place in [0, size - 1] {
            let mut batch = VALID[..size].to_vec();
            batch[place] = *case;
            let verdict = Ed25519.verify_batch(&batch);
            assert_eq!(verdict, expected, "at {place} of {size}: {case:?}");
            let verdict = CACHING.verify_batch(&batch);
            assert_eq!(verdict, expected, "cached at {place} of {size}: {case:?}");
        }
    }
    assert_eq!(
        Ed25519.verify_batch(&[*case; 4]),
        expected,
        "four times: {case:?}"
    );
}

/// All encodings of `y` and `-x` that a lenient decoder takes, without the canonical ones: y + p where it fits in 255
/// bits, and a sign bit where x is zero.
fn non_canonical_encodings() -> Vec<[u8; 32]> {
    let mut candidates = Vec::new();
    for above_prime in 0..19 {
        let mut bytes = FIELD_PRIME;
        bytes[0] += above_prime;
        candidates.push(bytes);
    }
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = FIELD_PRIME;
    minus_one[0] -= 1;
    candidates.extend([one, minus_one]);
    for position in 0..candidates.len() {
        let mut negative = candidates[position];
        negative[31] |= SIGN_BIT;
        candidates.push(negative);
    }
    candidates
        .into_iter()
        .filter(|bytes| {
            let point = CompressedEdwardsY(*bytes).decompress();
            point.is_some_and(|point| point.compress().to_bytes() != *bytes)
        })
        .collect()
}

/// The 8 canonical and 6 non-canonical encodings of points of order 1, 2, 4 and 8.
fn small_order_encodings() -> Vec<[u8; 32]> {
    let non_canonical = non_canonical_encodings().into_iter().filter(|bytes| {
        let point = CompressedEdwardsY(*bytes).decompress();
        point.is_some_and(|point| point.is_small_order())
    });
    EIGHT_TORSION
        .iter()
        .map(|point| point.compress().to_bytes())
        .chain(non_canonical)
        .collect()
}

fn small_order_cases() -> Vec<SignatureCheck> {
    let encodings = small_order_encodings();
    let mut cases = Vec::new();
    for key in &encodings {
        for nonce_point in &encodings {
            cases.push(check(
                *key,
                *nonce_point,
                [0; 32],
                *b"the scalar is zero, so all pass.",
            ));
        }
    }
    cases
}

/// A signature by the equation, whose key and nonce point have the torsion components given.
fn mixed_order(
    key_torsion: &EdwardsPoint,
    nonce_torsion: &EdwardsPoint,
    number: u8,
) -> SignatureCheck {
    let secret = Scalar::from_bytes_mod_order([number.wrapping_add(3); 32]);
    let nonce = Scalar::from_bytes_mod_order([number.wrapping_add(101); 32]);
    let key = (EdwardsPoint::mul_base(&secret) + key_torsion)
        .compress()
        .to_bytes();
    let nonce_point = (EdwardsPoint::mul_base(&nonce) + nonce_torsion)
        .compress()
        .to_bytes();
    let message = [number; 32];
    let challenge = Sha512::new()
        .chain_update(nonce_point)
        .chain_update(key)
        .chain_update(message)
        .finalize();
    let challenge = Scalar::from_bytes_mod_order_wide(&challenge.into());
    let scalar = nonce + challenge * secret;
    check(key, nonce_point, scalar.to_bytes(), message)
}

fn mixed_order_cases() -> Vec<SignatureCheck> {
    let mut cases = Vec::new();
    for key_torsion in &EIGHT_TORSION {
        for nonce_torsion in &EIGHT_TORSION {
            let number = u8::try_from(cases.len()).unwrap();
            cases.push(mixed_order(key_torsion, nonce_torsion, number));
        }
    }
    cases
}

fn published_cases() -> Vec<(SignatureCheck, bool)> {
    let file: serde_json::Value = serde_json::from_str(include_str!("speccheck.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let text = |case: &serde_json::Value, field: &str| case[field].as_str().unwrap().to_owned();
    cases
        .iter()
        .map(|case| {
            let message: holdfast_types::BlockId = text(case, "message").parse().unwrap();
            let check = SignatureCheck {
                key: text(case, "key").parse().unwrap(),
                message: signing_hash(*message.as_bytes()),
                signature: text(case, "signature").parse().unwrap(),
            };
            (check, case["valid"].as_bool().unwrap())
        })
        .collect()
}

/// The scalar plus the group order: the same value, another encoding.
fn with_group_order_added(case: &SignatureCheck) -> Option<SignatureCheck> {
    let minus_one = (-Scalar::ONE).to_bytes();
    let mut signature = *case.signature.as_bytes();
    let mut carry = 1u16;
    for (byte, order) in signature[32..].iter_mut().zip(minus_one) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    (carry == 0).then(|| SignatureCheck {
        signature: Signature::new(signature),
        ..*case
    })
}

#[test]
fn the_encodings_are_those_of_the_zip() {
    assert_eq!(small_order_encodings().len(), 14);
    assert_eq!(non_canonical_encodings().len(), 26);
}

#[test]
fn all_196_pairs_of_small_order_points_are_valid() {
    let cases = small_order_cases();
    assert_eq!(cases.len(), 196);
    for case in &cases {
        assert_verdict(case, true);
    }
    assert!(Ed25519.verify_batch(&cases));
}

#[test]
fn a_small_order_key_with_a_scalar_of_its_own_is_invalid() {
    for case in small_order_cases() {
        let mut signature = *case.signature.as_bytes();
        signature[32] = 1;
        let case = SignatureCheck {
            signature: Signature::new(signature),
            ..case
        };
        assert_verdict(&case, false);
    }
}

#[test]
fn the_twelve_published_cases() {
    let cases = published_cases();
    assert_eq!(cases.len(), 12);
    for (case, expected) in cases {
        assert_verdict(&case, expected);
    }
}

#[test]
fn every_torsion_component_of_key_and_nonce_is_ignored() {
    let cases = mixed_order_cases();
    for case in &cases {
        assert_verdict(case, true);
        let mut signature = *case.signature.as_bytes();
        signature[40] ^= 1;
        assert_verdict(
            &SignatureCheck {
                signature: Signature::new(signature),
                ..*case
            },
            false,
        );
    }
    assert!(Ed25519.verify_batch(&cases));
}

#[test]
fn a_scalar_above_the_group_order_is_invalid() {
    let mut tried = 0;
    let valid_ones = (0..8)
        .map(valid)
        .chain(mixed_order_cases())
        .chain(small_order_cases());
    for case in valid_ones.filter_map(|case| with_group_order_added(&case)) {
        assert_verdict(&case, false);
        tried += 1;
    }
    assert_eq!(tried, 8 + 64 + 196);
}

#[test]
fn bytes_that_are_no_point_are_invalid_as_key_and_as_nonce() {
    let no_points = (2..=u8::MAX).map(|byte| {
        let mut bytes = [0; 32];
        bytes[0] = byte;
        bytes
    });
    let no_points: Vec<_> = no_points
        .filter(|bytes| CompressedEdwardsY(*bytes).decompress().is_none())
        .take(16)
        .collect();
    assert_eq!(no_points.len(), 16);
    let mut identity = [0; 32];
    identity[0] = 1;
    for bytes in no_points {
        assert_verdict(&check(bytes, identity, [0; 32], [1; 32]), false);
        assert_verdict(&check(identity, bytes, [0; 32], [1; 32]), false);
    }
}

#[test]
fn non_canonical_points_of_large_order_have_one_verdict() {
    let encodings = non_canonical_encodings();
    for key in &encodings {
        for nonce_point in &encodings {
            let case = check(*key, *nonce_point, [0; 32], [7; 32]);
            assert_verdict(&case, Ed25519.verify(&case));
        }
    }
}

#[test]
fn errors_that_cancel_out_do_not_pass() {
    let shifted = |case: SignatureCheck, by: Scalar| {
        let mut signature = *case.signature.as_bytes();
        let scalar: [u8; 32] = signature[32..].try_into().unwrap();
        let scalar = Scalar::from_canonical_bytes(scalar).unwrap() + by;
        signature[32..].copy_from_slice(scalar.as_bytes());
        SignatureCheck {
            signature: Signature::new(signature),
            ..case
        }
    };
    let one = shifted(valid(1), Scalar::ONE);
    let other = shifted(valid(2), -Scalar::ONE);
    assert!(!Ed25519.verify_batch(&[one, other]));
    assert!(!Ed25519.verify_batch(&[one, other, valid(3), valid(4)]));
    let same_key = shifted(valid(1), -Scalar::ONE);
    assert!(!Ed25519.verify_batch(&[one, same_key, valid(3), valid(4)]));
}

#[test]
fn an_empty_batch_is_valid() {
    assert!(Ed25519.verify_batch(&[]));
}

/// What is mutated: every kind of case, as many valid as strange.
static POOL: LazyLock<Vec<SignatureCheck>> = LazyLock::new(|| {
    (0..64)
        .map(valid)
        .chain(small_order_cases())
        .chain(mixed_order_cases())
        .chain(published_cases().into_iter().map(|(case, _)| case))
        .collect()
});

#[derive(Clone, Debug)]
enum Mutation {
    None,
    Key(usize, u8),
    Message(u8),
    Signature(usize, u8),
    KeyOf(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => Just(Mutation::None),
        1 => (0..32usize, any::<u8>()).prop_map(|(place, flip)| Mutation::Key(place, flip)),
        1 => any::<u8>().prop_map(Mutation::Message),
        1 => (0..64usize, any::<u8>()).prop_map(|(place, flip)| Mutation::Signature(place, flip)),
        1 => any::<prop::sample::Index>().prop_map(Mutation::KeyOf),
    ]
}

fn mutated(case: SignatureCheck, mutation: &Mutation) -> SignatureCheck {
    let mut key = *case.key.as_bytes();
    let mut signature = *case.signature.as_bytes();
    let mut message = *case.message.as_bytes();
    match mutation {
        Mutation::None => {}
        Mutation::Key(place, flip) => key[*place] ^= flip,
        Mutation::Message(flip) => message[0] ^= flip,
        Mutation::Signature(place, flip) => signature[*place] ^= flip,
        Mutation::KeyOf(index) => key = *index.get(&POOL).key.as_bytes(),
    }
    SignatureCheck {
        key: PublicKey::new(key),
        message: signing_hash(message),
        signature: Signature::new(signature),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_of_many_gets_its_own_verdict(bad in prop::collection::btree_set(0usize..40, 0..12)) {
        let mut checks: Vec<_> = (0..40).map(valid).collect();
        for position in &bad {
            checks[*position].message = signing_hash([0xbb; 32]);
        }
        let verdicts = verify_each(&checks, &Ed25519);
        let expected: Vec<_> = (0..40).map(|position| !bad.contains(&position)).collect();
        prop_assert_eq!(verdicts, expected);
    }

    #[test]
    fn a_batch_is_valid_exactly_if_each_is(
        picks in prop::collection::vec((any::<prop::sample::Index>(), mutation()), 0..9),
    ) {
        let batch: Vec<_> = picks
            .iter()
            .map(|(index, mutation)| mutated(*index.get(&POOL), mutation))
            .collect();
        let each = batch.iter().all(|case| Ed25519.verify(case));
        prop_assert_eq!(Ed25519.verify_batch(&batch), each);
        prop_assert_eq!(CACHING.verify_batch(&batch), each);
    }
}
