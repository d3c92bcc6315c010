//! Settings of the RPC server. All have defaults; the node reads them from its TOML file, environment and flags.

use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Settings of the RPC server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RpcConfig {
    /// Address to listen on. Loopback by default: methods are for anybody who can connect, but those of an admin.
    pub listen: SocketAddr,
    /// Host names by which clients may address the node, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// Web origins that may call the node from a browser: `https://wallet.example`. None by default.
    pub cors_origins: Vec<String>,
    /// Limit of calls per client address; none by default.
    pub rate_limit: Option<RateLimit>,
    /// Most TCP connections at once, WebSockets included.
    pub connections_max: usize,
    /// Most WebSocket connections at once.
    pub websocket_connections_max: usize,
    /// Most calls in flight at once, over all connections.
    pub calls_in_flight_max: usize,
    /// Most queries that read the disk at once.
    pub query_threads_max: usize,
    /// Longest request body and WebSocket message, in bytes.
    pub body_max_bytes: usize,
    /// Longest reply, in bytes.
    pub reply_max_bytes: usize,
    /// Most memory for requests being read and replies being sent, in bytes.
    pub buffers_max_bytes: usize,
    /// Most entries of a batch.
    pub batch_entries_max: usize,
    /// Most subscriptions of one WebSocket connection.
    pub subscriptions_per_connection_max: usize,
    /// Most calls in flight of one WebSocket connection; further ones are read when one is done. Nor is more read
    /// while the messages in flight are longer than `body_max_bytes` together.
    pub calls_per_connection_max: usize,
    /// Longest wait that `chain_sendTransaction` grants, in milliseconds.
    pub send_wait_max_ms: u32,
    /// Time for a client to send a request head, and the longest idle time of an HTTP connection, in milliseconds.
    pub header_timeout_ms: u32,
    /// Time for a client to send a request body, in milliseconds.
    pub body_timeout_ms: u32,
    /// A client that takes nothing of a reply for this long is cut off, in milliseconds.
    pub write_stall_timeout_ms: u32,
    /// How often the server pings a WebSocket client, in milliseconds.
    pub websocket_ping_interval_ms: u32,
    /// A WebSocket client from which nothing came for this long, pongs included, is closed, in milliseconds; counted in
    /// whole pings.
    pub websocket_idle_timeout_ms: u32,
    /// Time for connections to end by themselves when the server stops, in milliseconds.
    pub shutdown_grace_ms: u32,
    /// Who shows it, from this machine, may call what changes the node; none: nobody may.
    #[serde(skip)]
    pub admin_token: Option<AdminToken>,
}

/// What a caller shows to change the node: hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(String);

impl AdminToken {
    /// A token of 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(hex::encode(bytes))
    }

    /// A token as it was read from the file of a node.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// As it is written in the file of the node, and shown in the header `Authorization: Bearer …`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is it. How long that takes says nothing of the token.
    pub(crate) fn is(&self, shown: &str) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(shown.as_bytes())
    }
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AdminToken(…)")
    }
}

/// Limit of calls per client address: a bucket of `burst` calls that refills at `calls_per_second`. Every entry of a
/// batch counts. IPv6 clients are counted by /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Calls per second in the long run.
    pub calls_per_second: u32,
    /// Calls at once.
    pub burst: u32,
}

/// A setting that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rpc setting `{field}` is {value}: {rule}")]
pub struct RpcConfigError {
    /// Name of the setting.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// The rule that it breaks.
    pub rule: String,
}

/// The port on which a node listens for RPC unless told otherwise.
pub const DEFAULT_RPC_PORT: u16 = 8645;

const MEBIBYTE: usize = 1 << 20;

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_RPC_PORT)),
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            rate_limit: None,
            connections_max: 512,
            websocket_connections_max: 64,
            calls_in_flight_max: 8192,
            query_threads_max: 4,
            body_max_bytes: MEBIBYTE,
            reply_max_bytes: 32 * MEBIBYTE,
            buffers_max_bytes: 128 * MEBIBYTE,
            batch_entries_max: 250,
            subscriptions_per_connection_max: 16,
            calls_per_connection_max: 32,
            send_wait_max_ms: 60_000,
            header_timeout_ms: 15_000,
            body_timeout_ms: 15_000,
            write_stall_timeout_ms: 20_000,
            websocket_ping_interval_ms: 20_000,
            websocket_idle_timeout_ms: 60_000,
            shutdown_grace_ms: 3_000,
            admin_token: None,
        }
    }
}

pub(crate) const fn milliseconds(value: u32) -> Duration {
    Duration::from_millis(value as u64)
}

