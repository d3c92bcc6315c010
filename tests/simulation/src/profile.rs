//! Profiles: kinds of networks and faults, as data.

mod halting;

use crate::byzantine::Fault;
use crate::chain::{ChainPlan, EmergencyPlan};
use crate::keys::Scheme;
use crate::network::{Bandwidth, Distance, Latency, Links};
use crate::random::Random;
use crate::run::Report;
use crate::world::{
    Clocks, Crashes, DiskFailures, DiskFault, Disks, Faults, Flapping, LOOK_MS, Membership,
    Partitions, Plan,
};
use halting::{EMERGENCY, HALTS, LOCKDOWN, MODES};

pub use halting::Sometimes;

/// What a run has to show on its way from the faults to the end, where all must settle whatever the profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expects {
    /// In so many of a thousand seeds more than f validators are down for a while, and nothing new may be certified.
    pub halt_per_mille: u64,
    /// In so many of a thousand seeds a quorum alone is healed at first, and has to certify more.
    pub core_per_mille: u64,
}

/// A kind of simulation. The seed chooses the rest.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    pub name: &'static str,
    pub about: &'static str,
    pub validators: (u64, u64),
    pub standby: usize,
    pub followers: (u64, u64),
    pub links: Links,
    /// Every seed draws its links, up to these.
    pub links_vary: bool,
    pub leader_timeout_ms: u64,
    /// See [`ChainPlan::one_dissenter_halts`].
    pub one_dissenter_halts: bool,
    /// See [`ChainPlan::emergency`].
    pub emergency: Option<EmergencyPlan>,
    pub epoch_ms: u64,
    /// See [`ChainPlan::vote_age_ms`].
    pub vote_age_ms: Option<u64>,
    pub faults: Faults,
    pub expects: Expects,
    /// What many seeds together reach: a fault that never happens tests nothing.
    pub reaches: &'static [&'static str],
    /// What it takes some hundreds of seeds to reach.
    pub rare: &'static [&'static str],
    /// How long faults last, in ms.
    pub faults_ms: u64,
    /// What only some seeds have.
    pub sometimes: Option<Sometimes>,
}

const LAN: Links = Links {
    latency: Latency::Uniform(1, 10),
    distance: Distance::Random(0),
    loss_per_mille: 0,
    duplicate_per_mille: 0,
    corrupt_per_mille: 0,
    slow_uplinks: None,
};

const ROUGH: Links = Links {
    latency: Latency::Bimodal {
        usual: (5, 40),
        slow: (100, 800),
        slow_per_mille: 20,
    },
    distance: Distance::Random(0),
    loss_per_mille: 20,
    duplicate_per_mille: 20,
    corrupt_per_mille: 0,
    slow_uplinks: None,
};

/// The worst of what [`Profile::links`] draws.
const WORST: Links = Links {
    loss_per_mille: 300,
    duplicate_per_mille: 500,
    corrupt_per_mille: 20,
    // What a simulation sends is little: this much is often too little for it.
    slow_uplinks: Some(Bandwidth {
        bytes_per_s: 15_000,
    }),
    ..ROUGH
};

const FLAPPING: Flapping = Flapping {
    pause_ms: (1_000, 8_000),
    up_ms: (1_000, 3_000),
    down_ms: (1_000, 3_000),
    flaps: (2, 6),
};

const LONG_MS: u64 = 24 * 3_600_000;

const CALM: Profile = Profile {
    name: "calm",
    about: "a local network without faults",
    validators: (4, 7),
    standby: 0,
    followers: (0, 2),
    links: LAN,
    links_vary: false,
    leader_timeout_ms: 250,
    one_dissenter_halts: false,
    emergency: None,
    vote_age_ms: None,
    epoch_ms: LONG_MS,
    faults: Faults {
        crashes: None,
        partitions: None,
        flapping: None,
        clocks: None,
        membership: None,
        disks: None,
        failures: None,
        twins: None,
        byzantine: &[],
        governors: None,
        stalls: None,
        voters: None,
    },
    expects: Expects {
        halt_per_mille: 400,
        core_per_mille: 400,
    },
    reaches: &[
        "commits",
        "transactions handed on",
        "halts without a quorum",
        "quorums healed first",
    ],
    rare: &[],
    faults_ms: 10_000,
    sometimes: None,
};

