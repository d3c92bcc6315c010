//! `holdfast tx …`: transactions made, signed, sent and shown.

mod actions;
mod advice;
mod decode;
mod deliver;
mod show;
mod sign;

use super::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use actions::MakeAction;
use clap::{Args, Subcommand};
use deliver::{DeliveryArguments, deliver};
use holdfast_types::limits::TRANSACTION_BYTES_MAX;
use holdfast_types::{SignedTransaction, codec};
use sign::SigningArguments;
pub(super) use sign::known_chain;
use std::io::Read as _;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Move tokens to an existing account.
    Transfer(Box<Order<actions::Transfer>>),
    /// Create an account with a key and a first balance.
    CreateAccount(Box<Order<actions::CreateAccount>>),
    /// Replace the key of the account; what was signed with the old one fails from then on.
    UpdateKey(Box<Order<actions::UpdateKey>>),
    /// Register the account as a validator.
    RegisterValidator(Box<Order<actions::RegisterValidator>>),
    /// Change signing key or URL of the account's validator, or disable it.
    UpdateValidator(Box<Order<actions::UpdateValidator>>),
    /// Move tokens from the balance to the stake of a validator.
    Stake(Box<Order<actions::Stake>>),
    /// Start to take back stake; it is paid out after the unbonding time.
    Unstake(Box<Order<actions::Unstake>>),
    /// Vote, as a validator, on the fees; the median of the votes is in force.
    VoteProperties(Box<Order<actions::VoteProperties>>),
    /// Vote, as a validator, for a hardfork version.
    VoteHardfork(Box<Order<actions::VoteHardfork>>),
    /// Send a transaction that was signed before (--offline).
    Send(SendArguments),
    /// Show a transaction and what became of it.
    Show(show::Arguments),
    /// Show what a signed transaction says, and check its signature, without a node.
    Decode(decode::Arguments),
}

/// An action with all it takes to sign and send it.
#[derive(Debug, Args)]
pub(super) struct Order<A: Args> {
    #[command(flatten)]
    action: A,
    #[command(flatten)]
    signing: SigningArguments,
    #[command(flatten)]
    delivery: DeliveryArguments,
}

#[derive(Debug, Args)]
pub(super) struct SendArguments {
    /// The signed transaction as hexadecimal digits; "-" for standard input.
    #[arg(value_name = "HEX")]
    transaction: String,
    #[command(flatten)]
    delivery: DeliveryArguments,
}

pub(super) fn run(
    command: Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Transfer(order) => order.run(global, context),
        Command::CreateAccount(order) => order.run(global, context),
        Command::UpdateKey(order) => order.run(global, context),
        Command::RegisterValidator(order) => order.run(global, context),
        Command::UpdateValidator(order) => order.run(global, context),
        Command::Stake(order) => order.run(global, context),
        Command::Unstake(order) => order.run(global, context),
        Command::VoteProperties(order) => order.run(global, context),
        Command::VoteHardfork(order) => order.run(global, context),
        Command::Send(arguments) => {
            let (encoded, _) = read_transaction(&arguments.transaction)?;
            let node = arguments.delivery.connect(global, context)?;
            deliver(&node, encoded, &arguments.delivery, context)
        }
        Command::Show(arguments) => show::run(&arguments, global, context),
        Command::Decode(arguments) => decode::run(&arguments, global, context),
    }
}

impl<A: Args + MakeAction> Order<A> {
    fn run(&self, global: &GlobalArguments, context: &mut Context<'_>) -> Result<(), Failure> {
        let node = if self.signing.is_offline() {
            None
        } else {
            Some(self.delivery.connect(global, context)?)
        };
        let action = self.action.action(&self.signing.from, node.as_ref())?;
        let signed = self.signing.sign(action, node.as_ref(), global, context)?;
        let encoded = codec::encode(&signed);
        match &node {
            // Nothing but the digits, so that they can be piped to where they are sent.
            None => context.print(&format!("{}\n", hex::encode(encoded))),
            Some(node) => deliver(node, encoded, &self.delivery, context),
        }
    }
}

/// A signed transaction from an argument or from standard input: its bytes, and what they say.
fn read_transaction(text: &str) -> Result<(Vec<u8>, SignedTransaction), Failure> {
    let refused = |why: String| {
        Failure::new(
            ExitCode::Usage,
            "this is no signed transaction",
            why,
            "give all the hexadecimal digits that holdfast tx ... --offline printed",
        )
    };
    let piped = if text == "-" {
        let mut piped = String::new();
        // Two digits for each byte, and a line end.
        std::io::stdin()
            .take(2 * TRANSACTION_BYTES_MAX as u64 + 2)
            .read_to_string(&mut piped)
            .map_err(|error| refused(error.to_string()))?;
        piped
    } else {
        text.to_owned()
    };
    let encoded = hex::decode(piped.trim()).map_err(|error| refused(error.to_string()))?;
    let transaction =
        SignedTransaction::decode(&encoded).map_err(|error| refused(error.to_string()))?;
    Ok((encoded, transaction))
}

#[cfg(test)]
#[path = "tx/tx_tests.rs"]
mod tests;
