//! Chains that stop: by order, by proof, or because the quorum is gone.

use super::{CALM, Expects, Profile, ROUGH};
use crate::byzantine::Fault;
use crate::chain::EmergencyPlan;
use crate::network::Links;
use crate::random::Random;
use crate::run::HALT_ORDERED_MS_MAX;
use crate::world::{
    Clocks, Crashes, DiskFault, Disks, Faults, Governors, Membership, Partitions, Plan, Stalls,
    Voters,
};

/// What only some seeds of a profile have: it is slow, or it hides what others show. Each with how many of a thousand.
#[derive(Clone, Copy, Debug)]
pub struct Sometimes {
    /// So many validators.
    pub large: (usize, u64),
    /// Epochs of so many ms.
    pub short_epoch_ms: (u64, u64),
    pub wrong_clocks: u64,
    pub governors: u64,
    pub byzantine: u64,
    /// In half of those seeds it is one of these.
    pub against: &'static [Fault],
    /// What the Byzantine do may halt the chain.
    pub byzantine_needs_governors: bool,
    pub besides: Option<Besides>,
}

/// What comes to the rest in some seeds, each with how many of a thousand; changes of members, disks and emergencies where nobody is Byzantine,
/// and one of the three. It is decided apart from the rest, which stays what it was.
#[derive(Clone, Copy, Debug)]
pub struct Besides {
    /// The worst of these.
    pub links: (Links, u64),
    /// As many validators stand by.
    pub membership: (Membership, usize, u64),
    pub disks: (Disks, u64),
    /// Emergencies begin where a stall lasts, and nothing but a stall.
    pub emergency: (EmergencyPlan, u64),
}

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
        governors: Some(Governors {
            pause_ms: (5_000, 40_000),
            halt_ms: (2_000, HALT_ORDERED_MS_MAX),
            look_ms: (500, 3_000),
        }),
        byzantine: Fault::WITHOUT_VOTES,
        ..CALM.faults
    },
    sometimes: Some(Sometimes {
        large: (21, 50),
        // A second halt of governance needs an epoch of progress.
        short_epoch_ms: (6_000, 300),
        // With good clocks what an emergency does is judged to the slot.
        wrong_clocks: 300,
        governors: 300,
        byzantine: 300,
        against: Fault::AGAINST_EMERGENCIES,
        // Of the small committee that ends an emergency, f may be none: the offences of one halt the chain.
        byzantine_needs_governors: true,
        besides: None,
    }),
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
        "halts ordered in an emergency",
        "turns not taken in a halt",
        "vertices of Byzantine nodes",
    ],
    rare: &[
        "committees of 21",
        "second blocks of a slot made",
        "two ends of an emergency attested",
        "halts ended",
        "blocks that resume",
        "offences punished",
    ],
    faults_ms: 150_000,
    ..CALM
};

pub(super) const LOCKDOWN: Profile = Profile {
    name: "lockdown",
    about: "validators that vote to lock the chain and to let it go on, cut off and dying in the middle of it",
    validators: (4, 7),
    followers: (0, 2),
    epoch_ms: 20_000,
    faults: Faults {
        voters: Some(Voters {
            pause_ms: (2_000, 12_000),
            all_per_mille: 600,
            look_ms: (500, 4_000),
        }),
        crashes: Some(Crashes {
            pause_ms: (1_000, 8_000),
            down_ms: (10, 4_000),
            all_per_mille: 100,
        }),
        partitions: Some(Partitions {
            pause_ms: (3_000, 15_000),
            one_way_per_mille: 200,
            lasts_ms: (500, 6_000),
        }),
        clocks: Some(Clocks {
            pause_ms: (2_000, 10_000),
            skew_ms: 300,
            wild_skew_ms: 3_000,
            any_way_per_mille: 500,
            too_many_per_mille: 0,
        }),
        governors: Some(Governors {
            pause_ms: (2_000, 15_000),
            halt_ms: (500, 20_000),
            look_ms: (500, 3_000),
        }),
        byzantine: &[Fault::Silent, Fault::Withholder, Fault::Equivocator],
        ..CALM.faults
    },
    // Votes are cast again while others expire.
    vote_age_ms: Some(8_000),
    sometimes: Some(Sometimes {
        large: (21, 20),
        short_epoch_ms: (6_000, 300),
        wrong_clocks: 300,
        governors: 300,
        byzantine: 600,
        against: &[Fault::FalseVoter],
        byzantine_needs_governors: false,
        besides: Some(Besides {
            links: (LOSSES, 300),
            membership: (
                Membership {
                    pause_ms: (1_000, 6_000),
                },
                2,
                400,
            ),
            disks: (
                Disks {
                    pause_ms: (3_000, 10_000),
                    copied_every_ms: (500, 8_000),
                    // A guard that is lost with what the key has signed in an era that the others have left is another matter.
                    faults: &[DiskFault::DataLost, DiskFault::DataSetBack],
                },
                300,
            ),
            emergency: (
                EmergencyPlan {
                    timeout_ms: 8_000,
                    interval_ms: 1_000,
                },
                500,
            ),
        }),
    }),
    expects: Expects {
        halt_per_mille: 0,
        core_per_mille: 0,
    },
    reaches: &[
        "votes to lock",
        "votes to go on",
        "halts",
        "halts ended",
        "blocks after a lockdown",
        "crashes in a halt",
        "members asked for their halts",
        "lies in lockdowns",
        "validators asked to join",
        "halts ordered",
        "resumes ordered",
    ],
    rare: &[
        "data set back, guard kept",
        "data lost, guard kept",
        "emergency blocks made",
    ],
    faults_ms: 40_000,
    ..CALM
};

