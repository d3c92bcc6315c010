//! `holdfast account show`

use super::layout::Sheet;
use super::node_client::{NodeClient, RpcArguments};
use super::units::{show_amount, show_time};
use super::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use holdfast_ledger::keys::{AccountKey, StateKey as _};
use holdfast_ledger::objects::StateObject as _;
use holdfast_rpc::dto::{Account, AccountOptions, Validator};
use holdfast_rpc::methods::{
    AccountParams, GetAccount, GetCertificate, GetValidators, HeightParams, NoParams,
};
use holdfast_types::{AccountName, StateRoot};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show an account: key, balance, nonce, and its validator if it has one.
    ///
    /// A new account is made by one that exists: holdfast keys new account, then holdfast tx create-account.
    Show(ShowArguments),
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Name of the account.
    name: AccountName,
    /// Also fetch the Merkle proof, and check that it leads from this account to a state root.
    #[arg(long)]
    proof: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

pub(super) fn run(
    command: Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let Command::Show(arguments) = command;
    let node = arguments.rpc.connect(global, context)?;
    let account = fetch(&node, &arguments.name, arguments.proof)?;
    let validators = node.call::<GetValidators>(NoParams {})?;
    let validator = validators
        .into_iter()
        .find(|validator| validator.account == account.name);
    if arguments.json {
        if arguments.proof {
            check_proof(&account)?;
        }
        let value = json!({ "account": account, "validator": validator });
        return context.print(&format!("{value:#}\n"));
    }
    let mut sheet = sheet_of(&account);
    if let Some(validator) = &validator {
        add_validator(&mut sheet, validator);
    }
    if arguments.proof {
        let root = check_proof(&account)?;
        let height = account.as_of_height;
        sheet.line(
            "proof",
            format_args!("checked: it leads to state root {root} of block {height}"),
        );
        let certificate = node.call::<GetCertificate>(HeightParams { height })?;
        let vouched = match certificate {
            Some(certificate) if certificate.state_root.as_bytes() == root.as_bytes() => format!(
                "names this state root, with {} signatures (not checked here)",
                certificate.signatures.len()
            ),
            Some(_) => {
                return Err(unproven(
                    &account.name,
                    "the certificate of the block names another state root",
                ));
            }
            None => format!("none for block {height} itself yet: a later block's vouches for it"),
        };
        sheet.line("certificate", vouched);
    }
    context.print(&sheet.into_text())
}

/// An account that exists.
pub(super) fn fetch(
    node: &NodeClient,
    name: &AccountName,
    proof: bool,
) -> Result<Account, Failure> {
    let params = AccountParams {
        name: rpc_name(name),
        options: Some(AccountOptions { proof }),
    };
    node.call::<GetAccount>(params)?.ok_or_else(|| {
        Failure::new(
            ExitCode::Refused,
            format!("there is no account {name}"),
            format!(
                "the chain that the node at {} follows has none of this name",
                node.url()
            ),
            "check the name; an existing account makes a new one: holdfast tx create-account",
        )
    })
}

/// The name as RPC has it: its rule is the wider one.
pub(super) fn rpc_name(name: &AccountName) -> holdfast_rpc::dto::AccountName {
    name.as_str()
        .parse()
        .expect("a name of the chain is a name for RPC")
}

fn sheet_of(account: &Account) -> Sheet {
    let mut sheet = Sheet::titled(&account.name);
    sheet.line("public key", account.public_key);
    sheet.line("balance", show_amount(account.balance.0));
    sheet.line("nonce", account.nonce);
    sheet.line("as of block", account.as_of_height);
    sheet
}

fn add_validator(sheet: &mut Sheet, validator: &Validator) {
    let place = match validator.authority {
        Some(authority) => format!("yes, number {authority} of the running committee"),
        None => "yes, not in the running committee".to_owned(),
    };
    sheet.line("validator", place);
    sheet.line("stake", show_amount(validator.stake.0));
    let key = validator
        .signing_key
        .map_or_else(|| "none: disabled".to_owned(), |key| key.to_string());
    sheet.line("signing key", key);
    if !validator.url.is_empty() {
        sheet.line("url", &validator.url);
    }
    sheet.line("registered", show_time(validator.registered_at_ms.get()));
    sheet.line(
        "attested",
        format_args!("block {}", validator.last_supported_block),
    );
    if let Some(until) = validator.jailed_until_ms {
        sheet.line("JAILED", format_args!("until live time {} ms", until.get()));
    }
}

/// Checks that the proof is one of this account with these figures: the state root that it leads to.
fn check_proof(account: &Account) -> Result<StateRoot, Failure> {
    let refuse = |why: String| unproven(&account.name, &why);
    let proof = account
        .proof
        .as_ref()
        .ok_or_else(|| refuse("the node gave no proof".to_owned()))?;
    let name =
        AccountName::new(account.name.as_str()).map_err(|error| refuse(error.to_string()))?;
    if proof.height != account.as_of_height {
        return Err(refuse("the proof is of another block".to_owned()));
    }
    let value = &proof.value_hex.0;
    let proven =
        holdfast_ledger::Account::decode(value).map_err(|error| refuse(error.to_string()))?;
    let shown = (
        *account.public_key.as_bytes(),
        account.balance.0,
        account.nonce.get(),
    );
    if shown != (*proven.public_key.as_bytes(), proven.balance, proven.nonce) {
        return Err(refuse(
            "the proof is of other figures than those shown".to_owned(),
        ));
    }
    let root = StateRoot::new(*proof.state_root.as_bytes());
    let key = AccountKey(name).bytes();
    holdfast_ledger::verify_proof(&root, &key, Some(value), &proof.proof_hex.0)
        .map_err(|error| refuse(error.to_string()))?;
    Ok(root)
}

