//! What a drill sees of the validators, from outside.

use crate::devnet::readiness;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::load::Cluster;
use crate::runtime::sabotage::LOGGED;
use holdfast_halt::Mode;
use holdfast_rpc::dto::{BlockSelector, HaltReport, Number};
use holdfast_rpc::methods::{
    GetHaltHistory, GetHaltStatus, GetHeader, HeaderParams, HistoryParams, NoParams,
};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks: how exact a time is that was not written down by the node itself.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(5);

pub(super) fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "the drill did not go as it should",
        why,
        "run it again with --keep, and look at the node.log of each validator",
    )
}

/// Looks until there is something.
pub(super) async fn until<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            let seconds = limit.as_secs();
            return Err(failed(format_args!("not within {seconds} s: {what}")));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// What a node says of halts; nothing while it does not answer.
pub(super) async fn report(cluster: &Cluster, number: usize) -> Option<HaltReport> {
    let report = cluster.call::<GetHaltStatus>(number, NoParams {}).await;
    report.ok()
}

/// True if the mode holds at the node.
pub(super) fn holds(report: &HaltReport, mode: Mode) -> bool {
    report.modes.iter().any(|name| name == mode.name())
}

/// When a halt or stall began at a node, by its journal, in ms of the wall clock.
pub(super) async fn began_ms(
    cluster: &Cluster,
    number: usize,
    mode: Mode,
) -> Result<Option<u64>, Failure> {
    let all = HistoryParams {
        from: None,
        limit: Some(Number(500)),
    };
    let event = if mode == Mode::SoftStall {
        "stall_began"
    } else {
        "halt_began"
    };
    let journal = cluster.call::<GetHaltHistory>(number, all).await?;
    let entry = journal.iter().rfind(|entry| entry.event == event);
    Ok(entry.map(|entry| entry.at_ms.get()))
}

/// How long the node took to notice what stops the chain, in ms.
pub(super) async fn detect_ms(
    cluster: &Cluster,
    number: usize,
    mode: Mode,
) -> Result<Option<f64>, Failure> {
    // A stall is noticed by its length.
    if mode.is_observed() {
        return Ok(None);
    }
    let kind = mode.kind();
    let node = cluster.node(number);
    let page = readiness::page(node.rpc, "/metrics")
        .await
        .map_err(|error| failed(format_args!("{} shows no metrics: {error}", node.name)))?;
    let prefix = format!("holdfast_halt_detect_seconds_sum{{kind=\"{kind}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&prefix));
    Ok(line
        .and_then(|value| value.parse::<f64>().ok())
        .map(|seconds| tenths(seconds * 1_000.0)))
}

/// With one digit: no time here is more exact.
pub(super) fn tenths(milliseconds: f64) -> f64 {
    (milliseconds * 10.0).round() / 10.0
}

/// When a node injected its fault, by its log.
pub(super) fn injected_ms(home: &Path) -> Option<u64> {
    let log = std::fs::read_to_string(home.join("node.log")).ok()?;
    let line = log.lines().rfind(|line| line.contains(LOGGED))?;
    let (_, rest) = line.split_once("at_ms=")?;
    let digits = rest.split(|character: char| !character.is_ascii_digit());
    digits.into_iter().next()?.parse().ok()
}

/// The era of a block; nothing if the node does not have it.
pub(super) async fn era_of_block(
    cluster: &Cluster,
    number: usize,
    height: u64,
) -> Result<Option<u64>, Failure> {
    let block = BlockSelector::Height(height);
    let header = cluster
        .call::<GetHeader>(number, HeaderParams { block })
        .await?;
    Ok(header.map(|header| header.era.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_the_fault_is_read_from_the_last_such_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("node.log");
        std::fs::write(&log, "INFO node started\n").unwrap();
        assert_eq!(injected_ms(folder.path()), None);
        let lines = format!(
            "WARN holdfast: {LOGGED} fault=\"wrong-root\" at_ms=17 what=x\nWARN holdfast: {LOGGED} fault=\"wrong-root\" at_ms=1790000000123 what=y\nINFO more at_ms=5\n"
        );
        std::fs::write(&log, lines).unwrap();
        assert_eq!(injected_ms(folder.path()), Some(1_790_000_000_123));
    }
}
