//! `holdfast genesis new`

use super::summary;
use crate::cli::Context;
use crate::cli::key_text::public_key;
use crate::cli::layout::Sheet;
use crate::cli::units::{now_ms, parse_amount};
use crate::durable_file::{self, Existing};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use holdfast_genesis::templates::COIN;
use holdfast_genesis::{AccountEntry, Genesis, GenesisTime, NewChain, Template, ValidatorEntry};
use holdfast_types::{AccountName, Amount, PublicKey, TimestampMs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Stands for a key that is not known yet: a document writes it as a text that no reader takes for a key.
const PLACEHOLDER: PublicKey = PublicKey::new([0; 32]);
/// Governance keys of a document that names none: as many as the documents of the mechanism say.
const GOVERNANCE_PLACEHOLDERS: usize = 12;
const PLACEHOLDER_BALANCE: Amount = 1_000 * COIN;
const PLACEHOLDER_STAKE: Amount = 100_000 * COIN;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TemplateName {
    /// A few validators on one machine, with short times.
    Devnet,
    /// 21 validators, emergency consensus after an hour without progress.
    Council21,
    /// 128 validators, epochs of three hours, 7 of 12 govern.
    Committee128,
}

impl From<TemplateName> for Template {
    fn from(name: TemplateName) -> Self {
        match name {
            TemplateName::Devnet => Self::Devnet,
            TemplateName::Council21 => Self::Council21,
            TemplateName::Committee128 => Self::Committee128,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "What is not given is left open: the document then has placeholders, and the command says which.\n\
KEY is 64 hexadecimal digits or a key file; AMOUNT is base units (250) or coins (1.5coin).\n\
Example:\n  \
holdfast genesis new --template council21 --chain-name kelp --output genesis.toml \\\n    \
--account name=alice,key=alice.json,balance=500coin \\\n    \
--validator account=alice,key=alice-signing.json,stake=100000coin,url=https://alice.example"
)]
pub(in crate::cli) struct Arguments {
    /// Which parameters to begin with.
    #[arg(long, value_enum)]
    template: TemplateName,
    /// Where to write the document; never overwrites; "-" for standard output.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Name of the chain, for people.
    #[arg(long, value_name = "NAME", default_value = "my-chain")]
    chain_name: String,
    /// Timestamp of block 0, like 2026-11-21T08:00:00Z.
    #[arg(long, value_name = "TIME", default_value = "now")]
    genesis_time: String,
    /// Free text; part of what the chain id is the hash of.
    #[arg(long, value_name = "TEXT", default_value = "")]
    notes: String,
    /// First balance of the treasury.
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = parse_amount)]
    treasury: Amount,
    /// Key that signs emergency blocks.
    #[arg(long, value_name = "KEY")]
    emergency_key: Option<String>,
    /// A key that governs. May be repeated.
    #[arg(long = "governance-key", value_name = "KEY")]
    governance_keys: Vec<String>,
    /// Signatures that a governance message needs [default: the least number above half of the keys].
    #[arg(long, value_name = "N")]
    governance_threshold: Option<u16>,
    /// An account: name=NAME,key=KEY,balance=AMOUNT. May be repeated.
    #[arg(long = "account", value_name = "FIELDS")]
    accounts: Vec<String>,
    /// A validator: account=NAME,stake=AMOUNT[,key=KEY][,url=URL]; disabled without key. May be repeated.
    #[arg(long = "validator", value_name = "FIELDS")]
    validators: Vec<String>,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let chain = new_chain(arguments)?;
    let open = open_fields(&chain);
    let document = Template::from(arguments.template).document(chain);
    let text = document.to_toml().map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            "cannot write this genesis document",
            error,
            "use smaller amounts: TOML writes numbers up to 2^63 - 1",
        )
    })?;
    let path = &arguments.output;
    if open.is_empty() {
        let violations = Genesis::violations(&text);
        if !violations.is_empty() {
            return Err(super::refused(path, &violations));
        }
    }
    if path == Path::new("-") {
        return context.print(&text);
    }
    durable_file::write(path, text.as_bytes(), durable_file::PUBLIC, Existing::Keep)
        .map_err(|error| Failure::disk(format!("cannot write {}", path.display()), &error))?;
    let shown = path.display();
    let report = if open.is_empty() {
        let genesis = Genesis::check(document).map_err(|error| super::refused(path, &[error]))?;
        format!(
            "{}next: give this very file to every node of the chain: holdfast init --genesis {shown}\n",
            summary(&genesis, &format!("wrote {shown}"))
        )
    } else {
        let mut sheet = Sheet::titled(format_args!("wrote {shown}, which is not complete yet"));
        sheet.line("to fill in", open.join("\n"));
        sheet.heading(format_args!(
            "next: fill in the keys, then check: holdfast genesis validate {shown}"
        ));
        sheet.into_text()
    };
    context.print(&report)
}

