//! What of evidence and governance holds on a branch (rules C4 and C13). All of it is a function of the branch.

use super::ChainError;
use super::assembly::BlockMaker;
use super::position::Position;
use crate::store::ChainStore;
use holdfast_types::{
    AccountName, AttestationBody, Era, EraContext, Evidence, GovernanceAction, GovernanceMessage,
    Governors,
};
use std::collections::BTreeSet;

impl BlockMaker {
    /// The context of an era of this branch. The store also keeps those of branches that were taken back.
    pub(super) fn era<S: ChainStore + ?Sized>(
        store: &S,
        position: &Position,
        era: Era,
    ) -> Result<Option<EraContext>, ChainError> {
        if era >= position.era.era {
            let running = (era == position.era.era).then(|| EraContext::clone(&position.era));
            return Ok(running);
        }
        Ok(store.era(era)?)
    }

    /// Evidence that holds, each offence once, with the accounts of the offenders.
    pub(super) fn valid_evidence<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        evidence: Vec<Evidence>,
    ) -> Result<Vec<(Evidence, AccountName)>, ChainError> {
        let mut seen = BTreeSet::new();
        let mut valid = Vec::new();
        for item in evidence {
            let Some(context) = Self::era(store, position, item.era())? else {
                continue;
            };
            let Some(committee) = context.certifiers() else {
                continue;
            };
            let Some(member) = committee.member(item.offender()) else {
                continue;
            };
            let scheme = self.scheme.as_ref();
            let holds = item.verify(&self.chain, committee, scheme).is_ok()
                && self.contradicts_chain(store, position, &item)?;
            if holds && seen.insert(item.slot_key()) {
                valid.push((item, member.account));
            }
        }
        Ok(valid)
    }

    /// Whether the branch is the other statement that a bad root needs. Of other evidence it is none.
    fn contradicts_chain<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        evidence: &Evidence,
    ) -> Result<bool, ChainError> {
        let Evidence::BadStateRoot { attestation } = evidence else {
            return Ok(true);
        };
        let body = &attestation.body;
        // What lies lower may have been pruned here and not elsewhere.
        if body.height <= position.judged_above || body.height > position.head.0 {
            return Ok(false);
        }
        let (id, block) = store
            .block_id_at(body.height)?
            .zip(store.block_at(body.height)?)
            .ok_or_else(|| ChainError::incomplete(format!("block {}", body.height)))?;
        Ok(AttestationBody::of_block(id, &block.header).differs_in_result(body))
    }

    /// Of the messages that verify on the branch and are no resume, the one with the lowest number; of equal numbers the
    /// one with the lowest id. Of one message with several sets of signatures, the first that verifies.
    pub(super) fn first_valid_message<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        mut messages: Vec<&GovernanceMessage>,
    ) -> Result<Option<GovernanceMessage>, ChainError> {
        messages.retain(|message| !matches!(message.body.action, GovernanceAction::Resume { .. }));
        if messages.is_empty() {
            return Ok(None);
        }
        let governors = governors(store)?;
        messages
            .sort_by_cached_key(|message| (message.body.sequence, message.body.id(&self.chain)));
        let first = messages.into_iter().find(|message| {
            let scheme = self.scheme.as_ref();
            message.verify(&self.chain, &governors, scheme).is_ok()
        });
        Ok(first.cloned())
    }
}

/// The governors in office on a branch.
pub(super) fn governors<S: ChainStore + ?Sized>(store: &S) -> Result<Governors, ChainError> {
    holdfast_ledger::governors(store)?.ok_or_else(|| ChainError::incomplete("the governors"))
}
