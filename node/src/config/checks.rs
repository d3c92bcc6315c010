//! From the merged tree to the typed settings: each rule, and the rules between settings.

use super::addresses::{self, AddressRule};
use super::layers::FieldError;
use super::raw::{
    RawConfig, RawExecution, RawLockdown, RawLog, RawMempool, RawNode, RawP2p, RawRpc, RawStorage,
    RawValidator,
};
use super::settings::{
    Config, ExecutionSettings, LockdownSettings, LogFormat, LogSettings, MempoolSettings,
    NodeSettings, P2pSettings, RpcSettings, StorageSettings, ValidatorSettings,
};
use super::webhook::WebhookUrl;
use figment::Figment;
use holdfast_halt::risk::RiskLevel;
use multiaddr::Multiaddr;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tracing_subscriber::EnvFilter;

const KIB: u32 = 1024;
const MIB: usize = 1024 * 1024;
const MONIKER_CHARACTERS_MAX: usize = 64;
const PRUNE_BLOCKS_MIN: u64 = 1000;
const VERIFY_THREADS_MAX: u64 = 1024;

pub(super) fn check(merged: &Figment, home: &Path) -> Result<Config, Vec<FieldError>> {
    let raw: RawConfig = merged.extract().map_err(|error| {
        vec![FieldError {
            key: error.path.join("."),
            rule: error.kind.to_string(),
            value: "the value given".to_owned(),
            origin: error
                .metadata
                .map_or_else(String::new, |metadata| metadata.name.into_owned()),
        }]
    })?;
    let mut checker = Checker {
        merged,
        home,
        errors: Vec::new(),
    };
    let config = Config {
        home: home.to_owned(),
        node: checker.node(&raw.node),
        rpc: checker.rpc(&raw.rpc),
        p2p: checker.p2p(&raw.p2p),
        validator: checker.validator(&raw.validator, &raw.storage),
        emergency_key_file: checker.file_if_set(&raw.emergency.key_file),
        lockdown: checker.lockdown(&raw.lockdown),
        alerts_webhook: checker.webhook(&raw.alerts.webhook),
        storage: checker.storage(&raw.storage),
        mempool: checker.mempool(&raw.mempool),
        execution: checker.execution(&raw.execution),
        log: checker.log(raw.log),
    };
    if checker.errors.is_empty() {
        Ok(config)
    } else {
        Err(checker.errors)
    }
}

/// Collects what is wrong. A check that fails gives some value of the right type, which nobody gets to see.
struct Checker<'a> {
    merged: &'a Figment,
    home: &'a Path,
    errors: Vec<FieldError>,
}

