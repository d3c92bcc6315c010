//! `holdfast bench latency`

use super::CommonArguments;
use super::figures::{Report, Target};
use super::stage::{Meter, Stage, flags};
use crate::failure::Failure;
use crate::load::{Latencies, Pace};
use clap::Args;
use std::time::Duration;

const P50_MS_MAX: f64 = 400.0;
const P99_MS_MAX: f64 = 1_000.0;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Transfers per second.
    #[arg(long, value_name = "RATE", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tps: u32,
    /// How long to measure.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How long to run before that.
    #[arg(long, value_name = "N", default_value_t = 10)]
    warm_up_seconds: u64,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

pub(super) async fn measure(
    arguments: &Arguments,
    stage: &mut Stage<'_, '_>,
) -> Result<Report, Failure> {
    let Arguments {
        tps,
        seconds,
        warm_up_seconds,
        common,
    } = arguments;
    let mut report = Report::new(
        "latency",
        format!(
            "holdfast bench latency --tps {tps} --seconds {seconds} --warm-up-seconds {warm_up_seconds} {}",
            flags(common)
        ),
    );
    let mut cluster = stage.devnet(|_| {}).await?;
    let nodes = cluster.len();
    let pace = Pace::PerSecond(f64::from(*tps));
    let mut load = stage.load(&cluster, nodes, pace, 0).await?;
    let warm_up = Duration::from_secs(*warm_up_seconds);
    stage
        .watch(&mut cluster, &mut load, warm_up, "warming up")
        .await?;

    load.tracker().start_measuring();
    let before = load.tracker().counts();
    let from = Meter::read(&cluster);
    let measured = Duration::from_secs(*seconds);
    stage
        .watch(&mut cluster, &mut load, measured, "measuring")
        .await?;
    let to = Meter::read(&cluster);
    let after = load.tracker().counts();
    let wall = to.at().duration_since(from.at()).as_secs_f64();
    let measurement = Measurement {
        latencies: load.tracker().latencies(),
        irreversible_per_second: (after.irreversible - before.irreversible) as f64 / wall,
        refused: after.rejected - before.rejected,
    };
    measurement.add_to(&mut report, *tps);
    to.add_to(&mut report, &from);
    stage.end(&mut report, cluster, Some(load)).await?;
    Ok(report)
}

/// What the load has seen while it was measured.
struct Measurement {
    latencies: Latencies,
    irreversible_per_second: f64,
    refused: u64,
}

impl Measurement {
    /// Adds the figures; `tps` is the rate that was asked for.
    fn add_to(&self, report: &mut Report, tps: u32) {
        report.target(
            "finality_ms_p50",
            "submission to irreversible, p50",
            self.latencies.p50_ms as f64,
            "ms",
            Target::AtMost(P50_MS_MAX),
        );
        report.target(
            "finality_ms_p99",
            "submission to irreversible, p99",
            self.latencies.p99_ms as f64,
            "ms",
            Target::AtMost(P99_MS_MAX),
        );
        report.figure(
            "finality_ms_max",
            "submission to irreversible, longest",
            self.latencies.max_ms as f64,
            "ms",
        );
        let irreversible = self.irreversible_per_second;
        report.figure(
            "irreversible_per_s",
            "transfers irreversible",
            irreversible,
            "/s",
        );
        report.figure("refused", "transfers refused", self.refused as f64, "");
        // Otherwise the latency would be that of a rate that nobody asked for.
        let kept = irreversible >= f64::from(tps) * 0.95;
        report.require(
            kept,
            format!("the rate was {irreversible:.0}/s instead of {tps}/s"),
        );
    }
}
