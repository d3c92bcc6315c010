//! The acts of an emergency: the quorum goes, masters take over, the validators come back, the DAG runs again.

use super::checks;
use super::kind::{self, Masters};
use super::outcome::Run;
use super::script::{HELD_TRANSFERS, inject, milliseconds};
use super::stage::{OBSERVER, PATIENCE, Stage};
use super::watch::{failed, until};
use crate::failure::Failure;
use holdfast_rpc::dto::{
    Block, BlockDetail, BlockOrigin, BlockSelector, EmergencyPhase, EmergencyStatus, Finality, Hash,
};
use holdfast_rpc::methods::{
    BlockParams, GetBlock, GetEmergencyStatus, GetReceipt, NoParams, TransactionIdParams,
};
use std::time::{Duration, Instant};

/// From the kill to the first emergency block: the timeout of a devnet is a minute.
const STALL_LIMIT: Duration = Duration::from_secs(120);
/// The emergency begins within so many slots after the timeout.
const LATE_SLOTS: u64 = 2;
/// From the return of the validators to the end: to start, to catch up, a key each, and two rounds.
const EXIT_LIMIT: Duration = Duration::from_secs(180);

/// Plays it to the last check.
pub(super) async fn play(
    stage: &mut Stage,
    run: &mut Run,
    masters: Masters,
) -> Result<(), Failure> {
    let before = stage.validators().await?;
    let accepted = |stage: &Stage| stage.load.tracker().counts().submitted;
    let at_kill = accepted(stage);
    if masters.partition {
        stage.set_cut(true)?;
    }
    inject(stage).await?;
    let killed = Instant::now();
    let started = activation(stage, run, killed).await?;
    let at_start = accepted(stage);
    run.queued_during_halt = at_start.saturating_sub(at_kill);
    let stood = run.queued_during_halt;
    run.require(stood >= HELD_TRANSFERS, || {
        format!("only {stood} transfers were accepted in the stall")
    });
    if masters.partition {
        two_branches(stage).await?;
        stage.set_cut(false)?;
        let healed = Instant::now();
        one_branch(stage, run).await?;
        run.time(kind::ONE_HEAD, Some(milliseconds(healed)));
    } else {
        one_branch(stage, run).await?;
    }
    let tagged = provisional_transfer(stage, run, started).await?;
    stage.more_accepted(HELD_TRANSFERS).await?;
    let ended = leave(stage, run).await?;
    run.accepted_in_emergency = Some(accepted(stage).saturating_sub(at_start));
    run.emergency_blocks = Some((ended + 1).saturating_sub(started));
    stage.more_accepted(HELD_TRANSFERS).await?;
    checks::settled(stage, run).await?;
    let finality = finality_of(stage, tagged).await?;
    run.require(finality == Some(Finality::Irreversible), || {
        format!("a transfer of the emergency is {finality:?} in the end")
    });
    checks::slashed(stage, run, &before).await
}

async fn status(stage: &Stage, number: usize) -> Result<EmergencyStatus, Failure> {
    let cluster = &stage.cluster;
    cluster
        .call::<GetEmergencyStatus>(number, NoParams {})
        .await
}

const fn is_active(phase: EmergencyPhase) -> bool {
    matches!(phase, EmergencyPhase::Active | EmergencyPhase::ExitPending)
}

async fn block(stage: &Stage, number: usize, height: u64) -> Result<Option<Block>, Failure> {
    let params = BlockParams {
        block: BlockSelector::Height(height),
        detail: Some(BlockDetail::Ids),
    };
    stage.cluster.call::<GetBlock>(number, params).await
}

async fn finality_of(stage: &Stage, id: Hash) -> Result<Option<Finality>, Failure> {
    let params = TransactionIdParams { id };
    let receipt = stage.cluster.call::<GetReceipt>(OBSERVER, params).await?;
    Ok(receipt.map(|receipt| receipt.finality))
}

/// Waits until the masters have taken over; gives the height of the first emergency block.
async fn activation(stage: &Stage, run: &mut Run, killed: Instant) -> Result<u64, Failure> {
    let armed = until(STALL_LIMIT, "the node is armed", async || {
        let status = status(stage, OBSERVER).await?;
        Ok((status.phase != EmergencyPhase::Idle).then_some(status))
    })
    .await?;
    run.require(armed.phase == EmergencyPhase::Armed, || {
        format!("the phase before the emergency is {}", armed.phase.as_str())
    });
    let begun = until(STALL_LIMIT, "a master makes a block", async || {
        let status = status(stage, OBSERVER).await?;
        Ok(is_active(status.phase).then_some(status))
    })
    .await?;
    run.time(kind::STALL, Some(milliseconds(killed)));
    let height = begun.start_block.map(|height| height.get());
    let height = height.ok_or_else(|| failed("the emergency has no first block"))?;
    let first = block(stage, OBSERVER, height).await?;
    let first = first.ok_or_else(|| failed(format_args!("no block {height}")))?;
    let stall_clock = armed.stall_clock_ms.unwrap_or_default().get();
    let due_ms = stall_clock + armed.timeout_ms.get();
    let at_ms = first.header.timestamp_ms.get();
    run.time(kind::LATE, Some(at_ms.saturating_sub(due_ms) as f64));
    let limit_ms = LATE_SLOTS * armed.block_interval_ms.get();
    run.require((due_ms..=due_ms + limit_ms).contains(&at_ms), || {
        format!("the first emergency block is of {at_ms}, the timeout ended at {due_ms}")
    });
    Ok(height)
}

