//! Blocks of emergency consensus (rule C15).
//!
//! * EB1. A block is made on the head, in a slot that the ledger gives to the producer, and signed by the key that the state
//!   has for the producer. What is signed is the header without the signature.
//! * EB2. A block of a peer comes into the fork database if its parent is there, its body belongs to its header, its producer
//!   has signed it, and so have the senders of its transactions: no quorum stands for any of that.
//! * EB3. The producer's key is that of the committee account, or the one that the state of the head has for it. On the head
//!   the slot is judged before the block is kept; on another branch the execution of that branch says whether it holds.
//! * EB4. From then on it is a block like all others: the fork choice decides, under K4 the lower id at equal height.
//! * EB5. Of those that a node can produce as, the validator whose slot it is comes first. A master produces in the slots of
//!   the committee account, and in those of a validator that has let half of its slot pass (V18: the chain never waits for
//!   who does not come). A validator that has produced all of the last `exit_normal_blocks` blocks stands on a branch of its
//!   own and lets two rounds pass (document 002, follower).

use super::assembly::{BlockMaker, Draft, Source};
use super::error::{OfferRefusal, ProductionRefusal};
use super::position::Position;
use super::step::{Step, Work};
use super::{Chain, ChainError};
use crate::forks::{ForkEntry, Inserted};
use crate::serve::{open_end_votes, open_resume};
use crate::store::ChainStore;
use crate::sync::check_body;
use holdfast_ledger::keys::EmergencyKey;
use holdfast_ledger::{EmergencyPlace, EmergencyRefusal, judge_emergency_block};
use holdfast_types::{
    AccountName, Block, BlockHeader, BlockId, BlockOrigin, Evidence, GovernanceMessage, Height,
    PublicKey, Signature, Signer, TimestampMs, VerifiedTransaction,
};

/// What a producer puts into a block.
#[derive(Debug)]
pub struct EmergencyProposal<'a> {
    pub producer: AccountName,
    /// The beginning of a slot.
    pub timestamp: TimestampMs,
    /// Holds the key that the state has for the producer.
    pub signer: &'a dyn Signer,
    pub transactions: Vec<VerifiedTransaction>,
    pub evidence: Vec<Evidence>,
    pub governance: Vec<GovernanceMessage>,
}

/// As whom this node can produce.
#[derive(Clone, Copy, Debug)]
pub struct Producers<'a> {
    /// Its validator's key.
    pub validator: Option<&'a dyn Signer>,
    /// The key of the committee account.
    pub master: Option<&'a dyn Signer>,
}

/// The turn of a producer to make a block.
#[derive(Clone, Debug)]
pub struct ProductionTurn {
    /// The beginning of the slot.
    pub timestamp: TimestampMs,
    /// Half of the slot has passed.
    pub is_late: bool,
    /// The validator may sign.
    pub validator_may: bool,
    pub transactions: Vec<VerifiedTransaction>,
    pub evidence: Vec<Evidence>,
    pub governance: Vec<GovernanceMessage>,
}

