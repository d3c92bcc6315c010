//! What this key may sign (rule R2).

use crate::record::{Record, SignGuardRecord};
use holdfast_halt::lockdown::recovery::{SignedChoice, SignedRecovery};
use holdfast_types::{AttestationBody, Era, Height, PublicKey, RecoveryVoteBody, Round};

/// Why the guard refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardRefusal {
    #[error(
        "a vertex of era {era} round {round} is not above the last signed one (era {last_era} round {last_round})"
    )]
    VertexNotAbove {
        era: Era,
        round: Round,
        last_era: Era,
        last_round: Round,
    },
    #[error(
        "an attestation of era {era} height {height} is not above the last signed one (era {last_era} height {last_height})"
    )]
    AttestationNotAbove {
        era: Era,
        height: Height,
        last_era: Era,
        last_height: Height,
    },
    #[error(
        "the end of an emergency (era {era} height {height}) leaves out the end that was attested before (era {last_era} height {last_height})"
    )]
    EndLeftOut {
        era: Era,
        height: Height,
        last_era: Era,
        last_height: Height,
    },
    #[error(
        "a vote to go on of era {era} attempt {attempt} contradicts the last signed one (era {last_era} attempt {last_attempt})"
    )]
    RecoveryContradicts {
        era: Era,
        attempt: u32,
        last_era: Era,
        last_attempt: u32,
    },
}

/// The guard of one key. It decides; the shell makes its record durable.
#[derive(Clone, Debug)]
pub struct SignGuard {
    record: SignGuardRecord,
}

impl SignGuard {
    #[must_use]
    pub const fn new(record: SignGuardRecord) -> Self {
        Self { record }
    }

    /// The guard of a key that has signed nothing.
    #[must_use]
    pub const fn empty(key: PublicKey) -> Self {
        Self::new(SignGuardRecord {
            key,
            vertex: None,
            attestation: None,
            emergency_end: None,
            end_vote: None,
            recovery: None,
            past_unknown: false,
        })
    }

    #[must_use]
    pub const fn record(&self) -> &SignGuardRecord {
        &self.record
    }

    /// Highest round signed in `era`.
    #[must_use]
    pub fn last_round(&self, era: Era) -> Option<Round> {
        self.record
            .vertex
            .filter(|(last, _)| *last == era)
            .map(|(_, round)| round)
    }

    /// True if a vertex in this slot may have been signed under this guard.
    #[must_use]
    pub fn covers(&self, era: Era, round: Round) -> bool {
        self.record.vertex.is_some_and(|last| (era, round) <= last)
    }

