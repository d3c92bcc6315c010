//! The command line: one module per verb, each with its `Arguments` and its `run`.

mod account;
mod bench;
#[cfg(test)]
mod cli_machine;
mod completions;
mod config;
mod devnet;
mod drill;
mod emergency;
mod evidence;
mod genesis;
mod global;
mod governance;
mod halt;
mod incident;
mod init;
mod key_text;
mod keys;
mod layout;
mod lockdown;
mod node_client;
mod password;
mod run;
mod snapshot;
mod status;
mod tx;
mod units;
mod why;

pub use global::GlobalArguments;
pub(crate) use governance::DRAFT_RESUME;

use crate::config::{LogFormat, LogSettings};
use crate::environment::Environment;
use crate::exit_codes::{self, ExitCode};
use crate::failure::Failure;
use crate::keystore::{Prompt, TerminalPrompt};
use crate::logging;
use clap::{CommandFactory as _, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};

/// A validator node that knows how to stop, and how to start again.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, after_help = exit_codes::help_text(), arg_required_else_help = true)]
struct CommandLine {
    #[command(flatten)]
    global: GlobalArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the home folder of a new node: configuration, keys, data folder.
    Init(init::Arguments),
    /// Run the node until it is stopped.
    Run(run::Arguments),
    /// One screen on how the node and its chain are doing.
    Status(status::Arguments),
    /// Why the chain stands still: what triggered it, who is missing or differs, what to do next.
    Why(why::Arguments),
    /// Halts: status, journal, matrix, proofs.
    #[command(subcommand)]
    Halt(halt::Command),
    /// Emergency consensus: where it stands, who is missing, what ends it.
    #[command(subcommand)]
    Emergency(emergency::Command),
    /// Lockdown: freeze the chain by vote, look who has voted, go on by vote.
    #[command(subcommand)]
    Lockdown(lockdown::Command),
    /// Governance messages: draft, sign offline, combine, submit, show.
    #[command(subcommand)]
    Governance(Box<governance::Command>),
    /// Evidence of misbehaviour: list and submit.
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Look at accounts.
    #[command(subcommand)]
    Account(account::Command),
    /// Make, sign, send and show transactions.
    #[command(subcommand)]
    Tx(tx::Command),
    /// Write, check and show the genesis document of a chain.
    #[command(subcommand)]
    Genesis(genesis::Command),
    /// Run a network of local validators, each a process of its own.
    Devnet(devnet::Arguments),
    /// Measure throughput, latency, memory, restart and catch-up of a local network.
    #[command(subcommand)]
    Bench(Box<bench::Command>),
    /// Rehearse a halt on a local network: inject, observe, resume, check that nothing is lost.
    #[command(subcommand)]
    Drill(drill::Command),
    /// Read what halts have left: reports, and where two nodes differ.
    #[command(subcommand)]
    Incident(incident::Command),
    /// Snapshots: the state of a chain in one file, for a node that is to begin with it.
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    /// Make, look at and change key files.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Show, check and template the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Print the completion script of a shell.
    Completions(completions::Arguments),
}

/// What a verb may use of the world outside.
pub struct Context<'a> {
    pub environment: Environment,
    /// Results, for people and pipes.
    pub out: &'a mut dyn Write,
    pub prompt: &'a mut dyn Prompt,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Context")
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// Prints a result. A reader that has gone away, such as `head`, is not an error.
    ///
    /// # Errors
    /// When standard output cannot be written for another reason.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        match self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
        {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::disk("cannot write to standard output", &error))
            }
            _ => Ok(()),
        }
    }
}

/// Runs the process: reads its arguments, does what they say, reports a failure on standard error.
#[must_use]
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(message) => {
            // Nothing can be done for a caller who closed even standard error.
            let _unheard = message.print();
            return if message.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Clean
            };
        }
    };
    let mut context = Context {
        environment: Environment::of_process(),
        out: &mut io::stdout().lock(),
        prompt: &mut TerminalPrompt,
    };
    // The node logs as its configuration says.
    let logging = match command_line.verb {
        Verb::Run(_) => Ok(()),
        // Its keys are known to everybody, and to warn of each of them hides what went wrong.
        Verb::Drill(_) => quiet_logging("error"),
        _ => quiet_logging("warn"),
    };
    let result = logging.and_then(|()| command_line.run(&mut context));
    match result {
        Ok(()) => ExitCode::Clean,
        Err(failure) => {
            let _unheard = writeln!(io::stderr(), "{failure}");
            failure.code
        }
    }
}

/// Parses `arguments`, the first being the name of the program, and runs the verb with `context`.
///
/// # Errors
/// What the verb gives; wrong arguments and `--help` are a [`ExitCode::Usage`] failure with clap's text.
pub fn run<I, T>(arguments: I, context: &mut Context<'_>) -> Result<(), Failure>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    CommandLine::try_parse_from(arguments)
        .map_err(|message| {
            Failure::new(
                ExitCode::Usage,
                "wrong arguments",
                message,
                "holdfast --help",
            )
        })?
        .run(context)
}

impl CommandLine {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self { global, verb } = self;
        match verb {
            Verb::Init(arguments) => init::run(arguments, &global, context),
            Verb::Run(arguments) => run::run(&arguments, &global, context),
            Verb::Status(arguments) => status::run(&arguments, &global, context),
            Verb::Why(arguments) => why::run(&arguments, &global, context),
            Verb::Halt(command) => halt::run(&command, &global, context),
            Verb::Emergency(command) => emergency::run(&command, &global, context),
            Verb::Lockdown(command) => lockdown::run(&command, &global, context),
            Verb::Governance(command) => governance::run(*command, &global, context),
            Verb::Evidence(command) => evidence::run(&command, &global, context),
            Verb::Account(command) => account::run(command, &global, context),
            Verb::Tx(command) => tx::run(command, &global, context),
            Verb::Genesis(command) => genesis::run(command, context),
            Verb::Devnet(arguments) => devnet::run(arguments, context),
            Verb::Bench(command) => bench::run(&command, context),
            Verb::Drill(command) => drill::run(&command, context),
            Verb::Incident(command) => incident::run(&command, &global, context),
            Verb::Snapshot(command) => snapshot::run(&command, &global, context),
            Verb::Keys(command) => keys::run(command, &global, context),
            Verb::Config(command) => config::run(command, &global, context),
            Verb::Completions(arguments) => {
                completions::run(&arguments, &mut Self::command(), context)
            }
        }
    }
}

/// Short-lived verbs log no more than warnings.
fn quiet_logging(filter: &str) -> Result<(), Failure> {
    logging::start(&LogSettings {
        format: LogFormat::Text,
        filter: filter.to_owned(),
    })
    .map(drop)
}

#[cfg(test)]
#[path = "cli/cli_tests.rs"]
mod tests;
