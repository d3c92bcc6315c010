//! Vectors that are refused, with the refusal.

use crate::valid::{CHAIN, SECRET, body, name};
use holdfast_types::{
    Action, ChainId, Ed25519, KeyPair, SignedTransaction, TransactionError, VerifiedTransaction,
    codec,
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Vector {
    name: &'static str,
    chain_id: String,
    transaction: String,
    refusal: &'static str,
}

/// Where the fields of the example lie.
const SENDER_LENGTH_AT: usize = 0;
const SENDER_AT: usize = 1;
const EXPIRY_TAG_AT: usize = 6 + 32 + 8 + 8;
const ACTION_TAG_AT: usize = EXPIRY_TAG_AT + 1;
const RECIPIENT_LENGTH_AT: usize = ACTION_TAG_AT + 1;
const RECIPIENT_AT: usize = RECIPIENT_LENGTH_AT + 1;
const MEMO_LENGTH_AT: usize = RECIPIENT_AT + 3 + 8;

fn example(memo: Vec<u8>) -> Vec<u8> {
    let action = Action::Transfer {
        to: name("bob"),
        amount: 250,
        memo,
    };
    codec::encode(&body(action).sign(&CHAIN, &KeyPair::from_secret(&SECRET)))
}

fn refusal(chain: &ChainId, bytes: &[u8]) -> &'static str {
    let verified = SignedTransaction::decode(bytes)
        .and_then(|transaction| VerifiedTransaction::verify(transaction, chain, &Ed25519));
    match verified.expect_err("an invalid vector is refused") {
        TransactionError::Codec(_) => "malformed",
        TransactionError::FieldTooLong { .. } => "field_too_long",
        TransactionError::BadSignature => "bad_signature",
    }
}

fn vector(
    label: &'static str,
    expected: &'static str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Vector {
    let mut bytes = example(b"rent".to_vec());
    change(&mut bytes);
    of_bytes(label, expected, CHAIN, &bytes)
}

fn of_bytes(label: &'static str, expected: &'static str, chain: ChainId, bytes: &[u8]) -> Vector {
    assert_eq!(refusal(&chain, bytes), expected, "{label}");
    Vector {
        name: label,
        chain_id: chain.to_string(),
        transaction: hex::encode(bytes),
        refusal: expected,
    }
}

pub(crate) fn vectors() -> Vec<Vector> {
    let mut vectors = malformed();
    vectors.push(of_bytes(
        "memo of 257 bytes",
        "field_too_long",
        CHAIN,
        &example(vec![0; 257]),
    ));
    vectors.push(of_bytes(
        "url of 257 bytes",
        "field_too_long",
        CHAIN,
        &long_url(),
    ));
    vectors.extend(badly_signed());
    vectors
}

fn long_url() -> Vec<u8> {
    let action = Action::RegisterValidator {
        signing_key: None,
        url: vec![b'u'; 257],
    };
    codec::encode(&body(action).sign(&CHAIN, &KeyPair::from_secret(&SECRET)))
}

fn malformed() -> Vec<Vector> {
    let malformed = |label, change: fn(&mut Vec<u8>)| vector(label, "malformed", change);
    vec![
        malformed("empty", Vec::clear),
        malformed("trailing byte", |bytes| bytes.push(0)),
        malformed("last byte missing", |bytes| bytes.truncate(bytes.len() - 1)),
        malformed("body without signature", |bytes| {
            bytes.truncate(bytes.len() - 64)
        }),
        malformed("capital letter in the sender", |bytes| {
            bytes[SENDER_AT] = b'A'
        }),
        malformed("digit first in the sender", |bytes| bytes[SENDER_AT] = b'1'),
        malformed("hyphen last in the recipient", |bytes| {
            bytes[RECIPIENT_AT + 2] = b'-'
        }),
        malformed("empty sender", |bytes| {
            bytes.splice(SENDER_LENGTH_AT..=SENDER_AT + 4, [0]);
        }),
        malformed("sender of 25 characters", |bytes| {
            let sender = std::iter::once(25).chain([b'a'; 25]);
            bytes.splice(SENDER_LENGTH_AT..=SENDER_AT + 4, sender);
        }),
        malformed("option tag 2", |bytes| bytes[EXPIRY_TAG_AT] = 2),
        malformed("option tag 255", |bytes| bytes[EXPIRY_TAG_AT] = 255),
        malformed("option tag 1 without a value", |bytes| {
            bytes[EXPIRY_TAG_AT] = 1
        }),
        malformed("unknown action tag", |bytes| bytes[ACTION_TAG_AT] = 200),
        malformed("memo longer than the bytes", |bytes| {
            bytes[MEMO_LENGTH_AT + 3] = 0xff
        }),
        malformed("memo shorter than the bytes", |bytes| {
            bytes[MEMO_LENGTH_AT] = 3
        }),
    ]
}

fn badly_signed() -> Vec<Vector> {
    /// The group order, little-endian: added to S it names the same scalar in another encoding.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let bad = |label, change: fn(&mut Vec<u8>)| vector(label, "bad_signature", change);
    vec![
        bad("signature changed", |bytes| {
            *bytes.last_mut().expect("not empty") ^= 1
        }),
        bad("amount changed", |bytes| bytes[RECIPIENT_AT + 3] ^= 1),
        bad("sender changed", |bytes| bytes[SENDER_AT] = b'b'),
        bad("key changed", |bytes| bytes[SENDER_AT + 5] ^= 1),
        bad("signature of zeros", |bytes| {
            let start = bytes.len() - 64;
            bytes[start..].fill(0);
        }),
        bad("S above the group order", |bytes| {
            let start = bytes.len() - 32;
            let mut carry = 0u16;
            for (byte, order) in bytes[start..].iter_mut().zip(ORDER) {
                carry += u16::from(*byte) + u16::from(order);
                *byte = carry.to_le_bytes()[0];
                carry >>= 8;
            }
        }),
        of_bytes(
            "signed for another chain",
            "bad_signature",
            ChainId::new([0xc2; 32]),
            &example(b"rent".to_vec()),
        ),
    ]
}
