use super::*;
use crate::cli::halt::tests::report;
use holdfast_rpc::dto::{SigningStatus, StallReport};
use holdfast_rpc::testing::FakeBackend;
use holdfast_rpc::{Backend as _, FeedLimits};

fn facts(report: HaltReport) -> Facts {
    let backend = FakeBackend::new(FeedLimits::default());
    backend.set_halted(true);
    let receipt = backend.submit_evidence(&[1, 2, 3]).unwrap();
    assert_eq!(receipt.status, holdfast_rpc::dto::EvidenceFate::Accepted);
    Facts {
        url: "http://node".to_owned(),
        journal: backend.halt_history(0, 6).unwrap(),
        evidence: backend.evidence().unwrap(),
        info: backend.node_info().unwrap(),
        report,
    }
}

#[test]
fn the_causal_chain_of_a_halt_on_one_screen() {
    let mut facts = facts(report(true));
    facts.info.signing = SigningStatus {
        state: SigningState::Refused,
        reason: Some("too old".to_owned()),
    };
    let text = facts.as_text();
    for part in [
        "HALTED (emergency_halt)  http://node",
        "  so            this node signs no vertex",
        "  trigger       5e5e",
        "  evidence      1 piece of evidence waits for a block",
        "validator-3: equivocation in era 1, round 12",
        "the proof: holdfast halt proof 5e5e",
        "  missing       validator-3",
        "  signing       REFUSED on this node: too old",
        "halt_began",
        "  NEXT          holdfast governance draft resume",
        "  runbook       docs/runbooks/",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().count() < 30, "one screen:\n{text}");
}

#[test]
fn a_stall_names_the_values_and_the_missing() {
    let mut report = report(false);
    report.chain_state = HaltPhase::Stalled;
    report.modes = vec!["soft_stall".to_owned()];
    report.stall = Some(StallReport {
        reasons: vec!["no_commit".to_owned(), "committee_below_quorum".to_owned()],
        since_ms: Number(1_767_225_700_000),
        seconds: 75.0,
        escalated: false,
    });
    let text = facts(report).as_text();
    for part in [
        "STALLED (soft_stall)",
        "3 of 4 validators are heard, a quorum is 3",
        "  stall         75 s since 2026-01-01T00:01:40Z, no_commit, committee_below_quorum",
        "  missing       validator-3",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn a_running_chain_has_no_reason() {
    let text = facts(report(false)).as_text();
    assert!(text.contains("nothing stops the chain"), "{text}");
}

#[test]
fn in_a_lockdown_transactions_are_rejected() {
    let mut report = report(false);
    report.chain_state = HaltPhase::Halted;
    report.modes = vec!["lockdown".to_owned()];
    let text = facts(report).as_text();
    assert!(text.contains("transactions are rejected"), "{text}");
}

#[test]
fn in_an_emergency_nobody_is_waited_for_to_resume() {
    let mut report = report(false);
    report.chain_state = HaltPhase::Halted;
    report.modes = vec!["emergency_consensus".to_owned()];
    let text = facts(report).as_text();
    assert!(text.contains("masters make the blocks"), "{text}");
    assert!(!text.contains("missing"), "{text}");
}
