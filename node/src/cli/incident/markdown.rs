//! Reports and comparisons as Markdown, which a terminal shows well enough.

use crate::cli::units::show_time;
use crate::incident::diff::{Comparison, Difference, Finding, KeyPair, Pair, Side};
use crate::incident::report::Report;
use crate::incident::{Soundness, clean};
use std::fmt::{Display, Write as _};

/// Text that grows by lines.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: impl Display) {
        let _infallible = writeln!(self.0, "{text}");
    }

    fn heading(&mut self, text: impl Display) {
        self.line(format_args!("\n## {text}\n"));
    }

    fn item(&mut self, text: impl Display) {
        self.line(format_args!("- {text}"));
    }

    /// A section of items, if there are any.
    fn list<T: Display>(&mut self, heading: &str, items: impl IntoIterator<Item = T>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.heading(heading);
            for item in items {
                self.item(item);
            }
        }
    }
}

pub(super) fn report(report: &Report) -> String {
    let mut page = Page::default();
    page.line(format_args!("# Halt {:.16}\n", report.halt));
    page.line(format_args!("**{}**\n", report.sentence));
    page.item(format_args!("halt `{}`", report.halt));
    page.item(format_args!(
        "{}{}, began {}",
        report.mode,
        report
            .cause
            .as_ref()
            .map_or_else(String::new, |cause| format!(" ({cause})")),
        show_time(report.began_ms)
    ));
    page.item(format_args!(
        "chain {} (`{}`)",
        clean(&report.chain_name),
        report.chain
    ));
    page.item(format_args!(
        "bundle {}: {}",
        report.bundle,
        soundness(&report.soundness)
    ));
    if report.after_restart {
        page.item(
            "preserved after a restart in the halt: what only memory knew before is not in it",
        );
    }
    page.list("Proof", &report.proof);
    page.list("Who differs", &report.differing);
    page.list(
        "Offences",
        report.offences.iter().map(|offence| {
            clean(&format!(
                "{}: {} at {} of era {}",
                offence.account, offence.offence, offence.at, offence.era
            ))
        }),
    );
    standing(&mut page, report);
    peers(&mut page, report);
    timeline(&mut page, report);
    page.list(
        "Not preserved",
        report
            .problems
            .iter()
            .map(|problem| clean(&format!("{}: {}", problem.file, problem.reason))),
    );
    page.list("Next", &report.next_steps);
    page.0
}

fn soundness(soundness: &Soundness) -> String {
    match soundness {
        Soundness::Complete => String::from("complete, every file is as it was written"),
        Soundness::Incomplete => String::from("INCOMPLETE: writing it was interrupted, or goes on"),
        Soundness::Changed { files } => {
            format!("CHANGED since it was written: {}", clean(&files.join(", ")))
        }
    }
}

fn standing(page: &mut Page, report: &Report) {
    let standing = &report.standing;
    page.heading("State of this node");
    page.item(format_args!(
        "era {}, round {}",
        standing.era, standing.round
    ));
    page.item(format_args!(
        "head {} `{}`",
        standing.head, standing.head_id
    ));
    page.item(format_args!("state root `{}`", standing.state_root));
    page.item(format_args!(
        "certified {}, irreversible {}",
        standing.certified, standing.irreversible
    ));
    page.item(format_args!("in force: {}", standing.modes.join(", ")));
    if let Some(stalled_ms) = standing.stalled_ms {
        page.item(format_args!("soft stall since {stalled_ms} ms before"));
    }
    let thresholds = &report.thresholds;
    page.item(format_args!(
        "committee of {}: quorum {}, {} may be faulty, a halt needs {} that differ or {} that equivocate",
        standing.committee,
        thresholds.quorum,
        thresholds.faulty_max,
        thresholds.dissenters,
        thresholds.equivocators
    ));
    let versions = &report.versions;
    page.item(format_args!(
        "holdfast {} ({}), database format {}, {}",
        versions.software, versions.commit, versions.database_format, versions.operating_system
    ));
}

