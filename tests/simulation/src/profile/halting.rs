//! Chains that stop: by order, by proof, or because the quorum is gone.

use super::{CALM, Expects, Profile};
use crate::byzantine::Fault;
use crate::chain::EmergencyPlan;
use crate::world::{Clocks, Crashes, Faults, Governors, Partitions, Stalls};

pub(super) const HALTS: Profile = Profile {
    name: "halts",
    about: "validators that contradict each other, governors that halt and resume, nodes that die in every state",
    validators: (4, 7),
    followers: (0, 1),
    // As the document has it: one dissenter halts the chain.
    one_dissenter_halts: true,
    // A second halt of governance needs an epoch of progress.
    epoch_ms: 6_000,
    faults: Faults {
        crashes: Some(Crashes {
            pause_ms: (500, 6_000),
            down_ms: (10, 4_000),
            all_per_mille: 100,
        }),
        partitions: Some(Partitions {
            pause_ms: (2_000, 15_000),
            one_way_per_mille: 200,
            lasts_ms: (500, 6_000),
        }),
        byzantine: &[
            Fault::WrongRoot,
            Fault::Equivocator,
            Fault::Withholder,
            Fault::Silent,
            Fault::Forger,
        ],
        governors: Some(Governors {
            pause_ms: (1_000, 12_000),
            halt_ms: (500, 30_000),
            look_ms: (500, 3_000),
        }),
        ..CALM.faults
    },
    expects: Expects {
        // Resumes change committees, and with them what a quorum is.
        halt_per_mille: 0,
        core_per_mille: 0,
    },
    reaches: &[
        "halts",
        "halts ordered",
        "resumes ordered",
        "halts ended",
        "stalls",
        "blocks that resume",
        "offences punished",
        "crashes in a halt",
        "members asked for their halts",
        "forged orders and proofs",
    ],
    faults_ms: 40_000,
    ..CALM
};

pub(super) const EMERGENCY: Profile = Profile {
    name: "emergency",
    about: "quorums that are lost for longer than the timeout: masters go on alone or against each other, validators come back in any order",
    validators: (4, 7),
    followers: (1, 3),
    emergency: Some(EmergencyPlan {
        timeout_ms: 15_000,
        interval_ms: 1_000,
    }),
    faults: Faults {
        stalls: Some(Stalls {
            pause_ms: (1_000, 20_000),
            lasts_ms: (5_000, 40_000),
            cut_per_mille: 400,
        }),
        crashes: Some(Crashes {
            pause_ms: (2_000, 15_000),
            down_ms: (10, 4_000),
            all_per_mille: 50,
        }),
        clocks: Some(Clocks {
            pause_ms: (2_000, 10_000),
            skew_ms: 300,
            wild_skew_ms: 3_000,
            any_way_per_mille: 500,
            too_many_per_mille: 0,
        }),
        ..CALM.faults
    },
    expects: Expects {
        halt_per_mille: 0,
        core_per_mille: 0,
    },
    reaches: &[
        "quorums lost",
        "networks fallen apart",
        "emergency blocks made",
        "emergency blocks taken",
        "branches of an emergency taken",
        "branch switches",
        "keys given back",
    ],
    faults_ms: 150_000,
    ..CALM
};
