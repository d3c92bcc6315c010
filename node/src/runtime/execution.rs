//! The execution thread: the chain lives here. It runs beside the core thread, so that a heavy block never delays a
//! vertex.
//!
//! Order of each step: execute, write the batch, tell the board and the subscribers, tell the core thread. An attestation
//! leaves with an own vertex, whose sync covers the batch that was written before it in the same log.

mod emergency;
mod milestones;

use super::board::Board;
use super::core_thread::CoreHandle;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::recorder::{Entry, Moment, Recorder};
use crate::runtime::failures;
use crate::supervisor::{StopReason, Supervisor};
use crate::watchdog::Heartbeat;
use holdfast_chain::serve::branch_rank;
use holdfast_chain::sync::RangeError;
use holdfast_chain::{
    Branch, Chain, ChainBatch, ChainError, ChainStore, OfferRefusal, ProductionTurn, Step,
};
use holdfast_dag::{DagConfig, SubDag};
use holdfast_ledger::account;
use holdfast_replica::admission::{fault_of, resume_refused};
use holdfast_replica::{ChainStanding, HoldRequest, Input, ResumeRequest};
use holdfast_rpc::Metrics;
use holdfast_storage::Storage;
use holdfast_types::wire::BlocksResponse;
use holdfast_types::{
    Block, BlockHeader, BlockId, Certificate, ChainId, EndVotes, Era, Height, KeyPair, ResumeOrder,
    SignatureScheme, TransactionId, VerifiedTransaction,
};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What the execution thread can be asked.
#[derive(Debug)]
pub enum ExecutionCommand {
    Commits(Vec<SubDag>),
    /// Verified certificates.
    Certificates(Vec<Certificate>),
    /// Make the block that a message orders, or look whether it can still be made.
    Resume(Box<ResumeRequest>),
    /// Make the emergency block of a slot, if it is for this node to make it.
    Produce(Box<ProductionTurn>),
    /// This validator has voted for the block that ends an emergency.
    Hold(HoldRequest),
    /// A quorum has voted for the block that ends an emergency.
    EndVotes(EndVotes),
    /// Take back the emergency that began on the DAG of this era.
    YieldToLockdown(Era),
    /// Emergency blocks of peers.
    Offer(Vec<Block>),
    /// A branch of a peer that no certificate proves: better than ours or not.
    Branch {
        branch: Box<Branch>,
        reply: oneshot::Sender<Result<(), OfferRefusal>>,
    },
    /// Blocks from a peer, not verified. The answer is the height of the last one.
    Range {
        response: Box<BlocksResponse>,
        reply: oneshot::Sender<Result<Height, RangeError>>,
    },
}

/// A block that was applied, in the form that subscribers need.
#[derive(Clone, Debug)]
pub struct AppliedSummary {
    pub id: BlockId,
    pub header: BlockHeader,
    pub transaction_ids: Vec<TransactionId>,
    pub transactions_failed: usize,
}

/// Who wants to know what happens on the chain. Called on the execution thread after the store has it; must not wait.
pub trait ChainObserver: Send + Sync + std::fmt::Debug {
    fn applied(&self, block: &AppliedSummary);

    /// The blocks above this one were taken back; those of the other branch have been told before.
    fn switched(&self, common_ancestor: Height);

    /// The certified block or LIB has moved.
    fn finality(&self, certified: (Height, BlockId), lib: Height);
}

/// The execution thread's parts.
#[derive(Debug)]
pub struct ExecutionThread {
    pub chain_id: ChainId,
    pub chain: Chain,
    pub storage: Arc<Storage>,
    pub scheme: Arc<dyn SignatureScheme>,
    pub commands: Receiver<ExecutionCommand>,
    pub core: CoreHandle,
    pub board: Board,
    pub observer: Arc<dyn ChainObserver>,
    pub supervisor: Supervisor,
    /// Commits that the core thread needs to rebuild its DAG.
    pub dag: DagConfig,
    /// Stop after the block of this height.
    pub halt_height: Option<Height>,
    /// The chain of this node cannot go on: what comes is dropped. The core thread has halted for it.
    pub is_faulty: bool,
    pub recorder: Recorder,
    /// Origin of the monotonic clock.
    pub started: Instant,
    pub heartbeat: Heartbeat,
    pub metrics: Metrics,
    /// The validator's key, for emergency blocks in its slots.
    pub validator: Option<Arc<KeyPair>>,
    /// The emergency key, on a master.
    pub master: Option<Arc<KeyPair>>,
}

