//! `holdfast lockdown simulate`: what a lockdown would do now. Nothing is sent but queries.

use crate::cli::layout::{Sheet, count, listed};
use holdfast_halt::Mode;
use holdfast_rpc::dto::{Committee, HaltMatrix, LockdownPhase, LockdownStatus, MatrixRow};
use serde_json::{Value, json};

/// What the node says of itself and of its chain at one moment.
#[derive(Debug)]
pub(super) struct Rehearsal {
    pub(super) status: LockdownStatus,
    pub(super) committee: Committee,
    pub(super) matrix: HaltMatrix,
    /// Transactions that wait on this node.
    pub(super) waiting: u64,
}

/// What the matrix says of an activity in a lockdown.
fn in_lockdown(row: &MatrixRow) -> (&str, &str) {
    let cell = row
        .cells
        .iter()
        .find(|cell| cell.mode == Mode::Lockdown.name());
    cell.map_or(("unknown", "unknown"), |cell| {
        (cell.permission.as_str(), cell.wording.as_str())
    })
}

impl Rehearsal {
    fn members(&self) -> Vec<String> {
        let members = self.committee.members.iter();
        members.map(|member| member.account.to_string()).collect()
    }

    /// Activities with what the matrix says of them, of those that go on, or of the others.
    fn activities(&self, goes_on: bool) -> String {
        let rows = self.matrix.rows.iter().filter_map(|row| {
            let (permission, wording) = in_lockdown(row);
            let continues = matches!(permission, "continues" | "plain_only");
            let name = row.activity.replace('_', " ");
            (continues == goes_on).then(|| {
                if wording.starts_with("continue") {
                    name
                } else {
                    format!("{name}: {wording}")
                }
            })
        });
        listed(rows, "\n")
    }

    /// Whether this node would take part.
    fn part(&self) -> &'static str {
        if self.status.has_secret {
            "hears the votes of the others, and votes if you tell it to"
        } else {
            "has no cluster secret: it neither votes nor hears votes, and freezes when the others show it theirs"
        }
    }

    pub(super) fn as_text(&self, url: &str) -> String {
        let status = &self.status;
        let mut sheet = Sheet::titled(format_args!("IF THE VALIDATORS FROZE THE CHAIN NOW  {url}"));
        if status.phase != LockdownPhase::Normal {
            sheet.line(
                "IT IS REAL",
                format_args!(
                    "the chain is {}: holdfast lockdown status",
                    status.phase.as_str()
                ),
            );
        }
        if status.members == 0 {
            sheet.line(
                "so",
                "nobody could: emergency consensus runs, and the governors halt it (holdfast governance)",
            );
            return sheet.into_text();
        }
        let (era, quorum) = (status.era, status.quorum);
        sheet.line(
            "needed",
            format_args!(
                "{quorum} of {} votes in era {era}, each valid for minutes; cast: {}",
                status.members,
                status.votes.len()
            ),
        );
        sheet.line(
            "frozen",
            format_args!(
                "all validators, and every follower that hears of it: {}",
                listed(self.members(), ", ")
            ),
        );
        sheet.line("stops", self.activities(false));
        sheet.line("goes on", self.activities(true));
        sheet.line(
            "waiting",
            format_args!(
                "{} of this node stay and are executed afterwards; new ones are refused with LOCKDOWN",
                count(self.waiting, "transaction", "transactions")
            ),
        );
        sheet.line("this node", self.part());
        sheet.line(
            "ends",
            format_args!("when {quorum} validators have voted to go on; never by itself"),
        );
        sheet.line("runbook", &status.runbook);
        sheet.into_text()
    }

    pub(super) fn as_json(&self) -> Value {
        let activities = self.matrix.rows.iter().map(|row| {
            let (permission, _) = in_lockdown(row);
            (row.activity.clone(), permission.into())
        });
        json!({
            "era": self.status.era,
            "phase_now": self.status.phase,
            "quorum": self.status.quorum,
            "votes_cast": self.status.votes.len(),
            "frozen": self.members(),
            "activities": activities.collect::<serde_json::Map<String, Value>>(),
            "waiting_transactions": self.waiting,
            "has_secret": self.status.has_secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_halt::matrix::{Activity, permission, wording};
    use holdfast_rpc::dto::MatrixCell;
    use holdfast_rpc::testing::FakeBackend;
    use holdfast_rpc::{Backend as _, FeedLimits};

    /// As a node that runs tells it.
    fn matrix() -> HaltMatrix {
        let row = |activity: Activity| {
            let permission = permission(activity, Mode::Lockdown);
            MatrixRow {
                activity: activity.name().to_owned(),
                cells: vec![MatrixCell {
                    mode: Mode::Lockdown.name().to_owned(),
                    permission: permission.name().to_owned(),
                    wording: wording(activity, Mode::Lockdown).to_owned(),
                }],
                now: "continues".to_owned(),
                now_wording: "continues".to_owned(),
                allowed: true,
            }
        };
        HaltMatrix {
            modes: vec![Mode::Lockdown.name().to_owned()],
            modes_now: Vec::new(),
            rows: Activity::ALL.into_iter().map(row).collect(),
        }
    }

    fn rehearsal(votes: usize) -> Rehearsal {
        let backend = FakeBackend::new(FeedLimits::default());
        backend.produce_block();
        backend.set_lockdown_votes(votes);
        Rehearsal {
            status: backend.lockdown().unwrap(),
            committee: backend.committee(None).unwrap().unwrap(),
            matrix: matrix(),
            waiting: 1,
        }
    }

    #[test]
    fn it_says_who_would_be_frozen_what_stops_and_what_goes_on() {
        let text = rehearsal(0).as_text("http://node");
        for part in [
            "IF THE VALIDATORS FROZE THE CHAIN NOW  http://node\n",
            "3 of 4 votes in era",
            "validator-0",
            "vertex production: stops",
            "transaction submission: rejected",
            "slashing evidence",
            "1 transaction of this node stay",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("IT IS REAL"), "{text}");
        let json = rehearsal(0).as_json();
        assert_eq!(json["activities"]["transaction_submission"], "rejected");
        assert_eq!(json["activities"]["slashing_evidence"], "continues");
        assert_eq!(
            json["frozen"].as_array().map(Vec::len),
            Some(rehearsal(0).committee.members.len())
        );
    }

    #[test]
    fn a_lockdown_that_holds_is_no_rehearsal() {
        let text = rehearsal(3).as_text("http://node");
        assert!(text.contains("IT IS REAL"), "{text}");
        let mut emergency = rehearsal(0);
        emergency.status.members = 0;
        let text = emergency.as_text("http://node");
        assert!(text.contains("nobody could"), "{text}");
    }
}
