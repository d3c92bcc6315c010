//! The one canonical encoding: borsh, bounded and without trailing bytes.

use borsh::{BorshDeserialize, BorshSerialize};

/// Why bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("{what} is {actual} bytes long, the limit is {limit}")]
    TooLong {
        what: &'static str,
        actual: usize,
        limit: usize,
    },
    #[error("{what} does not decode: {reason}")]
    Malformed { what: &'static str, reason: String },
}

/// The canonical encoding of `value`.
#[must_use]
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    // Writing into a Vec fails only for a length above u32::MAX, and every collection here is bounded far below.
    if let Err(error) = value.serialize(&mut bytes) {
        unreachable!("encoding a bounded value into memory failed: {error}");
    }
    bytes
}

/// Length of the canonical encoding in bytes.
#[must_use]
pub fn encoded_len<T: BorshSerialize + ?Sized>(value: &T) -> usize {
    borsh::object_length(value).unwrap_or(usize::MAX)
}

/// Decodes exactly one value; longer than `limit` or with trailing bytes is refused. `what` names the type in errors.
pub fn decode<T: BorshDeserialize>(
    what: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLong {
            what,
            actual: bytes.len(),
            limit,
        });
    }
    borsh::from_slice(bytes).map_err(|error| CodecError::Malformed {
        what,
        reason: error.to_string(),
    })
}
