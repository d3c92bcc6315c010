//! What the number means with which the process ends.
//!
//! One table serves `--help`, `docs/exit-codes.md` and the code. The numbers are a contract with service managers
//! and scripts: a number never changes its meaning and is never used again.

use std::fmt::Write as _;

/// The exit status of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// The command did what it was asked for, or the node was asked to stop and stopped.
    Clean = 0,
    /// Wrong arguments, an invalid configuration, or an error without a number of its own.
    Usage = 1,
    /// The node answers, but is not ready: it starts, catches up, or the chain does not move.
    NotReady = 2,
    /// The node did not answer.
    Unreachable = 3,
    /// The node refused, does not know what was asked for, or the transaction was executed and failed.
    Refused = 4,
    /// The wait ran out before the transaction was as final as asked for; it stays queued.
    Pending = 5,
    /// The node reached `node.halt_height` and stopped there, as configured.
    HaltHeightReached = 10,
    /// This node cannot go on with its chain; an operator has to decide. A halt that the node could keep is none of this:
    /// it goes on answering.
    HardHalt = 20,
    /// The sign guard is missing, belongs to another key, is held by another process, or refused a signature.
    SignGuardRefused = 21,
    /// This validator's key was seen signing elsewhere.
    Doppelganger = 22,
    /// The password is missing or wrong, or a key file is exposed, damaged or missing.
    Keystore = 23,
    /// The database belongs to another genesis or was written under other parameters.
    GenesisDiffers = 24,
    /// The disk is full, or reading or writing it failed.
    DiskFailed = 30,
    /// The database is damaged.
    DatabaseCorrupt = 31,
    /// A listen address is taken by another process.
    PortInUse = 32,
    /// A part of the node panicked, ended or hung; the node stopped itself with the reason on record.
    Internal = 70,
}

/// What a service manager should do when the process ends with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// A restart may help.
    Helps,
    /// A restart changes nothing until somebody has looked.
    NeedsOperator,
    /// The process meant to end.
    NotWanted,
}

impl Restart {
    const fn text(self) -> &'static str {
        match self {
            Self::Helps => "yes",
            Self::NeedsOperator => "no, look first",
            Self::NotWanted => "no",
        }
    }
}

impl ExitCode {
    /// Every code, in ascending order.
    pub const ALL: [Self; 16] = [
        Self::Clean,
        Self::Usage,
        Self::NotReady,
        Self::Unreachable,
        Self::Refused,
        Self::Pending,
        Self::HaltHeightReached,
        Self::HardHalt,
        Self::SignGuardRefused,
        Self::Doppelganger,
        Self::Keystore,
        Self::GenesisDiffers,
        Self::DiskFailed,
        Self::DatabaseCorrupt,
        Self::PortInUse,
        Self::Internal,
    ];

    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// A stable name for logs and scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Usage => "usage",
            Self::NotReady => "not-ready",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Pending => "pending",
            Self::HaltHeightReached => "halt-height-reached",
            Self::HardHalt => "hard-halt",
            Self::SignGuardRefused => "sign-guard-refused",
            Self::Doppelganger => "doppelganger",
            Self::Keystore => "keystore",
            Self::GenesisDiffers => "genesis-differs",
            Self::DiskFailed => "disk-failed",
            Self::DatabaseCorrupt => "database-corrupt",
            Self::PortInUse => "port-in-use",
            Self::Internal => "internal",
        }
    }

    /// One line that says what happened.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Clean => "done, or stopped as asked",
            Self::Usage => "wrong arguments, invalid configuration, or another error",
            Self::NotReady => "status: the node answers but is not ready",
            Self::Unreachable => "the node asked did not answer",
            Self::Refused => "the node refused, does not know it, or the transaction failed",
            Self::Pending => "tx: the wait ran out, the transaction stays queued",
            Self::HaltHeightReached => "reached node.halt_height and stopped there, as configured",
            Self::HardHalt => {
                "this node cannot go on with its chain: its state contradicts itself, or its fork database is full; an operator has to decide"
            }
            Self::SignGuardRefused => {
                "the sign guard is missing, foreign or in use, or refused to sign"
            }
            Self::Doppelganger => "this validator's key was seen signing elsewhere",
            Self::Keystore => "password missing or wrong; key file missing, exposed or damaged",
            Self::GenesisDiffers => "genesis or parameters differ from those of the database",
            Self::DiskFailed => "disk full, or reading or writing it failed",
            Self::DatabaseCorrupt => "the database is damaged",
            Self::PortInUse => "a listen address is taken by another process",
            Self::Internal => "a part of the node panicked, ended or hung; see last-panic.txt",
        }
    }

    /// Whether a service manager should start the process again.
    #[must_use]
    pub const fn restart(self) -> Restart {
        match self {
            Self::Clean
            | Self::NotReady
            | Self::Unreachable
            | Self::Refused
            | Self::Pending
            | Self::HaltHeightReached => Restart::NotWanted,
            Self::Usage
            | Self::HardHalt
            | Self::SignGuardRefused
            | Self::Doppelganger
            | Self::Keystore
            | Self::GenesisDiffers
            | Self::DatabaseCorrupt => Restart::NeedsOperator,
            Self::DiskFailed | Self::PortInUse | Self::Internal => Restart::Helps,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

/// The table at the end of `holdfast --help`.
#[must_use]
pub fn help_text() -> String {
    let mut text = String::from("Exit codes:\n");
    for code in ExitCode::ALL {
        let _infallible = writeln!(text, "  {:>3}  {}", code.number(), code.meaning());
    }
    text
}

/// The whole of `docs/exit-codes.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Exit codes\n\n\
         The number with which `holdfast` ends is a contract: it never changes its meaning. This page is generated\n\
         from `node/src/exit_codes.rs`; a test keeps both equal.\n\n\
         | code | name | what happened | restart? |\n|---:|---|---|---|\n",
    );
    for code in ExitCode::ALL {
        let _infallible = writeln!(
            text,
            "| {} | `{}` | {} | {} |",
            code.number(),
            code.name(),
            code.meaning(),
            code.restart().text(),
        );
    }
    let numbers: Vec<String> = ExitCode::ALL
        .into_iter()
        .filter(|code| *code != ExitCode::Clean && code.restart() != Restart::Helps)
        .map(|code| code.number().to_string())
        .collect();
    let _infallible = write!(
        text,
        "\nEvery failure prints three lines on standard error: what failed, why, and what to do.\n\n\
         For systemd, restart only where it can help:\n\n\
         ```ini\n[Service]\nRestart=on-failure\nRestartPreventExitStatus={}\n```\n",
        numbers.join(" "),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_names_are_unique() {
        assert!(
            ExitCode::ALL
                .windows(2)
                .all(|pair| pair[0].number() < pair[1].number())
        );
        let mut names: Vec<_> = ExitCode::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ExitCode::ALL.len());
    }

    #[test]
    fn the_numbers_are_the_published_contract() {
        let numbers = ExitCode::ALL.map(ExitCode::number);
        assert_eq!(
            numbers,
            [0, 1, 2, 3, 4, 5, 10, 20, 21, 22, 23, 24, 30, 31, 32, 70]
        );
    }

    /// `HOLDFAST_UPDATE_DOCS=1 cargo test` writes the page instead of comparing it.
    #[test]
    fn the_documentation_page_is_generated_from_this_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/exit-codes.md");
        if std::env::var_os("HOLDFAST_UPDATE_DOCS").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            page,
            markdown(),
            "docs/exit-codes.md is stale: run with HOLDFAST_UPDATE_DOCS=1"
        );
    }
}
