//! The shipped alert rules: what they name exists, and their table is complete. Whether they fire is for `promtool` to say.

use holdfast_rpc::metrics::names::{ALL, Kind, OTHER, PROCESS};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const RULES: &str = "docs/alerts/holdfast.rules.yml";
const TABLE: &str = "docs/alerts/README.md";
const FIRING: &str = "docs/alerts/holdfast.rules.test.yml";
const HEALTHY: &str = "docs/alerts/healthy.rules.test.yml";
/// What Prometheus itself says of a target.
const OF_PROMETHEUS: &str = "up{job=\"holdfast\"}";
/// Labels that the scrape gives to every series.
const OF_THE_SCRAPE: [&str; 2] = ["instance", "job"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// An alert of the rules file.
struct Alert {
    name: String,
    /// The lines up to the next alert.
    lines: Vec<String>,
}

impl Alert {
    /// The value of a key that stands once in an alert, on one line.
    fn value(&self, key: &str) -> &str {
        let prefix = format!("{key}: ");
        let mut values = self.lines.iter().filter_map(|line| {
            let value = line.trim().strip_prefix(&prefix)?;
            Some(value.trim_matches('"'))
        });
        let value = values.next();
        assert!(
            value.is_some() && values.next().is_none(),
            "{RULES}: {} needs one line `{key}: …`",
            self.name
        );
        value.unwrap()
    }
}

fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for line in read(RULES).lines() {
        let code = line.trim_start();
        if code.starts_with('#') {
            continue;
        }
        if let Some(name) = code.strip_prefix("- alert: ") {
            alerts.push(Alert {
                name: name.to_owned(),
                lines: Vec::new(),
            });
        } else if let Some(alert) = alerts.last_mut() {
            alert.lines.push(code.to_owned());
        }
    }
    assert!(!alerts.is_empty(), "{RULES} has no alerts");
    alerts
}

/// Names of series, as far as they look like ours or like those of the process.
fn series(text: &str) -> Vec<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let word = &rest[start..];
        let end = word.find(|c| !is_name(c)).unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        if name.starts_with("holdfast_") || name.starts_with("process_") {
            found.push((name, after));
        }
        rest = after;
    }
    found
}

/// Labels of a metric with their values, if it exists.
fn labels_of(series: &str) -> Option<Vec<(&'static str, &'static [&'static str])>> {
    if PROCESS.iter().any(|(name, _)| *name == series) {
        return Some(Vec::new());
    }
    let histogram = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| series.strip_suffix(suffix));
    let spec = ALL.iter().find(|spec| match spec.kind {
        Kind::Histogram(_) => histogram == Some(spec.name),
        Kind::Gauge | Kind::Counter => spec.name == series,
    })?;
    let labels = spec.labels.iter().map(|label| (label.name, label.values));
    let mut labels: Vec<_> = labels.collect();
    if matches!(spec.kind, Kind::Histogram(_)) && series.ends_with("_bucket") {
        labels.push(("le", &[]));
    }
    Some(labels)
}

/// Checks what stands in the braces after a series.
fn check_selector(alert: &str, series: &str, after: &str) {
    let labels = labels_of(series)
        .unwrap_or_else(|| panic!("{RULES}: {alert} names {series}, which no node has"));
    let Some((selector, _)) = after
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
    else {
        return;
    };
    for matcher in selector.split(',') {
        let end = matcher.find(['=', '!']).unwrap();
        let (label, value) = matcher.split_at(end);
        if OF_THE_SCRAPE.contains(&label) {
            continue;
        }
        let known = labels.iter().find(|(name, _)| *name == label);
        let (_, values) = known.unwrap_or_else(|| {
            panic!("{RULES}: {alert}: {series} has no label {label} in names.rs")
        });
        let value = value.trim_start_matches(['=', '!', '~']);
        for value in value.trim_matches(['"', '\'']).split('|') {
            assert!(
                label == "le" || value == OTHER || values.contains(&value),
                "{RULES}: {alert}: {label} of {series} is never {value}"
            );
        }
    }
}

#[test]
fn alerts_name_metrics_that_exist() {
    for alert in alerts() {
        let text = alert.lines.join("\n");
        let found = series(&text);
        assert!(
            !found.is_empty() || text.contains(OF_PROMETHEUS),
            "{RULES}: {} looks at nothing",
            alert.name
        );
        for (series, after) in found {
            check_selector(&alert.name, series, after);
        }
    }
}

#[test]
fn alerts_name_runbooks_that_exist() {
    for alert in alerts() {
        let runbook = alert.value("runbook");
        assert!(
            runbook.starts_with("docs/runbooks/") && path(runbook).is_file(),
            "{RULES}: {}: there is no runbook {runbook}",
            alert.name
        );
    }
    // The runbook for single nodes has a row for each alert that sends people there.
    let page = read("docs/runbooks/one-node.md");
    for alert in alerts() {
        assert_eq!(
            page.contains(&alert.name),
            alert.value("runbook") == "docs/runbooks/one-node.md",
            "docs/runbooks/one-node.md and {RULES} differ about {}",
            alert.name
        );
    }
}

#[test]
fn alerts_are_all_in_the_table() {
    let rules: BTreeSet<String> = alerts()
        .iter()
        .map(|alert| {
            let runbook = alert.value("runbook");
            let file = runbook.rsplit('/').next().unwrap();
            let severity = alert.value("severity");
            assert!(
                ["page", "ticket"].contains(&severity),
                "{RULES}: {}: severity is page or ticket, not {severity}",
                alert.name
            );
            format!(
                "| `{}` | {severity} | [{file}](../runbooks/{file}) |",
                alert.name
            )
        })
        .collect();
    let page = read(TABLE);
    let rows: BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.splitn(5, '|').take(4).collect::<Vec<_>>().join("|") + "|")
        .collect();
    assert_eq!(rows, rules, "{TABLE} against {RULES}");
}

#[test]
fn alerts_are_all_tested_by_promtool() {
    let (firing, healthy) = (read(FIRING), read(HEALTHY));
    for Alert { name, .. } in alerts() {
        assert!(
            firing.contains(&format!("- alertname: {name}\n")),
            "{FIRING} does not show that {name} fires"
        );
        let silent = format!("alertname: {name},");
        assert!(
            firing.contains(&silent) && healthy.contains(&silent),
            "{FIRING} or {HEALTHY} does not show that {name} is silent"
        );
    }
}
