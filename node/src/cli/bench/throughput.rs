//! `holdfast bench throughput`

use super::CommonArguments;
use super::figures::{Report, Target};
use super::stage::{Meter, OBSERVER, Stage, flags};
use crate::failure::Failure;
use crate::load::{Latencies, Pace};
use clap::Args;
use std::time::Duration;

const IRREVERSIBLE_PER_SECOND_MIN: f64 = 10_000.0;
/// Transfers per second that are signed beforehand: somewhat more than the target. What goes beyond is signed on the way.
const SIGNED_PER_SECOND: u64 = 13_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// How long to measure.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How long to run before that.
    #[arg(long, value_name = "N", default_value_t = 10)]
    warm_up_seconds: u64,
    /// Most transfers on their way at any time.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    outstanding: u32,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

pub(super) async fn measure(
    arguments: &Arguments,
    stage: &mut Stage<'_, '_>,
) -> Result<Report, Failure> {
    let Arguments {
        seconds,
        warm_up_seconds,
        outstanding,
        common,
    } = arguments;
    let mut report = Report::new(
        "throughput",
        format!(
            "holdfast bench throughput --seconds {seconds} --warm-up-seconds {warm_up_seconds} --outstanding {outstanding} {}",
            flags(common)
        ),
    );
    let mut cluster = stage.devnet(|_| {}).await?;
    let pace = Pace::Saturate {
        outstanding_max: *outstanding as usize,
    };
    let total = SIGNED_PER_SECOND * (seconds + warm_up_seconds);
    let ahead = usize::try_from(total / u64::from(common.accounts)).unwrap_or(usize::MAX);
    let nodes = cluster.len();
    let mut load = stage.load(&cluster, nodes, pace, ahead).await?;
    let warm_up = Duration::from_secs(*warm_up_seconds);
    stage
        .watch(&mut cluster, &mut load, warm_up, "warming up")
        .await?;

    load.tracker().start_measuring();
    let before = load.tracker().counts();
    let from = Meter::read(&cluster);
    let height = cluster.status(OBSERVER).await?.head.height.get();
    let measured = Duration::from_secs(*seconds);
    stage
        .watch(&mut cluster, &mut load, measured, "measuring")
        .await?;
    let to = Meter::read(&cluster);
    let after = load.tracker().counts();
    let blocks = cluster.status(OBSERVER).await?.head.height.get() - height;

    let measurement = Measurement {
        seconds: to.at().duration_since(from.at()).as_secs_f64(),
        irreversible: (after.irreversible - before.irreversible) as f64,
        refused: (after.rejected - before.rejected) as f64,
        blocks: blocks as f64,
        latencies: load.tracker().latencies(),
    };
    measurement.add_to(&mut report);
    to.add_to(&mut report, &from);
    stage.end(&mut report, cluster, Some(load)).await?;
    Ok(report)
}

/// What the load has seen while it was measured.
struct Measurement {
    seconds: f64,
    irreversible: f64,
    refused: f64,
    blocks: f64,
    latencies: Latencies,
}

impl Measurement {
    fn add_to(&self, report: &mut Report) {
        report.target(
            "irreversible_per_s",
            "transfers irreversible",
            self.irreversible / self.seconds,
            "/s",
            Target::AtLeast(IRREVERSIBLE_PER_SECOND_MIN),
        );
        report.figure(
            "finality_ms_p50",
            "finality at this load, p50",
            self.latencies.p50_ms as f64,
            "ms",
        );
        report.figure(
            "finality_ms_p99",
            "finality at this load, p99",
            self.latencies.p99_ms as f64,
            "ms",
        );
        report.figure("blocks_per_s", "blocks", self.blocks / self.seconds, "/s");
        report.figure(
            "transfers_per_block",
            "transfers in a block",
            self.irreversible / self.blocks.max(1.0),
            "",
        );
        report.figure(
            "refused_per_s",
            "transfers refused",
            self.refused / self.seconds,
            "/s",
        );
    }
}
