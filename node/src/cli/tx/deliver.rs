//! Sending a signed transaction, and saying what became of it.

use super::advice;
use super::show::add_receipt;
use crate::cli::layout::Sheet;
use crate::cli::node_client::{self, NodeClient, RpcArguments};
use crate::cli::units::{parse_duration, show_seconds};
use crate::cli::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use holdfast_rpc::dto::{
    ChainState, Finality, Receipt, ReceiptStatus, SendOptions, Sent, TransactionBytes, WaitFor,
};
use holdfast_rpc::methods::{SendParams, SendTransaction};
use holdfast_rpc::{ClientError, ErrorCode, RpcCallError};
use serde_json::Value;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
pub(super) struct DeliveryArguments {
    /// What to wait for.
    #[arg(long, value_enum, default_value = "irreversible")]
    wait: Wait,
    /// The longest wait; the transaction stays queued beyond it.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    wait_limit: Duration,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// The node has queued it.
    Accepted,
    /// A block has executed it.
    Committed,
    /// That block is certified: final.
    Irreversible,
}

impl DeliveryArguments {
    /// The node to send to.
    pub(super) fn connect(
        &self,
        global: &GlobalArguments,
        context: &Context<'_>,
    ) -> Result<NodeClient, Failure> {
        self.rpc.connect_patiently(global, context, self.wait_limit)
    }

    fn options(&self) -> SendOptions {
        SendOptions {
            wait: match self.wait {
                Wait::Accepted => WaitFor::Accepted,
                Wait::Committed => WaitFor::Committed,
                Wait::Irreversible => WaitFor::Irreversible,
            },
            timeout_ms: Some(u32::try_from(self.wait_limit.as_millis()).unwrap_or(u32::MAX)),
        }
    }
}

/// Sends, waits and prints. A refusal, a failed receipt and a wait that ran out are failures, each with its exit code.
pub(super) fn deliver(
    node: &NodeClient,
    encoded: Vec<u8>,
    delivery: &DeliveryArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let params = SendParams {
        transaction: TransactionBytes(encoded.into()),
        options: Some(delivery.options()),
    };
    let sent = match node.try_call::<SendTransaction>(params) {
        Ok(sent) => sent,
        Err(ClientError::Call(error))
            if error.error_code() == Some(ErrorCode::EmergencyProvisional) =>
        {
            if delivery.json {
                context.print(&format!("{:#}\n", Value::from(error.data.clone())))?;
            }
            return Err(provisional(&error));
        }
        Err(ClientError::Call(error)) => return Err(refused(&error)),
        Err(error) => return Err(node_client::failure(&error)),
    };
    let text = if delivery.json {
        format!("{:#}\n", serde_json::json!(sent))
    } else {
        as_text(&sent)
    };
    context.print(&text)?;
    match &sent.receipt {
        Some(receipt) if receipt.status == ReceiptStatus::Failed => Err(failed(receipt)),
        _ if sent.timed_out => Err(pending(&sent, delivery)),
        _ => Ok(()),
    }
}

fn refused(error: &RpcCallError) -> Failure {
    let mut failure = node_client::refusal("the node refused the transaction", error);
    let reason = error.data.get("reason").and_then(|reason| reason.as_str());
    if let Some(next_step) = reason.and_then(advice::next_step) {
        next_step.clone_into(&mut failure.next_step);
    }
    failure
}

/// It was executed, and nothing more can be had while the emergency lasts.
fn provisional(error: &RpcCallError) -> Failure {
    let id = error.data.get("transaction_id").and_then(Value::as_str);
    let id = id.unwrap_or("ID");
    Failure::new(
        ExitCode::Pending,
        "the transaction is executed, and provisional",
        &error.message,
        format!(
            "credit nothing on it; look again when the emergency is over: holdfast tx show {id}; holdfast emergency status says how it is doing"
        ),
    )
}

fn failed(receipt: &Receipt) -> Failure {
    let code = receipt.failure_code.as_deref().unwrap_or("unknown");
    let message = receipt.failure_message.as_deref().unwrap_or_default();
    Failure::new(
        ExitCode::Refused,
        "the transaction was executed and failed",
        format!("{code}: {message}"),
        advice::next_step(code).unwrap_or("correct the transaction and send it anew"),
    )
}

