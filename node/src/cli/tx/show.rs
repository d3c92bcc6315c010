//! `holdfast tx show`, and how transactions and receipts are shown.

use super::deliver::word;
use crate::cli::layout::Sheet;
use crate::cli::node_client::RpcArguments;
use crate::cli::units::{show_amount, show_time};
use crate::cli::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::Args;
use holdfast_rpc::dto::{Hash, Receipt, ReceiptStatus};
use holdfast_rpc::methods::{GetReceipt, GetTransaction, TransactionIdParams};
use serde_json::{Map, Value, json};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Id of the transaction.
    id: Hash,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

pub(super) fn run(
    arguments: &Arguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let id = arguments.id;
    let node = arguments.rpc.connect(global, context)?;
    let transaction = node.call::<GetTransaction>(TransactionIdParams { id })?;
    let receipt = node.call::<GetReceipt>(TransactionIdParams { id })?;
    if transaction.is_none() && receipt.is_none() {
        return Err(Failure::new(
            ExitCode::Refused,
            format!("there is no transaction {id}"),
            format!(
                "the node at {} knows of none: it is in no block of its chain",
                node.url()
            ),
            "check the id; ask the node that it was sent to, or send it again: that is harmless",
        ));
    }
    if arguments.json {
        let value = json!({ "transaction": transaction, "receipt": receipt });
        return context.print(&format!("{value:#}\n"));
    }
    let finality = receipt
        .as_ref()
        .map_or("queued", |receipt| word(receipt.finality));
    let mut sheet = Sheet::titled(format_args!("{id}  {finality}"));
    if let Some(transaction) = &transaction {
        let shown = Shown {
            kind: &transaction.action.kind,
            fields: &transaction.action.fields,
            sender: &transaction.sender,
            public_key: &transaction.public_key,
            nonce: transaction.nonce.get(),
            fee_max: transaction.fee_max.0,
            expires_at_ms: transaction.expires_at_ms.map(|at| at.get()),
            size_bytes: transaction.size_bytes as usize,
        };
        shown.add_to(&mut sheet);
    }
    if let Some(receipt) = &receipt {
        add_receipt(&mut sheet, receipt);
    }
    context.print(&sheet.into_text())
}

/// What a transaction says.
pub(super) struct Shown<'a> {
    pub(super) kind: &'a str,
    pub(super) fields: &'a Map<String, Value>,
    pub(super) sender: &'a dyn std::fmt::Display,
    pub(super) public_key: &'a dyn std::fmt::Display,
    pub(super) nonce: u64,
    pub(super) fee_max: u64,
    pub(super) expires_at_ms: Option<u64>,
    pub(super) size_bytes: usize,
}

impl Shown<'_> {
    pub(super) fn add_to(&self, sheet: &mut Sheet) {
        sheet.line("from", self.sender);
        sheet.line("action", joined(self.kind, self.fields));
        sheet.line("nonce", self.nonce);
        sheet.line("fee at most", show_amount(self.fee_max));
        let expiry = self
            .expires_at_ms
            .map_or_else(|| "never".to_owned(), show_time);
        sheet.line("expires", expiry);
        sheet.line("public key", self.public_key);
        sheet.line("size", format_args!("{} bytes", self.size_bytes));
    }
}

pub(super) fn add_receipt(sheet: &mut Sheet, receipt: &Receipt) {
    sheet.line(
        "block",
        format_args!("{}, position {}", receipt.height, receipt.index),
    );
    let failure = || {
        let code = receipt.failure_code.as_deref().unwrap_or("unknown");
        let message = receipt.failure_message.as_deref().unwrap_or_default();
        format!("FAILED, {code}: {message}")
    };
    let status = match receipt.status {
        ReceiptStatus::Success => "success".to_owned(),
        ReceiptStatus::Failed => failure(),
    };
    sheet.line("status", status);
    sheet.line("fee paid", show_amount(receipt.fee.0));
    let events: Vec<String> = receipt
        .events
        .iter()
        .map(|event| joined(&event.kind, &event.fields))
        .collect();
    sheet.line("events", events.join("\n"));
}

/// "transfer: amount 250, to bob".
fn joined(kind: &str, fields: &Map<String, Value>) -> String {
    let mut parts: Vec<String> = fields
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) if text.is_empty() => format!("no {name}"),
            Value::String(text) => format!("{name} {}", printable(text)),
            Value::Null => format!("no {name}"),
            other => format!("{name} {other}"),
        })
        .collect();
    parts.sort();
    if parts.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}: {}", parts.join(", "))
    }
}

/// A text that others chose, without what would steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_listed_by_name_and_what_is_not_there_is_said() {
        let fields = Map::from_iter([
            ("to".to_owned(), json!("bob")),
            ("memo".to_owned(), json!("")),
            ("version".to_owned(), json!(3)),
            ("signing_key".to_owned(), Value::Null),
        ]);
        assert_eq!(
            joined("transfer", &fields),
            "transfer: no memo, no signing_key, to bob, version 3"
        );
        assert_eq!(joined("era_ended", &Map::new()), "era_ended");
    }

    #[test]
    fn a_memo_cannot_steer_the_terminal() {
        assert_eq!(printable("rent \u{1b}[2J\n"), "rent \\u{1b}[2J\\n");
        assert_eq!(printable("Miete für März"), "Miete für März");
    }
}
