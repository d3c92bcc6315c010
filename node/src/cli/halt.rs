//! `holdfast halt status|history|matrix|proof`

use super::layout::{Sheet, count, listed, short};
use super::node_client::RpcArguments;
use super::units::{show_seconds, show_time};
use super::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use holdfast_rpc::dto::{
    AccountName, HaltInForce, HaltPhase, HaltReport, Hash, JournalEntry, Number, ValidatorStanding,
};
use holdfast_rpc::methods::{
    GetHaltHistory, GetHaltMatrix, GetHaltProof, GetHaltStatus, HaltIdParams, HistoryParams,
    NoParams,
};
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What stops the chain, and who is ready to go on.
    Status(StatusArguments),
    /// The halt journal: everything that halted and resumed this node.
    History(HistoryArguments),
    /// What every activity does in every mode, and what holds now.
    Matrix(MatrixArguments),
    /// What a halt in force stands on.
    Proof(ProofArguments),
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Again every second, until the chain runs.
    #[arg(long)]
    watch: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArguments {
    /// Number of the first entry [default: so that the last ones are shown].
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// How many entries.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=500))]
    limit: u64,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

#[derive(Debug, Args)]
pub(super) struct MatrixArguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

#[derive(Debug, Args)]
pub(super) struct ProofArguments {
    /// Id of the halt, as halt status shows it.
    id: Hash,
    /// Print nothing but the canonical encoding, as hexadecimal digits.
    #[arg(long)]
    hex: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run(
    command: &Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Status(arguments) => status(arguments, global, context),
        Command::History(arguments) => history(arguments, global, context),
        Command::Matrix(arguments) => matrix(arguments, global, context),
        Command::Proof(arguments) => proof(arguments, global, context),
    }
}

fn status(
    arguments: &StatusArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let node = arguments.rpc.connect(global, context)?;
    loop {
        let report = node.call::<GetHaltStatus>(NoParams {})?;
        let text = if arguments.json {
            format!("{:#}\n", json!(report))
        } else {
            status_sheet(&report, node.url()).into_text()
        };
        context.print(&text)?;
        if !arguments.watch || report.chain_state == HaltPhase::Running {
            return Ok(());
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// The title of a screen on halts.
pub(super) fn title(report: &HaltReport, url: &str) -> String {
    let state = report.chain_state.as_str().to_uppercase();
    if report.modes.is_empty() {
        format!("{state}  {url}")
    } else {
        format!("{state} ({})  {url}", report.modes.join(", "))
    }
}

/// Emergency consensus runs, and nothing else holds.
pub(super) fn in_emergency(report: &HaltReport) -> bool {
    report.modes == ["emergency_consensus"]
}

/// The validators have frozen the chain.
pub(super) fn is_locked(report: &HaltReport) -> bool {
    report.modes.iter().any(|mode| mode == "lockdown")
}

/// A halt in a few lines.
pub(super) fn halt_text(halt: &HaltInForce) -> String {
    let mut lines = vec![format!("{}  {}", halt.id, halt.mode)];
    let mut line = |text: String| lines.push(text);
    match (&halt.cause, &halt.reason) {
        (Some(cause), _) => line(format!("{cause}: {}", halt.sentence)),
        (None, Some(reason)) => line(format!("{}: {reason:?}", halt.sentence)),
        (None, None) => line(halt.sentence.clone()),
    }
    line(format!(
        "known here since {}",
        show_time(halt.since_ms.get())
    ));
    if let Some(until) = halt.until_ms {
        line(format!("ends by itself at {}", show_time(until.get())));
    }
    if let Some(height) = halt.after_height {
        let state = if halt.active { "since" } else { "WAITS for" };
        line(format!("{state} block {height}"));
    }
    lines.join("\n")
}

pub(super) fn names(list: &[AccountName]) -> String {
    listed(list, ", ")
}

fn status_sheet(report: &HaltReport, url: &str) -> Sheet {
    let mut sheet = Sheet::titled(title(report, url));
    sheet.line("halts", listed(report.halts.iter().map(halt_text), "\n"));
    add_stall_and_fault(&mut sheet, report);
    add_figures(&mut sheet, report);
    add_meter(&mut sheet, report);
    sheet.line(
        "waiting",
        format_args!(
            "{}, {}",
            count(
                report.transactions_queued.get(),
                "transaction",
                "transactions"
            ),
            count(
                report.evidence_waiting.get(),
                "piece of evidence",
                "pieces of evidence"
            )
        ),
    );
    sheet.line("next", &report.next_command);
    sheet.line("runbook", &report.runbook);
    sheet
}

/// What this node alone sees.
pub(super) fn add_stall_and_fault(sheet: &mut Sheet, report: &HaltReport) {
    if let Some(fault) = &report.own_fault {
        sheet.line(
            "OWN FAULT",
            format_args!(
                "{}: {}\nat block {}: {}\nsince {}",
                fault.cause,
                fault.sentence,
                fault.height,
                fault.detail,
                show_time(fault.since_ms.get())
            ),
        );
    }
    if let Some(stall) = &report.stall {
        let escalated = if stall.escalated {
            "; ESCALATED: it does not end without people"
        } else {
            ""
        };
        sheet.line(
            "stall",
            format_args!(
                "{} since {}, {}{escalated}",
                show_seconds(stall.seconds),
                show_time(stall.since_ms.get()),
                stall.reasons.join(", ")
            ),
        );
    }
}

/// The figures from which halts are judged.
pub(super) fn add_figures(sheet: &mut Sheet, report: &HaltReport) {
    let figures = &report.figures;
    sheet.line(
        "chain",
        format_args!(
            "era {}, head {}, certified {}; last block {} ago",
            figures.era,
            figures.head.height,
            figures.certified.height,
            show_seconds(figures.seconds_since_commit)
        ),
    );
    sheet.line(
        "committee",
        format_args!(
            "{} validators, quorum {}, {} active, {} certified vertices (weak below {})",
            figures.committee_size,
            figures.quorum,
            figures.active_committee,
            figures.certified_vertices,
            figures.certified_threshold
        ),
    );
}

/// Who is ready to go on.
fn add_meter(sheet: &mut Sheet, report: &HaltReport) {
    let meter = &report.resume;
    // Nobody resumes an emergency: it ends by itself.
    if report.chain_state == HaltPhase::Running || in_emergency(report) {
        return;
    }
    let resume = match (&meter.block, meter.sequence) {
        (Some(block), Some(sequence)) => {
            format!(
                "message {sequence} is carried out: the next era is built on block {}, {}",
                block.height, block.id
            )
        }
        _ => "nobody has resumed".to_owned(),
    };
    sheet.line("resume", resume);
    sheet.line(
        "ready",
        format_args!(
            "{} of {} needed: {}",
            meter.ready.len(),
            meter.needed,
            names(&meter.ready)
        ),
    );
    sheet.line("differs", names(&meter.differs));
    sheet.line("follows", names(&meter.waiting));
    sheet.line("missing", names(&meter.missing));
    let rows: Vec<_> = meter.validators.iter().map(row).collect();
    let head = format!(
        "{:<16} {:>8} {:>8} {:<12} {:<12} {:<8} {:<14} heard",
        "account", "head", "attested", "block", "state root", "version", "readiness"
    );
    sheet.line("validators", format_args!("{head}\n{}", rows.join("\n")));
}

fn row(one: &ValidatorStanding) -> String {
    let number = |number: Option<Number>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let hash = |hash: Option<Hash>| hash.map_or_else(|| "-".to_owned(), short);
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let readiness = one.own_fault.as_ref().map_or_else(
        || text(&one.readiness),
        |cause| format!("OWN FAULT {cause}"),
    );
    let heard = one.seconds_since_heard.map_or_else(
        || "never".to_owned(),
        |seconds| format!("{} ago", show_seconds(seconds)),
    );
    let mark = if one.is_this_node { "*" } else { "" };
    format!(
        "{:<16} {:>8} {:>8} {:<12} {:<12} {:<8} {readiness:<14} {heard}",
        format!("{}{mark}", one.account),
        number(one.head),
        number(one.attested),
        hash(one.block_id),
        hash(one.state_root),
        text(&one.version),
    )
}

fn history(
    arguments: &HistoryArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let node = arguments.rpc.connect(global, context)?;
    let report = node.call::<GetHaltStatus>(NoParams {})?;
    let written = report.journal_entries.get();
    let from = arguments
        .from
        .unwrap_or_else(|| written.saturating_sub(arguments.limit));
    let entries = node.call::<GetHaltHistory>(HistoryParams {
        from: Some(Number(from)),
        limit: Some(Number(arguments.limit)),
    })?;
    if arguments.json {
        return context.print(&format!("{:#}\n", json!(entries)));
    }
    context.print(&history_text(&entries, from, written))
}

/// The entries from number `from` on, of a journal in which `written` are.
fn history_text(entries: &[JournalEntry], from: u64, written: u64) -> String {
    let Some(last) = entries.last() else {
        return written.checked_sub(1).map_or_else(
            || "the halt journal is empty: nothing has halted or stalled this node\n".to_owned(),
            |last| format!("the halt journal has no entry from {from} on, its last is {last}\n"),
        );
    };
    let lines: String = entries
        .iter()
        .map(|entry| journal_line(entry) + "\n")
        .collect();
    format!(
        "{lines}hash of the last entry: {}; keep it with the incident report\n",
        last.hash
    )
}

/// An entry of the journal in a line.
pub(super) fn journal_line(entry: &JournalEntry) -> String {
    let fields: Vec<String> = entry
        .fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name} {}", plain(value)))
        .collect();
    format!(
        "{:>5}  {}  era {} head {}  {}  {}",
        entry.index.get(),
        show_time(entry.at_ms.get()),
        entry.era,
        entry.head,
        entry.event,
        fields.join(", ")
    )
    .trim_end()
    .to_owned()
}

/// Hashes are shortened: the journal in JSON has them whole.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.len() == 64 => short(text),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn matrix(
    arguments: &MatrixArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let node = arguments.rpc.connect(global, context)?;
    let matrix = node.call::<GetHaltMatrix>(NoParams {})?;
    if arguments.json {
        return context.print(&format!("{:#}\n", json!(matrix)));
    }
    let in_words = |name: &str| name.replace('_', " ");
    let modes = listed(&matrix.modes_now, ", ");
    let mut text = format!("modes that hold now: {modes}\n\n{:<24}", "activity");
    for mode in &matrix.modes {
        text.push_str(&format!("{:<28}", in_words(mode)));
    }
    text.push_str("NOW\n");
    for row in &matrix.rows {
        text.push_str(&format!("{:<24}", in_words(&row.activity)));
        for cell in &row.cells {
            text.push_str(&format!("{:<28}", cell.wording));
        }
        let mark = if row.allowed { "" } else { " (closed)" };
        text.push_str(&format!("{}{mark}\n", row.now_wording));
    }
    context.print(&text)
}

fn proof(
    arguments: &ProofArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let node = arguments.rpc.connect(global, context)?;
    let id = arguments.id;
    let proof = node
        .call::<GetHaltProof>(HaltIdParams { id })?
        .ok_or_else(|| {
            Failure::new(
                ExitCode::Refused,
                format!("no halt {id} is in force"),
                format!("the node at {} is in no halt with this id", node.url()),
                "holdfast halt status lists the halts in force, holdfast halt history those before",
            )
        })?;
    if arguments.hex {
        return context.print(&format!("{}\n", hex::encode(&proof.encoded.0)));
    }
    context.print(&format!("{:#}\n", json!(proof)))
}

#[cfg(test)]
#[path = "halt_tests.rs"]
pub(super) mod tests;
