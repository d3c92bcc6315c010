//! Whatever is lost, however late it comes and whatever a third of the members say: two parts of the chain never go on with different
//! blocks, and when messages arrive the chain goes on.

use crate::lockdown::{ERA, Lockdown, NOW, choice, lockdown, vote};
use holdfast_halt::lockdown::{LockdownInput, LockdownPhase};
use holdfast_types::lockdown::Signed;
use holdfast_types::{AuthorityIndex, RecoveryStep, RecoveryVote, RecoveryVoteBody, Signature};
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
        block: u8,
    },
    /// Those with a bit look, and hear each other.
    Meet { bits: u8 },
    /// Those with a bit would go on from this block now.
    Have { bits: u8, block: u8 },
}

fn happens() -> impl Strategy<Value = Happens> {
    let node = 0usize..7;
    prop_oneof![
        4 => (node.clone(), any::<bool>()).prop_map(|(node, is_over)| Happens::Looks { node, is_over }),
        8 => (node.clone(), 0usize..7, prop::bool::weighted(0.2))
            .prop_map(|(node, of, proof)| Happens::Hears { node, of, proof }),
        3 => (node, 0usize..2, 0u32..6, any::<bool>(), 1u8..5)
            .prop_map(|(to, by, attempt, precommits, block)| Happens::Lies { to, by, attempt, precommits, block }),
        4 => any::<u8>().prop_map(|bits| Happens::Meet { bits }),
        2 => (any::<u8>(), 1u8..5).prop_map(|(bits, block)| Happens::Have { bits, block }),
    ]
}

fn said(author: usize, attempt: u32, step: RecoveryStep, block: u8) -> RecoveryVote {
    let author = u16::try_from(author).expect("members are few");
    Signed {
        body: RecoveryVoteBody {
            era: ERA,
            at: NOW,
            attempt,
            step,
            choice: choice(block),
        },
        author: AuthorityIndex(author),
        signature: Signature::new([block; 64]),
    }
}

/// Honest validators, the last members are liars.
struct Cluster {
    nodes: Vec<(Lockdown, u8)>,
    members: usize,
}

impl Cluster {
    fn new(members: usize, heads: &[u8]) -> Self {
        let liars = (members - 1) / 3;
        let nodes = heads.iter().take(members - liars).map(|head| {
            let mut node = lockdown(members);
            for author in 0..members {
                let author = u16::try_from(author).expect("members are few");
                drop(node.step(NOW, LockdownInput::Vote(vote(author))));
            }
            node.step(NOW, LockdownInput::WantRecovery)
                .expect("it is locked");
            (node, *head)
        });
        Self {
            nodes: nodes.collect(),
            members,
        }
    }

    fn looks(&mut self, number: usize, is_over: bool) {
        let (node, head) = &mut self.nodes[number];
        let me = AuthorityIndex(u16::try_from(number).expect("members are few"));
        while let Some(next) = node
            .rules
            .next_vote(&node.state, me, Some(choice(*head)), is_over)
        {
            let block = u8::try_from(next.choice.point.height.0).expect("blocks are few");
            let vote = said(number, next.attempt, next.step, block);
            drop(node.step(NOW, LockdownInput::Recovery(vote)));
            if next.step == RecoveryStep::Prevote {
                break;
            }
        }
    }

    fn hears(&mut self, number: usize, of: usize, proof: bool) {
        let speaker = &self.nodes[of].0.state;
        let me = AuthorityIndex(u16::try_from(of).expect("members are few"));
        let proofs = [&speaker.agreed, &speaker.recovery];
        let proofs: Vec<_> = proofs
            .into_iter()
            .flatten()
            .filter(|_| proof)
            .cloned()
            .collect();
        let votes = [&speaker.prevotes, &speaker.precommits];
        let votes: Vec<_> = votes
            .into_iter()
            .filter_map(|votes| votes.get(&me))
            .copied()
            .collect();
        let listener = &mut self.nodes[number].0;
        for vote in votes {
            drop(listener.step(NOW, LockdownInput::Recovery(vote)));
        }
        for proof in proofs {
            drop(listener.step(NOW, LockdownInput::RecoveryCertificate(proof)));
        }
    }

    fn happen(&mut self, happens: &Happens) {
        let count = self.nodes.len();
        match *happens {
            Happens::Looks { node, is_over } => self.looks(node % count, is_over),
            Happens::Hears { node, of, proof } => self.hears(node % count, of % count, proof),
            Happens::Lies {
                to,
                by,
                attempt,
                precommits,
                block,
            } => {
                let liars = self.members - count;
                if liars == 0 {
                    return;
                }
                let step = if precommits {
                    RecoveryStep::Precommit
                } else {
                    RecoveryStep::Prevote
                };
                let lie = said(count + by % liars, attempt, step, block);
                drop(
                    self.nodes[to % count]
                        .0
                        .step(NOW, LockdownInput::Recovery(lie)),
                );
            }
            Happens::Meet { bits } => {
                let meet: Vec<usize> = (0..count).filter(|node| bits >> node & 1 == 1).collect();
                for node in &meet {
                    self.looks(*node, true);
                }
                for node in &meet {
                    for of in &meet {
                        self.hears(*node, *of, false);
                    }
                }
            }
            Happens::Have { bits, block } => {
                for (number, (_, head)) in self.nodes.iter_mut().enumerate() {
                    if bits >> number & 1 == 1 {
                        *head = block;
                    }
                }
            }
        }
    }

    /// What those go on with that do.
    fn recoveries(&self) -> Vec<holdfast_types::RecoveryChoice> {
        let choices = self
            .nodes
            .iter()
            .filter_map(|(node, _)| node.state.recovery_choice());
        let mut choices: Vec<_> = choices.collect();
        choices.sort_unstable();
        choices.dedup();
        choices
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn kr4_nobody_goes_on_with_another_block(
        members in prop::sample::select(vec![2usize, 3, 4, 4, 5, 7]),
        heads in prop::collection::vec(1u8..4, 7),
        events in prop::collection::vec(happens(), 0..200),
    ) {
        let mut cluster = Cluster::new(members, &heads);
        for event in &events {
            cluster.happen(event);
            prop_assert!(cluster.recoveries().len() <= 1, "{:?}", cluster.recoveries());
        }
        // All have the same now, and hear each other: the chain goes on, with what some may go on with already.
        let before = cluster.recoveries();
        let top = cluster.nodes.iter().map(|(_, head)| *head).max().unwrap_or(1);
        for (_, head) in &mut cluster.nodes {
            *head = top;
        }
        let count = cluster.nodes.len();
        for round in 0..60 {
            for node in 0..count {
                // Who stands in an attempt alone waits for the others.
                let me = AuthorityIndex(u16::try_from(node).expect("members are few"));
                let (lockdown, _) = &cluster.nodes[node];
                let is_over = round % 3 == 2 && lockdown.rules.is_attempt_full(&lockdown.state, me);
                cluster.looks(node, is_over);
            }
            for node in 0..count {
                for of in 0..count {
                    cluster.hears(node, of, true);
                }
            }
        }
        let phases = cluster.nodes.iter().map(|(node, _)| node.phase());
        prop_assert!(phases.clone().all(|phase| phase == LockdownPhase::Recovering), "{:?}", phases.collect::<Vec<_>>());
        let after = cluster.recoveries();
        prop_assert_eq!(after.len(), 1);
        prop_assert!(before.is_empty() || before == after);
    }
}
