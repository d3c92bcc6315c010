//! Rules R13 to R17: what a halt does to a replica.

use crate::bench::{Bench, WALL, attestation, executed_block, next_era, now, own_vertex};
use holdfast_chain::{ChainError, ExecutedBlock};
use holdfast_dag::DagCore;
use holdfast_halt::{HaltRefusal, Mode, StallChange};
use holdfast_replica::admission::fault_of;
use holdfast_replica::{Fact, Input, Message, Output, Record};
use holdfast_types::test_util::{CHAIN, key_pair, samples};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, Certificate, CommitDigest, Era, Evidence,
    GovernanceAction, GovernanceBody, GovernanceMessage, HaltCause, HaltProof, Height, Readiness,
    Round, SignedHaltStatus, SoftwareVersion, StateRoot, TimestampMs, VertexDraft, VertexPayload,
};

pub(crate) fn message(sequence: u64, action: GovernanceAction) -> Box<GovernanceMessage> {
    Box::new(GovernanceMessage {
        body: GovernanceBody { sequence, action },
        signatures: Vec::new(),
    })
}

pub(crate) fn halt(sequence: u64, until_ms: u64) -> Input {
    let action = GovernanceAction::Halt {
        reason: Vec::new(),
        until: TimestampMs(WALL + until_ms),
        after_height: None,
    };
    Input::Governance(message(sequence, action))
}

pub(crate) fn resume(sequence: u64, height: u64, minimum_version: SoftwareVersion) -> Input {
    resume_of(1, sequence, height, minimum_version)
}

pub(crate) fn resume_of(
    era: u64,
    sequence: u64,
    height: u64,
    minimum_version: SoftwareVersion,
) -> Input {
    let action = GovernanceAction::Resume {
        reason: Vec::new(),
        era: Era(era),
        height: Height(height),
        block: attestation(height, 7).block,
        state_root: StateRoot::default(),
        minimum_version,
        halts: Vec::new(),
        evidence: Vec::new(),
    };
    Input::Governance(message(sequence, action))
}

pub(crate) fn bad_root(author: u16, root: u8) -> Attestation {
    let mut body = attestation(5, 7);
    body.state_root = StateRoot::new([root; 32]);
    body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
}

fn offence(height: u64) -> Evidence {
    let mut attestation: Attestation = samples("offence", 1).next().unwrap();
    attestation.author = AuthorityIndex(2);
    attestation.body.era = Era(1);
    attestation.body.height = Height(height);
    Evidence::BadStateRoot { attestation }
}

/// Position of the first record and the first message that satisfy the conditions: both are there.
fn persists_and_tells(
    output: &Output,
    record: impl Fn(&Record) -> bool,
    message: impl Fn(&Message) -> bool,
) -> bool {
    output.persist.iter().any(record) && output.send.iter().any(message)
}

/// What the replica says of itself.
pub(crate) fn said(output: &Output) -> Option<SignedHaltStatus> {
    output.send.iter().find_map(|message| match message {
        Message::HaltStatus(status) => Some(status.clone()),
        _ => None,
    })
}

/// The block that resumes era 1, executed at `height`.
fn resumed(bench: &mut Bench, height: u64) -> Output {
    let mut body = attestation(height, 7);
    body.commit = CommitDigest::default();
    bench.step(Input::Executed(vec![ExecutedBlock {
        governance_sequence: Some(9),
        ..executed_block(body, 0, Some(next_era(height)))
    }]))
}

/// The certificate of the block that resumes.
fn certificate(height: u64) -> Certificate {
    let mut body = attestation(height, 7);
    body.commit = CommitDigest::default();
    certificate_of(body)
}

pub(crate) fn certificate_of(body: AttestationBody) -> Certificate {
    let sign = |author: u16| {
        let signed = body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author));
        (signed.author, signed.signature)
    };
    Certificate {
        body,
        signatures: (1..4).map(sign).collect(),
    }
}

