//! The name under which peers know a network key.

use multiaddr::PeerId;

/// An ed25519 key in libp2p's protobuf (type 1, 32 bytes of data), wrapped in an identity multihash of 36 bytes.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The libp2p peer id of an ed25519 public key.
#[must_use]
pub fn of_public_key(public_key: &[u8; 32]) -> PeerId {
    let mut bytes = [0; 38];
    bytes[..6].copy_from_slice(&PREFIX);
    bytes[6..].copy_from_slice(public_key);
    PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes is a peer id")
}

#[cfg(test)]
mod tests {
    /// Vector from the libp2p peer id specification: public key and its id.
    #[test]
    fn agrees_with_the_specification() {
        let public_key = "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
        let mut bytes = [0; 32];
        hex::decode_to_slice(public_key, &mut bytes).unwrap();
        assert_eq!(
            super::of_public_key(&bytes).to_string(),
            "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
        );
    }
}
