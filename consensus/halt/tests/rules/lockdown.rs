//! Rules K1 to K11: how a lockdown begins, and how long it lasts.

use holdfast_halt::lockdown::{
    LockdownEffect, LockdownInput, LockdownPhase, LockdownRefusal, LockdownRules, LockdownState,
};
use holdfast_types::lockdown::{BallotCertificate, Signed};
use holdfast_types::parameters::LockdownParameters;
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, committee, key_pair};
use holdfast_types::{
    AuthorityIndex, BlockId, BlockPoint, Ed25519, Era, Height, LockdownCertificate,
    LockdownTrigger, LockdownVote, LockdownVoteBody, QuarantineReport, QuarantineReportBody,
    RecoveryCertificate, RecoveryChoice, RecoveryStep, RecoveryVote, RecoveryVoteBody, StateRoot,
    TimestampMs,
};

pub(crate) const ERA: Era = Era(7);
pub(crate) const NOW: TimestampMs = TimestampMs(1_800_000_000_000);
/// How long a vote counts, in ms.
pub(crate) const MAX_AGE_MS: u64 = 300_000;

/// As the templates of genesis have them.
pub(crate) fn limits() -> LockdownParameters {
    LockdownParameters {
        recovery_timeout_ms: 600_000,
        ..parameters().lockdown
    }
}

/// A node that knows nothing but this lockdown.
#[derive(Clone, Debug)]
pub(crate) struct Lockdown {
    pub(crate) rules: LockdownRules,
    pub(crate) state: LockdownState,
}

impl Lockdown {
    pub(crate) fn step(
        &mut self,
        wall: TimestampMs,
        input: LockdownInput,
    ) -> Result<Vec<LockdownEffect>, LockdownRefusal> {
        self.rules.step(&mut self.state, wall, input)
    }

    pub(crate) fn phase(&self) -> LockdownPhase {
        self.state.phase()
    }

    fn may_vote(&self) -> Result<(), LockdownRefusal> {
        self.rules.may_vote(&self.state, AuthorityIndex(0))
    }

    pub(crate) fn next_wall(&self) -> Option<TimestampMs> {
        self.rules.next_wall(&self.state)
    }
}

pub(crate) fn lockdown(members: usize) -> Lockdown {
    let state = LockdownState {
        era: ERA,
        ..LockdownState::default()
    };
    let parameters = limits();
    let rules = LockdownRules {
        parameters,
        members,
    };
    Lockdown { rules, state }
}

pub(crate) fn vote_at(author: u16, at: TimestampMs) -> LockdownVote {
    let body = LockdownVoteBody {
        era: ERA,
        at,
        trigger: LockdownTrigger::Operator,
        reason: b"drill".to_vec(),
    };
    Signed::sign(body, AuthorityIndex(author), &CHAIN, &key_pair(author))
}

pub(crate) fn vote(author: u16) -> LockdownVote {
    vote_at(author, NOW)
}

pub(crate) fn point(number: u8) -> BlockPoint {
    BlockPoint {
        height: Height(number.into()),
        block: BlockId::new([number; 32]),
        state_root: StateRoot::new([number; 32]),
    }
}

pub(crate) fn recovery_in(
    author: u16,
    (attempt, step): (u32, RecoveryStep),
    number: u8,
    at: TimestampMs,
) -> RecoveryVote {
    let body = RecoveryVoteBody {
        era: ERA,
        at,
        attempt,
        step,
        choice: choice(number),
    };
    Signed::sign(body, AuthorityIndex(author), &CHAIN, &key_pair(author))
}

pub(crate) fn choice(number: u8) -> RecoveryChoice {
    RecoveryChoice {
        point: point(number),
        resume: None,
    }
}

pub(crate) fn precommit(author: u16, number: u8) -> RecoveryVote {
    recovery_in(author, (0, RecoveryStep::Precommit), number, NOW)
}

fn report(author: u16, pending: u64, at: TimestampMs) -> QuarantineReport {
    let body = QuarantineReportBody {
        era: ERA,
        at,
        head: point(9),
        certified: Height(9),
        attested: Height(9),
        pending,
        pending_root: [0; 32],
    };
    Signed::sign(body, AuthorityIndex(author), &CHAIN, &key_pair(author))
}

pub(crate) fn locks(authors: &[u16]) -> LockdownCertificate {
    let votes = authors.iter().map(|author| vote(*author)).collect();
    BallotCertificate { votes }
}

/// Precommits of the first attempt.
pub(crate) fn recovers(authors: &[u16], number: u8) -> RecoveryCertificate {
    let votes = authors.iter().map(|author| precommit(*author, number));
    BallotCertificate {
        votes: votes.collect(),
    }
}

/// What follows; what changes the state is persisted first.
pub(crate) fn does_at(
    lockdown: &mut Lockdown,
    wall: TimestampMs,
    input: LockdownInput,
) -> Vec<LockdownEffect> {
    let before = lockdown.state.clone();
    let mut effects = lockdown.step(wall, input).expect("it is no mistake");
    if lockdown.state == before {
        assert_eq!(effects, []);
    } else {
        assert_eq!(effects.remove(0), LockdownEffect::Persist);
    }
    effects
}

