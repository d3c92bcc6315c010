//! The acts of an emergency: the quorum goes, masters take over, the validators come back, the DAG runs again.

use super::checks;
use super::kills::Phase;
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
/// So many more if masters are killed: to start again, and a round of a devnet until it has asked the others or knows that
/// nobody is there.
const LATE_SLOTS_KILLED: u64 = 18;
/// From the return of the validators to the end: to start, to catch up, a key each, and two rounds.
const EXIT_LIMIT: Duration = Duration::from_secs(180);

/// Plays it to the last check.
pub(super) async fn play(
    stage: &mut Stage,
    run: &mut Run,
    masters: Masters,
) -> Result<(), Failure> {
    let before = stage.validators().await?;
    stage.begin(Phase::Before);
    stage.spend_kills().await?;
    let accepted = |stage: &Stage| stage.load.tracker().counts().submitted;
    let at_kill = accepted(stage);
    if masters.partition {
        stage.set_cut(true)?;
    }
    inject(stage).await?;
    let killed = Instant::now();
    stage.begin(Phase::Stall);
    activation(stage, run, killed).await?;
    stage.begin(Phase::Emergency);
    let at_start = accepted(stage);
    run.queued_during_halt = at_start.saturating_sub(at_kill);
    let stood = run.queued_during_halt;
    run.require(stood >= HELD_TRANSFERS, || {
        format!("only {stood} transfers were accepted in the stall")
    });
    if masters.partition {
        two_branches(stage).await?;
        stage.set_cut(false)?;
    }
    let healed = Instant::now();
    let started = one_branch(stage, run).await?;
    if masters.partition {
        run.time(kind::ONE_HEAD, Some(milliseconds(healed)));
    }
    let tagged = provisional_transfer(stage, run, started).await?;
    stage.more_accepted(HELD_TRANSFERS).await?;
    stage.spend_kills().await?;
    let ended = leave(stage, run, started).await?;
    run.accepted_in_emergency = Some(accepted(stage).saturating_sub(at_start));
    match ended {
        Ended::Left { last } => run.emergency_blocks = Some((last + 1).saturating_sub(started)),
        Ended::TakenBack => run.taken_back(&[kind::KEYS, kind::EXIT, kind::FINAL, kind::DAG]),
    }
    stage.begin(Phase::After);
    stage.more_accepted(HELD_TRANSFERS).await?;
    stage.spend_kills().await?;
    checks::settled(stage, run).await?;
    let finality = finality_of(stage, tagged).await?;
    run.require(finality == Finality::Irreversible, || {
        format!("a transfer of the emergency is {finality:?} in the end")
    });
    checks::slashed(stage, run, &before).await
}

/// What a node says; nothing while it starts again after the drill has killed it.
async fn status(stage: &mut Stage, number: usize) -> Result<Option<EmergencyStatus>, Failure> {
    stage.strike().await?;
    let cluster = &stage.cluster;
    let status = cluster
        .call::<GetEmergencyStatus>(number, NoParams {})
        .await;
    stage.unless_down(status)
}

/// The same once it answers.
async fn standing(stage: &mut Stage, number: usize) -> Result<EmergencyStatus, Failure> {
    let what = format!("{} answers", stage.cluster.name(number));
    until(PATIENCE, &what, async || status(stage, number).await).await
}

const fn is_active(phase: EmergencyPhase) -> bool {
    matches!(phase, EmergencyPhase::Active | EmergencyPhase::ExitPending)
}

async fn block(stage: &Stage, number: usize, height: u64) -> Result<Option<Block>, Failure> {
    let params = BlockParams {
        block: BlockSelector::Height(height),
        detail: Some(BlockDetail::Ids),
    };
    let block = stage.cluster.call::<GetBlock>(number, params).await;
    Ok(stage.unless_down(block)?.flatten())
}

const fn is_of_emergency(block: &Block) -> bool {
    matches!(block.header.origin, BlockOrigin::Emergency { .. })
}