impl RpcConfig {
    /// Checks the rules between settings.
    pub fn validate(&self) -> Result<(), RpcConfigError> {
        self.check_positive()?;
        let require = |holds: bool, field, value: String, rule: String| {
            if holds {
                Ok(())
            } else {
                Err(RpcConfigError { field, value, rule })
            }
        };
        require(
            self.buffers_max_bytes >= self.reply_max_bytes.max(self.body_max_bytes),
            "buffers_max_bytes",
            self.buffers_max_bytes.to_string(),
            format!(
                "it must hold one longest reply ({}) and one longest request ({})",
                self.reply_max_bytes, self.body_max_bytes
            ),
        )?;
        require(
            self.websocket_idle_timeout_ms > self.websocket_ping_interval_ms,
            "websocket_idle_timeout_ms",
            self.websocket_idle_timeout_ms.to_string(),
            format!(
                "it must be above websocket_ping_interval_ms ({})",
                self.websocket_ping_interval_ms
            ),
        )?;
        require(
            self.websocket_connections_max <= self.connections_max,
            "websocket_connections_max",
            self.websocket_connections_max.to_string(),
            format!(
                "it must not be above connections_max ({})",
                self.connections_max
            ),
        )?;
        for origin in &self.cors_origins {
            let is_origin = origin.split_once("://").is_some_and(|(scheme, rest)| {
                matches!(scheme, "http" | "https")
                    && !rest.is_empty()
                    && !rest.contains(['/', '*', ' '])
            });
            require(
                is_origin,
                "cors_origins",
                format!("{origin:?}"),
                "an origin is http:// or https://, a host and an optional port, without path or wildcard".to_owned(),
            )?;
        }
        Ok(())
    }

    fn check_positive(&self) -> Result<(), RpcConfigError> {
        let mut values = vec![
            ("connections_max", self.connections_max),
            ("websocket_connections_max", self.websocket_connections_max),
            ("calls_in_flight_max", self.calls_in_flight_max),
            ("query_threads_max", self.query_threads_max),
            ("body_max_bytes", self.body_max_bytes),
            ("reply_max_bytes", self.reply_max_bytes),
            ("batch_entries_max", self.batch_entries_max),
            (
                "subscriptions_per_connection_max",
                self.subscriptions_per_connection_max,
            ),
            ("calls_per_connection_max", self.calls_per_connection_max),
            ("send_wait_max_ms", self.send_wait_max_ms as usize),
            ("header_timeout_ms", self.header_timeout_ms as usize),
            ("body_timeout_ms", self.body_timeout_ms as usize),
            (
                "write_stall_timeout_ms",
                self.write_stall_timeout_ms as usize,
            ),
            (
                "websocket_ping_interval_ms",
                self.websocket_ping_interval_ms as usize,
            ),
        ];
        if let Some(limit) = &self.rate_limit {
            values.push((
                "rate_limit.calls_per_second",
                limit.calls_per_second as usize,
            ));
            values.push(("rate_limit.burst", limit.burst as usize));
        }
        values
            .into_iter()
            .find(|(_, value)| *value == 0)
            .map_or(Ok(()), |(field, value)| {
                Err(RpcConfigError {
                    field,
                    value: value.to_string(),
                    rule: "it must be above 0".to_owned(),
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_and_read_back() {
        let config = RpcConfig::default();
        assert_eq!(config.validate(), Ok(()));
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<RpcConfig>(&json).unwrap(), config);
        assert_eq!(serde_json::from_str::<RpcConfig>("{}").unwrap(), config);
        assert!(serde_json::from_str::<RpcConfig>(r#"{"lisen":1}"#).is_err());
    }

    #[test]
    fn a_broken_rule_is_named_with_field_and_value() {
        let broken = |change: fn(&mut RpcConfig)| {
            let mut config = RpcConfig::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert_eq!(
            broken(|c| c.batch_entries_max = 0).field,
            "batch_entries_max"
        );
        assert_eq!(
            broken(|c| c.buffers_max_bytes = 10).field,
            "buffers_max_bytes"
        );
        assert_eq!(
            broken(|c| c.websocket_idle_timeout_ms = 5).field,
            "websocket_idle_timeout_ms"
        );
        assert_eq!(
            broken(|c| c.connections_max = 3).field,
            "websocket_connections_max"
        );
        let error = broken(|c| c.cors_origins = vec!["*".to_owned()]);
        assert!(
            error
                .to_string()
                .starts_with("rpc setting `cors_origins` is \"*\": an origin is"),
            "{error}"
        );
        let error = broken(|c| {
            c.rate_limit = Some(RateLimit {
                calls_per_second: 0,
                burst: 1,
            })
        });
        assert_eq!(error.field, "rate_limit.calls_per_second");
    }
}
