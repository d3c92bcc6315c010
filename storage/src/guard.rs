//! The sign guard: what this key has signed, in a small synced file that lives with the key (DESIGN §3).
//!
//! Rules:
//!
//! * G1. A record is durable before [`SignGuardFile::raise`] returns; only then may the signature leave.
//! * G2. Nothing in it is ever lowered: not by a raise, not by an import, not by a torn write.
//! * G3. It is bound to one public key and locked to one process.
//! * G4. It is never created on the way: no guard, no signing, until an operator says so.
//! * G5. After a failed write nothing is raised any more: what the file holds is not known.

mod error;
mod interchange;
mod slots;

pub use error::GuardError;

use holdfast_halt::lockdown::recovery::{SignedChoice, SignedRecovery};
use holdfast_replica::{SignGuard, SignGuardRecord};
use holdfast_types::{AttestationBody, Era, Height, PublicKey, RecoveryStep, Round};
use slots::SlotFile;
use std::path::{Path, PathBuf};

/// The open, exclusively locked guard of one key.
#[derive(Debug)]
pub struct SignGuardFile {
    path: PathBuf,
    slots: SlotFile,
    record: SignGuardRecord,
    was_torn: bool,
    failure: Option<GuardError>,
}

impl SignGuardFile {
    /// Creates the guard of a key that has signed nothing. An explicit act of the operator; an existing file is left
    /// alone.
    pub fn create(path: &Path, key: PublicKey) -> Result<Self, GuardError> {
        Self::create_with(path, SignGuard::empty(key).record().clone())
    }

    /// The same for a key that may have signed before: nothing is signed before other validators have shown what they
    /// have (rule R12 of the replica).
    pub fn create_for_used_key(path: &Path, key: PublicKey) -> Result<Self, GuardError> {
        let mut guard = SignGuard::empty(key);
        guard.forget_past();
        Self::create_with(path, guard.record().clone())
    }

    fn create_with(path: &Path, record: SignGuardRecord) -> Result<Self, GuardError> {
        slots::create(path, &record)?;
        Self::open(path, record.key)
    }

    /// Opens the guard of `key`. If the newest write was torn, the record before it counts: the signature that the
    /// torn one was for never left.
    pub fn open(path: &Path, key: PublicKey) -> Result<Self, GuardError> {
        let (mut slots, read) = SlotFile::open(path)?;
        if read.record.key != key {
            return Err(GuardError::ForeignKey {
                path: path.to_owned(),
                found: read.record.key,
                expected: key,
            });
        }
        if read.is_damaged {
            tracing::warn!(
                path = %path.display(),
                torn = read.was_torn,
                "a copy of the sign guard record did not check; it is written anew"
            );
            slots.write(&read.record)?;
        }
        Ok(Self {
            path: path.to_owned(),
            slots,
            record: read.record,
            was_torn: read.was_torn,
            failure: None,
        })
    }

    /// What the key has signed.
    #[must_use]
    pub const fn record(&self) -> &SignGuardRecord {
        &self.record
    }

    /// True if the newest write was found torn when the file was opened.
    #[must_use]
    pub const fn was_torn(&self) -> bool {
        self.was_torn
    }

    /// Raises the guard; durable when this returns. Each part stays or rises; the same record again is no write.
    pub fn raise(&mut self, record: &SignGuardRecord) -> Result<(), GuardError> {
        self.raise_through(std::slice::from_ref(&record))
    }

    /// Raises the guard through several records in their order with one write.
    pub fn raise_through(&mut self, records: &[&SignGuardRecord]) -> Result<(), GuardError> {
        self.check_through(records)?;
        let current = records.last().copied().unwrap_or(&self.record);
        if *current == self.record {
            return Ok(());
        }
        if let Err(error) = self.slots.write(current) {
            self.failure = Some(error.clone());
            return Err(error);
        }
        self.record = current.clone();
        Ok(())
    }

    /// Whether [`Self::raise_through`] would refuse the records; nothing is written.
    pub fn check_through(&self, records: &[&SignGuardRecord]) -> Result<(), GuardError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let mut current = &self.record;
        for &record in records {
            self.check_raise(current, record)?;
            current = record;
        }
        Ok(())
    }

    fn check_raise(
        &self,
        current: &SignGuardRecord,
        asked: &SignGuardRecord,
    ) -> Result<(), GuardError> {
        if asked.key != current.key {
            return Err(GuardError::ForeignKey {
                path: self.path.clone(),
                found: current.key,
                expected: asked.key,
            });
        }
        if asked.vertex < current.vertex {
            return Err(GuardError::Lowers {
                what: "the vertex slot",
                current: display_slot(current.vertex),
                asked: display_slot(asked.vertex),
            });
        }
        let slot = |attestation: &Option<AttestationBody>| attestation.map(|a| (a.era, a.height));
        let same_slot = slot(&asked.attestation) == slot(&current.attestation);
        if slot(&asked.attestation) < slot(&current.attestation)
            || (same_slot && asked.attestation != current.attestation)
        {
            return Err(GuardError::Lowers {
                what: "the attestation",
                current: display_attestation(current.attestation),
                asked: display_attestation(asked.attestation),
            });
        }
        let era = |end: &Option<AttestationBody>| end.map(|end| end.era);
        for (what, current_end, asked_end) in [
            (
                "the end of an emergency",
                current.emergency_end,
                asked.emergency_end,
            ),
            (
                "the vote for the end of an emergency",
                current.end_vote,
                asked.end_vote,
            ),
        ] {
            let is_same = era(&asked_end) == era(&current_end);
            let is_taken_back = asked_end.is_none()
                && slot(&asked.attestation) > slot(&current.attestation)
                && asked.attestation.map(|body| body.era) < era(&current_end);
            let is_lower = era(&asked_end) < era(&current_end);
            if !is_taken_back && (is_lower || is_same && asked_end != current_end) {
                return Err(GuardError::Lowers {
                    what,
                    current: display_attestation(current_end),
                    asked: display_attestation(asked_end),
                });
            }
        }
        check_recovery(current.recovery, asked.recovery)
    }

    /// Interchange document (JSON) with what the key has signed.
    #[must_use]
    pub fn export(&self) -> String {
        interchange::export(&self.record)
    }

    /// Raises the guard to what the document says of this key; where the guard is higher it stays.
    pub fn import(&mut self, document: &str) -> Result<(), GuardError> {
        let imported = interchange::parse(document, self.record.key)?;
        let slot = |body: AttestationBody| (body.era, body.height);
        let attestation = newer(self.record.attestation, imported.attestation, slot)?;
        // One end of an emergency is signed, whatever its height.
        let emergency = |body: AttestationBody| (body.era, Height::ZERO);
        let emergency_end = newer(self.record.emergency_end, imported.emergency_end, emergency)?;
        let end_vote = newer(self.record.end_vote, imported.end_vote, emergency)?;
        let record = SignGuardRecord {
            key: self.record.key,
            vertex: self.record.vertex.max(imported.vertex),
            attestation,
            emergency_end,
            end_vote,
            recovery: newer_recovery(self.record.recovery, imported.recovery)?,
            past_unknown: self.record.past_unknown || imported.past_unknown,
        };
        self.raise(&record)
    }
}

