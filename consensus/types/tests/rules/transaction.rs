//! Transactions: identity, limits, verdicts.

use holdfast_types::limits::{MEMO_BYTES_MAX, TRANSACTION_BYTES_MAX, URL_BYTES_MAX};
use holdfast_types::test_util::{CHAIN, key_pair, samples, validator_account};
use holdfast_types::{
    Action, ChainId, Ed25519, PublicKey, Signature, SignedTransaction, Signer, TimestampMs,
    TransactionBody, TransactionError, VerifiedTransaction, codec,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn body(action: Action) -> TransactionBody {
    TransactionBody {
        sender: validator_account(1),
        public_key: key_pair(1).public_key(),
        nonce: 3,
        fee_max: 100,
        expires_at: None,
        action,
    }
}

fn transfer(memo_bytes: usize) -> TransactionBody {
    body(Action::Transfer {
        to: validator_account(2),
        amount: 5,
        memo: vec![7; memo_bytes],
    })
}

#[test]
fn the_id_does_not_depend_on_the_signature() {
    let mut signed = transfer(0).sign(&CHAIN, &key_pair(1));
    let verified = VerifiedTransaction::verify(signed.clone(), &CHAIN, &Ed25519).unwrap();
    signed.signature = Signature::new([0; 64]);
    assert_eq!(signed.body.id(&CHAIN), verified.id());
    assert_eq!(
        VerifiedTransaction::trust(verified.id(), signed).id(),
        verified.id()
    );
}

#[test]
fn the_id_depends_on_the_chain_and_every_field() {
    let original = transfer(1);
    let mut bodies = vec![original.clone(); 7];
    bodies[0].sender = validator_account(2);
    bodies[1].public_key = key_pair(2).public_key();
    bodies[2].nonce += 1;
    bodies[3].fee_max += 1;
    bodies[4].expires_at = Some(TimestampMs(0));
    bodies[5] = transfer(2);
    bodies[6].action = Action::VoteHardfork { version: 0 };
    let mut ids: BTreeSet<_> = bodies.iter().map(|body| body.id(&CHAIN)).collect();
    ids.insert(original.id(&CHAIN));
    ids.insert(original.id(&ChainId::new([8; 32])));
    assert_eq!(ids.len(), 9);
}

#[test]
fn a_signature_is_valid_on_its_chain_with_its_key_only() {
    let signed = transfer(0).sign(&CHAIN, &key_pair(1));
    assert!(VerifiedTransaction::verify(signed.clone(), &CHAIN, &Ed25519).is_ok());
    let elsewhere = VerifiedTransaction::verify(signed, &ChainId::new([8; 32]), &Ed25519);
    assert_eq!(elsewhere, Err(TransactionError::BadSignature));
    let foreign = transfer(0).sign(&CHAIN, &key_pair(2));
    let refused = VerifiedTransaction::verify(foreign, &CHAIN, &Ed25519);
    assert_eq!(refused, Err(TransactionError::BadSignature));
}

#[test]
fn memo_and_url_are_bounded() {
    let key = key_pair(1);
    let url = |bytes: usize| vec![b'u'; bytes];
    let too_long = [
        (transfer(MEMO_BYTES_MAX), None),
        (transfer(MEMO_BYTES_MAX + 1), Some("memo")),
        (
            body(Action::RegisterValidator {
                signing_key: None,
                url: url(URL_BYTES_MAX),
            }),
            None,
        ),
        (
            body(Action::RegisterValidator {
                signing_key: None,
                url: url(URL_BYTES_MAX + 1),
            }),
            Some("url"),
        ),
        (
            body(Action::UpdateValidator {
                signing_key: None,
                url: url(URL_BYTES_MAX),
            }),
            None,
        ),
        (
            body(Action::UpdateValidator {
                signing_key: None,
                url: url(URL_BYTES_MAX + 1),
            }),
            Some("url"),
        ),
    ];
    for (body, refused_field) in too_long {
        let signed = body.sign(&CHAIN, &key);
        let expected = refused_field.map(|field| TransactionError::FieldTooLong {
            field,
            actual: 257,
            limit: 256,
        });
        assert_eq!(
            SignedTransaction::decode(&codec::encode(&signed)).err(),
            expected
        );
        let verified = VerifiedTransaction::verify(signed.clone(), &CHAIN, &Ed25519);
        assert_eq!(verified.err(), expected);
        let many = VerifiedTransaction::verify_many(vec![signed], &CHAIN, &Ed25519);
        assert_eq!(many[0].clone().err(), expected);
    }
}

#[test]
fn what_is_longer_than_any_transaction_is_not_decoded() {
    let refused = SignedTransaction::decode(&vec![0; TRANSACTION_BYTES_MAX + 1]).unwrap_err();
    assert!(
        refused.to_string().contains("65537 bytes long"),
        "{refused}"
    );
}

#[test]
fn an_accepted_transaction_knows_its_length() {
    let signed = transfer(17).sign(&CHAIN, &key_pair(1));
    let bytes = codec::encode(&signed);
    let verified = VerifiedTransaction::verify(signed, &CHAIN, &Ed25519).unwrap();
    assert_eq!(verified.encoded_bytes(), bytes.len());
}

#[test]
fn a_key_that_is_no_point_is_a_bad_signature() {
    let mut signed = transfer(0).sign(&CHAIN, &key_pair(1));
    signed.body.public_key = PublicKey::new([2; 32]);
    let refused = VerifiedTransaction::verify(signed, &CHAIN, &Ed25519);
    assert_eq!(refused, Err(TransactionError::BadSignature));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn verifying_many_gives_each_the_verdict_it_gets_alone(
        faults in prop::collection::vec(0u8..4, 0..9),
        seed in any::<u64>(),
    ) {
        let bodies = samples::<TransactionBody>(&format!("many {seed}"), faults.len() as u64);
        let transactions: Vec<_> = faults
            .iter()
            .zip(bodies)
            .map(|(fault, mut body)| {
                body.public_key = key_pair(1).public_key();
                let mut signed = body.sign(&CHAIN, &key_pair(1));
                match fault {
                    0 => signed.signature = Signature::new([seed.to_le_bytes()[0]; 64]),
                    1 => signed.body.nonce ^= 1,
                    _ => {}
                }
                signed
            })
            .collect();
        let alone: Vec<_> = transactions
            .iter()
            .map(|signed| VerifiedTransaction::verify(signed.clone(), &CHAIN, &Ed25519))
            .collect();
        let valid: Vec<_> = alone.iter().map(Result::is_ok).collect();
        prop_assert_eq!(valid, faults.iter().map(|fault| *fault > 1).collect::<Vec<_>>());
        prop_assert_eq!(VerifiedTransaction::verify_many(transactions, &CHAIN, &Ed25519), alone);
    }
}
