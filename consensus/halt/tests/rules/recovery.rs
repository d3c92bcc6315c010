//! Rules KR1 to KR6, K5, K6 and K10: how validators agree on what a locked chain goes on with.

use crate::lockdown::{
    ERA, Lockdown, MAX_AGE_MS, NOW, choice, does, limits, lockdown, locked, locks, precommit,
    recovers, recovery_in, refuses,
};
use holdfast_halt::lockdown::recovery::{NextVote, SignedRecovery};
use holdfast_halt::lockdown::{LockdownEffect, LockdownInput, LockdownPhase, LockdownRefusal};
use holdfast_types::lockdown::BallotCertificate;
use holdfast_types::test_util::{CHAIN, committee};
use holdfast_types::{AuthorityIndex, Ed25519, Era, Height, RecoveryChoice, RecoveryStep};

const ME: AuthorityIndex = AuthorityIndex(0);

/// Four members; this one wants to go on.
fn wanting() -> Lockdown {
    let mut lockdown = locked();
    assert_eq!(does(&mut lockdown, LockdownInput::WantRecovery), []);
    lockdown
}

impl Lockdown {
    fn next(&self, own: Option<RecoveryChoice>, is_over: bool) -> Option<NextVote> {
        self.rules.next_vote(&self.state, ME, None, own, is_over)
    }

    fn hears(
        &mut self,
        author: u16,
        attempt: u32,
        step: RecoveryStep,
        number: u8,
    ) -> Vec<LockdownEffect> {
        let vote = recovery_in(author, (attempt, step), number, NOW);
        does(self, LockdownInput::Recovery(vote))
    }

    /// This validator signs what is next.
    fn signs(&mut self, own: u8, is_over: bool) -> Option<NextVote> {
        let next = self.next(Some(choice(own)), is_over)?;
        let number = u8::try_from(next.choice.point.height.0).expect("blocks of tests are few");
        self.hears(ME.0, next.attempt, next.step, number);
        Some(next)
    }
}

fn votes(attempt: u32, step: RecoveryStep, number: u8) -> Option<NextVote> {
    let choice = choice(number);
    Some(NextVote {
        attempt,
        step,
        choice,
    })
}

fn prevote(attempt: u32, number: u8) -> Option<NextVote> {
    votes(attempt, RecoveryStep::Prevote, number)
}

fn confirms(attempt: u32, number: u8) -> Option<NextVote> {
    votes(attempt, RecoveryStep::Precommit, number)
}

#[test]
fn k10_who_does_not_want_to_go_on_signs_nothing() {
    let mut lockdown = locked();
    assert_eq!(lockdown.next(Some(choice(8)), true), None);
    drop(does(&mut lockdown, LockdownInput::WantRecovery));
    assert_eq!(lockdown.next(Some(choice(8)), false), prevote(0, 8));
    assert_eq!(lockdown.next(None, false), None, "it cannot tell yet");
    let mut free = self::lockdown(4);
    let refused = refuses(&mut free, LockdownInput::WantRecovery);
    assert_eq!(refused, LockdownRefusal::NotLocked);
}

#[test]
fn k10_votes_are_renewed_at_half_their_life() {
    let mut lockdown = wanting();
    lockdown.signs(8, false);
    let due = |lockdown: &Lockdown, after_ms| {
        let renewed = lockdown
            .rules
            .to_renew(&lockdown.state, ME, NOW.plus(after_ms));
        renewed
            .iter()
            .map(|body| (body.step, body.at))
            .collect::<Vec<_>>()
    };
    assert_eq!(due(&lockdown, MAX_AGE_MS / 2 - 1), []);
    let at = NOW.plus(MAX_AGE_MS / 2);
    assert_eq!(
        due(&lockdown, MAX_AGE_MS / 2),
        [(RecoveryStep::Prevote, at)]
    );
}

