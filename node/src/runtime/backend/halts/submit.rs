//! Governance messages and evidence of clients: verified, handed to the core thread, answered when durable.

use super::convert::message_summary;
use crate::runtime::backend::NodeBackend;
use crate::runtime::backend::convert::hash;
use crate::runtime::core_thread::CoreCommand;
use holdfast_halt::HaltRefusal;
use holdfast_network::Topic;
use holdfast_replica::admission::{self, EvidenceRefusal};
use holdfast_rpc::BackendError;
use holdfast_rpc::dto::{EvidenceFate, EvidenceReceipt, GovernanceSummary};
use holdfast_types::{Evidence, EvidenceError, GovernanceError, GovernanceMessage, Hash32, codec};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the core thread may take for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

impl NodeBackend {
    pub(in crate::runtime::backend) fn take_governance(
        &self,
        bytes: &[u8],
    ) -> Result<GovernanceSummary, BackendError> {
        let message = GovernanceMessage::decode(bytes).map_err(|error| refused(&error))?;
        let chain = &self.parts.chain_id;
        admission::governance(
            self.parts.storage.as_ref(),
            &message,
            chain,
            self.parts.scheme.as_ref(),
        )
        .map_err(|error| Self::failed(&error))?
        .map_err(|error| refused(&error))?;
        let summary = message_summary(&message, chain);
        let (reply, answer) = oneshot::channel();
        self.parts.core.command(CoreCommand::Governance {
            message: Box::new(message),
            reply,
        });
        match wait(answer)? {
            Ok(()) => Ok(summary),
            Err(HaltRefusal::Governance(error)) => Err(refused(&error)),
            Err(refusal) => Err(BackendError::GovernanceRejected {
                reason: reason_of_refusal(&refusal).to_owned(),
                message: refusal.to_string(),
            }),
        }
    }

    pub(in crate::runtime::backend) fn take_evidence(
        &self,
        bytes: &[u8],
    ) -> Result<EvidenceReceipt, BackendError> {
        let limit = Topic::Evidence.message_bytes_max();
        let evidence: Evidence = codec::decode("evidence", bytes, limit)
            .map_err(|error| unproved("malformed", error.to_string()))?;
        let slot = evidence.slot_key();
        let context = self.context_of(evidence.era());
        let judged = admission::evidence(
            self.parts.storage.as_ref(),
            &evidence,
            &self.parts.chain_id,
            context.as_deref(),
            self.parts.scheme.as_ref(),
        );
        let receipt = |status| EvidenceReceipt {
            slot: hash(&slot),
            status,
        };
        match judged.map_err(|error| Self::failed(&error))? {
            Ok(()) => {}
            Err(EvidenceRefusal::Punished) => return Ok(receipt(EvidenceFate::Punished)),
            Err(refusal) => {
                let reason = reason_of_evidence(&refusal);
                return Err(unproved(reason, refusal.to_string()));
            }
        }
        let (reply, answer) = oneshot::channel();
        self.parts.core.command(CoreCommand::Evidence {
            evidence: Box::new(evidence),
            reply,
        });
        if wait(answer)? {
            return Ok(receipt(EvidenceFate::Accepted));
        }
        if self.was_punished(&slot)? {
            return Ok(receipt(EvidenceFate::Punished));
        }
        let waiting = self.parts.storage.evidence();
        let waiting = waiting.map_err(|error| BackendError::Internal {
            cause: error.to_string(),
        })?;
        if waiting.iter().any(|known| known.slot_key() == slot) {
            return Ok(receipt(EvidenceFate::Known));
        }
        let text = "as much evidence waits, of this offender or in all, as may";
        Err(unproved("full", text.to_owned()))
    }

    fn was_punished(&self, slot: &Hash32) -> Result<bool, BackendError> {
        holdfast_ledger::is_punished(self.parts.storage.as_ref(), slot)
            .map_err(|error| Self::failed(&error))
    }
}

