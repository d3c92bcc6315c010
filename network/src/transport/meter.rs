//! A stream muxer that counts the bytes of its streams.

use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, ready};
use libp2p::core::{
    StreamMuxer,
    muxing::{StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
};

use crate::counters::{Counter, Counters};

/// Bytes exchanged with one peer.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
}

/// Where the bytes of a connection are counted.
#[derive(Debug, Clone)]
struct Meters {
    peer: Arc<Traffic>,
    total: Arc<Counters>,
}

impl Meters {
    fn received(&self, bytes: usize) {
        self.peer.received.add(bytes);
        self.total.bytes_received.add(bytes);
    }

    fn sent(&self, bytes: usize) {
        self.peer.sent.add(bytes);
        self.total.bytes_sent.add(bytes);
    }
}

/// Counts on behalf of one connection.
#[derive(Debug)]
pub(crate) struct MeteredMuxer {
    inner: StreamMuxerBox,
    meters: Meters,
}

impl MeteredMuxer {
    pub(crate) fn new(inner: StreamMuxerBox, peer: Arc<Traffic>, total: Arc<Counters>) -> Self {
        Self {
            inner,
            meters: Meters { peer, total },
        }
    }

    fn meter(&self, stream: SubstreamBox) -> MeteredStream {
        MeteredStream {
            inner: stream,
            meters: self.meters.clone(),
        }
    }
}

impl StreamMuxer for MeteredMuxer {
    type Substream = MeteredStream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<MeteredStream>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_inbound(context))?;
        Poll::Ready(Ok(self.meter(stream)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<MeteredStream>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_outbound(context))?;
        Poll::Ready(Ok(self.meter(stream)))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

/// A substream whose bytes are counted.
#[derive(Debug)]
pub(crate) struct MeteredStream {
    inner: SubstreamBox,
    meters: Meters,
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.meters.received(bytes);
        Poll::Ready(Ok(bytes))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.inner).poll_read_vectored(context, buffers))?;
        self.meters.received(bytes);
        Poll::Ready(Ok(bytes))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.inner).poll_write(context, buffer))?;
        self.meters.sent(bytes);
        Poll::Ready(Ok(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, buffers))?;
        self.meters.sent(bytes);
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}
