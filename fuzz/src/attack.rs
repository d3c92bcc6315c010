//! An attack on the lockdown: messages of strangers, of who has stolen the cluster secret, and of members that lie.
//!
//! A validator of a committee of seven takes them as a node does: decoded, tag, statement, state machine. Four of the seven have
//! voted, five are needed, and two lie. Rule that every message is held against: *what is taken was said by the member that it
//! names, for this chain and era and now*, so that no vote is ever counted that its member did not cast, and nothing locks or lets
//! go on.

use crate::mutation::mutate;
use holdfast_halt::lockdown::secret::{ClusterSecret, ClusterSecrets};
use holdfast_halt::lockdown::{LockdownInput, LockdownPhase, LockdownRules, LockdownState};
use holdfast_replica::admission::{self, Judgement};
use holdfast_types::codec::{decode, encode};
use holdfast_types::limits::RESPONSE_BYTES_MAX;
use holdfast_types::lockdown::{BallotCertificate, GossipedLockdown, LockdownStatement, Signed};
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{self, CHAIN, Sample, Sampler, key_pair};
use holdfast_types::{
    AuthorityIndex, ChainId, Ed25519, Era, EraContext, LockdownMessage, LockdownTrigger,
    LockdownVoteBody, QuarantineReportBody, RecoveryChoice, RecoveryStep, RecoveryVoteBody,
    TimestampMs,
};
use std::collections::BTreeSet;

const MEMBERS: u16 = 7;
/// The first members lie.
const LIARS: u16 = 2;
/// So many have voted, the liars among them: one less than it takes.
const VOTED: u16 = 4;
const NOW: TimestampMs = TimestampMs(1_800_000_000_000);
const BATCH: u64 = 10_000;

/// Who sends it, and how it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// A message as it was heard, perhaps in another era or long ago, or of another chain or secret.
    Replayed,
    /// One that was changed by who does not know the secret.
    Mutated,
    /// The content of one with the tag of another.
    Spliced,
    /// One that was changed and tagged anew by who knows the secret.
    Retagged,
    /// What a lying member signs and tags.
    Insider,
}

impl Attack {
    pub const ALL: [Self; 5] = [
        Self::Replayed,
        Self::Mutated,
        Self::Spliced,
        Self::Retagged,
        Self::Insider,
    ];

    /// What a signature of a member is verified for is the rare case: it takes fifty times as long as a tag.
    fn pick(sampler: &mut Sampler) -> Self {
        match sampler.below(1_000) {
            0..300 => Self::Replayed,
            300..800 => Self::Mutated,
            800..985 => Self::Spliced,
            985..997 => Self::Retagged,
            _ => Self::Insider,
        }
    }
}

/// What became of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub sent: u64,
    pub decoded: u64,
    pub tagged: u64,
    /// Said by the member that it names, for this chain and era and now.
    pub genuine: u64,
    /// Of these, what the state machine had not known.
    pub news: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.decoded += other.decoded;
        self.tagged += other.tagged;
        self.genuine += other.genuine;
        self.news += other.news;
    }
}

/// By [`Attack`], in the order of [`Attack::ALL`].
pub type Tallies = [Tally; Attack::ALL.len()];

/// Adds one to the other.
pub fn add(tallies: &mut Tallies, others: &Tallies) {
    for (tally, other) in tallies.iter_mut().zip(others) {
        tally.add(other);
    }
}

/// A validator, and all that its attackers have heard.
struct Scene {
    rules: LockdownRules,
    state: LockdownState,
    phase: LockdownPhase,
    context: EraContext,
    secrets: ClusterSecrets,
    /// What honest members have said for this chain and era and now: author and content.
    said: BTreeSet<(AuthorityIndex, Vec<u8>)>,
    heard: Vec<Vec<u8>>,
    /// Tagged with the secret of another cluster by members that have not voted in this one.
    of_other_secret: Vec<Vec<u8>>,
}

fn secret(last: u8) -> ClusterSecret {
    let mut bytes = [9; 32];
    bytes[0] = last;
    ClusterSecret::new(&bytes).expect("it is long enough")
}

fn sign<B: LockdownStatement>(body: B, author: u16, chain: &ChainId) -> Signed<B> {
    Signed::sign(body, AuthorityIndex(author), chain, &key_pair(author))
}

fn vote(author: u16, era: Era, at: TimestampMs, chain: &ChainId) -> LockdownMessage {
    let body = LockdownVoteBody {
        era,
        at,
        trigger: LockdownTrigger::Operator,
        reason: b"the roots differ".to_vec(),
    };
    LockdownMessage::Vote(sign(body, author, chain))
}

fn recovery_body(step: RecoveryStep, era: Era, at: TimestampMs) -> RecoveryVoteBody {
    RecoveryVoteBody {
        era,
        at,
        attempt: 0,
        step,
        choice: RecoveryChoice::default(),
    }
}

