//! `holdfast tx decode`

use super::read_transaction;
use super::show::Shown;
use super::sign::known_chain;
use crate::cli::layout::Sheet;
use crate::cli::{Context, GlobalArguments};
use crate::failure::Failure;
use clap::Args;
use holdfast_types::{
    Action, ChainId, Ed25519, SignatureScheme as _, SignedTransaction, TransactionId,
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The signed transaction as hexadecimal digits; "-" for standard input.
    #[arg(value_name = "HEX")]
    transaction: String,
    /// Id of the chain that it is for; without it the signature cannot be checked.
    #[arg(long, value_name = "HEX", conflicts_with = "genesis")]
    chain_id: Option<ChainId>,
    /// Genesis document of the chain that it is for [default: that of the home folder].
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A transaction and what can be said of it.
struct Decoded {
    transaction: SignedTransaction,
    size_bytes: usize,
    /// Id and whether the signature verifies, where the chain is known.
    checked: Option<(TransactionId, bool)>,
}

pub(super) fn run(
    arguments: &Arguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let (encoded, transaction) = read_transaction(&arguments.transaction)?;
    let chain = known_chain(
        arguments.chain_id,
        arguments.genesis.clone(),
        global,
        context,
    )?;
    let checked = chain.map(|(chain, _)| {
        let id = transaction.body.id(&chain);
        (id, Ed25519.verify(&transaction.signature_check(&id)))
    });
    let decoded = Decoded {
        transaction,
        size_bytes: encoded.len(),
        checked,
    };
    let text = if arguments.json {
        format!("{:#}\n", decoded.as_json())
    } else {
        decoded.as_text()
    };
    context.print(&text)
}

impl Decoded {
    fn as_text(&self) -> String {
        let body = &self.transaction.body;
        let (kind, mut fields) = action_fields(&body.action);
        for name in ["memo", "url"] {
            if let Some(text) = fields.get(name).and_then(readable) {
                fields.insert(name.to_owned(), text.into());
            }
        }
        let (title, signature) = match self.checked {
            Some((id, true)) => (id.to_string(), "valid for this chain"),
            Some((id, false)) => (id.to_string(), "NOT VALID for this chain"),
            None => (
                "a signed transaction".to_owned(),
                "not checked: give --genesis FILE or --chain-id HEX",
            ),
        };
        let mut sheet = Sheet::titled(title);
        let shown = Shown {
            kind,
            fields: &fields,
            sender: &body.sender,
            public_key: &body.public_key,
            nonce: body.nonce,
            fee_max: body.fee_max,
            expires_at_ms: body.expires_at.map(|at| at.0),
            size_bytes: self.size_bytes,
        };
        shown.add_to(&mut sheet);
        sheet.line("signature", signature);
        sheet.into_text()
    }

    fn as_json(&self) -> Value {
        let body = &self.transaction.body;
        let (kind, mut action) = action_fields(&body.action);
        action.insert("kind".to_owned(), kind.into());
        json!({
            "id": self.checked.map(|(id, _)| id),
            "signature_valid": self.checked.map(|(_, valid)| valid),
            "sender": body.sender,
            "public_key": body.public_key,
            "nonce": body.nonce.to_string(),
            "fee_max": body.fee_max.to_string(),
            "expires_at_ms": body.expires_at.map(|at| at.0.to_string()),
            "action": action,
            "signature": self.transaction.signature,
            "size_bytes": self.size_bytes,
        })
    }
}

/// Hexadecimal digits as the text that they encode, if they do.
fn readable(digits: &Value) -> Option<String> {
    let bytes = hex::decode(digits.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// Name and fields of an action, as `docs/transactions.md` has them: 64-bit numbers are decimal strings, bytes are
/// hexadecimal digits.
fn action_fields(action: &Action) -> (&'static str, Map<String, Value>) {
    let (kind, fields) = match action {
        Action::Transfer { to, amount, memo } => (
            "transfer",
            json!({"to": to, "amount": amount.to_string(), "memo": hex::encode(memo)}),
        ),
        Action::CreateAccount { name, key, balance } => (
            "create_account",
            json!({"name": name, "key": key, "balance": balance.to_string()}),
        ),
        Action::UpdateKey { key } => ("update_key", json!({"key": key})),
        Action::RegisterValidator { signing_key, url } => (
            "register_validator",
            json!({"signing_key": signing_key, "url": hex::encode(url)}),
        ),
        Action::UpdateValidator { signing_key, url } => (
            "update_validator",
            json!({"signing_key": signing_key, "url": hex::encode(url)}),
        ),
        Action::Stake { validator, amount } => (
            "stake",
            json!({"validator": validator, "amount": amount.to_string()}),
        ),
        Action::Unstake { validator, amount } => (
            "unstake",
            json!({"validator": validator, "amount": amount.to_string()}),
        ),
        Action::VoteProperties { properties } => (
            "vote_properties",
            json!({
                "transaction_fee": properties.transaction_fee.to_string(),
                "byte_fee": properties.byte_fee.to_string(),
                "account_creation_fee": properties.account_creation_fee.to_string(),
            }),
        ),
        Action::VoteHardfork { version } => ("vote_hardfork", json!({"version": version})),
    };
    match fields {
        Value::Object(fields) => (kind, fields),
        _ => unreachable!("the fields of every action are an object"),
    }
}