impl Checker<'_> {
    fn refuse(&mut self, key: &str, rule: impl Into<String>, value: impl Display) {
        let origin = self.merged.find_metadata(key).map_or_else(
            || "default".to_owned(),
            |metadata| metadata.name.clone().into_owned(),
        );
        self.errors.push(FieldError {
            key: key.to_owned(),
            rule: rule.into(),
            value: value.to_string(),
            origin,
        });
    }

    fn range(&mut self, key: &str, value: u64, allowed: RangeInclusive<u32>) -> u32 {
        match u32::try_from(value) {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                let rule = format!("must be between {} and {}", allowed.start(), allowed.end());
                self.refuse(key, rule, value);
                *allowed.start()
            }
        }
    }

    fn range_size(&mut self, key: &str, value: u64, allowed: RangeInclusive<u32>) -> usize {
        // u32 fits usize on every platform that RocksDB supports.
        self.range(key, value, allowed) as usize
    }

    fn path(&mut self, key: &str, value: &str) -> PathBuf {
        if value.is_empty() {
            self.refuse(key, "must name a path", "\"\"");
        }
        self.home.join(value)
    }

    fn node(&mut self, raw: &RawNode) -> NodeSettings {
        let characters = raw.moniker.chars().count();
        if characters == 0
            || characters > MONIKER_CHARACTERS_MAX
            || raw.moniker.chars().any(char::is_control)
        {
            let rule = format!("must have 1 to {MONIKER_CHARACTERS_MAX} printable characters");
            self.refuse("node.moniker", rule, format!("{:?}", raw.moniker));
        }
        NodeSettings {
            moniker: raw.moniker.clone(),
            genesis_file: self.path("node.genesis_file", &raw.genesis_file),
            halt_height: NonZeroU64::new(raw.halt_height),
        }
    }

    fn rpc(&mut self, raw: &RawRpc) -> RpcSettings {
        let listen = raw.listen.parse::<SocketAddr>().unwrap_or_else(|_| {
            let rule = "must be an IP address and a port, such as 127.0.0.1:8645 or [::1]:8645";
            self.refuse("rpc.listen", rule, format!("{:?}", raw.listen));
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        });
        for host in &raw.hosts {
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
            if host.is_empty() || !host.chars().all(plain) {
                let rule = "must be host names without scheme, port or path";
                self.refuse("rpc.hosts", rule, format!("{host:?}"));
            }
        }
        for origin in &raw.cors_origins {
            let is_origin = origin.split_once("://").is_some_and(|(scheme, rest)| {
                matches!(scheme, "http" | "https")
                    && !rest.is_empty()
                    && !rest.contains(['/', '*', ' '])
            });
            if !is_origin {
                let rule = "must be http:// or https://, a host and an optional port, without path or wildcard";
                self.refuse("rpc.cors_origins", rule, format!("{origin:?}"));
            }
        }
        RpcSettings {
            listen,
            allowed_hosts: raw.hosts.clone(),
            cors_origins: raw.cors_origins.clone(),
            connections_max: self.range("rpc.connections_max", raw.connections_max, 64..=100_000),
            request_bytes_max: KIB
                * self.range("rpc.request_kib_max", raw.request_kib_max, 64..=65_536),
            response_bytes_max: KIB
                * self.range("rpc.response_kib_max", raw.response_kib_max, 64..=131_072),
            batch_max: self.range("rpc.batch_max", raw.batch_max, 1..=10_000),
            subscriptions_per_connection_max: self.range(
                "rpc.subscriptions_per_connection_max",
                raw.subscriptions_per_connection_max,
                1..=10_000,
            ),
        }
    }

    fn p2p(&mut self, raw: &RawP2p) -> P2pSettings {
        if raw.listen.is_empty() {
            self.refuse("p2p.listen", "must have at least one address", "[]");
        }
        let peer_rule = AddressRule::Peer {
            private_allowed: raw.allow_private_addresses,
        };
        P2pSettings {
            listen: self.addresses("p2p.listen", &raw.listen, AddressRule::Listen),
            external_addresses: self.addresses(
                "p2p.external_addresses",
                &raw.external_addresses,
                AddressRule::External,
            ),
            peers: self.addresses("p2p.peers", &raw.peers, peer_rule),
            peers_max: self.range("p2p.peers_max", raw.peers_max, 1..=4096),
            allow_private_addresses: raw.allow_private_addresses,
            key_file: self.path("p2p.key_file", &raw.key_file),
        }
    }

    fn addresses(&mut self, key: &str, texts: &[String], rule: AddressRule) -> Vec<Multiaddr> {
        let mut addresses = Vec::new();
        for text in texts {
            match addresses::parse(text, rule) {
                Ok(address) if addresses.contains(&address) => {
                    self.refuse(key, "names an address twice", format!("{text:?}"));
                }
                Ok(address) => addresses.push(address),
                Err(broken) => self.refuse(key, broken, format!("{text:?}")),
            }
        }
        addresses
    }

    fn validator(&mut self, raw: &RawValidator, storage: &RawStorage) -> Option<ValidatorSettings> {
        let RawValidator {
            account,
            key_file,
            sign_guard_file,
            owner_key_file,
            disable_key_on_shutdown,
        } = raw;
        if *disable_key_on_shutdown && owner_key_file.is_empty() {
            let rule = "needs validator.owner_key_file: the account signs that";
            self.refuse("validator.disable_key_on_shutdown", rule, true);
        }
        match (account.is_empty(), key_file.is_empty()) {
            (true, true) => {
                if !sign_guard_file.is_empty() {
                    let rule = "needs validator.account and validator.key_file";
                    self.refuse(
                        "validator.sign_guard_file",
                        rule,
                        format!("{sign_guard_file:?}"),
                    );
                }
                if !owner_key_file.is_empty() {
                    let rule = "needs validator.account and validator.key_file";
                    let file = format!("{owner_key_file:?}");
                    self.refuse("validator.owner_key_file", rule, file);
                }
                return None;
            }
            (true, false) => {
                let rule = "must be set together with validator.key_file";
                self.refuse("validator.account", rule, "\"\"");
            }
            (false, true) => {
                let rule = "must be set together with validator.account";
                self.refuse("validator.key_file", rule, "\"\"");
            }
            (false, false) => {}
        }
        let key_file = self.home.join(key_file);
        let sign_guard_file = if sign_guard_file.is_empty() {
            key_file.with_extension("guard")
        } else {
            self.home.join(sign_guard_file)
        };
        if sign_guard_file == key_file {
            let rule = "must not be the key file";
            self.refuse("validator.sign_guard_file", rule, sign_guard_file.display());
        }
        if sign_guard_file.starts_with(self.home.join(&storage.data_dir)) {
            let rule = "must be outside storage.data_dir: a guard that is deleted with the chain data guards nothing";
            self.refuse("validator.sign_guard_file", rule, sign_guard_file.display());
        }
        Some(ValidatorSettings {
            account: account.clone(),
            key_file,
            sign_guard_file,
            owner_key_file: self.file_if_set(owner_key_file),
            disable_key_on_shutdown: *disable_key_on_shutdown,
        })
    }

    fn file_if_set(&self, file: &str) -> Option<PathBuf> {
        (!file.is_empty()).then(|| self.home.join(file))
    }

    fn storage(&mut self, raw: &RawStorage) -> StorageSettings {
        if (1..PRUNE_BLOCKS_MIN).contains(&raw.prune_blocks) {
            let rule = format!("must be 0 (keep all) or at least {PRUNE_BLOCKS_MIN}");
            self.refuse("storage.prune_blocks", rule, raw.prune_blocks);
        }
        StorageSettings {
            data_dir: self.path("storage.data_dir", &raw.data_dir),
            cache_bytes: MIB * self.range_size("storage.cache_mib", raw.cache_mib, 8..=65_536),
            prune_blocks: NonZeroU64::new(raw.prune_blocks),
        }
    }

    fn mempool(&mut self, raw: &RawMempool) -> MempoolSettings {
        let transactions_max = self.range_size(
            "mempool.transactions_max",
            raw.transactions_max,
            1..=10_000_000,
        );
        if raw.per_account_max == 0 || raw.per_account_max > raw.transactions_max {
            let rule = "must be between 1 and mempool.transactions_max";
            self.refuse("mempool.per_account_max", rule, raw.per_account_max);
        }
        MempoolSettings {
            transactions_max,
            bytes_max: MIB * self.range_size("mempool.size_mib_max", raw.size_mib_max, 1..=65_536),
            per_account_max: usize::try_from(raw.per_account_max).unwrap_or(transactions_max),
        }
    }

    fn execution(&mut self, raw: &RawExecution) -> ExecutionSettings {
        if raw.verify_threads > VERIFY_THREADS_MAX {
            let rule = format!("must be at most {VERIFY_THREADS_MAX}");
            self.refuse("execution.verify_threads", rule, raw.verify_threads);
        }
        let chosen = usize::try_from(raw.verify_threads)
            .ok()
            .and_then(NonZeroUsize::new);
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        ExecutionSettings {
            verify_threads: chosen.unwrap_or_else(processors),
        }
    }

    fn lockdown(&mut self, raw: &RawLockdown) -> LockdownSettings {
        let secret_file = self.file_if_set(&raw.secret_file);
        let vote_at_risk = match raw.vote_at_risk.as_str() {
            "never" => None,
            "critical" => Some(RiskLevel::Critical),
            other => {
                let rule = "must be never or critical";
                self.refuse("lockdown.vote_at_risk", rule, format!("{other:?}"));
                None
            }
        };
        if vote_at_risk.is_some() && secret_file.is_none() {
            let rule = "needs lockdown.secret_file: nobody would count the vote";
            let value = format!("{:?}", raw.vote_at_risk);
            self.refuse("lockdown.vote_at_risk", rule, value);
        }
        LockdownSettings {
            secret_file,
            vote_at_risk,
        }
    }

    fn webhook(&mut self, raw: &str) -> Option<WebhookUrl> {
        if raw.is_empty() {
            return None;
        }
        let parsed = raw.parse();
        if let Err(rule) = parsed {
            // It may hold a secret.
            self.refuse("alerts.webhook", rule, "a text that is not shown");
        }
        parsed.ok()
    }

    fn log(&mut self, raw: RawLog) -> LogSettings {
        let format = match raw.format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => {
                self.refuse("log.format", "must be text or json", format!("{other:?}"));
                LogFormat::Text
            }
        };
        if let Err(error) = EnvFilter::try_new(&raw.filter) {
            let rule = format!("must be a log filter such as info,holdfast=debug ({error})");
            self.refuse("log.filter", rule, format!("{:?}", raw.filter));
        }
        LogSettings {
            format,
            filter: raw.filter,
        }
    }
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
