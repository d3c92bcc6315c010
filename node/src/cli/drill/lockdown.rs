//! The acts of a lockdown: validators freeze the chain by vote, stand, and let it go on by vote.

use super::checks;
use super::kind::{self, Voters};
use super::outcome::Run;
use super::script::{HELD_TRANSFERS, gates, milliseconds};
use super::stage::{OBSERVER, PATIENCE, Stage};
use super::watch::{self, failed, until};
use crate::cli::units::now_ms;
use crate::failure::Failure;
use holdfast_halt::Mode;
use holdfast_rpc::dto::{LockdownPhase, LockdownStatus};
use holdfast_rpc::methods::{
    GetLockdownStatus, LockdownVoteParams, NoParams, VoteLockdown, VoteRecovery,
};
use std::time::Instant;

/// Refused transfers that show that the chain is frozen.
const REFUSED_TRANSFERS: u64 = 20;
/// What every validator lets through in a lockdown.
const IN_A_LOCKDOWN: [(&str, &str); 5] = [
    ("vertex_production", "stopped"),
    ("transaction_submission", "rejected"),
    ("state_queries", "continues"),
    ("slashing_evidence", "continues"),
    ("gossip", "continues"),
];

/// Plays it to the last check.
pub(super) async fn play(stage: &mut Stage, run: &mut Run, voters: Voters) -> Result<(), Failure> {
    let before = stage.validators().await?;
    let era = stage.cluster.status(OBSERVER).await?.era.get();
    if voters.byzantine {
        too_few_vote(stage, run).await?;
    }
    freeze(stage, run).await?;
    hold(stage, run).await?;
    thaw(stage, run, era).await?;
    stage.more_accepted(HELD_TRANSFERS).await?;
    run.refused_in_lockdown = Some(stage.load.tracker().counts().frozen);
    checks::settled(stage, run).await?;
    checks::slashed(stage, run, &before).await
}

async fn vote(stage: &Stage, number: usize) -> Result<LockdownStatus, Failure> {
    let reason = format!("drill: {}", stage.cluster.name(number));
    let params = LockdownVoteParams { reason };
    stage
        .cluster
        .call_as_admin::<VoteLockdown>(number, params)
        .await
}

async fn phase(stage: &Stage, number: usize) -> Option<LockdownPhase> {
    let status = stage
        .cluster
        .call::<GetLockdownStatus>(number, NoParams {})
        .await;
    status.ok().map(|status| status.phase)
}

/// As many as may be lying vote alone: everybody sees it, and the chain goes on.
async fn too_few_vote(stage: &Stage, run: &mut Run) -> Result<(), Failure> {
    for number in stage.disturbed.clone() {
        vote(stage, number).await?;
    }
    let votes = stage.disturbed.len();
    until(PATIENCE, "their votes are seen", async || {
        let status = stage
            .cluster
            .call::<GetLockdownStatus>(OBSERVER, NoParams {})
            .await?;
        Ok((status.votes.len() >= votes).then_some(()))
    })
    .await?;
    stage.more_irreversible(HELD_TRANSFERS).await?;
    let phase = phase(stage, OBSERVER).await;
    run.require(phase == Some(LockdownPhase::Voting), || {
        format!("{votes} validators alone brought the chain to {phase:?}")
    });
    Ok(())
}

/// The steady validators vote until one vote is missing; then the deciding one.
async fn freeze(stage: &Stage, run: &mut Run) -> Result<(), Failure> {
    let mut asked_ms = now_ms();
    for number in stage.steady.clone() {
        let seen = stage
            .cluster
            .call::<GetLockdownStatus>(number, NoParams {})
            .await?;
        if seen.phase == LockdownPhase::Locked {
            break;
        }
        asked_ms = now_ms();
        let voted = vote(stage, number).await?;
        // The next one has to see how many are missing.
        until(PATIENCE, "the vote is seen", async || {
            let next = (number + 1) % stage.steady.end;
            let status = stage
                .cluster
                .call::<GetLockdownStatus>(next, NoParams {})
                .await?;
            let is_seen =
                status.phase == LockdownPhase::Locked || status.votes.len() >= voted.votes.len();
            Ok(is_seen.then_some(()))
        })
        .await?;
    }
    let mut began = Vec::new();
    for number in stage.steady.start..stage.disturbed.end {
        let what = format!("{} is frozen", stage.cluster.name(number));
        until(PATIENCE, &what, async || {
            Ok((phase(stage, number).await == Some(LockdownPhase::Locked)).then_some(()))
        })
        .await?;
        began.extend(watch::began_ms(&stage.cluster, number, Mode::Lockdown).await?);
    }
    let since = |at_ms: u64| at_ms.saturating_sub(asked_ms) as f64;
    run.time(kind::FROZEN, began.into_iter().map(since).reduce(f64::max));
    Ok(())
}