const LOOK_UP: Duration = Duration::from_millis(250);

impl ExecutionThread {
    /// Runs until the node stops.
    pub fn run(mut self) -> Result<(), Failure> {
        let stopping = self.supervisor.stopping();
        if !self.is_faulty {
            self.choose()?;
        }
        while !stopping.is_cancelled() {
            match self.commands.recv_timeout(LOOK_UP) {
                Ok(_) if self.is_faulty => {}
                Ok(command) => self.carry_out(command)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.heartbeat.beat();
        }
        self.storage
            .sync()
            .map_err(|error| failures::of_storage(&error))
    }

    fn carry_out(&mut self, command: ExecutionCommand) -> Result<(), Failure> {
        match command {
            ExecutionCommand::Commits(sub_dags) => {
                for sub_dag in &sub_dags {
                    // A fault that a command brings ends it, too.
                    if self.is_faulty {
                        break;
                    }
                    let begun = Instant::now();
                    while let step = self.chain.order(self.storage.as_ref(), sub_dag)
                        && self.take_step(step)?
                    {}
                    let execution = &self.metrics.core.execution_seconds;
                    execution.observe(begun.elapsed().as_secs_f64());
                }
                Ok(())
            }
            ExecutionCommand::Certificates(certificates) => {
                for certificate in certificates {
                    if self.is_faulty {
                        break;
                    }
                    let step = self.chain.certify(self.storage.as_ref(), certificate);
                    self.take_step(step)?;
                    self.unwind()?;
                }
                Ok(())
            }
            ExecutionCommand::Resume(request) if request.is_ready => self.resume(&request.order),
            ExecutionCommand::Resume(request) => self.check_resume(&request.order),
            ExecutionCommand::Produce(turn) => self.produce(*turn),
            ExecutionCommand::Hold(hold) => {
                if self.chain.hold(hold.end) {
                    self.core.input(Input::Held(hold));
                }
                Ok(())
            }
            ExecutionCommand::YieldToLockdown(era) => {
                while let step = self.chain.yield_to_lockdown(self.storage.as_ref(), era)
                    && self.take_step(step)?
                {}
                Ok(())
            }
            ExecutionCommand::Offer(blocks) => self.offer(blocks),
            ExecutionCommand::EndVotes(votes) => {
                let step = self.chain.hear_votes(self.storage.as_ref(), votes);
                self.take_step(step)?;
                Ok(())
            }
            ExecutionCommand::Branch { branch, reply } => {
                let result = self.import_branch(*branch)?;
                let _gone = reply.send(result);
                Ok(())
            }
            ExecutionCommand::Range { response, reply } => {
                if let Some(result) = self.import_range(*response)? {
                    // Sync may have given up waiting; the blocks are applied all the same.
                    let _gone = reply.send(result);
                }
                Ok(())
            }
        }
    }

    /// Applies what the chain says; true if there was something. A chain that contradicts itself or the network halts this
    /// node, which then goes on answering.
    fn take_step(&mut self, step: Result<Option<Step>, ChainError>) -> Result<bool, Failure> {
        // One command may be many blocks.
        self.heartbeat.beat();
        match step {
            Ok(Some(step)) => {
                self.apply(step)?;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                self.halt(&error)?;
                Ok(false)
            }
        }
    }

    fn halt(&mut self, error: &ChainError) -> Result<(), Failure> {
        let Some(fault) = fault_of(error, self.chain.head().0) else {
            return Err(failures::of_chain(error));
        };
        tracing::error!(%error, "the chain of this node cannot go on: it halts, and goes on answering");
        self.is_faulty = true;
        for input in fault {
            self.core.input(input);
        }
        Ok(())
    }

    /// Makes the block with which the chain is to go on, or says why not.
    fn resume(&mut self, order: &ResumeOrder) -> Result<(), Failure> {
        match self.chain.resume(self.storage.as_ref(), order) {
            Ok(Ok(Some(step))) => self.apply(step),
            Ok(Ok(None)) => Ok(()),
            Ok(Err(refusal)) => {
                tracing::warn!(%refusal, "not ready to resume");
                self.core.input(resume_refused(order, &refusal));
                Ok(())
            }
            Err(error) => self.halt(&error),
        }
    }

    /// Tells the core if a certified block excludes what is ordered.
    fn check_resume(&mut self, order: &ResumeOrder) -> Result<(), Failure> {
        match self.chain.excludes(self.storage.as_ref(), order) {
            Ok(Some(refusal)) => {
                tracing::warn!(%refusal, "the order to resume is void");
                self.core.input(resume_refused(order, &refusal));
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => self.halt(&error),
        }
    }

    /// Goes to the best branch of those that the store holds: a limit or a rule may have changed since the node stopped.
    fn choose(&mut self) -> Result<(), Failure> {
        loop {
            let step = self.chain.choose(self.storage.as_ref());
            if !self.take_step(step)? {
                return Ok(());
            }
        }
    }

    /// On what the head stands now, for whoever asks.
    fn show_branch(&self) -> Result<(), Failure> {
        let is_provisional = self
            .chain
            .is_provisional(self.storage.as_ref())
            .map_err(|error| failures::of_chain(&error))?;
        let rank =
            branch_rank(self.storage.as_ref()).map_err(|error| failures::of_state(&error))?;
        let fork_blocks = self.chain.forks().len();
        self.board.update(|standing| {
            standing.fork_blocks = fork_blocks;
            standing.is_provisional = is_provisional;
            standing.rank = rank;
        });
        Ok(())
    }

    fn apply(&self, step: Step) -> Result<(), Failure> {
        let common_ancestor = step.common_ancestor();
        let Step {
            mut batch,
            executed,
            returned,
            rejected,
        } = step;
        let returned =
            VerifiedTransaction::verify_many(returned, &self.chain_id, self.scheme.as_ref());
        let returned: Vec<_> = returned.into_iter().flatten().map(Arc::new).collect();
        batch.requeue.clone_from(&returned);
        for branch in &rejected {
            tracing::warn!(
                block = %branch.block,
                reason = branch.reason,
                "a branch does not execute and was rejected"
            );
        }
        let summaries = summaries(&batch);
        let milestones = milestones::lines_of(&batch, self.chain.irreversible());
        let certified = !batch.certificates.is_empty();
        let lib_moved = batch.irreversible;
        let popped = batch.pop.len();
        self.write(batch)?;
        milestones::log(&milestones);
        self.show_branch()?;
        for summary in &summaries {
            self.board.update(|standing| {
                standing.head = summary.header.height;
                standing.head_id = summary.id;
                standing.head_timestamp = summary.header.timestamp;
                standing.head_changed_at = Instant::now();
                standing.has_moved = true;
            });
            self.observer.applied(summary);
            let at = Moment::now(self.started);
            self.recorder.record(Entry::of_block(at, summary));
        }
        if certified || lib_moved.is_some() || common_ancestor.is_some() {
            self.tell_finality(lib_moved)?;
        }
        if let Some(common_ancestor) = common_ancestor {
            tracing::warn!(
                common_ancestor = common_ancestor.0,
                blocks_taken_back = popped,
                blocks_applied = summaries.len(),
                transactions_returned = returned.len(),
                "the chain went over to a better branch"
            );
            self.observer.switched(common_ancestor);
            self.tell_taken_back(common_ancestor, returned)?;
        }
        if !executed.is_empty() {
            self.core.input(Input::Executed(executed));
        }
        if common_ancestor.is_some() {
            self.tell_standing(true)?;
        }
        self.stop_at_halt_height();
        Ok(())
    }

    fn stop_at_halt_height(&self) {
        if let Some(halt_height) = self.halt_height
            && self.chain.head().0 >= halt_height
        {
            self.supervisor.stop(StopReason::Failed(Failure::new(
                ExitCode::HaltHeightReached,
                format!("block {halt_height} is applied"),
                "node.halt_height says to stop there",
                "remove or raise node.halt_height in holdfast.toml to go on",
            )));
        }
    }

    /// Gives the mempool back what blocks had executed that are not on the chain any more.
    fn tell_taken_back(
        &self,
        common_ancestor: Height,
        returned: Vec<Arc<VerifiedTransaction>>,
    ) -> Result<(), Failure> {
        let mut transactions = Vec::with_capacity(returned.len());
        for transaction in returned {
            let sender = account(self.storage.as_ref(), &transaction.body().sender)
                .map_err(|error| failures::of_state(&error))?;
            transactions.push((transaction, sender.map(|sender| sender.nonce)));
        }
        self.core.input(Input::TakenBack {
            common_ancestor,
            transactions,
        });
        Ok(())
    }

    /// Tells the consensus half where the chain stands: its DAG starts from there.
    fn tell_standing(&self, were_taken_back: bool) -> Result<(), Failure> {
        let (storage, chain) = (self.storage.as_ref(), &self.chain);
        let standing = ChainStanding::of(storage, chain, &self.dag, were_taken_back)
            .map_err(|error| failures::of_state(&error))?;
        self.core.input(Input::Synced(Box::new(standing)));
        Ok(())
    }

    fn write(&self, batch: ChainBatch) -> Result<(), Failure> {
        self.storage
            .apply(batch)
            .map_err(|error| failures::of_storage(&error))
    }

    fn tell_finality(&self, lib_moved: Option<Height>) -> Result<(), Failure> {
        let certified = self.chain.certified();
        let certified_id = self
            .storage
            .block_id_at(certified)
            .map_err(|error| failures::of_state(&error))?
            .unwrap_or_default();
        let lib = self.chain.irreversible();
        self.board.update(|standing| {
            standing.certified = certified;
            standing.certified_id = certified_id;
            if lib_moved.is_some() {
                standing.lib = lib;
                standing.lib_changed_at = Instant::now();
            }
        });
        self.observer.finality((certified, certified_id), lib);
        Ok(())
    }

    /// Takes blocks of a peer: a refusal is the peer's fault, or they do not link to what is here; a failure is ours. Gives
    /// the height of the last block; none if this node halted over it.
    fn import_range(
        &mut self,
        response: BlocksResponse,
    ) -> Result<Option<Result<Height, RangeError>>, Failure> {
        let head = self.chain.head();
        let proven = self
            .chain
            .verify_range(self.storage.as_ref(), response)
            .map_err(|error| failures::of_chain(&error))?;
        let mut range = match proven {
            Ok(range) => range,
            Err(error) => return Ok(Some(Err(error))),
        };
        let certificate = range.certificate().clone();
        let reached = certificate.body.height;
        loop {
            let step = self.chain.import(self.storage.as_ref(), &mut range);
            if !self.take_step(step)? {
                break;
            }
        }
        if self.is_faulty {
            return Ok(None);
        }
        self.core.input(Input::Certificate(certificate));
        if self.chain.head() != head {
            self.tell_standing(false)?;
        }
        Ok(Some(Ok(reached)))
    }
}

fn summaries(batch: &ChainBatch) -> Vec<AppliedSummary> {
    batch
        .apply
        .iter()
        .map(|applied| AppliedSummary {
            id: applied.id,
            header: applied.block.header.clone(),
            transaction_ids: applied.transaction_ids.clone(),
            transactions_failed: applied
                .receipts
                .iter()
                .filter(|receipt| receipt.status != holdfast_types::ReceiptStatus::Success)
                .count(),
        })
        .collect()
}

#[cfg(test)]
#[path = "execution/execution_tests.rs"]
mod tests;