fn report(author: u16, era: Era, at: TimestampMs, chain: &ChainId) -> LockdownMessage {
    let body = QuarantineReportBody {
        era,
        at,
        ..QuarantineReportBody::sample(&mut Sampler::new("report", u64::from(author)))
    };
    LockdownMessage::Report(sign(body, author, chain))
}

/// What one member may say in a lockdown.
fn all_of(author: u16, era: Era, at: TimestampMs, chain: &ChainId) -> Vec<LockdownMessage> {
    let steps = [RecoveryStep::Prevote, RecoveryStep::Precommit];
    let recoveries = steps
        .map(|step| LockdownMessage::Recovery(sign(recovery_body(step, era, at), author, chain)));
    let mut all = vec![vote(author, era, at, chain), report(author, era, at, chain)];
    all.extend(recoveries);
    all
}

/// The votes of those that have voted, as a proof that they are not.
fn too_few(era: Era) -> LockdownMessage {
    let body = recovery_body(RecoveryStep::Precommit, era, NOW);
    let votes = (0..VOTED).map(|author| sign(body, author, &CHAIN));
    LockdownMessage::Recovered(BallotCertificate {
        votes: votes.collect(),
    })
}

const fn author_of(message: &LockdownMessage) -> Option<AuthorityIndex> {
    match message {
        LockdownMessage::Vote(vote) => Some(vote.author),
        LockdownMessage::Recovery(vote) => Some(vote.author),
        LockdownMessage::Report(report) => Some(report.author),
        LockdownMessage::Recovered(_) => None,
    }
}

fn content_of(message: &LockdownMessage) -> Vec<u8> {
    match message {
        LockdownMessage::Vote(vote) => encode(&vote.body),
        LockdownMessage::Recovery(vote) => encode(&vote.body),
        LockdownMessage::Report(report) => encode(&report.body),
        LockdownMessage::Recovered(certificate) => encode(certificate),
    }
}

impl Scene {
    /// The secret is being changed: two are valid.
    fn new(is_locked: bool) -> Self {
        let context = test_util::era_context(MEMBERS);
        let era = context.era;
        let parameters = parameters().lockdown;
        let mut scene = Self {
            rules: LockdownRules {
                parameters,
                members: usize::from(MEMBERS),
            },
            state: LockdownState {
                era,
                ..LockdownState::default()
            },
            phase: LockdownPhase::Voting,
            context,
            secrets: ClusterSecrets::new(secret(1), Some(secret(2))),
            said: BTreeSet::new(),
            heard: Vec::new(),
            of_other_secret: Vec::new(),
        };
        if is_locked {
            let votes = (0..MEMBERS).map(|author| vote(author, era, NOW, &CHAIN));
            for vote in votes {
                scene.step(vote);
            }
            scene.phase = LockdownPhase::Locked;
        }
        scene.hear(is_locked);
        assert_eq!(scene.state.phase(), scene.phase);
        scene
    }

    fn hear(&mut self, is_locked: bool) {
        let era = self.context.era;
        let secrets = self.secrets.clone();
        let foreign = ClusterSecrets::new(secret(3), None);
        let mut heard = |message: LockdownMessage| {
            let gossiped = secrets.tag(&CHAIN, message, 0);
            self.heard.push(encode(&gossiped));
        };
        let mut said = Vec::new();
        for author in 0..VOTED {
            said.extend(all_of(author, era, NOW, &CHAIN));
        }
        for author in 0..MEMBERS {
            // Of other times and places: counted here, each would be one vote too many.
            for (era, at, chain) in [
                (Era(era.0 - 1), NOW, CHAIN),
                (Era(era.0 + 1), NOW, CHAIN),
                (
                    era,
                    NOW.minus(self.rules.parameters.vote_max_age_ms + 1),
                    CHAIN,
                ),
                (era, NOW.plus(60_000), CHAIN),
                (era, NOW, ChainId::new([8; 32])),
            ] {
                for message in all_of(author, era, at, &chain) {
                    heard(message);
                }
            }
            for message in all_of(author, era, NOW, &CHAIN) {
                let gossiped = foreign.tag(&CHAIN, message, 0);
                self.of_other_secret.push(encode(&gossiped));
            }
        }
        heard(too_few(era));
        for message in &said {
            heard(message.clone());
        }
        for message in said {
            let author = author_of(&message).expect("one member says it");
            self.said.insert((author, content_of(&message)));
            if is_locked || matches!(message, LockdownMessage::Vote(_)) {
                self.step(message);
            }
        }
    }

    fn step(&mut self, message: LockdownMessage) -> bool {
        let input = match message {
            LockdownMessage::Vote(vote) => LockdownInput::Vote(vote),
            LockdownMessage::Recovery(vote) => LockdownInput::Recovery(vote),
            LockdownMessage::Report(report) => LockdownInput::Report(report),
            LockdownMessage::Recovered(proof) => LockdownInput::RecoveryCertificate(proof),
        };
        self.rules.step(&mut self.state, NOW, input).is_ok()
    }

