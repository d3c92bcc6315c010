//! What the node listens on, as its configuration says.

use super::backend::NodeBackend;
use super::start::NodeParts;
use crate::config::Config;
use crate::durable_file::{self, Existing};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::home::Home;
use holdfast_network::{Network, NetworkConfig, NetworkError, NetworkEvents, NetworkHandle};
use holdfast_rpc::{AdminToken, Metrics, RpcConfig, RpcHandle, RpcServer};
use holdfast_types::{Parameters, PeerClaim, codec};
use std::sync::Arc;

/// Starts the network.
pub(super) async fn start_network(
    parts: &NodeParts,
    parameters: &Parameters,
) -> Result<(NetworkHandle, NetworkEvents), Failure> {
    let settings = parts.config.p2p();
    let chain_id = parts.genesis.chain_id();
    let mut config = NetworkConfig::new(
        *chain_id.as_bytes(),
        parts.genesis.parameters_hash(),
        concat!("holdfast/", env!("CARGO_PKG_VERSION")),
        *parts.network_secret,
    );
    config.listen.clone_from(&settings.listen);
    config.external.clone_from(&settings.external_addresses);
    config.peers.clone_from(&settings.peers);
    config.allow_private_addresses = settings.allow_private_addresses;
    config.peers_max = usize::try_from(settings.peers_max).unwrap_or(usize::MAX);
    config.committee_slots = usize::from(parameters.max_validators).min(config.peers_max);
    config.peers_target = config.peers_target.min(config.peers_max);
    if let Some(signer) = &parts.signer {
        let peer_id = config.peer_id().to_bytes();
        let claim = PeerClaim::sign(&chain_id, &peer_id, signer.as_ref());
        config.claim = codec::encode(&claim);
    }
    Network::start(config).await.map_err(|error| {
        let code = match error {
            NetworkError::AddressInUse { .. } => ExitCode::PortInUse,
            NetworkError::Listen { .. }
            | NetworkError::Config { .. }
            | NetworkError::Resolver { .. } => ExitCode::Usage,
        };
        Failure::new(
            code,
            "the network does not start",
            error,
            "change p2p.listen or p2p.peers in holdfast.toml, or stop the other process",
        )
    })
}

/// A new token for this process, in a file that only its user can read.
fn new_admin_token(config: &Config) -> Option<AdminToken> {
    let token = AdminToken::new(rand::random());
    let path = Home::at(config.home().to_owned()).admin_token_file();
    let text = format!("{}\n", token.as_str());
    let written = durable_file::write(
        &path,
        text.as_bytes(),
        durable_file::PRIVATE,
        Existing::Replace,
    );
    match written {
        Ok(()) => Some(token),
        // Without it the node does all that it has to do by itself.
        Err(error) => {
            let path = path.display();
            tracing::warn!(%path, %error, "cannot write the admin token: nobody can vote in a lockdown through this node");
            None
        }
    }
}

/// Starts the RPC server.
pub(super) async fn start_rpc(
    config: &Config,
    backend: Arc<NodeBackend>,
    metrics: Metrics,
) -> Result<RpcHandle, Failure> {
    let settings = config.rpc();
    let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let rpc_config = RpcConfig {
        listen: settings.listen,
        hosts: settings.allowed_hosts.clone(),
        cors_origins: settings.cors_origins.clone(),
        connections_max: size(settings.connections_max),
        body_max_bytes: size(settings.request_bytes_max),
        reply_max_bytes: size(settings.response_bytes_max),
        batch_entries_max: size(settings.batch_max),
        subscriptions_per_connection_max: size(settings.subscriptions_per_connection_max),
        admin_token: new_admin_token(config),
        ..RpcConfig::default()
    };
    RpcServer::start(rpc_config, backend, metrics)
        .await
        .map_err(|error| {
            let code = match error {
                holdfast_rpc::RpcError::AddressInUse { .. } => ExitCode::PortInUse,
                _ => ExitCode::Usage,
            };
            Failure::new(
                code,
                "the RPC server does not start",
                error,
                "change rpc.listen in holdfast.toml, or stop the other process",
            )
        })
}
