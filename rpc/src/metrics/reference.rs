//! `docs/metrics.md`, made of the table of names.

use super::names::{ALL, Kind, Label, MetricSpec, OTHER, PROCESS};
use std::fmt::Write;

/// The text of `docs/metrics.md`.
#[must_use]
pub fn metrics_reference() -> String {
    let mut text = String::from(INTRODUCTION);
    text.push_str("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for spec in ALL {
        add(
            &mut text,
            format_args!(
                "| `{}` | {} | {} | {} |\n",
                spec.name,
                kind(spec),
                labels(spec),
                spec.help
            ),
        );
    }
    text.push_str("\n## Label values\n\n");
    text.push_str("| label | of | values |\n|---|---|---|\n");
    for spec in ALL {
        for label in spec.labels {
            add(
                &mut text,
                format_args!(
                    "| `{}` | `{}` | {} |\n",
                    label.name,
                    spec.name,
                    values(label)
                ),
            );
        }
    }
    text.push_str("\n## Process\n\n| metric | meaning |\n|---|---|\n");
    for (name, help) in PROCESS {
        add(&mut text, format_args!("| `{name}` | {help} |\n"));
    }
    text
}

const INTRODUCTION: &str = "\
# Metrics

<!-- Made from the code (rpc/src/metrics/names.rs); do not edit. HOLDFAST_UPDATE_DOCS=1 cargo test --release -p holdfast-rpc documents writes it. -->

`GET /metrics` on the RPC address, in the Prometheus text format 0.0.4.

Names are `holdfast_<area>_<what>_<unit>`; counters end in `_total`; durations are in seconds, sizes in bytes. Every
label has a fixed list of values, and `other` for anything else: no peer, address or caller can add a series. All
series exist from the start, at zero.

Alert rules that read them are in [alerts](alerts/README.md).

";

fn kind(spec: &MetricSpec) -> &'static str {
    match spec.kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
        Kind::Histogram(_) => "histogram",
    }
}

fn labels(spec: &MetricSpec) -> String {
    let labels: Vec<_> = spec
        .labels
        .iter()
        .map(|label| format!("`{}`", label.name))
        .collect();
    labels.join(", ")
}

fn values(label: &Label) -> String {
    let values: Vec<_> = label
        .values
        .iter()
        .chain([&OTHER])
        .map(|value| format!("`{value}`"))
        .collect();
    values.join(", ")
}

fn add(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line)
        .expect("writing to a string does not fail");
}
