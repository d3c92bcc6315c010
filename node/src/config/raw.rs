//! The settings as written, before any check. An empty text or a zero means "not set" where the field says so: thus
//! every setting has a default of its own type, and a text from the environment knows what to become.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) node: RawNode,
    pub(super) rpc: RawRpc,
    pub(super) p2p: RawP2p,
    pub(super) validator: RawValidator,
    pub(super) emergency: RawEmergency,
    pub(super) lockdown: RawLockdown,
    pub(super) alerts: RawAlerts,
    pub(super) storage: RawStorage,
    pub(super) mempool: RawMempool,
    pub(super) execution: RawExecution,
    pub(super) log: RawLog,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNode {
    pub(super) moniker: String,
    pub(super) genesis_file: String,
    pub(super) halt_height: u64,
}

impl Default for RawNode {
    fn default() -> Self {
        Self {
            moniker: "holdfast".into(),
            genesis_file: "genesis.toml".into(),
            halt_height: 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRpc {
    pub(super) listen: String,
    pub(super) hosts: Vec<String>,
    pub(super) cors_origins: Vec<String>,
    pub(super) connections_max: u64,
    pub(super) request_kib_max: u64,
    pub(super) response_kib_max: u64,
    pub(super) batch_max: u64,
    pub(super) subscriptions_per_connection_max: u64,
}

impl Default for RawRpc {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8645".into(),
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            connections_max: 512,
            request_kib_max: 2 * 1024,
            response_kib_max: 32 * 1024,
            batch_max: 250,
            subscriptions_per_connection_max: 16,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawP2p {
    pub(super) listen: Vec<String>,
    pub(super) external_addresses: Vec<String>,
    pub(super) peers: Vec<String>,
    pub(super) peers_max: u64,
    pub(super) allow_private_addresses: bool,
    pub(super) key_file: String,
}

impl Default for RawP2p {
    fn default() -> Self {
        Self {
            listen: vec![
                "/ip4/0.0.0.0/tcp/8646".into(),
                "/ip4/0.0.0.0/udp/8646/quic-v1".into(),
            ],
            external_addresses: Vec::new(),
            peers: Vec::new(),
            peers_max: 192,
            allow_private_addresses: false,
            key_file: "keys/network.json".into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawValidator {
    pub(super) account: String,
    pub(super) key_file: String,
    pub(super) sign_guard_file: String,
    pub(super) owner_key_file: String,
    pub(super) disable_key_on_shutdown: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEmergency {
    pub(super) key_file: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLockdown {
    pub(super) secret_file: String,
    pub(super) vote_at_risk: String,
}

impl Default for RawLockdown {
    fn default() -> Self {
        Self {
            secret_file: String::new(),
            vote_at_risk: "never".into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlerts {
    pub(super) webhook: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStorage {
    pub(super) data_dir: String,
    pub(super) cache_mib: u64,
    pub(super) prune_blocks: u64,
}

impl Default for RawStorage {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            cache_mib: 96,
            prune_blocks: 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMempool {
    pub(super) transactions_max: u64,
    pub(super) size_mib_max: u64,
    pub(super) per_account_max: u64,
}

impl Default for RawMempool {
    fn default() -> Self {
        Self {
            transactions_max: 100_000,
            size_mib_max: 64,
            per_account_max: 256,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExecution {
    pub(super) verify_threads: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: String,
    pub(super) filter: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self {
            format: "text".into(),
            filter: "info".into(),
        }
    }
}
