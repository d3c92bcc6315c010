//! What RPC says of a lockdown, and this validator's votes in one.

use super::NodeBackend;
use super::convert::{account_name, hash, small};
use super::halts::{block_ref, wait};
use crate::clock;
use crate::runtime::core_thread::CoreCommand;
use holdfast_halt::lockdown::{Lock, LockdownState};
use holdfast_halt::{HaltRefusal, HaltState};
use holdfast_replica::Locking;
use holdfast_rpc::dto::{
    AccountName, LockdownPhase, LockdownStatus, LockdownVote, Number, PendingTransactions,
    QuarantineReport, RecoveryVote,
};
use holdfast_rpc::{BackendError, ChainEvent};
use holdfast_types::lockdown::{lockdown_quorum, recovery_quorum};
use holdfast_types::merkle::merkle_root;
use holdfast_types::{
    AuthorityIndex, BlockPoint, Committee, EraContext, EraKind, LockdownTrigger, Parameters,
    RecoveryCertificate, TimestampMs,
};
use std::sync::PoisonError;
use tokio::sync::oneshot;

/// What comes of a vote of this validator.
pub(in crate::runtime) type VoteAnswer = oneshot::Receiver<Result<(), HaltRefusal>>;

/// What to read in a lockdown.
pub(super) const RUNBOOK: &str = "docs/runbooks/lockdown.md";

/// What this node is in a lockdown.
#[derive(Clone, Copy, Debug)]
struct Voter {
    has_secret: bool,
    is_secret_changing: bool,
    messages_refused: u64,
    /// It has a signing key.
    is_validator: bool,
}

impl NodeBackend {
    pub(super) fn lockdown_status(&self) -> LockdownStatus {
        let standing = self.parts.board.read();
        let cluster = &self.parts.cluster;
        let voter = Voter {
            has_secret: cluster.has_secret(),
            is_secret_changing: cluster.is_changing(),
            messages_refused: cluster.refused(),
            is_validator: self.parts.key.is_some(),
        };
        let (context, parameters) = (&standing.context, &self.parts.parameters);
        status(
            &standing.halts.state,
            context,
            parameters,
            voter,
            clock::wall(),
        )
    }

    /// Tells subscribers if anything is another than they were told.
    pub(super) fn tell_lockdown(&self) {
        let now = self.lockdown_status();
        let told = &mut *self
            .told_lockdown
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_quiet = |status: &LockdownStatus| status.phase == LockdownPhase::Normal;
        // The advice tells how long it lasts: that alone is no news.
        let is_known = |known: &LockdownStatus| {
            let next_command = known.next_command.clone();
            *known
                == LockdownStatus {
                    next_command,
                    ..now.clone()
                }
        };
        let changed = told
            .as_ref()
            .map_or_else(|| !is_quiet(&now), |known| !is_known(known));
        if changed {
            let news = ChainEvent::Lockdown(Box::new(now.clone()));
            self.feed.publish(news);
        }
        *told = Some(now);
    }

    pub(super) fn pending_transactions(&self) -> Result<PendingTransactions, BackendError> {
        let (reply, answer) = oneshot::channel();
        self.parts.core.command(CoreCommand::Pending { reply });
        let ids: Vec<_> = wait(answer)?.iter().map(|id| *id.as_bytes()).collect();
        Ok(PendingTransactions {
            count: Number(ids.len() as u64),
            root: hash(&merkle_root(&ids)),
            transaction_ids: ids.iter().map(hash).collect(),
        })
    }

    pub(super) fn vote_in_lockdown(
        &self,
        locking: Locking,
    ) -> Result<LockdownStatus, BackendError> {
        let answer = self.begin_vote(locking)?;
        wait(answer)?.map_err(|refusal| refused(&refusal))?;
        Ok(self.lockdown_status())
    }

    /// Has this validator vote; the answer comes when what follows is durable.
    pub(super) fn begin_vote(&self, locking: Locking) -> Result<VoteAnswer, BackendError> {
        if !self.parts.cluster.has_secret() {
            return Err(BackendError::LockdownRefused {
                reason: "no_secret".to_owned(),
                message: "this node has no cluster secret (lockdown.secret_file): nobody would count its vote"
                    .to_owned(),
            });
        }
        let (reply, answer) = oneshot::channel();
        let command = CoreCommand::Lockdown { locking, reply };
        self.parts.core.command(command);
        Ok(answer)
    }
}

pub(super) fn vote_to_lock(trigger: LockdownTrigger, reason: &str) -> Locking {
    Locking::VoteToLock {
        trigger,
        reason: reason.as_bytes().to_vec(),
    }
}

fn refused(refusal: &HaltRefusal) -> BackendError {
    BackendError::LockdownRefused {
        reason: refusal.name().to_owned(),
        message: refusal.to_string(),
    }
}

