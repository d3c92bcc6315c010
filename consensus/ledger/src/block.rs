//! Execution of one block.
//!
//! The order within a block is part of the protocol:
//!
//! 0. In emergency consensus: the emergency is activated if this block does so (`emergency`).
//! 1. Evidence: an offender is slashed before anything of its stake can move.
//! 2. The governance message takes effect (`governance`).
//! 3. Unbondings that are due are released, and penalties that are over lifted.
//! 4. Transactions, in their order.
//! 5. Supports are raised and the last irreversible block follows.
//! 6. If the epoch is over, the block resumes the chain, or an emergency begins or ends, the era ends: the next committee
//!    is computed.
//! 7. Conservation of money is checked and the state root computed.
//!
//! Live time, on which jail and unbonding run, is block time without the time in which the chain was stopped: of the time
//! since the block before, `stall.timeout_ms` at most are live. So it stands still in every kind of halt, whether anybody
//! declared it or not.

use crate::emergency::{self, EMERGENCY_HARDFORK, EmergencyPlace};
use crate::keys::AccountKey;
use crate::overlay::Overlay;
use crate::state::{StateChanges, StateError, StateStore, UndoRecord};
use crate::{epoch, evidence, governance, irreversible, penalty, staking, transaction, tree};
use holdfast_types::{
    AccountName, Action, ChainId, Committee, Era, EraEnd, Event, Evidence, GovernanceMessage,
    Height, Parameters, Receipt, StateRoot, Support, TimestampMs, VerifiedTransaction,
};
use std::collections::BTreeSet;
use std::fmt::Display;

/// The latest hardfork whose rules this software has.
pub const HARDFORK_KNOWN: u32 = EMERGENCY_HARDFORK;

/// A block to be executed on the state that the store holds.
#[derive(Clone, Copy, Debug)]
pub struct BlockInput<'a> {
    pub chain: ChainId,
    /// One above the height of the state.
    pub height: Height,
    /// The running era, as the state names it.
    pub era: Era,
    /// Above the timestamp of the state.
    pub timestamp: TimestampMs,
    /// Committee of the era, as the state names it.
    pub committee: &'a Committee,
    pub transactions: &'a [VerifiedTransaction],
    /// Raises of `last_supported_block_num`, already validated against the chain. What is no raise, is above this
    /// height or is of no member is ignored.
    pub supports: &'a [Support],
    /// Verified evidence with the account that its offender had in the committee of its era.
    pub evidence: &'a [(Evidence, AccountName)],
    /// Verified against the governors of the state.
    pub governance: Option<&'a GovernanceMessage>,
}

/// The block with which a halted chain goes on, to be executed on the state that the store holds.
#[derive(Clone, Copy, Debug)]
pub struct ResumeInput<'a> {
    pub chain: ChainId,
    /// One above the height of the state.
    pub height: Height,
    /// The running era, which ends with this block.
    pub era: Era,
    /// Above the timestamp of the state.
    pub timestamp: TimestampMs,
    /// Committee of the era, as the state names it.
    pub committee: &'a Committee,
    /// A resume, verified against the governors of the state. None: the validators have ended their lockdown.
    pub message: Option<&'a GovernanceMessage>,
    /// Verified evidence with the account that its offender had in the committee of its era.
    pub evidence: &'a [(Evidence, AccountName)],
}

impl<'a> ResumeInput<'a> {
    const fn as_block(&self) -> BlockInput<'a> {
        BlockInput {
            chain: self.chain,
            height: self.height,
            era: self.era,
            timestamp: self.timestamp,
            committee: self.committee,
            transactions: &[],
            supports: &[],
            evidence: self.evidence,
            governance: self.message,
        }
    }
}

/// What made a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Consensus.
    Ordinary,
    /// Governance: it ends the era, whatever the time is.
    Resume,
    /// The validators, after a lockdown: it ends the era, too.
    Recovery,
    /// Emergency consensus.
    Emergency {
        place: EmergencyPlace,
        producer: AccountName,
    },
}

