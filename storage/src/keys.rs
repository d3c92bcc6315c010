//! Keys of the column families: fixed parts, big-endian.

use holdfast_types::{AuthorityIndex, BlockId, Era, Height, Round, VertexDigest, VertexRef};

pub(crate) const FORMAT_KEY: &[u8] = b"format";
pub(crate) const CHAIN_KEY: &[u8] = b"chain";
pub(crate) const POSITION_KEY: &[u8] = b"position";
pub(crate) const END_VOTES_KEY: &[u8] = b"end_votes";
pub(crate) const HALT_STATE_KEY: &[u8] = b"state";

pub(crate) const HEIGHT_BYTES: usize = 8;
pub(crate) const BLOCK_KEY_BYTES: usize = 40;
pub(crate) const VERTEX_KEY_BYTES: usize = 50;
pub(crate) const PLACE_BYTES: usize = 12;

pub(crate) const fn height_key(height: Height) -> [u8; HEIGHT_BYTES] {
    height.0.to_be_bytes()
}

pub(crate) const fn era_key(era: Era) -> [u8; 8] {
    era.0.to_be_bytes()
}

pub(crate) const fn sequence_key(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

/// Height, then id: of fork blocks and certificates.
pub(crate) fn block_key(height: Height, id: &BlockId) -> [u8; BLOCK_KEY_BYTES] {
    let mut key = [0; BLOCK_KEY_BYTES];
    key[..8].copy_from_slice(&height.0.to_be_bytes());
    key[8..].copy_from_slice(id.as_bytes());
    key
}

/// Inverse of [`block_key`].
pub(crate) fn parse_block_key(key: &[u8]) -> Option<(Height, BlockId)> {
    let (height, id) = key.split_first_chunk::<8>()?;
    Some((
        Height(u64::from_be_bytes(*height)),
        BlockId::new(id.try_into().ok()?),
    ))
}

/// Inverse of [`height_key`].
pub(crate) fn parse_height(key: &[u8]) -> Option<Height> {
    Some(Height(parse_number(key)?))
}

/// Inverse of [`sequence_key`].
pub(crate) fn parse_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

pub(crate) fn vertex_key(era: Era, reference: &VertexRef) -> [u8; VERTEX_KEY_BYTES] {
    let mut key = [0; VERTEX_KEY_BYTES];
    key[..8].copy_from_slice(&era.0.to_be_bytes());
    key[8..16].copy_from_slice(&reference.round.0.to_be_bytes());
    key[16..18].copy_from_slice(&reference.author.0.to_be_bytes());
    key[18..].copy_from_slice(reference.digest.as_bytes());
    key
}

/// First possible key of the vertices of `era` above `round`.
pub(crate) fn vertices_above_key(era: Era, round: Round) -> [u8; 16] {
    // Above the last round lies the next era; above the last era, nothing that exists.
    let (era, round) = match round.0.checked_add(1) {
        Some(next) => (era, Round(next)),
        None => (era.next(), Round::ZERO),
    };
    vertices_from_key(era, round)
}

/// First possible key of the vertices of `era` from `round` on.
pub(crate) fn vertices_from_key(era: Era, round: Round) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&era.0.to_be_bytes());
    key[8..].copy_from_slice(&round.0.to_be_bytes());
    key
}

/// The reference in a key of [`vertex_key`].
pub(crate) fn parse_vertex_key(key: &[u8]) -> Option<VertexRef> {
    let (_, reference) = key.split_first_chunk::<8>()?;
    let (round, reference) = reference.split_first_chunk::<8>()?;
    let (author, digest) = reference.split_first_chunk::<2>()?;
    Some(VertexRef {
        round: Round(u64::from_be_bytes(*round)),
        author: AuthorityIndex(u16::from_be_bytes(*author)),
        digest: VertexDigest::new(digest.try_into().ok()?),
    })
}

/// Height and index of a transaction; places sort by first inclusion.
pub(crate) fn place(height: Height, index: u32) -> [u8; PLACE_BYTES] {
    let mut bytes = [0; PLACE_BYTES];
    bytes[..8].copy_from_slice(&height.0.to_be_bytes());
    bytes[8..].copy_from_slice(&index.to_be_bytes());
    bytes
}

/// Inverse of [`place`].
pub(crate) fn parse_place(bytes: &[u8]) -> Option<(Height, u32)> {
    let (height, index) = bytes.split_first_chunk::<8>()?;
    Some((
        Height(u64::from_be_bytes(*height)),
        u32::from_be_bytes(index.try_into().ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_sort_as_their_parts(
            left in any::<(u64, u64, u16, [u8; 32])>(),
            right in any::<(u64, u64, u16, [u8; 32])>(),
        ) {
            let key = |(era, round, author, digest): (u64, u64, u16, [u8; 32])| {
                vertex_key(Era(era), &VertexRef {
                    round: Round(round),
                    author: AuthorityIndex(author),
                    digest: VertexDigest::new(digest),
                })
            };
            prop_assert_eq!(key(left).cmp(&key(right)), left.cmp(&right));
            let block = |(height, _, _, id): (u64, u64, u16, [u8; 32])| {
                (Height(height), BlockId::new(id))
            };
            let (a, b) = (block(left), block(right));
            prop_assert_eq!(block_key(a.0, &a.1).cmp(&block_key(b.0, &b.1)), a.cmp(&b));
            prop_assert_eq!(parse_block_key(&block_key(a.0, &a.1)), Some(a));
        }

        #[test]
        fn places_sort_by_first_inclusion(left in any::<(u64, u32)>(), right in any::<(u64, u32)>()) {
            let bytes = |(height, index)| place(Height(height), index);
            prop_assert_eq!(bytes(left).cmp(&bytes(right)), left.cmp(&right));
            prop_assert_eq!(parse_place(&bytes(left)), Some((Height(left.0), left.1)));
        }
    }

    #[test]
    fn above_the_last_round_lies_the_next_era() {
        let mut next_era = [0; 16];
        next_era[7] = 5;
        assert_eq!(vertices_above_key(Era(4), Round::MAX), next_era);
        next_era[7] = 4;
        next_era[15] = 10;
        assert_eq!(vertices_above_key(Era(4), Round(9)), next_era);
    }

    #[test]
    fn malformed_keys_are_none() {
        assert_eq!(parse_block_key(&[0; 39]), None);
        assert_eq!(parse_block_key(&[0; 41]), None);
        assert_eq!(parse_height(&[0; 7]), None);
        assert_eq!(parse_place(&[0; 11]), None);
    }
}