impl Chain {
    /// Makes the block of a slot, if it is for one of `producers` to make it (EB5).
    pub fn produce_in_turn<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        producers: Producers<'_>,
        turn: ProductionTurn,
    ) -> Result<Result<Step, ProductionRefusal>, ChainError> {
        let (producer, signer) = match self.whose_turn(store, producers, &turn)? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let proposal = EmergencyProposal {
            producer,
            timestamp: turn.timestamp,
            signer,
            transactions: turn.transactions,
            evidence: turn.evidence,
            governance: turn.governance,
        };
        let produced = self.produce(store, proposal)?;
        Ok(match produced {
            Ok(Some(step)) => Ok(step),
            // It is the head already.
            Ok(None) => Err(ProductionRefusal::SlotTaken),
            Err(refusal) => Err(ProductionRefusal::of(&refusal)),
        })
    }

    fn whose_turn<'a, S: ChainStore + ?Sized>(
        &self,
        store: &S,
        producers: Producers<'a>,
        turn: &ProductionTurn,
    ) -> Result<Result<(AccountName, &'a dyn Signer), ProductionRefusal>, ChainError> {
        let committee = self.maker.parameters.emergency.validator_account;
        let place = match self.emergency_place(store, committee, turn.timestamp)? {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(ProductionRefusal::of(&refusal.into()))),
        };
        let own = match producers.validator.filter(|_| turn.validator_may) {
            Some(signer) => {
                let account = holdfast_ledger::validator_of_key(store, &signer.public_key())?;
                account.map(|account| (account, signer))
            }
            None => None,
        };
        if let Some((account, signer)) = own
            && account == place.scheduled
        {
            if !self.is_minority(store, account, place.slot)? {
                return Ok(Ok((account, signer)));
            }
            // A master's blocks are all its own: that is no sign of anything.
            if producers.master.is_none() {
                return Ok(Err(ProductionRefusal::MinorityFork));
            }
        }
        let Some(master) = producers.master else {
            return Ok(Err(match producers.validator {
                Some(_) => ProductionRefusal::NotScheduled,
                None => ProductionRefusal::NoKey,
            }));
        };
        if place.scheduled == committee || turn.is_late {
            return Ok(Ok((committee, master)));
        }
        Ok(Err(ProductionRefusal::NotScheduled))
    }

    /// Whether a validator has made all blocks that are remembered, the last of them less than two rounds ago.
    fn is_minority<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        account: AccountName,
        slot: u64,
    ) -> Result<bool, ChainError> {
        let record =
            holdfast_ledger::query::object(store, &EmergencyKey()).map_err(ChainError::from)?;
        let Some(record) = record else {
            return Ok(false);
        };
        let parameters = &self.maker.parameters;
        let full = usize::try_from(parameters.emergency.exit_normal_blocks).unwrap_or(usize::MAX);
        let rounds = u64::from(parameters.max_validators).saturating_mul(2);
        Ok(record.recent.len() >= full
            && record.recent.iter().all(|producer| *producer == account)
            && slot.saturating_sub(record.last_slot) < rounds)
    }

    /// Where a block of `producer` at `timestamp` would stand on the head.
    pub fn emergency_place<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        producer: AccountName,
        timestamp: TimestampMs,
    ) -> Result<Result<EmergencyPlace, EmergencyRefusal>, ChainError> {
        self.maker.emergency_place(store, producer, timestamp)
    }

    /// Makes an emergency block on the head (EB1).
    pub fn produce<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        proposal: EmergencyProposal<'_>,
    ) -> Result<Result<Option<Step>, OfferRefusal>, ChainError> {
        if self.forks.awaits_certified() {
            return Ok(Err(OfferRefusal::Outranked));
        }
        let (producer, timestamp) = (proposal.producer, proposal.timestamp);
        let place = match self.emergency_place(store, producer, timestamp)? {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        if place.signing_key != proposal.signer.public_key() {
            return Ok(Err(OfferRefusal::NoKey { producer }));
        }
        let (maker, position) = (&self.maker, &self.position);
        let governance = proposal.governance.iter().collect();
        let draft = Draft {
            source: Source::Emergency {
                slot: place.slot,
                timestamp,
                producer,
                signature: Signature::new([0; 64]),
                governance: maker.first_valid_message(store, governance)?,
            },
            transactions: proposal.transactions,
            supports: Vec::new(),
            evidence: maker.valid_evidence(store, position, proposal.evidence)?,
        };
        let (mut applied, lib) = maker.execute(store, position, draft)?;
        let header = &mut applied.block.header;
        header.sign_emergency(&maker.chain, proposal.signer);
        applied.id = header.id(&maker.chain);
        self.append(applied, lib, Vec::new()).map(Ok)
    }

    /// Takes an emergency block of a peer into the choice among branches (EB2 to EB4). It may be the new head then.
    pub fn offer<S: ChainStore + ?Sized>(
        &mut self,
        store: &S,
        block: Block,
    ) -> Result<Result<Option<Step>, OfferRefusal>, ChainError> {
        if let Err(refusal) = self.judge_offer(store, &block)? {
            return Ok(Err(refusal));
        }
        let id = block.header.id(&self.maker.chain);
        let entry = ForkEntry::of(id, &block.header);
        let mut work = Work::default();
        match self.forks.insert(entry) {
            Inserted::Linked { dropped, .. } => {
                work.drop_forks(dropped);
                self.take_awaited(entry.height, &id, &mut work);
            }
            Inserted::Known | Inserted::Rejected { .. } => return Ok(Err(OfferRefusal::Known)),
            Inserted::Full => return Ok(Err(OfferRefusal::Full)),
            Inserted::BelowRoot | Inserted::Unlinked { .. } | Inserted::TooFar { .. } => {
                let parent = entry.parent;
                return Ok(Err(OfferRefusal::Unlinked { parent }));
            }
        }
        work.keep_fork(id, block);
        self.settle(store, &mut work)?;
        Ok(Ok(work.finish(&self.forks)))
    }

    fn judge_offer<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        block: &Block,
    ) -> Result<Result<(), OfferRefusal>, ChainError> {
        let (header, chain) = (&block.header, &self.maker.chain);
        let BlockOrigin::Emergency { producer, .. } = header.origin else {
            return Ok(Err(OfferRefusal::NotEmergency));
        };
        if self.forks.awaits_certified() {
            return Ok(Err(OfferRefusal::Outranked));
        }
        if self.forks.contains(&header.id(chain)) {
            return Ok(Err(OfferRefusal::Known));
        }
        let parent = header.parent;
        if !self.forks.contains(&parent) {
            return Ok(Err(OfferRefusal::Unlinked { parent }));
        }
        if header.height >= self.position.head.0 && self.has_ended(block.next_era()) {
            return Ok(Err(OfferRefusal::NotBetter));
        }
        let voted = open_end_votes(store)?.map(|votes| (votes.body.height, votes.body.block));
        let resumed = open_resume(store)?.map(|resume| (resume.height, resume.block));
        let mut kept = voted.into_iter().chain(resumed);
        if kept.any(|place| !self.stands_on(&parent, place)) {
            return Ok(Err(OfferRefusal::NotBetter));
        }
        let (above, begins) = (header.height.previous(), std::iter::once(header));
        // A branch beside the applied one has passed here with its first block.
        if store.block_id_at(above)? == Some(parent) && self.leaves_out(store, above, begins)? {
            return Ok(Err(OfferRefusal::Outranked));
        }
        if let Err(refusal) = self.judge_producer(store, header)? {
            return Ok(Err(refusal));
        }
        if parent == self.position.head.1 {
            let place = self
                .maker
                .emergency_place(store, producer, header.timestamp)?;
            if let Err(refusal) = place {
                return Ok(Err(refusal.into()));
            }
        }
        Ok(self.maker.check_contents(block))
    }

    /// Whether a block of the fork database stands on one that is not left for a block of a peer (U9, U10). All blocks there stand on
    /// the root.
    fn stands_on(&self, id: &BlockId, (height, block): (Height, BlockId)) -> bool {
        height <= self.forks.root().0 || self.forks.ancestor_at(id, height) == Some(block)
    }

    /// Whether the producer has signed, as far as its key is known here (EB3).
    pub(super) fn judge_producer<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        header: &BlockHeader,
    ) -> Result<Result<(), OfferRefusal>, ChainError> {
        let Some(producer) = header.origin.producer() else {
            return Ok(Err(OfferRefusal::NotEmergency));
        };
        let Some(key) = self.known_key(store, producer)? else {
            return Ok(Err(OfferRefusal::NoKey { producer }));
        };
        let is_signed = self.maker.is_signed(header, key);
        Ok(is_signed.then_some(()).ok_or(OfferRefusal::BadSignature))
    }

    /// The key of a producer (EB3).
    fn known_key<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        producer: AccountName,
    ) -> Result<Option<PublicKey>, ChainError> {
        let emergency = &self.maker.parameters.emergency;
        if producer == emergency.validator_account {
            return Ok(Some(emergency.validator_public_key));
        }
        let validator = holdfast_ledger::validator(store, &producer)?;
        Ok(validator.and_then(|validator| validator.signing_key))
    }
}