#[test]
fn kr3_what_a_quorum_has_named_is_confirmed_and_nothing_else() {
    let mut lockdown = wanting();
    assert_eq!(lockdown.signs(8, false), prevote(0, 8));
    assert_eq!(lockdown.signs(8, false), None, "once in an attempt");
    assert_eq!(lockdown.hears(1, 0, RecoveryStep::Prevote, 9), []);
    assert_eq!(lockdown.hears(2, 0, RecoveryStep::Prevote, 9), []);
    assert_eq!(lockdown.next(Some(choice(8)), false), None);
    let agreed = [LockdownEffect::Agreed(choice(9))];
    assert_eq!(lockdown.hears(3, 0, RecoveryStep::Prevote, 9), agreed);
    assert_eq!(lockdown.signs(8, false), confirms(0, 9));
    assert_eq!(lockdown.signs(8, false), None);
}

#[test]
fn kr2_later_attempts_are_for_what_was_agreed_on() {
    let mut lockdown = wanting();
    lockdown.signs(8, false);
    for author in 1..4 {
        lockdown.hears(author, 0, RecoveryStep::Prevote, 9);
    }
    lockdown.signs(8, false);
    assert_eq!(lockdown.signs(8, true), prevote(1, 9));
    // A later agreement counts more, an earlier one no more.
    let certificate = |attempt, number| {
        let votes =
            (1..4).map(|author| recovery_in(author, (attempt, RecoveryStep::Prevote), number, NOW));
        LockdownInput::RecoveryCertificate(BallotCertificate {
            votes: votes.collect(),
        })
    };
    let agreed = [LockdownEffect::Agreed(choice(7))];
    assert_eq!(does(&mut lockdown, certificate(3, 7)), agreed);
    assert_eq!(
        refuses(&mut lockdown, certificate(2, 6)),
        LockdownRefusal::Known
    );
    assert_eq!(lockdown.signs(8, false), confirms(3, 7));
    assert_eq!(lockdown.signs(8, true), prevote(4, 7));
    // What comes late of an attempt that this validator has left is not confirmed.
    let mut late = wanting();
    late.signs(8, false);
    late.signs(8, true);
    for author in 1..3 {
        assert_eq!(late.hears(author, 0, RecoveryStep::Prevote, 9), []);
    }
    let agreed = [LockdownEffect::Agreed(choice(9))];
    assert_eq!(late.hears(3, 0, RecoveryStep::Prevote, 9), agreed);
    assert_eq!(late.next(Some(choice(8)), false), None);
    assert_eq!(late.next(Some(choice(8)), true), prevote(2, 9));
}

#[test]
fn kr6_what_was_signed_and_lost_is_said_again_and_binds() {
    let mut signed = SignedRecovery::new(ERA);
    signed.prevote = Some((2, choice(9)));
    signed.precommit = Some((1, choice(9)));
    let mut lockdown = wanting();
    let next = |lockdown: &Lockdown, signed: &SignedRecovery, is_over| {
        let own = Some(choice(8));
        let rules = &lockdown.rules;
        rules.next_vote(&lockdown.state, ME, Some(signed), own, is_over)
    };
    assert_eq!(next(&lockdown, &signed, false), prevote(2, 9));
    lockdown.hears(ME.0, 2, RecoveryStep::Prevote, 9);
    assert_eq!(next(&lockdown, &signed, false), confirms(1, 9));
    lockdown.hears(ME.0, 1, RecoveryStep::Precommit, 9);
    assert_eq!(next(&lockdown, &signed, false), None);
    assert_eq!(next(&lockdown, &signed, true), prevote(3, 9));
    // Of another era it says nothing.
    let before = SignedRecovery {
        era: Era(ERA.0 - 1),
        ..signed
    };
    assert_eq!(next(&wanting(), &before, false), prevote(0, 8));
}

#[test]
fn kr5_an_attempt_is_over_some_time_after_a_quorum_takes_part() {
    let mut lockdown = wanting();
    assert!(!lockdown.rules.is_attempt_full(&lockdown.state, ME));
    lockdown.signs(8, false);
    lockdown.hears(1, 0, RecoveryStep::Prevote, 7);
    assert!(!lockdown.rules.is_attempt_full(&lockdown.state, ME));
    lockdown.hears(2, 4, RecoveryStep::Prevote, 6);
    assert!(
        lockdown.rules.is_attempt_full(&lockdown.state, ME),
        "or in a later one"
    );
    // One member may lie about its attempt, two of four cannot.
    assert_eq!(lockdown.next(Some(choice(8)), false), None);
    lockdown.hears(3, 3, RecoveryStep::Prevote, 6);
    assert_eq!(lockdown.next(Some(choice(8)), false), prevote(3, 8));
}

