//! Statements on a lockdown: who may make them, when they count, and how many lock or let go on (rules LK1 to LK6).

use holdfast_types::limits::{LOCKDOWN_MESSAGE_BYTES_MAX, LOCKDOWN_REASON_BYTES_MAX};
use holdfast_types::lockdown::{
    BallotCertificate, LockdownNotice, LockdownStatement, Signed, lockdown_quorum, recovery_quorum,
};
use holdfast_types::parameters::LockdownParameters;
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, committee, key_pair};
use holdfast_types::{
    AuthorityIndex, BlockId, BlockPoint, ChainId, Ed25519, Era, Height, LockdownError,
    LockdownMessage, LockdownTrigger, LockdownVoteBody, NamedResume, QuarantineReportBody,
    RecoveryChoice, RecoveryStep, RecoveryVoteBody, StateRoot, TimestampMs, codec,
};

const ERA: Era = Era(7);
const NOW: TimestampMs = TimestampMs(1_800_000_000_000);
const OTHER_CHAIN: ChainId = ChainId::new([8; 32]);

fn limits() -> LockdownParameters {
    parameters().lockdown
}

fn vote_at(at: u64) -> LockdownVoteBody {
    LockdownVoteBody {
        era: ERA,
        at: TimestampMs(at),
        trigger: LockdownTrigger::Operator,
        reason: b"the roots differ".to_vec(),
    }
}

fn point(number: u8) -> BlockPoint {
    BlockPoint {
        height: Height(number.into()),
        block: BlockId::new([number; 32]),
        state_root: StateRoot::new([number; 32]),
    }
}

fn recovery(number: u8) -> RecoveryVoteBody {
    RecoveryVoteBody {
        era: ERA,
        at: NOW,
        attempt: 1,
        step: RecoveryStep::Prevote,
        choice: RecoveryChoice {
            point: point(number),
            resume: None,
        },
    }
}

fn report() -> QuarantineReportBody {
    QuarantineReportBody {
        era: ERA,
        at: NOW,
        head: point(9),
        certified: Height(8),
        attested: Height(9),
        pending: 3,
        pending_root: [4; 32],
    }
}

fn sign<B: LockdownStatement>(body: B, author: u16) -> Signed<B> {
    Signed::sign(body, AuthorityIndex(author), &CHAIN, &key_pair(author))
}

fn verdict<B: LockdownStatement>(signed: &Signed<B>) -> Result<(), LockdownError> {
    signed.verify(&CHAIN, ERA, &committee(4), &Ed25519)
}

fn proves<B: holdfast_types::lockdown::Ballot>(
    votes: Vec<Signed<B>>,
    members: u16,
) -> Result<(), LockdownError> {
    let certificate = BallotCertificate { votes };
    certificate.verify(&CHAIN, ERA, &committee(members), &limits(), &Ed25519)
}

#[test]
fn two_thirds_are_exact_for_every_committee_from_1_to_200() {
    let limits = limits();
    for members in 1..=200_usize {
        let quorum = lockdown_quorum(members, &limits);
        assert!(3 * quorum >= 2 * members, "{members}: {quorum} are enough");
        assert!(3 * (quorum - 1) < 2 * members, "{members}: one less is not");
        // Faulty validators alone can neither lock nor keep locked.
        let faulty = (members - 1) / 3;
        assert!(quorum > faulty && members - faulty >= quorum, "{members}");
        // Those who let go on can certify the block with which the chain does.
        let recovery = recovery_quorum(members, &limits);
        assert!(recovery >= quorum && recovery == (members - faulty).max(quorum));
        if members <= 100 {
            let committee = committee(u16::try_from(members).expect("members are few"));
            assert!(recovery >= committee.quorum());
        }
    }
    // 33 of 50 are 0.66 of them, and less than two thirds.
    assert_eq!(lockdown_quorum(50, &limits), 34);
    assert_eq!(
        [1, 2, 3, 4, 7, 21].map(|n| lockdown_quorum(n, &limits)),
        [1, 2, 2, 3, 5, 14]
    );
    assert_eq!(lockdown_quorum(0, &limits), 1, "of nobody nobody is enough");
}

