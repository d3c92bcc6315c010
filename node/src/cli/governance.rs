//! `holdfast governance …`: messages of the governors, drafted, signed offline, combined, submitted and shown.
//!
//! A message travels between governors as a file: what it orders in words, the bytes that are signed, the governors and
//! the signatures so far. Words and bytes are compared whenever a file is read, so nobody signs what they did not read.

mod choice;
mod deliver;
mod draft;
mod file;
mod resume;
mod sign;

pub(crate) use resume::DRAFT_RESUME;
pub(super) use resume::TOO_FEW;

use super::{Context, GlobalArguments};
use crate::failure::Failure;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a message to a file, for the governors to sign.
    #[command(subcommand)]
    Draft(draft::Command),
    /// Add a governor's signature to a file. Needs no node: the key stays offline.
    Sign(sign::Arguments),
    /// Put the signatures of several copies of one message together.
    Combine(sign::CombineArguments),
    /// Hand a message with enough signatures to a node.
    Submit(deliver::SubmitArguments),
    /// Show what a file orders, who has signed, and how many are missing.
    Show(deliver::ShowArguments),
}

pub(super) fn run(
    command: Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Draft(command) => draft::run(&command, global, context),
        Command::Sign(arguments) => sign::run(&arguments, global, context),
        Command::Combine(arguments) => sign::combine(&arguments, context),
        Command::Submit(arguments) => deliver::submit(&arguments, global, context),
        Command::Show(arguments) => deliver::show(&arguments, context),
    }
}

#[cfg(test)]
#[path = "governance/governance_tests.rs"]
mod tests;
