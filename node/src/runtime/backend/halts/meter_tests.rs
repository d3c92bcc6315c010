use super::*;
use crate::runtime::halted::fixture::{change, context, key, own_fault, picture, resume, status};
use holdfast_halt::{ModeSet, Stall, StallReason, StallReasons};
use holdfast_types::{Signature, SignedHaltStatus, Signer as _, TimestampMs};

fn says(author: u16, root: u8, readiness: Readiness) -> SignedHaltStatus {
    SignedHaltStatus {
        status: HaltStatus {
            readiness,
            ..status(9, root)
        },
        author: AuthorityIndex(author),
        signature: Signature::new([0; 64]),
    }
}

fn halted(statuses: Vec<SignedHaltStatus>) -> HaltPicture {
    picture(ModeSet::of(Mode::HardHalt), statuses)
}

fn names(list: &[AccountName]) -> Vec<&str> {
    list.iter().map(AccountName::as_str).collect()
}

fn measured(picture: &HaltPicture) -> ResumeMeter {
    let own = key(0).public_key();
    meter(
        picture,
        &context().committee,
        &ChainId::default(),
        Some(&own),
    )
}

#[test]
fn before_a_resume_who_is_outvoted_differs_and_who_is_silent_is_missing() {
    let mut picture = halted(vec![
        says(0, 1, Readiness::NotAsked),
        says(1, 1, Readiness::NotAsked),
        says(2, 2, Readiness::NotAsked),
        says(3, 1, Readiness::NotAsked),
    ]);
    picture.heard_ms[3] = 49_000;
    let meter = measured(&picture);
    assert_eq!(names(&meter.waiting), ["v0", "v1"]);
    assert_eq!(names(&meter.differs), ["v2"]);
    assert_eq!(names(&meter.missing), ["v3"]);
    assert!(meter.ready.is_empty() && meter.message_id.is_none());
    assert!(meter.validators[0].is_this_node);
    assert_eq!(meter.validators[3].seconds_since_heard, Some(11.0));
}

/// Clocks differ between machines: what one of them says of the time is nothing to judge silence by.
#[test]
fn the_clock_of_another_machine_makes_nobody_silent() {
    let mut picture = halted(vec![
        says(0, 1, Readiness::NotAsked),
        says(1, 1, Readiness::NotAsked),
    ]);
    picture.statuses[1].status.at = TimestampMs(1);
    picture.heard_ms[1] = 58_000;
    let meter = measured(&picture);
    assert_eq!(names(&meter.waiting), ["v0", "v1"]);
    assert_eq!(meter.validators[1].seconds_since_heard, Some(2.0));
    assert_eq!(meter.validators[2].seconds_since_heard, None);
}

#[test]
fn while_a_resume_is_carried_out_readiness_counts() {
    let mut picture = halted(vec![
        says(0, 1, Readiness::Ready),
        says(1, 1, Readiness::Behind),
        says(2, 1, Readiness::AttestedAbove),
    ]);
    change(&mut picture, |state| state.resume = Some(resume()));
    let meter = measured(&picture);
    assert_eq!(names(&meter.ready), ["v0"]);
    assert_eq!(names(&meter.waiting), ["v1"]);
    assert_eq!(names(&meter.differs), ["v2"]);
    assert_eq!(names(&meter.missing), ["v3"]);
    assert_eq!(
        (meter.needed, meter.block.map(|b| b.height), meter.sequence),
        (3, Some(Number(9)), Some(Number(3)))
    );
    let advice = advice(&picture, &meter);
    assert!(advice.next_command.contains("1 of 3"), "{advice:?}");
    assert_eq!(advice.runbook, "docs/runbooks/resume.md");
}

#[test]
fn in_a_stall_the_vertices_tell_who_is_missing() {
    let mut picture = picture(ModeSet::of(Mode::SoftStall), Vec::new());
    picture.stall = Some(Stall {
        since_ms: 50_000,
        reasons: StallReasons::of(StallReason::NoCommit),
        escalated: false,
    });
    // Rounds have ended for all of them: only the newest round tells.
    picture.heard_ms = vec![41_000, 41_000, 40_000, 40_000];
    picture.in_newest_round = [0, 1].map(AuthorityIndex).into();
    let meter = measured(&picture);
    assert_eq!(names(&meter.waiting), ["v0", "v1"]);
    assert_eq!(names(&meter.missing), ["v2", "v3"]);
    assert_eq!(
        advice(&picture, &meter).runbook,
        "docs/runbooks/soft-stall.md"
    );
}

#[test]
fn a_running_chain_lists_nobody() {
    let picture = picture(ModeSet::EMPTY, vec![says(0, 1, Readiness::Ready)]);
    let meter = measured(&picture);
    let lists = [&meter.ready, &meter.differs, &meter.waiting, &meter.missing];
    assert!(lists.iter().all(|list| list.is_empty()));
    assert_eq!(advice(&picture, &meter).next_command, "nothing to do");
}

#[test]
fn a_fault_of_this_node_comes_first() {
    let mut picture = halted(Vec::new());
    change(&mut picture, |state| state.own_fault = Some(own_fault()));
    let meter = measured(&picture);
    let advice = advice(&picture, &meter);
    assert!(advice.next_command.contains("--repaired"), "{advice:?}");
}

#[test]
fn in_a_lockdown_the_advice_leads_to_its_own_screen() {
    let picture = picture(ModeSet::of(Mode::Lockdown), Vec::new());
    let advice = advice(&picture, &measured(&picture));
    assert!(advice.next_command.starts_with("holdfast lockdown status"));
    assert_eq!(advice.runbook, "docs/runbooks/lockdown.md");
}

#[test]
fn in_an_emergency_the_advice_leads_to_its_own_screen() {
    let picture = picture(ModeSet::of(Mode::EmergencyConsensus), Vec::new());
    let advice = advice(&picture, &measured(&picture));
    assert!(advice.next_command.starts_with("holdfast emergency status"));
    assert_eq!(advice.runbook, "docs/runbooks/emergency-consensus.md");
}
