//! Figures, their targets, and how they are printed.

use super::machine::Machine;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// What a figure should be, on the two cores that the targets were set for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// One measured number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// Stable name with the unit last, for scripts.
    name: &'static str,
    /// What it is, for people.
    label: &'static str,
    value: f64,
    unit: &'static str,
    target: Option<Target>,
}

/// What a benchmark found.
#[derive(Debug)]
pub(super) struct Report {
    scenario: &'static str,
    /// What gives these figures again.
    command: String,
    machine: Machine,
    figures: Vec<Figure>,
    /// Why the figures count for nothing, if so.
    invalid: Vec<String>,
    /// What the validators did that they must never do, whatever the machine.
    broken: Vec<String>,
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn as_text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {}", short(least)),
            Self::AtMost(most) => format!("at most {}", short(most)),
        }
    }
}

/// As many digits as are worth reading.
fn short(value: f64) -> String {
    if value == value.trunc() || value.abs() >= 1_000.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

impl Report {
    pub(super) fn new(scenario: &'static str, command: String) -> Self {
        Self {
            scenario,
            command,
            machine: Machine::this(),
            figures: Vec::new(),
            invalid: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// Adds a figure without a target.
    pub(super) fn figure(
        &mut self,
        name: &'static str,
        label: &'static str,
        value: f64,
        unit: &'static str,
    ) {
        self.add(name, label, value, unit, None);
    }

    /// Adds a figure with a target.
    pub(super) fn target(
        &mut self,
        name: &'static str,
        label: &'static str,
        value: f64,
        unit: &'static str,
        target: Target,
    ) {
        self.add(name, label, value, unit, Some(target));
    }

    fn add(
        &mut self,
        name: &'static str,
        label: &'static str,
        value: f64,
        unit: &'static str,
        target: Option<Target>,
    ) {
        self.figures.push(Figure {
            name,
            label,
            value,
            unit,
            target,
        });
    }

    /// Says that the figures count for nothing unless this holds.
    pub(super) fn require(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.invalid.push(otherwise.into());
        }
    }

    /// Says that the validators broke a promise unless this holds. Unlike a missed target it always fails.
    pub(super) fn promise(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.broken.push(otherwise.into());
        }
    }

    pub(super) fn as_text(&self) -> String {
        let mut text = format!("{}\n", self.scenario);
        for figure in &self.figures {
            let target = figure.target.map_or_else(String::new, |target| {
                let verdict = if target.is_met(figure.value) {
                    "met"
                } else {
                    "MISSED"
                };
                format!("{}: {verdict}", target.as_text())
            });
            let line = format!(
                "  {:<44} {:>10} {:<10} {target}",
                figure.label,
                short(figure.value),
                figure.unit
            );
            let _infallible = writeln!(text, "{}", line.trim_end());
        }
        for reason in &self.invalid {
            let _infallible = writeln!(text, "  NOT VALID: {reason}");
        }
        for reason in &self.broken {
            let _infallible = writeln!(text, "  BROKEN: {reason}");
        }
        let _infallible = write!(
            text,
            "machine: {}\nagain:   {}\n",
            self.machine.as_text(),
            self.command
        );
        text
    }

    pub(super) fn as_json(&self) -> Value {
        let figures: Map<String, Value> = self
            .figures
            .iter()
            .map(|figure| (figure.name.to_owned(), json!(figure.value)))
            .collect();
        let targets: Map<String, Value> = self
            .figures
            .iter()
            .filter_map(|figure| {
                let target = figure.target?;
                let (bound, value) = match target {
                    Target::AtLeast(value) => ("at_least", value),
                    Target::AtMost(value) => ("at_most", value),
                };
                let met = target.is_met(figure.value);
                Some((figure.name.to_owned(), json!({bound: value, "met": met})))
            })
            .collect();
        json!({
            "scenario": self.scenario,
            "valid": self.invalid.is_empty(),
            "not_valid_because": self.invalid,
            "broken": self.broken,
            "figures": figures,
            "targets": targets,
            "machine": self.machine.as_json(),
            "command": self.command,
        })
    }

    /// Fails if the figures count for nothing or a promise is broken, or, if that is asked for, if a target is missed.
    pub(super) fn verdict(&self, strict: bool) -> Result<(), Failure> {
        if !self.invalid.is_empty() {
            return Err(Failure::new(
                ExitCode::Usage,
                "the figures count for nothing",
                self.invalid.join("\n"),
                "run it again with --directory DIR, and look at the node.log of each node",
            ));
        }
        if !self.broken.is_empty() {
            return Err(Failure::new(
                ExitCode::Usage,
                "the validators did not keep what is promised of them",
                self.broken.join("\n"),
                "see the figures above; --directory DIR keeps the node.log of each node",
            ));
        }
        let missed: Vec<String> = self
            .figures
            .iter()
            .filter(|figure| {
                figure
                    .target
                    .is_some_and(|target| !target.is_met(figure.value))
            })
            .map(|figure| figure.label.to_owned())
            .collect();
        if strict && !missed.is_empty() {
            return Err(Failure::new(
                ExitCode::Usage,
                "a target was missed",
                missed.join("\n"),
                "see the figures above; the targets are those of a machine with two cores that does nothing else",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("throughput", "holdfast bench throughput".to_owned());
        report.target(
            "irreversible_per_s",
            "irreversible transfers",
            10_432.4,
            "/s",
            Target::AtLeast(10_000.0),
        );
        report.target(
            "finality_ms_p99",
            "finality p99",
            1_250.0,
            "ms",
            Target::AtMost(1_000.0),
        );
        report.figure("load_cores", "load generator", 0.214, "cores");
        report
    }

    #[test]
    fn figures_stand_in_columns_with_their_targets() {
        let text = report().as_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "throughput",
                "  irreversible transfers                            10432 /s         at least 10000: met",
                "  finality p99                                       1250 ms         at most 1000: MISSED",
                "  load generator                                     0.21 cores",
            ]
        );
        assert!(lines[4].starts_with("machine: "));
        assert_eq!(lines[5], "again:   holdfast bench throughput");
    }

    #[test]
    fn json_has_figures_and_targets_by_name() {
        let json = report().as_json();
        assert_eq!(json["figures"]["irreversible_per_s"], 10_432.4);
        assert_eq!(
            json["targets"]["irreversible_per_s"],
            json!({"at_least": 10_000.0, "met": true})
        );
        assert_eq!(json["targets"]["finality_ms_p99"]["met"], false);
        assert_eq!(json["valid"], true);
    }

    #[test]
    fn a_missed_target_fails_only_if_asked_for_and_wrong_figures_always() {
        let mut report = report();
        assert!(report.verdict(false).is_ok());
        assert_eq!(report.verdict(true).unwrap_err().why, "finality p99");
        report.require(true, "never said");
        report.require(false, "roots differ");
        assert_eq!(report.verdict(false).unwrap_err().why, "roots differ");
        assert!(report.as_text().contains("NOT VALID: roots differ"));
    }

    #[test]
    fn a_broken_promise_always_fails() {
        let mut report = report();
        report.promise(true, "never said");
        report.promise(false, "v1 halted");
        assert_eq!(report.verdict(false).unwrap_err().why, "v1 halted");
        assert!(report.as_text().contains("BROKEN: v1 halted"));
        assert_eq!(report.as_json()["broken"], json!(["v1 halted"]));
    }
}
