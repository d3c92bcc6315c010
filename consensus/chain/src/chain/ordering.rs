//! From commits to blocks (rules C1 to C5 and C13).

use super::assembly::{Draft, Source};
use super::step::{Step, Work};
use super::switching::Extension;
use super::unwinding::{CommittedUpTo, Outranking};
use super::{Chain, ChainError};
use crate::store::{AppliedBlock, ChainStore};
use holdfast_dag::SubDag;
use holdfast_types::{Attestation, AuthorityIndex, Height, Support, VerifiedTransaction};
use std::collections::BTreeMap;

impl Chain {
    /// Turns a commit into the next block, or takes back the emergency that leaves it out (rule U8). Call it until it gives none;
    /// each step is to be written before the next call. None: the commit is applied, or is of an era that ended or was taken
    /// back, or lies above a gap that block sync will fill.
    pub fn order<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        sub_dag: &SubDag,
    ) -> Result<Option<Step>, ChainError> {
        if self.outranking.is_none() && self.is_overtaken(store, sub_dag)? {
            self.outranking = Some(Outranking::Commit);
        }
        if self.outranking.is_some() {
            let mut work = Work::default();
            self.settle(store, &mut work)?;
            return Ok(work.finish(&self.forks));
        }
        let record = &sub_dag.record;
        let (last_index, last_digest) = self.position.last_commit;
        let running = &self.position.era;
        let is_next = record.era == running.era
            && sub_dag.anchor == running.anchor
            && record.index == last_index.saturating_add(1);
        if !is_next {
            return Ok(None);
        }
        if record.previous != last_digest {
            return Err(ChainError::CommitFork {
                era: record.era.0,
                index: last_index,
                expected: last_digest,
                actual: record.previous,
            });
        }
        self.committed = self.committed.max(Some(CommittedUpTo::of(record)));
        let (draft, contradictions) = self.draft(store, sub_dag)?;
        let (applied, lib) = self.maker.execute(store, &self.position, draft)?;
        self.check_own_block(&applied)?;
        self.append(applied, lib, contradictions)
    }

    /// Makes a block that was executed on the head the new head.
    pub(super) fn append(
        &mut self,
        applied: AppliedBlock,
        lib: Height,
        contradictions: Vec<Attestation>,
    ) -> Result<Option<Step>, ChainError> {
        let mut position = self.position.clone();
        let mut work = Work::default();
        self.insert_own(&applied, &mut work)?;
        let (mut executed, horizon) = position.advance(&applied, lib, &self.maker.parameters);
        executed.contradictions = contradictions;
        let extension = Extension {
            position,
            applied: vec![applied],
            executed: vec![executed],
            horizon,
        };
        self.adopt(extension, &mut work)?;
        Ok(work.finish(&self.forks))
    }

    /// What the executing vertices bring, and the attestations among it that contradict this chain.
    fn draft<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        sub_dag: &SubDag,
    ) -> Result<(Draft, Vec<Attestation>), ChainError> {
        let mut transactions = Vec::new();
        let mut evidence = Vec::new();
        let mut attestations = Vec::new();
        let mut governance = Vec::new();
        for vertex in &sub_dag.vertices {
            let payload = vertex.payload();
            for (transaction, id) in payload.transactions.iter().zip(vertex.transaction_ids()) {
                transactions.push(VerifiedTransaction::trust(*id, transaction.clone()));
            }
            evidence.extend_from_slice(&payload.evidence);
            attestations.extend_from_slice(&payload.attestations);
            governance.extend(&payload.governance);
        }
        let (supports, contradictions) = self.supports(store, &attestations)?;
        let (maker, position) = (&self.maker, &self.position);
        let draft = Draft {
            source: Source::Commit {
                record: sub_dag.record.clone(),
                digest: sub_dag.digest,
                governance: maker.first_valid_message(store, governance)?,
            },
            transactions,
            supports,
            evidence: maker.valid_evidence(store, position, evidence)?,
        };
        Ok((draft, contradictions))
    }

    /// Rule C3: per authority, the highest attested height whose block is ours.
    fn supports<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        attestations: &[Attestation],
    ) -> Result<(Vec<Support>, Vec<Attestation>), ChainError> {
        let mut highest: BTreeMap<AuthorityIndex, Height> = BTreeMap::new();
        let mut contradictions = Vec::new();
        for attestation in attestations {
            let body = &attestation.body;
            let position = &self.position;
            if body.height <= position.era.anchor_height || body.height > position.head.0 {
                continue;
            }
            if store.block_id_at(body.height)? == Some(body.block) {
                let height = highest.entry(attestation.author).or_default();
                *height = (*height).max(body.height);
            } else {
                contradictions.push(*attestation);
            }
        }
        let supports = highest
            .into_iter()
            .map(|(authority, height)| Support { authority, height })
            .collect();
        Ok((supports, contradictions))
    }
}
