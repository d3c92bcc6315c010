//! Known bugs, put back one at a time: the suite has to find each of them.
//!
//! `cargo test --release -p holdfast-simulation --features mutants --test mutants`. The feature is one for all bugs
//! ([`Mutant`] lists them), so one build tries them all; which one is on is chosen by the thread that runs the simulation.

use holdfast_dag::drawing::Drawing;
use holdfast_dag::{DagConfig, DagCore};
use holdfast_simulation::chain::{SimulatedChain, validator_account};
use holdfast_simulation::random::Random;
use holdfast_simulation::{Profile, Verdict, run};
use holdfast_types::mutant::{Mutant, put_back};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, BlockId, ChainId, CommitDigest, Committee,
    Ed25519, Era, Height, Member, PublicKey, Round, Signature, SignatureCheck, SignatureScheme,
    StateRoot,
};
use std::sync::Arc;

/// So many seeds of a profile may pass before one finds the bug. Most need one or two.
const SEEDS_MAX: u64 = 120;

/// Runs seeds of a profile until one of them fails, or none of them has reached what the profile is for.
fn hunt(mutant: Mutant, profile: &str) {
    let profile = Profile::named(profile).expect("the profile exists");
    put_back(Some(mutant));
    let mut reports = Vec::new();
    for seed in 0..SEEDS_MAX {
        let report = run(profile, seed, false);
        if report.verdict != Verdict::Pass {
            let report = report.to_string();
            let text: String = report.chars().take(400).collect();
            println!("{mutant:?} after {} seeds: {text}", seed + 1);
            return;
        }
        reports.push(report);
    }
    let unreached = profile.unreached(&reports);
    assert!(
        !unreached.is_empty(),
        "{mutant:?} was put back, and {SEEDS_MAX} seeds of {} found nothing",
        profile.name
    );
    println!("{mutant:?}: never reached {unreached:?}");
}

macro_rules! hunted {
    ($($name:ident: $mutant:ident in $profile:literal;)*) => {
        $(#[test]
        fn $name() {
            hunt(Mutant::$mutant, $profile);
        })*
    };
}

hunted!(
    send_before_sync: SendBeforeSync in "crash";
    guard_before_vertex: GuardBeforeVertex in "crash";
    guard_reset: GuardReset in "crash";
    no_listening: NoListening in "disk";
    doppelganger_ignored: DoppelgangerIgnored in "twins";
    second_is_lost: SecondIsLost in "twins";
    garbage_bound_off_by_one: GarbageBoundOffByOne in "partition";
    garbage_bound_of_the_moment: GarbageBoundOfTheMoment in "partition";
    sorted_by_round_only: SortedByRoundOnly in "calm";
    both_versions_execute: BothVersionsExecute in "byzantine";
    timestamp_by_maximum: TimestampByMaximum in "byzantine";
    reputation_by_arrival: ReputationByArrival in "partition";
    suspended_unbounded: SuspendedUnbounded in "byzantine";
    waits_for_garbage: WaitsForGarbage in "partition";
    never_asks_again: NeverAsksAgain in "partition";
    quorum_one_less: QuorumOneLess in "partition";
    votes_of_all_blocks_count: VotesOfAllBlocksCount in "byzantine";
    lib_is_head: LibIsHead in "calm";
    punished_per_evidence: PunishedPerEvidence in "byzantine";
    burned_is_still_there: BurnedIsStillThere in "byzantine";
    acknowledged_too_early: AcknowledgedTooEarly in "calm";
    nonce_too_high_is_used: NonceTooHighIsUsed in "clock";
    stale_nonces: StaleNonces in "crash";
    one_signer_counts_twice: OneSignerCountsTwice in "halts";
    proofs_unverified: ProofsUnverified in "halts";
    dissent_unnoticed: DissentUnnoticed in "halts";
    stall_unnoticed: StallUnnoticed in "calm";
    signs_while_halted: SignsWhileHalted in "halts";
);

/// Nodes that decide the slot directly commit it, so those that come to it later must. It takes dozens of seeds until two
/// nodes differ in this; the DAG in which they do is drawn here.
#[test]
fn anchors_ignore_certificates() {
    let drawing = Drawing::new(
        4,
        "!first ^4
        @1..4: *
        @5 first(q): *
        @5 rest(q): * -^4
        @6 first(1): *
        @6 rest(1): * -^4
        @7..10: *",
    );
    let calm = Profile::named("calm").expect("the profile exists");
    let plan = calm.plan(&mut Random::new(0)).chain;
    let parameters = SimulatedChain::new(&plan).parameters;
    let commits_round_4 = || {
        let config = DagConfig::from_parameters(&parameters);
        let mut core = DagCore::new(CHAIN, Arc::clone(&drawing.context), config, None, 0);
        for vertex in &drawing.vertices {
            core.add(Arc::clone(vertex), 0);
        }
        let (committed, _) = core.try_commit(0);
        let mut leaders = committed.iter().map(|sub_dag| sub_dag.record.leader.round);
        leaders.any(|round| round == Round(4))
    };
    assert!(commits_round_4());
    put_back(Some(Mutant::AnchorsIgnoreCertificates));
    assert!(!commits_round_4());
}

/// Signatures with points of small order are valid by the rules of ZIP-215: alone and in a batch.
#[test]
fn batch_without_cofactor() {
    // A point of order eight, as key and as nonce; the scalar is zero.
    let point = hex_32("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    let member = Member {
        account: validator_account(0),
        signing_key: PublicKey::new(point),
    };
    let committee = Committee::new(vec![member]).expect("one member is a committee");
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&point);
    let check = |height| {
        let attestation = Attestation {
            body: AttestationBody {
                era: Era(1),
                height: Height(height),
                block: BlockId::default(),
                commit: CommitDigest::default(),
                state_root: StateRoot::default(),
            },
            author: AuthorityIndex(0),
            signature: Signature::new(bytes),
        };
        let check = attestation.signature_check(&ChainId::new([1; 32]), &committee);
        check.expect("the author is a member")
    };
    let checks: Vec<SignatureCheck> = (0..8).map(check).collect();
    let agree = || {
        let alone = checks.iter().all(|check| Ed25519.verify(check));
        alone == Ed25519.verify_batch(&checks)
    };
    assert!(agree());
    put_back(Some(Mutant::BatchWithoutCofactor));
    assert!(!agree());
}

fn hex_32(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (byte, position) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[position..position + 2], 16).expect("hexadecimal");
    }
    bytes
}
