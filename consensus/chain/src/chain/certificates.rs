//! What certificates do to the choice among branches (rules C6, C9 and C10).

use super::step::{Step, Work};
use super::unwinding::Outranking;
use super::{Chain, ChainError};
use crate::forks::{Certified, ForkError};
use crate::store::{AppliedBlock, ChainStore};
use holdfast_types::{BlockId, BlockOrigin, Certificate, Era, Height};
use std::collections::BTreeMap;

/// Certificates of blocks that are not in the fork database yet.
#[derive(Clone, Debug)]
pub(super) struct Awaiting {
    certificates_max: usize,
    certificates: BTreeMap<(Height, BlockId), Certificate>,
}

impl Awaiting {
    pub(super) const fn new(certificates_max: usize) -> Self {
        Self {
            certificates_max,
            certificates: BTreeMap::new(),
        }
    }

    /// Keeps a certificate. If there is no room the lowest goes: the highest says the most.
    pub(super) fn insert(&mut self, certificate: Certificate) {
        let body = &certificate.body;
        self.certificates
            .insert((body.height, body.block), certificate);
        if self.certificates.len() > self.certificates_max {
            self.certificates.pop_first();
        }
    }

    pub(super) fn take(&mut self, height: Height, id: &BlockId) -> Option<Certificate> {
        self.certificates.remove(&(height, *id))
    }

    fn at(&self, height: Height) -> impl Iterator<Item = &Certificate> {
        let lowest = BlockId::new([0; 32]);
        self.certificates
            .range((height, lowest)..)
            .take_while(move |((at, _), _)| *at == height)
            .map(|(_, certificate)| certificate)
    }

    /// The highest certified block above `height` in `era`, if there is one that is not `ours`.
    pub(super) fn other_above(&self, height: Height, era: Era, ours: &BlockId) -> Option<Height> {
        let mut highest_first = self.certificates.iter().rev();
        highest_first
            .find(|((at, id), certificate)| {
                *at > height && certificate.body.era == era && id != ours
            })
            .map(|((at, _), _)| *at)
    }

    pub(super) fn forget_up_to(&mut self, height: Height) {
        self.certificates.retain(|(at, _), _| *at > height);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.certificates.len()
    }
}

impl Chain {
    /// Takes note of a verified certificate. A step comes back if it certifies a stored block anew; it may be a switch to
    /// the branch of that block.
    pub fn certify<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        certificate: Certificate,
    ) -> Result<Option<Step>, ChainError> {
        let mut work = Work::default();
        self.note(store, certificate, &mut work)?;
        self.settle(store, &mut work)?;
        Ok(work.finish(&self.forks))
    }

    /// Tells the fork choice of a certificate, and keeps it if its block is not here.
    pub(super) fn note<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        certificate: Certificate,
        work: &mut Work,
    ) -> Result<(), ChainError> {
        let (height, id) = (certificate.body.height, certificate.body.block);
        let ours = store.block_id_at(height)?;
        if ours == Some(id) && store.certificate(height)?.is_some() {
            return Ok(());
        }
        if self.is_outranked(store, ours, &certificate)? {
            self.outranking = Some(Outranking::Certificate(certificate));
            return Ok(());
        }
        if let Some(ours) = ours.filter(|ours| *ours != id) {
            self.check_against_ours(store, ours, &certificate)?;
        }
        match self.forks.certify(height, id) {
            Certified::Rejected => {
                return Err(ChainError::CertifiedRejected { height, block: id });
            }
            Certified::AwaitsBlock => {
                self.awaiting.insert(certificate);
                return Ok(());
            }
            Certified::BelowRoot if ours != Some(id) => {
                // Of a pruned height nothing can be said any more, and nothing needs to be.
                return ours.map_or(Ok(()), |ours| {
                    Err(ChainError::IrreversibleContradicted {
                        ours,
                        certificate: Box::new(certificate),
                    })
                });
            }
            Certified::Counts | Certified::Void | Certified::BelowRoot => {}
        }
        if ours == Some(id) {
            self.position.certified = self.position.certified.max(height);
        }
        work.step.batch.certificates.push(certificate);
        self.check_contradiction(store, work)
    }

    /// A certificate names another block than ours at its height. If ours is certified, or what stands on it, two quorums
    /// contradict each other. If the same DAG made both, our state is wrong: that DAG orders for all alike, and a quorum
    /// got something else out of it. A block that resumes the chain comes of no DAG: it outranks ours.
    fn check_against_ours<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        ours: BlockId,
        certificate: &Certificate,
    ) -> Result<(), ChainError> {
        let body = &certificate.body;
        let above = store.certificate_at_or_above(body.height)?;
        if let Some(first) = above.filter(|above| above.body.height <= self.position.head.0) {
            return Err(ChainError::ContradictoryCertificates {
                first: Box::new(first),
                second: Box::new(certificate.clone()),
            });
        }
        if self.is_of_our_dag(store, certificate)? {
            return Err(diverged(certificate, &ours));
        }
        Ok(())
    }

    /// Whether our block at the height of a certificate came of a commit of the same DAG.
    pub(super) fn is_of_our_dag<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        certificate: &Certificate,
    ) -> Result<bool, ChainError> {
        let body = &certificate.body;
        let header = store.block_at(body.height)?.map(|block| block.header);
        Ok(header.is_some_and(|header| {
            header.era == body.era
                && matches!(header.origin, BlockOrigin::Dag { .. })
                && !body.has_no_commit()
        }))
    }

    /// A block that this node made of a commit is not the one that a quorum made of it: our state is wrong.
    pub(super) fn check_own_block(&self, applied: &AppliedBlock) -> Result<(), ChainError> {
        let header = &applied.block.header;
        let other = self.awaiting.at(header.height).find(|certificate| {
            certificate.body.era == header.era
                && certificate.body.block != applied.id
                && !certificate.body.has_no_commit()
        });
        other.map_or(Ok(()), |certificate| {
            Err(diverged(certificate, &applied.id))
        })
    }

    /// Certificates that waited for this block go to the store with it.
    pub(super) fn take_awaited(&mut self, height: Height, id: &BlockId, work: &mut Work) {
        let awaited = self.awaiting.take(height, id);
        work.step.batch.certificates.extend(awaited);
    }

    pub(super) fn check_contradiction<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        work: &Work,
    ) -> Result<(), ChainError> {
        match self.forks.contradiction() {
            Some((highest, other)) => Err(self.contradiction(store, work, highest, other)?),
            None => Ok(()),
        }
    }

    /// The proof that two certified blocks exclude each other.
    pub(super) fn contradiction<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        work: &Work,
        first: BlockId,
        second: BlockId,
    ) -> Result<ChainError, ChainError> {
        let mut known = store.certificates_above(self.forks.root().0)?;
        known.extend(work.step.batch.certificates.iter().cloned());
        let of = |block: BlockId| {
            known
                .iter()
                .find(|known| known.body.block == block)
                .cloned()
        };
        Ok(match (of(first), of(second)) {
            (Some(first), Some(second)) => ChainError::ContradictoryCertificates {
                first: Box::new(first),
                second: Box::new(second),
            },
            _ => ChainError::Forks(ForkError::ContradictoryCertificates {
                applied: first,
                other: second,
            }),
        })
    }
}

fn diverged(certificate: &Certificate, ours: &BlockId) -> ChainError {
    ChainError::Diverged {
        height: certificate.body.height,
        field: "block id",
        expected: certificate.body.block.to_string(),
        actual: ours.to_string(),
    }
}
