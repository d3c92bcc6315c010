//! `holdfast bench memory`

use super::CommonArguments;
use super::figures::{Report, Target};
use super::stage::{Meter, Stage, flags, megabytes};
use crate::failure::Failure;
use crate::load::Pace;
use clap::Args;
use std::time::{Duration, Instant};

const RSS_MB_MAX: f64 = 400.0;
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Transfers per second.
    #[arg(long, value_name = "RATE", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tps: u32,
    /// How long to run.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    minutes: u64,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

pub(super) async fn measure(
    arguments: &Arguments,
    stage: &mut Stage<'_, '_>,
) -> Result<Report, Failure> {
    let Arguments {
        tps,
        minutes,
        common,
    } = arguments;
    let mut report = Report::new(
        "memory",
        format!(
            "holdfast bench memory --tps {tps} --minutes {minutes} {}",
            flags(common)
        ),
    );
    let mut cluster = stage.devnet(|_| {}).await?;
    let nodes = cluster.len();
    let pace = Pace::PerSecond(f64::from(*tps));
    let mut load = stage.load(&cluster, nodes, pace, 0).await?;
    let from = Meter::read(&cluster);
    let started = Instant::now();
    let end = started + Duration::from_secs(minutes * 60);
    let mut series = Series::default();
    while Instant::now() < end {
        stage
            .watch(&mut cluster, &mut load, SAMPLE_INTERVAL, "running")
            .await?;
        let usage = cluster.usage();
        let largest = usage.iter().map(|node| node.resident_bytes).max();
        series.add(started.elapsed(), largest.unwrap_or(0));
    }
    let to = Meter::read(&cluster);
    report.target(
        "rss_mb_peak",
        "memory of the largest validator, peak",
        megabytes(series.peak_bytes()),
        "MB",
        Target::AtMost(RSS_MB_MAX),
    );
    report.figure(
        "growth_mb_per_min",
        "growth in the second half",
        series.growth_bytes_per_minute() / 1e6,
        "MB/min",
    );
    let wall = to.at().duration_since(from.at()).as_secs_f64();
    let irreversible = load.tracker().counts().irreversible as f64 / wall;
    report.figure(
        "irreversible_per_s",
        "transfers irreversible",
        irreversible,
        "/s",
    );
    to.add_to(&mut report, &from);
    stage.end(&mut report, cluster, Some(load)).await?;
    Ok(report)
}

/// Memory over time.
#[derive(Debug, Default)]
struct Series(Vec<(f64, u64)>);

impl Series {
    fn add(&mut self, at: Duration, bytes: u64) {
        self.0.push((at.as_secs_f64() / 60.0, bytes));
    }

    fn peak_bytes(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0)
    }

    /// Slope of the least-squares line through the second half: caches are filled by then.
    fn growth_bytes_per_minute(&self) -> f64 {
        let half = &self.0[self.0.len() / 2..];
        let count = (half.len() as f64).max(1.0);
        let mean_at = half.iter().map(|(at, _)| at).sum::<f64>() / count;
        let mean_bytes = half.iter().map(|(_, bytes)| *bytes as f64).sum::<f64>() / count;
        let (mut above, mut below) = (0.0, 0.0);
        for (at, bytes) in half {
            above += (at - mean_at) * (*bytes as f64 - mean_bytes);
            below += (at - mean_at) * (at - mean_at);
        }
        if below > 0.0 { above / below } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_second_half() {
        let mut series = Series::default();
        assert_eq!(
            (series.peak_bytes(), series.growth_bytes_per_minute()),
            (0, 0.0)
        );
        for second in 0..60u64 {
            let bytes = if second < 30 {
                1_000 * second
            } else {
                30_000 + second
            };
            series.add(Duration::from_secs(second), bytes);
        }
        assert_eq!(series.peak_bytes(), 30_059);
        assert!((series.growth_bytes_per_minute() - 60.0).abs() < 1e-6);
    }
}