/// What goes on while the chain is frozen; who is killed comes back frozen.
async fn hold(stage: &mut Stage, run: &mut Run) -> Result<(), Failure> {
    let (_, heads) = stage.heads().await?;
    gates(stage, run, &IN_A_LOCKDOWN).await?;
    until(PATIENCE, "transfers are refused", async || {
        stage.load.check()?;
        let refused = stage.load.tracker().counts().frozen;
        Ok((refused >= REFUSED_TRANSFERS).then_some(()))
    })
    .await?;
    for number in stage.disturbed.clone() {
        stage.cluster.kill(number).await?;
        stage.cluster.spawn(number)?;
        let what = format!("{} answers", stage.cluster.name(number));
        let first = until(PATIENCE, &what, async || Ok(phase(stage, number).await)).await?;
        run.require(first == LockdownPhase::Locked, || {
            format!(
                "{} came back and is {}",
                stage.cluster.name(number),
                first.as_str()
            )
        });
    }
    let all = stage.disturbed.end;
    let audit = until(PATIENCE, "all say how they stand", async || {
        let status = stage
            .cluster
            .call::<GetLockdownStatus>(OBSERVER, NoParams {})
            .await?;
        Ok((status.reports.len() >= all).then_some(status.reports))
    })
    .await?;
    let differs = |how: &str| how != "behind";
    let other: Vec<_> = audit
        .iter()
        .filter(|report| report.differs.as_deref().is_some_and(differs))
        .collect();
    run.require(other.is_empty(), || {
        format!("{} validators have other blocks or states", other.len())
    });
    let (_, now) = stage.heads().await?;
    run.require(heads == now, || {
        format!("blocks were made in the lockdown: the heads were {heads:?}, then {now:?}")
    });
    Ok(())
}

/// The steady validators vote to go on, up to the first block of the next era.
async fn thaw(stage: &Stage, run: &mut Run, era: u64) -> Result<(), Failure> {
    let quorum = stage
        .cluster
        .call::<GetLockdownStatus>(OBSERVER, NoParams {})
        .await?
        .quorum;
    let voters = usize::from(quorum);
    if stage.steady.len() < voters {
        return Err(failed(
            "the steady validators are too few to let the chain go on",
        ));
    }
    for number in stage.steady.clone().take(voters - 1) {
        recover(stage, number).await?;
    }
    // Too few votes to let the chain go on have reached a node, and it stands.
    let seen = until(PATIENCE, "all votes but one are seen", async || {
        let status = stage
            .cluster
            .call::<GetLockdownStatus>(OBSERVER, NoParams {})
            .await?;
        let votes = status.recovery_votes.iter();
        let prevotes = votes.filter(|vote| vote.step == "prevote").count();
        Ok((prevotes >= voters - 1).then_some(status.phase))
    })
    .await?;
    run.require(seen == LockdownPhase::Locked, || {
        format!(
            "{} validators alone brought the chain to {seen:?}",
            voters - 1
        )
    });
    let asked = Instant::now();
    recover(stage, voters - 1).await?;
    until(PATIENCE, "a block of the next era", async || {
        let head = stage.cluster.status(OBSERVER).await?.head.height.get();
        let made_in = watch::era_of_block(&stage.cluster, OBSERVER, head).await?;
        Ok((made_in > Some(era)).then_some(()))
    })
    .await?;
    run.time(kind::THAWED, Some(milliseconds(asked)));
    Ok(())
}

async fn recover(stage: &Stage, number: usize) -> Result<LockdownStatus, Failure> {
    stage
        .cluster
        .call_as_admin::<VoteRecovery>(number, NoParams {})
        .await
}