#[test]
fn a_member_speaks_for_itself_and_for_nobody_else() {
    assert_eq!(verdict(&sign(vote_at(NOW.0), 2)), Ok(()));
    assert_eq!(verdict(&sign(recovery(1), 3)), Ok(()));
    assert_eq!(verdict(&sign(report(), 0)), Ok(()));
    let author = AuthorityIndex(4);
    assert_eq!(
        verdict(&sign(vote_at(NOW.0), 4)),
        Err(LockdownError::BadSigner { author })
    );
    let mut stolen = sign(vote_at(NOW.0), 2);
    stolen.author = AuthorityIndex(1);
    assert_eq!(verdict(&stolen), Err(LockdownError::BadSignature));
    let foreign = Signed::sign(vote_at(NOW.0), AuthorityIndex(2), &CHAIN, &key_pair(3));
    assert_eq!(verdict(&foreign), Err(LockdownError::BadSignature));
}

#[test]
fn nothing_is_valid_for_another_chain_era_or_statement() {
    let vote = sign(vote_at(NOW.0), 1);
    let elsewhere = vote.verify(&OTHER_CHAIN, ERA, &committee(4), &Ed25519);
    assert_eq!(elsewhere, Err(LockdownError::BadSignature));
    let later = vote.verify(&CHAIN, Era(8), &committee(4), &Ed25519);
    let (actual, expected) = (ERA, Era(8));
    assert_eq!(later, Err(LockdownError::OtherEra { actual, expected }));
    // The bytes of a body may be those of another: what is signed is not.
    let mut moved = sign(vote_at(NOW.0), 1);
    moved.body.era = Era(8);
    let moved = moved.verify(&CHAIN, Era(8), &committee(4), &Ed25519);
    assert_eq!(moved, Err(LockdownError::BadSignature));
}

#[test]
fn every_field_is_signed() {
    let changes: [fn(&mut LockdownVoteBody); 3] = [
        |body| body.at.0 += 1,
        |body| body.trigger = LockdownTrigger::Risk,
        |body| body.reason.push(b'!'),
    ];
    for change in changes {
        let mut vote = sign(vote_at(NOW.0), 1);
        change(&mut vote.body);
        assert_eq!(verdict(&vote), Err(LockdownError::BadSignature));
    }
    let changes: [fn(&mut RecoveryVoteBody); 7] = [
        |body| body.at.0 += 1,
        |body| body.attempt += 1,
        |body| body.step = RecoveryStep::Precommit,
        |body| body.choice.point.height.0 += 1,
        |body| body.choice.point.block = BlockId::new([2; 32]),
        |body| body.choice.point.state_root = StateRoot::new([2; 32]),
        |body| body.choice.resume = Some(NamedResume::default()),
    ];
    for change in changes {
        let mut vote = sign(recovery(1), 1);
        change(&mut vote.body);
        assert_eq!(verdict(&vote), Err(LockdownError::BadSignature));
    }
    // The original's tag left out ids, hash and count.
    let changes: [fn(&mut QuarantineReportBody); 6] = [
        |body| body.at.0 += 1,
        |body| body.head = point(8),
        |body| body.certified.0 += 1,
        |body| body.attested.0 += 1,
        |body| body.pending += 1,
        |body| body.pending_root[31] ^= 1,
    ];
    for change in changes {
        let mut report = sign(report(), 1);
        change(&mut report.body);
        assert_eq!(verdict(&report), Err(LockdownError::BadSignature));
    }
}

#[test]
fn a_reason_has_a_length() {
    let mut body = vote_at(NOW.0);
    body.reason = vec![b'x'; LOCKDOWN_REASON_BYTES_MAX];
    let longest = sign(body.clone(), 1);
    assert_eq!(verdict(&longest), Ok(()));
    let message = LockdownMessage::Vote(longest);
    assert!(codec::encode(&message).len() + 32 <= LOCKDOWN_MESSAGE_BYTES_MAX);
    body.reason.push(b'x');
    let actual = LOCKDOWN_REASON_BYTES_MAX + 1;
    let too_long = Err(LockdownError::ReasonTooLong { actual });
    assert_eq!(verdict(&sign(body.clone(), 1)), too_long);
    let votes = [0, 1, 2].map(|author| sign(body.clone(), author));
    assert_eq!(proves(votes.to_vec(), 4), too_long);
}

