//! The execution thread: the chain lives here. It runs beside the core thread, so that a heavy block never delays a
//! vertex.
//!
//! Order of each step: execute, write the batch, tell the board and the subscribers, tell the core thread. An attestation
//! leaves with an own vertex, whose sync covers the batch that was written before it in the same log.

use super::board::Board;
use super::core_thread::CoreHandle;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::runtime::failures;
use crate::supervisor::{StopReason, Supervisor};
use holdfast_chain::sync::RangeError;
use holdfast_chain::{Chain, ChainBatch, ChainStore, Step, last_commits, verify_range};
use holdfast_dag::SubDag;
use holdfast_replica::Input;
use holdfast_storage::Storage;
use holdfast_types::wire::BlocksResponse;
use holdfast_types::{
    BlockHeader, BlockId, Certificate, ChainId, Height, SignatureScheme, TransactionId,
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
    /// Blocks from a peer, not verified.
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
    pub commits_needed: u64,
    /// Stop after the block of this height.
    pub halt_height: Option<Height>,
}

const LOOK_UP: Duration = Duration::from_millis(250);

impl ExecutionThread {
    /// Runs until the node stops.
    pub fn run(mut self) -> Result<(), Failure> {
        let stopping = self.supervisor.stopping();
        while !stopping.is_cancelled() {
            match self.commands.recv_timeout(LOOK_UP) {
                Ok(command) => self.carry_out(command)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
        self.storage
            .sync()
            .map_err(|error| failures::of_storage(&error))
    }

    fn carry_out(&mut self, command: ExecutionCommand) -> Result<(), Failure> {
        match command {
            ExecutionCommand::Commits(sub_dags) => {
                for sub_dag in &sub_dags {
                    let step = self
                        .chain
                        .order(self.storage.as_ref(), sub_dag)
                        .map_err(|error| failures::of_chain(&error))?;
                    if let Some(step) = step {
                        self.apply(step)?;
                    }
                }
                Ok(())
            }
            ExecutionCommand::Certificates(certificates) => {
                for certificate in certificates {
                    self.certify(certificate)?;
                }
                Ok(())
            }
            ExecutionCommand::Range { response, reply } => {
                let result = self.apply_range(*response)?;
                // Sync may have given up waiting; the blocks are applied all the same.
                let _gone = reply.send(result);
                Ok(())
            }
        }
    }

    fn apply(&self, step: Step) -> Result<(), Failure> {
        let Step { batch, executed } = step;
        let summaries = summaries(&batch);
        let certified = !batch.certificates.is_empty();
        let lib_moved = batch.irreversible;
        self.write(batch)?;
        for summary in &summaries {
            self.board.update(|standing| {
                standing.head = summary.header.height;
                standing.head_id = summary.id;
                standing.head_timestamp = summary.header.timestamp;
                standing.head_changed_at = Instant::now();
            });
            self.observer.applied(summary);
        }
        if certified || lib_moved.is_some() {
            self.tell_finality(lib_moved)?;
        }
        self.core.input(Input::Executed(executed));
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
        Ok(())
    }

    fn certify(&mut self, certificate: Certificate) -> Result<(), Failure> {
        let batch = self
            .chain
            .certify(self.storage.as_ref(), certificate)
            .map_err(|error| failures::of_chain(&error))?;
        if let Some(batch) = batch {
            self.write(batch)?;
            self.tell_finality(None)?;
        }
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

    /// Applies blocks of a peer: a refusal is the peer's fault, a failure is ours.
    fn apply_range(
        &mut self,
        response: BlocksResponse,
    ) -> Result<Result<Height, RangeError>, Failure> {
        let context = Arc::clone(self.chain.era());
        let proven = match verify_range(
            response,
            self.chain.head(),
            &self.chain_id,
            &context,
            self.scheme.as_ref(),
        ) {
            Ok(proven) => proven,
            Err(error) => return Ok(Err(error)),
        };
        for (_, block) in &proven.blocks {
            let step = self
                .chain
                .replay(self.storage.as_ref(), block)
                .map_err(|error| failures::of_chain(&error))?;
            self.apply(step)?;
        }
        self.certify(proven.certificate.clone())?;
        self.core.input(Input::Certificate(proven.certificate));
        let era = Arc::clone(self.chain.era());
        let commits = last_commits(self.storage.as_ref(), &era, self.commits_needed)
            .map_err(|error| failures::of_state(&error))?;
        self.core.input(Input::Synced {
            context: era,
            commits,
        });
        Ok(Ok(self.chain.head().0))
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