#[test]
fn r13_a_halted_validator_signs_no_vertex_and_commits_nothing() {
    let mut bench = Bench::new();
    bench.rounds(6);
    let (sent, committed) = (bench.sent.len(), bench.commits.len());
    assert!(sent > 0 && committed > 0);
    let output = bench.step(halt(1, 60_000));
    assert_eq!(output.verdicts, [Ok(())]);
    assert!(persists_and_tells(
        &output,
        |record| matches!(record, Record::Halts(state) if state.emergency.is_some()),
        |message| matches!(message, Message::Governance(_)),
    ));
    bench.rounds(10);
    assert_eq!(bench.sent.len(), sent);
    assert_eq!(bench.commits.len(), committed);
}

#[test]
fn r13_an_era_that_waits_for_the_end_of_a_halt_does_not_keep_the_core_awake() {
    let mut bench = Bench::new();
    bench.rounds(2);
    drop(bench.executed(1, Vec::new(), Some(next_era(1))));
    let until_ms = bench.now_ms + 60_000;
    drop(bench.step(halt(1, until_ms)));
    drop(bench.step(Input::Certificate(certificate_of(attestation(1, 7)))));
    for _ in 0..20 {
        drop(bench.tick(1_000));
        let wake_ms = bench.replica.next_wake_ms(now(bench.now_ms));
        assert!(wake_ms.is_some_and(|at_ms| at_ms > bench.now_ms));
    }
    assert_eq!(bench.replica.era(), Era(1));
    drop(bench.tick(60_000));
    assert_eq!(bench.replica.era(), Era(2));
}

#[test]
fn r13_at_its_end_the_same_era_goes_on() {
    let mut bench = Bench::new();
    bench.rounds(6);
    let committed = bench.commits.len();
    drop(bench.step(halt(1, bench.now_ms + 1_000)));
    bench.rounds(8);
    assert_eq!(bench.commits.len(), committed, "800 ms have passed");
    bench.rounds(8);
    assert!(bench.commits.len() > committed);
    assert_eq!(bench.replica.era(), Era(1));
}

/// They have judged it otherwise. As long as they are not heard they may not have heard of it.
#[test]
fn r13_a_halt_that_a_quorum_in_touch_does_not_follow_holds_no_more() {
    let is_halted = |bench: &Bench| bench.replica.halts().manager().is_halted();
    let voids = |output: &Output| {
        let is_void = |fact: &Fact| matches!(fact, Fact::HaltVoid { .. });
        output.facts.iter().any(is_void)
    };
    let mut bench = Bench::new();
    bench.rounds(2);
    drop(bench.step(halt(1, 3_600_000)));
    drop(bench.tick(60_000));
    bench.rounds(90);
    assert!(is_halted(&bench), "they may be about to halt");
    let sent = bench.sent.len();
    let mut is_void = false;
    for _ in 0..20 {
        let outputs = bench.round(<[VertexPayload; 3]>::default());
        is_void |= outputs.iter().any(voids);
    }
    assert!(is_void && !is_halted(&bench));
    assert!(bench.sent.len() > sent);
}

/// Its clock is a little late: the others, who were in the halt, are out of it. Dated before its end the same vertices show that they
/// were not.
#[test]
fn r13_who_goes_on_when_a_halt_has_ended_was_in_it() {
    for (ahead_ms, is_alone) in [(700, false), (400, true)] {
        let mut bench = Bench::new();
        bench.rounds(2);
        drop(bench.step(halt(1, 40_000)));
        bench.rounds(20);
        drop(bench.tick(39_500 - bench.now_ms));
        let vertices = (1..4)
            .map(|author| bench.peer_vertex(author, ahead_ms, VertexPayload::default()))
            .collect();
        let output = bench.step(Input::Vertices(vertices));
        let is_void = |fact: &Fact| matches!(fact, Fact::HaltVoid { .. });
        assert_eq!(output.facts.iter().any(is_void), is_alone);
        assert_ne!(bench.replica.halts().manager().is_halted(), is_alone);
    }
}