/// The newer of an own attestation and an imported one; two of one place contradict each other.
fn newer(
    own: Option<AttestationBody>,
    imported: Option<AttestationBody>,
    place: impl Fn(AttestationBody) -> (Era, Height),
) -> Result<Option<AttestationBody>, GuardError> {
    let (at_own, at_imported) = (own.map(&place), imported.map(&place));
    if own.is_some() && at_own == at_imported && own != imported {
        return Err(GuardError::Interchange {
            reason: format!(
                "it holds another attestation than the guard for {}: this key has signed both, or one of \
                 the two is not of this chain",
                display_attestation(own)
            ),
        });
    }
    Ok(if at_imported > at_own { imported } else { own })
}

/// Each step of a vote to go on stays or rises, in the order (era, attempt).
fn check_recovery(
    current: Option<SignedRecovery>,
    asked: Option<SignedRecovery>,
) -> Result<(), GuardError> {
    let Some(current) = current else {
        return Ok(());
    };
    let era = asked.map(|asked| asked.era);
    let is_later = era > Some(current.era);
    let stays_or_rises = |step| {
        let asked = asked.and_then(|asked| asked.of(step));
        let attempt = |signed: Option<SignedChoice>| signed.map(|(attempt, _)| attempt);
        let current = current.of(step);
        attempt(asked) > attempt(current) || asked == current
    };
    let steps = [RecoveryStep::Prevote, RecoveryStep::Precommit];
    if is_later || era == Some(current.era) && steps.into_iter().all(stays_or_rises) {
        return Ok(());
    }
    Err(GuardError::Lowers {
        what: "the vote to go on after a lockdown",
        current: display_recovery(Some(current)),
        asked: display_recovery(asked),
    })
}

/// The newer of own votes to go on and imported ones; two of one attempt and step contradict each other.
fn newer_recovery(
    own: Option<SignedRecovery>,
    imported: Option<SignedRecovery>,
) -> Result<Option<SignedRecovery>, GuardError> {
    let (Some(mut newer), Some(imported)) = (own, imported) else {
        return Ok(own.or(imported));
    };
    if newer.era != imported.era {
        return Ok(if imported.era > newer.era {
            Some(imported)
        } else {
            own
        });
    }
    for (own, imported) in [
        (&mut newer.prevote, imported.prevote),
        (&mut newer.precommit, imported.precommit),
    ] {
        let attempt = |signed: Option<SignedChoice>| signed.map(|(attempt, _)| attempt);
        if attempt(*own) == attempt(imported) && *own != imported {
            return Err(GuardError::Interchange {
                reason: format!(
                    "it holds another vote to go on than the guard for era {}: this key has signed both, or \
                     one of the two is not of this chain",
                    newer.era
                ),
            });
        }
        if attempt(imported) > attempt(*own) {
            *own = imported;
        }
    }
    Ok(Some(newer))
}

fn display_recovery(signed: Option<SignedRecovery>) -> String {
    let Some(signed) = signed else {
        return String::from("nothing");
    };
    let step = |step: RecoveryStep| match signed.of(step) {
        Some((attempt, choice)) => {
            let point = choice.point;
            format!(
                "{} in attempt {attempt} for block {} ({:#})",
                step.name(),
                point.height,
                point.block
            )
        }
        None => format!("no {}", step.name()),
    };
    let steps = (step(RecoveryStep::Prevote), step(RecoveryStep::Precommit));
    format!("era {} {}, {}", signed.era, steps.0, steps.1)
}

fn display_slot(slot: Option<(Era, Round)>) -> String {
    slot.map_or_else(
        || String::from("nothing"),
        |(era, round)| format!("era {era} round {round}"),
    )
}

fn display_attestation(attestation: Option<AttestationBody>) -> String {
    attestation.map_or_else(
        || String::from("nothing"),
        |body| format!("era {} block {} ({:#})", body.era, body.height, body.block),
    )
}