/// All profiles.
pub static PROFILES: [Profile; 16] = [
    CALM,
    HALTS,
    EMERGENCY,
    LOCKDOWN,
    MODES,
    Profile {
        name: "wan",
        about: "ten regions of the world: long, uneven ways, losses and copies",
        links: Links {
            latency: Latency::Bimodal {
                usual: (1, 20),
                slow: (300, 1500),
                slow_per_mille: 10,
            },
            distance: Distance::World,
            loss_per_mille: 10,
            duplicate_per_mille: 10,
            ..LAN
        },
        leader_timeout_ms: 1_000,
        reaches: &["vertices fetched", "certificates"],
        faults_ms: 20_000,
        ..CALM
    },
    Profile {
        name: "partition",
        about: "halves and thirds that do not hear each other, bridges, rings, flapping links, nodes that are deaf or mute",
        links: ROUGH,
        faults: Faults {
            partitions: Some(Partitions {
                pause_ms: (500, 3_000),
                lasts_ms: (500, 8_000),
                one_way_per_mille: 200,
            }),
            flapping: Some(FLAPPING),
            ..CALM.faults
        },
        reaches: &[
            "partitions",
            "splits in three",
            "splits without a quorum",
            "bridges",
            "rings",
            "one-way cuts",
            "links flapped",
            "members asked what they have",
        ],
        faults_ms: 40_000,
        ..CALM
    },
    Profile {
        name: "rough",
        about: "losses of up to 30 %, copies, corruption, slow uplinks and flapping links",
        validators: (4, 10),
        links: WORST,
        links_vary: true,
        faults: Faults {
            flapping: Some(FLAPPING),
            ..CALM.faults
        },
        reaches: &[
            "messages corrupted",
            "corrupted messages refused",
            "corrupted vertices verified",
            "corrupted answers verified",
            "messages that waited for bandwidth",
            "messages dropped at slow uplinks",
            "links flapped",
            "vertices fetched",
        ],
        faults_ms: 20_000,
        ..CALM
    },
    Profile {
        name: "crash",
        about: "nodes die at every point of their writing, alone and all at once, and lose what was not synced; disks fail and are full",
        faults: Faults {
            crashes: Some(Crashes {
                pause_ms: (100, 3_000),
                down_ms: (10, 4_000),
                all_per_mille: 200,
            }),
            failures: Some(DiskFailures {
                pause_ms: (500, 5_000),
                full_ms: (500, 5_000),
            }),
            ..CALM.faults
        },
        reaches: &[
            "crashes of all nodes at once",
            "crashes before a write",
            "crashes before a sync",
            "crashes before the guard",
            "crashes before sending",
            "crashes after a block",
            "writes that failed",
            "writes of the chain that failed",
            "syncs that failed",
            "guards that failed",
            "disks full",
            "stops on a full disk",
            "starts on a full disk",
            "ranges synced",
        ],
        faults_ms: 30_000,
        ..CALM
    },
    Profile {
        name: "clock",
        about: "wall clocks that are wrong: by seconds or an hour, frozen, fast and slow; of f validators, and of more",
        links: ROUGH,
        faults: Faults {
            clocks: Some(Clocks {
                pause_ms: (1_000, 5_000),
                skew_ms: 400,
                wild_skew_ms: 5_000,
                any_way_per_mille: 600,
                too_many_per_mille: 400,
            }),
            ..CALM.faults
        },
        reaches: &[
            "clock steps",
            "clock steps of an hour",
            "clocks frozen",
            "clocks that drift",
            "more than f clocks wrong",
            "vertices parked",
        ],
        faults_ms: 30_000,
        ..CALM
    },
    Profile {
        name: "byzantine",
        about: "f nodes equivocate, are silent, or withhold what they lead with",
        validators: (4, 10),
        links: ROUGH,
        faults: Faults {
            byzantine: Fault::AGAINST_CONSENSUS,
            ..CALM.faults
        },
        reaches: &[
            "vertices of Byzantine nodes",
            "equivocations seen",
            "invalid vertices refused",
            "vertices asked for without need",
            "questions of Byzantine nodes refused",
            "offences punished",
        ],
        faults_ms: 20_000,
        ..CALM
    },
    Profile {
        name: "churn",
        about: "short epochs: many eras, members that join and leave, crashes and partitions at their ends",
        validators: (4, 6),
        standby: 2,
        links: ROUGH,
        epoch_ms: 4_000,
        faults: Faults {
            crashes: Some(Crashes {
                pause_ms: (1_000, 6_000),
                down_ms: (10, 4_000),
                all_per_mille: 100,
            }),
            partitions: Some(Partitions {
                pause_ms: (4_000, 10_000),
                lasts_ms: (500, 4_000),
                one_way_per_mille: 300,
            }),
            membership: Some(Membership {
                pause_ms: (1_000, 4_000),
            }),
            ..CALM.faults
        },
        reaches: &[
            "era starts",
            "early vertices",
            "validators asked to join",
            "validators asked to leave",
            "certificates fetched",
        ],
        faults_ms: 40_000,
        ..CALM
    },
    Profile {
        name: "disk",
        about: "disks of f validators that are lost, set back or damaged, with and without the sign guard; disks that fail",
        validators: (4, 10),
        faults: Faults {
            disks: Some(Disks {
                pause_ms: (3_000, 10_000),
                copied_every_ms: (500, 8_000),
                faults: &DiskFault::ALL,
            }),
            failures: Some(DiskFailures {
                pause_ms: (2_000, 10_000),
                full_ms: (500, 5_000),
            }),
            ..CALM.faults
        },
        reaches: &[
            "data lost, guard kept",
            "disks lost with the guard",
            "disks set back with the guard",
            "data set back, guard kept",
            "records damaged",
            "stops on damage",
            "starts refused for damage",
            "disks full",
            "guards found too old",
        ],
        faults_ms: 40_000,
        ..CALM
    },
    Profile {
        name: "twins",
        about: "a key that runs in two processes, through partitions",
        links: ROUGH,
        faults: Faults {
            twins: Some((500, 10_000)),
            partitions: Some(Partitions {
                pause_ms: (500, 3_000),
                lasts_ms: (500, 4_000),
                one_way_per_mille: 300,
            }),
            ..CALM.faults
        },
        reaches: &[
            "keys that run twice",
            "keys that start twice in one moment",
            "doppelgangers",
            "partitions",
        ],
        faults_ms: 30_000,
        ..CALM
    },
    CHAOS,
    Profile {
        name: "committee128",
        about: "128 validators in ten regions of the world, up to f of them silent",
        validators: (128, 128),
        followers: (0, 0),
        links: WORLD,
        leader_timeout_ms: 1_000,
        faults: Faults {
            byzantine: &[Fault::Silent],
            ..CALM.faults
        },
        // f are faulty already, and a scenario by name has one more.
        expects: Expects {
            halt_per_mille: 0,
            core_per_mille: 0,
        },
        reaches: &["commits", "vertices of Byzantine nodes"],
        faults_ms: 3_000,
        ..CALM
    },
];

