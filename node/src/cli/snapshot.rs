//! `holdfast snapshot export|import|show`

use super::global::MissingFile;
use super::layout::{Sheet, count};
use super::run::read_genesis;
use super::units::{show_bytes, show_time};
use super::{Context, GlobalArguments};
use crate::config::Config;
use crate::durable_file::{self, Existing, PUBLIC};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::runtime::failures;
use clap::{Args, Subcommand};
use holdfast_chain::snapshot::Trust;
use holdfast_genesis::{Genesis, genesis_block};
use holdfast_storage::{
    CreateMode, Exported, Imported, Manifest, SnapshotChain, SnapshotError, Storage,
    StorageOptions, import_snapshot, read_manifest,
};
use holdfast_types::{BlockId, Ed25519, Height};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the state after a block, with all that a node needs to go on from there, to one file. The node must not run.
    Export(ExportArguments),
    /// Begin a node with a snapshot instead of all blocks. Its data folder must be empty; its sign guard stays as it is.
    Import(ImportArguments),
    /// Say what a snapshot is of, without verifying it.
    Show(ShowArguments),
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The file to write; it must not be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The block to go up to: of it and those below, the highest that is certified is taken, and in an emergency the
    /// blocks above that one too [default: the head].
    #[arg(long, value_name = "NUMBER")]
    height: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The snapshot.
    file: PathBuf,
    /// Id of a block that you trust, from a source that you trust: the block of the snapshot, or one shortly before or
    /// after it. Needed where no certificates lead from genesis to the snapshot.
    #[arg(long, value_name = "ID")]
    trusted_block: Option<BlockId>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The snapshot.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    command: &Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let text = match command {
        Command::Export(arguments) => export(arguments, &set_up(global, context)?)?,
        Command::Import(arguments) => import(arguments, &set_up(global, context)?)?,
        Command::Show(arguments) => show(arguments)?,
    };
    context.print(&text)
}

/// The node whose data folder it is about.
fn set_up(global: &GlobalArguments, context: &Context<'_>) -> Result<(Config, Genesis), Failure> {
    let config = global.load_config(context, MissingFile::Refuse)?.config;
    let genesis = read_genesis(&config.node().genesis_file)?;
    Ok((config, genesis))
}

fn export(
    arguments: &ExportArguments,
    (config, genesis): &(Config, Genesis),
) -> Result<String, Failure> {
    let (out, settings) = (&arguments.out, config.storage());
    if out.exists() {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("will not write {}", out.display()),
            "the file is there already, and no snapshot is overwritten",
            "name another file: --out FILE",
        ));
    }
    let options = StorageOptions {
        create: CreateMode::Existing,
        cache_bytes: settings.cache_bytes,
        ..StorageOptions::default()
    };
    let storage = Storage::open(&settings.data_dir, options, genesis.chain_id())
        .map_err(|error| failures::of_open(&error))?;
    let height = arguments.height.map(Height);
    let exported = durable_file::write_with(out, PUBLIC, Existing::Keep, |file| {
        storage.export_snapshot(height, BufWriter::new(file))
    })
    .map_err(|error| failure("cannot export a snapshot", &error))?;
    let bytes = out.metadata().map_or(0, |metadata| metadata.len());
    Ok(if arguments.json {
        let mut value = as_json(&exported.manifest);
        value["lowest_block"] = json!(exported.lowest);
        value["state_values"] = json!(exported.state_values);
        value["bytes"] = json!(bytes);
        value["needs_trusted_block"] = json!(!exported.is_proven);
        format!("{value:#}\n")
    } else {
        export_sheet(out, &exported, bytes)
    })
}

fn export_sheet(out: &Path, exported: &Exported, bytes: u64) -> String {
    let title = format!("wrote {} ({})", out.display(), show_bytes(bytes));
    let mut sheet = sheet_of(&exported.manifest, &title);
    sheet.line("time", show_time(exported.timestamp.0));
    sheet.line(
        "holds",
        format_args!(
            "{}, blocks from {} on",
            count(exported.state_values, "value", "values"),
            exported.lowest
        ),
    );
    let (_, base) = exported.manifest.base;
    sheet.line(
        "import",
        if exported.is_proven {
            String::from("holdfast snapshot import FILE: its certificates prove it")
        } else {
            format!("holdfast snapshot import FILE --trusted-block {base}")
        },
    );
    sheet.into_text()
}

fn import(
    arguments: &ImportArguments,
    (config, genesis): &(Config, Genesis),
) -> Result<String, Failure> {
    let chain = SnapshotChain {
        id: genesis.chain_id(),
        first_era: genesis_block(genesis).era,
        parameters: Arc::new(genesis.parameters().clone()),
        scheme: Arc::new(Ed25519),
        trusted: arguments.trusted_block,
    };
    let data_dir = &config.storage().data_dir;
    let file = open(&arguments.file)?;
    let imported = import_snapshot(BufReader::new(file), data_dir, &chain)
        .map_err(|error| failure("the snapshot was not imported", &error))?;
    Ok(if arguments.json {
        let mut value = as_json(&imported.manifest);
        value["lowest_block"] = json!(imported.lowest);
        value["state_values"] = json!(imported.state_values);
        value["proved_by"] = json!(match imported.trust {
            Trust::Genesis => "genesis",
            Trust::Block | Trust::BlockAbove(_) => "trusted_block",
        });
        value["first_unproven_era"] = json!(imported.unproven);
        format!("{value:#}\n")
    } else {
        import_sheet(data_dir, &imported)
    })
}

