//! `holdfast bench restart`

use super::CommonArguments;
use super::figures::{Report, Target};
use super::stage::{OBSERVER, Stage, flags};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::load::{Cluster, Pace};
use clap::Args;
use holdfast_rpc::dto::{BlockDetail, BlockSelector};
use holdfast_rpc::methods::{BlockParams, GetBlock, GetInfo, NoParams};
use std::time::{Duration, Instant};

const RESTART_SECONDS_MAX: f64 = 5.0;
const POLL: Duration = Duration::from_millis(20);
/// Longest time that one restart may take.
const RESTART_LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Length of the chain at the restart. It takes a while to make: rounds are as fast as --round-ms allows.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    blocks: u64,
    /// Least time between two rounds while the chain is made.
    #[arg(long, value_name = "MS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=200))]
    round_ms: u64,
    /// Transfers per second while the chain is made; 0: none.
    #[arg(long, value_name = "RATE", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    tps: u32,
    /// How often to kill and start again.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// How long making the chain may take.
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    limit_minutes: u64,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

pub(super) async fn measure(
    arguments: &Arguments,
    stage: &mut Stage<'_, '_>,
) -> Result<Report, Failure> {
    let Arguments {
        blocks,
        round_ms,
        tps,
        repeat,
        limit_minutes,
        common,
    } = arguments;
    let mut report = Report::new(
        "restart",
        format!(
            "holdfast bench restart --blocks {blocks} --round-ms {round_ms} --tps {tps} --repeat {repeat} --limit-minutes {limit_minutes} {}",
            flags(common)
        ),
    );
    let mut cluster = stage
        .devnet(|parameters| {
            parameters.dag.min_round_interval_ms = *round_ms;
            parameters.dag.idle_round_interval_ms = *round_ms;
        })
        .await?;
    let last = cluster.len() - 1;
    make_chain(arguments, stage, &mut cluster).await?;

    let mut one = Vec::new();
    for attempt in 1..=*repeat {
        stage.say(&format!(
            "kill -9 {} ({attempt} of {repeat})",
            cluster.name(last)
        ))?;
        one.push(restart_one(&mut cluster, last).await?);
    }
    let height = cluster.status(OBSERVER).await?.head.height.get();
    report.figure("blocks", "length of the chain", height as f64, "blocks");
    if cluster.len() >= 4 {
        add_one_killed(&mut report, &one);
    }
    stage.say("kill -9 all")?;
    let all = restart_all(&mut cluster).await?;
    add_all_killed(&mut report, &all);
    stage.end(&mut report, cluster, None).await?;
    Ok(report)
}

/// Adds the longest times of the restarts of one validator.
fn add_one_killed(report: &mut Report, restarts: &[Times]) {
    let worst = |figure: fn(&Times) -> Duration| {
        let longest = restarts.iter().map(figure).max().unwrap_or_default();
        longest.as_secs_f64()
    };
    report.target(
        "ready_s",
        "one killed: until it is ready, worst",
        worst(|times| times.ready),
        "s",
        Target::AtMost(RESTART_SECONDS_MAX),
    );
    report.figure(
        "answers_s",
        "one killed: until it answers, worst",
        worst(|times| times.answers),
        "s",
    );
    report.figure(
        "takes_part_s",
        "one killed: until the chain orders its vertices, worst",
        worst(|times| times.takes_part),
        "s",
    );
}

fn add_all_killed(report: &mut Report, all: &Times) {
    report.target(
        "all_ready_s",
        "all killed: until all are ready",
        all.ready.as_secs_f64(),
        "s",
        Target::AtMost(RESTART_SECONDS_MAX),
    );
    report.figure(
        "all_certified_s",
        "all killed: until a new block is certified",
        all.takes_part.as_secs_f64(),
        "s",
    );
}