fn pending(sent: &Sent, delivery: &DeliveryArguments) -> Failure {
    Failure::new(
        ExitCode::Pending,
        "the transaction is not as final as asked for yet",
        format!(
            "after {} it was {}; {}",
            show_seconds(delivery.wait_limit.as_secs_f64()),
            word(sent.finality),
            if sent.receipt.is_some() {
                "a block has executed it"
            } else {
                "it stays queued until it expires"
            }
        ),
        format!(
            "look again: holdfast tx show {}; holdfast status says how the chain is doing",
            sent.transaction_id
        ),
    )
}

/// How far a transaction has come, for people.
pub(super) const fn word(finality: Finality) -> &'static str {
    match finality {
        Finality::Emergency => "emergency (provisional: a certificate can take it back)",
        _ => finality.as_str(),
    }
}

fn as_text(sent: &Sent) -> String {
    let mut sheet = Sheet::titled(format_args!(
        "{}  {}",
        sent.transaction_id,
        word(sent.finality)
    ));
    if let Some(receipt) = &sent.receipt {
        add_receipt(&mut sheet, receipt);
    }
    let is_held = matches!(sent.chain_state, ChainState::Halted | ChainState::Stalled);
    if is_held && sent.receipt.is_none() {
        sheet.line(
            "queued",
            format_args!(
                "the chain is {}: the transaction waits on this node and is executed when the chain goes on (holdfast why)",
                sent.chain_state.as_str()
            ),
        );
    }
    sheet.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_rpc::dto::{Amount, Event, Hash, Number};
    use serde_json::{Map, json};

    fn sent(status: ReceiptStatus, failure: Option<&str>) -> Sent {
        let id = Hash::new([0x42; 32]);
        Sent {
            transaction_id: id,
            finality: Finality::Irreversible,
            timed_out: false,
            chain_state: ChainState::Running,
            receipt: Some(Receipt {
                transaction_id: id,
                status,
                failure_code: failure.map(str::to_owned),
                failure_message: failure.map(|_| "in words".to_owned()),
                height: Number(12),
                index: 3,
                block_id: id,
                fee: Amount(1_187),
                finality: Finality::Irreversible,
                events: vec![Event {
                    kind: "transferred".to_owned(),
                    fields: Map::from_iter([
                        ("from".to_owned(), json!("alice")),
                        ("to".to_owned(), json!("bob")),
                        ("amount".to_owned(), json!("250")),
                    ]),
                }],
            }),
        }
    }

    #[test]
    fn a_receipt_is_readable() {
        let id = "42".repeat(32);
        assert_eq!(
            as_text(&sent(ReceiptStatus::Success, None)),
            format!(
                "{id}  irreversible\n\
                 \x20 block         12, position 3\n\
                 \x20 status        success\n\
                 \x20 fee paid      1187 (0.001187 coin)\n\
                 \x20 events        transferred: amount 250, from alice, to bob\n"
            )
        );
    }

    #[test]
    fn what_an_emergency_keeps_provisional_is_no_refusal() {
        let id = "42".repeat(32);
        let failure = provisional(&RpcCallError {
            code: ErrorCode::EmergencyProvisional.number(),
            message: "block 12 has executed it".to_owned(),
            data: Map::from_iter([("transaction_id".to_owned(), json!(id))]),
        });
        assert_eq!(failure.code, ExitCode::Pending);
        assert_eq!(failure.why, "block 12 has executed it");
        assert!(
            failure
                .next_step
                .contains(&format!("holdfast tx show {id};"))
        );
    }

    #[test]
    fn what_emergency_consensus_made_is_shown_as_provisional() {
        let mut sent = sent(ReceiptStatus::Success, None);
        sent.finality = Finality::Emergency;
        let text = as_text(&sent);
        assert!(text.contains("  emergency (provisional: "), "{text}");
    }

    #[test]
    fn a_failed_receipt_names_code_message_and_next_step() {
        let sent = sent(ReceiptStatus::Failed, Some("unknown_recipient"));
        let failure = failed(sent.receipt.as_ref().unwrap());
        assert_eq!(failure.code, ExitCode::Refused);
        assert_eq!(failure.why, "unknown_recipient: in words");
        assert!(failure.next_step.contains("tx create-account"), "{failure}");
    }

    #[test]
    fn a_refusal_by_reason_gets_the_advice_of_the_reason() {
        let error = RpcCallError {
            code: -32056,
            message: "nonce 3 was used already".to_owned(),
            data: Map::from_iter([("reason".to_owned(), json!("nonce_too_low"))]),
        };
        let failure = refused(&error);
        assert_eq!(
            failure.why,
            "TX_REJECTED (-32056, nonce_too_low): nonce 3 was used already"
        );
        assert!(failure.next_step.contains("leave --nonce out"), "{failure}");
    }
}