    /// What makes it durable.
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record::SignGuard(Box::new(self.record.clone()))
    }

    /// Raises the guard to a vertex slot. Whoever asks knows that nothing at or above it was signed before (rule R12).
    pub fn allow_vertex(&mut self, era: Era, round: Round) -> Result<(), GuardRefusal> {
        if let Some((last_era, last_round)) = self.record.vertex
            && (era, round) <= (last_era, last_round)
        {
            return Err(GuardRefusal::VertexNotAbove {
                era,
                round,
                last_era,
                last_round,
            });
        }
        self.record.vertex = Some((era, round));
        self.record.past_unknown = false;
        Ok(())
    }

    /// Something was signed that this guard does not know of; true if that is news.
    pub fn forget_past(&mut self) -> bool {
        !std::mem::replace(&mut self.record.past_unknown, true)
    }

    /// Raises the guard to a vertex that was signed and stored, and perhaps never sent, and to what it attests; true if
    /// something was not covered.
    pub fn raise_to(
        &mut self,
        (era, round): (Era, Round),
        attested: impl Iterator<Item = AttestationBody>,
    ) -> bool {
        let before = self.record.clone();
        if !self.covers(era, round) {
            self.record.vertex = Some((era, round));
        }
        for body in attested {
            // What is refused lies below what the guard knows.
            drop(self.allow_attestation(&body));
        }
        self.record != before
    }

    /// Raises the guard to an attestation; the very same one may be signed again.
    pub fn allow_attestation(&mut self, body: &AttestationBody) -> Result<(), GuardRefusal> {
        if let Some(last) = &self.record.attestation
            && last != body
            && (body.era, body.height) <= (last.era, last.height)
        {
            return Err(not_above(body, last));
        }
        // An end is attested beside all others, and is one of them in its place.
        if let Some(end) = &self.record.emergency_end
            && end != body
            && (body.era, body.height) == (end.era, end.height)
        {
            return Err(not_above(body, end));
        }
        self.record.attestation = Some(*body);
        // The chain is back in an era before that emergency: a certificate has excluded its end.
        if let Some(end) = &self.record.emergency_end
            && body.era < end.era
        {
            self.record.emergency_end = None;
        }
        if self.record.end_vote.is_some_and(|vote| body.era < vote.era) {
            self.record.end_vote = None;
        }
        Ok(())
    }

    /// Raises the guard to a vote for the last block of an emergency: none for another one of the same emergency, and none for one that
    /// leaves out the end that was attested before, which a quorum may have certified. `is_below` has to know whether the block
    /// stands on that end.
    pub fn allow_end_vote(
        &mut self,
        body: &AttestationBody,
        is_below: impl Fn(&AttestationBody) -> bool,
    ) -> Result<(), GuardRefusal> {
        let record = &self.record;
        if let Some(last) = record.end_vote
            && last != *body
            && body.era <= last.era
        {
            return Err(not_above(body, &last));
        }
        if let Some(end) = record.emergency_end
            && end != *body
            && (body.era <= end.era || !is_below(&end))
        {
            return Err(if body.era <= end.era {
                not_above(body, &end)
            } else {
                GuardRefusal::EndLeftOut {
                    era: body.era,
                    height: body.height,
                    last_era: end.era,
                    last_height: end.height,
                }
            });
        }
        self.record.end_vote = Some(*body);
        Ok(())
    }

    /// Raises the guard to a vote to go on after a lockdown; one of the same attempt, step and choice may be signed again. `agreed` is
    /// what a quorum has named last, as far as this validator knows: what the key has confirmed is given up for nothing else (rules
    /// KR1, KR2 and KR6 of `holdfast_halt::lockdown::recovery`).
    pub fn allow_recovery_vote(
        &mut self,
        body: &RecoveryVoteBody,
        agreed: Option<SignedChoice>,
    ) -> Result<(), GuardRefusal> {
        let last = self.record.recovery;
        let of_era = last.filter(|last| last.era == body.era);
        let mut signed = of_era.unwrap_or_else(|| SignedRecovery::new(body.era));
        let is_over = last.is_some_and(|last| body.era < last.era);
        if is_over || !signed.allows(body, agreed) {
            let last = last.unwrap_or(signed);
            return Err(GuardRefusal::RecoveryContradicts {
                era: body.era,
                attempt: body.attempt,
                last_era: last.era,
                last_attempt: last.attempt().unwrap_or_default(),
            });
        }
        signed.sign(body);
        self.record.recovery = Some(signed);
        Ok(())
    }

    /// Raises the guard to votes to go on that were signed and stored, each step by itself; true if something was not covered.
    pub fn raise_to_recovery(&mut self, bodies: impl Iterator<Item = RecoveryVoteBody>) -> bool {
        let before = self.record.recovery;
        for body in bodies {
            let last = self.record.recovery;
            let of_era = last.filter(|last| last.era >= body.era);
            let mut signed = of_era.unwrap_or_else(|| SignedRecovery::new(body.era));
            let known = signed.of(body.step).map(|(attempt, _)| attempt);
            if signed.era == body.era && known < Some(body.attempt) {
                signed.sign(&body);
                self.record.recovery = Some(signed);
            }
        }
        self.record.recovery != before
    }

    /// Raises the guard to the last block of an emergency, for which a quorum has voted. Another one of the same emergency, however
    /// high, is never signed: both might be certified, and they exclude each other. Neither is one after a vote in a later
    /// emergency.
    pub fn allow_emergency_end(&mut self, body: &AttestationBody) -> Result<(), GuardRefusal> {
        let record = &self.record;
        let signed = [record.emergency_end, record.attestation];
        let last = signed.into_iter().flatten().max_by_key(|last| last.era);
        if let Some(last) = last.filter(|last| body.era <= last.era)
            && record.emergency_end.as_ref() != Some(body)
        {
            return Err(not_above(body, &last));
        }
        if let Some(vote) = record.end_vote.filter(|vote| body.era < vote.era) {
            return Err(not_above(body, &vote));
        }
        self.record.emergency_end = Some(*body);
        Ok(())
    }
}