/// What a block did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOutcome {
    /// One per transaction, in their order.
    pub receipts: Vec<Receipt>,
    /// Events of the block itself.
    pub events: Vec<Event>,
    pub changes: StateChanges,
    pub undo: UndoRecord,
    /// State after the block.
    pub state_root: StateRoot,
    /// The last irreversible block after this block.
    pub lib: Height,
    /// Set in the last block of an era.
    pub era_end: Option<EraEnd>,
}

/// Why a block could not be executed. Fatal in every case, and never the fault of a transaction or a peer: the
/// caller stops the node (a broken invariant is a hard halt).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Store(#[from] StateError),
    #[error(
        "the block does not continue the state: its {field} is {actual}, the state asks for {expected}"
    )]
    WrongBlock {
        field: &'static str,
        expected: String,
        actual: String,
    },
    #[error("ledger invariant broken at height {height}: {invariant}")]
    BrokenInvariant { height: Height, invariant: String },
    /// The chain goes over to rules that this software does not have.
    #[error(
        "block {height} begins hardfork {version}, and this software knows no hardfork above {HARDFORK_KNOWN}"
    )]
    UnknownHardfork { height: Height, version: u32 },
}

/// What all steps of a block know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockContext<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) input: &'a BlockInput<'a>,
    pub(crate) kind: BlockKind,
    /// Live time of the block.
    pub(crate) live_time: TimestampMs,
}

/// Executes `input` on the state in `store`, which is not changed: the outcome says what to write.
pub fn execute_block<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
    input: &BlockInput<'_>,
) -> Result<BlockOutcome, LedgerError> {
    execute(store, parameters, input, BlockKind::Ordinary)
}

/// Executes the block with which governance resumes the chain, or the validators after a lockdown. It ends the era.
pub fn execute_resume<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
    input: &ResumeInput<'_>,
) -> Result<BlockOutcome, LedgerError> {
    let kind = match input.message {
        Some(_) => BlockKind::Resume,
        None => BlockKind::Recovery,
    };
    execute(store, parameters, &input.as_block(), kind)
}

/// Executes a block of emergency consensus by `producer`, who may produce in the slot of its timestamp
/// ([`crate::judge_emergency_block`]). It carries no supports, and ends the era if it activates the emergency or ends it.
pub fn execute_emergency<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
    input: &BlockInput<'_>,
    producer: AccountName,
) -> Result<BlockOutcome, LedgerError> {
    let judged = emergency::judge_emergency_block(
        store,
        parameters,
        &input.chain,
        producer,
        input.timestamp,
    )?;
    let place = judged.map_err(|refusal| LedgerError::WrongBlock {
        field: "emergency slot",
        expected: "one in which this producer may follow".to_owned(),
        actual: refusal.to_string(),
    })?;
    let kind = BlockKind::Emergency { place, producer };
    execute(store, parameters, input, kind)
}

