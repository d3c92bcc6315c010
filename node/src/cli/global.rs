//! Flags of every verb.

use super::Context;
use crate::config::{self, Loaded, Override, Sources};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::home::Home;
use clap::Args;
use std::path::PathBuf;

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArguments {
    /// Home folder [env: HOLDFAST_HOME] [default: $XDG_DATA_HOME/holdfast or ~/.holdfast].
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Configuration file [env: HOLDFAST_CONFIG] [default: holdfast.toml in the home folder].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one setting, over file and environment: --set rpc.listen=127.0.0.1:9000. May be repeated.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// text or json [env: HOLDFAST_LOG__FORMAT] [file: log.format].
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// What is logged: "info", "info,holdfast=debug" [env: HOLDFAST_LOG__FILTER] [file: log.filter].
    #[arg(long, global = true, value_name = "FILTER")]
    log_filter: Option<String>,
}

/// What to do when there is no configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingFile {
    /// The defaults will do.
    UseDefaults,
    /// The verb needs a node that was set up.
    Refuse,
}

impl GlobalArguments {
    /// The home folder: flag, else environment, else the default place.
    ///
    /// # Errors
    /// When nothing names one.
    pub fn home(&self, context: &Context<'_>) -> Result<Home, Failure> {
        self.home.clone().map_or_else(
            || Home::default_of(&context.environment),
            |path| Ok(Home::at(path)),
        )
    }

    /// The configuration from all four layers.
    ///
    /// # Errors
    /// When it cannot be read or breaks a rule.
    pub fn load_config(
        &self,
        context: &Context<'_>,
        missing: MissingFile,
    ) -> Result<Loaded, Failure> {
        let home = self.home(context)?;
        let named = self
            .config
            .clone()
            .or_else(|| context.environment.path("HOLDFAST_CONFIG"));
        let file_required = named.is_some() || missing == MissingFile::Refuse;
        let sources = Sources {
            home: home.path(),
            file: &named.unwrap_or_else(|| home.config_file()),
            file_required,
            environment: &context.environment,
            overrides: &self.overrides()?,
        };
        Ok(config::load(&sources)?)
    }

    fn overrides(&self) -> Result<Vec<Override>, Failure> {
        let mut overrides = Vec::new();
        for pair in &self.set {
            let (key, text) = pair.split_once('=').ok_or_else(|| {
                Failure::new(
                    ExitCode::Usage,
                    format!("cannot use --set {pair}"),
                    "there is no '=' in it",
                    "write it like --set rpc.listen=127.0.0.1:9000",
                )
            })?;
            overrides.push(Override {
                key: key.trim().to_owned(),
                text: text.to_owned(),
                flag: "--set".to_owned(),
            });
        }
        let named = [
            ("log.format", &self.log_format, "--log-format"),
            ("log.filter", &self.log_filter, "--log-filter"),
        ];
        for (key, value, flag) in named {
            overrides.extend(value.iter().map(|text| Override {
                key: key.to_owned(),
                text: text.clone(),
                flag: flag.to_owned(),
            }));
        }
        Ok(overrides)
    }
}
