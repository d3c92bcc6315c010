//! `holdfast completions <shell>`

use super::Context;
use crate::failure::Failure;
use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  holdfast completions bash > ~/.local/share/bash-completion/completions/holdfast"
)]
pub(super) struct Arguments {
    /// The shell that will read the script.
    shell: Shell,
}

pub(super) fn run(
    arguments: &Arguments,
    command: &mut clap::Command,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "holdfast", &mut script);
    context.print(&String::from_utf8_lossy(&script))
}