/// True if the DAG has gone on where the emergency began, and a quorum has certified that.
async fn was_taken_back(
    stage: &Stage,
    status: &EmergencyStatus,
    started: u64,
) -> Result<bool, Failure> {
    if is_active(status.phase) || status.certified.height.get() < started {
        return Ok(false);
    }
    let first = block(stage, OBSERVER, started).await?;
    let head = block(stage, OBSERVER, status.head.height.get()).await?;
    let both = first.zip(head);
    Ok(both.is_some_and(|(first, head)| !is_of_emergency(&first) && !is_of_emergency(&head)))
}

async fn finality_of(stage: &mut Stage, id: Hash) -> Result<Finality, Failure> {
    until(PATIENCE, "a transfer has a receipt", async || {
        stage.strike().await?;
        let params = TransactionIdParams { id };
        let receipt = stage.cluster.call::<GetReceipt>(OBSERVER, params).await;
        let receipt = stage.unless_down(receipt)?.flatten();
        Ok(receipt.map(|receipt| receipt.finality))
    })
    .await
}

/// Waits until the masters have taken over, and looks when.
async fn activation(stage: &mut Stage, run: &mut Run, killed: Instant) -> Result<(), Failure> {
    let armed = until(STALL_LIMIT, "the node is armed", async || {
        let status = status(stage, OBSERVER).await?;
        Ok(status.filter(|status| status.phase != EmergencyPhase::Idle))
    })
    .await?;
    run.require(armed.phase == EmergencyPhase::Armed, || {
        format!("the phase before the emergency is {}", armed.phase.as_str())
    });
    let begun = until(STALL_LIMIT, "a master makes a block", async || {
        let status = status(stage, OBSERVER).await?;
        Ok(status.filter(|status| is_active(status.phase)))
    })
    .await?;
    run.time(kind::STALL, Some(milliseconds(killed)));
    let height = begun.start_block.map(|height| height.get());
    let height = height.ok_or_else(|| failed("the emergency has no first block"))?;
    let first = until(PATIENCE, "the first emergency block is there", async || {
        stage.strike().await?;
        block(stage, OBSERVER, height).await
    })
    .await?;
    let stall_clock = armed.stall_clock_ms.unwrap_or_default().get();
    let due_ms = stall_clock + armed.timeout_ms.get();
    let at_ms = first.header.timestamp_ms.get();
    run.time(kind::LATE, Some(at_ms.saturating_sub(due_ms) as f64));
    let slots = LATE_SLOTS + u64::from(stage.kills.is_some()) * LATE_SLOTS_KILLED;
    let limit_ms = slots * armed.block_interval_ms.get();
    run.require((due_ms..=due_ms + limit_ms).contains(&at_ms), || {
        format!("the first emergency block is of {at_ms}, the timeout ended at {due_ms}")
    });
    Ok(())
}

