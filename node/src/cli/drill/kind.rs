//! The kinds of drills: what each does to a chain, and whose runbook it exercises.

use crate::runtime::sabotage::InjectedFault;
use holdfast_halt::Mode;

/// What is rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SoftStall,
    HardHalt,
    EquivocationCluster,
    EmergencyHalt,
    Resume,
    EmergencyConsensus(Masters),
    Lockdown(Voters),
}

/// Who votes in a drill of a lockdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Voters {
    /// As many as may be lying vote to freeze the chain before anybody else, and never to go on.
    pub(super) byzantine: bool,
}

/// Who has the emergency key in a drill, and what is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masters {
    /// So many, the first ones.
    pub(super) count: u16,
    /// They are cut from each other before the quorum goes, and healed in the emergency.
    pub(super) partition: bool,
}

/// A time that a drill takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    /// As JSON knows it.
    pub(super) name: &'static str,
    /// As the sheet calls it.
    pub(super) label: &'static str,
    /// From when to when, for whoever reads it.
    pub(super) how: &'static str,
}

const fn figure(name: &'static str, label: &'static str, how: &'static str) -> Figure {
    Figure { name, label, how }
}

impl Kind {
    /// As the command line knows it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SoftStall => "soft-stall",
            Self::HardHalt => "hard-halt",
            Self::EquivocationCluster => "equivocation-cluster",
            Self::EmergencyHalt => "emergency-halt",
            Self::Resume => "resume",
            Self::EmergencyConsensus(_) => "emergency-consensus",
            Self::Lockdown(_) => "lockdown",
        }
    }

    pub(super) const fn runbook(self) -> &'static str {
        match self {
            Self::SoftStall => "docs/runbooks/soft-stall.md",
            Self::HardHalt => "docs/runbooks/scenario-a-state-root-divergence.md",
            Self::EquivocationCluster => "docs/runbooks/hard-halt.md",
            Self::EmergencyHalt => "docs/runbooks/emergency-halt.md",
            Self::Resume => "docs/runbooks/resume.md",
            Self::EmergencyConsensus(_) => "docs/runbooks/emergency-consensus.md",
            Self::Lockdown(_) => "docs/runbooks/lockdown.md",
        }
    }

    /// What holds while the chain stands.
    pub(super) const fn mode(self) -> Mode {
        match self {
            Self::SoftStall => Mode::SoftStall,
            Self::HardHalt | Self::EquivocationCluster => Mode::HardHalt,
            Self::EmergencyHalt | Self::Resume => Mode::EmergencyHalt,
            Self::EmergencyConsensus(_) => Mode::EmergencyConsensus,
            Self::Lockdown(_) => Mode::Lockdown,
        }
    }

    /// What the validators are started with.
    pub(super) const fn fault(self) -> Option<InjectedFault> {
        match self {
            Self::HardHalt => Some(InjectedFault::WrongRoot),
            Self::EquivocationCluster => Some(InjectedFault::Equivocate),
            Self::SoftStall
            | Self::EmergencyHalt
            | Self::Resume
            | Self::EmergencyConsensus(_)
            | Self::Lockdown(_) => None,
        }
    }

    /// How many of `validators` something is done to: the last ones. The others are what the drill looks at.
    pub(super) fn disturbed(self, validators: usize, equivocators: usize) -> usize {
        let faulty_max = validators.saturating_sub(1) / 3;
        match self {
            // Without one more than the chain tolerates there is no quorum.
            Self::SoftStall => faulty_max + 1,
            Self::HardHalt => 1,
            Self::EquivocationCluster => equivocators.min(faulty_max + 1),
            Self::EmergencyHalt => 0,
            // A quorum resumes without them.
            Self::Resume | Self::Lockdown(_) => faulty_max,
            Self::EmergencyConsensus(masters) => validators.saturating_sub(masters.count.into()),
        }
    }

    /// True if what is done to those validators is an offence.
    pub(super) const fn slashes(self) -> bool {
        self.fault().is_some()
    }

    /// What was done, in a sentence; `whom` are the disturbed validators.
    pub(super) fn story(self, whom: &str) -> String {
        match self {
            Self::SoftStall => {
                format!("{whom} were killed and started again: without them there is no quorum")
            }
            Self::HardHalt => format!("{whom} attested another state root than its block has"),
            Self::EquivocationCluster => format!(
                "{whom} signed two vertices for one slot, ended as their keys sign elsewhere, and were started again"
            ),
            Self::EmergencyHalt => "the governors halted the chain and resumed it".to_owned(),
            Self::Resume => format!(
                "the governors halted the chain and resumed it without {whom}, which came back later"
            ),
            Self::Lockdown(Voters { byzantine: false }) => format!(
                "two thirds of the validators froze the chain by vote and let it go on by vote; {whom} were killed meanwhile, and did not vote"
            ),
            Self::Lockdown(Voters { byzantine: true }) => format!(
                "{whom} voted alone to freeze the chain, in vain; with others they froze it; without them it went on, though they were killed and never voted to go on"
            ),
            Self::EmergencyConsensus(masters) => format!(
                "{whom} were killed, {} made the blocks until they were started again and had their keys back",
                if masters.count == 1 {
                    "the one master"
                } else if masters.partition {
                    "the masters, cut from each other and healed,"
                } else {
                    "the masters"
                }
            ),
        }
    }

    /// The times that it takes, in their order.
    pub(super) fn figures(self) -> Vec<Figure> {
        let (detect, everywhere, resume) = match self {
            Self::EmergencyConsensus(masters) => return emergency_figures(masters),
            Self::Lockdown(_) => return lockdown_figures(),
            Self::SoftStall => (
                "from the last kill to the first stall_began in a journal",
                "from the last kill to the last stall_began in a journal",
                "from the start of the killed processes to the first new block, looked for every 5 ms",
            ),
            Self::HardHalt | Self::EquivocationCluster => (
                "from taking up the contradiction to the durable halt, the slowest validator (holdfast_halt_detect_seconds)",
                "from the last contradiction that left, by the log of who sent it, to the last halt_began in a journal",
                FROM_RESUME,
            ),
            Self::EmergencyHalt | Self::Resume => (
                "from taking up the order to the durable halt, the slowest validator (holdfast_halt_detect_seconds)",
                "from the submission of the order to the last halt_began in a journal",
                FROM_RESUME,
            ),
        };
        vec![
            figure(DETECT, "detected", detect),
            figure(EVERYWHERE, "all halted", everywhere),
            figure(RESUME, "first commit", resume),
        ]
    }
}

