use super::*;
use holdfast_halt::{HaltState, ModeSet, OwnFault, Stall, StallReason, StallReasons};
use holdfast_types::{
    BlockId, Era, GovernanceBody, GovernanceMessage, HaltCause, HaltId, Height, KeyPair, Member,
    Signature, SignedHaltStatus, Signer as _, SoftwareVersion, StateRoot,
};

const NOW: TimestampMs = TimestampMs(1_000_000);

fn key(number: u8) -> KeyPair {
    KeyPair::from_secret(&[number; 32])
}

fn committee() -> Committee {
    let member = |number: u8| Member {
        account: holdfast_types::AccountName::new(&format!("v{number}")).unwrap(),
        signing_key: key(number).public_key(),
    };
    Committee::new((0..4).map(member).collect()).unwrap()
}

fn status(author: u16, head: u64, root: u8, readiness: Readiness) -> SignedHaltStatus {
    SignedHaltStatus {
        status: HaltStatus {
            era: Era(1),
            head: Height(head),
            head_id: BlockId::new([root; 32]),
            state_root: StateRoot::new([root; 32]),
            certified: Height(head - 1),
            attested: Height(head),
            version: SoftwareVersion::default(),
            halts: Vec::new(),
            own_fault: None,
            resume: None,
            readiness,
            at: TimestampMs(NOW.0 - 500),
        },
        author: AuthorityIndex(author),
        signature: Signature::new([0; 64]),
    }
}

fn picture(mode: Mode, statuses: Vec<SignedHaltStatus>) -> HaltPicture {
    let own = statuses
        .first()
        .map_or_else(|| status(0, 9, 1, Readiness::NotAsked), Clone::clone);
    HaltPicture {
        state: HaltState::default(),
        modes: ModeSet::of(mode),
        stall: None,
        now_ms: 60_000,
        readiness: Readiness::NotAsked,
        own: own.status,
        statuses,
        heard_ms: vec![60_000; 4],
        in_newest_round: std::collections::BTreeSet::new(),
        evidence: Vec::new(),
    }
}

fn resume() -> GovernanceMessage {
    GovernanceMessage {
        body: GovernanceBody {
            sequence: 3,
            action: GovernanceAction::Resume {
                reason: Vec::new(),
                era: Era(1),
                height: Height(9),
                block: BlockId::new([1; 32]),
                state_root: StateRoot::new([1; 32]),
                minimum_version: SoftwareVersion::default(),
                halts: Vec::new(),
                evidence: Vec::new(),
            },
        },
        signatures: Vec::new(),
    }
}

fn names(list: &[AccountName]) -> Vec<&str> {
    list.iter().map(AccountName::as_str).collect()
}

fn measured(picture: &HaltPicture) -> ResumeMeter {
    let own = key(0).public_key();
    meter(picture, &committee(), &ChainId::default(), NOW, Some(&own))
}

#[test]
fn before_a_resume_who_is_outvoted_differs_and_who_is_silent_is_missing() {
    let mut late = status(3, 9, 1, Readiness::NotAsked);
    late.status.at = TimestampMs(NOW.0 - 11_000);
    let picture = picture(
        Mode::HardHalt,
        vec![
            status(0, 9, 1, Readiness::NotAsked),
            status(1, 9, 1, Readiness::NotAsked),
            status(2, 9, 2, Readiness::NotAsked),
            late,
        ],
    );
    let meter = measured(&picture);
    assert_eq!(names(&meter.waiting), ["v0", "v1"]);
    assert_eq!(names(&meter.differs), ["v2"]);
    assert_eq!(names(&meter.missing), ["v3"]);
    assert!(meter.ready.is_empty() && meter.message_id.is_none());
    assert!(meter.validators[0].is_this_node);
    assert_eq!(meter.validators[3].seconds_since_heard, Some(11.0));
}

#[test]
fn while_a_resume_is_carried_out_readiness_counts() {
    let mut picture = picture(
        Mode::HardHalt,
        vec![
            status(0, 9, 1, Readiness::Ready),
            status(1, 9, 1, Readiness::Behind),
            status(2, 9, 1, Readiness::AttestedAbove),
        ],
    );
    picture.state.resume = Some(resume());
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
    let mut picture = picture(Mode::SoftStall, Vec::new());
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
    let mut picture = picture(Mode::HardHalt, vec![status(0, 9, 1, Readiness::Ready)]);
    picture.modes = ModeSet::EMPTY;
    let meter = measured(&picture);
    let lists = [&meter.ready, &meter.differs, &meter.waiting, &meter.missing];
    assert!(lists.iter().all(|list| list.is_empty()));
    assert_eq!(advice(&picture, &meter).next_command, "nothing to do");
}

#[test]
fn a_fault_of_this_node_comes_first() {
    let mut picture = picture(Mode::HardHalt, Vec::new());
    picture.state.own_fault = Some(OwnFault {
        id: HaltId::new([7; 32]),
        cause: HaltCause::OwnDivergence,
        height: Height(9),
        detail: "root 1, certified 2".to_owned(),
        since: NOW,
    });
    let meter = measured(&picture);
    let advice = advice(&picture, &meter);
    assert!(advice.next_command.contains("--repaired"), "{advice:?}");
    let (mode, text) = super::super::in_a_line(&picture).unwrap();
    assert_eq!(mode, "hard_halt");
    assert!(text.contains("root 1, certified 2"), "{text}");
}
