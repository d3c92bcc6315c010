//! `holdfast bench catch-up`

use super::CommonArguments;
use super::figures::{Report, Target};
use super::stage::{Meter, OBSERVER, Stage, flags};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::load::{Cluster, Pace, RunningLoad};
use clap::Args;
use std::time::{Duration, Instant};

const TIMES_FASTER_MIN: f64 = 5.0;
/// A node this close to the others' head is caught up: the head moves while it is asked for.
const CLOSE_BLOCKS: u64 = 5;
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Transfers per second.
    #[arg(long, value_name = "RATE", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tps: u32,
    /// How long the validator is down.
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    down_seconds: u64,
    /// How long it may take to catch up.
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit_seconds: u64,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

pub(super) async fn measure(
    arguments: &Arguments,
    stage: &mut Stage<'_, '_>,
) -> Result<Report, Failure> {
    let Arguments {
        tps,
        down_seconds,
        limit_seconds,
        common,
    } = arguments;
    let mut report = Report::new(
        "catch-up",
        format!(
            "holdfast bench catch-up --tps {tps} --down-seconds {down_seconds} --limit-seconds {limit_seconds} {}",
            flags(common)
        ),
    );
    if common.validators < 4 {
        return Err(Failure::new(
            ExitCode::Usage,
            "a chain of fewer than four validators stops when one is down",
            format!("--validators {}", common.validators),
            "give --validators 4 or more",
        ));
    }
    let mut cluster = stage.devnet(|_| {}).await?;
    let last = cluster.len() - 1;
    let pace = Pace::PerSecond(f64::from(*tps));
    let mut load = stage.load(&cluster, last, pace, 0).await?;
    let before = Duration::from_secs(5);
    stage
        .watch(&mut cluster, &mut load, before, "running")
        .await?;
    stage.say(&format!("kill -9 {}", cluster.name(last)))?;
    let height_down = cluster.status(last).await?.head.height.get();
    cluster.kill(last).await?;
    let down = Duration::from_secs(*down_seconds);
    stage
        .watch(&mut cluster, &mut load, down, "one validator down")
        .await?;

    stage.say(&format!("starting {}", cluster.name(last)))?;
    let from = Meter::read(&cluster);
    let runner = Runner {
        number: last,
        height: height_down,
        limit: Duration::from_secs(*limit_seconds),
    };
    let race = runner.race(&mut cluster, &mut load).await?;
    let to = Meter::read(&cluster);
    race.add_to(&mut report);
    to.add_to(&mut report, &from);
    stage.end(&mut report, cluster, Some(load)).await?;
    Ok(report)
}

/// One node runs after the others.
#[derive(Debug)]
struct Race {
    own_from: u64,
    own_to: u64,
    chain_from: u64,
    chain_to: u64,
    /// From the start of the process to its first answer.
    answers: Duration,
    /// From the start of the process until it was caught up.
    total: Duration,
}

impl Race {
    /// Blocks that the node took up per second, the start of its process included.
    fn own_per_second(&self) -> f64 {
        (self.own_to.saturating_sub(self.own_from)) as f64 / self.total.as_secs_f64()
    }

    fn chain_per_second(&self) -> f64 {
        (self.chain_to.saturating_sub(self.chain_from)) as f64 / self.total.as_secs_f64()
    }

    fn add_to(&self, report: &mut Report) {
        report.target(
            "times_faster",
            "speed of catching up by speed of the chain",
            self.own_per_second() / self.chain_per_second(),
            "times",
            Target::AtLeast(TIMES_FASTER_MIN),
        );
        report.figure(
            "caught_up_blocks_per_s",
            "catching up",
            self.own_per_second(),
            "blocks/s",
        );
        report.figure(
            "chain_blocks_per_s",
            "the chain meanwhile",
            self.chain_per_second(),
            "blocks/s",
        );
        report.figure(
            "blocks_behind",
            "blocks behind at the start",
            (self.chain_from.saturating_sub(self.own_from)) as f64,
            "",
        );
        report.figure(
            "answers_s",
            "from start to first answer",
            self.answers.as_secs_f64(),
            "s",
        );
        report.figure(
            "caught_up_s",
            "from start to caught up",
            self.total.as_secs_f64(),
            "s",
        );
    }
}

/// A node that was killed.
struct Runner {
    number: usize,
    /// Its head right before it was killed.
    height: u64,
    limit: Duration,
}

impl Runner {
    /// Starts the node and waits until it is caught up.
    async fn race(&self, cluster: &mut Cluster, load: &mut RunningLoad) -> Result<Race, Failure> {
        let chain_from = cluster.status(OBSERVER).await?.head.height.get();
        let started = Instant::now();
        cluster.spawn(self.number)?;
        let mut answers = None;
        while started.elapsed() < self.limit {
            tokio::time::sleep(POLL).await;
            cluster.check()?;
            load.check()?;
            let Some(own) = cluster.standing(self.number).await else {
                continue;
            };
            let answers = *answers.get_or_insert_with(|| started.elapsed());
            let own_to = own.head.height.get();
            let chain_to = cluster.status(OBSERVER).await?.head.height.get();
            if own_to + CLOSE_BLOCKS >= chain_to {
                return Ok(Race {
                    own_from: self.height,
                    own_to,
                    chain_from,
                    chain_to,
                    answers,
                    total: started.elapsed(),
                });
            }
        }
        Err(Failure::new(
            ExitCode::Usage,
            format!("{} did not catch up", cluster.name(self.number)),
            format!("it had {} s for it", self.limit.as_secs()),
            "give it more time (--limit-seconds N) or less to do (--down-seconds N, --tps RATE)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_speeds_are_of_the_same_time() {
        let race = Race {
            own_from: 100,
            own_to: 1_300,
            chain_from: 1_100,
            chain_to: 1_300,
            answers: Duration::from_secs(1),
            total: Duration::from_secs(10),
        };
        assert!((race.own_per_second() - 120.0).abs() < 1e-9);
        assert!((race.chain_per_second() - 20.0).abs() < 1e-9);
    }
}
