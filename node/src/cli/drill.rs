//! `holdfast drill`: a halt on real processes, from the fault to the last check.

mod checks;
mod emergency;
mod governors;
mod kills;
mod kind;
mod lockdown;
mod outcome;
mod script;
mod stage;
mod watch;

use super::Context;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::signals::unless_interrupted;
use clap::{Args, Subcommand};
use kills::Kills;
use kind::{Kind, Masters, Voters};
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
    /// Kill all validators but the masters; they take over until the others are back (docs/runbooks/emergency-consensus.md).
    EmergencyConsensus(EmergencyArguments),
    /// Two thirds of the validators freeze the chain by vote, and let it go on by vote (docs/runbooks/lockdown.md).
    Lockdown(LockdownArguments),
}

#[derive(Debug, Args)]
pub(super) struct LockdownArguments {
    #[command(flatten)]
    common: Arguments,
    /// As many validators as the chain tolerates vote alone first, and never vote to go on.
    #[arg(long)]
    byzantine: bool,
}

#[derive(Debug, Args)]
pub(super) struct EmergencyArguments {
    #[command(flatten)]
    common: Arguments,
    /// How many of the validators have the emergency key; they stay up.
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    masters: u16,
    /// Cut the masters from each other before the quorum goes, and heal the cut in the emergency (needs root and ip).
    #[arg(long)]
    partition: bool,
    /// Kill -9 nodes at random moments of each phase, masters too, and start them again at once.
    #[arg(long)]
    kill_nodes: bool,
    /// What --kill-nodes does, of the first run; the next runs have the numbers after it [default: a random one].
    #[arg(long, value_name = "SEED", requires = "kill_nodes")]
    seed: Option<u64>,
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
            Self::EmergencyConsensus(arguments) => {
                let masters = Masters {
                    count: arguments.masters,
                    partition: arguments.partition,
                };
                (Kind::EmergencyConsensus(masters), &arguments.common)
            }
            Self::Lockdown(arguments) => {
                let voters = Voters {
                    byzantine: arguments.byzantine,
                };
                (Kind::Lockdown(voters), &arguments.common)
            }
        }
    }
}

/// The seed of the first run, if nodes are to be killed.
fn seed_of(command: &Command) -> Option<u64> {
    match command {
        Command::EmergencyConsensus(arguments) if arguments.kill_nodes => {
            let random = || u64::from(rand::random::<u32>());
            Some(arguments.seed.unwrap_or_else(random))
        }
        _ => None,
    }
}

/// Refuses a drill whose masters would be a quorum: the chain would never stand.
fn check(kind: Kind, validators: u16) -> Result<(), Failure> {
    let Kind::EmergencyConsensus(masters) = kind else {
        return Ok(());
    };
    if masters.partition && masters.count < 2 {
        return Err(Failure::new(
            ExitCode::Usage,
            "--partition needs two masters or more",
            "one master cannot be cut from another",
            "add --masters 2",
        ));
    }
    let most = (validators - 1) - (validators - 1) / 3;
    if masters.count <= most {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Usage,
        format!("--masters {} is too many", masters.count),
        format!(
            "with {validators} validators more than {most} are a quorum, and the chain never stands"
        ),
        format!("--masters {most} or less, or more --validators"),
    ))
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> Result<(), Failure> {
    let (kind, arguments) = command.parts();
    check(kind, arguments.validators)?;
    let interrupted = |signal: &str| {
        Failure::new(
            ExitCode::Usage,
            "the drill was interrupted, so it shows nothing",
            signal,
            "run it again",
        )
    };
    let drill = Drill {
        kind,
        arguments,
        seed: seed_of(command),
    };
    let outcome = unless_interrupted(interrupted, drill.repeat(context))?;
    let text = if arguments.json {
        format!("{:#}\n", outcome.as_json())
    } else {
        outcome.as_text()
    };
    context.print(&text)?;
    outcome.verdict()
}

/// What is played.
struct Drill<'a> {
    kind: Kind,
    arguments: &'a Arguments,
    /// Of the kills of the first run, if nodes are to be killed.
    seed: Option<u64>,
}

impl Drill<'_> {
    async fn repeat(&self, context: &mut Context<'_>) -> Result<Outcome, Failure> {
        let Self {
            kind,
            arguments,
            seed,
        } = *self;
        let mut outcome = Outcome {
            kind,
            validators: arguments.validators,
            runs: Vec::new(),
        };
        if !arguments.json {
            let (name, validators) = (kind.name(), arguments.validators);
            let kills = seed.map_or_else(String::new, |seed| format!(", kills of seed {seed}"));
            context.print(&format!(
                "playing {name} on {validators} validators{kills}\n"
            ))?;
        }
        for number in 1..=arguments.repeat {
            let run = self.once(number).await?;
            if arguments.repeat > 1 && !arguments.json {
                context.print(&run.as_line(kind, number))?;
            }
            outcome.runs.push(run);
        }
        Ok(outcome)
    }

    /// Plays it on a new chain. What goes wrong in it is a result too.
    async fn once(&self, number: u16) -> Result<Run, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("holdfast-drill-")
            .tempdir()
            .map_err(|error| Failure::disk("cannot make a temporary folder", &error))?;
        let mut run = Run {
            seed: self
                .seed
                .map(|first| first.wrapping_add(u64::from(number) - 1)),
            ..Run::default()
        };
        if let Err(failure) = self.play(&folder, &mut run).await {
            run.failed
                .push(format!("{}: {}", failure.what, failure.why));
        }
        if self.arguments.keep || !run.passed() {
            run.kept_in = Some(folder.keep());
        }
        Ok(run)
    }

    async fn play(&self, folder: &TempDir, run: &mut Run) -> Result<(), Failure> {
        let directory = folder.path().join("devnet");
        let kills = run.seed.map(Kills::new);
        let validators = self.arguments.validators;
        let mut stage = Stage::start(self.kind, validators, &directory, kills).await?;
        run.disturbed = stage.names(stage.disturbed.clone());
        let played = script::play(&mut stage, run).await;
        let Stage {
            cluster,
            load,
            kills,
            ..
        } = stage;
        run.kills = kills.map(Kills::into_done).unwrap_or_default();
        let counts = load.tracker().counts();
        (run.accepted, run.irreversible) = (counts.submitted, counts.irreversible);
        run.lost = counts.pending;
        load.stop().await;
        let stopped = cluster.stop().await;
        played.and(stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_fewer_than_a_quorum() {
        for validators in 4..=64 {
            let quorum = validators - (validators - 1) / 3;
            for count in 1..=validators {
                let kind = Kind::EmergencyConsensus(Masters {
                    count,
                    partition: false,
                });
                assert_eq!(check(kind, validators).is_ok(), count < quorum);
            }
        }
        for count in 1..=2 {
            let cut = Masters {
                count,
                partition: true,
            };
            let checked = check(Kind::EmergencyConsensus(cut), 4);
            assert_eq!(checked.is_ok(), count > 1, "one cannot be cut from itself");
        }
        assert!(check(Kind::Resume, 4).is_ok());
    }
}
