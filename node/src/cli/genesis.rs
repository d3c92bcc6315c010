//! `holdfast genesis new|validate|show`

mod new;

use super::Context;
use super::layout::Sheet;
use crate::durable_file::read_bounded;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use holdfast_genesis::{Genesis, GenesisError, genesis_block};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Far beyond what a document with every account that fits into memory at start needs.
const DOCUMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the genesis document of a new chain from a template.
    New(Box<new::Arguments>),
    /// Check a genesis document: every violation with its field, rule and value; then warnings.
    Validate(FileArguments),
    /// Show what a genesis document says: chain id, parameters, committee, quorum.
    Show(FileArguments),
}

#[derive(Debug, Args)]
pub(super) struct FileArguments {
    /// The genesis document.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: Command, context: &mut Context<'_>) -> Result<(), Failure> {
    match command {
        Command::New(arguments) => new::run(&arguments, context),
        Command::Validate(arguments) => validate(&arguments, context),
        Command::Show(arguments) => show(&arguments, context),
    }
}

/// Text of a document that may be wrong in any way.
fn read(path: &Path) -> Result<String, Failure> {
    let bytes = File::open(path).and_then(|mut file| read_bounded(&mut file, DOCUMENT_BYTES_MAX));
    let text = bytes.and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| std::io::Error::other(error.to_string()))
    });
    text.map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            format!("cannot read the genesis document {}", path.display()),
            error,
            "check the path; holdfast genesis new writes a new document",
        )
    })
}

/// Reads a document that must be valid, and its text as it stands there.
pub(super) fn read_valid(path: &Path) -> Result<(Genesis, String), Failure> {
    let text = read(path)?;
    check(&text)
        .map(|genesis| (genesis, text))
        .map_err(|violations| refused(path, &violations))
}

/// The genesis, or everything that is wrong with the document.
fn check(text: &str) -> Result<Genesis, Vec<GenesisError>> {
    let violations = Genesis::violations(text);
    if !violations.is_empty() {
        return Err(violations);
    }
    Genesis::parse(text).map_err(|violation| vec![violation])
}

fn refused(path: &Path, violations: &[GenesisError]) -> Failure {
    let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
    Failure::new(
        ExitCode::Usage,
        format!("{} is no valid genesis document", path.display()),
        list.join("\n"),
        "correct the fields named above; a document that others have too is corrected by all together, since its hash is the chain id",
    )
}

fn validate(arguments: &FileArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let path = &arguments.file;
    let checked = check(&read(path)?);
    if arguments.json {
        let violations = checked.as_ref().err().map_or(&[][..], Vec::as_slice);
        let genesis = checked.as_ref().ok();
        let value = json!({
            "valid": genesis.is_some(),
            "chain_id": genesis.map(Genesis::chain_id),
            "violations": violations.iter().map(|violation| json!({
                "field": violation.field,
                "rule": violation.rule,
                "value": violation.value,
            })).collect::<Vec<_>>(),
            "warnings": genesis.map(Genesis::warnings).unwrap_or_default(),
        });
        context.print(&format!("{value:#}\n"))?;
    }
    let genesis = checked.map_err(|violations| refused(path, &violations))?;
    if arguments.json {
        return Ok(());
    }
    context.print(&summary(&genesis, &format!("{} is valid", path.display())))
}

/// The few lines by which one document is told from another.
fn summary(genesis: &Genesis, title: &str) -> String {
    let committee = genesis.committee();
    let mut sheet = Sheet::titled(title);
    sheet.line("chain", genesis.chain_name());
    sheet.line("chain id", genesis.chain_id());
    sheet.line("genesis time", genesis.document().genesis_time);
    sheet.line(
        "committee",
        format_args!(
            "{} of {} slots, quorum {}, tolerates {} faulty",
            committee.size(),
            genesis.parameters().max_validators,
            committee.quorum(),
            committee.max_faulty()
        ),
    );
    for warning in genesis.warnings() {
        sheet.line("WARNING", warning);
    }
    sheet.into_text()
}

fn show(arguments: &FileArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let (genesis, _) = read_valid(&arguments.file)?;
    if arguments.json {
        return context.print(&format!("{:#}\n", as_json(&genesis)));
    }
    let mut text = genesis.show();
    text.push_str(&arithmetic(&genesis));
    for warning in genesis.warnings() {
        text.push_str(&format!("\nWARNING: {warning}\n"));
    }
    context.print(&text)
}

/// How the sizes that matter follow from the number of members.
fn arithmetic(genesis: &Genesis) -> String {
    let committee = genesis.committee();
    let (n, f) = (committee.size(), committee.max_faulty());
    format!(
        "\nquorum arithmetic of the first committee\n\
         \x20 members                      n = {n}\n\
         \x20 faulty members tolerated     f = (n - 1) / 3 rounded down = {f}\n\
         \x20 quorum: commits, signs       q = n - f = {}\n\
         \x20 certifies a vertex           2f + 1 = {}\n\
         \x20 stops the chain if offline   n - q + 1 = {}\n",
        committee.quorum(),
        committee.certified_threshold(),
        n - committee.quorum() + 1
    )
}

fn as_json(genesis: &Genesis) -> Value {
    let committee = genesis.committee();
    let document = genesis.document();
    let first = genesis_block(genesis);
    json!({
        "chain_name": genesis.chain_name(),
        "chain_id": genesis.chain_id(),
        "parameters_hash": hex::encode(genesis.parameters_hash()),
        "genesis_time": document.genesis_time.to_string(),
        "notes": document.notes,
        "block_0": {"id": first.id, "state_root": first.block.header.state_root},
        "committee": {
            "size": committee.size(),
            "slots": genesis.parameters().max_validators,
            "quorum": committee.quorum(),
            "max_faulty": committee.max_faulty(),
            "certified_threshold": committee.certified_threshold(),
            "members": committee.members().iter().map(|member| member.account).collect::<Vec<_>>(),
        },
        "treasury": document.treasury.to_string(),
        "accounts": document.accounts.iter().map(|account| json!({
            "name": account.name,
            "key": account.key,
            "balance": account.balance.to_string(),
        })).collect::<Vec<_>>(),
        "validators": document.validators.iter().map(|validator| json!({
            "account": validator.account,
            "signing_key": validator.signing_key,
            "stake": validator.stake.to_string(),
            "url": validator.url,
        })).collect::<Vec<_>>(),
        "parameters": genesis.parameters(),
        "warnings": genesis.warnings(),
    })
}

#[cfg(test)]
#[path = "genesis/genesis_tests.rs"]
mod tests;
