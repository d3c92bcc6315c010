//! Rules of accounts and validators that are not the ledger's own.

use super::Checker;
use crate::document::GenesisDocument;
use holdfast_types::PublicKey;

pub(super) fn check(checker: &mut Checker, document: &GenesisDocument) {
    validators(checker, document);
    keys(checker, document);
}

fn validators(checker: &mut Checker, document: &GenesisDocument) {
    let parameters = &document.parameters;
    let enabled = document
        .validators
        .iter()
        .filter(|it| it.signing_key.is_some());
    let count = enabled.count();
    checker.require(
        count <= usize::from(parameters.max_validators),
        "validators",
        format!(
            "those with a signing key are at most max_validators, which is {}",
            parameters.max_validators
        ),
        count,
    );
    let least = parameters.staking.min_validator_stake;
    for (position, validator) in document.validators.iter().enumerate() {
        checker.require(
            validator.signing_key.is_none() || validator.stake >= least,
            &format!("validators[{position}].stake"),
            format!("with a signing key at least staking.min_validator_stake, which is {least}"),
            validator.stake,
        );
    }
}

/// No key is all zeros: it stands for a key that was forgotten, and as a point of small order it would let anybody sign.
fn keys(checker: &mut Checker, document: &GenesisDocument) {
    let mut check = |field: &str, key: &PublicKey| {
        checker.require(
            *key.as_bytes() != [0; 32],
            field,
            "it is not all zeros",
            key,
        );
    };
    let parameters = &document.parameters;
    check(
        "parameters.emergency.validator_public_key",
        &parameters.emergency.validator_public_key,
    );
    for (position, key) in parameters.governance.keys.iter().enumerate() {
        check(&format!("parameters.governance.keys[{position}]"), key);
    }
    for (position, account) in document.accounts.iter().enumerate() {
        check(&format!("accounts[{position}].key"), &account.key);
    }
    for (position, validator) in document.validators.iter().enumerate() {
        if let Some(key) = &validator.signing_key {
            check(&format!("validators[{position}].signing_key"), key);
        }
    }
}