/// Waits for the core thread, on a thread that may block.
fn wait<T>(answer: oneshot::Receiver<T>) -> Result<T, BackendError> {
    let waiting = async { tokio::time::timeout(ANSWER_LIMIT, answer).await };
    match tokio::runtime::Handle::current().block_on(waiting) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(BackendError::Internal {
            cause: "the core thread gave no answer: the node is stopping".to_owned(),
        }),
        Err(_) => Err(BackendError::Internal {
            cause: "the core thread has not answered in time".to_owned(),
        }),
    }
}

fn refused(error: &GovernanceError) -> BackendError {
    BackendError::GovernanceRejected {
        reason: reason_of_governance(error).to_owned(),
        message: error.to_string(),
    }
}

fn unproved(reason: &str, message: String) -> BackendError {
    BackendError::EvidenceRejected {
        reason: reason.to_owned(),
        message,
    }
}

const fn reason_of_governance(error: &GovernanceError) -> &'static str {
    match error {
        GovernanceError::Codec(_) => "malformed",
        GovernanceError::TooMany { .. } => "too_many",
        GovernanceError::BadGovernors => "bad_governors",
        GovernanceError::NotEnoughSignatures { .. } => "not_enough_signatures",
        GovernanceError::BadSigner { .. } => "bad_signer",
        GovernanceError::BadSignature { .. } => "bad_signature",
        GovernanceError::Replayed { .. } => "replayed",
        GovernanceError::HaltOver { .. } => "halt_over",
        GovernanceError::HaltTooLong { .. } => "halt_too_long",
    }
}

const fn reason_of_refusal(refusal: &HaltRefusal) -> &'static str {
    match refusal {
        HaltRefusal::Governance(error) => reason_of_governance(error),
        HaltRefusal::OtherEra { .. } => "other_era",
        HaltRefusal::Known => "known",
        HaltRefusal::InForce { .. } => "halt_in_force",
        HaltRefusal::TooSoon { .. } => "too_soon",
        HaltRefusal::Resuming { .. } => "resuming",
        HaltRefusal::EraIsOver { .. } => "era_is_over",
    }
}

const fn reason_of_evidence(refusal: &EvidenceRefusal) -> &'static str {
    match refusal {
        EvidenceRefusal::UnknownEra(_) => "unknown_era",
        EvidenceRefusal::Unproved(EvidenceError::DifferentSlots) => "different_slots",
        EvidenceRefusal::Unproved(EvidenceError::NoContradiction) => "no_contradiction",
        EvidenceRefusal::Unproved(EvidenceError::UnknownAuthor { .. }) => "unknown_author",
        EvidenceRefusal::Unproved(EvidenceError::BadSignature) => "bad_signature",
        EvidenceRefusal::Punished => "punished",
        EvidenceRefusal::NotContradicted => "not_contradicted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::TimestampMs;

    #[test]
    fn every_refusal_has_its_own_name() {
        let governance = [
            GovernanceError::BadGovernors,
            GovernanceError::NotEnoughSignatures {
                actual: 6,
                threshold: 7,
            },
            GovernanceError::BadSigner { position: 3 },
            GovernanceError::BadSignature { position: 3 },
            GovernanceError::Replayed { actual: 1, last: 2 },
            GovernanceError::HaltOver {
                until: TimestampMs(1),
                now: TimestampMs(2),
            },
            GovernanceError::HaltTooLong {
                actual_ms: 2,
                limit_ms: 1,
            },
        ];
        let refusals = [
            HaltRefusal::InForce {
                until: TimestampMs(5),
            },
            HaltRefusal::TooSoon { missing_ms: 7 },
            HaltRefusal::Resuming { sequence: 2 },
            HaltRefusal::Known,
        ];
        let mut names: Vec<_> = governance.iter().map(reason_of_governance).collect();
        names.extend(refusals.iter().map(reason_of_refusal));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
        let six = refused(&governance[1]);
        assert_eq!(
            six.to_string(),
            "the governance message was refused: 6 governors have signed, 7 have to"
        );
    }
}