const fn not_above(body: &AttestationBody, last: &AttestationBody) -> GuardRefusal {
    GuardRefusal::AttestationNotAbove {
        era: body.era,
        height: body.height,
        last_era: last.era,
        last_height: last.height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::{
        BlockId, BlockPoint, CommitDigest, RecoveryChoice, RecoveryStep, Signer, StateRoot,
        TimestampMs, test_util::key_pair,
    };

    fn any(_: &AttestationBody) -> bool {
        true
    }

    fn guard() -> SignGuard {
        SignGuard::empty(key_pair(1).public_key())
    }

    fn attestation(era: u64, height: u64, block: u8) -> AttestationBody {
        AttestationBody {
            era: Era(era),
            height: Height(height),
            block: BlockId::new([block; 32]),
            commit: CommitDigest::default(),
            state_root: StateRoot::default(),
        }
    }

    #[test]
    fn a_slot_is_signed_once_and_never_below() {
        let mut guard = guard();
        guard.allow_vertex(Era(1), Round(5)).unwrap();
        assert!(guard.allow_vertex(Era(1), Round(5)).is_err());
        assert!(guard.allow_vertex(Era(1), Round(4)).is_err());
        guard.allow_vertex(Era(1), Round(6)).unwrap();
        guard.allow_vertex(Era(2), Round(1)).unwrap();
        assert!(guard.allow_vertex(Era(1), Round(99)).is_err());
        assert_eq!(guard.last_round(Era(2)), Some(Round(1)));
        assert_eq!(guard.last_round(Era(1)), None);
        assert!(guard.covers(Era(1), Round(99)));
        assert!(!guard.covers(Era(2), Round(2)));
    }

    #[test]
    fn a_height_is_attested_once_or_the_same_way_again() {
        let mut guard = guard();
        guard.allow_attestation(&attestation(1, 7, 1)).unwrap();
        guard.allow_attestation(&attestation(1, 7, 1)).unwrap();
        assert!(guard.allow_attestation(&attestation(1, 7, 2)).is_err());
        assert!(guard.allow_attestation(&attestation(1, 6, 1)).is_err());
        // After a rollback the height falls, but the era is a new one.
        guard.allow_attestation(&attestation(2, 3, 1)).unwrap();
    }

    #[test]
    fn an_emergency_is_ended_once_and_what_took_it_back_can_be_attested() {
        let mut guard = guard();
        guard.allow_attestation(&attestation(1, 7, 1)).unwrap();
        guard.allow_emergency_end(&attestation(2, 40, 1)).unwrap();
        guard.allow_emergency_end(&attestation(2, 40, 1)).unwrap();
        for other in [
            attestation(2, 40, 2),
            attestation(2, 41, 1),
            attestation(1, 50, 1),
        ] {
            assert!(guard.allow_emergency_end(&other).is_err());
        }
        // A certificate took it back: the DAG goes on where it was, not below, and may stop again.
        assert!(guard.allow_attestation(&attestation(1, 7, 2)).is_err());
        // Nor is another block in its place, whatever it is taken for.
        assert!(guard.allow_attestation(&attestation(2, 40, 2)).is_err());
        assert!(guard.record().emergency_end.is_some());
        guard.allow_attestation(&attestation(1, 8, 1)).unwrap();
        guard.allow_emergency_end(&attestation(2, 60, 1)).unwrap();
        guard.allow_attestation(&attestation(3, 61, 1)).unwrap();
        guard.allow_emergency_end(&attestation(4, 70, 1)).unwrap();
        assert!(guard.allow_emergency_end(&attestation(2, 80, 1)).is_err());
    }

    fn recovery(era: u64, attempt: u32, step: RecoveryStep, block: u8) -> RecoveryVoteBody {
        RecoveryVoteBody {
            era: Era(era),
            at: TimestampMs(u64::from(attempt)),
            attempt,
            step,
            choice: RecoveryChoice {
                point: BlockPoint {
                    block: BlockId::new([block; 32]),
                    ..BlockPoint::default()
                },
                resume: None,
            },
        }
    }

    #[test]
    fn an_attempt_to_go_on_has_one_vote_of_each_step_and_never_one_below() {
        use RecoveryStep::{Precommit, Prevote};
        let mut guard = guard();
        let first = recovery(1, 2, Prevote, 1);
        guard.allow_recovery_vote(&first, None).unwrap();
        let again = RecoveryVoteBody {
            at: TimestampMs(99),
            ..first
        };
        guard.allow_recovery_vote(&again, None).unwrap();
        let agreed = Some((2, first.choice));
        for refused in [
            recovery(1, 2, Prevote, 2),
            recovery(1, 1, Prevote, 1),
            recovery(1, 1, Precommit, 1),
        ] {
            let contradicts = GuardRefusal::RecoveryContradicts {
                era: Era(1),
                attempt: refused.attempt,
                last_era: Era(1),
                last_attempt: 2,
            };
            let answer = guard.allow_recovery_vote(&refused, agreed);
            assert_eq!(answer, Err(contradicts));
        }
        guard
            .allow_recovery_vote(&recovery(1, 2, Precommit, 1), agreed)
            .unwrap();
        guard
            .allow_recovery_vote(&recovery(2, 0, Prevote, 2), None)
            .unwrap();
        assert!(
            guard
                .allow_recovery_vote(&recovery(1, 9, Prevote, 1), None)
                .is_err(),
            "its era is over"
        );
    }

    #[test]
    fn stored_votes_to_go_on_raise_each_step_by_itself() {
        use RecoveryStep::{Precommit, Prevote};
        let mut guard = guard();
        let stored = [recovery(2, 7, Prevote, 1), recovery(2, 6, Precommit, 1)];
        assert!(guard.raise_to_recovery(stored.into_iter()));
        let signed = guard.record().recovery.unwrap();
        let choice = stored[0].choice;
        assert_eq!(signed.prevote, Some((7, choice)));
        assert_eq!(signed.precommit, Some((6, choice)));
        // Nothing is lowered.
        let lower = [recovery(2, 5, Prevote, 2), recovery(1, 9, Precommit, 2)];
        assert!(!guard.raise_to_recovery(lower.into_iter()));
    }

    #[test]
    fn what_was_confirmed_is_given_up_for_what_a_quorum_has_agreed_on_since_only() {
        use RecoveryStep::{Precommit, Prevote};
        let mut guard = guard();
        let confirmed = recovery(1, 2, Precommit, 1);
        guard.allow_recovery_vote(&confirmed, None).unwrap();
        let other = recovery(1, 5, Prevote, 2);
        let third = recovery(1, 5, Prevote, 3).choice;
        for agreed in [None, Some((1, other.choice)), Some((4, third))] {
            assert!(guard.allow_recovery_vote(&other, agreed).is_err());
        }
        let mut kept = guard.clone();
        kept.allow_recovery_vote(&recovery(1, 5, Prevote, 1), None)
            .unwrap();
        guard
            .allow_recovery_vote(&other, Some((4, other.choice)))
            .unwrap();
    }

    #[test]
    fn a_vote_is_for_one_end_and_only_above_the_end_that_was_attested_before() {
        let mut guard = guard();
        let first = attestation(2, 40, 1);
        guard.allow_end_vote(&first, |_| false).unwrap();
        guard.allow_end_vote(&first, |_| false).unwrap();
        let other = attestation(2, 41, 1);
        assert_eq!(
            guard.allow_end_vote(&other, any),
            Err(not_above(&other, &first))
        );
        guard.allow_emergency_end(&first).unwrap();
        let later = attestation(4, 70, 1);
        let refused = guard.allow_end_vote(&later, |end| *end != first);
        let left_out = GuardRefusal::EndLeftOut {
            era: Era(4),
            height: Height(70),
            last_era: Era(2),
            last_height: Height(40),
        };
        assert_eq!(refused, Err(left_out));
        assert_eq!(guard.record().end_vote, Some(first));
        guard.allow_end_vote(&later, |end| *end == first).unwrap();
        // What a quorum has voted for in a later emergency can be attested, in an earlier one no more.
        assert!(guard.allow_emergency_end(&attestation(3, 50, 1)).is_err());
        guard.allow_emergency_end(&attestation(4, 71, 1)).unwrap();
        // The DAG goes on below it.
        guard.allow_attestation(&attestation(1, 9, 1)).unwrap();
        assert_eq!(guard.record().end_vote, None);
        guard.allow_end_vote(&first, |_| false).unwrap();
    }
}
