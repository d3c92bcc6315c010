//! `holdfast governance draft resume`

use super::choice::{Choice, Facts, heights};
use super::draft::Office;
use crate::cli::layout::{Sheet, listed, short};
use crate::cli::node_client::{NodeClient, RpcArguments};
use crate::cli::units::now_ms;
use crate::cli::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::Args;
use holdfast_genesis::GenesisTime;
use holdfast_halt::Mode;
use holdfast_rpc::dto::{BlockHeader, BlockSelector, HaltInForce, HaltPhase, HaltReport, Number};
use holdfast_rpc::methods::{GetHaltStatus, GetHeader, HeaderParams, ListEvidence, NoParams};
use holdfast_types::limits::{GOVERNANCE_BYTES_MAX, RESUME_EVIDENCE_MAX, RESUME_HALTS_MAX};
use holdfast_types::{
    BlockId, Era, Evidence, GovernanceAction, HaltCause, HaltId, Height, SoftwareVersion,
    StateRoot, TimestampMs, codec,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The command, as advice names it wherever it is given.
pub(crate) const DRAFT_RESUME: &str =
    "holdfast governance draft resume --from-node URL --reason TEXT --output resume.json";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Node to ask: one that is halted too and has caught up.
    #[arg(long, value_name = "URL")]
    from_node: String,
    /// Why, for everybody who looks.
    #[arg(long)]
    reason: String,
    /// Validators with older software stay out.
    #[arg(long, value_name = "VERSION", default_value = "0.0.0")]
    minimum_version: SoftwareVersion,
    /// Build on the block of this height [default: the highest on which a quorum agrees].
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u64>,
    /// Sequence number of the message [default: the next, as the node says].
    #[arg(long, value_name = "N")]
    sequence: Option<u64>,
    /// Where the message goes; must not exist.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// Bytes of a message that are left for evidence, beside everything else and the signatures.
const EVIDENCE_BYTES_MAX: usize = GOVERNANCE_BYTES_MAX * 3 / 4;

fn refused(why: impl std::fmt::Display) -> Failure {
    Failure::new(
        ExitCode::Refused,
        "there is no block to resume from",
        why,
        "holdfast halt status shows what each validator has; --height HEIGHT names a block by hand",
    )
}

pub(super) fn run(
    arguments: &Arguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let node = RpcArguments::at(arguments.from_node.clone()).connect(global, context)?;
    let report = node.call::<GetHaltStatus>(NoParams {})?;
    if !matches!(report.chain_state, HaltPhase::Halted | HaltPhase::Resuming) {
        return Err(Failure::new(
            ExitCode::Refused,
            "there is nothing to resume",
            format!(
                "the chain is {} at {}",
                report.chain_state.as_str(),
                node.url()
            ),
            "a soft stall ends by itself; name a node that is halted, or halt the chain first",
        ));
    }
    if let Some(fault) = &report.own_fault {
        return Err(Failure::new(
            ExitCode::Refused,
            "the node that was asked has a fault of its own",
            format!("{}: {}", fault.cause, fault.detail),
            "ask another node; docs/runbooks/own-fault.md says what to do with this one",
        ));
    }
    let facts = facts(&node, &report, arguments)?;
    let choice = match arguments.height {
        Some(height) => facts.at(height),
        None => facts.choose(),
    };
    let choice = choice.map_err(refused)?;
    let era = era_on(&node, &choice)?;
    let evidence = evidence(&node)?;
    let office = Office::of_node(&node, arguments.sequence)?;
    let sheet = explanation(arguments, &report, &choice, era, &evidence);
    context.print(&sheet.into_text())?;
    let halts = report.halts.iter().filter(|halt| halt.active);
    let action = GovernanceAction::Resume {
        reason: arguments.reason.as_bytes().to_vec(),
        era,
        height: Height(choice.height),
        block: BlockId::new(*choice.block.as_bytes()),
        state_root: StateRoot::new(*choice.state_root.as_bytes()),
        minimum_version: arguments.minimum_version,
        halts: halts
            .map(|halt| HaltId::new(*halt.id.as_bytes()))
            .take(RESUME_HALTS_MAX)
            .collect(),
        evidence: evidence.taken,
    };
    office.draft(action, &arguments.output, context)
}

/// The era of what stands on the chosen block, which is the one that the message ends.
fn era_on(node: &NodeClient, choice: &Choice) -> Result<Era, Failure> {
    let block = BlockSelector::Height(choice.height);
    let header = node.call::<GetHeader>(HeaderParams { block })?;
    let header = header.filter(|header| header.id == choice.block);
    header.as_ref().map(era_after).ok_or_else(|| {
        Failure::new(
            ExitCode::Refused,
            "the chain of the node that was asked has changed meanwhile",
            format!("it has another block at height {}", choice.height),
            "draft the message again",
        )
    })
}

fn era_after(header: &BlockHeader) -> Era {
    let era = Era(header.era.get());
    match header.next_committee_hash {
        Some(_) => era.next(),
        None => era,
    }
}

/// If the chain goes on by itself soon, when.
fn ends_soon(report: &HaltReport, now_ms: u64) -> Option<u64> {
    const SOON_MS: u64 = 10 * 60 * 1000;
    let ends = report.halts.iter().map(|halt| halt.until_ms);
    // What has no end holds the chain until the message comes.
    let last = ends
        .map(|until| until.map(Number::get))
        .collect::<Option<Vec<u64>>>()?;
    last.into_iter()
        .max()
        .filter(|until| *until < now_ms.saturating_add(SOON_MS))
}

fn facts(node: &NodeClient, report: &HaltReport, arguments: &Arguments) -> Result<Facts, Failure> {
    let head = report.figures.head.height.get();
    let certified = report.figures.certified.height.get();
    let in_emergency = is_in_emergency(report);
    // The committee of an emergency is one account that says nothing of itself.
    let validators = if in_emergency {
        Vec::new()
    } else {
        report.resume.validators.clone()
    };
    let mut chain = BTreeMap::new();
    let wanted = heights(&validators, head, certified);
    for height in wanted.into_iter().chain(arguments.height) {
        let block = BlockSelector::Height(height);
        if let Some(header) = node.call::<GetHeader>(HeaderParams { block })? {
            chain.insert(height, (header.id, header.state_root));
        }
    }
    let is_fork = |halt: &HaltInForce| halt.cause.as_deref() == Some(HaltCause::DagFork.name());
    Ok(Facts {
        validators,
        missing: report.resume.missing.clone(),
        is_forked: report.halts.iter().any(is_fork),
        in_emergency,
        minimum_version: arguments.minimum_version,
        quorum: usize::from(report.figures.quorum),
        head,
        certified,
        chain,
    })
}

fn is_in_emergency(report: &HaltReport) -> bool {
    let name = Mode::EmergencyConsensus.name();
    report.modes.iter().any(|mode| mode == name)
}

/// Evidence for the message, and how much did not fit.
struct Offences {
    taken: Vec<Evidence>,
    listed: usize,
}

fn evidence(node: &NodeClient) -> Result<Offences, Failure> {
    let items = node.call::<ListEvidence>(NoParams {})?;
    let listed = items.len();
    let mut taken = Vec::new();
    let mut bytes = 0usize;
    for item in items.into_iter().take(RESUME_EVIDENCE_MAX) {
        bytes = bytes.saturating_add(item.encoded.0.len());
        if bytes > EVIDENCE_BYTES_MAX {
            break;
        }
        let decoded = codec::decode("evidence", &item.encoded.0, GOVERNANCE_BYTES_MAX);
        taken.push(decoded.map_err(|error| {
            Failure::new(
                ExitCode::Unreachable,
                "the node lists evidence that does not decode",
                error,
                "ask a node of this version",
            )
        })?);
    }
    Ok(Offences { taken, listed })
}

/// What was chosen and why.
fn explanation(
    arguments: &Arguments,
    report: &HaltReport,
    choice: &Choice,
    era: Era,
    evidence: &Offences,
) -> Sheet {
    let mut sheet = Sheet::titled(format_args!(
        "resume on block {}, era {era} ends",
        choice.height
    ));
    sheet.line("why", why(arguments, report, choice));
    sheet.line(
        "block",
        format_args!(
            "{}, state root {}",
            short(choice.block),
            short(choice.state_root)
        ),
    );
    sheet.line("agree", listed(&choice.agree, ", "));
    sheet.line("differ", listed(&choice.differ, "\n"));
    sheet.line("silent", listed(&choice.silent, ", "));
    sheet.line("keep out", listed(&choice.keep_out, "\n"));
    warn(&mut sheet, report, choice);
    sheet.line(
        "evidence",
        format_args!(
            "{} of {} pieces that wait",
            evidence.taken.len(),
            evidence.listed
        ),
    );
    sheet
}

fn why(arguments: &Arguments, report: &HaltReport, choice: &Choice) -> String {
    let certified = report.figures.certified.height;
    let named = arguments.height.is_some();
    if is_in_emergency(report) {
        let why = if named {
            "named by --height"
        } else {
            "the head of the node that was asked"
        };
        return format!(
            "{why}: emergency consensus runs, no quorum is there to agree; nodes on other branches come over; the highest certified block here is {certified}"
        );
    }
    let why = if named {
        "named by --height"
    } else {
        "the highest block on which a quorum agrees"
    };
    format!(
        "{why}: {} of {} agree, quorum {}; the highest certified block here is {certified}",
        choice.agree.len(),
        report.figures.committee_size,
        report.figures.quorum,
    )
}

/// The label of the line that says that no quorum can be ready: such a draft is not to be submitted.
pub(in crate::cli) const TOO_FEW: &str = "ATTENTION";

/// What speaks against submitting the message as things are.
fn warn(sheet: &mut Sheet, report: &HaltReport, choice: &Choice) {
    if !is_in_emergency(report) && choice.can_be_ready() < usize::from(report.figures.quorum) {
        sheet.line(
            TOO_FEW,
            format_args!(
                "{} validators can be ready on this block, {} have to be: the chain will not start on it as things are",
                choice.can_be_ready(),
                report.figures.quorum
            ),
        );
    }
    if let Some(until_ms) = ends_soon(report, now_ms()) {
        sheet.line(
            "halt ends",
            format_args!(
                "by itself at {}: whom the message does not reach before goes on without it and may keep out",
                GenesisTime(TimestampMs(until_ms))
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_message_ends_the_era_of_what_stands_on_the_block() {
        let hash = "11".repeat(32);
        let header = |next: Option<&str>| -> BlockHeader {
            serde_json::from_value(json!({
                "height": 9, "id": hash, "parent": hash, "era": 3, "timestamp_ms": 1,
                "origin": { "kind": "resumed", "message": hash },
                "transactions_root": hash, "events_root": hash, "system_root": hash,
                "state_root": hash, "next_committee_hash": next,
            }))
            .unwrap()
        };
        assert_eq!(era_after(&header(None)), Era(3));
        assert_eq!(era_after(&header(Some(&hash))), Era(4));
    }
}