/// Lets the chain grow to the length asked for; the load, if any, has ended when it has.
async fn make_chain(
    arguments: &Arguments,
    stage: &mut Stage<'_, '_>,
    cluster: &mut Cluster,
) -> Result<(), Failure> {
    let mut load = match arguments.tps {
        0 => None,
        tps => {
            let pace = Pace::PerSecond(f64::from(tps));
            Some(stage.load(cluster, cluster.len(), pace, 0).await?)
        }
    };
    let started = Instant::now();
    let limit = Duration::from_secs(arguments.limit_minutes * 60);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.check()?;
        if let Some(load) = &mut load {
            load.check()?;
        }
        let height = cluster.status(OBSERVER).await?.head.height.get();
        if height >= arguments.blocks {
            break;
        }
        let rate = height as f64 / started.elapsed().as_secs_f64();
        if started.elapsed() > limit {
            return Err(Failure::new(
                ExitCode::Usage,
                "the chain did not grow as fast as it should",
                format!("{height} blocks in {} minutes", arguments.limit_minutes),
                "give it more time (--limit-minutes N), or ask for fewer --blocks",
            ));
        }
        let left = (arguments.blocks - height) as f64 / rate.max(f64::MIN_POSITIVE);
        stage.say_now_and_then(|| {
            format!(
                "making the chain: {height} of {} blocks, {rate:.0}/s, about {} s left",
                arguments.blocks, left as u64
            )
        })?;
    }
    if let Some(load) = load {
        load.settle(RESTART_LIMIT).await;
        load.stop().await;
    }
    Ok(())
}

/// How long a restart took, from the start of the process.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// Its RPC answers.
    answers: Duration,
    /// It says that it is ready.
    ready: Duration,
    /// The chain contains what it made after the start.
    takes_part: Duration,
}

async fn restart_one(cluster: &mut Cluster, number: usize) -> Result<Times, Failure> {
    let info = cluster.call::<GetInfo>(number, NoParams {}).await?;
    cluster.kill(number).await?;
    // A vertex of a later round than the chain has now was made after the restart.
    let standing = cluster.status(OBSERVER).await?;
    let (mut height, round) = (standing.head.height.get(), standing.round.get());
    let started = Instant::now();
    cluster.spawn(number)?;
    let mut times = Times::default();
    while cluster.standing(number).await.is_none() {
        cluster.check()?;
        overdue(started, "answer")?;
        tokio::time::sleep(POLL).await;
    }
    times.answers = started.elapsed();
    cluster.ready(number).await?;
    times.ready = started.elapsed();
    loop {
        let params = BlockParams {
            block: BlockSelector::Height(height),
            detail: Some(BlockDetail::Ids),
        };
        let Some(block) = cluster.call::<GetBlock>(OBSERVER, params).await? else {
            overdue(started, "take part")?;
            tokio::time::sleep(POLL).await;
            continue;
        };
        let mut vertices = block.commit_vertices.iter();
        if vertices
            .any(|vertex| Some(vertex.author) == info.authority && vertex.round.get() > round)
        {
            times.takes_part = started.elapsed();
            return Ok(times);
        }
        height += 1;
    }
}

async fn restart_all(cluster: &mut Cluster) -> Result<Times, Failure> {
    let height = cluster.status(OBSERVER).await?.head.height.get();
    for number in 0..cluster.len() {
        cluster.kill(number).await?;
    }
    let started = Instant::now();
    for number in 0..cluster.len() {
        cluster.spawn(number)?;
    }
    for number in 0..cluster.len() {
        cluster.ready(number).await?;
    }
    let ready = started.elapsed();
    while cluster.status(OBSERVER).await?.certified.height.get() <= height {
        cluster.check()?;
        overdue(started, "certify a block")?;
        tokio::time::sleep(POLL).await;
    }
    Ok(Times {
        answers: ready,
        ready,
        takes_part: started.elapsed(),
    })
}

fn overdue(started: Instant, what: &str) -> Result<(), Failure> {
    if started.elapsed() < RESTART_LIMIT {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Internal,
        format!("a validator that was killed and started again does not {what}"),
        format!("it had {} s for it", RESTART_LIMIT.as_secs()),
        "run it again with --directory DIR, and look at the node.log of each node",
    ))
}