/// Waits until two masters that are cut from each other have gone different ways. Their first blocks may be the same: nothing in
/// them is of one of them alone.
async fn two_branches(stage: &mut Stage) -> Result<(), Failure> {
    let last = stage.steady.end.saturating_sub(1);
    until(PATIENCE, "the masters go different ways", async || {
        let one = status(stage, OBSERVER).await?;
        let other = status(stage, last).await?;
        let Some((one, other)) = one.zip(other) else {
            return Ok(None);
        };
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

/// All masters stand on one branch, and what they make is provisional; gives the height of its first block.
async fn one_branch(stage: &mut Stage, run: &mut Run) -> Result<u64, Failure> {
    let mut started = 0;
    for number in stage.steady.clone() {
        let name = stage.cluster.name(number).to_owned();
        let what = format!("{name} stands on the branch of the others");
        let status = until(PATIENCE, &what, async || {
            let Some(here) = status(stage, number).await? else {
                return Ok(None);
            };
            // The head may change hands: a block below it is settled between masters that hear each other.
            let height = here.lib.height.get();
            let shared = block(stage, OBSERVER, height).await?;
            let is_shared = shared.is_some_and(|block| block.header.id == here.lib.id);
            started = here.start_block.map_or(u64::MAX, |height| height.get());
            let is_of_emergency = height >= started;
            Ok((is_active(here.phase) && is_shared && is_of_emergency).then_some(here))
        })
        .await?;
        // Certificates of blocks before it may have come to one master and not to another.
        let certified = status.certified.height.get();
        run.require(status.is_provisional && certified < started, || {
            format!(
                "{name} has certified block {certified} in the emergency that began at {started}"
            )
        });
    }
    Ok(started)
}

/// A transfer that emergency consensus alone has made irreversible, and that says so.
async fn provisional_transfer(
    stage: &mut Stage,
    run: &mut Run,
    started: u64,
) -> Result<Hash, Failure> {
    let mut height = started;
    let block = until(
        PATIENCE,
        "an emergency block below LIB has transfers",
        async || {
            let status = status(stage, OBSERVER).await?;
            let lib = status.map_or(0, |status| status.lib.height.get());
            while height <= lib {
                let Some(block) = block(stage, OBSERVER, height).await? else {
                    return Ok(None);
                };
                height += 1;
                if block.transaction_count > 0 {
                    return Ok(Some(block));
                }
            }
            Ok(None)
        },
    )
    .await?;
    run.require(
        is_of_emergency(&block) && block.finality == Some(Finality::Emergency),
        || format!("a block of the emergency has finality {:?}", block.finality),
    );
    let id = block.transaction_ids.first().copied();
    let id = id.ok_or_else(|| failed("a block that counts transactions has none"))?;
    let finality = finality_of(stage, id).await?;
    run.require(finality == Finality::Emergency, || {
        format!("a transfer of the emergency has finality {finality:?}")
    });
    Ok(id)
}

async fn era_now(stage: &Stage) -> Result<u64, Failure> {
    let status = until(PATIENCE, "the observer answers", async || {
        let status = stage.cluster.status(OBSERVER).await;
        stage.unless_down(status)
    });
    Ok(status.await?.era.get())
}

/// How an emergency is over.
enum Ended {
    /// By its exit; the height of its last block.
    Left { last: u64 },
    /// A validator that came back had a commit that no master had: the emergency was taken back, and the DAG goes on above it.
    TakenBack,
}

/// The validators return, the emergency that began at height `started` ends, and what it made becomes final.
async fn leave(stage: &mut Stage, run: &mut Run, started: u64) -> Result<Ended, Failure> {
    let returned = Instant::now();
    for number in stage.disturbed.clone() {
        stage.cluster.spawn(number)?;
    }
    let certified = standing(stage, OBSERVER).await?.certified.height.get();
    let era = era_now(stage).await?;
    stage.begin(Phase::Return);
    until(
        EXIT_LIMIT,
        "the validators have their keys back",
        async || {
            let status = status(stage, OBSERVER).await?;
            let have = status.is_some_and(|status| {
                status
                    .exit
                    .is_none_or(|exit| exit.slots_held >= exit.slots_needed)
            });
            Ok(have.then_some(()))
        },
    )
    .await?;
    run.time(kind::KEYS, Some(milliseconds(returned)));
    let ended = until(EXIT_LIMIT, "the emergency ends", async || {
        let status = status(stage, OBSERVER).await?;
        Ok(status.filter(|status| !is_active(status.phase)))
    })
    .await?;
    run.time(kind::EXIT, Some(milliseconds(returned)));
    stage.begin(Phase::Exit);
    let left = Instant::now();
    let (mut is_final, mut height) = (false, ended.head.height.get());
    let last = until(
        PATIENCE,
        "the DAG runs and the emergency is final",
        async || {
            let Some(status) = status(stage, OBSERVER).await? else {
                return Ok(None);
            };
            if was_taken_back(stage, &status, started).await? {
                return Ok(Some(Ended::TakenBack));
            }
            // An emergency that was taken back is not provisional either.
            let has_certificate = status.certified.height.get() > certified;
            if !is_final && has_certificate && !status.is_provisional {
                is_final = true;
                run.time(kind::FINAL, Some(milliseconds(left)));
            }
            let Some(block) = block(stage, OBSERVER, height).await? else {
                return Ok(None);
            };
            if is_of_emergency(&block) {
                height += 1;
                return Ok(None);
            }
            if !run.times.contains_key(kind::DAG) {
                run.time(kind::DAG, Some(milliseconds(left)));
            }
            let is_next = block.header.era.get() > era;
            Ok((is_final && is_next).then_some(Ended::Left {
                last: height.saturating_sub(1),
            }))
        },
    )
    .await?;
    Ok(last)
}
