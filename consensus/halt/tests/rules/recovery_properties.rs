//! Whatever is lost, however late it comes, whatever clocks say, whoever is set back to an old copy of its store, and whatever a third of
//! the members say: two parts of the chain never go on with different choices, and when messages arrive the chain goes on. For that those
//! who were set back count among the third: one may be bound by a confirmation whose proof nobody has any more.

use crate::lockdown::{ERA, Lockdown, MAX_AGE_MS, NOW, choice, lockdown, vote};
use holdfast_halt::lockdown::recovery::{NextVote, SignedRecovery};
use holdfast_halt::lockdown::{LockdownInput, LockdownPhase, LockdownState};
use holdfast_types::lockdown::Signed;
use holdfast_types::{
    AuthorityIndex, NamedResume, RecoveryChoice, RecoveryStep, RecoveryVote, Signature, TimestampMs,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Happens {
    /// A validator looks at what it is to sign; the time of its attempt may be over.
    Looks { node: usize, is_over: bool },
    /// One hears what another has said last, or what it can prove.
    Hears { node: usize, of: usize, proof: bool },
    /// A liar tells one validator something.
    Lies {
        to: usize,
        by: usize,
        attempt: u32,
        precommits: bool,
        choice: u8,
    },
    /// Those with a bit look, and hear each other.
    Meet { bits: u8 },
    /// Those with a bit would go on with this now.
    Have { bits: u8, choice: u8 },
    /// A copy is made of the store of one.
    Copies { node: usize },
    /// One starts again on its last copy, and with its sign guard.
    SetBack { node: usize },
    /// The clock of one is set.
    Clock { node: usize, ahead_ms: u64 },
}

fn happens() -> impl Strategy<Value = Happens> {
    let node = 0usize..7;
    prop_oneof![
        4 => (node.clone(), any::<bool>()).prop_map(|(node, is_over)| Happens::Looks { node, is_over }),
        8 => (node.clone(), 0usize..7, prop::bool::weighted(0.2))
            .prop_map(|(node, of, proof)| Happens::Hears { node, of, proof }),
        3 => (node.clone(), 0usize..2, 0u32..6, any::<bool>(), 1u8..7)
            .prop_map(|(to, by, attempt, precommits, choice)| Happens::Lies { to, by, attempt, precommits, choice }),
        4 => any::<u8>().prop_map(|bits| Happens::Meet { bits }),
        2 => (any::<u8>(), 1u8..7).prop_map(|(bits, choice)| Happens::Have { bits, choice }),
        1 => node.clone().prop_map(|node| Happens::Copies { node }),
        1 => node.clone().prop_map(|node| Happens::SetBack { node }),
        1 => (node, 0..2 * MAX_AGE_MS).prop_map(|(node, ahead_ms)| Happens::Clock { node, ahead_ms }),
    ]
}

/// Three blocks, each alone or as governance has named it.
fn wish(number: u8) -> RecoveryChoice {
    let resume = (number > 3).then(|| NamedResume {
        sequence: number.into(),
        ..NamedResume::default()
    });
    RecoveryChoice {
        resume,
        ..choice((number - 1) % 3 + 1)
    }
}

fn said(author: usize, next: NextVote, at: TimestampMs) -> RecoveryVote {
    let body = next.at(ERA, at);
    let choice = body.choice;
    let author = authority(author);
    let tag = choice.point.height.0 + choice.resume.map_or(0, |resume| resume.sequence);
    let signature = Signature::new([u8::try_from(tag).expect("choices are few"); 64]);
    Signed {
        body,
        author,
        signature,
    }
}

const fn faulty_max(members: usize) -> usize {
    (members - 1) / 3
}

fn authority(number: usize) -> AuthorityIndex {
    AuthorityIndex(u16::try_from(number).expect("members are few"))
}

/// An honest validator.
struct Node {
    lockdown: Lockdown,
    copy: LockdownState,
    signed: SignedRecovery,
    wish: u8,
    ahead_ms: u64,
    was_set_back: bool,
}

impl Node {
    fn wall(&self) -> TimestampMs {
        NOW.plus(self.ahead_ms)
    }

    fn hear(&mut self, input: LockdownInput) {
        drop(self.lockdown.step(self.wall(), input));
    }

    fn next(&self, me: usize, is_over: bool) -> Option<NextVote> {
        let Lockdown { rules, state } = &self.lockdown;
        let wish = Some(wish(self.wish));
        rules.next_vote(state, authority(me), Some(&self.signed), wish, is_over)
    }

    /// Signs and stores it. What it is to sign the guard allows: it never has to save the day.
    fn sign(&mut self, me: usize, next: NextVote) {
        let vote = said(me, next, self.wall());
        let agreed = self.lockdown.state.agreed_in();
        assert!(
            self.signed.allows(&vote.body, agreed),
            "{next:?} after {:?}",
            self.signed
        );
        self.signed.sign(&vote.body);
        self.hear(LockdownInput::Recovery(vote));
    }

    fn looks(&mut self, me: usize, mut is_over: bool) {
        while let Some(next) = self.next(me, is_over) {
            self.sign(me, next);
            is_over = false;
        }
        let Lockdown { rules, state } = &self.lockdown;
        for body in rules.to_renew(state, authority(me), self.wall()) {
            let (attempt, step, choice) = (body.attempt, body.step, body.choice);
            self.sign(
                me,
                NextVote {
                    attempt,
                    step,
                    choice,
                },
            );
        }
    }
}

/// Honest validators, the last members are liars.
struct Cluster {
    nodes: Vec<Node>,
    members: usize,
}

impl Cluster {
    fn new(members: usize, liars: usize, wishes: &[u8]) -> Self {
        let nodes = wishes.iter().take(members - liars).map(|wish| {
            let mut lockdown = lockdown(members);
            for author in 0..members {
                let author = authority(author).0;
                drop(lockdown.step(NOW, LockdownInput::Vote(vote(author))));
            }
            lockdown
                .step(NOW, LockdownInput::WantRecovery)
                .expect("it is locked");
            Node {
                copy: lockdown.state.clone(),
                lockdown,
                signed: SignedRecovery::new(ERA),
                wish: *wish,
                ahead_ms: 0,
                was_set_back: false,
            }
        });
        Self {
            nodes: nodes.collect(),
            members,
        }
    }

    fn hears(&mut self, number: usize, of: usize, proof: bool) {
        let speaker = &self.nodes[of].lockdown.state;
        let proofs = [&speaker.agreed, &speaker.recovery];
        let proofs = proofs.into_iter().flatten().filter(|_| proof).cloned();
        let votes = [&speaker.prevotes, &speaker.precommits];
        let votes = votes
            .into_iter()
            .filter_map(|votes| votes.get(&authority(of)))
            .copied();
        let votes = votes.map(LockdownInput::Recovery);
        let inputs: Vec<_> = votes
            .chain(proofs.map(LockdownInput::RecoveryCertificate))
            .collect();
        for input in inputs {
            self.nodes[number].hear(input);
        }
    }

    fn happen(&mut self, happens: &Happens) {
        let count = self.nodes.len();
        match *happens {
            Happens::Looks { node, is_over } => {
                self.nodes[node % count].looks(node % count, is_over)
            }
            Happens::Hears { node, of, proof } => self.hears(node % count, of % count, proof),
            Happens::Lies {
                to,
                by,
                attempt,
                precommits,
                choice,
            } => self.lie(to % count, by, (attempt, precommits), choice),
            Happens::Meet { bits } => {
                let meet: Vec<usize> = (0..count).filter(|node| bits >> node & 1 == 1).collect();
                for node in &meet {
                    self.nodes[*node].looks(*node, true);
                }
                for node in &meet {
                    for of in &meet {
                        self.hears(*node, *of, false);
                    }
                }
            }
            Happens::Have { bits, choice } => {
                for (number, node) in self.nodes.iter_mut().enumerate() {
                    if bits >> number & 1 == 1 {
                        node.wish = choice;
                    }
                }
            }
            Happens::Copies { node } => {
                let node = &mut self.nodes[node % count];
                node.copy = node.lockdown.state.clone();
            }
            Happens::SetBack { node } => {
                let node = &mut self.nodes[node % count];
                node.lockdown.state = node.copy.clone();
                node.was_set_back = true;
            }
            Happens::Clock { node, ahead_ms } => self.nodes[node % count].ahead_ms = ahead_ms,
        }
    }

    fn lie(&mut self, to: usize, by: usize, (attempt, precommits): (u32, bool), choice: u8) {
        let liars = self.members - self.nodes.len();
        if liars == 0 {
            return;
        }
        let step = if precommits {
            RecoveryStep::Precommit
        } else {
            RecoveryStep::Prevote
        };
        let next = NextVote {
            attempt,
            step,
            choice: wish(choice),
        };
        let author = self.nodes.len() + by % liars;
        let listener = &mut self.nodes[to];
        listener.hear(LockdownInput::Recovery(said(author, next, listener.wall())));
    }

    /// No more are faulty than the protocol is made for.
    fn is_tolerable(&self) -> bool {
        let set_back = self.nodes.iter().filter(|node| node.was_set_back).count();
        let liars = self.members - self.nodes.len();
        set_back + liars <= faulty_max(self.members)
    }

    /// What those go on with that do.
    fn recoveries(&self) -> Vec<RecoveryChoice> {
        let choices = self
            .nodes
            .iter()
            .filter_map(|node| node.lockdown.state.recovery_choice());
        let mut choices: Vec<_> = choices.collect();
        choices.sort_unstable();
        choices.dedup();
        choices
    }

    /// All have the same, the same clock, and hear each other.
    fn heal(&mut self) {
        let count = self.nodes.len();
        let wish = self.nodes.iter().map(|node| node.wish).max().unwrap_or(1);
        for node in &mut self.nodes {
            node.wish = wish;
            node.ahead_ms = 2 * MAX_AGE_MS;
        }
        for round in 0..60 {
            for (number, node) in self.nodes.iter_mut().enumerate() {
                // Who stands in an attempt alone waits for the others.
                let Lockdown { rules, state } = &node.lockdown;
                let is_over = round % 3 == 2 && rules.is_attempt_full(state, authority(number));
                node.looks(number, is_over);
            }
            for node in 0..count {
                for of in 0..count {
                    self.hears(node, of, true);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn kr4_nobody_goes_on_with_another_block(
        members in prop::sample::select(vec![2usize, 3, 4, 4, 5, 7, 7]),
        liars in 0usize..3,
        wishes in prop::collection::vec(1u8..7, 7),
        events in prop::collection::vec(happens(), 0..200),
    ) {
        let mut cluster = Cluster::new(members, liars.min(faulty_max(members)), &wishes);
        let mut before = None;
        for event in &events {
            cluster.happen(event);
            for recovery in cluster.recoveries() {
                // Who was set back may have forgotten it; it is the only one all the same.
                prop_assert_eq!(*before.get_or_insert(recovery), recovery);
            }
        }
        cluster.heal();
        let after = cluster.recoveries();
        prop_assert!(after.iter().all(|after| before.is_none_or(|before| before == *after)));
        if !cluster.is_tolerable() {
            prop_assert!(after.len() <= 1);
            return Ok(());
        }
        let phases = cluster.nodes.iter().map(|node| node.lockdown.phase());
        prop_assert!(phases.clone().all(|phase| phase == LockdownPhase::Recovering), "{:?}", phases.collect::<Vec<_>>());
        prop_assert_eq!(after.len(), 1);
    }
}
