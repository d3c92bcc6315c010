//! The flags of each action, and the action that they make.

use crate::cli::key_text::public_key;
use crate::cli::node_client::NodeClient;
use crate::cli::units::parse_amount;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::Args;
use holdfast_rpc::methods::{GetValidators, NoParams};
use holdfast_types::{AccountName, Action, Amount, ChainProperties, PublicKey};

/// Flags that make an action of the account `from`. Without a node nothing can be asked of the chain.
pub(in crate::cli) trait MakeAction {
    fn action(&self, from: &AccountName, node: Option<&NodeClient>) -> Result<Action, Failure>;
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Transfer {
    /// Account that receives.
    #[arg(long, value_name = "ACCOUNT")]
    to: AccountName,
    /// How much: base units (250) or coins (1.5coin).
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    amount: Amount,
    /// A note for the recipient, visible to everybody; at most 256 bytes.
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "memo_hex",
        default_value = ""
    )]
    memo: String,
    /// The same for bytes that are no text, as hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    memo_hex: Option<String>,
}

impl MakeAction for Transfer {
    fn action(&self, _: &AccountName, _: Option<&NodeClient>) -> Result<Action, Failure> {
        let memo = match &self.memo_hex {
            None => self.memo.clone().into_bytes(),
            Some(digits) => hex::decode(digits).map_err(|error| {
                Failure::new(
                    ExitCode::Usage,
                    "cannot use --memo-hex",
                    error,
                    "give hexadecimal digits, two for each byte",
                )
            })?,
        };
        Ok(Action::Transfer {
            to: self.to,
            amount: self.amount,
            memo,
        })
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateAccount {
    /// Name of the new account.
    #[arg(long, value_name = "ACCOUNT")]
    name: AccountName,
    /// Its key: 64 hexadecimal digits, or a key file.
    #[arg(long, value_name = "KEY")]
    public_key: String,
    /// Its first balance, paid by --from: base units (250) or coins (1.5coin).
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = parse_amount)]
    balance: Amount,
}

