//! `holdfast evidence list|submit`

use super::layout::Sheet;
use super::node_client::RpcArguments;
use super::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use holdfast_rpc::dto::{EvidenceBytes, EvidenceFate};
use holdfast_rpc::methods::{EvidenceParams, ListEvidence, NoParams, SubmitEvidence};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Evidence that waits for a block.
    List(ListArguments),
    /// Hand evidence to a node. It is taken in every state of the chain.
    Submit(SubmitArguments),
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Print one JSON array; with the canonical encodings.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

#[derive(Debug, Args)]
pub(super) struct SubmitArguments {
    /// The evidence in its canonical encoding, as hexadecimal digits.
    #[arg(value_name = "HEX")]
    evidence: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

pub(super) fn run(
    command: &Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments, global, context),
        Command::Submit(arguments) => submit(arguments, global, context),
    }
}

fn list(
    arguments: &ListArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let node = arguments.rpc.connect(global, context)?;
    let items = node.call::<ListEvidence>(NoParams {})?;
    if arguments.json {
        return context.print(&format!("{:#}\n", json!(items)));
    }
    if items.is_empty() {
        return context.print("no evidence waits for a block\n");
    }
    for item in items {
        let mut sheet = Sheet::titled(format_args!("{}  {}", item.slot, item.offence));
        let offender = item
            .offender
            .map_or_else(String::new, |account| format!("{account}, "));
        sheet.line(
            "offender",
            format_args!("{offender}number {} of era {}", item.authority, item.era),
        );
        if let Some(round) = item.round {
            sheet.line("round", round);
        }
        if let Some(height) = item.height {
            sheet.line("block", height);
        }
        sheet.line("size", format_args!("{} bytes", item.encoded.0.len()));
        context.print(&sheet.into_text())?;
    }
    Ok(())
}

fn submit(
    arguments: &SubmitArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let encoded = hex::decode(arguments.evidence.trim()).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            "this is no evidence",
            error,
            "give all the hexadecimal digits, as evidence list --json shows them",
        )
    })?;
    let node = arguments.rpc.connect(global, context)?;
    let params = EvidenceParams {
        evidence: EvidenceBytes(encoded.into()),
    };
    let receipt = node.call_or::<SubmitEvidence>("the node refused the evidence", params)?;
    if arguments.json {
        return context.print(&format!("{:#}\n", json!(receipt)));
    }
    let what = match receipt.status {
        EvidenceFate::Accepted => "accepted: durable here and on its way to the other validators",
        EvidenceFate::Known => "known: this offence waits here already",
        EvidenceFate::Punished => "punished: the chain has executed this offence",
    };
    context.print(&format!("{}  {what}\n", receipt.slot))
}
