//! Block 0.

use crate::genesis::Genesis;
use holdfast_ledger::{GenesisState, GenesisStateError, StateChanges};
use holdfast_types::hash::Purpose;
use holdfast_types::merkle::merkle_root;
use holdfast_types::{
    Block, BlockBody, BlockHeader, BlockId, BlockOrigin, Era, EraContext, EraEnd, EraKind, Event,
    Height,
};

/// Block 0 with all that the chain needs to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisBlock {
    pub block: Block,
    pub id: BlockId,
    /// The state of block 0, to be written on an empty store.
    pub changes: StateChanges,
    /// Era 1, anchored at block 0.
    pub era: EraContext,
}

/// Block 0: the only and last block of era 0, whose parent is the all-zero id. It has neither transactions nor events
/// and names the committee of era 1. Its roots are made as those of every block.
///
/// # Panics
/// Never: a [`Genesis`] has passed the checks of the ledger.
#[must_use]
pub fn genesis_block(genesis: &Genesis) -> GenesisBlock {
    block_of_state(genesis.state()).expect("a checked genesis passes the ledger's checks")
}

/// Block 0 of a state that no document describes: simulations break rules of documents, like the shortest epoch.
pub fn block_of_state(state: &GenesisState) -> Result<GenesisBlock, GenesisStateError> {
    let outcome = holdfast_ledger::genesis(state)?;
    let committee = outcome.committee;
    let next_committee = Some(committee.hash());
    let body = BlockBody {
        era_end: Some(EraEnd {
            next_kind: EraKind::Dag,
            committee: committee.clone(),
        }),
        ..BlockBody::default()
    };
    let no_events = Purpose::RECEIPT.hash_encoded(&Vec::<Event>::new());
    let header = BlockHeader {
        height: Height::ZERO,
        parent: BlockId::default(),
        era: Era::ZERO,
        timestamp: state.timestamp,
        origin: BlockOrigin::Genesis,
        transactions_root: merkle_root([]),
        events_root: merkle_root([&no_events]),
        system_root: body.system_root(),
        state_root: outcome.state_root,
        next_committee,
    };
    let id = header.id(&state.chain);
    Ok(GenesisBlock {
        id,
        changes: outcome.changes,
        era: EraContext {
            era: Era(1),
            kind: EraKind::Dag,
            anchor: id,
            anchor_height: Height::ZERO,
            anchor_timestamp: state.timestamp,
            committee,
        },
        block: Block { header, body },
    })
}