#[test]
fn a_statement_counts_from_5_seconds_ahead_until_it_is_300_seconds_old() {
    let limits = limits();
    let at = |at| sign(vote_at(at), 1).check_time(NOW, &limits);
    assert_eq!(at(NOW.0 - 300_000), Ok(()));
    let too_old = LockdownError::TooOld {
        age_ms: 300_001,
        max_ms: 300_000,
    };
    assert_eq!(at(NOW.0 - 300_001), Err(too_old));
    assert_eq!(at(NOW.0 + 5_000), Ok(()));
    let ahead = LockdownError::Ahead {
        ahead_ms: 5_001,
        max_ms: 5_000,
    };
    assert_eq!(at(NOW.0 + 5_001), Err(ahead));
    // There is no number that is no time: the ends of the type are only very old and far ahead.
    assert!(at(0).is_err() && at(u64::MAX).is_err());
    for (kind, name) in [(too_old, "too_old"), (ahead, "ahead")] {
        assert_eq!(kind.name(), name);
    }
    let message = LockdownMessage::Recovery(sign(recovery(1), 1));
    let verify = |now| message.verify(now, &CHAIN, ERA, &committee(4), &limits, &Ed25519);
    assert_eq!(verify(NOW), Ok(()));
    assert_eq!(verify(NOW.plus(300_001)), Err(too_old));
    // What proves something proves it for ever.
    let votes = (0..3).map(|author| sign(recovery(1), author)).collect();
    let certificate = BallotCertificate { votes };
    let message = LockdownMessage::Recovered(certificate.clone());
    let verify = |now| message.verify(now, &CHAIN, ERA, &committee(4), &limits, &Ed25519);
    assert_eq!(verify(NOW.plus(u64::MAX / 2)), Ok(()));
    let few = BallotCertificate {
        votes: certificate.votes[1..].to_vec(),
    };
    let (actual, quorum) = (2, 3);
    assert_eq!(
        LockdownMessage::Recovered(few).verify(NOW, &CHAIN, ERA, &committee(4), &limits, &Ed25519),
        Err(LockdownError::NoQuorum { actual, quorum })
    );
}

#[test]
fn two_thirds_of_the_members_prove() {
    let votes = |authors: &[u16]| -> Vec<_> {
        authors
            .iter()
            .map(|author| sign(vote_at(NOW.0), *author))
            .collect()
    };
    assert_eq!(proves(votes(&[0, 1, 3]), 4), Ok(()));
    assert_eq!(proves(votes(&[0]), 1), Ok(()));
    let (actual, quorum) = (2, 3);
    assert_eq!(
        proves(votes(&[0, 3]), 4),
        Err(LockdownError::NoQuorum { actual, quorum })
    );
    let (actual, quorum) = (0, 1);
    assert_eq!(
        proves(votes(&[]), 1),
        Err(LockdownError::NoQuorum { actual, quorum })
    );
    // Neither a duplicate nor a stranger counts, and there is one order.
    for (authors, author) in [([0, 1, 1], 1), ([1, 0, 2], 0), ([0, 1, 4], 4)] {
        let author = AuthorityIndex(author);
        assert_eq!(
            proves(votes(&authors), 4),
            Err(LockdownError::BadSigner { author })
        );
    }
    let mut forged = votes(&[0, 1, 2]);
    forged[2].signature = forged[1].signature;
    assert_eq!(proves(forged, 4), Err(LockdownError::BadSignature));
}

