//! Who may talk to the node from where: the defence against web pages that use a visitor's browser to reach a node on
//! the visitor's machine or network.
//!
//! - The `Host` header must be an IP address, `localhost`, or a configured name: a page that points its own name at
//!   the node (DNS rebinding) is refused.
//! - A request with an `Origin` header comes from a browser. It must be of the node's own origin or of a configured one;
//!   WebSockets are not subject to CORS, so this is what keeps foreign pages off them.
//! - What changes the node is for who calls from this machine and shows the admin token, which only the owner of the node's home can
//!   read: a proxy on this machine passes calls of others on, but they have no token.
//! - JSON-RPC must be `application/json`, which browsers do not send across origins without asking first.

use crate::config::RpcConfig;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Request};
use std::net::IpAddr;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Host,
    Origin,
}

impl Denied {
    /// Value of the metric label `reason`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
        }
    }

    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Host => {
                "the Host header names no host of this node; use its IP address, or add the name to rpc.hosts"
            }
            Self::Origin => "this web origin may not use this node; add it to rpc.cors_origins",
        }
    }
}

pub(super) fn check<B>(config: &RpcConfig, request: &Request<B>) -> Result<(), Denied> {
    let host = host(request).ok_or(Denied::Host)?;
    if !is_own_host(config, host.host()) {
        return Err(Denied::Host);
    }
    match request.headers().get(ORIGIN) {
        Some(origin) if !is_allowed_origin(config, origin, &host) => Err(Denied::Origin),
        _ => Ok(()),
    }
}

/// The one host that the request names.
fn host<B>(request: &Request<B>) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut values = request.headers().get_all(HOST).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    Authority::try_from(value.as_bytes()).ok()
}

fn is_own_host(config: &RpcConfig, host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || config
            .hosts
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host))
}

fn is_allowed_origin(config: &RpcConfig, origin: &HeaderValue, host: &Authority) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let own = ["http", "https"]
        .iter()
        .any(|scheme| origin.eq_ignore_ascii_case(&format!("{scheme}://{host}")));
    own || config
        .cors_origins
        .iter()
        .any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

/// Whether the caller may change the node.
pub(super) fn is_admin(config: &RpcConfig, address: IpAddr, headers: &HeaderMap) -> bool {
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let token = config.admin_token.as_ref().zip(shown);
    let address = address.to_canonical();
    // Who calls a listener on one address of this machine from this machine has that address.
    let is_here = address.is_loopback() || address == config.listen.ip().to_canonical();
    is_here && token.is_some_and(|(token, shown)| token.is(shown))
}

/// Whether a body is declared as JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AdminToken;

    fn verdict(host: &str, origin: Option<&str>) -> Result<(), Denied> {
        let config = RpcConfig {
            hosts: vec!["node.example".to_owned()],
            cors_origins: vec!["https://wallet.example".to_owned()],
            ..RpcConfig::default()
        };
        let mut request = Request::builder().uri("/rpc").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        check(&config, &request.body(()).unwrap())
    }

    #[test]
    fn hosts() {
        for host in [
            "127.0.0.1:8645",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8645",
            "10.1.2.3",
            "node.example:80",
        ] {
            assert_eq!(verdict(host, None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
            "a b",
        ] {
            assert_eq!(verdict(host, None), Err(Denied::Host), "{host}");
        }
        let request = Request::builder()
            .uri("/rpc")
            .header(HOST, "localhost")
            .header(HOST, "evil.example");
        assert_eq!(
            check(&RpcConfig::default(), &request.body(()).unwrap()),
            Err(Denied::Host)
        );
        let request = Request::builder().uri("/rpc");
        assert_eq!(
            check(&RpcConfig::default(), &request.body(()).unwrap()),
            Err(Denied::Host)
        );
    }

    #[test]
    fn origins() {
        assert_eq!(
            verdict("localhost:8645", Some("http://localhost:8645")),
            Ok(())
        );
        assert_eq!(
            verdict("localhost:8645", Some("https://wallet.example")),
            Ok(())
        );
        for origin in [
            "http://localhost:9999",
            "https://evil.example",
            "null",
            "http://wallet.example",
        ] {
            assert_eq!(
                verdict("localhost:8645", Some(origin)),
                Err(Denied::Origin),
                "{origin}"
            );
        }
    }

    #[test]
    fn only_who_calls_from_this_machine_with_the_token_is_an_admin() {
        let token = AdminToken::new([7; 32]);
        let good = format!("Bearer {}", token.as_str());
        let with = |admin_token| RpcConfig {
            admin_token,
            ..RpcConfig::default()
        };
        let verdict = |config: &RpcConfig, address: &str, shown: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(AUTHORIZATION, shown.parse().unwrap());
            }
            is_admin(config, address.parse().unwrap(), &headers)
        };
        let config = with(Some(token.clone()));
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(verdict(&config, address, Some(&good)), "{address}");
        }
        assert!(!verdict(&config, "10.1.2.3", Some(&good)));
        let elsewhere = RpcConfig {
            listen: "10.1.2.3:8645".parse().unwrap(),
            ..config.clone()
        };
        assert!(verdict(&elsewhere, "10.1.2.3", Some(&good)));
        assert!(!verdict(&elsewhere, "10.1.2.4", Some(&good)));
        assert!(!verdict(&with(None), "::1", Some(&good)));
        let upper = good.to_uppercase();
        for shown in [None, Some("Bearer "), Some(token.as_str()), Some(&upper)] {
            assert!(!verdict(&config, "::1", shown), "{shown:?}");
        }
    }

    #[test]
    fn content_types() {
        let verdict = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(verdict("application/json"));
        assert!(verdict("Application/JSON; charset=UTF-8"));
        for other in [
            "text/plain",
            "application/json-rpc",
            "application/json; charset=latin1",
            "application/jsonx",
        ] {
            assert!(!verdict(other), "{other}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
