//! Runs the handshake on the first substream of a connection.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::core::{
    ConnectedPoint,
    muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
};
use multistream_select::{Version, dialer_select_proto, listener_select_proto};

use crate::{
    counters::Counters,
    event::{Direction, HandshakeRefusal},
    handshake::{
        HANDSHAKE_PROTOCOL, Handshake, HandshakeContext, RefusedHandshake, RemoteHello,
        read_handshake, write_handshake,
    },
    transport::{Connection, meter::MeteredMuxer},
};

/// Both messages must have passed in this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A refused dialler has this long to take our answer, which tells its operator why.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("handshake refused: {0}")]
    Refused(#[from] HandshakeRefusal),
    #[error("connection lost in the handshake: {0}")]
    Lost(#[from] io::Error),
}

/// Exchanges handshakes and judges the peer's. The outcome also goes to the network task, since a
/// connection attempt can only tell that it failed.
pub(crate) async fn exchange(
    context: Arc<HandshakeContext>,
    counters: Arc<Counters>,
    (peer, mut muxer): Connection,
    endpoint: ConnectedPoint,
) -> Result<Connection, ExchangeError> {
    let direction = direction(&endpoint);
    let talk = async {
        match direction {
            Direction::Outbound => speak_first(&context, &mut muxer).await,
            Direction::Inbound => listen_first(&context, &mut muxer).await,
        }
    };
    let outcome = tokio::time::timeout(HANDSHAKE_TIMEOUT, talk)
        .await
        .unwrap_or_else(|_| {
            Err(HandshakeRefusal::Malformed {
                reason: "no handshake in time".to_owned(),
            }
            .into())
        });
    match outcome {
        Ok(hello) => {
            context.accept(peer, hello, Instant::now());
            let metered = MeteredMuxer::new(muxer, context.traffic(peer), counters);
            Ok((peer, StreamMuxerBox::new(metered)))
        }
        Err(error) => {
            if let ExchangeError::Refused(refusal) = &error {
                context.refuse(RefusedHandshake {
                    peer,
                    address: endpoint.get_remote_address().clone(),
                    direction,
                    refusal: refusal.clone(),
                });
            }
            Err(error)
        }
    }
}

fn direction(endpoint: &ConnectedPoint) -> Direction {
    if endpoint.is_dialer() {
        Direction::Outbound
    } else {
        Direction::Inbound
    }
}

/// The dialler's side.
async fn speak_first(
    context: &HandshakeContext,
    muxer: &mut StreamMuxerBox,
) -> Result<RemoteHello, ExchangeError> {
    let stream = open(muxer).await?;
    let ours = context.ours();
    let (theirs, mut stream) = drive(muxer, async {
        let (_, mut stream) = dialer_select_proto(stream, [HANDSHAKE_PROTOCOL], Version::V1)
            .await
            .map_err(|error| malformed(&error.to_string()))?;
        write_handshake(&mut stream, &ours).await?;
        Ok::<_, ExchangeError>((read(&mut stream).await?, stream))
    })
    .await??;
    // What the peer said counts, even if it hangs up now.
    let _ = drive(muxer, stream.close()).await;
    Ok(context.check(theirs)?)
}

/// The listener's side. It answers even a peer that it refuses, but tells it no addresses.
async fn listen_first(
    context: &HandshakeContext,
    muxer: &mut StreamMuxerBox,
) -> Result<RemoteHello, ExchangeError> {
    let stream = accept(muxer).await?;
    let (verdict, mut stream) = drive(muxer, async {
        let (_, mut stream) = listener_select_proto(stream, [HANDSHAKE_PROTOCOL])
            .await
            .map_err(|error| malformed(&error.to_string()))?;
        Ok::<_, ExchangeError>((context.check(read(&mut stream).await?), stream))
    })
    .await??;
    let mut ours = context.ours();
    if verdict.is_err() {
        ours.own_addresses.clear();
        ours.known_peers.clear();
    }
    let answering = async {
        write_handshake(&mut stream, &ours).await?;
        stream.close().await?;
        if verdict.is_err() {
            // The answer only arrives if the connection outlives it.
            let mut rest = [0; 1];
            let _ = tokio::time::timeout(FAREWELL_TIMEOUT, stream.read(&mut rest)).await;
        }
        Ok::<_, io::Error>(())
    };
    let answered = drive(muxer, answering).await;
    // A refused peer may hang up at any moment; it is refused all the same.
    let hello = verdict?;
    answered??;
    Ok(hello)
}

async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
) -> Result<Handshake, ExchangeError> {
    read_handshake(stream)
        .await
        .map_err(|reason| malformed(&reason))
}

fn malformed(reason: &str) -> ExchangeError {
    HandshakeRefusal::Malformed {
        reason: reason.chars().take(200).collect(),
    }
    .into()
}

/// Opens a substream.
pub(crate) async fn open(muxer: &mut StreamMuxerBox) -> io::Result<SubstreamBox> {
    poll_fn(|context| match muxer.poll_outbound_unpin(context) {
        Poll::Ready(stream) => Poll::Ready(stream),
        Poll::Pending => poll_connection(muxer, context).map(Err),
    })
    .await
}

/// Waits for the peer's first substream.
async fn accept(muxer: &mut StreamMuxerBox) -> io::Result<SubstreamBox> {
    poll_fn(|context| match muxer.poll_inbound_unpin(context) {
        Poll::Ready(stream) => Poll::Ready(stream),
        Poll::Pending => poll_connection(muxer, context).map(Err),
    })
    .await
}

/// Runs a future that uses a substream; the connection below it moves only when polled.
pub(crate) async fn drive<F: Future>(
    muxer: &mut StreamMuxerBox,
    future: F,
) -> io::Result<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => poll_connection(muxer, context).map(Err),
    })
    .await
}

/// Moves the connection along. Ready only if it broke.
fn poll_connection(muxer: &mut StreamMuxerBox, context: &mut Context<'_>) -> Poll<io::Error> {
    loop {
        match muxer.poll_unpin(context) {
            // The peer's address changed, which the swarm will learn from the packets to come.
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Pending => return Poll::Pending,
        }
    }
}