fn peers(page: &mut Page, report: &Report) {
    if report.peers.statuses.is_empty() {
        return;
    }
    page.heading("What validators said");
    page.line("| validator | head | block | state root | certified | version | readiness |");
    page.line("|---|---|---|---|---|---|---|");
    for status in &report.peers.statuses {
        page.line(clean(&format!(
            "| {} | {} | {:.8} | {:.8} | {} | {} | {} |",
            status.account,
            status.head.height,
            status.head.id,
            status.state_root,
            status.certified,
            status.version,
            status.readiness
        )));
    }
}

fn timeline(page: &mut Page, report: &Report) {
    page.heading("Timeline");
    for moment in &report.timeline {
        page.item(format_args!(
            "{} `{}` {} {}",
            show_time(moment.at_ms),
            moment.source,
            moment.event,
            moment.detail
        ));
    }
    if !report.journal_last_hash.is_empty() {
        let broken = if report.journal_unbroken {
            ""
        } else {
            "; ITS CHAIN IS BROKEN: it was changed"
        };
        page.line(format_args!(
            "\nLast hash of the journal: `{}`{broken}",
            report.journal_last_hash
        ));
    }
}

pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut page = Page::default();
    side(&mut page, "left", &comparison.left);
    side(&mut page, "right", &comparison.right);
    for note in &comparison.notes {
        page.item(clean(note));
    }
    page.line("");
    match &comparison.finding {
        Finding::Same { up_to } => page.line(format_args!("no difference up to height {up_to}")),
        Finding::OtherChain => page.line("these are stores of two different chains"),
        Finding::Apart => page.line("no height is in both stores: there is nothing to compare"),
        Finding::Differs(difference) => differs(&mut page, difference),
    }
    page.0
}

fn side(page: &mut Page, label: &str, side: &Side) {
    page.item(format_args!(
        "{label}: {}, blocks {} to {} (irreversible up to {})",
        clean(&side.name),
        side.lowest,
        side.head,
        side.irreversible
    ));
}

fn differs(page: &mut Page, difference: &Difference) {
    page.line(format_args!(
        "**the first block that differs is block {}**\n",
        difference.height
    ));
    page.line(format_args!("- left  `{}`", difference.left_id));
    page.line(format_args!("- right `{}`", difference.right_id));
    section(page, "Header", &difference.fields);
    match &difference.transaction {
        None => page.line("\nThe transactions are the same, in the same order."),
        Some(pair) => {
            let show = |id: &Option<String>| id.clone().unwrap_or_else(|| String::from("none"));
            page.heading(format_args!("Transaction {}", pair.index));
            page.item(format_args!("left {}", show(&pair.left)));
            page.item(format_args!("right {}", show(&pair.right)));
        }
    }
    match &difference.receipt {
        None => page.line("\nNo transaction that both have has another receipt."),
        Some(pair) => section(
            page,
            &format!(
                "Receipt of transaction {} (`{}`)",
                pair.index, pair.transaction
            ),
            &pair.differences,
        ),
    }
    if difference.keys_total > 0 {
        page.heading(format_args!(
            "State after the block: {} of the keys that it changed differ",
            difference.keys_total
        ));
    }
    for key in &difference.keys {
        self::key(page, key);
    }
}

fn section(page: &mut Page, heading: &str, pairs: &[Pair]) {
    page.heading(heading);
    for pair in pairs {
        page.item(clean(&pair.what));
        page.line(format_args!("  - left  {}", clean(&pair.left)));
        page.line(format_args!("  - right {}", clean(&pair.right)));
    }
}

fn key(page: &mut Page, key: &KeyPair) {
    let before = if key.differed_before {
        ": DIFFERED BEFORE THE BLOCK ALREADY, so the state was damaged, not executed wrongly"
    } else {
        ""
    };
    page.item(format_args!(
        "**{}** (`{}`){before}",
        clean(&key.name),
        key.key
    ));
    if key.fields.is_empty() {
        let show = |value: &Option<String>| {
            value
                .as_ref()
                .map_or_else(|| String::from("none"), |value| clean(value))
        };
        page.line(format_args!("  - left  {}", show(&key.left)));
        page.line(format_args!("  - right {}", show(&key.right)));
    }
    for pair in &key.fields {
        page.line(format_args!(
            "  - {}: left {}, right {}",
            clean(&pair.what),
            clean(&pair.left),
            clean(&pair.right)
        ));
    }
}
