//! `holdfast drill`: a halt on real processes, from the fault to the last check.

mod checks;
mod governors;
mod kind;
mod outcome;
mod script;
mod stage;
mod watch;

use super::Context;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::signals::unless_interrupted;
use clap::{Args, Subcommand};
use kind::Kind;
use outcome::{Outcome, Run};
use stage::Stage;
use tempfile::TempDir;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Every drill starts validators of its own as child processes on loopback, sends transfers all along, does\n\
what it is about, looks at what the chain does, resumes it with the commands of its runbook, and checks that no accepted\n\
transfer is lost, that all validators have the same state, and that nobody was slashed but the offenders."
)]
pub(super) enum Command {
    /// Kill so many validators that no quorum is left, and start them again (docs/runbooks/soft-stall.md).
    SoftStall(Arguments),
    /// One validator attests another state root (docs/runbooks/scenario-a-state-root-divergence.md).
    HardHalt(Arguments),
    /// Too many validators sign two vertices for one slot (docs/runbooks/hard-halt.md).
    EquivocationCluster(Arguments),
    /// The governors halt the chain (docs/runbooks/emergency-halt.md).
    EmergencyHalt(Arguments),
    /// The governors resume a halted chain while as many validators are down as it tolerates (docs/runbooks/resume.md).
    Resume(Arguments),
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many validators.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=64))]
    validators: u16,
    /// Play it so often, each time on a new chain, and give medians and maxima.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Keep the homes of the validators [default: only those of a drill that failed].
    #[arg(long)]
    keep: bool,
    /// Print one JSON object, and nothing else.
    #[arg(long)]
    json: bool,
}

impl Command {
    const fn parts(&self) -> (Kind, &Arguments) {
        match self {
            Self::SoftStall(arguments) => (Kind::SoftStall, arguments),
            Self::HardHalt(arguments) => (Kind::HardHalt, arguments),
            Self::EquivocationCluster(arguments) => (Kind::EquivocationCluster, arguments),
            Self::EmergencyHalt(arguments) => (Kind::EmergencyHalt, arguments),
            Self::Resume(arguments) => (Kind::Resume, arguments),
        }
    }
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> Result<(), Failure> {
    let (kind, arguments) = command.parts();
    let interrupted = |signal: &str| {
        Failure::new(
            ExitCode::Usage,
            "the drill was interrupted, so it shows nothing",
            signal,
            "run it again",
        )
    };
    let outcome = unless_interrupted(interrupted, repeat(kind, arguments, context))?;
    let text = if arguments.json {
        format!("{:#}\n", outcome.as_json())
    } else {
        outcome.as_text()
    };
    context.print(&text)?;
    outcome.verdict()
}

async fn repeat(
    kind: Kind,
    arguments: &Arguments,
    context: &mut Context<'_>,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome {
        kind,
        validators: arguments.validators,
        runs: Vec::new(),
    };
    if !arguments.json {
        let (name, validators) = (kind.name(), arguments.validators);
        context.print(&format!("playing {name} on {validators} validators\n"))?;
    }
    for number in 1..=arguments.repeat {
        let run = one(kind, arguments).await?;
        if arguments.repeat > 1 && !arguments.json {
            context.print(&run.as_line(number))?;
        }
        outcome.runs.push(run);
    }
    Ok(outcome)
}

/// One drill on a new chain. What goes wrong in it is a result too.
async fn one(kind: Kind, arguments: &Arguments) -> Result<Run, Failure> {
    let folder = tempfile::Builder::new()
        .prefix("holdfast-drill-")
        .tempdir()
        .map_err(|error| Failure::disk("cannot make a temporary folder", &error))?;
    let mut run = Run::default();
    if let Err(failure) = play(kind, arguments.validators, &folder, &mut run).await {
        run.failed
            .push(format!("{}: {}", failure.what, failure.why));
    }
    if arguments.keep || !run.passed() {
        run.kept_in = Some(folder.keep());
    }
    Ok(run)
}

async fn play(kind: Kind, validators: u16, folder: &TempDir, run: &mut Run) -> Result<(), Failure> {
    let directory = folder.path().join("devnet");
    let mut stage = Stage::start(kind, validators, &directory).await?;
    run.disturbed = stage.names(stage.disturbed.clone());
    let played = script::play(&mut stage, run).await;
    let Stage { cluster, load, .. } = stage;
    let counts = load.tracker().counts();
    (run.accepted, run.irreversible) = (counts.submitted, counts.irreversible);
    run.lost = counts.pending;
    load.stop().await;
    let stopped = cluster.stop().await;
    played.and(stopped)
}