pub(crate) fn does(lockdown: &mut Lockdown, input: LockdownInput) -> Vec<LockdownEffect> {
    does_at(lockdown, NOW, input)
}

pub(crate) fn refuses(lockdown: &mut Lockdown, input: LockdownInput) -> LockdownRefusal {
    let before = lockdown.state.clone();
    let refusal = lockdown.step(NOW, input).expect_err("it does nothing");
    assert_eq!(lockdown.state, before);
    refusal
}

/// Three of four have voted.
pub(crate) fn locked() -> Lockdown {
    let mut lockdown = lockdown(4);
    for author in 0..3 {
        drop(does(&mut lockdown, LockdownInput::Vote(vote(author))));
    }
    assert_eq!(lockdown.phase(), LockdownPhase::Locked);
    lockdown
}

#[test]
fn k2_two_thirds_lock_and_one_less_does_not() {
    let mut lockdown = lockdown(4);
    assert_eq!(
        (lockdown.phase(), lockdown.rules.quorum()),
        (LockdownPhase::Normal, 3)
    );
    let began = [LockdownEffect::VotingBegan];
    assert_eq!(does(&mut lockdown, LockdownInput::Vote(vote(2))), began);
    assert_eq!(does(&mut lockdown, LockdownInput::Vote(vote(0))), []);
    assert_eq!(lockdown.phase(), LockdownPhase::Voting);
    assert_eq!(lockdown.may_vote(), Ok(()));
    let certificate = locks(&[0, 2, 3]);
    let locked = [LockdownEffect::Locked(certificate.clone())];
    assert_eq!(does(&mut lockdown, LockdownInput::Vote(vote(3))), locked);
    assert_eq!(lockdown.phase(), LockdownPhase::Locked);
    let verified = certificate.verify(&CHAIN, ERA, &committee(4), &limits(), &Ed25519);
    assert_eq!(verified, Ok(()));
    assert_eq!(
        lockdown.may_vote(),
        Err(LockdownRefusal::AlreadyLocked { since: NOW })
    );
    // Who votes late is seen to have voted, and changes nothing.
    assert_eq!(does(&mut lockdown, LockdownInput::Vote(vote(1))), []);
    assert_eq!(lockdown.state.votes.len(), 4);
}

#[test]
fn k1_who_votes_often_counts_once() {
    let mut lockdown = lockdown(4);
    for later in 0..10 {
        let again = vote_at(1, NOW.plus(later));
        drop(does(&mut lockdown, LockdownInput::Vote(again)));
    }
    assert_eq!(lockdown.phase(), LockdownPhase::Voting);
    assert_eq!(lockdown.state.votes.len(), 1);
    for known in [vote_at(1, NOW.plus(9)), vote_at(1, NOW.plus(8))] {
        assert_eq!(
            refuses(&mut lockdown, LockdownInput::Vote(known)),
            LockdownRefusal::Known
        );
    }
}

#[test]
fn k1_a_stranger_and_another_era_count_nothing() {
    let mut lockdown = lockdown(4);
    let refusal = refuses(&mut lockdown, LockdownInput::Vote(vote(4)));
    let (author, members) = (AuthorityIndex(4), 4);
    assert_eq!(refusal, LockdownRefusal::NotAMember { author, members });
    let (actual, running) = (Era(6), ERA);
    let other_era = LockdownRefusal::OtherEra { actual, running };
    let mut old = vote(1);
    old.body.era = Era(6);
    assert_eq!(
        refuses(&mut lockdown, LockdownInput::Vote(old.clone())),
        other_era
    );
    let certificate = BallotCertificate { votes: vec![old] };
    let refusal = refuses(&mut lockdown, LockdownInput::Certificate(certificate));
    assert_eq!(refusal, other_era);
    let nothing = BallotCertificate { votes: Vec::new() };
    let refusal = refuses(&mut lockdown, LockdownInput::Certificate(nothing));
    assert_eq!(refusal.name(), "other_era");
}

#[test]
fn k3_a_certificate_locks_whenever_it_comes() {
    let mut lockdown = lockdown(4);
    let much_later = NOW.plus(86_400_000);
    let certificate = locks(&[0, 1, 3]);
    let effects = does_at(
        &mut lockdown,
        much_later,
        LockdownInput::Certificate(certificate.clone()),
    );
    let locked = vec![LockdownEffect::Locked(certificate.clone())];
    assert_eq!(effects, locked);
    let again = refuses(&mut lockdown, LockdownInput::Certificate(certificate));
    assert_eq!(again, LockdownRefusal::Known);
}