    /// One message of this kind.
    fn make(&self, attack: Attack, sampler: &mut Sampler) -> Vec<u8> {
        // Whoever knows the secret may hand on what a member has tagged wrongly: it has said it.
        let is_foreign = !matches!(attack, Attack::Retagged) && sampler.below(8) == 0;
        let heard = if is_foreign {
            &self.of_other_secret
        } else {
            &self.heard
        };
        let mut bytes = sampler.pick(heard).clone();
        match attack {
            Attack::Replayed => {}
            Attack::Mutated => {
                for _ in 0..=sampler.below(3) {
                    mutate(&mut bytes, sampler);
                }
            }
            Attack::Spliced => {
                let other = sampler.pick(&self.heard);
                let tag = other.len() - 32;
                bytes.truncate(bytes.len() - 32);
                bytes.extend_from_slice(&other[tag..]);
            }
            Attack::Retagged => {
                for _ in 0..=sampler.below(2) {
                    mutate(&mut bytes, sampler);
                }
                if let Ok(gossiped) =
                    decode::<GossipedLockdown>("a message", &bytes, RESPONSE_BYTES_MAX)
                {
                    bytes = encode(&self.secrets.tag(
                        &CHAIN,
                        gossiped.message,
                        gossiped.repetition,
                    ));
                }
            }
            Attack::Insider => {
                let liar = sampler.below(u32::from(LIARS));
                let liar = u16::try_from(liar).expect("liars are few");
                bytes = encode(&self.secrets.tag(&CHAIN, self.lie(liar, sampler), 7));
            }
        }
        bytes
    }

    /// What a member signs: something of its own, or in the name of another.
    fn lie(&self, liar: u16, sampler: &mut Sampler) -> LockdownMessage {
        let era = self.context.era;
        let mut all = all_of(liar, era, NOW.plus(u64::from(sampler.below(2_000))), &CHAIN);
        let mut lie = all.swap_remove(sampler.below(4) as usize);
        if let LockdownMessage::Recovery(vote) = &mut lie {
            vote.body.attempt = sampler.below(4);
            vote.body.choice = RecoveryChoice::sample(sampler);
            *vote = sign(vote.body, liar, &CHAIN);
        }
        if sampler.below(2) == 0 {
            return lie;
        }
        let name = AuthorityIndex(u16::try_from(sampler.below(9)).expect("members are few"));
        match &mut lie {
            LockdownMessage::Vote(vote) => vote.author = name,
            LockdownMessage::Recovery(vote) => vote.author = name,
            LockdownMessage::Report(report) => report.author = name,
            LockdownMessage::Recovered(_) => {}
        }
        lie
    }

    /// As a node takes it.
    fn take(&mut self, bytes: &[u8], tally: &mut Tally) {
        tally.sent += 1;
        let Ok(gossiped) = decode::<GossipedLockdown>("a message", bytes, RESPONSE_BYTES_MAX)
        else {
            return;
        };
        tally.decoded += 1;
        if !self.secrets.verify(&CHAIN, &gossiped) {
            return;
        }
        tally.tagged += 1;
        let message = gossiped.message;
        let judged = admission::lockdown(
            &message,
            &CHAIN,
            &self.context,
            &self.rules.parameters,
            &Ed25519,
            NOW,
        );
        if judged != Judgement::Accept {
            return;
        }
        tally.genuine += 1;
        self.check_said(&message);
        tally.news += u64::from(self.step(message));
        let phase = self.state.phase();
        assert_eq!(phase, self.phase, "two liars and what was heard decide");
    }

    fn check_said(&self, message: &LockdownMessage) {
        let author = author_of(message);
        let is_lie = author.is_some_and(|author| author.0 < LIARS);
        let is_said =
            author.is_some_and(|author| self.said.contains(&(author, content_of(message))));
        assert!(is_lie || is_said, "nobody has said {message:?}");
    }
}

/// Sends so many messages to a validator whose committee votes (even batches) and to one that is locked (odd ones).
///
/// # Panics
/// If one is taken that its member has not said, or the state changes by it.
#[must_use]
pub fn batch(number: u64) -> Tallies {
    let mut scene = Scene::new(!number.is_multiple_of(2));
    let mut sampler = Sampler::new("attack on the lockdown", number);
    let mut tallies = Tallies::default();
    for _ in 0..BATCH {
        let attack = Attack::pick(&mut sampler);
        let bytes = scene.make(attack, &mut sampler);
        scene.take(&bytes, &mut tallies[attack as usize]);
    }
    tallies
}

/// Batches that hold at least so many messages.
#[must_use]
pub const fn batches(messages: u64) -> u64 {
    messages.div_ceil(BATCH)
}
