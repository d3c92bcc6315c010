//! The transport: TCP with Noise and Yamux, and QUIC, with the handshake as their last step.

pub(crate) mod exchange;
pub(crate) mod filter;
pub(crate) mod meter;

use std::{sync::Arc, time::Duration};

use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns,
    identity::Keypair,
    noise, quic, tcp, yamux,
};

use crate::{
    counters::Counters, error::NetworkError, handshake::HandshakeContext,
    transport::filter::AddressFilter,
};

/// A connection attempt that takes longer, encryption and handshake included, is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Substreams of one connection, both directions. Gossip takes four, the rest is for requests. It
/// bounds what a hostile peer can make us buffer unread: 256 KiB on each.
const STREAMS_MAX: usize = 192;

pub(crate) type Connection = (PeerId, StreamMuxerBox);

/// Builds the transport. What it yields are connections whose peer passed the handshake.
pub(crate) fn build(
    keypair: &Keypair,
    allow_private: bool,
    resolve_names: bool,
    handshakes: &Arc<HandshakeContext>,
    counters: &Arc<Counters>,
) -> Result<Boxed<Connection>, NetworkError> {
    let noise = noise::Config::new(keypair).expect("an Ed25519 key can sign a Noise key");
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(STREAMS_MAX);
    let tcp = AddressFilter::new(
        tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)),
        allow_private,
    )
    .upgrade(Version::V1Lazy)
    .authenticate(noise)
    .multiplex(yamux)
    .timeout(CONNECT_TIMEOUT)
    .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));

    let mut quic = quic::Config::new(keypair);
    quic.handshake_timeout = CONNECT_TIMEOUT;
    quic.max_concurrent_stream_limit = STREAMS_MAX as u32;
    let quic = AddressFilter::new(quic::tokio::Transport::new(quic), allow_private)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));

    let both = tcp.or_transport(quic).map(|either, _| either.into_inner());
    let (handshakes, counters) = (Arc::clone(handshakes), Arc::clone(counters));
    let with_handshake = move |connection, endpoint| {
        exchange::exchange(
            Arc::clone(&handshakes),
            Arc::clone(&counters),
            connection,
            endpoint,
        )
    };
    if resolve_names {
        // The names are resolved above the address filter, so that a name cannot lead to a private
        // address.
        let resolved = dns::tokio::Transport::system(both)
            .map_err(|source| NetworkError::Resolver { source })?;
        Ok(resolved.and_then(with_handshake).boxed())
    } else {
        Ok(both.and_then(with_handshake).boxed())
    }
}
