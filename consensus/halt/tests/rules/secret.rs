//! Rules KS1 to KS4: who does not know the cluster secret is not heard.

use crate::lockdown::{precommit, vote};
use holdfast_halt::lockdown::secret::{
    ClusterSecret, ClusterSecrets, SECRET_BYTES_MAX, SECRET_BYTES_MIN, SecretError,
};
use holdfast_types::lockdown::GossipedLockdown;
use holdfast_types::test_util::CHAIN;
use holdfast_types::{AuthorityIndex, ChainId, LockdownMessage, codec};
use proptest::prelude::*;

fn secret(seed: u8) -> ClusterSecret {
    let bytes: Vec<u8> = (0..32)
        .map(|position| seed.wrapping_add(position))
        .collect();
    ClusterSecret::new(&bytes).expect("32 bytes are enough")
}

fn secrets(seed: u8) -> ClusterSecrets {
    ClusterSecrets::new(secret(seed), None)
}

fn gossiped(secrets: &ClusterSecrets) -> GossipedLockdown {
    secrets.tag(&CHAIN, LockdownMessage::Vote(vote(1)), 0)
}

#[test]
fn ks1_the_tag_is_the_whole_hmac_sha256_of_all_that_is_said() {
    // By another implementation: hmac.new(secret, domain + chain + message, hashlib.sha256) of Python's standard library.
    let tagged = gossiped(&secrets(1));
    let said = codec::encode(&(&tagged.message, tagged.repetition));
    let text: String = said.iter().map(|byte| format!("{byte:02x}")).collect();
    let tag: String = tagged
        .tag
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!((text.as_str(), tag.as_str()), (SAID, TAG));
}

#[test]
fn ks1_a_tag_is_for_one_chain_one_secret_and_one_repetition() {
    let secrets = secrets(1);
    let tagged = gossiped(&secrets);
    assert!(secrets.verify(&CHAIN, &tagged));
    assert!(!secrets.verify(&ChainId::new([8; 32]), &tagged));
    assert!(!self::secrets(2).verify(&CHAIN, &tagged));
    let again = GossipedLockdown {
        repetition: 1,
        ..tagged.clone()
    };
    assert!(!secrets.verify(&CHAIN, &again));
    let of_other = GossipedLockdown {
        message: LockdownMessage::Recovery(precommit(1, 9)),
        ..tagged
    };
    assert!(!secrets.verify(&CHAIN, &of_other));
}

#[test]
fn ks1_fields_that_change_places_and_short_tags_do_not_verify() {
    let secrets = secrets(1);
    let mut shifted = gossiped(&secrets);
    let LockdownMessage::Vote(vote) = &mut shifted.message else {
        unreachable!("it is a vote")
    };
    // The original joined its fields by colons: what left one field could enter the next.
    (vote.author, vote.body.era.0) = (AuthorityIndex(7), 1);
    assert!(!secrets.verify(&CHAIN, &shifted));
    let mut truncated = gossiped(&secrets);
    truncated.tag[16..].fill(0);
    assert!(!secrets.verify(&CHAIN, &truncated));
    let bytes = codec::encode(&gossiped(&secrets));
    let short = codec::decode::<GossipedLockdown>("a message", &bytes[..bytes.len() - 16], 1024);
    assert!(short.is_err(), "half a tag is no message");
}

#[test]
fn ks3_a_secret_has_a_length_and_is_not_one_byte_over_and_over() {
    let refused = |bytes: &[u8]| ClusterSecret::new(bytes).expect_err("it is no secret");
    for actual in [0, 1, SECRET_BYTES_MIN - 1] {
        assert_eq!(refused(&vec![5; actual]), SecretError::TooShort { actual });
    }
    assert_eq!(refused(&[0; SECRET_BYTES_MIN]), SecretError::Constant);
    let actual = SECRET_BYTES_MAX + 1;
    assert_eq!(refused(&vec![5; actual]), SecretError::TooLong { actual });
    assert_eq!(format!("{:?}", secret(9)), "ClusterSecret(…)");
}

#[test]
fn ks4_while_the_secret_is_changed_both_verify_and_the_new_one_tags() {
    let (old, new) = (secrets(1), secrets(2));
    let changing = ClusterSecrets::new(secret(2), Some(secret(1)));
    assert!(changing.is_changing() && !new.is_changing());
    assert!(changing.verify(&CHAIN, &gossiped(&old)));
    assert!(changing.verify(&CHAIN, &gossiped(&new)));
    assert!(!changing.verify(&CHAIN, &gossiped(&secrets(3))));
    let tagged = gossiped(&changing);
    assert!(new.verify(&CHAIN, &tagged) && !old.verify(&CHAIN, &tagged));
}

proptest! {
    #[test]
    fn no_bit_of_a_message_can_be_changed(bit in any::<prop::sample::Index>()) {
        let secrets = secrets(1);
        let mut bytes = codec::encode(&gossiped(&secrets));
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = codec::decode::<GossipedLockdown>("a message", &bytes, 1024);
        prop_assert!(changed.map_or(true, |changed| !secrets.verify(&CHAIN, &changed)));
    }
}

const SAID: &str = concat!(
    "00070000000000000000505c18a301000000050000006472696c6c0100d150013451bd7980275a5d16cf5a7d3cca352f0778",
    "59f8d7646ced3636cf24b4062b5d69614d62c17f570b1ff9cecb92d4f7b0b5ffb37e5f478b9fc7c613a30200000000",
);
const TAG: &str = "fab4b2cc30498f689b3a7f51b1c5ad4da3d7b743d2bb5c0018b2472207e7cd70";
