//! `holdfast config show|check|template`

use super::global::MissingFile;
use super::{Context, GlobalArguments};
use crate::config::{Config, Loaded, effective_values, render_json, render_toml, template};
use crate::failure::Failure;
use crate::keystore::{self, KeyFile, KeyKind};
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the configuration in force: defaults < file < environment < flags.
    Show(ShowArguments),
    /// Check the configuration and the key files it names, without starting anything.
    Check,
    /// Print a configuration file with every setting, its meaning and its default.
    Template,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Say where each value comes from.
    #[arg(long)]
    origin: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    command: Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => {
            let loaded = global.load_config(context, MissingFile::UseDefaults)?;
            context.print(&show(&loaded, &arguments))
        }
        Command::Check => {
            let loaded = global.load_config(context, MissingFile::Refuse)?;
            let report = check(&loaded)?;
            context.print(&report)
        }
        Command::Template => context.print(&template(&BTreeMap::new())),
    }
}

fn show(loaded: &Loaded, arguments: &ShowArguments) -> String {
    let values = effective_values(loaded);
    if arguments.json {
        return format!("{:#}\n", render_json(&values, arguments.origin));
    }
    let file = loaded.file.as_ref().map_or_else(
        || "# There is no configuration file; holdfast init makes one.\n".to_owned(),
        |path| format!("# File: {}\n", path.display()),
    );
    format!("{file}{}", render_toml(&values, arguments.origin))
}

/// Looks at the key files as `run` would, without opening them.
fn check(loaded: &Loaded) -> Result<String, Failure> {
    let config = &loaded.config;
    let mut report = String::from("the configuration is valid\n");
    if let Some(path) = &loaded.file {
        line(&mut report, "file", path.display());
    }
    let set = effective_values(loaded)
        .iter()
        .filter(|value| value.origin != "default")
        .count();
    line(
        &mut report,
        "settings",
        format_args!("{set} set, the others at their defaults"),
    );
    let network = key(&config.p2p().key_file, KeyKind::Network, &mut report)?;
    line(
        &mut report,
        "peer id",
        crate::peer_id::of_public_key(network.public_key()),
    );
    report_validator(config, &mut report)?;
    let genesis = &config.node().genesis_file;
    if genesis.exists() {
        let chain = super::run::read_genesis(genesis)?;
        line(&mut report, "genesis", genesis.display());
        line(
            &mut report,
            "chain",
            format_args!("{}, id {}", chain.chain_name(), chain.chain_id()),
        );
    } else {
        line(
            &mut report,
            "genesis",
            format_args!("{}  (not there yet: needed to run)", genesis.display()),
        );
    }
    let listen = config.rpc().listen;
    let open = if listen.ip().is_loopback() {
        ""
    } else {
        "  (open to whoever can connect)"
    };
    line(&mut report, "rpc", format_args!("{listen}{open}"));
    let listen: Vec<_> = config
        .p2p()
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    line(&mut report, "p2p", listen.join(", "));
    let peers = config.p2p().peers.len();
    let alone = if peers == 0 {
        "  (none: the node waits until others connect)"
    } else {
        ""
    };
    line(&mut report, "peers", format_args!("{peers}{alone}"));
    Ok(report)
}

fn report_validator(config: &Config, report: &mut String) -> Result<(), Failure> {
    let Some(validator) = config.validator() else {
        line(
            report,
            "validator",
            "no: this node follows the chain and signs nothing",
        );
        return Ok(());
    };
    let signing_key = key(&validator.key_file, KeyKind::Validator, report)?;
    let public_key = hex::encode(signing_key.public_key());
    line(
        report,
        "validator",
        format_args!("{}, signing key {public_key}", validator.account),
    );
    let guard = &validator.sign_guard_file;
    let found = if guard.exists() {
        ""
    } else {
        "  (not there: the node does not start without it)"
    };
    line(
        report,
        "sign guard",
        format_args!("{}{found}", guard.display()),
    );
    Ok(())
}

fn key(path: &Path, wanted: KeyKind, report: &mut String) -> Result<KeyFile, Failure> {
    let key_file = keystore::load_of(path, wanted)?;
    if key_file.is_insecure() {
        line(
            report,
            "WARNING",
            format_args!("{} is insecure: for devnets only", path.display()),
        );
    }
    Ok(key_file)
}

fn line(report: &mut String, label: &str, value: impl std::fmt::Display) {
    let _infallible = writeln!(report, "  {label:<11} {value}");
}
