//! From an action to a signed transaction.

use crate::cli::account;
use crate::cli::genesis::read_valid;
use crate::cli::global::MissingFile;
use crate::cli::node_client::NodeClient;
use crate::cli::password::PasswordArguments;
use crate::cli::units::{now_ms, parse_amount, parse_duration};
use crate::cli::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::keystore::{self, KeyKind, Purpose};
use clap::Args;
use holdfast_ledger::transaction::fee;
use holdfast_rpc::methods::{GetInfo, GetParameters, NoParams};
use holdfast_types::{
    AccountName, Action, Amount, ChainId, ChainProperties, KeyPair, Parameters, PublicKey,
    Signature, SignedTransaction, TimestampMs, TransactionBody, VerifiedTransaction,
};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How long a transaction that is sent at once stays valid.
const EXPIRY_ONLINE: Duration = Duration::from_secs(10 * 60);
/// How long one that is carried to another machine does.
const EXPIRY_OFFLINE: Duration = Duration::from_secs(24 * 60 * 60);
/// The fee may have risen by a vote since genesis, and rise until the transaction is executed.
const FEE_MARGIN: u64 = 2;

#[derive(Debug, Args)]
#[command(next_help_heading = "Transaction")]
pub(super) struct SigningArguments {
    /// Account that signs and pays.
    #[arg(long, value_name = "ACCOUNT")]
    pub(super) from: AccountName,
    /// Encrypted key file of the account [default: keys/account.json in the home folder].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Nonce of the transaction [default: the account's next, asked of the node].
    #[arg(long, value_name = "N")]
    nonce: Option<u64>,
    /// The most to pay as fee; what is paid is the fee in force [default: twice the fee of the genesis parameters].
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    fee_max: Option<Amount>,
    /// How long the transaction may be executed: 30s, 10m, 2h, 1d or never [default: 10m; 1d with --offline].
    #[arg(long, value_name = "DURATION", value_parser = parse_expiry)]
    expires_in: Option<Expiry>,
    /// The same as a block time, in milliseconds since 1970.
    #[arg(long, value_name = "MS", conflicts_with = "expires_in")]
    expires_at: Option<u64>,
    /// Id of the chain to sign for [default: that of the genesis document, else what the node says].
    #[arg(long, value_name = "HEX", conflicts_with = "genesis")]
    chain_id: Option<ChainId>,
    /// Genesis document of the chain to sign for [default: that of the home folder].
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Ask nobody, send nothing: print the signed transaction as hexadecimal digits, for holdfast tx send.
    #[arg(long, requires = "nonce")]
    offline: bool,
    #[command(flatten)]
    password: PasswordArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    Never,
    In(Duration),
}

fn parse_expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry::Never);
    }
    parse_duration(text)
        .map(Expiry::In)
        .map_err(|rule| format!("{rule}; or never"))
}

/// The chain to sign for.
struct Chain {
    id: ChainId,
    /// Nothing where there is neither genesis document nor node.
    properties: Option<ChainProperties>,
}

impl SigningArguments {
    pub(super) const fn is_offline(&self) -> bool {
        self.offline
    }

    /// Signs `action`. Everything that can be wrong is looked at before the password is asked for.
    pub(super) fn sign(
        &self,
        action: Action,
        node: Option<&NodeClient>,
        global: &GlobalArguments,
        context: &mut Context<'_>,
    ) -> Result<SignedTransaction, Failure> {
        let chain = self.chain(node, global, context)?;
        let path = match &self.key {
            Some(path) => path.clone(),
            None => global.home(context)?.key_file(KeyKind::Account),
        };
        let key_file = keystore::load_of(&path, KeyKind::Account)?;
        let public_key = PublicKey::new(*key_file.public_key());
        let nonce = self.next_nonce(public_key, node)?;
        let mut body = TransactionBody {
            sender: self.from,
            public_key,
            nonce,
            fee_max: self.fee_max.unwrap_or(0),
            expires_at: self.expiry(),
            action,
        };
        within_limits(&body)?;
        if self.fee_max.is_none() {
            body.fee_max = default_fee_max(&chain, &body)?;
        }
        let label = path.display().to_string();
        let password = self.password.read(context, &label, Purpose::Open)?;
        let secret = keystore::unlock(&path, KeyKind::Account, &password)?.secret();
        Ok(body.sign(&chain.id, &KeyPair::from_secret(&secret)))
    }

    fn expiry(&self) -> Option<TimestampMs> {
        if let Some(at) = self.expires_at {
            return Some(TimestampMs(at));
        }
        let default = if self.offline {
            EXPIRY_OFFLINE
        } else {
            EXPIRY_ONLINE
        };
        match self.expires_in.unwrap_or(Expiry::In(default)) {
            Expiry::Never => None,
            Expiry::In(duration) => {
                let ahead = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                Some(TimestampMs(now_ms().saturating_add(ahead)))
            }
        }
    }