#[test]
fn r13_the_halt_wakes_the_replica_at_its_end() {
    let mut bench = Bench::new();
    drop(bench.step(halt(1, 700)));
    let wake_ms = bench.replica.next_wake_ms(now(bench.now_ms));
    assert!(wake_ms.is_some_and(|wake_ms| wake_ms <= 700));
}

#[test]
fn r13_the_end_of_an_era_that_came_in_a_halt_is_attested_after_it() {
    let mut bench = Bench::new();
    bench.rounds(3);
    drop(bench.step(halt(1, bench.now_ms + 1_000)));
    let attests = |output: &Output| {
        let attests = |message: &&Message| matches!(message, Message::Statement(_));
        output.send.iter().filter(attests).count()
    };
    assert_eq!(
        attests(&bench.executed(4, Vec::new(), Some(next_era(4)))),
        0
    );
    assert_eq!(attests(&bench.tick(900)), 0);
    let mut said = 0;
    for _ in 0..20 {
        said += attests(&bench.tick(100));
    }
    assert!(said >= 1);
}

#[test]
fn r14_contradictory_roots_make_a_proof_that_is_told_and_halt() {
    let mut bench = Bench::new();
    bench.rounds(3);
    let with = |attestation: Attestation| VertexPayload {
        attestations: vec![attestation],
        ..VertexPayload::default()
    };
    let payloads = [1, 2, 3].map(|author| with(bad_root(author, u8::from(author == 3))));
    let [_, output] = bench.round(payloads);
    assert!(persists_and_tells(
        &output,
        |record| matches!(record, Record::Halts(state) if state.hard.len() == 1),
        |message| matches!(message, Message::HaltProof { proof, .. } if proof.cause() == HaltCause::RootDivergence),
    ));
    let offenders: Vec<_> = bench.replica.evidence().map(Evidence::offender).collect();
    assert_eq!(
        offenders,
        [AuthorityIndex(3)],
        "two of four agree against it"
    );
    assert!(bench.replica.halts().modes().contains(Mode::HardHalt));
}

#[test]
fn r14_an_own_second_vertex_in_a_proof_means_that_the_key_signs_elsewhere() {
    let mut bench = Bench::new();
    bench.rounds(3);
    let signed = |author: u16, timestamp: u64| {
        let draft = VertexDraft {
            era: Era(1),
            round: Round(2),
            author: AuthorityIndex(author),
            timestamp: TimestampMs(timestamp),
            parents: Vec::new(),
            payload: VertexPayload::default(),
        };
        let vertex = draft.sign(&CHAIN, &key_pair(author));
        vertex.vertex().signed.clone()
    };
    // The replica of the bench is validator 0.
    let evidence = [0, 1].map(|author| Evidence::Equivocation {
        first: signed(author, 1),
        second: signed(author, 2),
    });
    let proof = HaltProof::EquivocationCluster {
        evidence: evidence.to_vec(),
    };
    let output = bench.step(Input::HaltProof(Box::new(proof)));
    assert_eq!(output.verdicts, [Ok(())]);
    let told = |fact: &Fact| matches!(fact, Fact::Doppelganger { .. });
    assert!(output.facts.iter().any(told), "{:?}", output.facts);
}

#[test]
fn r15_one_against_one_is_settled_by_the_block_that_resumes() {
    let mut bench = Bench::new();
    bench.rounds(3);
    drop(bench.executed(5, Vec::new(), None));
    let proof = HaltProof::Divergence {
        attestations: vec![bad_root(1, 0), bad_root(3, 1)],
    };
    let output = bench.step(Input::HaltProof(Box::new(proof)));
    assert_eq!(output.verdicts, [Ok(())]);
    assert_eq!(bench.replica.evidence().count(), 0, "who is wrong?");
    drop(bench.step(resume(1, 5, SoftwareVersion::default())));
    let output = resumed(&mut bench, 6);
    assert!(persists_and_tells(
        &output,
        |record| matches!(record, Record::Evidence(_)),
        |message| matches!(message, Message::Evidence(_)),
    ));
    let offenders: Vec<_> = bench.replica.evidence().map(Evidence::offender).collect();
    assert_eq!(offenders, [AuthorityIndex(3)]);
}

