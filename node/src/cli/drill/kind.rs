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
        }
    }

    pub(super) const fn runbook(self) -> &'static str {
        match self {
            Self::SoftStall => "docs/runbooks/soft-stall.md",
            Self::HardHalt => "docs/runbooks/scenario-a-state-root-divergence.md",
            Self::EquivocationCluster => "docs/runbooks/hard-halt.md",
            Self::EmergencyHalt => "docs/runbooks/emergency-halt.md",
            Self::Resume => "docs/runbooks/resume.md",
        }
    }

    /// What holds while the chain stands.
    pub(super) const fn mode(self) -> Mode {
        match self {
            Self::SoftStall => Mode::SoftStall,
            Self::HardHalt | Self::EquivocationCluster => Mode::HardHalt,
            Self::EmergencyHalt | Self::Resume => Mode::EmergencyHalt,
        }
    }

    /// What the validators are started with.
    pub(super) const fn fault(self) -> Option<InjectedFault> {
        match self {
            Self::HardHalt => Some(InjectedFault::WrongRoot),
            Self::EquivocationCluster => Some(InjectedFault::Equivocate),
            Self::SoftStall | Self::EmergencyHalt | Self::Resume => None,
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
            Self::Resume => faulty_max,
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
        }
    }

    /// How the times were taken, for whoever reads the figures.
    pub(super) const fn measured(self) -> [(&'static str, &'static str); 3] {
        let (detect, everywhere, resume) = match self {
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
        [
            ("detect_ms", detect),
            ("halted_everywhere_ms", everywhere),
            ("resume_request_to_first_commit_ms", resume),
        ]
    }
}

const FROM_RESUME: &str =
    "from the submission of the resume to the first block of the next era, looked for every 5 ms";

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 5] = [
        Kind::SoftStall,
        Kind::HardHalt,
        Kind::EquivocationCluster,
        Kind::EmergencyHalt,
        Kind::Resume,
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
            for kind in [Kind::HardHalt, Kind::EmergencyHalt, Kind::Resume] {
                assert!(validators - disturbed(kind) >= quorum, "{kind:?}");
            }
            assert!(disturbed(Kind::EquivocationCluster) <= 10);
        }
    }
}