#[test]
fn kr4_a_quorum_that_confirms_lets_go_on() {
    let mut lockdown = wanting();
    for (author, number) in [(0, 9), (1, 8), (2, 8)] {
        assert_eq!(
            lockdown.hears(author, 0, RecoveryStep::Precommit, number),
            []
        );
    }
    assert_eq!(
        lockdown.phase(),
        LockdownPhase::Locked,
        "three, and not for one block"
    );
    let recovering = [LockdownEffect::Recovering(choice(8))];
    assert_eq!(lockdown.hears(3, 0, RecoveryStep::Precommit, 8), recovering);
    assert_eq!(lockdown.phase(), LockdownPhase::Recovering);
    assert_eq!(lockdown.state.recovery_choice(), Some(choice(8)));
    let certificate = lockdown.state.recovery.clone().expect("it recovers");
    assert_eq!(certificate, recovers(&[1, 2, 3], 8));
    let verified = certificate.verify(&CHAIN, ERA, &committee(4), &limits(), &Ed25519);
    assert_eq!(verified, Ok(()));
    // It stays, and nobody has to vote any more.
    let other = LockdownInput::RecoveryCertificate(recovers(&[0, 1, 2], 9));
    assert_eq!(refuses(&mut lockdown, other), LockdownRefusal::Known);
    assert_eq!(lockdown.next(Some(choice(9)), true), None);
    let refused = refuses(&mut lockdown, LockdownInput::WantRecovery);
    assert_eq!(refused, LockdownRefusal::Recovering { height: Height(8) });
}

#[test]
fn kr4_confirmations_of_different_attempts_do_not_count_together() {
    let mut lockdown = locked();
    for (author, attempt) in [(0, 0), (1, 1), (2, 1)] {
        lockdown.hears(author, attempt, RecoveryStep::Precommit, 8);
    }
    assert_eq!(lockdown.phase(), LockdownPhase::Locked);
    lockdown.hears(0, 1, RecoveryStep::Precommit, 8);
    assert_eq!(lockdown.phase(), LockdownPhase::Recovering);
}

#[test]
fn k1_of_a_later_attempt_a_vote_counts_whatever_its_clock_says() {
    let mut lockdown = locked();
    lockdown.hears(1, 1, RecoveryStep::Prevote, 8);
    let before = recovery_in(1, (0, RecoveryStep::Prevote), 8, NOW.plus(9));
    assert_eq!(
        refuses(&mut lockdown, LockdownInput::Recovery(before)),
        LockdownRefusal::Known
    );
    let after = recovery_in(1, (2, RecoveryStep::Prevote), 8, NOW.minus(9));
    drop(does(&mut lockdown, LockdownInput::Recovery(after)));
    assert_eq!(lockdown.state.attempt_of(AuthorityIndex(1)), Some(2));
}

#[test]
fn k5_votes_for_a_recovery_unlock_nothing_before_the_lockdown_and_count_after_it() {
    let mut lockdown = lockdown(4);
    for author in 0..4 {
        lockdown.hears(author, 0, RecoveryStep::Prevote, 8);
        drop(does(
            &mut lockdown,
            LockdownInput::Recovery(precommit(author, 8)),
        ));
    }
    assert_eq!(lockdown.phase(), LockdownPhase::Normal);
    let certificate = LockdownInput::RecoveryCertificate(recovers(&[0, 1, 2], 8));
    assert_eq!(
        refuses(&mut lockdown, certificate),
        LockdownRefusal::NotLocked
    );
    let effects = does(&mut lockdown, LockdownInput::Certificate(locks(&[0, 1, 2])));
    assert!(
        matches!(effects[0], LockdownEffect::Locked(_)),
        "{effects:?}"
    );
    let follow = [
        LockdownEffect::Agreed(choice(8)),
        LockdownEffect::Recovering(choice(8)),
    ];
    assert_eq!(effects[1..], follow);
}
