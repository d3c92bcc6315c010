//! `holdfast incident list|report|diff`

mod markdown;

use super::global::MissingFile;
use super::units::show_time;
use super::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::forensics::content::HaltRecord;
use crate::forensics::{folder_of, names};
use crate::incident::diff::compare;
use crate::incident::report::Report;
use crate::incident::{Bundle, IncidentError, bundles, find};
use crate::runtime::failures;
use clap::{Args, Subcommand};
use holdfast_storage::Storage;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the bundles that halts have left on this machine.
    List(ListArguments),
    /// Say what a bundle shows: what happened, who signed what, who differs, what to do.
    Report(ReportArguments),
    /// Find the first block, transaction and key of the state at which two bundles differ.
    Diff(DiffArguments),
}

#[derive(Debug, Args)]
struct DataArguments {
    /// Data folder [default: as configured].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The halt: the beginning of its id is enough. Or the folder of a bundle.
    #[arg(long, value_name = "ID")]
    halt: String,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// A bundle: its folder, its checkpoint, or the beginning of the id of the halt.
    left: String,
    /// The other one.
    right: String,
    #[command(flatten)]
    data: DataArguments,
}

pub(super) fn run(
    command: &Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let text = match command {
        Command::List(arguments) => {
            let folder = arguments.data.folder(global, context)?;
            list(&folder, arguments.data.json)?
        }
        Command::Report(arguments) => {
            let folder = arguments.data.folder(global, context)?;
            let bundle = bundle(&folder, &arguments.halt)?;
            let report = Report::read(&bundle).map_err(|error| failure(&error))?;
            if arguments.data.json {
                as_json(&report)
            } else {
                markdown::report(&report)
            }
        }
        Command::Diff(arguments) => {
            let folder = arguments.data.folder(global, context)?;
            diff(&folder, arguments)?
        }
    };
    context.print(&text)
}

impl DataArguments {
    /// Where the bundles are.
    fn folder(&self, global: &GlobalArguments, context: &Context<'_>) -> Result<PathBuf, Failure> {
        if let Some(data_dir) = &self.data_dir {
            return Ok(folder_of(data_dir));
        }
        let loaded = global.load_config(context, MissingFile::UseDefaults)?;
        Ok(folder_of(&loaded.config.storage().data_dir))
    }
}

fn as_json(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).expect("reports are texts, numbers and lists");
    format!("{value:#}\n")
}

fn failure(error: &IncidentError) -> Failure {
    let (code, next_step) = match error {
        IncidentError::Unknown { .. } | IncidentError::Ambiguous { .. } => (
            ExitCode::Refused,
            "see what there is: holdfast incident list",
        ),
        IncidentError::Unreadable { .. } => (
            ExitCode::DiskFailed,
            "check the path and its permissions; of a damaged bundle, get another copy",
        ),
    };
    Failure::new(code, "cannot read the bundle", error, next_step)
}

/// The folder of a bundle, or the beginning of its id.
fn bundle(folder: &Path, text: &str) -> Result<Bundle, Failure> {
    let path = PathBuf::from(text);
    if path.is_dir() {
        return Ok(Bundle::at(path));
    }
    find(folder, text).map_err(|error| failure(&error))
}

fn list(folder: &Path, json: bool) -> Result<String, Failure> {
    let bundles = bundles(folder).map_err(|error| failure(&error))?;
    if json {
        let lines: Vec<Value> = bundles.iter().map(line_as_json).collect();
        return Ok(format!(
            "{:#}\n",
            json!({ "folder": folder, "bundles": lines })
        ));
    }
    if bundles.is_empty() {
        return Ok(format!(
            "no halt has left a bundle in {}\n",
            folder.display()
        ));
    }
    let mut text = format!("{}\n", folder.display());
    for bundle in &bundles {
        let halt = halt_of(bundle);
        let began = if halt.began_ms == 0 {
            String::from("(time not known)")
        } else {
            show_time(halt.began_ms)
        };
        let _infallible = writeln!(
            text,
            "  {:.16}  {began}  {:<14}  {}{}",
            bundle.id(),
            halt.mode,
            crate::incident::clean(&halt.what),
            marks(bundle)
        );
    }
    text.push_str("report: holdfast incident report --halt ID\n");
    Ok(text)
}

fn halt_of(bundle: &Bundle) -> HaltRecord {
    // A bundle without it is listed all the same.
    bundle.json(names::HALT).ok().flatten().unwrap_or_default()
}

fn is_complete(bundle: &Bundle) -> bool {
    bundle.path().join(names::MANIFEST).is_file()
}

fn marks(bundle: &Bundle) -> String {
    let marks = [
        (!is_complete(bundle)).then_some("incomplete"),
        bundle.checkpoint().is_none().then_some("no checkpoint"),
        bundle.is_kept().then_some("kept"),
    ];
    let marks: Vec<_> = marks.into_iter().flatten().collect();
    if marks.is_empty() {
        String::new()
    } else {
        format!("  [{}]", marks.join(", "))
    }
}

fn line_as_json(bundle: &Bundle) -> Value {
    let halt = halt_of(bundle);
    json!({
        "halt": bundle.id(),
        "path": bundle.path(),
        "began_ms": halt.began_ms,
        "mode": halt.mode,
        "cause": halt.cause,
        "what": halt.what,
        "complete": is_complete(bundle),
        "checkpoint": bundle.checkpoint().is_some(),
        "kept": bundle.is_kept(),
    })
}

fn diff(folder: &Path, arguments: &DiffArguments) -> Result<String, Failure> {
    let left = OpenCopy::of(folder, &arguments.left)?;
    let right = OpenCopy::of(folder, &arguments.right)?;
    let comparison = compare(
        (&arguments.left, &left.storage),
        (&arguments.right, &right.storage),
    )
    .map_err(|error| failures::of_state(&error))?;
    Ok(if arguments.data.json {
        as_json(&comparison)
    } else {
        markdown::comparison(&comparison)
    })
}

/// A store that was opened beside the one that it is a copy of. Field order is drop order: the store closes first.
struct OpenCopy {
    storage: Storage,
    _scratch: tempfile::TempDir,
}

impl OpenCopy {
    fn of(folder: &Path, text: &str) -> Result<Self, Failure> {
        let path = store_path(folder, text)?;
        let scratch = tempfile::Builder::new()
            .prefix("holdfast-incident-")
            .tempdir()
            .map_err(|error| Failure::disk("cannot make a temporary folder", &error))?;
        let storage =
            Storage::open_copy(&path, scratch.path()).map_err(|error| failures::of_open(&error))?;
        Ok(Self {
            storage,
            _scratch: scratch,
        })
    }
}

fn store_path(folder: &Path, text: &str) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(text);
    if path.join("CURRENT").is_file() {
        return Ok(path);
    }
    let bundle = bundle(folder, text)?;
    bundle.checkpoint().ok_or_else(|| {
        Failure::new(
            ExitCode::Refused,
            format!("cannot compare {text}"),
            format!("{} holds no checkpoint", bundle.path().display()),
            "its halt.json says why; compare a copy of the data folder of a node that is stopped instead",
        )
    })
}

#[cfg(test)]
#[path = "incident/incident_tests.rs"]
mod tests;