fn status(
    halts: &HaltState,
    context: &EraContext,
    parameters: &Parameters,
    voter: Voter,
    wall: TimestampMs,
) -> LockdownStatus {
    let state = &halts.lockdown;
    let committee = &context.committee;
    // In an emergency nobody votes.
    let is_dag = context.kind == EraKind::Dag;
    let members = if is_dag { committee.size() } else { 0 };
    let quorum = lockdown_quorum(members, &parameters.lockdown);
    let votes = votes(state, committee);
    let missing = match state.lock {
        Some(_) => 0,
        None => quorum.saturating_sub(votes.len()),
    };
    let agreed = state.agreed.as_ref().and_then(point_of);
    let (next_command, runbook) = (next_command(halts, voter, wall), RUNBOOK.to_owned());
    LockdownStatus {
        phase: phase(state),
        era: Number(state.era.0),
        members: small(members),
        quorum: small(quorum),
        recovery_quorum: small(recovery_quorum(members, &parameters.lockdown)),
        has_secret: voter.has_secret,
        is_secret_changing: voter.is_secret_changing,
        messages_refused: Number(voter.messages_refused),
        votes,
        votes_missing: small(missing),
        locked_since_ms: state.lock.as_ref().map(|lock| Number(lock.since.0)),
        wants_recovery: state.wants_recovery,
        recovery_votes: recovery_votes(state, committee),
        agreed: agreed.map(|point| block_ref(point.height, &point.block)),
        confirmed: state
            .recovery_choice()
            .map(|choice| block_ref(choice.point.height, &choice.point.block)),
        reports: reports(state, committee),
        next_command,
        runbook,
    }
}

const fn phase_name(phase: holdfast_halt::lockdown::LockdownPhase) -> LockdownPhase {
    use holdfast_halt::lockdown::LockdownPhase as Phase;
    match phase {
        Phase::Normal => LockdownPhase::Normal,
        Phase::Voting => LockdownPhase::Voting,
        Phase::Locked => LockdownPhase::Locked,
        Phase::Recovering => LockdownPhase::Recovering,
    }
}

fn phase(state: &LockdownState) -> LockdownPhase {
    phase_name(state.phase())
}

fn account_of(committee: &Committee, authority: AuthorityIndex) -> Option<AccountName> {
    let member = committee.member(authority);
    member.map(|member| account_name(&member.account))
}

/// The votes that count: of a frozen chain those that have frozen it.
fn votes(state: &LockdownState, committee: &Committee) -> Vec<LockdownVote> {
    let certificate = state
        .lock
        .as_ref()
        .map(|Lock { certificate, .. }| certificate);
    let votes: Vec<_> = match certificate {
        Some(certificate) => certificate.votes.iter().collect(),
        None => state.votes.values().collect(),
    };
    let vote = |vote: &holdfast_types::LockdownVote| LockdownVote {
        authority: vote.author.0,
        account: account_of(committee, vote.author),
        trigger: vote.body.trigger.name().to_owned(),
        reason: String::from_utf8_lossy(&vote.body.reason).into_owned(),
        at_ms: Number(vote.body.at.0),
    };
    votes.into_iter().map(vote).collect()
}

fn recovery_votes(state: &LockdownState, committee: &Committee) -> Vec<RecoveryVote> {
    let votes = state.prevotes.values().chain(state.precommits.values());
    let vote = |vote: &holdfast_types::RecoveryVote| {
        let choice = &vote.body.choice;
        RecoveryVote {
            authority: vote.author.0,
            account: account_of(committee, vote.author),
            step: vote.body.step.name().to_owned(),
            attempt: vote.body.attempt,
            block: block_ref(choice.point.height, &choice.point.block),
            resume: choice.resume.map(|named| hash(&named.message)),
            at_ms: Number(vote.body.at.0),
        }
    };
    votes.map(vote).collect()
}

/// How the members stand, each compared with the highest head.
fn reports(state: &LockdownState, committee: &Committee) -> Vec<QuarantineReport> {
    let best = state.reports.values().map(|report| report.body.head);
    let best = most_common_highest(best);
    let report = |report: &holdfast_types::QuarantineReport| {
        let body = &report.body;
        QuarantineReport {
            authority: report.author.0,
            account: account_of(committee, report.author),
            head: block_ref(body.head.height, &body.head.block),
            state_root: hash(body.head.state_root.as_bytes()),
            certified: Number(body.certified.0),
            attested: Number(body.attested.0),
            pending: Number(body.pending),
            pending_root: hash(&body.pending_root),
            differs: best
                .and_then(|best| difference(&body.head, &best))
                .map(str::to_owned),
            at_ms: Number(body.at.0),
        }
    };
    state.reports.values().map(report).collect()
}

