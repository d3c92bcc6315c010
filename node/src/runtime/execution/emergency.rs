//! Blocks of an emergency on the execution thread: those that this node makes, and those of peers.

use super::ExecutionThread;
use crate::failure::Failure;
use holdfast_chain::{Branch, OfferRefusal, Producers, ProductionRefusal, ProductionTurn};
use holdfast_replica::Input;
use holdfast_types::{Block, Signer};

impl ExecutionThread {
    /// Makes the block of a slot, if it is for this node to make it, and tells the core thread what came of it.
    pub(super) fn produce(&mut self, turn: ProductionTurn) -> Result<(), Failure> {
        let (validator, master) = (self.validator.clone(), self.master.clone());
        let producers = Producers {
            validator: validator.as_deref().map(|key| key as &dyn Signer),
            master: master.as_deref().map(|key| key as &dyn Signer),
        };
        let made = self
            .chain
            .produce_in_turn(self.storage.as_ref(), producers, turn);
        let result = match made {
            Err(error) => return self.halt(&error),
            Ok(Err(refusal)) => Err(refusal),
            Ok(Ok(step)) => {
                let block = step.batch.apply.last().map(|made| made.block.clone());
                self.apply(step)?;
                block.ok_or(ProductionRefusal::SlotTaken)
            }
        };
        self.core.input(Input::produced(result));
        Ok(())
    }

    /// Takes emergency blocks of peers into the choice among branches.
    pub(super) fn offer(&mut self, blocks: Vec<Block>) -> Result<(), Failure> {
        for block in blocks {
            if self.is_faulty {
                break;
            }
            let height = block.header.height;
            match self.chain.offer(self.storage.as_ref(), block) {
                Err(error) => self.halt(&error)?,
                Ok(Ok(None)) => {}
                Ok(Ok(Some(step))) => self.apply(step)?,
                Ok(Err(refusal)) => {
                    if matches!(refusal, OfferRefusal::Unlinked { .. }) {
                        self.board.update(|standing| standing.is_forked = true);
                    }
                    tracing::debug!(height = height.0, %refusal, "an emergency block was not taken");
                }
            }
        }
        Ok(())
    }

    /// Takes a branch that no certificate proves, if it is better than ours.
    pub(super) fn import_branch(
        &mut self,
        branch: Branch,
    ) -> Result<Result<(), OfferRefusal>, Failure> {
        let offered = self.chain.offer_branch(self.storage.as_ref(), branch);
        match offered {
            Err(error) => {
                self.halt(&error)?;
                Ok(Err(OfferRefusal::Outranked))
            }
            Ok(Err(refusal)) => Ok(Err(refusal)),
            Ok(Ok(step)) => {
                if let Some(step) = step {
                    let certificates = step.batch.certificates.clone();
                    self.apply(step)?;
                    for certificate in certificates {
                        self.core.input(Input::Certificate(certificate));
                    }
                    self.tell_standing(false)?;
                }
                Ok(Ok(()))
            }
        }
    }

    /// Goes on with taking an emergency back, step by step.
    pub(super) fn unwind(&mut self) -> Result<(), Failure> {
        while self.chain.is_unwinding() && !self.is_faulty {
            let step = self.chain.choose(self.storage.as_ref());
            self.take_step(step)?;
        }
        Ok(())
    }
}
