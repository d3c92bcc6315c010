//! What came of a drill, for people and for programs.

use super::kills::Kill;
use super::kind::Kind;
use crate::cli::layout::Sheet;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What one run found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Run {
    /// By the name of the figure; what did not happen has none.
    #[serde(flatten)]
    pub(super) times: BTreeMap<&'static str, f64>,
    /// Transfers that a validator has acknowledged, before, in and after the halt.
    pub(super) accepted: u64,
    pub(super) queued_during_halt: u64,
    /// Transfers that were refused as the chain was frozen, and sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused_in_lockdown: Option<u64>,
    /// Transfers that were acknowledged in an emergency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accepted_in_emergency: Option<u64>,
    /// A commit that no master had took the emergency back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) was_taken_back: bool,
    /// Emergency blocks, of all of which a certificate came in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) emergency_blocks: Option<u64>,
    pub(super) irreversible: u64,
    pub(super) lost: u64,
    pub(super) slashed: Vec<String>,
    /// To whom something was done.
    pub(super) disturbed: Vec<String>,
    pub(super) halts: Vec<String>,
    /// Gives the plan of the kills, if nodes are to be killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    /// Nodes that were killed besides, and started again at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) kills: Vec<Kill>,
    /// What did not go as it should.
    pub(super) failed: Vec<String>,
    /// The homes of the validators, if they were kept.
    pub(super) kept_in: Option<PathBuf>,
    #[serde(skip)]
    pub(super) accepted_at_resume: u64,
}

impl Run {
    /// Says what did not go as it should unless this holds.
    pub(super) fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.failed.push(otherwise());
        }
    }

    /// Notes a time, if there is one.
    pub(super) fn time(&mut self, name: &'static str, milliseconds: Option<f64>) {
        self.times
            .extend(milliseconds.map(|milliseconds| (name, milliseconds)));
    }

    /// The emergency was taken back: these times are not those of its end.
    pub(super) fn taken_back(&mut self, times: &[&str]) {
        self.was_taken_back = true;
        self.times.retain(|name, _| !times.contains(name));
    }

    pub(super) fn passed(&self) -> bool {
        self.failed.is_empty()
    }

    const fn verdict(&self) -> &'static str {
        if self.failed.is_empty() {
            "passed"
        } else {
            "FAILED"
        }
    }

    /// Whom the seed has hit, and when.
    fn killed(&self) -> String {
        let kills: Vec<String> = self.kills.iter().map(ToString::to_string).collect();
        format!("{} kills: {}", kills.len(), kills.join(", "))
    }

    /// One line, for a drill that is repeated; one more if nodes were killed.
    pub(super) fn as_line(&self, kind: Kind, number: u16) -> String {
        let figures = kind.figures();
        let times: Vec<String> = figures
            .iter()
            .map(|figure| format!("{} {}", figure.label, shown(self.times.get(figure.name))))
            .collect();
        let mut line = format!(
            "{number:>3} {}: {}; {} accepted, {} lost",
            self.verdict(),
            times.join(", "),
            self.accepted,
            self.lost
        );
        if self.was_taken_back {
            line.push_str(&format!("\n    {TAKEN_BACK}"));
        }
        if let Some(seed) = self.seed {
            line.push_str(&format!("\n    seed {seed}: {}", self.killed()));
        }
        for why in &self.failed {
            line.push_str(&format!("\n    {}", first_line(why)));
        }
        line.push('\n');
        line
    }
}

const TAKEN_BACK: &str =
    "a validator came back with a commit that no master had, and the DAG went on above it";

/// All runs of a drill.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) kind: Kind,
    pub(super) validators: u16,
    pub(super) runs: Vec<Run>,
}

impl Outcome {
    fn summary_of(&self, name: &str) -> Option<Summary> {
        let runs = self.runs.iter();
        Summary::of(runs.filter_map(|run| run.times.get(name).copied()))
    }

    fn failures(&self) -> usize {
        self.runs.iter().filter(|run| !run.passed()).count()
    }

    pub(super) fn as_json(&self) -> Value {
        let of_all = self.kind.figures().into_iter();
        let measured: Map<String, Value> = of_all
            .clone()
            .map(|figure| (figure.name.to_owned(), json!(figure.how)))
            .collect();
        let figures: Map<String, Value> = of_all
            .map(|figure| {
                let summary = self.summary_of(figure.name);
                (figure.name.to_owned(), json!(summary))
            })
            .collect();
        json!({
            "drill": self.kind.name(),
            "validators": self.validators,
            "runbook": self.kind.runbook(),
            "repetitions": self.runs.len(),
            "failures": self.failures(),
            "passed": self.failures() == 0,
            "figures": figures,
            "measured": measured,
            "runs": self.runs,
        })
    }