/// Of the highest heads the one that most have; a single one that is alone there is compared with all the same.
fn most_common_highest(heads: impl Iterator<Item = BlockPoint> + Clone) -> Option<BlockPoint> {
    let height = heads.clone().map(|head| head.height).max()?;
    let highest = heads.clone().filter(|head| head.height == height);
    highest.max_by_key(|head| (heads.clone().filter(|other| other == head).count(), *head))
}

fn difference(head: &BlockPoint, best: &BlockPoint) -> Option<&'static str> {
    if head.height < best.height {
        Some("behind")
    } else if head.block != best.block {
        Some("other_block")
    } else if head.state_root != best.state_root {
        Some("other_state")
    } else {
        None
    }
}

fn point_of(certificate: &RecoveryCertificate) -> Option<BlockPoint> {
    Some(certificate.subject()?.choice.point)
}

fn next_command(halts: &HaltState, voter: Voter, wall: TimestampMs) -> String {
    let state = &halts.lockdown;
    let text = match phase(state) {
        LockdownPhase::Recovering => {
            "wait: the next era begins when a quorum has certified the block that ends this one"
        }
        LockdownPhase::Normal if voter.is_validator && !voter.has_secret => {
            "set lockdown.secret_file, or this validator cannot take part in a lockdown"
        }
        LockdownPhase::Normal => "nothing to do",
        LockdownPhase::Voting | LockdownPhase::Locked if !voter.is_validator => {
            "ask the operators of the validators: this node has no vote"
        }
        LockdownPhase::Voting | LockdownPhase::Locked if !voter.has_secret => {
            "set lockdown.secret_file and restart the node: nobody would count its vote"
        }
        LockdownPhase::Voting => {
            "look at what the voters have seen; to freeze the chain: holdfast lockdown vote --reason TEXT"
        }
        LockdownPhase::Locked if !halts.may_choose() => {
            "holdfast why: something else stops this validator, too, and until that is over it does not vote to go on"
        }
        LockdownPhase::Locked if state.wants_recovery => {
            let since = state.lock.as_ref().map_or(wall, |lock| lock.since);
            return format!(
                "this validator votes to go on; frozen for {} s: ask those whose votes to go on are missing",
                wall.since(since) / 1_000
            );
        }
        LockdownPhase::Locked => {
            "find the cause, compare the reports, then on each validator: holdfast lockdown recover"
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_halt::lockdown::LockdownRefusal;
    use holdfast_rpc::ErrorCode;
    use holdfast_types::{BlockId, Era, Height, LockdownError, StateRoot};

    fn point(height: u64, block: u8, root: u8) -> BlockPoint {
        BlockPoint {
            height: Height(height),
            block: BlockId::new([block; 32]),
            state_root: StateRoot::new([root; 32]),
        }
    }

    #[test]
    fn each_head_is_compared_with_the_highest_that_most_have() {
        let (common, lower) = (point(9, 1, 1), point(8, 3, 3));
        let (other_block, other_state) = (point(9, 2, 1), point(9, 1, 2));
        let heads = [other_block, common, lower, common, other_state];
        let best = most_common_highest(heads.into_iter()).unwrap();
        assert_eq!(best, common);
        let found = heads.map(|head| difference(&head, &best));
        let expected = [
            Some("other_block"),
            None,
            Some("behind"),
            None,
            Some("other_state"),
        ];
        assert_eq!(found, expected);
        assert_eq!(most_common_highest(std::iter::empty()), None);
    }

    #[test]
    fn clients_are_told_of_every_refusal_by_a_name_that_the_code_lists() {
        let refusals = [
            LockdownRefusal::NoVoter,
            LockdownRefusal::PastUnknown,
            LockdownRefusal::NotAMember {
                author: AuthorityIndex(5),
                members: 4,
            },
            LockdownRefusal::AlreadyLocked {
                since: TimestampMs(5),
            },
            LockdownRefusal::NotLocked,
            LockdownRefusal::Recovering { height: Height(5) },
            LockdownRefusal::Known,
            LockdownRefusal::Malformed(LockdownError::ReasonTooLong { actual: 300 }),
            LockdownRefusal::OtherEra {
                actual: Era(1),
                running: Era(2),
            },
        ];
        let mut names: Vec<_> = refusals.map(|refusal| refusal.name()).into();
        names.push("no_secret");
        names.sort_unstable();
        let meaning = ErrorCode::LockdownRefused.meaning();
        let (_, listed) = meaning.split_once("for why: ").unwrap();
        let mut listed: Vec<_> = listed.split('`').skip(1).step_by(2).collect();
        listed.sort_unstable();
        assert_eq!(names, listed);
    }
}
