//! What each setting means. The template and the order of `config show` come from this table.

use super::raw::RawConfig;
use figment::value::{Dict, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) struct Field {
    /// `section.key`.
    pub(super) key: &'static str,
    pub(super) help: &'static str,
}

pub(super) const SECTIONS: [(&str, &str); 11] = [
    ("node", "The node as a whole."),
    (
        "rpc",
        "JSON-RPC over HTTP and WebSocket, /metrics, /livez and /readyz: one listener.",
    ),
    ("p2p", "Peers."),
    (
        "validator",
        "Set account and key_file to take part in consensus; leave both empty to follow only.",
    ),
    (
        "emergency",
        "Only on a master: a node that makes blocks when the quorum is gone.",
    ),
    (
        "lockdown",
        "Validators that share a secret can freeze the chain by vote.",
    ),
    (
        "alerts",
        "Whom to tell that something is wrong, besides the log and the metrics.",
    ),
    ("storage", "The database."),
    (
        "mempool",
        "Transactions that wait. The oldest limit reached refuses new ones with MEMPOOL_FULL.",
    ),
    ("execution", "Threads."),
    ("log", "Logs go to standard error."),
];

macro_rules! fields {
    ($($key:literal => $help:literal),* $(,)?) => {
        &[$(Field { key: $key, help: $help }),*]
    };
}

pub(super) const FIELDS: &[Field] = fields! {
    "node.moniker" => "Name shown to peers and in metrics: 1 to 64 printable characters.",
    "node.genesis_file" => "The genesis document of the chain.",
    "node.halt_height" => "Stop with exit code 10 once the block of this height is applied. 0: never.",
    "rpc.listen" => "Address and port. Whoever can connect may use it: beyond loopback, put a firewall or proxy before it.",
    "rpc.hosts" => "Host names by which clients may address this node, besides localhost and IP addresses.",
    "rpc.cors_origins" => "Web origins whose pages may call this node from a browser: https://wallet.example.",
    "rpc.connections_max" => "Most connections at once, 64 to 100000.",
    "rpc.request_kib_max" => "Largest request in KiB, 64 to 65536.",
    "rpc.response_kib_max" => "Largest response in KiB, 64 to 131072.",
    "rpc.batch_max" => "Most calls in one batch, 1 to 10000.",
    "rpc.subscriptions_per_connection_max" => "Most subscriptions on one WebSocket connection, 1 to 10000.",
    "p2p.listen" => "Where to listen: /ip4/<address>/tcp/<port> or /ip4/<address>/udp/<port>/quic-v1.",
    "p2p.external_addresses" => "Addresses to tell peers instead, when this machine is behind NAT.",
    "p2p.peers" => "Peers to stay connected with: /ip4/<address>/tcp/<port>/p2p/<peer id>.",
    "p2p.peers_max" => "Most peers at once, 1 to 4096.",
    "p2p.allow_private_addresses" => "Dial private addresses (10/8, 192.168/16, loopback, ...). Only for private networks:\nhosting companies cut off machines that scan private ranges.",
    "p2p.key_file" => "The network key.",
    "validator.account" => "Account under which the validator is registered.",
    "validator.key_file" => "The validator signing key. Never run two nodes with the same key.",
    "validator.sign_guard_file" => "Record of what was signed; keep it with the key, never restore an old copy.\nEmpty: beside the key file, with the extension .guard.",
    "validator.owner_key_file" => "The key of the account. With it the node gives the signing key back by itself when an emergency has\ntaken it. Empty: the operator does it.",
    "validator.disable_key_on_shutdown" => "On SIGTERM take the signing key off the chain before stopping, so that nobody waits for this validator\nwhile it is away; the next start gives it back. Takes up to 10 s. Needs validator.owner_key_file.",
    "emergency.key_file" => "The emergency key of the chain. Empty: this node is no master.",
    "lockdown.secret_file" => "The cluster secret, the same on every validator. Empty: this node neither votes to freeze the chain nor\nhears such votes; it stops with the others when they show that they have.",
    "lockdown.vote_at_risk" => "never or critical: at this level of node_getRisk the validator votes by itself to freeze the chain.",
    "alerts.webhook" => "Where to POST alerts as Alertmanager takes them: http://127.0.0.1:9093/api/v2/alerts. Empty: nowhere.",
    "storage.data_dir" => "Folder of the database.",
    "storage.cache_mib" => "Memory for cached blocks of the database in MiB, 8 to 65536.",
    "storage.prune_blocks" => "Keep this many irreversible blocks, at least 1000. 0: keep all.",
    "mempool.transactions_max" => "Most transactions, 1 to 10000000.",
    "mempool.size_mib_max" => "Most MiB, 1 to 65536.",
    "mempool.per_account_max" => "Most transactions of one account, at most mempool.transactions_max.",
    "execution.verify_threads" => "Threads that check signatures, up to 1024. 0: one per processor.",
    "log.format" => "text or json.",
    "log.filter" => "Level, or levels by module: \"info\", \"info,holdfast=debug\".",
};

