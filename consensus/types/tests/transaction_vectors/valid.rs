//! Vectors that are accepted: every action, and the edges of every field.

use crate::fields;
use holdfast_types::limits::{MEMO_BYTES_MAX, URL_BYTES_MAX};
use holdfast_types::{
    AccountName, Action, ChainId, ChainProperties, Ed25519, KeyPair, PublicKey, SignedTransaction,
    Signer, TimestampMs, TransactionBody, VerifiedTransaction, codec,
};
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Serialize)]
pub(crate) struct Vector {
    name: &'static str,
    chain_id: String,
    secret_key: String,
    fields: fields::Body,
    body: String,
    id: String,
    signature: String,
    transaction: String,
}

pub(crate) const CHAIN: ChainId = ChainId::new([0xc1; 32]);
pub(crate) const SECRET: [u8; 32] = *b"a secret key of 32 bytes exactly";

pub(crate) fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("names of vectors obey the rule")
}

/// A transaction of `alice` with the nonce 7 and a fee of at most 1000.
pub(crate) fn body(action: Action) -> TransactionBody {
    TransactionBody {
        sender: name("alice"),
        public_key: KeyPair::from_secret(&SECRET).public_key(),
        nonce: 7,
        fee_max: 1000,
        expires_at: None,
        action,
    }
}

fn vector(label: &'static str, chain: ChainId, secret: [u8; 32], body: TransactionBody) -> Vector {
    let signer = KeyPair::from_secret(&secret);
    let id = body.id(&chain);
    let fields = fields::body(&body);
    let encoded_body = codec::encode(&body);
    let signed = body.sign(&chain, &signer);
    let bytes = codec::encode(&signed);
    let decoded = SignedTransaction::decode(&bytes).expect("a valid vector decodes");
    VerifiedTransaction::verify(decoded, &chain, &Ed25519).expect("a valid vector verifies");
    Vector {
        name: label,
        chain_id: chain.to_string(),
        secret_key: hex::encode(secret),
        fields,
        body: hex::encode(encoded_body),
        id: id.to_string(),
        signature: signed.signature.to_string(),
        transaction: hex::encode(bytes),
    }
}

fn of_alice(label: &'static str, action: Action) -> Vector {
    vector(label, CHAIN, SECRET, body(action))
}

fn transfer(to: &str, amount: u64, memo: Vec<u8>) -> Action {
    Action::Transfer {
        to: name(to),
        amount,
        memo,
    }
}

pub(crate) fn vectors() -> Vec<Vector> {
    let vectors: Vec<_> = [
        of_accounts(),
        of_validators(),
        of_stake_and_votes(),
        edges(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let labels: BTreeSet<_> = vectors.iter().map(|vector| vector.name).collect();
    assert_eq!(
        labels.len(),
        vectors.len(),
        "every vector has a name of its own"
    );
    vectors
}

const OTHER_KEY: PublicKey = PublicKey::new([0x5a; 32]);

fn of_accounts() -> Vec<Vector> {
    let key = OTHER_KEY;
    vec![
        of_alice("transfer", transfer("bob", 250, b"rent".to_vec())),
        of_alice(
            "create account",
            Action::CreateAccount {
                name: name("carol"),
                key,
                balance: 5000,
            },
        ),
        of_alice("update key", Action::UpdateKey { key }),
    ]
}

fn of_validators() -> Vec<Vector> {
    let key = OTHER_KEY;
    let url = b"https://validator.example/\xc3\xbc".to_vec();
    vec![
        of_alice(
            "register validator",
            Action::RegisterValidator {
                signing_key: Some(key),
                url: url.clone(),
            },
        ),
        of_alice(
            "register validator, disabled",
            Action::RegisterValidator {
                signing_key: None,
                url: Vec::new(),
            },
        ),
        of_alice(
            "update validator",
            Action::UpdateValidator {
                signing_key: Some(key),
                url,
            },
        ),
        of_alice(
            "update validator, disabled",
            Action::UpdateValidator {
                signing_key: None,
                url: Vec::new(),
            },
        ),
    ]
}

fn of_stake_and_votes() -> Vec<Vector> {
    let validator = name("val-1.main");
    vec![
        of_alice(
            "stake",
            Action::Stake {
                validator,
                amount: 1_000_000,
            },
        ),
        of_alice(
            "unstake",
            Action::Unstake {
                validator,
                amount: 999_999,
            },
        ),
        of_alice(
            "vote properties",
            Action::VoteProperties {
                properties: ChainProperties {
                    transaction_fee: 10,
                    byte_fee: 2,
                    account_creation_fee: 300,
                },
            },
        ),
        of_alice(
            "vote hardfork",
            Action::VoteHardfork {
                version: 0x0102_0304,
            },
        ),
    ]
}

fn edges() -> Vec<Vector> {
    let mut largest = body(transfer("a", u64::MAX, Vec::new()));
    largest.nonce = u64::MAX;
    largest.fee_max = u64::MAX;
    largest.expires_at = Some(TimestampMs(u64::MAX));
    let mut smallest = body(transfer("z", 0, Vec::new()));
    smallest.sender = name("b");
    smallest.nonce = 0;
    smallest.fee_max = 0;
    smallest.expires_at = Some(TimestampMs(0));
    let mut expiring = body(transfer("bob", 1, Vec::new()));
    expiring.expires_at = Some(TimestampMs(1_795_219_200_123));
    let other_secret = [0x33; 32];
    let mut other_key = body(transfer("bob", 250, b"rent".to_vec()));
    other_key.public_key = KeyPair::from_secret(&other_secret).public_key();
    vec![
        vector("largest numbers", CHAIN, SECRET, largest),
        vector("smallest numbers and names", CHAIN, SECRET, smallest),
        vector("with expiry", CHAIN, SECRET, expiring),
        of_alice(
            "longest name",
            transfer("abcdefghijklmnopqrstuv-9", 1, Vec::new()),
        ),
        of_alice(
            "longest memo, all byte values",
            transfer("bob", 1, (0..=u8::MAX).collect()),
        ),
        of_alice(
            "longest url",
            Action::UpdateValidator {
                signing_key: None,
                url: vec![b'u'; URL_BYTES_MAX],
            },
        ),
        vector("another key", CHAIN, other_secret, other_key),
        vector(
            "another chain",
            ChainId::new([0; 32]),
            SECRET,
            body(transfer("bob", 250, b"rent".to_vec())),
        ),
    ]
}

const _: () = assert!(
    MEMO_BYTES_MAX == 256,
    "the longest memo holds every byte value once"
);