fn new_chain(arguments: &Arguments) -> Result<NewChain, Failure> {
    let mut accounts = Vec::new();
    for text in &arguments.accounts {
        accounts.push(account(text)?);
    }
    let mut validators = Vec::new();
    for text in &arguments.validators {
        validators.push(validator(text)?);
    }
    if validators.is_empty() {
        let first = accounts.first().map(|account: &AccountEntry| account.name);
        validators.push(ValidatorEntry {
            account: first.unwrap_or_else(|| {
                AccountName::new("validator-1").expect("the name obeys the rule")
            }),
            signing_key: Some(PLACEHOLDER),
            stake: PLACEHOLDER_STAKE,
            url: "https://validator.example".to_owned(),
        });
    }
    for validator in &validators {
        if accounts
            .iter()
            .all(|account| account.name != validator.account)
        {
            accounts.push(AccountEntry {
                name: validator.account,
                key: PLACEHOLDER,
                balance: PLACEHOLDER_BALANCE,
            });
        }
    }
    let mut governance_keys = Vec::new();
    for text in &arguments.governance_keys {
        governance_keys.push(public_key("--governance-key", text)?);
    }
    if governance_keys.is_empty() {
        governance_keys = vec![PLACEHOLDER; GOVERNANCE_PLACEHOLDERS];
    }
    let emergency_key = arguments.emergency_key.as_ref();
    Ok(NewChain {
        chain_name: arguments.chain_name.clone(),
        genesis_time: genesis_time(&arguments.genesis_time)?,
        notes: arguments.notes.clone(),
        emergency_key: emergency_key
            .map_or(Ok(PLACEHOLDER), |text| public_key("--emergency-key", text))?,
        governance_keys,
        governance_threshold: arguments.governance_threshold,
        accounts,
        validators,
        treasury: arguments.treasury,
    })
}

fn genesis_time(text: &str) -> Result<GenesisTime, Failure> {
    if text == "now" {
        return Ok(GenesisTime(TimestampMs(now_ms())));
    }
    let time = toml::value::Datetime::from_str(text)
        .map_err(|error| error.to_string())
        .and_then(|time| {
            toml::Value::Datetime(time)
                .try_into()
                .map_err(|error: toml::de::Error| error.message().to_owned())
        });
    time.map_err(|why| {
        Failure::new(
            ExitCode::Usage,
            format!("cannot use --genesis-time {text}"),
            why,
            "write it like 2026-11-21T08:00:00Z, or now",
        )
    })
}

/// Fields of one `--account` or `--validator`.
struct Fields<'a> {
    flag: &'static str,
    text: &'a str,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Fields<'a> {
    fn parse(flag: &'static str, text: &'a str, known: &[&str]) -> Result<Self, Failure> {
        let mut fields = Self {
            flag,
            text,
            values: BTreeMap::new(),
        };
        let mut rest = Some(text);
        while let Some(left) = rest {
            let (name, value) = left
                .split_once('=')
                .ok_or_else(|| fields.refused(format!("there is no '=' in {left:?}")))?;
            if !known.contains(&name) {
                return Err(fields.refused(format!(
                    "there is no field {name:?}, the fields are {}",
                    known.join(", ")
                )));
            }
            // An address may contain commas: it takes the rest.
            let (value, behind) = match value.split_once(',') {
                Some((value, behind)) if name != "url" => (value, Some(behind)),
                _ => (value, None),
            };
            if fields.values.insert(name, value).is_some() {
                return Err(fields.refused(format!("{name} is given twice")));
            }
            rest = behind;
        }
        Ok(fields)
    }

    fn refused(&self, why: impl std::fmt::Display) -> Failure {
        let example = match self.flag {
            "--account" => "name=alice,key=alice.json,balance=500coin",
            _ => "account=alice,key=alice-signing.json,stake=100000coin,url=https://alice.example",
        };
        Failure::new(
            ExitCode::Usage,
            format!("cannot use {} {}", self.flag, self.text),
            why,
            format!("write it like {} {example}", self.flag),
        )
    }

    fn required(&self, name: &str) -> Result<&'a str, Failure> {
        self.values
            .get(name)
            .copied()
            .ok_or_else(|| self.refused(format!("{name} is missing")))
    }

    fn name(&self, field: &str) -> Result<AccountName, Failure> {
        AccountName::new(self.required(field)?).map_err(|error| self.refused(error))
    }

    fn amount(&self, field: &str) -> Result<Amount, Failure> {
        parse_amount(self.required(field)?).map_err(|rule| self.refused(format!("{field}: {rule}")))
    }

    fn key(&self) -> Result<Option<PublicKey>, Failure> {
        self.values
            .get("key")
            .map(|text| public_key(&format!("{} key", self.flag), text))
            .transpose()
    }
}

fn account(text: &str) -> Result<AccountEntry, Failure> {
    let fields = Fields::parse("--account", text, &["name", "key", "balance"])?;
    Ok(AccountEntry {
        name: fields.name("name")?,
        key: fields.key()?.unwrap_or(PLACEHOLDER),
        balance: fields.amount("balance")?,
    })
}

fn validator(text: &str) -> Result<ValidatorEntry, Failure> {
    let fields = Fields::parse("--validator", text, &["account", "key", "stake", "url"])?;
    Ok(ValidatorEntry {
        account: fields.name("account")?,
        signing_key: fields.key()?,
        stake: fields.amount("stake")?,
        url: fields
            .values
            .get("url")
            .copied()
            .unwrap_or_default()
            .to_owned(),
    })
}

/// Where the document has a placeholder.
fn open_fields(chain: &NewChain) -> Vec<String> {
    let mut open = Vec::new();
    if chain.emergency_key == PLACEHOLDER {
        open.push(
            "parameters.emergency.validator_public_key: the key that signs emergency blocks"
                .to_owned(),
        );
    }
    if chain.governance_keys.contains(&PLACEHOLDER) {
        open.push(format!(
            "parameters.governance.keys: the {} keys that govern, or another number of them",
            chain.governance_keys.len()
        ));
    }
    for account in chain
        .accounts
        .iter()
        .filter(|account| account.key == PLACEHOLDER)
    {
        open.push(format!("accounts: the key of {}", account.name));
    }
    for validator in &chain.validators {
        if validator.signing_key == Some(PLACEHOLDER) {
            open.push(format!(
                "validators: the signing key of {}",
                validator.account
            ));
        }
    }
    open
}