#[test]
fn r14_without_commits_there_is_a_soft_stall_which_stops_nothing() {
    let mut bench = Bench::new();
    bench.rounds(6);
    let output = bench.tick(6_000);
    let began = |fact: &Fact| matches!(fact, Fact::Stall(StallChange::Began { .. }));
    assert!(output.facts.iter().any(began));
    assert!(bench.replica.halts().modes().contains(Mode::SoftStall));
    let outputs = bench.rounds(6);
    let facts = outputs.iter().flat_map(|output| &output.facts);
    let ended = |fact: &Fact| matches!(fact, Fact::Stall(StallChange::Ended { .. }));
    assert_eq!(facts.filter(|fact| ended(fact)).count(), 1);
}

/// Rule S6 of the stall.
#[test]
fn r14_who_is_far_behind_and_helped_by_nobody_says_that_it_stalls() {
    let mut ahead = Bench::new();
    ahead.rounds(60);
    let mut bench = Bench::new();
    drop(bench.tick(ahead.now_ms));
    let seen: Vec<_> = [1, 2]
        .map(|author| ahead.peer_vertex(author, 0, VertexPayload::default()))
        .into();
    drop(bench.step(Input::Vertices(seen)));
    assert!(bench.replica.dag().is_some_and(DagCore::is_far_behind));
    let is_stalled = |bench: &Bench| bench.replica.halts().modes().contains(Mode::SoftStall);
    drop(bench.tick(29_999));
    assert!(!is_stalled(&bench), "somebody may help yet");
    drop(bench.tick(1));
    assert!(is_stalled(&bench));
}

#[test]
fn r15_the_block_that_resumes_is_asked_for_and_attested_and_starts_the_next_era() {
    let mut bench = Bench::new();
    bench.rounds(3);
    drop(bench.executed(4, Vec::new(), None));
    let output = bench.step(resume(1, 4, SoftwareVersion::default()));
    assert!(output.resume.is_some());
    assert!(bench.tick(10).resume.is_none(), "not again at once");
    assert!(bench.tick(1_000).resume.is_some(), "until it is there");
    let sent = bench.sent.len();
    let output = resumed(&mut bench, 5);
    assert!(persists_and_tells(
        &output,
        |record| matches!(record, Record::SignGuard(_)),
        |message| matches!(message, Message::Statement(gossiped) if gossiped.statement.body().height == Height(5)),
    ));
    assert_eq!(bench.replica.halts().readiness(), Readiness::Ready);
    let output = bench.step(Input::Certificate(certificate(5)));
    assert_eq!(output.era_started.map(|context| context.era), Some(Era(2)));
    assert!(bench.replica.halts().modes().is_empty());
    assert!(
        bench
            .tick(200)
            .send
            .iter()
            .any(|m| matches!(m, Message::Vertex(_)))
            || bench.sent.len() > sent
    );
}

#[test]
fn r15_who_has_attested_above_the_named_block_stays_out() {
    let mut bench = Bench::new();
    bench.rounds(3);
    drop(bench.executed(4, Vec::new(), None));
    drop(bench.executed(5, Vec::new(), None));
    // The next own vertex attests both.
    bench.rounds(2);
    let is_ready = |output: Output| output.resume.map(|request| request.is_ready);
    let output = bench.step(resume(1, 4, SoftwareVersion::default()));
    assert_eq!(is_ready(output), Some(false));
    assert_eq!(bench.replica.halts().readiness(), Readiness::AttestedAbove);
    drop(bench.step(Input::ResumeExcluded { sequence: 1 }));
    assert!(bench.replica.halts().modes().is_empty());
    let output = bench.step(resume(2, 5, SoftwareVersion::default()));
    assert_eq!(
        is_ready(output),
        Some(true),
        "governance names a higher block"
    );
}