    /// The nonce that was given, else that of the account; with a node to ask, the key is compared on the way.
    fn next_nonce(&self, public_key: PublicKey, node: Option<&NodeClient>) -> Result<u64, Failure> {
        if let Some(nonce) = self.nonce {
            return Ok(nonce);
        }
        let node = node.expect("clap lets --offline pass with --nonce only");
        let account = account::fetch(node, &self.from, false)?;
        if account.public_key.as_bytes() != public_key.as_bytes() {
            return Err(Failure::new(
                ExitCode::Keystore,
                format!("this is not the key of {}", self.from),
                format!(
                    "the account has {}, the key file {public_key}",
                    account.public_key
                ),
                "name the key file of the account: --key FILE",
            ));
        }
        Ok(account.nonce.get())
    }

    fn chain(
        &self,
        node: Option<&NodeClient>,
        global: &GlobalArguments,
        context: &Context<'_>,
    ) -> Result<Chain, Failure> {
        let known = self.known_chain(global, context)?;
        let Some(node) = node else {
            return known.ok_or_else(|| {
                Failure::new(
                    ExitCode::Usage,
                    "cannot sign without knowing the chain",
                    "there is no genesis document in the home, and --offline asks no node",
                    "give --genesis FILE or --chain-id HEX",
                )
            });
        };
        let told = ChainId::new(*node.call::<GetInfo>(NoParams {})?.chain_id.as_bytes());
        if let Some(known) = &known
            && known.id != told
        {
            return Err(Failure::new(
                ExitCode::GenesisDiffers,
                "the node follows another chain",
                format!("ours is {}, that of {} is {told}", known.id, node.url()),
                "name a node of the chain (--rpc URL), or the chain (--genesis FILE or --chain-id HEX)",
            ));
        }
        match known {
            Some(chain) if chain.properties.is_some() => Ok(chain),
            _ => Ok(Chain {
                id: told,
                properties: Some(parameters_of(node)?.properties),
            }),
        }
    }

    /// The chain that arguments or home name.
    fn known_chain(
        &self,
        global: &GlobalArguments,
        context: &Context<'_>,
    ) -> Result<Option<Chain>, Failure> {
        known_chain(self.chain_id, self.genesis.clone(), global, context).map(|known| {
            known.map(|(id, parameters)| Chain {
                id,
                properties: parameters.map(|parameters| parameters.properties),
            })
        })
    }
}

/// The chain that arguments or home name, and its parameters if there is a document.
pub(in crate::cli) fn known_chain(
    chain_id: Option<ChainId>,
    genesis: Option<PathBuf>,
    global: &GlobalArguments,
    context: &Context<'_>,
) -> Result<Option<(ChainId, Option<Parameters>)>, Failure> {
    if let Some(id) = chain_id {
        return Ok(Some((id, None)));
    }
    let path = match genesis {
        Some(path) => path,
        None => {
            let loaded = global.load_config(context, MissingFile::UseDefaults)?;
            let path = loaded.config.node().genesis_file.clone();
            if !path.exists() {
                return Ok(None);
            }
            path
        }
    };
    let (genesis, _) = read_valid(&path)?;
    Ok(Some((
        genesis.chain_id(),
        Some(genesis.parameters().clone()),
    )))
}

fn parameters_of(node: &NodeClient) -> Result<Parameters, Failure> {
    let parameters = node.call::<GetParameters>(NoParams {})?;
    serde_json::from_value(Value::Object(parameters)).map_err(|error| {
        Failure::new(
            ExitCode::Unreachable,
            format!(
                "the parameters that {} gives are not understood",
                node.url()
            ),
            error,
            "give --fee-max, or ask a node of this version",
        )
    })
}

/// A transaction of the same length, which is all that matters for fee and limits.
fn unsigned(body: &TransactionBody) -> SignedTransaction {
    SignedTransaction {
        body: body.clone(),
        signature: Signature::new([0; 64]),
    }
}

fn within_limits(body: &TransactionBody) -> Result<(), Failure> {
    unsigned(body).check_limits().map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            "the transaction breaks a limit",
            error,
            "make it shorter",
        )
    })
}

fn default_fee_max(chain: &Chain, body: &TransactionBody) -> Result<Amount, Failure> {
    let refused = |why: &str| {
        Failure::new(
            ExitCode::Usage,
            "cannot tell the fee",
            why,
            "say the most that you want to pay: --fee-max AMOUNT",
        )
    };
    let properties = chain
        .properties
        .ok_or_else(|| refused("--offline asks no node, and --chain-id says nothing about fees"))?;
    let transaction = VerifiedTransaction::trust(body.id(&chain.id), unsigned(body));
    fee(&properties, &transaction)
        .and_then(|fee| fee.checked_mul(FEE_MARGIN))
        .ok_or_else(|| refused("by the chain's parameters it is beyond every amount"))
}
