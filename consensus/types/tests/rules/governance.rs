//! Governance messages: who has to sign, what is signed, and for how long (rules G1 to G4).

use holdfast_types::governance::VersionTextError;
use holdfast_types::limits::{
    GOVERNANCE_BYTES_MAX, GOVERNANCE_REASON_BYTES_MAX, GOVERNORS_MAX, RESUME_EVIDENCE_MAX,
    RESUME_HALTS_MAX,
};
use holdfast_types::test_util::{CHAIN, key_pair, samples};
use holdfast_types::{
    BlockId, ChainId, Ed25519, Era, Evidence, GovernanceAction, GovernanceBody, GovernanceError,
    GovernanceMessage, Governors, HaltId, Height, PublicKey, Signature, Signer, SoftwareVersion,
    StateRoot, TimestampMs, codec,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn keys(numbers: std::ops::Range<u16>) -> Vec<PublicKey> {
    numbers
        .map(|number| key_pair(number).public_key())
        .collect()
}

/// Twelve governors with a threshold of seven, who have used the sequence numbers up to 4.
fn governors() -> Governors {
    Governors {
        sequence: 4,
        ..Governors::at_genesis(&keys(0..12), 7)
    }
}

fn halt() -> GovernanceAction {
    GovernanceAction::Halt {
        reason: b"a drill".to_vec(),
        until: TimestampMs(5_000),
        after_height: None,
    }
}

fn resume() -> GovernanceAction {
    GovernanceAction::Resume {
        reason: b"patched".to_vec(),
        era: Era(3),
        height: Height(70),
        block: BlockId::new([1; 32]),
        state_root: StateRoot::new([2; 32]),
        minimum_version: SoftwareVersion {
            major: 1,
            minor: 4,
            patch: 0,
        },
        halts: vec![HaltId::new([3; 32])],
        evidence: Vec::new(),
    }
}

fn rotation(keys: Vec<PublicKey>, threshold: u16) -> GovernanceAction {
    GovernanceAction::RotateKeys { keys, threshold }
}

fn body(action: GovernanceAction) -> GovernanceBody {
    GovernanceBody {
        sequence: 5,
        action,
    }
}

/// Signed by the keys of these numbers as the governors at these positions.
fn signed_as(body: GovernanceBody, signers: &[(u16, u16)]) -> GovernanceMessage {
    let signatures = signers
        .iter()
        .map(|(position, key)| body.sign(*position, &CHAIN, &key_pair(*key)))
        .collect();
    GovernanceMessage { body, signatures }
}

fn signed_by(signers: &[u16]) -> GovernanceMessage {
    let signers: Vec<_> = signers.iter().map(|number| (*number, *number)).collect();
    signed_as(body(halt()), &signers)
}

fn verdict(message: &GovernanceMessage) -> Result<(), GovernanceError> {
    message.verify(&CHAIN, &governors(), &Ed25519)
}

#[test]
fn seven_of_twelve_governors_order_and_six_do_not() {
    assert_eq!(verdict(&signed_by(&[0, 1, 2, 3, 4, 5, 6])), Ok(()));
    assert_eq!(verdict(&signed_by(&[1, 3, 5, 7, 9, 10, 11])), Ok(()));
    let all: Vec<u16> = (0..12).collect();
    assert_eq!(verdict(&signed_by(&all)), Ok(()));
    for count in 0..7u16 {
        let signers: Vec<u16> = (0..count).collect();
        assert_eq!(
            verdict(&signed_by(&signers)),
            Err(GovernanceError::NotEnoughSignatures {
                actual: usize::from(count),
                threshold: 7
            })
        );
    }
}

#[test]
fn signers_are_sorted_distinct_governors() {
    for (signers, position) in [
        (&[0, 1, 2, 3, 4, 5, 5], 5),
        (&[0, 0, 0, 0, 0, 0, 0], 0),
        (&[0, 1, 2, 3, 4, 6, 5], 5),
        (&[6, 5, 4, 3, 2, 1, 0], 5),
        (&[0, 1, 2, 3, 4, 5, 12], 12),
        (&[0, 1, 2, 3, 4, 5, u16::MAX], u16::MAX),
    ] {
        assert_eq!(
            verdict(&signed_by(signers)),
            Err(GovernanceError::BadSigner { position }),
            "{signers:?}"
        );
    }
}

#[test]
fn every_signature_counts_beyond_the_threshold_too() {
    for position in 0..8u16 {
        let mut message = signed_by(&[0, 1, 2, 3, 4, 5, 6, 7]);
        message.signatures[usize::from(position)].1 = Signature::new([1; 64]);
        assert_eq!(
            verdict(&message),
            Err(GovernanceError::BadSignature { position })
        );
    }
}

#[test]
fn a_key_out_of_office_signs_nothing() {
    let stranger = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 12)];
    let message = signed_as(body(halt()), &stranger);
    assert_eq!(
        verdict(&message),
        Err(GovernanceError::BadSignature { position: 6 })
    );
    let rotated = Governors {
        keys: keys(6..18),
        ..governors()
    };
    let before = signed_by(&[0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(
        before.verify(&CHAIN, &rotated, &Ed25519),
        Err(GovernanceError::BadSignature { position: 0 }),
        "the keys before the rotation"
    );
    let signers: Vec<_> = (0..7).map(|position| (position, position + 6)).collect();
    let after = signed_as(body(halt()), &signers);
    assert_eq!(after.verify(&CHAIN, &rotated, &Ed25519), Ok(()));
    assert!(verdict(&after).is_err());
}

#[test]
fn a_sequence_number_is_used_once_and_rises() {
    let at = |sequence| {
        let body = GovernanceBody {
            sequence,
            ..body(halt())
        };
        let signers: Vec<_> = (0..7).map(|number| (number, number)).collect();
        verdict(&signed_as(body, &signers))
    };
    for actual in [0, 3, 4] {
        assert_eq!(
            at(actual),
            Err(GovernanceError::Replayed { actual, last: 4 })
        );
    }
    for sequence in [5, 6, u64::MAX] {
        assert_eq!(at(sequence), Ok(()), "gaps are allowed");
    }
    let message = signed_by(&[0, 1, 2, 3, 4, 5, 6]);
    let spent = Governors {
        sequence: 5,
        ..governors()
    };
    assert_eq!(
        message.verify(&CHAIN, &spent, &Ed25519),
        Err(GovernanceError::Replayed { actual: 5, last: 5 })
    );
    assert_eq!(
        message.verify_signatures(&CHAIN, &spent, &Ed25519),
        Ok(()),
        "what took effect can still be shown to who comes later"
    );
}

#[test]
fn a_message_is_of_one_chain() {
    let other = ChainId::new([8; 32]);
    let message = signed_by(&[0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(
        message.verify(&other, &governors(), &Ed25519),
        Err(GovernanceError::BadSignature { position: 0 })
    );
    assert_ne!(message.body.id(&CHAIN), message.body.id(&other));
}

fn changed_halts() -> Vec<GovernanceAction> {
    let change = |with: fn(&mut Vec<u8>, &mut TimestampMs, &mut Option<Height>)| {
        let mut action = halt();
        if let GovernanceAction::Halt {
            reason,
            until,
            after_height,
        } = &mut action
        {
            with(reason, until, after_height);
        }
        action
    };
    vec![
        change(|reason, _, _| reason.push(b'!')),
        change(|_, until, _| *until = until.next()),
        change(|_, _, after_height| *after_height = Some(Height(0))),
        resume(),
    ]
}

#[test]
fn every_field_of_a_message_is_signed() {
    let signed = signed_by(&[0, 1, 2, 3, 4, 5, 6]);
    let mut bodies: Vec<_> = changed_halts().into_iter().map(body).collect();
    bodies.push(GovernanceBody {
        sequence: 6,
        ..body(halt())
    });
    for changed in bodies {
        let message = GovernanceMessage {
            body: changed,
            ..signed.clone()
        };
        assert_eq!(
            verdict(&message),
            Err(GovernanceError::BadSignature { position: 0 }),
            "{:?}",
            message.body
        );
    }
}

#[test]
fn the_id_is_that_of_the_body_whoever_signs() {
    let one = signed_by(&[0, 1, 2, 3, 4, 5, 6]);
    let other = signed_by(&[5, 6, 7, 8, 9, 10, 11]);
    assert_ne!(one, other);
    assert_eq!(one.body.id(&CHAIN), other.body.id(&CHAIN));
}

#[test]
fn a_halt_ends_after_now_and_within_thirty_days() {
    let limit_ms = 30 * DAY_MS;
    let now = TimestampMs(1_700_000_000_000);
    let check = |until| {
        let action = GovernanceAction::Halt {
            reason: Vec::new(),
            until,
            after_height: None,
        };
        signed_as(body(action), &[]).check_end(now, limit_ms)
    };
    for until in [TimestampMs(0), now.previous(), now] {
        assert_eq!(check(until), Err(GovernanceError::HaltOver { until, now }));
    }
    for until in [now.next(), now.plus(limit_ms)] {
        assert_eq!(check(until), Ok(()));
    }
    for until in [now.plus(limit_ms).next(), TimestampMs::MAX] {
        let actual_ms = until.since(now);
        assert_eq!(
            check(until),
            Err(GovernanceError::HaltTooLong {
                actual_ms,
                limit_ms
            })
        );
    }
    for action in [resume(), rotation(keys(0..3), 2)] {
        assert_eq!(
            signed_as(body(action), &[]).check_end(now, limit_ms),
            Ok(())
        );
    }
}

/// A message at the limit decodes, one beyond it does not, whoever signed it.
fn assert_limit(at: GovernanceAction, beyond: GovernanceAction, field: &'static str, limit: usize) {
    let signers: Vec<_> = (0..7).map(|number| (number, number)).collect();
    let message = signed_as(body(at), &signers);
    assert_eq!(verdict(&message), Ok(()));
    assert_eq!(
        GovernanceMessage::decode(&codec::encode(&message)),
        Ok(message)
    );
    let message = signed_as(body(beyond), &signers);
    let refused = GovernanceError::TooMany {
        field,
        actual: limit + 1,
        limit,
    };
    assert_eq!(message.body.check_limits(), Err(refused.clone()));
    assert_eq!(verdict(&message), Err(refused.clone()));
    assert_eq!(
        GovernanceMessage::decode(&codec::encode(&message)),
        Err(refused)
    );
}

#[test]
fn reasons_are_bounded() {
    let halt = |length| GovernanceAction::Halt {
        reason: vec![b'x'; length],
        until: TimestampMs(1),
        after_height: None,
    };
    let limit = GOVERNANCE_REASON_BYTES_MAX;
    assert_limit(halt(limit), halt(limit + 1), "reason bytes", limit);
    let resume = |length| {
        let mut action = resume();
        if let GovernanceAction::Resume { reason, .. } = &mut action {
            *reason = vec![b'x'; length];
        }
        action
    };
    assert_limit(resume(limit), resume(limit + 1), "reason bytes", limit);
}

#[test]
fn what_a_resume_message_brings_is_bounded() {
    let with_halts = |count| {
        let mut action = resume();
        if let GovernanceAction::Resume { halts, .. } = &mut action {
            *halts = samples("halts", count as u64).collect();
        }
        action
    };
    let limit = RESUME_HALTS_MAX;
    assert_limit(with_halts(limit), with_halts(limit + 1), "halts", limit);
    let with_evidence = |count: usize| {
        let mut action = resume();
        let attestation = samples("evidence", 1).next().unwrap();
        if let GovernanceAction::Resume { evidence, .. } = &mut action {
            *evidence = vec![Evidence::BadStateRoot { attestation }; count];
        }
        action
    };
    let limit = RESUME_EVIDENCE_MAX;
    assert_limit(
        with_evidence(limit),
        with_evidence(limit + 1),
        "evidence",
        limit,
    );
}

#[test]
fn new_governors_can_reach_their_threshold_and_only_together() {
    let many = u16::try_from(GOVERNORS_MAX).unwrap();
    assert_limit(
        rotation(keys(0..many), many),
        rotation(keys(0..many + 1), many),
        "keys",
        GOVERNORS_MAX,
    );
    let check = |keys, threshold| body(rotation(keys, threshold)).check_limits();
    for (count, threshold) in [(1, 1), (2, 2), (3, 2), (3, 3), (12, 7), (12, 12), (13, 7)] {
        assert_eq!(check(keys(0..count), threshold), Ok(()));
    }
    for (count, threshold) in [
        (0, 0),
        (1, 0),
        (1, 2),
        (2, 1),
        (12, 0),
        (12, 6),
        (12, 13),
        (13, 6),
    ] {
        assert_eq!(
            check(keys(0..count), threshold),
            Err(GovernanceError::BadGovernors),
            "{threshold} of {count}"
        );
    }
    let mut twice = keys(0..12);
    twice[11] = twice[0];
    assert_eq!(check(twice, 7), Err(GovernanceError::BadGovernors));
}

#[test]
fn bytes_that_are_no_message_do_not_decode() {
    let message = signed_by(&[0, 1, 2, 3, 4, 5, 6]);
    let bytes = codec::encode(&message);
    assert_eq!(GovernanceMessage::decode(&bytes), Ok(message));
    let mut longer = bytes.clone();
    longer.push(0);
    let too_long = vec![0; GOVERNANCE_BYTES_MAX + 1];
    for bad in [&bytes[..bytes.len() - 1], &longer, &[], &too_long] {
        let refused = GovernanceMessage::decode(bad);
        assert!(
            matches!(refused, Err(GovernanceError::Codec(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn actions_have_names() {
    let names = [halt(), resume(), rotation(keys(0..1), 1)].map(|action| action.name());
    assert_eq!(names, ["halt", "resume", "rotate_keys"]);
}

#[test]
fn a_version_is_three_numbers() {
    let version = |major, minor, patch| SoftwareVersion {
        major,
        minor,
        patch,
    };
    assert_eq!("1.4.0".parse(), Ok(version(1, 4, 0)));
    assert_eq!("0.0.65535".parse(), Ok(version(0, 0, u16::MAX)));
    for text in [
        "",
        "1",
        "1.4",
        "1.4.",
        "1.4.0.",
        "1.4.0.0",
        ".1.4.0",
        "1..0",
        "1.4.65536",
        "1.4.-1",
        "v1.4.0",
        "1.4.0-rc1",
        " 1.4.0",
        "1.4.0 ",
    ] {
        let parsed: Result<SoftwareVersion, VersionTextError> = text.parse();
        assert_eq!(
            parsed,
            Err(VersionTextError {
                text: text.to_owned()
            })
        );
    }
    let long: Result<SoftwareVersion, VersionTextError> = "9".repeat(1_000).parse();
    assert_eq!(long.unwrap_err().text.len(), 64, "errors stay short");
}

#[test]
fn versions_are_ordered_by_number_and_not_by_text() {
    let versions = [
        "0.0.0", "0.0.2", "0.0.10", "0.1.0", "0.9.9", "0.10.0", "1.0.0", "10.0.0",
    ];
    let parsed = versions.map(|text| text.parse::<SoftwareVersion>().unwrap());
    assert!(parsed.is_sorted_by(|one, two| one < two));
    assert_eq!(parsed.map(|version| version.to_string()), versions);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_set_of_signers_orders_exactly_if_it_reaches_the_threshold(
        signers in prop::collection::btree_set(0u16..12, 0..=12),
        threshold in 7u16..=12,
    ) {
        let governors = Governors { threshold, ..governors() };
        let signers: Vec<u16> = signers.into_iter().collect();
        let verdict = signed_by(&signers).verify(&CHAIN, &governors, &Ed25519);
        prop_assert_eq!(verdict.is_ok(), signers.len() >= usize::from(threshold));
    }

    /// Whatever is done with the signatures of fewer than the threshold, they order nothing.
    #[test]
    fn no_fewer_keys_than_the_threshold_order_anything(
        signatures in prop::collection::vec((0u16..14, 0u16..6), 0..14),
    ) {
        let held: BTreeSet<u16> = signatures.iter().map(|(_, key)| *key).collect();
        prop_assert!(held.len() < 7);
        prop_assert!(verdict(&signed_as(body(halt()), &signatures)).is_err());
        let mut sorted = signatures;
        sorted.sort_unstable();
        sorted.dedup_by_key(|(position, _)| *position);
        prop_assert!(verdict(&signed_as(body(halt()), &sorted)).is_err());
    }
}
