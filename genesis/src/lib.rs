//! How a chain begins.

use holdfast_ledger::{GenesisState, StateChanges};
use holdfast_types::hash::Hash32;
use holdfast_types::{Block, BlockId, ChainId, EraContext, Parameters};

/// A genesis document that has been checked: it cannot be invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    state: GenesisState,
}

/// Why a genesis document was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("genesis document: {field}: {rule}; got {value}")]
pub struct GenesisError {
    /// Path of the field.
    pub field: String,
    pub rule: String,
    pub value: String,
}

/// Block 0 with all that the chain needs to begin.
#[derive(Clone, Debug)]
pub struct GenesisBlock {
    pub block: Block,
    pub id: BlockId,
    pub changes: StateChanges,
    /// Era 1, anchored at block 0.
    pub era: EraContext,
}

impl Genesis {
    /// Parses and checks a document (TOML).
    pub fn parse(_text: &str) -> Result<Self, GenesisError> {
        unimplemented!("bodies follow the signatures")
    }

    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.state.chain
    }

    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.state.parameters
    }

    /// Hash of the parameters, for the handshake.
    #[must_use]
    pub fn parameters_hash(&self) -> Hash32 {
        unimplemented!("bodies follow the signatures")
    }
}

/// Block 0.
#[must_use]
pub fn genesis_block(_genesis: &Genesis) -> GenesisBlock {
    unimplemented!("bodies follow the signatures")
}
