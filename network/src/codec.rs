//! Requests and responses on the wire.
//!
//! ```text
//! request   tag (u8)     length (u32, little endian)   payload
//! response  status (u8)  length (u32, little endian)   payload
//! ```
//!
//! A length is checked against the limit of its protocol before memory is set aside for it, and a
//! long payload gets its memory as it arrives, so that a peer cannot reserve what it does not send.

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};

use crate::protocol::{REQUEST_BYTES_MAX, RequestProtocol};

/// Payloads up to this size travel in one write with their header.
const JOINED_BYTES_MAX: usize = 8 * 1024;

/// Memory set aside at first for a payload, and read at once.
const CHUNK_BYTES: usize = 64 * 1024;

const STATUS_OK: u8 = 0;
const STATUS_BUSY: u8 = 1;
const STATUS_UNAVAILABLE: u8 = 2;
const STATUS_UNSUPPORTED: u8 = 3;

/// A request, as sent and as received.
#[derive(Debug, Clone)]
pub(crate) enum WireRequest {
    Whole {
        /// Tag of the protocol; received ones may be unknown.
        tag: u8,
        data: Bytes,
        /// For the sender: the largest answer it takes. Not on the wire.
        answer_bytes_max: usize,
    },
    /// Received only: a length above the limit. A value and not an error, because the library keeps
    /// errors of reading a request to itself and the peer would get away with it.
    Oversized { bytes: usize },
}

/// A response, as sent and as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WireResponse {
    Data(Bytes),
    /// Ask later.
    Busy,
    /// There is no answer.
    Unavailable,
    /// The protocol is not known.
    Unsupported,
}

/// One codec reads and writes one exchange; the library clones it for each.
#[derive(Debug, Clone, Default)]
pub(crate) struct FrameCodec {
    /// Set when the request is written, used when its response is read.
    answer_bytes_max: usize,
}

impl request_response::Codec for FrameCodec {
    type Protocol = StreamProtocol;
    type Request = WireRequest;
    type Response = WireResponse;

    async fn read_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
    ) -> io::Result<WireRequest>
    where
        T: AsyncRead + Unpin + Send,
    {
        let (tag, length) = read_header(stream).await?;
        let bytes_max = RequestProtocol::from_tag(tag)
            .map_or(REQUEST_BYTES_MAX, RequestProtocol::request_bytes_max);
        if length > bytes_max {
            return Ok(WireRequest::Oversized { bytes: length });
        }
        let data = read_payload(stream, length, bytes_max).await?;
        Ok(WireRequest::Whole {
            tag,
            data,
            answer_bytes_max: 0,
        })
    }

    async fn read_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
    ) -> io::Result<WireResponse>
    where
        T: AsyncRead + Unpin + Send,
    {
        let (status, length) = read_header(stream).await?;
        if status == STATUS_OK {
            return read_payload(stream, length, self.answer_bytes_max)
                .await
                .map(WireResponse::Data);
        }
        if length != 0 {
            return Err(invalid(format!("a refusal with {length} bytes of payload")));
        }
        match status {
            STATUS_BUSY => Ok(WireResponse::Busy),
            STATUS_UNAVAILABLE => Ok(WireResponse::Unavailable),
            STATUS_UNSUPPORTED => Ok(WireResponse::Unsupported),
            unknown => Err(invalid(format!("unknown status {unknown}"))),
        }
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        request: WireRequest,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match request {
            WireRequest::Whole {
                tag,
                data,
                answer_bytes_max,
            } => {
                self.answer_bytes_max = answer_bytes_max;
                write_frame(stream, tag, &data).await
            }
            WireRequest::Oversized { bytes } => {
                Err(invalid(format!("a request of {bytes} bytes is never sent")))
            }
        }
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        response: WireResponse,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match response {
            WireResponse::Data(data) => write_frame(stream, STATUS_OK, &data).await,
            WireResponse::Busy => write_frame(stream, STATUS_BUSY, &[]).await,
            WireResponse::Unavailable => write_frame(stream, STATUS_UNAVAILABLE, &[]).await,
            WireResponse::Unsupported => write_frame(stream, STATUS_UNSUPPORTED, &[]).await,
        }
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

async fn read_header<T: AsyncRead + Unpin>(stream: &mut T) -> io::Result<(u8, usize)> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).await?;
    let [first, length @ ..] = header;
    Ok((first, u32::from_le_bytes(length) as usize))
}

async fn read_payload<T: AsyncRead + Unpin>(
    stream: &mut T,
    length: usize,
    bytes_max: usize,
) -> io::Result<Bytes> {
    if length > bytes_max {
        return Err(invalid(format!(
            "a payload of {length} bytes, more than {bytes_max}"
        )));
    }
    let mut payload = Vec::with_capacity(length.min(CHUNK_BYTES));
    while payload.len() < length {
        let filled = payload.len();
        payload.resize(length.min(filled + CHUNK_BYTES), 0);
        stream.read_exact(&mut payload[filled..]).await?;
    }
    Ok(Bytes::from(payload))
}

