//! The fields of a transaction as a person reads them.

use holdfast_types::{Action, TransactionBody};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Body {
    sender: String,
    public_key: String,
    nonce: String,
    fee_max: String,
    expires_at: Option<String>,
    action: ActionFields,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ActionFields {
    Transfer {
        to: String,
        amount: String,
        memo: String,
    },
    CreateAccount {
        name: String,
        key: String,
        balance: String,
    },
    UpdateKey {
        key: String,
    },
    RegisterValidator {
        signing_key: Option<String>,
        url: String,
    },
    UpdateValidator {
        signing_key: Option<String>,
        url: String,
    },
    Stake {
        validator: String,
        amount: String,
    },
    Unstake {
        validator: String,
        amount: String,
    },
    VoteProperties {
        transaction_fee: String,
        byte_fee: String,
        account_creation_fee: String,
    },
    VoteHardfork {
        version: u32,
    },
}

pub(crate) fn body(body: &TransactionBody) -> Body {
    Body {
        sender: body.sender.to_string(),
        public_key: body.public_key.to_string(),
        nonce: body.nonce.to_string(),
        fee_max: body.fee_max.to_string(),
        expires_at: body.expires_at.map(|time| time.to_string()),
        action: action(&body.action),
    }
}

fn action(action: &Action) -> ActionFields {
    match action {
        Action::Transfer { to, amount, memo } => ActionFields::Transfer {
            to: to.to_string(),
            amount: amount.to_string(),
            memo: hex::encode(memo),
        },
        Action::CreateAccount { name, key, balance } => ActionFields::CreateAccount {
            name: name.to_string(),
            key: key.to_string(),
            balance: balance.to_string(),
        },
        Action::UpdateKey { key } => ActionFields::UpdateKey {
            key: key.to_string(),
        },
        Action::RegisterValidator { signing_key, url } => ActionFields::RegisterValidator {
            signing_key: signing_key.map(|key| key.to_string()),
            url: hex::encode(url),
        },
        Action::UpdateValidator { signing_key, url } => ActionFields::UpdateValidator {
            signing_key: signing_key.map(|key| key.to_string()),
            url: hex::encode(url),
        },
        Action::Stake { validator, amount } => ActionFields::Stake {
            validator: validator.to_string(),
            amount: amount.to_string(),
        },
        Action::Unstake { validator, amount } => ActionFields::Unstake {
            validator: validator.to_string(),
            amount: amount.to_string(),
        },
        Action::VoteProperties { properties } => ActionFields::VoteProperties {
            transaction_fee: properties.transaction_fee.to_string(),
            byte_fee: properties.byte_fee.to_string(),
            account_creation_fee: properties.account_creation_fee.to_string(),
        },
        Action::VoteHardfork { version } => ActionFields::VoteHardfork { version: *version },
    }
}
