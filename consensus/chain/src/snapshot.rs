//! What a node may believe of a chain that it has not executed from the beginning: of a snapshot.
//!
//! A snapshot is the state after a block, its *base*, with what a node needs to go on from there.
//!
//! * SN1. It holds the blocks from the anchor of the era before the running one up to the base: by rule C4 every node judges
//!   attestations of them. Each is the parent of the next, its body and its receipts belong to its header. So the id of the
//!   base stands for all of them, and for the state.
//! * SN2. The base has a certificate of its own, by the committee of its era. Block 0 needs none: genesis names it. So the base
//!   is never taken back, and no undo record is needed at or below it.
//! * SN3. It holds the contexts of all eras: evidence is judged by the committee of its era, however old (rule C4). The anchor
//!   of an era is proved by its header with the certificate of the committee before.
//! * SN4. *Trust.* Either such proofs lead from genesis to the committee that has certified the base: then the snapshot proves
//!   what a node that syncs from genesis would see. Or the operator names a block that he trusts, and it is the base, or of
//!   the last blocks below it with such proofs from its era on, or above it. No proof leads over an emergency: whoever ends
//!   one is named by the block that they certify. Contexts of eras below that no proof leads to are then believed.
//! * SN5. In an emergency the base lies below it, and its blocks come with the snapshot. They are executed, like those of a
//!   peer: so the emergency goes on as it was, and a certificate that outranks it takes it back.

use crate::chain::{era_after, events_root};
use crate::sync::check_body;
use holdfast_types::{
    AttestationBody, Block, BlockHeader, BlockId, Certificate, CertificateError, ChainId,
    Committee, Era, EraContext, EraKind, Event, Height, Receipt, SignatureScheme,
};
use std::collections::{BTreeMap, BTreeSet};

/// An era with the proof of its anchor, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraLink {
    pub context: EraContext,
    pub proof: Option<(BlockHeader, Certificate)>,
}

/// A block at or below the base, with what its execution gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutedRecord {
    pub block: Block,
    /// One per transaction.
    pub receipts: Vec<Receipt>,
    /// Events of the block itself.
    pub events: Vec<Event>,
    pub certificate: Option<Certificate>,
}

/// Why a snapshot is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotRefusal {
    #[error("era {era} does not follow the era before it")]
    EraOrder { era: Era },
    #[error("era {era} is not what the header of its anchor says")]
    EraAnchor { era: Era },
    #[error("block {height} does not follow the block before it")]
    NotLinked { height: Height },
    #[error("block {height} is not that of its header: the {part} differs")]
    WrongBody { height: Height, part: &'static str },
    #[error("block {height} ends no era or another one than the list of eras says")]
    WrongEra { height: Height },
    #[error(
        "the certificate of block {height} is for another block, or of nobody who could certify it"
    )]
    OtherCertificate { height: Height },
    #[error("the certificate of block {height}: {error}")]
    Certificate {
        height: Height,
        error: CertificateError,
    },
    #[error("the last block below the state is not block {height}, which the snapshot is of")]
    WrongBase { height: Height },
    #[error("the blocks begin with {first}; those from {needed} on are needed to judge evidence")]
    TooShort { first: Height, needed: Height },
    #[error("block {height} has no certificate")]
    NotCertified { height: Height },
    #[error(
        "no chain of certificates leads from genesis to the committee of era {era}: name a block that you trust, of the \
         last two eras"
    )]
    NotProven { era: Era },
    #[error(
        "the block that is trusted, {trusted}, does not vouch for block {base}: it is not there, or too far below"
    )]
    NotTrusted { trusted: BlockId, base: Height },
}

/// On whose word a snapshot is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Certificates from genesis on.
    Genesis,
    /// The block that the operator trusts.
    Block,
    /// The block that the operator trusts has not been seen yet: it must be one of those above the base.
    BlockAbove(BlockId),
}

/// A base that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenBase {
    pub base: (Height, BlockId),
    /// The lowest block that is there.
    pub lowest: Height,
    pub trust: Trust,
    /// The first era whose context nothing proves, if there is one.
    pub unproven: Option<Era>,
}