/// Ten regions of the world, without losses.
pub const WORLD: Links = Links {
    latency: Latency::Uniform(0, 5),
    distance: Distance::World,
    loss_per_mille: 0,
    duplicate_per_mille: 0,
    corrupt_per_mille: 0,
    slow_uplinks: None,
};

/// Everything at once; [`Profile::faults`] leaves some of it out.
const CHAOS: Profile = Profile {
    name: "chaos",
    about: "a mix of all faults that is another one for every seed",
    validators: (4, 10),
    standby: 2,
    links: WORST,
    links_vary: true,
    epoch_ms: 8_000,
    faults: Faults {
        crashes: Some(Crashes {
            pause_ms: (500, 6_000),
            down_ms: (10, 4_000),
            all_per_mille: 100,
        }),
        partitions: Some(Partitions {
            pause_ms: (1_000, 10_000),
            lasts_ms: (500, 4_000),
            one_way_per_mille: 300,
        }),
        flapping: Some(FLAPPING),
        clocks: Some(Clocks {
            pause_ms: (1_000, 5_000),
            skew_ms: 300,
            wild_skew_ms: 3_000,
            any_way_per_mille: 300,
            too_many_per_mille: 0,
        }),
        membership: Some(Membership {
            pause_ms: (1_000, 6_000),
        }),
        disks: None,
        failures: Some(DiskFailures {
            pause_ms: (1_000, 8_000),
            full_ms: (500, 5_000),
        }),
        twins: Some((500, 10_000)),
        byzantine: Fault::AGAINST_CONSENSUS,
        governors: None,
        stalls: None,
        voters: None,
    },
    reaches: &[
        "crashes",
        "partitions",
        "links flapped",
        "corrupted messages refused",
        "messages that waited for bandwidth",
        "clock steps",
        "disks full",
        "writes that failed",
        "vertices of Byzantine nodes",
        "keys that run twice",
    ],
    faults_ms: 30_000,
    ..CALM
};

