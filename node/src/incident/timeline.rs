//! The journal and the recorder in one order.

use super::clean;
use crate::forensics::content::JournalLine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lines of a report: more is not read. The whole recorder is in the bundle.
const LINES_MAX: usize = 300;
/// Of what happens all the time, the last before the end are shown.
const ROUTINE_MAX: usize = 5;

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    pub at_ms: u64,
    /// `journal` or `recorder`.
    pub source: &'static str,
    pub event: String,
    pub detail: String,
}

/// A line of the recorder, as it is read back.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Recorded {
    wall_ms: u64,
    kind: String,
    name: String,
    era: Option<u64>,
    round: Option<u64>,
    height: Option<u64>,
    author: Option<u16>,
    count: u32,
    digest: String,
    detail: String,
}

impl Recorded {
    /// What happens many times a second on a chain that is well.
    fn is_routine(&self) -> bool {
        match self.kind.as_str() {
            "fact" => matches!(
                self.name.as_str(),
                "proposed" | "committed" | "certified" | "vertex_parked" | "vertex_dropped"
            ),
            "verdict" | "taken_back" => false,
            "executed" => true,
            _ => !matches!(
                self.name.as_str(),
                "halt_proof" | "governance" | "evidence" | "own_fault" | "resume_refused"
            ),
        }
    }

    fn moment(self) -> Moment {
        let number =
            |label: &str, number: Option<u64>| number.map(|number| format!("{label} {number}"));
        let parts = [
            number("era", self.era),
            number("round", self.round),
            number("height", self.height),
            number("authority", self.author.map(u64::from)),
            number(
                "count",
                Some(u64::from(self.count)).filter(|count| *count > 0),
            ),
            Some(self.digest).filter(|text| !text.is_empty()),
            Some(self.detail).filter(|text| !text.is_empty()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        Moment {
            at_ms: self.wall_ms,
            source: "recorder",
            event: clean(&format!("{} {}", self.kind, self.name)),
            detail: clean(&parts.join(", ")),
        }
    }
}

/// Both in one order; of the routine, the last of each kind. Lines that do not decode are left out: a recorder that was
/// cut off is worth reading up to there.
#[must_use]
pub(super) fn merge(journal: &[JournalLine], recorder: &str) -> Vec<Moment> {
    let recorded = recorder.lines().map(serde_json::from_str::<Recorded>);
    let recorded: Vec<_> = recorded.filter_map(Result::ok).collect();
    let mut routine: BTreeMap<String, usize> = BTreeMap::new();
    let mut moments: Vec<Moment> = Vec::new();
    for entry in recorded.into_iter().rev() {
        if entry.is_routine() {
            let seen = routine
                .entry(format!("{} {}", entry.kind, entry.name))
                .or_default();
            *seen += 1;
            if *seen > ROUTINE_MAX {
                continue;
            }
        }
        moments.push(entry.moment());
    }
    moments.reverse();
    moments.extend(journal.iter().map(|line| Moment {
        at_ms: line.at_ms,
        source: "journal",
        event: clean(&line.event),
        detail: clean(&format!(
            "{} (era {}, head {})",
            line.detail, line.era, line.head
        )),
    }));
    // Stable: what has the same time stays in its order.
    moments.sort_by_key(|moment| moment.at_ms);
    let superfluous = moments.len().saturating_sub(LINES_MAX);
    moments.drain(..superfluous);
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routine_is_thinned_and_the_rest_is_in_order() {
        let mut recorder: String = (0..100)
            .map(|at| {
                format!(
                    "{{\"wall_ms\":{at},\"kind\":\"received\",\"name\":\"vertex\",\"round\":{at}}}\n"
                )
            })
            .collect();
        recorder.push_str(
            "{\"wall_ms\":50,\"kind\":\"fact\",\"name\":\"equivocation\",\"author\":3}\n",
        );
        recorder.push_str("{\"wall_ms\":120,\"kind\":\"fa");
        let journal = [JournalLine {
            at_ms: 97,
            event: String::from("halt_began"),
            detail: String::from("bad\u{1b}[2J"),
            ..JournalLine::default()
        }];
        let lines = merge(&journal, &recorder);
        let shown: Vec<_> = lines
            .iter()
            .map(|line| (line.at_ms, line.event.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (50, "fact equivocation"),
                (95, "received vertex"),
                (96, "received vertex"),
                (97, "received vertex"),
                (97, "halt_began"),
                (98, "received vertex"),
                (99, "received vertex"),
            ]
        );
        assert_eq!(lines[0].detail, "authority 3");
        assert_eq!(lines[4].detail, "bad [2J (era 0, head 0)");
    }
}
