//! The acts of a drill: the fault, the halt, what goes on meanwhile, the way out, and what is left to check.

use super::kind::{self, Kind};
use super::outcome::Run;
use super::stage::{OBSERVER, PATIENCE, Stage};
use super::watch::{self, until};
use super::{checks, emergency, lockdown};
use crate::cli::governance::TOO_FEW;
use crate::cli::units::now_ms;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use holdfast_halt::Mode;
use holdfast_rpc::dto::{EvidenceBytes, HaltReport};
use holdfast_rpc::methods::{
    EvidenceParams, GetHaltMatrix, ListEvidence, NoParams, SubmitEvidence,
};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Transfers that are accepted in a halt before it is resumed.
pub(super) const HELD_TRANSFERS: u64 = 20;
/// How long a validator whose key signs elsewhere may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Plays a drill from the fault to the last check.
pub(super) async fn play(stage: &mut Stage, run: &mut Run) -> Result<(), Failure> {
    if let Kind::EmergencyConsensus(masters) = stage.kind {
        return emergency::play(stage, run, masters).await;
    }
    if let Kind::Lockdown(voters) = stage.kind {
        return lockdown::play(stage, run, voters).await;
    }
    let before = stage.validators().await?;
    let era = stage.cluster.status(OBSERVER).await?.era.get();
    let asked_ms = inject(stage).await?;
    observe_halt(stage, run, asked_ms).await?;
    let accepted = stage.load.tracker().counts().submitted;
    hold(stage, run).await?;
    resume(stage, run, era).await?;
    let queued = run.accepted_at_resume.saturating_sub(accepted);
    run.queued_during_halt = queued;
    run.require(queued >= HELD_TRANSFERS, || {
        format!("only {queued} transfers were accepted in the halt")
    });
    stage.more_accepted(HELD_TRANSFERS).await?;
    checks::settled(stage, run).await?;
    checks::slashed(stage, run, &before).await
}

/// Does to the chain what the drill is about; gives the time right before, in ms of the wall clock.
pub(super) async fn inject(stage: &mut Stage) -> Result<u64, Failure> {
    match stage.kind {
        Kind::SoftStall | Kind::EmergencyConsensus(_) => {
            for number in stage.disturbed.clone() {
                stage.cluster.kill(number).await?;
            }
            Ok(now_ms())
        }
        Kind::HardHalt | Kind::EquivocationCluster => {
            let at_ms = now_ms();
            for number in stage.disturbed.clone() {
                stage.cluster.signal(number, Signal::USR1)?;
            }
            Ok(at_ms)
        }
        // It has its own acts.
        Kind::Lockdown(_) => Ok(now_ms()),
        Kind::EmergencyHalt | Kind::Resume => {
            let url = stage.cluster.url(OBSERVER);
            let order = stage.governors.halt(&url)?;
            let at_ms = now_ms();
            order.submit(&url)?;
            Ok(at_ms)
        }
    }
}

/// Waits until the mode holds on all validators that run, and reads when it began.
async fn observe_halt(stage: &Stage, run: &mut Run, asked_ms: u64) -> Result<(), Failure> {
    let mode = stage.kind.mode();
    let mut halts: BTreeSet<String> = BTreeSet::new();
    let mut began = Vec::new();
    let mut detected: Vec<f64> = Vec::new();
    for number in stage.halted() {
        let name = stage.cluster.name(number);
        let what = format!("{name} is in {}", mode.name());
        let report: HaltReport = until(PATIENCE, &what, async || {
            let report = watch::report(&stage.cluster, number).await;
            Ok(report.filter(|report| watch::holds(report, mode)))
        })
        .await?;
        halts.extend(report.halts.iter().map(|halt| halt.id.to_string()));
        began.extend(watch::began_ms(&stage.cluster, number, mode).await?);
        detected.extend(watch::detect_ms(&stage.cluster, number, mode).await?);
    }
    run.require(mode == Mode::SoftStall || halts.len() == 1, || {
        format!("the validators are in {} different halts", halts.len())
    });
    run.halts = halts.into_iter().collect();
    let homes = stage
        .disturbed
        .clone()
        .map(|number| &stage.cluster.node(number).home);
    // Several offenders make a cluster together: the last one completes it.
    let injected = homes.filter_map(|home| watch::injected_ms(home)).max();
    let from_ms = injected.unwrap_or(asked_ms);
    let since = |at_ms: u64| at_ms.saturating_sub(from_ms) as f64;
    let everywhere = began.iter().copied().map(since).reduce(f64::max);
    run.time(kind::EVERYWHERE, everywhere);
    let detected = match mode {
        Mode::SoftStall => began.iter().copied().map(since).reduce(f64::min),
        _ => detected.into_iter().reduce(f64::max),
    };
    run.time(kind::DETECT, detected);
    Ok(())
}

/// What goes on in a halt, as the matrix of document 001 says.
async fn hold(stage: &mut Stage, run: &mut Run) -> Result<(), Failure> {
    stage.more_accepted(HELD_TRANSFERS / 2).await?;
    let (_, heads) = stage.heads().await?;
    if stage.kind.mode() != Mode::SoftStall {
        gates(stage, run, &IN_A_HALT).await?;
    }
    if stage.kind.slashes() {
        evidence(stage, run).await?;
    }
    stage.more_accepted(HELD_TRANSFERS / 2 + 1).await?;
    let (_, now) = stage.heads().await?;
    run.require(heads == now, || {
        format!("blocks were made in the halt: the heads were {heads:?}, then {now:?}")
    });
    Ok(())
}