#[test]
fn r15_an_era_that_ended_by_itself_above_the_named_block_is_not_the_resumed_one() {
    let mut bench = Bench::new();
    bench.rounds(3);
    drop(bench.step(halt(1, 600_000)));
    drop(bench.executed(4, Vec::new(), None));
    drop(bench.executed(5, Vec::new(), Some(next_era(5))));
    let output = bench.step(resume(2, 4, SoftwareVersion::default()));
    assert!(output.resume.is_some(), "its end has to be given up");
    drop(resumed(&mut bench, 5));
    assert!(bench.tick(1_000).resume.is_none(), "it is there");
}

#[test]
fn r15_who_was_not_told_of_the_order_goes_on_with_the_quorum() {
    let mut bench = Bench::new();
    bench.rounds(3);
    let proof = HaltProof::Divergence {
        attestations: vec![bad_root(1, 1), bad_root(2, 2)],
    };
    drop(bench.step(Input::HaltProof(Box::new(proof))));
    assert!(!bench.replica.halts().modes().is_empty());
    drop(resumed(&mut bench, 4));
    drop(bench.step(Input::Certificate(certificate(4))));
    assert_eq!(bench.replica.era(), Era(2));
    assert!(bench.replica.halts().modes().is_empty());
}

#[test]
fn r15_an_era_on_the_way_to_the_named_block_begins_in_the_halt_and_is_silent() {
    let mut bench = Bench::new();
    bench.rounds(3);
    drop(bench.executed(4, Vec::new(), Some(next_era(4))));
    drop(bench.step(resume_of(2, 1, 9, SoftwareVersion::default())));
    drop(bench.step(Input::Certificate(certificate_of(attestation(4, 7)))));
    assert_eq!(bench.replica.era(), Era(2));
    assert!(!bench.replica.halts().modes().is_empty());
    let sent = bench.sent.len();
    drop(bench.tick(2_000));
    assert_eq!(bench.sent.len(), sent);
}

#[test]
fn r15_older_software_stays_out_and_signs_nothing_in_the_next_era() {
    let mut bench = Bench::new();
    bench.rounds(3);
    let newer = SoftwareVersion {
        major: 9,
        minor: 0,
        patch: 0,
    };
    let output = bench.step(resume(1, 4, newer));
    assert!(output.resume.is_some_and(|request| !request.is_ready));
    assert_eq!(bench.replica.halts().readiness(), Readiness::OldVersion);
    // A quorum of others resumes; the block comes by sync.
    let output = resumed(&mut bench, 5);
    let attests = |message: &Message| matches!(message, Message::Statement(_));
    assert!(!output.send.iter().any(attests));
    drop(bench.step(Input::Certificate(certificate(5))));
    assert_eq!(bench.replica.era(), Era(2));
    let sent = bench.sent.len();
    drop(bench.tick(2_000));
    assert_eq!(bench.sent.len(), sent);
}

#[test]
fn r15_nothing_but_the_way_to_the_named_block_is_committed() {
    let mut bench = Bench::new();
    bench.rounds(6);
    let committed = bench.commits.len() as u64;
    drop(bench.step(Input::Executed(vec![ExecutedBlock {
        attestation: attestation(committed, 7),
        timestamp: TimestampMs(WALL),
        commit: bench.commits.last().cloned(),
        transactions: Vec::new(),
        lib: Height::ZERO,
        live_time: TimestampMs::ZERO,
        governance_sequence: None,
        evidence: Vec::new(),
        next_era: None,
        open_ends: Vec::new(),
        emergency: Default::default(),
        contradictions: Vec::new(),
    }])));
    drop(bench.step(halt(1, 600_000)));
    // The DAG of the others goes on a little.
    bench.rounds(12);
    assert_eq!(bench.commits.len() as u64, committed);
    drop(bench.step(resume(2, committed + 2, SoftwareVersion::default())));
    drop(bench.tick(10));
    assert_eq!(bench.commits.len() as u64, committed + 2);
    // Governance names a higher block.
    drop(bench.step(resume(3, committed + 4, SoftwareVersion::default())));
    drop(bench.tick(10));
    assert_eq!(bench.commits.len() as u64, committed + 4);
    // A quorum has gone on without it, and the halt is over.
    drop(bench.step(Input::ResumeExcluded { sequence: 3 }));
    drop(bench.tick(600_000));
    assert!(bench.commits.len() as u64 > committed + 4);
    let indexes: Vec<u64> = bench.commits.iter().map(|commit| commit.index).collect();
    let all: Vec<u64> = (1..).take(indexes.len()).collect();
    assert_eq!(indexes, all, "none is left out");
}

