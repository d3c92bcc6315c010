//! The typed settings. A [`Config`] is made by `checks` alone and handed out by shared reference, so every value in it
//! keeps every rule, alone and together with the others.

use super::webhook::WebhookUrl;
use holdfast_halt::risk::RiskLevel;
use multiaddr::Multiaddr;
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

/// A valid configuration; all paths are absolute or relative to the working directory, never to the home folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) home: PathBuf,
    pub(super) node: NodeSettings,
    pub(super) rpc: RpcSettings,
    pub(super) p2p: P2pSettings,
    pub(super) validator: Option<ValidatorSettings>,
    pub(super) emergency_key_file: Option<PathBuf>,
    pub(super) lockdown: LockdownSettings,
    pub(super) alerts_webhook: Option<WebhookUrl>,
    pub(super) storage: StorageSettings,
    pub(super) mempool: MempoolSettings,
    pub(super) execution: ExecutionSettings,
    pub(super) log: LogSettings,
}

impl Config {
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    #[must_use]
    pub const fn node(&self) -> &NodeSettings {
        &self.node
    }

    #[must_use]
    pub const fn rpc(&self) -> &RpcSettings {
        &self.rpc
    }

    #[must_use]
    pub const fn p2p(&self) -> &P2pSettings {
        &self.p2p
    }

    /// `None` for a node that follows the chain and signs nothing.
    #[must_use]
    pub const fn validator(&self) -> Option<&ValidatorSettings> {
        self.validator.as_ref()
    }

    /// The emergency key, on a master.
    #[must_use]
    pub fn emergency_key_file(&self) -> Option<&Path> {
        self.emergency_key_file.as_deref()
    }

    #[must_use]
    pub const fn lockdown(&self) -> &LockdownSettings {
        &self.lockdown
    }

    /// Who is told of alerts, besides the log and the metrics.
    #[must_use]
    pub const fn alerts_webhook(&self) -> Option<&WebhookUrl> {
        self.alerts_webhook.as_ref()
    }

    #[must_use]
    pub const fn storage(&self) -> &StorageSettings {
        &self.storage
    }

    #[must_use]
    pub const fn mempool(&self) -> &MempoolSettings {
        &self.mempool
    }

    #[must_use]
    pub const fn execution(&self) -> &ExecutionSettings {
        &self.execution
    }

    #[must_use]
    pub const fn log(&self) -> &LogSettings {
        &self.log
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// 1 to 64 printable characters.
    pub moniker: String,
    pub genesis_file: PathBuf,
    /// Stop, with exit code 10, once the block of this height is applied.
    pub halt_height: Option<NonZeroU64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcSettings {
    pub listen: SocketAddr,
    /// Host names by which clients may address the node, besides `localhost` and IP addresses; `rpc.hosts`.
    pub allowed_hosts: Vec<String>,
    /// Web origins that may call the node from a browser.
    pub cors_origins: Vec<String>,
    pub connections_max: u32,
    pub request_bytes_max: u32,
    pub response_bytes_max: u32,
    pub batch_max: u32,
    pub subscriptions_per_connection_max: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct P2pSettings {
    /// Each is `/ip4|ip6/<address>/tcp/<port>` or `/ip4|ip6/<address>/udp/<port>/quic-v1`.
    pub listen: Vec<Multiaddr>,
    /// What peers are told instead of the listen addresses.
    pub external_addresses: Vec<Multiaddr>,
    /// Dialled and kept; each ends with `/p2p/<peer id>`.
    pub peers: Vec<Multiaddr>,
    pub peers_max: u32,
    pub allow_private_addresses: bool,
    pub key_file: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSettings {
    pub account: String,
    pub key_file: PathBuf,
    /// Outside the data folder: it outlives every reset of the chain data.
    pub sign_guard_file: PathBuf,
    /// The key of the account, if the node is to give a lost signing key back by itself.
    pub owner_key_file: Option<PathBuf>,
    /// Take the signing key off the chain before the node stops.
    pub disable_key_on_shutdown: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockdownSettings {
    /// The cluster secret, on a node that takes part in lockdowns.
    pub secret_file: Option<PathBuf>,
    /// From which level of risk on the validator votes by itself; none: never.
    pub vote_at_risk: Option<RiskLevel>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageSettings {
    pub data_dir: PathBuf,
    pub cache_bytes: usize,
    /// Keep this many blocks below the last irreversible one; `None` keeps all.
    pub prune_blocks: Option<NonZeroU64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MempoolSettings {
    pub transactions_max: usize,
    pub bytes_max: usize,
    pub per_account_max: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionSettings {
    /// Threads that check signatures.
    pub verify_threads: NonZeroUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A filter that `tracing_subscriber::EnvFilter` accepts, such as `info,holdfast=debug`.
    pub filter: String,
}
