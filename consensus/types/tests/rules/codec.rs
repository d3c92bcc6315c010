//! One canonical encoding, bounded and without trailing bytes.

use holdfast_types::codec::{CodecError, decode, encode, encoded_len};
use holdfast_types::test_util::samples;
use holdfast_types::wire::{BlocksResponse, VerticesRequest};
use holdfast_types::{Action, Block, Certificate, Evidence, SignedTransaction, Vertex, VertexRef};

#[test]
fn the_limit_is_inclusive() {
    let bytes = encode(&7u64);
    assert_eq!(decode::<u64>("a number", &bytes, 8), Ok(7));
    assert_eq!(
        decode::<u64>("a number", &bytes, 7),
        Err(CodecError::TooLong {
            what: "a number",
            actual: 8,
            limit: 7
        })
    );
}

#[test]
fn a_trailing_byte_is_refused() {
    let refused = decode::<u8>("a byte", &[1, 0], 8);
    assert!(
        matches!(refused, Err(CodecError::Malformed { what: "a byte", .. })),
        "{refused:?}"
    );
}

#[test]
fn a_length_prefix_promises_nothing() {
    // Each claims about four thousand million items; what is allocated must follow the bytes that are there.
    let mut bytes = encode(&holdfast_types::Era(1));
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(decode::<VerticesRequest>("a request", &bytes, 1 << 14).is_err());
    assert!(decode::<BlocksResponse>("a response", &u32::MAX.to_le_bytes(), 1 << 14).is_err());
    assert!(decode::<Vec<VertexRef>>("references", &u32::MAX.to_le_bytes(), 1 << 14).is_err());
}

#[test]
fn tags_that_do_not_exist_are_refused() {
    for tag in 0..=u8::MAX {
        let option = decode::<Option<u8>>("an option", &[tag, 5], 8);
        assert_eq!(option.is_ok(), tag == 1, "tag {tag}");
    }
    assert_eq!(decode::<Option<u8>>("an option", &[0], 8), Ok(None));
    let refused = decode::<Action>("an action", &[200], 8).unwrap_err();
    assert!(refused.to_string().contains("200"), "{refused}");
}

#[test]
fn every_truncation_is_refused() {
    fn check<T>(what: &'static str)
    where
        T: holdfast_types::test_util::Sample
            + borsh::BorshSerialize
            + borsh::BorshDeserialize
            + std::fmt::Debug,
    {
        for sample in samples::<T>(what, 4) {
            let bytes = encode(&sample);
            assert_eq!(encoded_len(&sample), bytes.len());
            for length in 0..bytes.len() {
                let refused = decode::<T>(what, &bytes[..length], bytes.len());
                assert!(refused.is_err(), "{what} cut at {length}: {refused:?}");
            }
        }
    }
    check::<SignedTransaction>("a transaction");
    check::<Vertex>("a vertex");
    check::<Block>("a block");
    check::<Certificate>("a certificate");
    check::<Evidence>("evidence");
}