async fn write_frame<T: AsyncWrite + Unpin>(
    stream: &mut T,
    first: u8,
    payload: &[u8],
) -> io::Result<()> {
    let length = u32::try_from(payload.len())
        .map_err(|_| invalid(format!("a payload of {} bytes", payload.len())))?;
    let mut header = Vec::with_capacity(5 + JOINED_BYTES_MAX.min(payload.len()));
    header.push(first);
    header.extend_from_slice(&length.to_le_bytes());
    let (joined, rest) = payload.split_at(payload.len().min(JOINED_BYTES_MAX));
    header.extend_from_slice(joined);
    stream.write_all(&header).await?;
    stream.write_all(rest).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec;
    use proptest::prelude::*;

    use super::*;

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/test");

    fn written_request(tag: u8, data: &[u8]) -> Vec<u8> {
        let mut wire = Cursor::new(Vec::new());
        let data = Bytes::copy_from_slice(data);
        let request = WireRequest::Whole {
            tag,
            data,
            answer_bytes_max: 0,
        };
        block_on(FrameCodec::default().write_request(&PROTOCOL, &mut wire, request)).unwrap();
        wire.into_inner()
    }

    fn read_request(wire: &[u8]) -> io::Result<WireRequest> {
        block_on(FrameCodec::default().read_request(&PROTOCOL, &mut Cursor::new(wire)))
    }

    fn written_response(response: WireResponse) -> Vec<u8> {
        let mut wire = Cursor::new(Vec::new());
        block_on(FrameCodec::default().write_response(&PROTOCOL, &mut wire, response)).unwrap();
        wire.into_inner()
    }

    fn read_response(wire: &[u8], answer_bytes_max: usize) -> io::Result<WireResponse> {
        let mut codec = FrameCodec { answer_bytes_max };
        block_on(codec.read_response(&PROTOCOL, &mut Cursor::new(wire)))
    }

    /// A header that announces `length` and nothing behind it: if the length were not refused, the
    /// reader would report a missing payload instead.
    fn header(first: u8, length: u32) -> Vec<u8> {
        let mut wire = vec![first];
        wire.extend_from_slice(&length.to_le_bytes());
        wire
    }

    #[test]
    fn lengths_are_refused_before_allocation() {
        for tag in 0..=255 {
            let read = read_request(&header(tag, REQUEST_BYTES_MAX as u32 + 1)).unwrap();
            assert!(matches!(read, WireRequest::Oversized { bytes: 16_385 }));
            let error = read_request(&header(tag, REQUEST_BYTES_MAX as u32)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        let error = read_response(&header(STATUS_OK, u32::MAX), 8 << 20).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = read_response(&header(STATUS_OK, 11), 10).unwrap_err();
        assert!(
            error.to_string().contains("11 bytes, more than 10"),
            "{error}"
        );
        let error = read_response(&header(STATUS_BUSY, 1), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    /// A stream that ends after `left` bytes and notes the most that was ever asked of it at once.
    struct Miser {
        left: usize,
        asked_max: usize,
    }

    impl AsyncRead for Miser {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            self.asked_max = self.asked_max.max(buffer.len());
            let bytes = buffer.len().min(self.left);
            self.left -= bytes;
            std::task::Poll::Ready(Ok(bytes))
        }
    }

    #[test]
    fn memory_follows_what_arrives_not_what_is_promised() {
        let mut stream = Miser {
            left: 3 * CHUNK_BYTES,
            asked_max: 0,
        };
        let promised = 8 << 20;
        let error = block_on(read_payload(&mut stream, promised, promised)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(stream.asked_max, CHUNK_BYTES);
    }

    #[test]
    fn refusals_return() {
        for response in [
            WireResponse::Busy,
            WireResponse::Unavailable,
            WireResponse::Unsupported,
        ] {
            let wire = written_response(response.clone());
            assert_eq!(wire.len(), 5);
            assert_eq!(read_response(&wire, 0).unwrap(), response);
        }
        assert!(read_response(&header(9, 0), 10).is_err());
    }

    #[test]
    fn a_large_payload_returns() {
        let data: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
        let wire = written_response(WireResponse::Data(Bytes::from(data.clone())));
        assert_eq!(
            read_response(&wire, 300_000).unwrap(),
            WireResponse::Data(Bytes::from(data))
        );
    }

    proptest! {
        #[test]
        fn requests_return(
            tag in any::<u8>(),
            data in proptest::collection::vec(any::<u8>(), 0..REQUEST_BYTES_MAX),
        ) {
            let request = read_request(&written_request(tag, &data)).unwrap();
            let WireRequest::Whole { tag: read_tag, data: read_data, .. } = request else {
                panic!("{request:?} is not whole")
            };
            prop_assert_eq!(read_tag, tag);
            prop_assert_eq!(read_data, Bytes::from(data));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(
            wire in proptest::collection::vec(any::<u8>(), 0..200),
            answer_bytes_max in 0usize..300,
        ) {
            let _ = read_request(&wire);
            if let Ok(WireResponse::Data(data)) = read_response(&wire, answer_bytes_max) {
                prop_assert!(data.len() <= answer_bytes_max);
            }
        }

        /// Every cut of a valid frame is an error, never a shorter message.
        #[test]
        fn truncated_frames_are_errors(
            data in proptest::collection::vec(any::<u8>(), 0..100),
            cut in 0usize..105,
        ) {
            let wire = written_request(1, &data);
            prop_assume!(cut < wire.len());
            prop_assert!(read_request(&wire[..cut]).is_err());
        }
    }
}