pub(super) const MODES: Profile = Profile {
    name: "modes",
    about: "lockdowns, halts of governance and emergencies in one run, each in the midst of the others",
    followers: (1, 2),
    emergency: Some(EmergencyPlan {
        timeout_ms: 8_000,
        interval_ms: 1_000,
    }),
    faults: Faults {
        stalls: Some(Stalls {
            pause_ms: (1_000, 12_000),
            lasts_ms: (5_000, 25_000),
            cut_per_mille: 400,
        }),
        ..LOCKDOWN.faults
    },
    sometimes: Some(Sometimes {
        large: (21, 20),
        short_epoch_ms: (6_000, 300),
        wrong_clocks: 300,
        governors: 500,
        // Of the small committee that ends an emergency, f may be none.
        byzantine: 0,
        against: &[],
        byzantine_needs_governors: false,
        besides: None,
    }),
    reaches: &[
        "quorums lost",
        "votes to lock",
        "votes to go on",
        "halts",
        "halts ended",
        "blocks after a lockdown",
        "emergency blocks made",
        "branches of an emergency taken",
        "turns not taken in a halt",
        "halts ordered",
        "resumes ordered",
    ],
    rare: &["keys given back", "emergencies left for a lockdown"],
    faults_ms: 100_000,
    ..LOCKDOWN
};

/// A third of the messages is lost at worst, and many come twice.
const LOSSES: Links = Links {
    loss_per_mille: 300,
    duplicate_per_mille: 200,
    ..ROUGH
};

impl Profile {
    /// Adds what a seed has besides. What breaks rules or loses what it promised is no more than f.
    pub(crate) fn add_besides(&self, seed: u64, plan: &mut Plan, faults: &mut Faults) {
        let Some(besides) = self.sometimes.and_then(|sometimes| sometimes.besides) else {
            return;
        };
        let mut random = Random::new(!seed);
        let (worst, per_mille) = besides.links;
        if random.chance(per_mille) {
            plan.links = worst.varied(&mut random);
        }
        let (membership, standby, per_mille) = besides.membership;
        let (disks, disks_per_mille) = besides.disks;
        let (emergency, emergency_per_mille) = besides.emergency;
        if !faults.byzantine.is_empty() {
            return;
        }
        if random.chance(per_mille) {
            plan.chain.standby = standby;
            faults.membership = Some(membership);
        } else if random.chance(disks_per_mille) {
            faults.disks = Some(disks);
        } else if random.chance(emergency_per_mille) {
            plan.chain.emergency = Some(emergency);
            plan.masters = *random.pick(&[1, 2, 3]);
            // What waits for the slowest grows all the time.
            plan.execution_ms.1 = plan.execution_ms.1.min(40);
        }
    }

    /// How many validators a seed has.
    pub(super) fn size(&self, random: &mut Random) -> usize {
        let large = self.sometimes.map(|sometimes| sometimes.large);
        if let Some((size, _)) = large.filter(|(_, per_mille)| random.chance(*per_mille)) {
            return size;
        }
        usize::try_from(random.between(self.validators)).expect("a simulation is small")
    }

    pub(super) fn epoch_ms_of(&self, random: &mut Random) -> u64 {
        let short = self.sometimes.map(|sometimes| sometimes.short_epoch_ms);
        let short = short.filter(|(_, per_mille)| random.chance(*per_mille));
        short.map_or(self.epoch_ms, |(epoch_ms, _)| epoch_ms)
    }

    /// The faults of a seed of a profile in which only some have each.
    pub(super) fn some_faults(&self, random: &mut Random) -> Faults {
        let Some(sometimes) = self.sometimes else {
            return self.faults;
        };
        let clocks = random.chance(sometimes.wrong_clocks);
        let byzantine = random.chance(sometimes.byzantine);
        let is_needed = byzantine && sometimes.byzantine_needs_governors;
        let governors = is_needed || random.chance(sometimes.governors);
        Faults {
            clocks: self.faults.clocks.filter(|_| clocks),
            governors: self.faults.governors.filter(|_| governors),
            byzantine: match random.below(2) {
                _ if !byzantine => &[],
                0 => sometimes.against,
                _ => self.faults.byzantine,
            },
            ..self.faults
        }
    }
}