/// Takes the eras and the blocks of a snapshot in their order, and says in the end whether its base is believed.
#[derive(Debug)]
pub struct BaseVerifier<'a> {
    chain: ChainId,
    scheme: &'a dyn SignatureScheme,
    trusted: Option<BlockId>,
    genesis: BlockId,
    eras: BTreeMap<Era, EraContext>,
    anchors: BTreeMap<Height, Era>,
    /// Eras whose anchors the committees before have certified.
    linked: BTreeSet<Era>,
    lowest: Option<Height>,
    last: Option<(Height, BlockId)>,
    /// Era of the last block.
    last_era: Era,
    certified: Option<BlockId>,
    /// Where the trusted block is, and the era of the block above it.
    trusted_at: Option<(Height, Era)>,
}

impl<'a> BaseVerifier<'a> {
    /// `first_era` is era 1, which genesis anchors.
    #[must_use]
    pub fn new(
        chain: ChainId,
        first_era: EraContext,
        trusted: Option<BlockId>,
        scheme: &'a dyn SignatureScheme,
    ) -> Self {
        Self {
            chain,
            scheme,
            trusted,
            genesis: first_era.anchor,
            anchors: BTreeMap::from([(first_era.anchor_height, first_era.era)]),
            eras: BTreeMap::from([(first_era.era, first_era)]),
            linked: BTreeSet::new(),
            lowest: None,
            last: None,
            last_era: Era::ZERO,
            certified: None,
            trusted_at: None,
        }
    }

    /// Takes the next era, from era 2 on (SN3).
    pub fn era(&mut self, link: &EraLink) -> Result<(), SnapshotRefusal> {
        let context = &link.context;
        let era = context.era;
        let Some((_, before)) = self.eras.last_key_value() else {
            return Err(SnapshotRefusal::EraOrder { era });
        };
        if era != before.era.next() || context.anchor_height <= before.anchor_height {
            return Err(SnapshotRefusal::EraOrder { era });
        }
        if let Some((header, certificate)) = &link.proof {
            let said = (
                header.id(&self.chain),
                header.height,
                header.timestamp,
                header.era,
                header.next_committee,
            );
            let expected = (
                context.anchor,
                context.anchor_height,
                context.anchor_timestamp,
                before.era,
                Some(context.committee.hash()),
            );
            if said != expected {
                return Err(SnapshotRefusal::EraAnchor { era });
            }
            let committee = certifiers(before, Some(context));
            self.verify(certificate, (context.anchor, header), committee)?;
            if before.kind == EraKind::Dag && context.kind == EraKind::Dag {
                self.linked.insert(era);
            }
        }
        self.anchors.insert(context.anchor_height, era);
        self.eras.insert(era, context.clone());
        Ok(())
    }

    /// Takes the next block (SN1); gives its id.
    pub fn block(&mut self, record: &ExecutedRecord) -> Result<BlockId, SnapshotRefusal> {
        let header = &record.block.header;
        let (id, height) = (header.id(&self.chain), header.height);
        if let Some((below, parent)) = self.last
            && (height, header.parent) != (below.next(), parent)
        {
            return Err(SnapshotRefusal::NotLinked { height });
        }
        self.check_body(id, record)?;
        let begins = self.anchors.get(&height).and_then(|era| self.eras.get(era));
        if begins != era_after(&id, &record.block).as_ref() {
            return Err(SnapshotRefusal::WrongEra { height });
        }
        let next_era = begins.map_or(header.era, |context| context.era);
        self.certified = None;
        if let Some(certificate) = &record.certificate {
            let context = self.eras.get(&header.era);
            let context = context.ok_or(SnapshotRefusal::WrongEra { height })?;
            self.verify(certificate, (id, header), certifiers(context, begins))?;
            self.certified = Some(id);
        }
        if self.trusted == Some(id) {
            self.trusted_at = Some((height, next_era));
        }
        self.lowest.get_or_insert(height);
        self.last = Some((height, id));
        self.last_era = header.era;
        Ok(id)
    }