    pub(super) fn as_text(&self) -> String {
        match self.runs.as_slice() {
            [run] => self.sheet(run),
            _ => self.summary(),
        }
    }

    fn titled(&self, verdict: &str) -> Sheet {
        let (kind, validators) = (self.kind.name(), self.validators);
        Sheet::titled(format_args!("{kind}, {validators} validators: {verdict}"))
    }

    fn sheet(&self, run: &Run) -> String {
        let mut sheet = self.titled(run.verdict());
        for why in &run.failed {
            sheet.line("FAILED", first_line(why));
        }
        sheet.line("what", self.kind.story(&run.disturbed.join(", ")));
        if !run.halts.is_empty() {
            sheet.line("halt id", run.halts.join(", "));
        }
        for figure in self.kind.figures() {
            let time = shown(run.times.get(figure.name));
            sheet.line(figure.label, format_args!("{time} {}", figure.how));
        }
        let queued = run.queued_during_halt;
        let held = match (self.kind, run.refused_in_lockdown) {
            (_, Some(refused)) => format!("{refused} refused in the lockdown and sent again"),
            (Kind::EmergencyConsensus(_), None) => format!("{queued} of them queued in the stall"),
            _ => format!("{queued} of them queued in the halt"),
        };
        sheet.line(
            "transfers",
            format_args!(
                "{} accepted, {held}; {} irreversible, {} lost",
                run.accepted, run.irreversible, run.lost
            ),
        );
        if let (Some(accepted), Some(blocks)) = (run.accepted_in_emergency, run.emergency_blocks) {
            sheet.line(
                "emergency",
                format_args!("{blocks} blocks, {accepted} transfers accepted meanwhile"),
            );
        }
        if run.was_taken_back {
            sheet.line("taken back", TAKEN_BACK);
        }
        if let Some(seed) = run.seed {
            sheet.line("seed", format_args!("{seed}: {}", run.killed()));
        }
        let slashed = if run.slashed.is_empty() {
            "nobody".to_owned()
        } else {
            format!("{}, nobody else", run.slashed.join(", "))
        };
        sheet.line("slashed", slashed);
        self.end(sheet)
    }

    fn summary(&self) -> String {
        let failures = self.failures();
        let verdict = if failures == 0 {
            format!("passed {} times", self.runs.len())
        } else {
            format!("FAILED {failures} of {} times", self.runs.len())
        };
        let mut sheet = self.titled(&verdict);
        for figure in self.kind.figures() {
            let summary = self.summary_of(figure.name);
            let text = summary.map_or_else(
                || "never".to_owned(),
                |it| format!("median {} ms, at most {} ms", it.median, it.max),
            );
            sheet.line(figure.label, text);
        }
        let sum = |of: fn(&Run) -> u64| self.runs.iter().map(of).sum::<u64>();
        sheet.line(
            "transfers",
            format_args!(
                "{} accepted, {} lost",
                sum(|run| run.accepted),
                sum(|run| run.lost)
            ),
        );
        let taken_back = self.runs.iter().filter(|run| run.was_taken_back).count();
        if taken_back > 0 {
            sheet.line(
                "taken back",
                format_args!("{taken_back} times: {TAKEN_BACK}"),
            );
        }
        let kills = self.runs.iter().map(|run| run.kills.len()).sum::<usize>();
        if kills > 0 {
            sheet.line("kills", format_args!("{kills} at random moments"));
        }
        self.end(sheet)
    }

    fn end(&self, mut sheet: Sheet) -> String {
        for folder in self.runs.iter().filter_map(|run| run.kept_in.as_ref()) {
            sheet.line("kept in", folder.display());
        }
        sheet.line("runbook", self.kind.runbook());
        sheet.into_text()
    }

    /// Fails if a run has failed.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let Some(run) = self.runs.iter().find(|run| !run.passed()) else {
            return Ok(());
        };
        Err(Failure::new(
            ExitCode::Usage,
            format!("{} of {} drills failed", self.failures(), self.runs.len()),
            run.failed
                .iter()
                .map(|why| first_line(why))
                .collect::<Vec<_>>()
                .join("\n"),
            "look at the node.log of each validator in the folder that was kept",
        ))
    }
}

/// Of the times of all runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Summary {
    median: f64,
    max: f64,
}

impl Summary {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let max = *values.last()?;
        let median = *values.get((values.len() - 1) / 2)?;
        Some(Self { median, max })
    }
}

/// The end of a log may follow: the log itself is kept.
fn first_line(why: &str) -> &str {
    why.lines().next().unwrap_or_default()
}

fn shown(milliseconds: Option<&f64>) -> String {
    milliseconds.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms"))
}

#[cfg(test)]
mod tests {
    use super::super::kills::Phase;
    use super::*;

