//! Asking a node over JSON-RPC, with failures as an operator meets them.

use super::global::MissingFile;
use super::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::Args;
use holdfast_rpc::methods::Method;
use holdfast_rpc::{AdminToken, Client, ClientConfig, ClientError, ErrorCode, RpcCallError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Variable that names the node to ask.
const URL_VARIABLE: &str = "HOLDFAST_RPC_URL";
/// How long a node may take for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Which node to ask.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Node")]
pub(super) struct RpcArguments {
    /// JSON-RPC address of the node [env: HOLDFAST_RPC_URL] [default: rpc.listen of the configuration].
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
}

/// A node to ask, and the threads to ask with.
#[derive(Debug)]
pub(super) struct NodeClient {
    runtime: tokio::runtime::Runtime,
    client: Client,
    url: String,
}

impl RpcArguments {
    /// As if this address had been given.
    pub(super) const fn to(url: String) -> Self {
        Self { rpc: Some(url) }
    }

    /// The node at this address.
    pub(super) const fn at(url: String) -> Self {
        Self { rpc: Some(url) }
    }

    /// A client that may change the node: it shows the token that the node has written to its home folder.
    pub(super) fn connect_as_admin(
        &self,
        global: &GlobalArguments,
        context: &Context<'_>,
    ) -> Result<NodeClient, Failure> {
        let path = global.home(context)?.admin_token_file();
        let token = std::fs::read_to_string(&path).map_err(|error| {
            Failure::new(
                ExitCode::Refused,
                format!("cannot read the admin token {}", path.display()),
                error,
                "run this as the user of the node, on its machine, with its --home; the node writes the token when it starts",
            )
        })?;
        let url = self.url(global, context)?;
        let own = global.load_config(context, MissingFile::UseDefaults)?;
        if !is_on_this_machine(&url, own.config.rpc().listen) {
            return Err(Failure::new(
                ExitCode::Usage,
                format!("{url} is not the node of this home folder"),
                "the admin token is for the node on this machine, and would be sent there in clear text",
                "run this on the node's machine, without --rpc",
            ));
        }
        let token = AdminToken::from_text(&token);
        self.connect_with(global, context, Duration::ZERO, Some(token))
    }

    /// A client that waits for an answer as long as most calls take.
    pub(super) fn connect(
        &self,
        global: &GlobalArguments,
        context: &Context<'_>,
    ) -> Result<NodeClient, Failure> {
        self.connect_patiently(global, context, Duration::ZERO)
    }

    /// A client for calls that the node may answer only after `patience`.
    pub(super) fn connect_patiently(
        &self,
        global: &GlobalArguments,
        context: &Context<'_>,
        patience: Duration,
    ) -> Result<NodeClient, Failure> {
        self.connect_with(global, context, patience, None)
    }

    fn connect_with(
        &self,
        global: &GlobalArguments,
        context: &Context<'_>,
        patience: Duration,
        admin_token: Option<AdminToken>,
    ) -> Result<NodeClient, Failure> {
        let url = self.url(global, context)?;
        let config = ClientConfig {
            call_timeout: ANSWER_LIMIT + patience,
            admin_token,
            ..ClientConfig::default()
        };
        let client = Client::new(&url, config).map_err(|error| failure(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::disk("cannot start threads", &error))?;
        Ok(NodeClient {
            runtime,
            client,
            url,
        })
    }

    fn url(&self, global: &GlobalArguments, context: &Context<'_>) -> Result<String, Failure> {
        if let Some(url) = &self.rpc {
            return Ok(url.clone());
        }
        let variable = context.environment.get(URL_VARIABLE);
        if let Some(url) = variable
            .and_then(|url| url.to_str())
            .filter(|url| !url.is_empty())
        {
            return Ok(url.to_owned());
        }
        let loaded = global.load_config(context, MissingFile::UseDefaults)?;
        Ok(format!("http://{}", reachable(loaded.config.rpc().listen)))
    }
}

/// Whether a URL names loopback, or the address on which the node of this machine listens.
fn is_on_this_machine(url: &str, listen: SocketAddr) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    authority.parse::<SocketAddr>().is_ok_and(|address| {
        let here = reachable(listen).ip();
        address.ip().is_loopback() || address.ip() == here
    })
}

/// Where a listener is reached from its own machine: one that listens everywhere also listens on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

impl NodeClient {
    /// The address of the node, as it was given or configured.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method.
    pub(super) fn call<M: Method>(&self, params: M::Params) -> Result<M::Output, Failure> {
        self.try_call::<M>(params).map_err(|error| failure(&error))
    }

    /// Calls a method; `what` says what the node refuses, if it refuses.
    pub(super) fn call_or<M: Method>(
        &self,
        what: &str,
        params: M::Params,
    ) -> Result<M::Output, Failure> {
        self.try_call::<M>(params).map_err(|error| match &error {
            ClientError::Call(error) => refusal(what, error),
            _ => failure(&error),
        })
    }

    /// Calls a method, for a caller that has its own words for what the node refuses.
    pub(super) fn try_call<M: Method>(&self, params: M::Params) -> Result<M::Output, ClientError> {
        self.runtime.block_on(self.client.call::<M>(params))
    }
}

/// What to tell an operator.
pub(super) fn failure(error: &ClientError) -> Failure {
    match error {
        ClientError::Url { .. } => Failure::new(
            ExitCode::Usage,
            "cannot use the address of the node",
            error,
            "write it like --rpc http://127.0.0.1:8645",
        ),
        ClientError::Unreachable { url, reason } => Failure::new(
            ExitCode::Unreachable,
            format!("the node at {url} does not answer"),
            reason,
            format!(
                "start the node (holdfast run), or name the one to ask: --rpc URL or {URL_VARIABLE}"
            ),
        ),
        ClientError::Timeout { url } => Failure::new(
            ExitCode::Unreachable,
            format!("the node at {url} does not answer"),
            "the connection stands, but the reply did not come in time",
            "look at the node's log and at the load of its machine, then try again",
        ),
        ClientError::Call(error) => refusal("the node refused the call", error),
        ClientError::Protocol { url, .. } => Failure::new(
            ExitCode::Unreachable,
            format!("what answers at {url} is not understood"),
            error,
            "check that the address is that of a Holdfast node of this version (holdfast --version)",
        ),
    }
}

/// A refusal with the name of its code and the next step.
pub(super) fn refusal(what: &str, error: &RpcCallError) -> Failure {
    let code = error.error_code();
    let name = code.map_or("UNKNOWN_CODE", ErrorCode::name);
    let reason = error
        .data
        .get("reason")
        .and_then(|reason| reason.as_str())
        .map_or_else(String::new, |reason| format!(", {reason}"));
    let again = error.retry_after().map_or_else(String::new, |after| {
        format!(" (try again after {} s)", after.as_secs())
    });
    let next_step = code.map_or(
        "the node is of another version: see its documentation of JSON-RPC",
        ErrorCode::remedy,
    );
    Failure::new(
        ExitCode::Refused,
        what,
        format!("{name} ({}{reason}): {}{again}", error.code, error.message),
        next_step,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn call_error(code: i32, data: serde_json::Value) -> RpcCallError {
        let data: Map<_, _> = serde_json::from_value(data).unwrap();
        RpcCallError {
            code,
            message: "the queue is full".to_owned(),
            data,
        }
    }

    #[test]
    fn a_refusal_names_code_reason_and_next_step() {
        let data = json!({"code_name": "MEMPOOL_FULL", "retry_after_s": 2, "reason": "full"});
        let failure = refusal("the node refused it", &call_error(-32055, data));
        assert_eq!(failure.code, ExitCode::Refused);
        assert_eq!(
            failure.why,
            "MEMPOOL_FULL (-32055, full): the queue is full (try again after 2 s)"
        );
        assert!(failure.next_step.starts_with("Send the transaction again"));
        let unknown = refusal("the node refused it", &call_error(-1, json!({})));
        assert_eq!(unknown.why, "UNKNOWN_CODE (-1): the queue is full");
    }

    #[test]
    fn a_node_that_is_not_there_is_unreachable() {
        // A port that was free a moment ago: nobody serves JSON-RPC there.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = NodeClient {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            client: Client::new(&url, ClientConfig::default()).unwrap(),
            url,
        };
        let failure = client
            .call::<holdfast_rpc::methods::GetStatus>(holdfast_rpc::methods::NoParams {})
            .unwrap_err();
        assert_eq!(failure.code, ExitCode::Unreachable);
        assert!(failure.next_step.contains("holdfast run"), "{failure}");
    }

    #[test]
    fn the_admin_token_is_not_sent_to_another_machine() {
        let listen = |text: &str| text.parse().unwrap();
        let everywhere = listen("0.0.0.0:8645");
        for url in ["http://127.0.0.1:1", "http://[::1]:2/rpc", "127.0.0.1:3"] {
            assert!(is_on_this_machine(url, everywhere), "{url}");
        }
        assert!(is_on_this_machine(
            "http://10.1.2.3:1",
            listen("10.1.2.3:1")
        ));
        for url in [
            "http://10.1.2.3:1",
            "http://127.0.0.1.evil.example:1",
            "http://127.0.0.1:1@evil.example:1",
            "http://evil.example/127.0.0.1:1",
        ] {
            assert!(!is_on_this_machine(url, everywhere), "{url}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:8645", "127.0.0.1:8645"),
            ("[::]:8645", "[::1]:8645"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(
                reachable(listen.parse().unwrap()),
                expected.parse().unwrap()
            );
        }
    }
}