/// What every validator lets through in a halt.
const IN_A_HALT: [(&str, &str); 6] = [
    ("vertex_production", "stopped"),
    ("commits", "paused"),
    ("transaction_submission", "queued"),
    ("state_queries", "continues"),
    ("slashing_evidence", "continues"),
    ("gossip", "continues"),
];

/// Each steady validator lets through what is expected of each of these activities.
pub(super) async fn gates(
    stage: &Stage,
    run: &mut Run,
    expected: &[(&str, &str)],
) -> Result<(), Failure> {
    for number in stage.steady.clone() {
        let matrix = stage
            .cluster
            .call::<GetHaltMatrix>(number, NoParams {})
            .await?;
        for (activity, expected) in expected {
            let row = matrix.rows.iter().find(|row| row.activity == *activity);
            let now = row.map_or("nothing", |row| row.now.as_str());
            let name = stage.cluster.name(number);
            run.require(now == *expected, || {
                format!("{activity} on {name}: {now}, should be {expected}")
            });
        }
    }
    Ok(())
}

/// Evidence that waits on one validator is taken by the others. One false root against one true root is none yet.
async fn evidence(stage: &Stage, run: &mut Run) -> Result<(), Failure> {
    let other = stage.steady.end.saturating_sub(1);
    let waiting = stage
        .cluster
        .call::<ListEvidence>(OBSERVER, NoParams {})
        .await?;
    let named: BTreeSet<u16> = waiting.iter().map(|item| item.authority).collect();
    let offenders = stage.disturbed.len();
    let is_proved = stage.kind == Kind::HardHalt || named.len() == offenders;
    run.require(is_proved, || {
        let accused = named.len();
        format!("there is evidence against {accused} validators, {offenders} are offenders")
    });
    for item in waiting {
        let evidence = EvidenceBytes(item.encoded);
        let taken = stage
            .cluster
            .call::<SubmitEvidence>(other, EvidenceParams { evidence })
            .await;
        run.require(taken.is_ok(), || {
            format!("{} refused evidence in the halt", stage.cluster.name(other))
        });
    }
    Ok(())
}

/// The way out, up to the first new block.
async fn resume(stage: &mut Stage, run: &mut Run, era: u64) -> Result<(), Failure> {
    bring_back(stage, run).await?;
    let (highest, heads) = stage.heads().await?;
    let stood = heads[highest];
    if stage.kind == Kind::SoftStall {
        run.accepted_at_resume = stage.load.tracker().counts().submitted;
        let returned = Instant::now();
        for number in stage.disturbed.clone() {
            stage.cluster.spawn(number)?;
        }
        until(PATIENCE, "a new block", async || {
            let head = stage.cluster.status(OBSERVER).await?.head.height.get();
            Ok((head > stood).then_some(()))
        })
        .await?;
        run.time(kind::RESUME, Some(milliseconds(returned)));
        return Ok(());
    }
    let url = stage.cluster.url(highest);
    let order = until(
        PATIENCE,
        "a block that a quorum can resume",
        async || match stage.governors.resume(&url) {
            Ok(order) if order.sheet.contains(TOO_FEW) => Ok(None),
            Ok(order) => Ok(Some(order)),
            Err(failure) if failure.code == ExitCode::Refused => Ok(None),
            Err(failure) => Err(failure),
        },
    )
    .await?;
    run.accepted_at_resume = stage.load.tracker().counts().submitted;
    let asked = Instant::now();
    order.submit(&url)?;
    until(PATIENCE, "a block of the next era", async || {
        stage.revive().await?;
        let head = stage.cluster.status(OBSERVER).await?.head.height.get();
        let made_in = watch::era_of_block(&stage.cluster, OBSERVER, head).await?;
        Ok((made_in > Some(era)).then_some(()))
    })
    .await?;
    run.time(kind::RESUME, Some(milliseconds(asked)));
    if stage.kind == Kind::Resume {
        for number in stage.disturbed.clone() {
            stage.cluster.spawn(number)?;
        }
    }
    Ok(())
}

/// What happens to the disturbed validators before the governors resume.
async fn bring_back(stage: &mut Stage, run: &mut Run) -> Result<(), Failure> {
    for number in stage.disturbed.clone() {
        match stage.kind {
            Kind::Resume => stage.cluster.kill(number).await?,
            Kind::EquivocationCluster => {
                let name = stage.cluster.name(number).to_owned();
                let status = stage.cluster.end(number, END_LIMIT).await?;
                let code = status.and_then(|status| status.code());
                run.require(code == Some(ExitCode::Doppelganger.number().into()), || {
                    format!("{name} did not end though its key signs elsewhere: {code:?}")
                });
                if status.is_some() {
                    stage.cluster.spawn(number)?;
                }
                until(PATIENCE, &format!("{name} answers"), async || {
                    Ok(stage.cluster.standing(number).await.map(drop))
                })
                .await?;
            }
            Kind::SoftStall
            | Kind::HardHalt
            | Kind::EmergencyHalt
            | Kind::EmergencyConsensus(_)
            | Kind::Lockdown(_) => {}
        }
    }
    Ok(())
}

pub(super) fn milliseconds(since: Instant) -> f64 {
    watch::tenths(since.elapsed().as_secs_f64() * 1_000.0)
}