    fn run(detect_ms: f64) -> Run {
        Run {
            times: [
                ("detect_ms", detect_ms),
                ("halted_everywhere_ms", 31.0),
                ("resume_request_to_first_commit_ms", 412.5),
            ]
            .into(),
            accepted: 90,
            queued_during_halt: 25,
            irreversible: 90,
            slashed: vec!["validator-3".to_owned()],
            disturbed: vec!["v3".to_owned()],
            halts: vec!["5e5e".to_owned()],
            ..Run::default()
        }
    }

    fn outcome(runs: Vec<Run>) -> Outcome {
        Outcome {
            kind: Kind::HardHalt,
            validators: 4,
            runs,
        }
    }

    #[test]
    fn one_run_is_a_sheet() {
        let text = outcome(vec![run(0.8)]).as_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "hard-halt, 4 validators: passed",
                "  what          v3 attested another state root than its block has",
                "  halt id       5e5e",
            ]
        );
        let transfers =
            "  transfers     90 accepted, 25 of them queued in the halt; 90 irreversible, 0 lost";
        assert!(lines.contains(&transfers), "{text}");
        assert!(lines.contains(&"  slashed       validator-3, nobody else"));
        let last = "  runbook       docs/runbooks/scenario-a-state-root-divergence.md";
        assert_eq!(lines.last(), Some(&last));
    }

    #[test]
    fn a_run_that_failed_says_why_first_and_where_its_files_are() {
        let mut bad = run(0.8);
        bad.require(true, || unreachable!("this holds"));
        bad.require(false, || "1 accepted transfers are lost".to_owned());
        bad.kept_in = Some(PathBuf::from("/somewhere"));
        let outcome = outcome(vec![bad]);
        let text = outcome.as_text();
        assert!(
            text.starts_with(
                "hard-halt, 4 validators: FAILED\n  FAILED        1 accepted transfers are lost\n"
            ),
            "{text}"
        );
        assert!(text.contains("  kept in       /somewhere\n"), "{text}");
        let failure = outcome.verdict().unwrap_err();
        assert_eq!(failure.what, "1 of 1 drills failed");
        assert_eq!(failure.why, "1 accepted transfers are lost");
    }

    #[test]
    fn what_was_killed_is_told_with_the_seed() {
        let killed = || {
            let mut run = run(1.0);
            run.seed = Some(42);
            run.kills = vec![Kill {
                phase: Phase::Stall,
                after_ms: 17,
                nodes: vec!["v0".to_owned()],
            }];
            run
        };
        let line = killed().as_line(Kind::HardHalt, 1);
        assert!(
            line.ends_with("\n    seed 42: 1 kills: v0 stall+17ms\n"),
            "{line}"
        );
        let one = outcome(vec![killed()]);
        let expected = "  seed          42: 1 kills: v0 stall+17ms\n";
        assert!(one.as_text().contains(expected));
        assert_eq!(one.as_json()["runs"][0]["kills"][0]["phase"], "stall");
        let text = outcome(vec![killed(), killed(), run(1.0)]).as_text();
        assert!(
            text.contains("  kills         2 at random moments\n"),
            "{text}"
        );
    }

    #[test]
    fn an_emergency_that_was_taken_back_has_no_end_to_be_measured() {
        let mut back = run(1.0);
        back.taken_back(&["halted_everywhere_ms"]);
        assert_eq!(back.times.len(), 2);
        let line = back.as_line(Kind::HardHalt, 1);
        assert!(line.contains("all halted never"), "{line}");
        assert!(line.ends_with(&format!("\n    {TAKEN_BACK}\n")), "{line}");
        assert!(outcome(vec![back.clone()]).as_text().contains(TAKEN_BACK));
        let text = outcome(vec![back, run(1.0)]).as_text();
        assert!(
            text.contains("  taken back    1 times: a validator"),
            "{text}"
        );
        assert!(text.contains("passed 2 times"), "{text}");
    }

    #[test]
    fn many_runs_give_medians_and_maxima() {
        let mut never = run(0.0);
        never.times.remove("detect_ms");
        let runs = vec![run(3.0), run(1.0), run(2.0), never];
        let outcome = outcome(runs);
        let text = outcome.as_text();
        assert!(text.starts_with("hard-halt, 4 validators: passed 4 times\n"));
        assert!(text.contains("median 2 ms, at most 3 ms"), "{text}");
        let json = outcome.as_json();
        assert_eq!(
            json["figures"]["detect_ms"],
            json!({"median": 2.0, "max": 3.0})
        );
        assert_eq!(json["runs"][0]["detect_ms"], 3.0);
        assert_eq!(json["failures"], 0);
        assert_eq!(json["runs"].as_array().map(Vec::len), Some(4));
        assert!(json["measured"]["detect_ms"].is_string());
        assert!(outcome.verdict().is_ok());
    }
}