impl BlockMaker {
    fn emergency_place<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        producer: AccountName,
        timestamp: TimestampMs,
    ) -> Result<Result<EmergencyPlace, EmergencyRefusal>, ChainError> {
        let (parameters, chain) = (&self.parameters, &self.chain);
        Ok(judge_emergency_block(
            store, parameters, chain, producer, timestamp,
        )?)
    }

    /// What no quorum stands for: the body is that of the header, and the senders have signed.
    pub(super) fn check_contents(&self, block: &Block) -> Result<(), OfferRefusal> {
        check_body(block, &self.chain).map_err(|part| OfferRefusal::WrongBody { part })?;
        let transactions = block.body.transactions.clone();
        let scheme = self.scheme.as_ref();
        let verified = VerifiedTransaction::verify_many(transactions, &self.chain, scheme);
        let bad = verified.iter().position(Result::is_err);
        bad.map_or(Ok(()), |position| {
            Err(OfferRefusal::BadTransaction { position })
        })
    }

    fn is_signed(&self, header: &BlockHeader, key: PublicKey) -> bool {
        let check = header.emergency_check(&self.chain, key);
        check.is_some_and(|check| self.scheme.verify(&check))
    }

    /// What a block of a peer brings to execution, if it may follow the state.
    pub(super) fn emergency_draft<S: ChainStore + ?Sized>(
        &self,
        store: &S,
        position: &Position,
        block: &Block,
    ) -> Result<Draft, ChainError> {
        let (header, body) = (&block.header, &block.body);
        let height = header.height;
        let BlockOrigin::Emergency {
            producer,
            signature,
            ..
        } = header.origin
        else {
            return Err(ChainError::EmergencySignature { height });
        };
        let place = self
            .emergency_place(store, producer, header.timestamp)?
            .map_err(|refusal| ChainError::EmergencyRefused { height, refusal })?;
        if !self.is_signed(header, place.signing_key) {
            return Err(ChainError::EmergencySignature { height });
        }
        let governance = body.governance.iter().collect();
        Ok(Draft {
            source: Source::Emergency {
                slot: place.slot,
                timestamp: header.timestamp,
                producer,
                signature,
                governance: self.first_valid_message(store, governance)?,
            },
            transactions: self.transactions_of(body),
            supports: Vec::new(),
            evidence: self.valid_evidence(store, position, body.evidence.clone())?,
        })
    }
}
