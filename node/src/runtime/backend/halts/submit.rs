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
use holdfast_types::{Evidence, GovernanceMessage, Hash32, codec};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the core thread may take for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

impl NodeBackend {
    pub(in crate::runtime::backend) fn take_governance(
        &self,
        bytes: &[u8],
    ) -> Result<GovernanceSummary, BackendError> {
        let message = GovernanceMessage::decode(bytes).map_err(|error| refused(&error.into()))?;
        let chain = &self.parts.chain_id;
        admission::governance(
            self.parts.storage.as_ref(),
            &message,
            chain,
            self.parts.scheme.as_ref(),
        )
        .map_err(|error| Self::failed(&error))?
        .map_err(|error| refused(&error.into()))?;
        let summary = message_summary(&message, chain);
        let (reply, answer) = oneshot::channel();
        self.parts.core.command(CoreCommand::Governance {
            message: Box::new(message),
            reply,
        });
        wait(answer)?
            .map(|()| summary)
            .map_err(|refusal| refused(&refusal))
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
pub(in crate::runtime::backend) fn wait<T>(
    answer: oneshot::Receiver<T>,
) -> Result<T, BackendError> {
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

fn refused(refusal: &HaltRefusal) -> BackendError {
    BackendError::GovernanceRejected {
        reason: refusal.name().to_owned(),
        message: refusal.to_string(),
    }
}

fn unproved(reason: &str, message: String) -> BackendError {
    BackendError::EvidenceRejected {
        reason: reason.to_owned(),
        message,
    }
}

const fn reason_of_evidence(refusal: &EvidenceRefusal) -> &'static str {
    match refusal {
        EvidenceRefusal::UnknownEra(_) => "unknown_era",
        EvidenceRefusal::Unproved(error) => error.name(),
        EvidenceRefusal::Punished => "punished",
        EvidenceRefusal::NotContradicted => "not_contradicted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_rpc::ErrorCode;
    use holdfast_types::codec::CodecError;
    use holdfast_types::{AuthorityIndex, Era, EvidenceError, GovernanceError, TimestampMs};

    const ERA: Era = Era(1);
    const TIME: TimestampMs = TimestampMs(5);

    #[test]
    fn clients_are_told_of_every_refusal_by_a_name_of_its_own() {
        let governance = [
            GovernanceError::Codec(CodecError::TooLong {
                what: "a governance message",
                actual: 2,
                limit: 1,
            }),
            GovernanceError::TooMany {
                field: "keys",
                actual: 2,
                limit: 1,
            },
            GovernanceError::BadGovernors,
            GovernanceError::NotEnoughSignatures {
                actual: 6,
                threshold: 7,
            },
            GovernanceError::BadSigner { position: 3 },
            GovernanceError::BadSignature { position: 3 },
            GovernanceError::Replayed { actual: 1, last: 2 },
            GovernanceError::HaltOver {
                until: TIME,
                now: TIME,
            },
            GovernanceError::HaltTooLong {
                actual_ms: 2,
                limit_ms: 1,
            },
        ];
        let six = refused(&governance[3].clone().into());
        assert_eq!(
            six.to_string(),
            "the governance message was refused: 6 governors have signed, 7 have to"
        );
        let halts = [
            HaltRefusal::InForce { until: TIME },
            HaltRefusal::TooSoon { missing_ms: 7 },
            HaltRefusal::Resuming { sequence: 2 },
            HaltRefusal::EraIsOver {
                era: ERA,
                running: ERA,
            },
        ];
        let all = governance.into_iter().map(HaltRefusal::from).chain(halts);
        are_told(
            ErrorCode::GovernanceRejected,
            all.map(|refusal| refusal.name()),
        );
        let evidence = [
            EvidenceError::DifferentSlots,
            EvidenceError::NoContradiction,
            EvidenceError::UnknownAuthor {
                authority: AuthorityIndex(1),
                era: ERA,
            },
            EvidenceError::BadSignature,
        ];
        let here = ["malformed", "unknown_era", "not_contradicted", "full"];
        let names = evidence.into_iter().map(EvidenceError::name);
        are_told(ErrorCode::EvidenceRejected, names.chain(here));
    }

    /// The meaning of the code lists exactly these.
    fn are_told(code: ErrorCode, names: impl Iterator<Item = &'static str>) {
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        let (_, listed) = code.meaning().split_once("for why: ").unwrap();
        let mut listed: Vec<_> = listed.split('`').skip(1).step_by(2).collect();
        listed.sort_unstable();
        assert_eq!(names, listed, "{code:?}");
    }
}