fn import_sheet(data_dir: &Path, imported: &Imported) -> String {
    let title = format!("imported into {}", data_dir.display());
    let mut sheet = sheet_of(&imported.manifest, &title);
    sheet.line(
        "proved by",
        match imported.trust {
            Trust::Genesis => "certificates from genesis on",
            Trust::Block | Trust::BlockAbove(_) => "the block that you trust",
        },
    );
    if let Some(era) = imported.unproven {
        sheet.line(
            "WARNING",
            format_args!(
                "committees from era {era} on are what the snapshot says; evidence of their time is judged by them"
            ),
        );
    }
    sheet.line("next", "holdfast run");
    sheet.into_text()
}

fn show(arguments: &ShowArguments) -> Result<String, Failure> {
    let file = open(&arguments.file)?;
    let manifest = read_manifest(BufReader::new(file))
        .map_err(|error| failure("cannot read the snapshot", &error))?;
    Ok(if arguments.json {
        format!("{:#}\n", as_json(&manifest))
    } else {
        sheet_of(&manifest, &arguments.file.display().to_string()).into_text()
    })
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            format!("cannot read the snapshot {}", path.display()),
            error,
            "check the path; holdfast snapshot export writes a snapshot",
        )
    })
}

fn sheet_of(manifest: &Manifest, title: &str) -> Sheet {
    let mut sheet = Sheet::titled(title);
    let (base, top) = (manifest.base, manifest.top);
    sheet.line("chain id", manifest.chain);
    sheet.line("state of", format_args!("block {} ({})", base.0, base.1));
    if top != base {
        let and = format_args!("with blocks up to {} ({})", top.0, top.1);
        sheet.line("", and);
    }
    if manifest.is_emergency() {
        let start = manifest.emergency_consensus_start_block;
        sheet.line(
            "emergency",
            format_args!("active since block {}", start.unwrap_or_default()),
        );
    }
    sheet.line("written by", format_args!("holdfast {}", manifest.software));
    sheet
}

fn as_json(manifest: &Manifest) -> Value {
    let irreversible = manifest.irreversible;
    json!({
        "chain_id": manifest.chain,
        "height": manifest.base.0,
        "block": manifest.base.1,
        "top_height": manifest.top.0,
        "top_block": manifest.top.1,
        "software": manifest.software,
        "emergency_consensus_active": manifest.is_emergency(),
        "emergency_consensus_start_block": manifest.emergency_consensus_start_block.unwrap_or_default(),
        "irreversible_height": irreversible.map(|(height, _)| height),
        "irreversible_timestamp_ms": irreversible.map(|(_, timestamp)| timestamp),
    })
}

fn failure(what: &str, error: &SnapshotError) -> Failure {
    let refused = |next_step: &str| Failure::new(ExitCode::Refused, what, error, next_step);
    match error {
        SnapshotError::Io(error) => Failure::disk(what, error),
        SnapshotError::Open(error) => failures::of_open(error),
        SnapshotError::Storage(error) => failures::of_storage(error),
        SnapshotError::State(error) => failures::of_state(error),
        SnapshotError::Chain(error) => failures::of_chain(error),
        SnapshotError::NotEmpty { .. } => Failure::new(
            ExitCode::Usage,
            what,
            error,
            "move the data folder away, or name another one: --set storage.data_dir=DIR; leave the sign guard in its place",
        ),
        SnapshotError::WrongChain { .. } => Failure::new(
            ExitCode::GenesisDiffers,
            what,
            error,
            "get a snapshot of your chain, or the genesis file of the snapshot's",
        ),
        SnapshotError::NewerFormat { .. } => refused("install a version that reads it"),
        SnapshotError::AboveHead { .. }
        | SnapshotError::UndoPruned { .. }
        | SnapshotError::BlocksPruned { .. } => {
            refused("leave --height out, or ask a node that keeps more")
        }
        SnapshotError::Refused(_) | SnapshotError::TrustedMissing { .. } => refused(
            "get the id of a block near the snapshot's from people or nodes that you trust, and name it: --trusted-block ID",
        ),
        SnapshotError::NotASnapshot
        | SnapshotError::Damaged { .. }
        | SnapshotError::WrongState { .. }
        | SnapshotError::Contradiction { .. }
        | SnapshotError::BlocksRefused { .. }
        | SnapshotError::ResumeRefused { .. }
        | SnapshotError::WrongTop { .. } => {
            refused("get the snapshot again, or another one; nothing was changed")
        }
    }
}

#[cfg(test)]
#[path = "snapshot/snapshot_tests.rs"]
mod tests;
