//! A genesis document that has been checked.

use crate::document::GenesisDocument;
use crate::error::GenesisError;
use crate::{rules, schema, show};
use holdfast_ledger::{GenesisState, check_genesis};
use holdfast_types::hash::Hash32;
use holdfast_types::{ChainId, Committee, Parameters};

/// A genesis document that cannot be invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    document: GenesisDocument,
    state: GenesisState,
    committee: Committee,
    parameters_hash: Hash32,
}

impl Genesis {
    /// Parses and checks a document.
    pub fn parse(text: &str) -> Result<Self, GenesisError> {
        Self::check(schema::read(text)?)
    }

    /// Checks a document; the first violation is the error.
    pub fn check(document: GenesisDocument) -> Result<Self, GenesisError> {
        if let Some(violation) = rules::violations(&document).into_iter().next() {
            return Err(violation);
        }
        let document = document.sorted();
        let state = document.state(document.chain_id());
        let committee = check_genesis(&state)
            .map_err(|error| GenesisError::new(error.field, error.rule, error.actual))?;
        Ok(Self {
            parameters_hash: document.parameters_hash(),
            document,
            state,
            committee,
        })
    }

    /// All that is wrong with a document; nothing if it is valid.
    #[must_use]
    pub fn violations(text: &str) -> Vec<GenesisError> {
        let document = match schema::read(text) {
            Ok(document) => document,
            Err(error) => return vec![error],
        };
        let violations = rules::violations(&document);
        if violations.is_empty() {
            return Self::check(document).err().into_iter().collect();
        }
        violations
    }

    /// What is allowed but deserves a second look, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        rules::warnings(&self.document, &self.committee)
    }

    /// Hash of the document: the identity of the chain.
    #[must_use]
    pub const fn chain_id(&self) -> ChainId {
        self.state.chain
    }

    #[must_use]
    pub fn chain_name(&self) -> &str {
        &self.document.chain_name
    }

    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.state.parameters
    }

    /// Hash of the parameters, for the handshake between peers.
    #[must_use]
    pub const fn parameters_hash(&self) -> Hash32 {
        self.parameters_hash
    }

    /// Committee of era 1.
    #[must_use]
    pub const fn committee(&self) -> &Committee {
        &self.committee
    }

    /// The document, accounts and validators sorted by name.
    #[must_use]
    pub const fn document(&self) -> &GenesisDocument {
        &self.document
    }

    /// What the ledger makes block 0 of.
    #[must_use]
    pub const fn state(&self) -> &GenesisState {
        &self.state
    }

    /// All that an operator wants to know of the chain, as text.
    #[must_use]
    pub fn show(&self) -> String {
        show::show(self)
    }
}