/// Waits until two masters that are cut from each other have gone different ways. Their first blocks may be the same: nothing in
/// them is of one of them alone.
async fn two_branches(stage: &Stage) -> Result<(), Failure> {
    let last = stage.steady.end.saturating_sub(1);
    until(PATIENCE, "the masters go different ways", async || {
        let (one, other) = (status(stage, OBSERVER).await?, status(stage, last).await?);
        let height = one.lib.height.get().min(other.lib.height.get());
        let of_one = block(stage, OBSERVER, height).await?;
        let of_other = block(stage, last, height).await?;
        Ok(match (of_one, of_other) {
            (Some(one), Some(other)) if one.header.id != other.header.id => Some(()),
            _ => None,
        })
    })
    .await
}

/// All masters stand on one branch, and what they make is provisional.
async fn one_branch(stage: &Stage, run: &mut Run) -> Result<(), Failure> {
    let certified = status(stage, OBSERVER).await?.certified.height;
    for number in stage.steady.clone() {
        let name = stage.cluster.name(number);
        let what = format!("{name} stands on the branch of the others");
        let status = until(PATIENCE, &what, async || {
            let here = status(stage, number).await?;
            // The head may change hands: a block below it is settled between masters that hear each other.
            let height = here.lib.height.get();
            let shared = block(stage, OBSERVER, height).await?;
            let is_shared = shared.is_some_and(|block| block.header.id == here.lib.id);
            let is_provisional = height > certified.get();
            Ok((is_active(here.phase) && is_shared && is_provisional).then_some(here))
        })
        .await?;
        run.require(
            status.is_provisional && status.certified.height == certified,
            || format!("{name} has certified in the emergency"),
        );
    }
    Ok(())
}

/// A transfer that emergency consensus alone has made irreversible, and that says so.
async fn provisional_transfer(stage: &Stage, run: &mut Run, started: u64) -> Result<Hash, Failure> {
    let mut height = started;
    let block = until(
        PATIENCE,
        "an emergency block below LIB has transfers",
        async || {
            let lib = status(stage, OBSERVER).await?.lib.height.get();
            while height <= lib {
                let found = block(stage, OBSERVER, height).await?;
                height += 1;
                if let Some(block) = found.filter(|block| block.transaction_count > 0) {
                    return Ok(Some(block));
                }
            }
            Ok(None)
        },
    )
    .await?;
    let is_emergency = matches!(block.header.origin, BlockOrigin::Emergency { .. });
    run.require(
        is_emergency && block.finality == Some(Finality::Emergency),
        || format!("a block of the emergency has finality {:?}", block.finality),
    );
    let id = block.transaction_ids.first().copied();
    let id = id.ok_or_else(|| failed("a block that counts transactions has none"))?;
    let finality = finality_of(stage, id).await?;
    run.require(finality == Some(Finality::Emergency), || {
        format!("a transfer of the emergency has finality {finality:?}")
    });
    Ok(id)
}

/// The validators return, the emergency ends, and what it made becomes final; gives the height of its last block.
async fn leave(stage: &mut Stage, run: &mut Run) -> Result<u64, Failure> {
    let returned = Instant::now();
    for number in stage.disturbed.clone() {
        stage.cluster.spawn(number)?;
    }
    let before = stage.cluster.status(OBSERVER).await?;
    let (era, certified) = (before.era.get(), before.certified.height.get());
    until(
        EXIT_LIMIT,
        "the validators have their keys back",
        async || {
            let status = status(stage, OBSERVER).await?;
            let have = status
                .exit
                .is_none_or(|exit| exit.slots_held >= exit.slots_needed);
            Ok(have.then_some(()))
        },
    )
    .await?;
    run.time(kind::KEYS, Some(milliseconds(returned)));
    let ended = until(EXIT_LIMIT, "the emergency ends", async || {
        let status = status(stage, OBSERVER).await?;
        Ok((!is_active(status.phase)).then_some(status))
    })
    .await?;
    run.time(kind::EXIT, Some(milliseconds(returned)));
    let left = Instant::now();
    let (mut is_final, mut height) = (false, ended.head.height.get());
    let last = until(
        PATIENCE,
        "the DAG runs and the emergency is final",
        async || {
            let status = status(stage, OBSERVER).await?;
            // An emergency that was taken back is not provisional either.
            let has_certificate = status.certified.height.get() > certified;
            if !is_final && has_certificate && !status.is_provisional {
                is_final = true;
                run.time(kind::FINAL, Some(milliseconds(left)));
            }
            let Some(block) = block(stage, OBSERVER, height).await? else {
                return Ok(None);
            };
            if matches!(block.header.origin, BlockOrigin::Emergency { .. }) {
                height += 1;
                return Ok(None);
            }
            if !run.times.contains_key(kind::DAG) {
                run.time(kind::DAG, Some(milliseconds(left)));
            }
            let is_next = block.header.era.get() > era;
            Ok((is_final && is_next).then_some(height.saturating_sub(1)))
        },
    )
    .await?;
    Ok(last)
}
