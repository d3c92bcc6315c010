//! `holdfast governance submit` and `show`.

use super::file::Message;
use super::sign::{next, sheet_of};
use crate::cli::node_client::RpcArguments;
use crate::cli::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::Args;
use holdfast_rpc::dto::GovernanceBytes;
use holdfast_rpc::methods::{GetGovernanceState, GovernanceParams, NoParams, SubmitGovernance};
use holdfast_types::{ChainId, codec};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(in crate::cli) struct SubmitArguments {
    /// File of the message.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    /// File of the message.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn submit(
    arguments: &SubmitArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let message = Message::read(&arguments.file)?;
    if message.missing() > 0 {
        return Err(Failure::new(
            ExitCode::Usage,
            "the message has too few signatures",
            format!(
                "{} governors have signed, {} have to",
                message.signatures.len(),
                message.threshold
            ),
            "pass the file on to other governors: holdfast governance sign FILE --key KEYSTORE --chain-id HEX",
        ));
    }
    let node = arguments.rpc.connect(global, context)?;
    let state = node.call::<GetGovernanceState>(NoParams {})?;
    let chain = ChainId::new(*state.chain_id.as_bytes());
    if chain != message.chain {
        return Err(Failure::new(
            ExitCode::GenesisDiffers,
            "the node follows another chain",
            format!(
                "the message is for {}, {} follows {chain}",
                message.chain,
                node.url()
            ),
            "name a node of the message's chain: --rpc URL",
        ));
    }
    let encoded = codec::encode(&message.signed());
    let params = GovernanceParams {
        message: GovernanceBytes(encoded.into()),
    };
    let accepted = node.call_or::<SubmitGovernance>("the node refused the message", params)?;
    if arguments.json {
        return context.print(&format!("{:#}\n", json!(accepted)));
    }
    let watch = match accepted.action.as_str() {
        "resume" => "holdfast halt status --watch shows who is ready",
        "halt" => "holdfast why shows what holds; the other nodes learn it by gossip",
        _ => "the chain records it with one of the next blocks",
    };
    context.print(&format!(
        "accepted and durable on {}: {}, sequence {}\n{watch}\n",
        node.url(),
        accepted.action,
        accepted.sequence
    ))
}

pub(super) fn show(arguments: &ShowArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let message = Message::read(&arguments.file)?;
    let governors = || (0u16..).zip(&message.governors);
    let has_signed = |position: u16| message.signatures.contains_key(&position);
    if arguments.json {
        let governors: Vec<_> = governors()
            .map(|(position, key)| {
                json!({ "position": position, "public_key": key, "signed": has_signed(position) })
            })
            .collect();
        let value = json!({
            "chain_id": message.chain,
            "message_id": message.id(),
            "sequence": message.body.sequence.to_string(),
            "action": message.body.action.name(),
            "orders": message.orders(),
            "governors": governors,
            "threshold": message.threshold,
            "signatures": message.signatures.len(),
            "missing": message.missing(),
        });
        return context.print(&format!("{value:#}\n"));
    }
    let mut sheet = sheet_of(&message, "a governance message");
    let count = message.signatures.len();
    sheet.line(
        "signed",
        format_args!(
            "{count} of {} that have to, {} governors; every signature verifies",
            message.threshold,
            message.governors.len()
        ),
    );
    let lines: Vec<String> = governors()
        .map(|(position, key)| {
            let mark = if has_signed(position) { "signed" } else { "-" };
            format!("{position:>2}  {key}  {mark}")
        })
        .collect();
    sheet.line("governors", lines.join("\n"));
    sheet.line("next", next(&message, &arguments.file));
    context.print(&sheet.into_text())
}
