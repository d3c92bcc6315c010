//! The address of a webhook.

use hyper::Uri;
use std::fmt;

/// Where alerts go: `http://host[:port]/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    /// An IPv6 address stands in brackets.
    pub host: String,
    pub port: u16,
    /// With the query.
    pub path: String,
}

impl fmt::Display for WebhookUrl {
    /// Without the path, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl std::str::FromStr for WebhookUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "must be http://host[:port]/path: an Alertmanager (…/api/v2/alerts) or a relay on this machine or network, which speaks TLS where that is needed";
        let uri: Uri = text.parse().map_err(|_| RULE)?;
        let is_plain = uri.scheme_str() == Some("http");
        let authority = uri.authority().filter(|_| is_plain).ok_or(RULE)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(RULE);
        }
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_tls_and_without_a_password_is_taken() {
        for (text, host, port, path) in [
            (
                "http://localhost:9093/api/v2/alerts",
                "localhost",
                9093,
                "/api/v2/alerts",
            ),
            ("http://10.0.0.7", "10.0.0.7", 80, "/"),
            (
                "http://[::1]:8080/hook?token=7",
                "[::1]",
                8080,
                "/hook?token=7",
            ),
        ] {
            let url: WebhookUrl = text.parse().unwrap();
            assert_eq!(
                (url.host.as_str(), url.port, url.path.as_str()),
                (host, port, path)
            );
            assert!(!url.to_string().contains("token"), "a path may be a secret");
        }
        for text in [
            "",
            "localhost:9093",
            "https://a.example/",
            "http://",
            "http://me:word@host/",
            "/path",
            "http://a b/",
        ] {
            assert!(text.parse::<WebhookUrl>().is_err(), "{text}");
        }
    }
}