impl Profile {
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// What these runs together have not reached of what many seeds reach.
    #[must_use]
    pub fn unreached(&self, reports: &[Report]) -> Vec<&'static str> {
        Self::missed(self.reaches, reports)
    }

    /// What these runs together have not reached of what is rare.
    #[must_use]
    pub fn unreached_rare(&self, reports: &[Report]) -> Vec<&'static str> {
        Self::missed(self.rare, reports)
    }

    fn missed(these: &[&'static str], reports: &[Report]) -> Vec<&'static str> {
        let reached = |what: &str| {
            let mut counts = reports.iter().map(|report| report.reached.get(what));
            counts.any(|count| count.is_some_and(|count| *count > 0))
        };
        let missed = these.iter().filter(|what| !reached(what));
        missed.copied().collect()
    }

    /// The faults of a seed: in chaos, some of all. What breaks rules is of one kind, so that it is no more than f.
    #[must_use]
    pub fn faults(&self, random: &mut Random) -> Faults {
        if self.sometimes.is_some() {
            return self.some_faults(random);
        }
        if self.name != CHAOS.name {
            return self.faults;
        }
        let byzantine = random.chance(500);
        let mut some = |per_mille: u64| random.chance(per_mille);
        Faults {
            crashes: self.faults.crashes.filter(|_| some(600)),
            partitions: self.faults.partitions.filter(|_| some(600)),
            flapping: self.faults.flapping.filter(|_| some(300)),
            clocks: self.faults.clocks.filter(|_| some(500)),
            // A committee that shrinks may have more than f of them.
            membership: self.faults.membership.filter(|_| !byzantine && some(500)),
            disks: None,
            failures: self.faults.failures.filter(|_| some(400)),
            twins: self.faults.twins.filter(|_| !byzantine && some(300)),
            byzantine: if byzantine {
                self.faults.byzantine
            } else {
                &[]
            },
            governors: None,
            stalls: None,
            voters: None,
        }
    }

    /// The links of a seed.
    fn links(&self, random: &mut Random) -> Links {
        if self.links_vary {
            self.links.varied(random)
        } else {
            self.links
        }
    }

    /// How long the execution of a block takes. Runs of emergencies are long: with the slowest, what waits grows all the time.
    fn execution_ms(&self, random: &mut Random) -> (u64, u64) {
        match *random.pick(&[(0, 2), (1, 20), (5, 80)]) {
            (5, most) if self.emergency.is_some() => (5, most / 2),
            any => any,
        }
    }

    /// How many nodes have the emergency key.
    fn masters(&self, random: &mut Random) -> usize {
        if self.emergency.is_none() {
            return 0;
        }
        *random.pick(&[1, 1, 2, 3, 5])
    }

    /// The network of a seed.
    #[must_use]
    pub fn plan(&self, random: &mut Random) -> Plan {
        let count = |number: u64| usize::try_from(number).expect("a simulation is small");
        Plan {
            chain: ChainPlan {
                validators: self.size(random),
                standby: self.standby,
                clients: 6,
                epoch_ms: self.epoch_ms_of(random),
                // Small, so that what is garbage-collected matters, and so that gossip soon does not reach a node that is
                // behind.
                gc_depth: *random.pick(&[3, 6, 10, 20, 60]),
                leader_timeout_ms: self.leader_timeout_ms,
                one_dissenter_halts: self.one_dissenter_halts,
                emergency: self.emergency,
                vote_age_ms: self.vote_age_ms,
                idle_ms: None,
                signatures: Scheme::Fast,
            },
            followers: count(random.between(self.followers)),
            twins: if self.faults.twins.is_some() { 1 } else { 0 },
            masters: self.masters(random),
            links: self.links(random),
            verification_ms: *random.pick(&[(0, 1), (0, 30), (5, 300)]),
            execution_ms: self.execution_ms(random),
            client_pause_ms: Some(*random.pick(&[(20, 200), (200, 3_000)])),
            look_ms: LOOK_MS,
        }
    }
}
