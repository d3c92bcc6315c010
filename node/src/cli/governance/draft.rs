//! `holdfast governance draft …`

use super::file::Message;
use super::resume;
use super::sign::{next, sheet_of};
use crate::cli::genesis::read_valid;
use crate::cli::global::MissingFile;
use crate::cli::key_text::public_key;
use crate::cli::node_client::{NodeClient, RpcArguments};
use crate::cli::units::{now_ms, parse_duration};
use crate::cli::{Context, GlobalArguments};
use crate::durable_file::Existing;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use holdfast_genesis::rules::EMERGENCY_HALT_MS_MAX;
use holdfast_rpc::methods::{GetGovernanceState, NoParams};
use holdfast_types::{
    ChainId, GovernanceAction, GovernanceBody, GovernanceError, Height, PublicKey, TimestampMs,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Halt the chain, for at most 30 days.
    Halt(HaltArguments),
    /// Resume a halted chain: asks a node which block a quorum agrees on.
    Resume(resume::Arguments),
    /// Other governors from the next message on.
    RotateKeys(RotateArguments),
}

/// Where governors, chain id and sequence number come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source")]
pub(super) struct Source {
    /// Ask this node for governors, chain id and sequence number.
    #[arg(long, value_name = "URL")]
    pub(super) from_node: Option<String>,
    /// Without a node: genesis document with the governors [default: that of the home folder].
    #[arg(long, value_name = "FILE", conflicts_with = "from_node")]
    genesis: Option<PathBuf>,
    /// Sequence number of the message [default: the next, as the node says].
    #[arg(long, value_name = "N")]
    sequence: Option<u64>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HaltArguments {
    /// Why, for everybody who looks.
    #[arg(long)]
    reason: String,
    /// How long at most: 10m, 2h, 3d. It counts from now: leave time to sign.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, required_unless_present = "until")]
    lasts: Option<Duration>,
    /// The same as a time, in milliseconds since 1970.
    #[arg(long, value_name = "MS", conflicts_with = "lasts")]
    until: Option<u64>,
    /// Halt after the block of this height [default: at once].
    #[arg(long, value_name = "HEIGHT")]
    after_height: Option<u64>,
    #[command(flatten)]
    source: Source,
    /// Where the message goes; must not exist.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RotateArguments {
    /// Public key or key file of a new governor, in the order of their numbers. Repeat it for each.
    #[arg(long = "governor", value_name = "KEY", required = true)]
    governors: Vec<String>,
    /// Signatures that a message will need: more than half of them.
    #[arg(long, value_name = "N")]
    threshold: u16,
    #[command(flatten)]
    source: Source,
    /// Where the message goes; must not exist.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// The governors in office, and what the next message is numbered.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) chain: ChainId,
    pub(super) governors: Vec<PublicKey>,
    pub(super) threshold: u16,
    pub(super) sequence: u64,
}

pub(super) fn run(
    command: &Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Halt(arguments) => {
            let office = arguments.source.office(global, context)?;
            let action = arguments.action();
            office.draft(action, &arguments.output, context)
        }
        Command::Resume(arguments) => resume::run(arguments, global, context),
        Command::RotateKeys(arguments) => {
            let office = arguments.source.office(global, context)?;
            let keys = arguments.governors.iter();
            let keys = keys.map(|text| public_key("--governor", text));
            let action = GovernanceAction::RotateKeys {
                keys: keys.collect::<Result<_, _>>()?,
                threshold: arguments.threshold,
            };
            office.draft(action, &arguments.output, context)
        }
    }
}

impl HaltArguments {
    fn action(&self) -> GovernanceAction {
        let until = self.until.unwrap_or_else(|| {
            let lasts = self.lasts.unwrap_or_default().as_millis();
            now_ms().saturating_add(u64::try_from(lasts).unwrap_or(u64::MAX))
        });
        GovernanceAction::Halt {
            reason: self.reason.as_bytes().to_vec(),
            until: TimestampMs(until),
            after_height: self.after_height.map(Height),
        }
    }
}

impl Source {
    pub(super) fn office(
        &self,
        global: &GlobalArguments,
        context: &Context<'_>,
    ) -> Result<Office, Failure> {
        if let Some(url) = &self.from_node {
            let node = RpcArguments::at(url.clone()).connect(global, context)?;
            return Office::of_node(&node, self.sequence);
        }
        let sequence = self.sequence.ok_or_else(|| {
            Failure::new(
                ExitCode::Usage,
                "cannot tell the sequence number",
                "without a node nobody knows which messages were accepted",
                "give --from-node URL, or --sequence N above that of every message before",
            )
        })?;
        let path = match &self.genesis {
            Some(path) => path.clone(),
            None => {
                let loaded = global.load_config(context, MissingFile::UseDefaults)?;
                loaded.config.node().genesis_file.clone()
            }
        };
        let (genesis, _) = read_valid(&path)?;
        let governance = &genesis.parameters().governance;
        Ok(Office {
            chain: genesis.chain_id(),
            governors: governance.keys.clone(),
            threshold: governance.threshold,
            sequence,
        })
    }
}

impl Office {
    /// As a node knows it; without a sequence number the message gets the next.
    pub(super) fn of_node(node: &NodeClient, sequence: Option<u64>) -> Result<Self, Failure> {
        let state = node.call::<GetGovernanceState>(NoParams {})?;
        let keys = state.governors.iter();
        Ok(Self {
            chain: ChainId::new(*state.chain_id.as_bytes()),
            governors: keys
                .map(|governor| PublicKey::new(*governor.public_key.as_bytes()))
                .collect(),
            threshold: state.threshold,
            sequence: sequence.unwrap_or_else(|| state.sequence_next.get()),
        })
    }

    /// Writes the message, if the chain could ever take it.
    pub(super) fn draft(
        self,
        action: GovernanceAction,
        output: &std::path::Path,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let message = Message {
            chain: self.chain,
            body: GovernanceBody {
                sequence: self.sequence,
                action,
            },
            governors: self.governors,
            threshold: self.threshold,
            signatures: BTreeMap::new(),
        };
        let refused = |error: &GovernanceError| {
            Failure::new(
                ExitCode::Usage,
                "no node would take this message",
                error,
                "correct it; nothing was written",
            )
        };
        let body = &message.body;
        body.check_limits().map_err(|error| refused(&error))?;
        let now = TimestampMs(now_ms());
        message
            .signed()
            .check_end(now, EMERGENCY_HALT_MS_MAX)
            .map_err(|error| refused(&error))?;
        message.write(output, Existing::Keep)?;
        let mut sheet = sheet_of(&message, "drafted");
        sheet.line(
            "governors",
            format_args!(
                "{} of {} sign, each with holdfast governance sign {} --key KEYSTORE --chain-id HEX",
                message.threshold,
                message.governors.len(),
                output.display()
            ),
        );
        sheet.line("next", next(&message, output));
        context.print(&sheet.into_text())
    }
}
