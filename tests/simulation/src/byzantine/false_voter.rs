//! Votes to freeze the chain as soon as it runs; to go on from any block, for several at once, in any attempt; and reports heads that
//! nobody has.

use super::{Behaviour, Shown, Situation};
use crate::message::Gossip;
use holdfast_types::lockdown::{LockdownStatement, Signed};
use holdfast_types::{
    BlockId, BlockPoint, EraKind, Height, LockdownMessage, LockdownTrigger, LockdownVoteBody,
    QuarantineReportBody, RecoveryChoice, RecoveryStep, RecoveryVoteBody, VerifiedVertex,
};
use std::sync::Arc;

/// Attempts that it votes in, from the first on.
const ATTEMPTS: u64 = 4;

/// It remembers how often it has said something.
#[derive(Clone, Debug, Default)]
pub struct FalseVoter {
    said: u32,
}

impl Behaviour for FalseVoter {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        vec![Shown::to_all(&situation, Arc::clone(vertex))]
    }

    fn gossip(&mut self, mut situation: Situation<'_>) -> Vec<Gossip> {
        if situation.replica.context().kind != EraKind::Dag {
            return Vec::new();
        }
        self.said = self.said.wrapping_add(1);
        let era = situation.replica.halts().manager().state().lockdown.era;
        let at = situation.wall;
        let lock = LockdownVoteBody {
            era,
            at,
            trigger: LockdownTrigger::Risk,
            reason: b"a lie".to_vec(),
        };
        let report = QuarantineReportBody {
            era,
            at,
            head: invented(&mut situation),
            certified: Height(u64::MAX),
            attested: Height::ZERO,
            pending: u64::MAX,
            pending_root: [7; 32],
        };
        let mut messages: Vec<_> = [
            signed(&situation, lock).map(LockdownMessage::Vote),
            signed(&situation, report).map(LockdownMessage::Report),
        ]
        .into_iter()
        .flatten()
        .collect();
        for step in [
            RecoveryStep::Prevote,
            RecoveryStep::Prevote,
            RecoveryStep::Precommit,
            RecoveryStep::Precommit,
        ] {
            let vote = RecoveryVoteBody {
                era,
                at,
                attempt: u32::try_from(situation.random.below(ATTEMPTS)).unwrap_or(0),
                step,
                choice: choice(&mut situation),
            };
            messages.extend(signed(&situation, vote).map(LockdownMessage::Recovery));
        }
        let tagged = messages
            .into_iter()
            .map(|message| situation.cluster.tag(situation.chain, message, self.said));
        tagged
            .map(|message| Gossip::Lockdown(Box::new(message)))
            .collect()
    }
}

/// As the member that it is.
fn signed<B: LockdownStatement>(situation: &Situation<'_>, body: B) -> Option<Signed<B>> {
    let me = situation.replica.authority()?;
    Some(Signed::sign(body, me, situation.chain, situation.key))
}

/// What others have voted for, or what nobody can.
fn choice(situation: &mut Situation<'_>) -> RecoveryChoice {
    let known: Vec<RecoveryChoice> = {
        let state = &situation.replica.halts().manager().state().lockdown;
        let votes = state.prevotes.values().chain(state.precommits.values());
        votes.map(|vote| vote.body.choice).collect()
    };
    if known.is_empty() || situation.random.chance(300) {
        return RecoveryChoice {
            point: invented(situation),
            resume: None,
        };
    }
    *situation.random.pick(&known)
}

/// A block that does not exist.
fn invented(situation: &mut Situation<'_>) -> BlockPoint {
    BlockPoint {
        height: Height(situation.random.below(200)),
        block: BlockId::new([7; 32]),
        ..BlockPoint::default()
    }
}