#[test]
fn k4_votes_expire_and_the_chain_goes_on() {
    let mut lockdown = lockdown(4);
    drop(does(&mut lockdown, LockdownInput::Vote(vote(0))));
    drop(does(
        &mut lockdown,
        LockdownInput::Vote(vote_at(1, NOW.plus(10))),
    ));
    assert_eq!(lockdown.next_wall(), Some(NOW.plus(MAX_AGE_MS + 1)));
    let mut tick = |at_ms| does_at(&mut lockdown, NOW.plus(at_ms), LockdownInput::Tick);
    assert_eq!(tick(MAX_AGE_MS), []);
    assert_eq!(tick(MAX_AGE_MS + 1), [], "one is left");
    let ended = vec![LockdownEffect::VotingEnded];
    assert_eq!(tick(MAX_AGE_MS + 11), ended);
    assert_eq!(
        (lockdown.phase(), lockdown.next_wall()),
        (LockdownPhase::Normal, None)
    );
}

#[test]
fn k4_votes_that_were_not_valid_together_do_not_lock() {
    let mut lockdown = lockdown(4);
    for (author, at_ms) in [(0, 0), (1, MAX_AGE_MS), (2, MAX_AGE_MS + 1)] {
        let vote = vote_at(author, NOW.plus(at_ms));
        drop(does(&mut lockdown, LockdownInput::Vote(vote)));
    }
    assert_eq!(lockdown.phase(), LockdownPhase::Voting);
    // The first votes again: now three are.
    let again = vote_at(0, NOW.plus(MAX_AGE_MS + 2));
    drop(does(&mut lockdown, LockdownInput::Vote(again)));
    assert_eq!(lockdown.phase(), LockdownPhase::Locked);
}

#[test]
fn k5_what_was_said_long_before_a_lockdown_does_not_end_it() {
    let mut lockdown = lockdown(4);
    for author in 0..4 {
        let vote = precommit(author, 8);
        drop(does(&mut lockdown, LockdownInput::Recovery(vote)));
    }
    let later = NOW.plus(MAX_AGE_MS + 1);
    drop(lockdown.step(later, LockdownInput::Tick));
    drop(lockdown.step(later, LockdownInput::Certificate(locks(&[0, 1, 2]))));
    assert_eq!(lockdown.phase(), LockdownPhase::Locked);
}

#[test]
fn k7_a_lockdown_lasts_and_says_so() {
    let timeout_ms = limits().recovery_timeout_ms;
    let mut lockdown = locked();
    assert_eq!(lockdown.next_wall(), Some(NOW.plus(timeout_ms)));
    let mut tick = |at_ms| does_at(&mut lockdown, NOW.plus(at_ms), LockdownInput::Tick);
    assert_eq!(tick(timeout_ms - 1), []);
    for times in 1..4 {
        let for_ms = times * timeout_ms;
        let alert = vec![LockdownEffect::StillLocked { for_ms }];
        assert_eq!(tick(for_ms), alert);
        assert_eq!(tick(for_ms + 1), []);
    }
    assert_eq!(lockdown.phase(), LockdownPhase::Locked);
}

#[test]
fn k8_with_another_era_all_of_it_is_over() {
    let mut lockdown = locked();
    let unlocked = [LockdownEffect::Unlocked { era: ERA }];
    let next = || LockdownInput::Era(Era(8));
    lockdown.rules.members = 7;
    assert_eq!(does(&mut lockdown, next()), unlocked);
    assert_eq!(
        (lockdown.phase(), lockdown.rules.quorum()),
        (LockdownPhase::Normal, 5)
    );
    assert_eq!(does(&mut lockdown, next()), []);
    assert_eq!(
        refuses(&mut lockdown, LockdownInput::Vote(vote(0))).name(),
        "other_era"
    );
    let old = LockdownInput::Certificate(locks(&[0, 1, 2]));
    assert_eq!(refuses(&mut lockdown, old).name(), "other_era");
    // A vote that did not come to an end is void, too.
    let mut voting = self::lockdown(4);
    drop(does(&mut voting, LockdownInput::Vote(vote(0))));
    let ended = [LockdownEffect::VotingEnded];
    assert_eq!(does(&mut voting, next()), ended);
}

#[test]
fn k9_the_newest_report_of_each_member_is_kept() {
    let mut lockdown = locked();
    for (author, pending, at) in [(0, 5, NOW), (3, 7, NOW), (0, 6, NOW.plus(1))] {
        let report = report(author, pending, at);
        // It is not persisted: it comes again.
        let effects = lockdown.step(NOW, LockdownInput::Report(report));
        assert_eq!(effects, Ok(Vec::new()));
    }
    let known = report(0, 5, NOW);
    assert_eq!(
        refuses(&mut lockdown, LockdownInput::Report(known)),
        LockdownRefusal::Known
    );
    let reports = lockdown.state.reports.values();
    let pending: Vec<_> = reports.map(|report| report.body.pending).collect();
    assert_eq!(pending, [6, 7]);
    assert_eq!(lockdown.phase(), LockdownPhase::Locked);
}
