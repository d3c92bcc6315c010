//! How the failures of the parts end the node: exit code, reason, next step.

use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use holdfast_chain::ChainError;
use holdfast_ledger::{LedgerError, StateError};
use holdfast_storage::{GuardError, OpenError, StorageError};
use holdfast_types::{Era, Round};

#[must_use]
pub fn of_storage(error: &StorageError) -> Failure {
    let (code, next_step) = match error {
        StorageError::NoSpace { .. } => (
            ExitCode::DiskFailed,
            "free disk space, then start the node again; nothing that was acknowledged is lost",
        ),
        StorageError::Corrupted { .. } => (
            ExitCode::DatabaseCorrupt,
            "check the disk; restore the data folder from a copy or let the node sync into a new one, and leave the sign guard in its place",
        ),
        StorageError::Database { .. } => (
            ExitCode::DiskFailed,
            "check the disk (dmesg, smartctl), then start the node again",
        ),
        StorageError::WrongBatch { .. } => (
            ExitCode::Internal,
            "restarting is safe; report this as a bug with the log",
        ),
        StorageError::Guard { .. } => (
            ExitCode::SignGuardRefused,
            "make sure that no other process signs with this key; do not delete the sign guard",
        ),
    };
    Failure::new(code, "the store refused a write", error, next_step)
}

#[must_use]
pub fn of_state(error: &StateError) -> Failure {
    Failure::new(
        ExitCode::DatabaseCorrupt,
        "the store refused a read",
        error,
        "check the disk; restore the data folder from a copy or let the node sync into a new one, and leave the sign guard in its place",
    )
}

#[must_use]
pub fn of_chain(error: &ChainError) -> Failure {
    match error {
        ChainError::Store(error) | ChainError::Ledger(LedgerError::Store(error)) => of_state(error),
        ChainError::NoGenesis | ChainError::Incomplete { .. } => Failure::new(
            ExitCode::DatabaseCorrupt,
            "the store holds no complete chain",
            error,
            "restore the data folder from a copy, or move it away and let the node sync into a new one; leave the sign guard in its place",
        ),
        ChainError::ForkDatabaseFull { .. } => Failure::new(
            ExitCode::HardHalt,
            "blocks are made that never become irreversible, so the chain stopped",
            error,
            "compare the state roots with other validators: a quorum of equal attestations is missing",
        ),
        ChainError::Ledger(LedgerError::UnknownHardfork { .. }) => Failure::new(
            ExitCode::HardHalt,
            "the validators have voted for rules that this software does not have",
            error,
            "install a version that knows this hardfork, then start the node again; nothing is lost",
        ),
        // Most of these halt the node that meets them, which then goes on answering (`fault_of`).
        ChainError::Forks(_)
        | ChainError::NoProgress { .. }
        | ChainError::Ledger(_)
        | ChainError::CommitFork { .. }
        | ChainError::Diverged { .. }
        | ChainError::EmergencyRefused { .. }
        | ChainError::EmergencySignature { .. }
        | ChainError::CertifiedRejected { .. }
        | ChainError::NotDeterministic { .. }
        | ChainError::ContradictoryCertificates { .. }
        | ChainError::IrreversibleContradicted { .. } => Failure::new(
            ExitCode::Internal,
            "the chain broke one of its own rules",
            error,
            "restarting is safe; report this as a bug with the log",
        ),
    }
}

#[must_use]
pub fn of_open(error: &OpenError) -> Failure {
    let (code, next_step) = match error {
        OpenError::Missing { .. } => (
            ExitCode::DatabaseCorrupt,
            "run `holdfast init` for a new node, or name the right data folder",
        ),
        OpenError::Exists { .. } | OpenError::Locked { .. } => (
            ExitCode::Usage,
            "stop the other process, or give this node its own storage.data_dir",
        ),
        OpenError::WrongFormat { .. } => (
            ExitCode::DatabaseCorrupt,
            "run the version that wrote it, or sync into a new folder",
        ),
        OpenError::WrongChain { .. } => (
            ExitCode::GenesisDiffers,
            "put the genesis file of that chain back, or name another data folder",
        ),
        OpenError::Corrupted { .. } => (
            ExitCode::DatabaseCorrupt,
            "restore the data folder from a copy, or move it away and let the node sync into a new one; leave the sign guard in its place",
        ),
        OpenError::Io { .. } => (
            ExitCode::DiskFailed,
            "check the path and the disk, then start the node again",
        ),
    };
    Failure::new(code, "the store does not open", error, next_step)
}

#[must_use]
pub fn of_guard(error: &GuardError) -> Failure {
    let next_step = match error {
        GuardError::Missing { .. } => {
            "put the sign guard of this key back. If it is lost, create one with `holdfast run --init-sign-guard`: the node then signs only when a quorum of the other validators has shown what this key has signed"
        }
        GuardError::Locked { .. } => "stop the other process that uses this key",
        GuardError::ForeignKey { .. } => {
            "check validator.key_file and validator.sign_guard_file: they belong together"
        }
        GuardError::Exists { .. }
        | GuardError::Corrupted { .. }
        | GuardError::Lowers { .. }
        | GuardError::Interchange { .. }
        | GuardError::Io { .. } => "restore the sign guard from a copy, or import an export of it",
    };
    Failure::new(
        ExitCode::SignGuardRefused,
        "the sign guard refuses, so this node must not sign",
        error,
        next_step,
    )
}

#[must_use]
pub fn doppelganger(era: Era, round: Round) -> Failure {
    Failure::new(
        ExitCode::Doppelganger,
        "this validator's key signs elsewhere, so this node stopped signing and ended",
        format!(
            "a vertex of era {era}, round {round} under our key came from the network, and our sign guard has not signed it"
        ),
        "find the other process and stop it; start this node only when you are sure that it is the only one",
    )
}