/// The defaults as a tree.
pub(super) fn defaults() -> Dict {
    match Value::serialize(RawConfig::default()) {
        Ok(Value::Dict(_, tree)) => tree,
        other => unreachable!("the settings are a struct of structs: {other:?}"),
    }
}

/// The default of `section.key`.
pub(super) fn default_of(key: &str) -> Option<Value> {
    Value::from(defaults()).find(key)
}

pub(super) fn is_known(key: &str) -> bool {
    FIELDS.iter().any(|field| field.key == key)
}

/// One value in TOML notation.
pub(super) fn toml_text(value: &Value) -> String {
    toml::Value::try_from(value).map_or_else(|_| format!("{value:?}"), |value| value.to_string())
}

/// A configuration file with every setting, explained. Settings in `chosen` (`section.key` to TOML text) are set, the
/// others are comments that show the default.
#[must_use]
pub fn template(chosen: &BTreeMap<&str, String>) -> String {
    let mut text = String::from(
        "# Configuration of a Holdfast node.\n\
         # A line that starts with '#' shows a default; remove the '#' to change it.\n\
         # Relative paths are relative to the home folder (--home).\n\
         # Order: defaults < this file < environment (HOLDFAST_RPC__LISTEN=...) < flags (--set rpc.listen=...).\n\
         # See what is in force, and where it comes from: holdfast config show --origin\n",
    );
    for (section, about) in SECTIONS {
        let _infallible = write!(text, "\n# {about}\n[{section}]\n");
        for field in FIELDS {
            let Some(name) = field
                .key
                .strip_prefix(section)
                .and_then(|key| key.strip_prefix('.'))
            else {
                continue;
            };
            for line in field.help.lines() {
                let _infallible = writeln!(text, "# {line}");
            }
            let _infallible = match chosen.get(field.key) {
                Some(value) => writeln!(text, "{name} = {value}"),
                None => {
                    let value = default_of(field.key)
                        .expect("a test finds a default for every field of the table");
                    writeln!(text, "#{name} = {}", toml_text(&value))
                }
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_setting_once_and_no_other() {
        let mut keys: Vec<String> = Vec::new();
        for (section, value) in defaults() {
            let settings = value.into_dict().unwrap();
            keys.extend(settings.into_keys().map(|name| format!("{section}.{name}")));
        }
        keys.sort_unstable();
        let mut table: Vec<_> = FIELDS.iter().map(|field| field.key.to_owned()).collect();
        table.sort_unstable();
        assert_eq!(keys, table);
    }

    #[test]
    fn the_template_with_every_comment_removed_is_the_default() {
        let bare: String = template(&BTreeMap::new())
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                Some(_) => String::new(),
                None => format!("{line}\n"),
            })
            .collect();
        assert_eq!(
            toml::from_str::<RawConfig>(&bare).unwrap(),
            RawConfig::default()
        );
    }

    #[test]
    fn the_template_sets_what_was_chosen_and_nothing_else() {
        let chosen = BTreeMap::from([("node.moniker", "\"kelp\"".to_owned())]);
        let table: toml::Table = toml::from_str(&template(&chosen)).unwrap();
        assert_eq!(table["node"]["moniker"].as_str(), Some("kelp"));
        let set: usize = table
            .values()
            .map(|section| section.as_table().unwrap().len())
            .sum();
        assert_eq!(set, 1);
    }
}
