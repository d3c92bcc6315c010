//! Flags that say where a password comes from.

use super::Context;
use crate::failure::Failure;
use crate::keystore::{Password, PasswordSources, Purpose};
use clap::Args;
use std::path::PathBuf;

/// Where the password comes from; without these flags: the systemd credential holdfast-password, the environment
/// variable HOLDFAST_PASSWORD, a question on the terminal.
#[derive(Clone, Debug, Default, Args)]
#[command(
    next_help_heading = "Password (else: systemd credential holdfast-password, HOLDFAST_PASSWORD, prompt)"
)]
pub(super) struct PasswordArguments {
    /// Read the password from this open file descriptor.
    #[arg(long, value_name = "N", conflicts_with = "password_file")]
    password_fd: Option<u32>,
    /// Read the password from this file; only its owner may be able to read it.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArguments {
    pub(super) fn read(
        &self,
        context: &mut Context<'_>,
        label: &str,
        purpose: Purpose,
    ) -> Result<Password, Failure> {
        let sources = PasswordSources::current(self.password_fd, self.password_file.clone());
        Ok(sources.read(&context.environment, context.prompt, label, purpose)?)
    }
}

/// The same for the password that takes the place of the old one.
#[derive(Clone, Debug, Default, Args)]
#[command(
    next_help_heading = "New password (else: systemd credential holdfast-new-password, HOLDFAST_NEW_PASSWORD, prompt)"
)]
pub(super) struct NewPasswordArguments {
    /// Read the new password from this open file descriptor.
    #[arg(long, value_name = "N", conflicts_with = "new_password_file")]
    new_password_fd: Option<u32>,
    /// Read the new password from this file; only its owner may be able to read it.
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

impl NewPasswordArguments {
    pub(super) fn read(&self, context: &mut Context<'_>, label: &str) -> Result<Password, Failure> {
        let sources =
            PasswordSources::replacement(self.new_password_fd, self.new_password_file.clone());
        Ok(sources.read(&context.environment, context.prompt, label, Purpose::Choose)?)
    }
}
