//! Refusals.

/// Why a genesis document was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}; got {value}")]
pub struct GenesisError {
    /// Path of the field, like `parameters.dag.gc_depth` or `accounts[3].name`.
    pub field: String,
    /// What must hold.
    pub rule: String,
    /// What was found.
    pub value: String,
}

impl GenesisError {
    pub(crate) fn new(
        field: impl Into<String>,
        rule: impl Into<String>,
        value: impl ToString,
    ) -> Self {
        Self {
            field: field.into(),
            rule: rule.into(),
            value: value.to_string(),
        }
    }
}