#[test]
fn votes_of_a_certificate_were_valid_together() {
    let at = |times: [u64; 3]| {
        let votes = times
            .iter()
            .zip(0..)
            .map(|(at, author)| sign(vote_at(*at), author));
        proves(votes.collect(), 4)
    };
    assert_eq!(at([NOW.0, NOW.0 + 300_000, NOW.0 + 1]), Ok(()));
    let (span_ms, max_ms) = (300_001, 300_000);
    let apart = Err(LockdownError::TooFarApart { span_ms, max_ms });
    assert_eq!(at([NOW.0 + 300_001, NOW.0, NOW.0 + 1]), apart);
}

#[test]
fn a_recovery_goes_on_from_one_block() {
    let votes = |numbers: [u8; 3]| {
        let votes = numbers
            .iter()
            .zip(0..)
            .map(|(number, author)| sign(recovery(*number), author));
        votes.collect::<Vec<_>>()
    };
    assert_eq!(proves(votes([5, 5, 5]), 4), Ok(()));
    assert_eq!(
        proves(votes([5, 5, 6]), 4),
        Err(LockdownError::DifferentSubjects)
    );
    // Of another attempt or step it is another vote.
    for other in [
        RecoveryVoteBody {
            attempt: 2,
            ..recovery(5)
        },
        RecoveryVoteBody {
            step: RecoveryStep::Precommit,
            ..recovery(5)
        },
    ] {
        let mut mixed = votes([5, 5, 5]);
        mixed[2] = sign(other, 2);
        assert_eq!(proves(mixed, 4), Err(LockdownError::DifferentSubjects));
    }
    // Reasons may differ.
    let other_reason = LockdownVoteBody {
        reason: b"disk".to_vec(),
        ..vote_at(NOW.0)
    };
    let mixed = vec![
        sign(vote_at(NOW.0), 0),
        sign(other_reason, 1),
        sign(vote_at(NOW.0), 2),
    ];
    assert_eq!(proves(mixed, 4), Ok(()));
    let mut of_other_era = votes([5, 5, 5]);
    of_other_era[1] = sign(
        RecoveryVoteBody {
            era: Era(6),
            ..recovery(5)
        },
        1,
    );
    let (actual, expected) = (Era(6), ERA);
    assert_eq!(
        proves(of_other_era, 4),
        Err(LockdownError::OtherEra { actual, expected })
    );
}

#[test]
fn a_notice_holds_each_certificate_in_its_place() {
    let votes = |step| {
        let body = RecoveryVoteBody {
            step,
            ..recovery(5)
        };
        let votes = (0..3).map(|author| sign(body, author)).collect();
        Some(BallotCertificate { votes })
    };
    let lock = BallotCertificate {
        votes: (0..3).map(|author| sign(vote_at(NOW.0), author)).collect(),
    };
    let verdict = |agreed, recovery| {
        let lock = lock.clone();
        let notice = LockdownNotice {
            lock,
            agreed,
            recovery,
        };
        notice.verify(&CHAIN, ERA, &committee(4), &limits(), &Ed25519)
    };
    let (prevotes, precommits) = (votes(RecoveryStep::Prevote), votes(RecoveryStep::Precommit));
    assert_eq!(verdict(prevotes.clone(), precommits.clone()), Ok(()));
    assert_eq!(verdict(None, None), Ok(()));
    let other = |expected| Err(LockdownError::OtherStep { expected });
    assert_eq!(verdict(precommits.clone(), precommits), other("prevote"));
    assert_eq!(verdict(None, prevotes), other("precommit"));
}

#[test]
fn a_certificate_says_what_it_is_about() {
    let votes = vec![
        sign(recovery(5), 0),
        sign(
            RecoveryVoteBody {
                at: NOW.plus(9),
                ..recovery(5)
            },
            1,
        ),
    ];
    let certificate = BallotCertificate { votes };
    assert_eq!(certificate.era(), Some(ERA));
    let subject = certificate.subject().expect("it has votes");
    assert_eq!((subject.era, subject.attempt), (ERA, 1));
    assert_eq!(subject.choice.point, point(5));
    let empty = BallotCertificate::<RecoveryVoteBody> { votes: Vec::new() };
    assert_eq!((empty.era(), empty.subject()), (None, None));
}
