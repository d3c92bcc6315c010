//! A genesis as text for a person.

use crate::block::genesis_block;
use crate::genesis::Genesis;
use holdfast_types::hash::Hash32;
use holdfast_types::{Amount, StateRoot};
use std::fmt::Write;

/// Most accounts that are listed.
const ACCOUNTS_SHOWN_MAX: usize = 20;

pub(crate) fn show(genesis: &Genesis) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing into a String does not fail.
        writeln!(text, "{name:<18}{value}").unwrap_or_default();
    };
    let document = genesis.document();
    let first = genesis_block(genesis);
    let committee = genesis.committee();
    line("chain", &genesis.chain_name());
    line("chain id", &genesis.chain_id());
    line("parameters hash", &hash(&genesis.parameters_hash()));
    line("genesis time", &document.genesis_time);
    line("block 0", &first.id);
    line("state root", &first.block.header.state_root);
    if !document.notes.is_empty() {
        line("notes", &document.notes);
    }
    let balances = sum(document.accounts.iter().map(|account| account.balance));
    let stakes = sum(document.validators.iter().map(|validator| validator.stake));
    let supply = balances + stakes + u128::from(document.treasury);
    line("total supply", &supply);
    line(
        "  balances",
        &format_args!("{balances} in {} accounts", document.accounts.len()),
    );
    line(
        "  stakes",
        &format_args!("{stakes} of {} validators", document.validators.len()),
    );
    line("  treasury", &document.treasury);
    line(
        "committee",
        &format_args!(
            "{} of {} slots, quorum {}, tolerates {} faulty",
            committee.size(),
            genesis.parameters().max_validators,
            committee.quorum(),
            committee.max_faulty()
        ),
    );
    text.push_str(&validators(genesis));
    text.push_str(&accounts(genesis));
    text.push_str("\nparameters\n");
    text.push_str(&parameters(genesis));
    text
}

fn hash(hash: &Hash32) -> StateRoot {
    StateRoot::new(*hash)
}

fn sum(amounts: impl Iterator<Item = Amount>) -> u128 {
    amounts.fold(0, |sum, amount| sum + u128::from(amount))
}

fn validators(genesis: &Genesis) -> String {
    let mut text = String::from("\nvalidators\n");
    for validator in &genesis.document().validators {
        let key = validator
            .signing_key
            .map_or_else(|| "disabled".to_owned(), |key| key.to_string());
        let (account, stake, url) = (validator.account, validator.stake, &validator.url);
        text.push_str(format!("  {account:<24} {stake:>20}  {key}  {url}").trim_end());
        text.push('\n');
    }
    text
}

fn accounts(genesis: &Genesis) -> String {
    let accounts = &genesis.document().accounts;
    let mut text = String::from("\naccounts\n");
    for account in accounts.iter().take(ACCOUNTS_SHOWN_MAX) {
        let (name, balance, key) = (account.name, account.balance, account.key);
        text.push_str(&format!("  {name:<24} {balance:>20}  {key}\n"));
    }
    let more = accounts.len().saturating_sub(ACCOUNTS_SHOWN_MAX);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    text
}

/// The parameters as the document has them, without comments.
fn parameters(genesis: &Genesis) -> String {
    toml::to_string(genesis.parameters())
        .unwrap_or_else(|error| format!("cannot be shown: {error}\n"))
        .lines()
        .map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("  {line}\n"),
        })
        .collect()
}