fn unproven(name: &impl std::fmt::Display, why: &str) -> Failure {
    Failure::new(
        ExitCode::Refused,
        format!("what the node says of {name} is not proven"),
        why,
        "ask another node (--rpc URL), and do not trust this one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_genesis::{
        AccountEntry, Genesis, GenesisTime, NewChain, Template, ValidatorEntry,
    };
    use holdfast_ledger::{StateChanges, StateError, StateStore};
    use holdfast_rpc::dto::{AccountProof, Hash, Number, PublicKey};
    use holdfast_types::{Height, TimestampMs};

    /// The state of block 0.
    struct State(StateChanges);

    impl StateStore for State {
        fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
            let mut values = self.0.values.iter();
            Ok(values
                .find(|(found, _)| found == key)
                .and_then(|(_, value)| value.clone()))
        }

        fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
            let mut nodes = self.0.tree_nodes.iter();
            Ok(nodes
                .find(|(found, _)| found == key)
                .and_then(|(_, node)| node.clone()))
        }
    }

    fn alice() -> AccountName {
        AccountName::new("alice").unwrap()
    }

    /// Alice of a chain of her own, as an honest node shows her.
    fn proven() -> Account {
        let key = holdfast_types::PublicKey::new([7; 32]);
        let document = Template::Devnet.document(NewChain {
            chain_name: "kelp".to_owned(),
            genesis_time: GenesisTime(TimestampMs(1_795_219_200_000)),
            notes: String::new(),
            emergency_key: holdfast_types::PublicKey::new([8; 32]),
            governance_keys: vec![key],
            governance_threshold: None,
            accounts: vec![AccountEntry {
                name: alice(),
                key,
                balance: 500,
            }],
            validators: vec![ValidatorEntry {
                account: alice(),
                signing_key: Some(key),
                stake: 100_000_000_000,
                url: String::new(),
            }],
            treasury: 0,
        });
        let genesis = Genesis::check(document).unwrap();
        let outcome = holdfast_ledger::genesis(genesis.state()).unwrap();
        let state = State(outcome.changes);
        let (value, proof) =
            holdfast_ledger::prove_account(&state, &alice(), Height::ZERO).unwrap();
        Account {
            name: rpc_name(&alice()),
            public_key: PublicKey::new([7; 32]),
            balance: 500.into(),
            nonce: Number(0),
            as_of_height: Number(0),
            proof: Some(AccountProof {
                state_root: Hash::new(*outcome.state_root.as_bytes()),
                height: Number(0),
                key_hex: AccountKey(alice()).bytes().into(),
                value_hex: value.unwrap().into(),
                proof_hex: proof.into(),
            }),
        }
    }

    #[test]
    fn the_proof_of_an_honest_node_is_accepted() {
        let account = proven();
        let root = check_proof(&account).unwrap();
        let proof = account.proof.unwrap();
        assert_eq!(root.as_bytes(), proof.state_root.as_bytes());
    }

    #[test]
    fn whatever_is_not_proven_is_refused() {
        type Lie = fn(&mut Account);
        let lies: [(Lie, &str); 6] = [
            (|account| account.balance = 501.into(), "other figures"),
            (|account| account.nonce = Number(1), "other figures"),
            (|account| account.name = "bob".parse().unwrap(), "proof"),
            (|account| account.as_of_height = Number(1), "another block"),
            (|account| account.proof = None, "no proof"),
            (
                |account| {
                    let proof = account.proof.as_mut().unwrap();
                    proof.state_root = Hash::new([1; 32]);
                },
                "proof",
            ),
        ];
        for (lie, why) in lies {
            let mut account = proven();
            lie(&mut account);
            let failure = check_proof(&account).unwrap_err();
            assert_eq!(failure.code, ExitCode::Refused);
            assert!(failure.why.contains(why), "{failure}");
        }
    }

    #[test]
    fn an_account_is_shown_with_its_validator() {
        let mut sheet = sheet_of(&proven());
        add_validator(
            &mut sheet,
            &Validator {
                account: rpc_name(&alice()),
                signing_key: None,
                owner_key: PublicKey::new([7; 32]),
                stake: 100_000_000_000.into(),
                url: "https://alice.example".to_owned(),
                registered_at_ms: Number(1_795_219_200_000),
                jailed_until_ms: None,
                last_supported_block: Number(12),
                in_committee: false,
                authority: None,
            },
        );
        let key = "07".repeat(32);
        assert_eq!(
            sheet.into_text(),
            format!(
                "alice\n\
                 \x20 public key    {key}\n\
                 \x20 balance       500 (0.0005 coin)\n\
                 \x20 nonce         0\n\
                 \x20 as of block   0\n\
                 \x20 validator     yes, not in the running committee\n\
                 \x20 stake         100000000000 (100000 coin)\n\
                 \x20 signing key   none: disabled\n\
                 \x20 url           https://alice.example\n\
                 \x20 registered    2026-11-21T00:00:00Z\n\
                 \x20 attested      block 12\n"
            )
        );
    }
}