#[test]
fn r17_evidence_is_taken_kept_and_told_in_a_halt_and_stays_until_it_is_executed() {
    let mut bench = Bench::new();
    bench.rounds(3);
    drop(bench.step(halt(1, 2_000)));
    let output = bench.step(Input::Evidence(vec![offence(3), offence(3), offence(4)]));
    let kept = output.persist.iter();
    let kept = kept.filter(|record| matches!(record, Record::Evidence(_)));
    assert_eq!(kept.count(), 2);
    let told = output.send.iter();
    let told = told.filter(|message| matches!(message, Message::Evidence(_)));
    assert_eq!(told.count(), 2);
    // At the end of the halt the first own vertex carries it.
    drop(bench.tick(2_000));
    bench.rounds(2);
    let carried = bench
        .sent
        .iter()
        .flat_map(|vertex| &vertex.payload().evidence);
    assert_eq!(carried.count(), 2);
    assert_eq!(
        bench.replica.evidence_waiting(),
        2,
        "no block has executed it"
    );
}

#[test]
fn a_refusal_of_governance_comes_back_with_its_reason() {
    let mut bench = Bench::new();
    drop(bench.step(halt(3, 60_000)));
    let output = bench.step(halt(3, 60_000));
    assert!(matches!(
        output.verdicts[..],
        [Err(HaltRefusal::Governance(_))]
    ));
    assert!(own_vertex(&output).is_none());
    let fault = |height| Input::OwnFault {
        cause: HaltCause::OwnDivergence,
        height: Height(height),
        detail: String::from("another state root"),
    };
    assert_eq!(bench.step(fault(4)).verdicts, [Ok(())]);
    assert_eq!(bench.step(fault(5)).verdicts, [Err(HaltRefusal::Known)]);
    assert!(bench.replica.status(now(0)).own_fault.is_some());
}

#[test]
fn certificates_that_exclude_each_other_make_a_proof_only_at_one_height() {
    let certificate = |height, block| Certificate {
        body: attestation(height, block),
        signatures: Vec::new(),
    };
    let inputs = |first: &Certificate, second: &Certificate| {
        let error = ChainError::ContradictoryCertificates {
            first: Box::new(first.clone()),
            second: Box::new(second.clone()),
        };
        fault_of(&error, Height(9)).expect("the node goes on, halted")
    };
    let (lower, higher) = (certificate(5, 1), certificate(5, 2));
    for (first, second) in [(&lower, &higher), (&higher, &lower)] {
        let both = inputs(first, second);
        let [Input::HaltProof(proof), Input::OwnFault { height, .. }] = both.as_slice() else {
            panic!("{both:?}");
        };
        assert_eq!(*height, Height(5));
        let HaltProof::ContradictoryCertificates { first, second } = proof.as_ref() else {
            panic!("{proof:?}");
        };
        assert_eq!((first, second), (&lower, &higher));
    }
    // Peers would refuse the proof (rule HP4) and blame who sent it.
    let above = inputs(&lower, &certificate(6, 2));
    let [Input::OwnFault { cause, .. }] = above.as_slice() else {
        panic!("{above:?}");
    };
    assert_eq!(*cause, HaltCause::DagFork);
}
