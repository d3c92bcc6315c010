//! `holdfast bench flood`

mod findings;
mod hostile;
mod junk;
mod nodes;

use super::CommonArguments;
use super::figures::Report;
use super::stage::{OBSERVER, Stage, flags};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::home::Home;
use crate::load::usage::processor_time;
use crate::load::{Cluster, Pace, RunningLoad};
use clap::Args;
use findings::Findings;
use holdfast_types::Era;
use hostile::{Attack, HostilePeers};
use junk::Junk;
use nodes::Toll;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often the processes are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The gauges of a validator follow what they show within a second.
const GAUGES_DELAY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// How many junk messages the hostile peers send, all together.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    messages: u64,
    /// How many hostile peers attack each validator at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    hostile: u16,
    /// The flood ends after so long, whatever was sent.
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit_seconds: u64,
    /// Transfers per second, before the flood and under it.
    #[arg(long, value_name = "RATE", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tps: u32,
    /// How long to measure before the flood.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    quiet_seconds: u64,
    /// How long to run before that, and after the flood.
    #[arg(long, value_name = "N", default_value_t = 10)]
    warm_up_seconds: u64,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

impl Arguments {
    fn command(&self) -> String {
        let Self {
            messages,
            hostile,
            limit_seconds,
            tps,
            quiet_seconds,
            warm_up_seconds,
            common,
        } = self;
        format!(
            "holdfast bench flood --messages {messages} --hostile {hostile} --limit-seconds {limit_seconds} --tps {tps} --quiet-seconds {quiet_seconds} --warm-up-seconds {warm_up_seconds} {}",
            flags(common)
        )
    }
}

pub(super) async fn measure(
    arguments: &Arguments,
    stage: &mut Stage<'_, '_>,
) -> Result<Report, Failure> {
    let mut report = Report::new("flood", arguments.command());
    let mut cluster = stage.devnet(|_| {}).await?;
    let nodes = cluster.len();
    let pace = Pace::PerSecond(f64::from(arguments.tps));
    let mut load = stage.load(&cluster, nodes, pace, 0).await?;
    let warm_up = Duration::from_secs(arguments.warm_up_seconds);
    stage
        .watch(&mut cluster, &mut load, warm_up, "warming up")
        .await?;
    let mut findings = Findings {
        messages_wanted: arguments.messages,
        ..Findings::default()
    };

    load.tracker().start_measuring();
    let mut toll = Toll::start(&cluster);
    let started = Instant::now();
    let quiet = Duration::from_secs(arguments.quiet_seconds);
    stage.watch(&mut cluster, &mut load, quiet, "quiet").await?;
    toll.look(&cluster, started.elapsed());
    findings.quiet = load.tracker().latencies();
    findings.quiet_toll = toll;

    let attack = attack(arguments, &cluster).await?;
    let limit = Duration::from_secs(arguments.limit_seconds);
    flood(stage, &mut cluster, &mut load, &mut findings, attack, limit).await?;
    stage
        .watch(&mut cluster, &mut load, warm_up, "after the flood")
        .await?;
    let after = cluster.usage();
    findings.memory_after = after.iter().map(|node| node.resident_bytes).collect();
    findings.add_to(&mut report);
    stage.end(&mut report, cluster, Some(load)).await?;
    Ok(report)
}

/// Lets the hostile peers loose until they are done or the time is over.
async fn flood(
    stage: &mut Stage<'_, '_>,
    cluster: &mut Cluster,
    load: &mut RunningLoad,
    findings: &mut Findings,
    attack: Attack,
    limit: Duration,
) -> Result<(), Failure> {
    stage.say("letting the hostile peers loose")?;
    let own = || processor_time(std::process::id()).unwrap_or_default();
    let before = nodes::counts(cluster).await;
    load.tracker().start_measuring();
    let mut toll = Toll::start(cluster);
    let (started, own_before) = (Instant::now(), own());
    let peers = HostilePeers::start(attack)
        .map_err(|error| Failure::disk("cannot start the hostile peers", &error))?;
    while peers.are_at_work() && started.elapsed() < limit {
        let deeds = peers.deeds();
        let what = format!(
            "under flood, {} junk sent, {} senders thrown out",
            deeds.sent, deeds.drops
        );
        stage.watch(cluster, load, LOOK_INTERVAL, &what).await?;
        toll.look(cluster, started.elapsed());
        toll.note(&nodes::counts(cluster).await);
    }
    findings.deeds = peers.stop().await;
    toll.look(cluster, started.elapsed());
    findings.flooded = load.tracker().latencies();
    findings.own_cores = own().saturating_sub(own_before).as_secs_f64() / toll.seconds;
    stage
        .watch(cluster, load, GAUGES_DELAY, "after the flood")
        .await?;
    let after = nodes::counts(cluster).await;
    toll.note(&after);
    findings.counts = nodes::between(&before, &after);
    findings.flood_toll = toll;
    for number in 0..cluster.len() {
        let status = cluster.status(number).await?;
        if !status.halts.is_empty() || findings.counts[number].halts > 0.0 {
            findings.halted.push(cluster.name(number).to_owned());
        }
    }
    Ok(())
}

/// Whom to attack, as anybody knows it who has the genesis document and the addresses.
async fn attack(arguments: &Arguments, cluster: &Cluster) -> Result<Attack, Failure> {
    let file = Home::at(cluster.node(OBSERVER).home.clone()).genesis_file();
    let genesis = crate::cli::run::read_genesis(&file)?;
    let status = cluster.status(OBSERVER).await?;
    let mut targets = Vec::new();
    for number in 0..cluster.len() {
        let address = &cluster.node(number).p2p;
        let address = address
            .parse()
            .map_err(|error| no_address(address, &error))?;
        targets.extend(vec![address; usize::from(arguments.hostile)]);
    }
    let governors = genesis.parameters().governance.keys.len();
    Ok(Attack {
        parameters_hash: genesis.parameters_hash(),
        junk: Junk {
            chain: genesis.chain_id(),
            era: Era(status.era.get()),
            validators: arguments.common.validators,
            governors: u16::try_from(governors).unwrap_or(u16::MAX),
        },
        targets,
        messages: arguments.messages,
    })
}

fn no_address(address: &str, error: &dyn Display) -> Failure {
    Failure::new(
        ExitCode::Internal,
        format!("{address} is no address of a validator"),
        error,
        "report this with the command",
    )
}