pub(super) const DETECT: &str = "detect_ms";
pub(super) const EVERYWHERE: &str = "halted_everywhere_ms";
pub(super) const RESUME: &str = "resume_request_to_first_commit_ms";

pub(super) const STALL: &str = "kill_to_emergency_ms";
pub(super) const LATE: &str = "activation_late_ms";
pub(super) const ONE_HEAD: &str = "heal_to_one_head_ms";
pub(super) const KEYS: &str = "return_to_keys_ms";
pub(super) const EXIT: &str = "return_to_exit_ms";
pub(super) const FINAL: &str = "exit_to_final_ms";
pub(super) const DAG: &str = "exit_to_dag_ms";

pub(super) const FROZEN: &str = "vote_to_frozen_ms";
pub(super) const THAWED: &str = "vote_to_first_commit_ms";

fn lockdown_figures() -> Vec<Figure> {
    vec![
        figure(
            FROZEN,
            "all frozen",
            "from the submission of the deciding vote to the last halt_began in a journal",
        ),
        figure(
            THAWED,
            "first commit",
            "from the submission of the deciding vote to go on to the first block of the next era, looked for every 5 ms",
        ),
    ]
}

fn emergency_figures(masters: Masters) -> Vec<Figure> {
    let mut figures = vec![
        figure(
            STALL,
            "stall",
            "from the last kill to the first emergency block, looked for every 5 ms",
        ),
        figure(
            LATE,
            "late",
            "from the end of the timeout to the timestamp of the first emergency block",
        ),
    ];
    if masters.partition {
        figures.push(figure(
            ONE_HEAD,
            "one head",
            "from the end of the cut to one branch on all masters",
        ));
    }
    figures.extend([
        figure(
            KEYS,
            "keys back",
            "from the start of the killed processes to as many validators with slots as end the emergency",
        ),
        figure(
            EXIT,
            "exit",
            "from the start of the killed processes to the last emergency block",
        ),
        figure(
            FINAL,
            "final",
            "from the last emergency block to its certificate",
        ),
        figure(
            DAG,
            "DAG runs",
            "from the last emergency block to the first block of the DAG",
        ),
    ]);
    figures
}

const FROM_RESUME: &str =
    "from the submission of the resume to the first block of the next era, looked for every 5 ms";

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: Masters = Masters {
        count: 1,
        partition: false,
    };

    const ALL: [Kind; 7] = [
        Kind::SoftStall,
        Kind::HardHalt,
        Kind::EquivocationCluster,
        Kind::EmergencyHalt,
        Kind::Resume,
        Kind::EmergencyConsensus(MASTER),
        Kind::Lockdown(Voters { byzantine: true }),
    ];

    #[test]
    fn every_runbook_exists_and_names_its_drill() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
        for kind in ALL {
            let runbook = std::fs::read_to_string(format!("{root}{}", kind.runbook())).unwrap();
            let command = format!("`holdfast drill {}`", kind.name());
            assert!(
                runbook.contains(&command),
                "{command} in {}",
                kind.runbook()
            );
        }
    }

    #[test]
    fn a_halted_chain_keeps_the_quorum_that_resumes_it() {
        for validators in 4..=64 {
            let quorum = validators - (validators - 1) / 3;
            let disturbed = |kind: Kind| kind.disturbed(validators, 10);
            assert!(validators - disturbed(Kind::SoftStall) < quorum);
            assert_eq!(disturbed(Kind::EmergencyConsensus(MASTER)), validators - 1);
            let lockdown = Kind::Lockdown(Voters { byzantine: false });
            for kind in [Kind::HardHalt, Kind::EmergencyHalt, Kind::Resume, lockdown] {
                assert!(validators - disturbed(kind) >= quorum, "{kind:?}");
            }
            assert!(disturbed(Kind::EquivocationCluster) <= 10);
        }
    }

    #[test]
    fn every_time_has_its_own_name_and_label() {
        let cut = Masters {
            count: 2,
            partition: true,
        };
        for kind in ALL.into_iter().chain([Kind::EmergencyConsensus(cut)]) {
            let names = |of: fn(&Figure) -> &'static str| -> std::collections::BTreeSet<_> {
                kind.figures().iter().map(of).collect()
            };
            let count = kind.figures().len();
            assert_eq!(names(|figure| figure.name).len(), count, "{kind:?}");
            assert_eq!(names(|figure| figure.label).len(), count, "{kind:?}");
        }
    }
}