fn execute<S: StateStore + ?Sized>(
    store: &S,
    parameters: &Parameters,
    input: &BlockInput<'_>,
    kind: BlockKind,
) -> Result<BlockOutcome, LedgerError> {
    let mut overlay = Overlay::open(store, input.height)?;
    check_continues(&overlay, input)?;
    check_kind(&overlay, kind)?;
    overlay.properties.height = input.height;
    overlay
        .properties
        .advance_time(input.timestamp, parameters.stall.timeout_ms);
    let context = BlockContext {
        parameters,
        input,
        kind,
        live_time: overlay.properties.live_time(input.timestamp),
    };
    let mut events = Vec::new();
    match kind {
        BlockKind::Ordinary => {}
        BlockKind::Resume | BlockKind::Recovery => {
            overlay.properties.advance_stall_clock(input.timestamp);
        }
        BlockKind::Emergency { place, .. } => {
            emergency::begin_block(&mut overlay, &context, place, &mut events)?;
        }
    }
    evidence::punish(&mut overlay, &context, &mut events)?;
    governance::execute(&mut overlay, &context, &mut events)?;
    staking::release_due(&mut overlay, &context, &mut events)?;
    penalty::expire(&mut overlay, &context)?;
    prefetch_accounts(&mut overlay, input.transactions)?;
    let mut receipts = Vec::with_capacity(input.transactions.len());
    for transaction in input.transactions {
        receipts.push(transaction::execute(&mut overlay, &context, transaction)?);
    }
    irreversible::advance(&mut overlay, &context, &mut events)?;
    let lib = overlay.properties.lib;
    let era_end = match kind {
        BlockKind::Emergency { place, .. } => {
            emergency::end_block(&mut overlay, &context, place, &mut events)?
        }
        BlockKind::Ordinary | BlockKind::Resume | BlockKind::Recovery => {
            epoch::end_era_if_due(&mut overlay, &context, &mut events)?
        }
    };
    let (values, old_values) = overlay.close()?;
    let update = tree::update(store, &values)?;
    Ok(BlockOutcome {
        receipts,
        events,
        undo: UndoRecord { values: old_values },
        changes: StateChanges {
            values,
            tree_nodes: update.nodes,
        },
        state_root: update.root,
        lib,
        era_end,
    })
}

/// In an emergency there is no DAG, and so nothing that comes of it or of its validators' votes.
fn check_kind<S: StateStore + ?Sized>(
    overlay: &Overlay<'_, S>,
    kind: BlockKind,
) -> Result<(), LedgerError> {
    let of_dag = match kind {
        BlockKind::Ordinary => Some("a commit"),
        BlockKind::Recovery => Some("a recovery"),
        BlockKind::Resume | BlockKind::Emergency { .. } => None,
    };
    match of_dag.filter(|_| overlay.properties.emergency_consensus_active) {
        Some(actual) => Err(LedgerError::WrongBlock {
            field: "origin",
            expected: "emergency consensus".to_owned(),
            actual: actual.to_owned(),
        }),
        None => Ok(()),
    }
}

/// The block is the one that the state waits for; anything else is a bug of the caller.
fn check_continues<S: StateStore + ?Sized>(
    overlay: &Overlay<'_, S>,
    input: &BlockInput<'_>,
) -> Result<(), LedgerError> {
    fn check(
        holds: bool,
        field: &'static str,
        expected: impl Display,
        actual: impl Display,
    ) -> Result<(), LedgerError> {
        if holds {
            return Ok(());
        }
        Err(LedgerError::WrongBlock {
            field,
            expected: expected.to_string(),
            actual: actual.to_string(),
        })
    }
    let properties = &overlay.properties;
    let next = properties.height.next();
    check(input.height == next, "height", next, input.height)?;
    check(
        input.era == properties.era,
        "era",
        properties.era,
        input.era,
    )?;
    check(
        input.timestamp > properties.timestamp,
        "timestamp",
        format_args!("more than {}", properties.timestamp),
        input.timestamp,
    )?;
    let committee = input.committee.hash();
    check(
        committee == properties.committee,
        "committee hash",
        HexDigest(&properties.committee),
        HexDigest(&committee),
    )
}

/// A hash in messages.
struct HexDigest<'a>(&'a [u8; 32]);

impl Display for HexDigest<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Reads the accounts that the transactions name in one call.
fn prefetch_accounts<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    transactions: &[VerifiedTransaction],
) -> Result<(), StateError> {
    let mut names = BTreeSet::new();
    for transaction in transactions {
        let body = transaction.body();
        names.insert(body.sender);
        match &body.action {
            Action::Transfer { to, .. } => {
                names.insert(*to);
            }
            Action::CreateAccount { name, .. } => {
                names.insert(*name);
            }
            Action::UpdateKey { .. }
            | Action::RegisterValidator { .. }
            | Action::UpdateValidator { .. }
            | Action::Stake { .. }
            | Action::Unstake { .. }
            | Action::VoteProperties { .. }
            | Action::VoteHardfork { .. } => {}
        }
    }
    overlay.prefetch(names.into_iter().map(AccountKey).collect())
}