    /// Whether the last block is the base `base` and is believed (SN2, SN4).
    pub fn finish(&self, base: (Height, BlockId)) -> Result<ProvenBase, SnapshotRefusal> {
        let height = base.0;
        let Some((_, running)) = self.eras.last_key_value() else {
            return Err(SnapshotRefusal::WrongBase { height });
        };
        if self.last != Some(base) || running.anchor_height > height {
            return Err(SnapshotRefusal::WrongBase { height });
        }
        let before = self.eras.get(&running.era.previous());
        let needed = before.map_or(Height::ZERO, |before| before.anchor_height);
        let first = self.lowest.unwrap_or(height);
        if first > needed {
            return Err(SnapshotRefusal::TooShort { first, needed });
        }
        if self.certified != Some(base.1) && base.1 != self.genesis {
            return Err(SnapshotRefusal::NotCertified { height });
        }
        let proven = self.reach(Era(1));
        Ok(ProvenBase {
            base,
            lowest: first,
            trust: self.trust(base, proven)?,
            unproven: (proven < running.era).then(|| proven.next()),
        })
    }

    /// Contexts of all eras that were taken.
    pub fn eras(&self) -> impl Iterator<Item = &EraContext> {
        self.eras.values()
    }

    /// Whether an era begins on the block at this height.
    #[must_use]
    pub fn anchors_era(&self, height: Height) -> bool {
        self.anchors.contains_key(&height)
    }

    fn trust(&self, base: (Height, BlockId), proven: Era) -> Result<Trust, SnapshotRefusal> {
        let era = self.last_era;
        let Some(trusted) = self.trusted else {
            return if proven >= era {
                Ok(Trust::Genesis)
            } else {
                Err(SnapshotRefusal::NotProven { era })
            };
        };
        let Some((height, from)) = self.trusted_at else {
            return Ok(Trust::BlockAbove(trusted));
        };
        // Nobody certifies in an emergency but who is named by its last block.
        let is_dag = self
            .eras
            .get(&era)
            .is_some_and(|era| era.kind == EraKind::Dag);
        if height == base.0 || is_dag && self.reach(from) >= era {
            return Ok(Trust::Block);
        }
        Err(SnapshotRefusal::NotTrusted {
            trusted,
            base: base.0,
        })
    }

    /// The last era that certificates prove to somebody who knows the committee of `from`.
    fn reach(&self, from: Era) -> Era {
        let mut era = from;
        while self.linked.contains(&era.next()) {
            era = era.next();
        }
        era
    }

    fn check_body(&self, id: BlockId, record: &ExecutedRecord) -> Result<(), SnapshotRefusal> {
        let ExecutedRecord { block, .. } = record;
        let height = block.header.height;
        let wrong = |part| SnapshotRefusal::WrongBody { height, part };
        if height == Height::ZERO && id != self.genesis {
            return Err(wrong("genesis"));
        }
        match check_body(block, &self.chain) {
            // Block 0 comes of nothing.
            Err("commit") if height == Height::ZERO => {}
            checked => checked.map_err(wrong)?,
        }
        let ids = block.body.transactions.iter();
        let ids = ids.map(|transaction| transaction.body.id(&self.chain));
        let of_them = ids.eq(record.receipts.iter().map(|receipt| receipt.transaction));
        if !of_them || events_root(&record.receipts, &record.events) != block.header.events_root {
            return Err(wrong("list of receipts"));
        }
        Ok(())
    }

    fn verify(
        &self,
        certificate: &Certificate,
        (id, header): (BlockId, &BlockHeader),
        committee: Option<&Committee>,
    ) -> Result<(), SnapshotRefusal> {
        let height = header.height;
        let is_of_block = certificate.body == AttestationBody::of_block(id, header);
        let committee = committee.filter(|_| is_of_block);
        let committee = committee.ok_or(SnapshotRefusal::OtherCertificate { height })?;
        certificate
            .verify(&self.chain, committee, self.scheme)
            .map_err(|error| SnapshotRefusal::Certificate { height, error })
    }
}

/// Who certifies a block of an era, on which `next` begins if that is some: the last block of an emergency is certified by the
/// committee that it names (U6).
fn certifiers<'e>(era: &'e EraContext, next: Option<&'e EraContext>) -> Option<&'e Committee> {
    match era.kind {
        EraKind::Dag => Some(&era.committee),
        EraKind::Emergency => next
            .filter(|next| next.kind == EraKind::Dag)
            .map(|next| &next.committee),
    }
}

#[cfg(test)]
mod tests;
