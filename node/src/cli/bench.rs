//! `holdfast bench`: figures of a devnet of child processes on this machine.

mod catch_up;
mod figures;
mod flood;
mod latency;
mod machine;
mod memory;
mod restart;
mod stage;
mod throughput;

use super::Context;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::signals::unless_interrupted;
use clap::{Args, Subcommand};
use figures::Report;
use stage::Stage;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Every benchmark starts validators as child processes on loopback, sends signed transfers between accounts of\n\
its own, stops by itself, checks that all validators have the same state roots, and prints its figures with the\n\
command that gives them again."
)]
pub(super) enum Command {
    /// Transfers per second that become irreversible when as many are sent as the chain takes.
    Throughput(throughput::Arguments),
    /// Time from submission to irreversibility at a steady rate.
    Latency(latency::Arguments),
    /// Memory of the validators over time at a steady rate.
    Memory(memory::Arguments),
    /// Time that a killed validator takes to start again with a long chain.
    Restart(restart::Arguments),
    /// How much faster than the chain grows a validator catches up that was down.
    CatchUp(catch_up::Arguments),
    /// What junk from hostile peers does to the validators and to the latency of the others.
    Flood(flood::Arguments),
}

/// What all benchmarks have in common.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Devnet")]
pub(super) struct CommonArguments {
    /// How many validators.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    validators: u16,
    /// How many accounts pay each other.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    accounts: u32,
    /// Where the nodes' homes go, and stay; must not exist [default: a temporary folder, removed at the end].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A setting of every node, as in holdfast.toml: --node-set log.filter='"debug"'. May be repeated.
    #[arg(long, value_name = "SECTION.KEY=TOML")]
    node_set: Vec<String>,
    /// End with one line of JSON, and print nothing else.
    #[arg(long)]
    json: bool,
    /// Fail if a figure misses its target.
    #[arg(long)]
    strict: bool,
}

impl Command {
    const fn common(&self) -> &CommonArguments {
        match self {
            Self::Throughput(arguments) => &arguments.common,
            Self::Latency(arguments) => &arguments.common,
            Self::Memory(arguments) => &arguments.common,
            Self::Restart(arguments) => &arguments.common,
            Self::CatchUp(arguments) => &arguments.common,
            Self::Flood(arguments) => &arguments.common,
        }
    }

    async fn measure(&self, stage: &mut Stage<'_, '_>) -> Result<Report, Failure> {
        match self {
            Self::Throughput(arguments) => throughput::measure(arguments, stage).await,
            Self::Latency(arguments) => latency::measure(arguments, stage).await,
            Self::Memory(arguments) => memory::measure(arguments, stage).await,
            Self::Restart(arguments) => restart::measure(arguments, stage).await,
            Self::CatchUp(arguments) => catch_up::measure(arguments, stage).await,
            Self::Flood(arguments) => flood::measure(arguments, stage).await,
        }
    }
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> Result<(), Failure> {
    let common = command.common();
    let report = unless_interrupted(interrupted, async {
        let mut stage = Stage::prepare(common, context)?;
        command.measure(&mut stage).await
    })?;
    let text = if common.json {
        format!("{}\n", report.as_json())
    } else {
        report.as_text()
    };
    context.print(&text)?;
    report.verdict(common.strict)
}

fn interrupted(signal: &str) -> Failure {
    Failure::new(
        ExitCode::Usage,
        "the benchmark was interrupted, so there are no figures",
        signal,
        "run it again, shorter if need be: see its --help",
    )
}