impl MakeAction for CreateAccount {
    fn action(&self, _: &AccountName, _: Option<&NodeClient>) -> Result<Action, Failure> {
        Ok(Action::CreateAccount {
            name: self.name,
            key: public_key("--public-key", &self.public_key)?,
            balance: self.balance,
        })
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UpdateKey {
    /// The new key: 64 hexadecimal digits, or a key file.
    #[arg(long, value_name = "KEY")]
    public_key: String,
}

impl MakeAction for UpdateKey {
    fn action(&self, _: &AccountName, _: Option<&NodeClient>) -> Result<Action, Failure> {
        Ok(Action::UpdateKey {
            key: public_key("--public-key", &self.public_key)?,
        })
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RegisterValidator {
    /// Key that signs vertices and attestations: 64 hexadecimal digits, or a key file.
    #[arg(long, value_name = "KEY", required_unless_present = "disabled")]
    signing_key: Option<String>,
    /// Register without a signing key: the validator is in no committee until it gets one.
    #[arg(long, conflicts_with = "signing_key")]
    disabled: bool,
    /// Where the operator says who they are.
    #[arg(long, value_name = "URL", default_value = "")]
    url: String,
}

impl MakeAction for RegisterValidator {
    fn action(&self, _: &AccountName, _: Option<&NodeClient>) -> Result<Action, Failure> {
        Ok(Action::RegisterValidator {
            signing_key: signing_key(self.signing_key.as_deref())?,
            url: self.url.clone().into_bytes(),
        })
    }
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(in crate::cli) struct UpdateValidator {
    /// The new signing key: 64 hexadecimal digits, or a key file [default: the one it has].
    #[arg(long, value_name = "KEY")]
    signing_key: Option<String>,
    /// Take the signing key away: the validator leaves the committee when the era ends.
    #[arg(long, conflicts_with = "signing_key")]
    disable: bool,
    /// Where the operator says who they are [default: the one it has].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl MakeAction for UpdateValidator {
    fn action(&self, from: &AccountName, node: Option<&NodeClient>) -> Result<Action, Failure> {
        let complete = (self.signing_key.is_some() || self.disable) && self.url.is_some();
        // The transaction replaces both, so what is to stay has to be known.
        let present = if complete {
            None
        } else {
            Some(present_validator(from, node)?)
        };
        let signing_key = match (&self.signing_key, self.disable, &present) {
            (None, false, Some(present)) => present.0,
            (text, ..) => signing_key(text.as_deref())?,
        };
        let url = match (&self.url, present) {
            (Some(url), _) => url.clone(),
            (None, Some(present)) => present.1,
            (None, None) => String::new(),
        };
        Ok(Action::UpdateValidator {
            signing_key,
            url: url.into_bytes(),
        })
    }
}

fn signing_key(text: Option<&str>) -> Result<Option<PublicKey>, Failure> {
    text.map(|text| public_key("--signing-key", text))
        .transpose()
}

/// Signing key and URL that the chain knows of the validator `from`.
fn present_validator(
    from: &AccountName,
    node: Option<&NodeClient>,
) -> Result<(Option<PublicKey>, String), Failure> {
    let Some(node) = node else {
        return Err(Failure::new(
            ExitCode::Usage,
            "cannot tell what the validator keeps",
            "the transaction replaces signing key and URL together, and --offline asks nobody for the present ones",
            "give --url, and --signing-key or --disable",
        ));
    };
    let validators = node.call::<GetValidators>(NoParams {})?;
    let present = validators
        .into_iter()
        .find(|validator| validator.account.as_str() == from.as_str());
    match present {
        Some(validator) => {
            let key = validator
                .signing_key
                .map(|key| PublicKey::new(*key.as_bytes()));
            Ok((key, validator.url))
        }
        None => Err(Failure::new(
            ExitCode::Refused,
            format!("{from} is no validator"),
            "the chain has none of this name",
            "register it first: holdfast tx register-validator",
        )),
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Stake {
    /// The validator, by its account.
    #[arg(long, value_name = "ACCOUNT")]
    validator: AccountName,
    /// How much: base units (250) or coins (1.5coin).
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    amount: Amount,
}

impl MakeAction for Stake {
    fn action(&self, _: &AccountName, _: Option<&NodeClient>) -> Result<Action, Failure> {
        Ok(Action::Stake {
            validator: self.validator,
            amount: self.amount,
        })
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Unstake {
    /// The validator, by its account.
    #[arg(long, value_name = "ACCOUNT")]
    validator: AccountName,
    /// How much: base units (250) or coins (1.5coin).
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    amount: Amount,
}

impl MakeAction for Unstake {
    fn action(&self, _: &AccountName, _: Option<&NodeClient>) -> Result<Action, Failure> {
        Ok(Action::Unstake {
            validator: self.validator,
            amount: self.amount,
        })
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VoteProperties {
    /// Fee of any transaction.
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    transaction_fee: Amount,
    /// Fee for each byte of a transaction.
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    byte_fee: Amount,
    /// Fee on top for creating an account.
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    account_creation_fee: Amount,
}

impl MakeAction for VoteProperties {
    fn action(&self, _: &AccountName, _: Option<&NodeClient>) -> Result<Action, Failure> {
        Ok(Action::VoteProperties {
            properties: ChainProperties {
                transaction_fee: self.transaction_fee,
                byte_fee: self.byte_fee,
                account_creation_fee: self.account_creation_fee,
            },
        })
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VoteHardfork {
    /// The version to vote for.
    #[arg(long, value_name = "N")]
    hardfork_version: u32,
}

impl MakeAction for VoteHardfork {
    fn action(&self, _: &AccountName, _: Option<&NodeClient>) -> Result<Action, Failure> {
        Ok(Action::VoteHardfork {
            version: self.hardfork_version,
        })
    }
}
