//! `holdfast why`: the causal chain of what stands still, on one screen.

use super::halt::{
    add_figures, add_stall_and_fault, halt_text, in_emergency, is_locked, journal_line, names,
    title,
};
use super::layout::{Sheet, count};
use super::node_client::RpcArguments;
use super::{Context, GlobalArguments};
use crate::failure::Failure;
use clap::Args;
use holdfast_rpc::dto::{
    EvidenceItem, HaltPhase, HaltReport, JournalEntry, NodeInfo, Number, SigningState,
};
use holdfast_rpc::methods::{
    GetHaltHistory, GetHaltStatus, GetInfo, HistoryParams, ListEvidence, NoParams,
};
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

/// Entries of the journal that are shown.
const ENTRIES_SHOWN: u64 = 6;
/// Offences that are listed.
const OFFENCES_SHOWN: usize = 5;

/// What the screen is made of.
struct Facts {
    url: String,
    report: HaltReport,
    journal: Vec<JournalEntry>,
    evidence: Vec<EvidenceItem>,
    info: NodeInfo,
}

pub(super) fn run(
    arguments: &Arguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let node = arguments.rpc.connect(global, context)?;
    let report = node.call::<GetHaltStatus>(NoParams {})?;
    let first = report.journal_entries.get().saturating_sub(ENTRIES_SHOWN);
    let facts = Facts {
        url: node.url().to_owned(),
        journal: node.call::<GetHaltHistory>(HistoryParams {
            from: Some(Number(first)),
            limit: Some(Number(ENTRIES_SHOWN)),
        })?,
        evidence: node.call::<ListEvidence>(NoParams {})?,
        info: node.call::<GetInfo>(NoParams {})?,
        report,
    };
    if arguments.json {
        let value = json!({
            "url": facts.url,
            "halts": facts.report,
            "journal": facts.journal,
            "evidence": facts.evidence,
            "signing": facts.info.signing,
        });
        return context.print(&format!("{value:#}\n"));
    }
    context.print(&facts.as_text())
}

impl Facts {
    fn as_text(&self) -> String {
        let report = &self.report;
        let mut sheet = Sheet::titled(title(report, &self.url));
        sheet.line("so", self.in_a_sentence());
        let halts: Vec<_> = report.halts.iter().map(halt_text).collect();
        if !halts.is_empty() {
            sheet.line("trigger", halts.join("\n"));
        }
        add_stall_and_fault(&mut sheet, report);
        add_figures(&mut sheet, report);
        self.add_evidence(&mut sheet);
        self.add_who(&mut sheet);
        self.add_signing(&mut sheet);
        let entries: Vec<_> = self.journal.iter().map(journal_line).collect();
        if !entries.is_empty() {
            sheet.line("journal", entries.join("\n"));
        }
        sheet.line("NEXT", &report.next_command);
        sheet.line("runbook", &report.runbook);
        sheet.into_text()
    }

    /// What stands still and what goes on.
    fn in_a_sentence(&self) -> String {
        let meter = &self.report.resume;
        match self.report.chain_state {
            HaltPhase::Running => "nothing stops the chain".to_owned(),
            HaltPhase::Stalled => format!(
                "nothing is committed, and nobody ordered that: {} of {} validators are heard, a quorum is {}; transactions wait, and the chain goes on by itself",
                meter.waiting.len(),
                self.report.figures.committee_size,
                self.report.figures.quorum
            ),
            HaltPhase::Halted if in_emergency(&self.report) => "the quorum is gone: masters make the blocks, transactions are executed, and all of it is provisional until the validators are back and certify it".to_owned(),
            HaltPhase::Halted if is_locked(&self.report) => "the validators have frozen the chain by vote, and vote when to go on; queries, evidence and gossip go on, transactions are rejected".to_owned(),
            HaltPhase::Halted => "this node signs no vertex and commits nothing until somebody resumes; queries, evidence and gossip go on, transactions wait".to_owned(),
            HaltPhase::Resuming => format!(
                "a resume is being carried out: {} of {} validators are ready",
                meter.ready.len(),
                meter.needed
            ),
        }
    }

    fn add_evidence(&self, sheet: &mut Sheet) {
        let mut lines = vec![format!(
            "{} for a block",
            count(
                self.evidence.len() as u64,
                "piece of evidence waits",
                "pieces of evidence wait"
            )
        )];
        for item in self.evidence.iter().take(OFFENCES_SHOWN) {
            let offender = item.offender.as_ref().map_or_else(
                || format!("validator number {}", item.authority),
                ToString::to_string,
            );
            let place = match (item.round, item.height) {
                (Some(round), _) => format!("round {round}"),
                (None, Some(height)) => format!("block {height}"),
                (None, None) => String::new(),
            };
            lines.push(format!(
                "{offender}: {} in era {}, {place}",
                item.offence, item.era
            ));
        }
        for halt in &self.report.halts {
            lines.push(format!("the proof: holdfast halt proof {}", halt.id));
        }
        sheet.line("evidence", lines.join("\n"));
    }

    fn add_who(&self, sheet: &mut Sheet) {
        let meter = &self.report.resume;
        // In an emergency there is no committee of validators to miss any of.
        if self.report.chain_state == HaltPhase::Running || in_emergency(&self.report) {
            return;
        }
        sheet.line("missing", names(&meter.missing));
        sheet.line("differs", names(&meter.differs));
        if self.report.chain_state == HaltPhase::Resuming {
            sheet.line("ready", names(&meter.ready));
        }
    }

    fn add_signing(&self, sheet: &mut Sheet) {
        let signing = &self.info.signing;
        if signing.state == SigningState::Refused {
            let reason = signing.reason.as_deref().unwrap_or("for an unknown reason");
            sheet.line("signing", format_args!("REFUSED on this node: {reason}"));
        }
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
