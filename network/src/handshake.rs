//! The handshake: what two nodes tell each other before anything else.
//!
//! It runs on the first substream of every connection, before the connection exists for gossip,
//! requests or anything else. The dialler speaks first. A peer on another chain, with other
//! parameters or another protocol version is told our values, so that its operator sees both sides
//! as well, and the connection ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, RwLock},
    time::{Duration, Instant},
};

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use crate::{
    event::{Direction, HandshakeRefusal},
    transport::meter::Traffic,
};

/// Version of the network protocol: everything that both sides must do alike, from this handshake
/// to the payload of requests.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest claim, bytes.
pub const CLAIM_BYTES_MAX: usize = 1024;

/// Longest software version, bytes.
pub(crate) const SOFTWARE_BYTES_MAX: usize = 64;

/// Stream protocol of the handshake.
pub(crate) const HANDSHAKE_PROTOCOL: &str = "/holdfast/handshake/1";

/// Own addresses told to a peer.
pub(crate) const OWN_ADDRESSES_MAX: usize = 8;

/// Addresses of other peers told to a peer.
pub(crate) const KNOWN_PEERS_MAX: usize = 64;

/// Largest handshake on the wire, bytes.
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// Longest address on the wire, bytes.
const ADDRESS_BYTES_MAX: usize = 128;

/// Handshakes that passed and whose connection is about to appear.
const ACCEPTED_MAX: usize = 1024;
const ACCEPTED_LIFETIME: Duration = Duration::from_secs(30);

/// The message. Both sides send one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Handshake {
    pub(crate) protocol_version: u32,
    pub(crate) chain_id: [u8; 32],
    pub(crate) parameters_hash: [u8; 32],
    pub(crate) software_version: String,
    /// Random per process: tells a restarted peer from a second connection of the same one.
    pub(crate) instance: u64,
    pub(crate) claim: Vec<u8>,
    /// Addresses of the sender, in binary form.
    pub(crate) own_addresses: Vec<Vec<u8>>,
    /// Addresses of other peers, in binary form, each with its peer id.
    pub(crate) known_peers: Vec<Vec<u8>>,
}

/// A handshake that passed, with its addresses parsed.
#[derive(Debug, Clone)]
pub(crate) struct RemoteHello {
    pub(crate) protocol_version: u32,
    pub(crate) software_version: String,
    pub(crate) instance: u64,
    pub(crate) claim: Vec<u8>,
    pub(crate) own_addresses: Vec<Multiaddr>,
    pub(crate) known_peers: Vec<Multiaddr>,
}

/// A handshake that did not pass.
#[derive(Debug)]
pub(crate) struct RefusedHandshake {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    pub(crate) direction: Direction,
    pub(crate) refusal: HandshakeRefusal,
}

/// What the handshakes, which run inside connection attempts, share with the network task.
#[derive(Debug)]
pub(crate) struct HandshakeContext {
    chain_id: [u8; 32],
    parameters_hash: [u8; 32],
    software_version: String,
    instance: u64,
    /// The parts of our handshake that change.
    told: RwLock<Told>,
    accepted: Mutex<HashMap<PeerId, (Instant, RemoteHello)>>,
    traffic: Mutex<HashMap<PeerId, Arc<Traffic>>>,
    refused: mpsc::Sender<RefusedHandshake>,
}

#[derive(Debug, Default)]
struct Told {
    claim: Vec<u8>,
    own_addresses: Vec<Vec<u8>>,
    known_peers: Vec<Vec<u8>>,
}

impl HandshakeContext {
    pub(crate) fn new(
        chain_id: [u8; 32],
        parameters_hash: [u8; 32],
        software_version: String,
        claim: Vec<u8>,
        refused: mpsc::Sender<RefusedHandshake>,
    ) -> Self {
        Self {
            chain_id,
            parameters_hash,
            software_version,
            instance: rand::random(),
            told: RwLock::new(Told {
                claim,
                ..Told::default()
            }),
            accepted: Mutex::default(),
            traffic: Mutex::default(),
            refused,
        }
    }

    /// What we say of ourselves.
    pub(crate) fn ours(&self) -> Handshake {
        let told = self
            .told
            .read()
            .expect("no code panics while it holds this lock");
        Handshake {
            protocol_version: PROTOCOL_VERSION,
            chain_id: self.chain_id,
            parameters_hash: self.parameters_hash,
            software_version: self.software_version.clone(),
            instance: self.instance,
            claim: told.claim.clone(),
            own_addresses: told.own_addresses.clone(),
            known_peers: told.known_peers.clone(),
        }
    }

    pub(crate) fn set_claim(&self, claim: Vec<u8>) {
        self.told
            .write()
            .expect("no code panics while it holds this lock")
            .claim = claim;
    }

    /// Replaces the addresses that we tell.
    pub(crate) fn set_addresses(&self, own: &[Multiaddr], known: &[Multiaddr]) {
        let bytes = |addresses: &[Multiaddr], limit| {
            addresses
                .iter()
                .take(limit)
                .map(Multiaddr::to_vec)
                .collect()
        };
        let mut told = self
            .told
            .write()
            .expect("no code panics while it holds this lock");
        told.own_addresses = bytes(own, OWN_ADDRESSES_MAX);
        told.known_peers = bytes(known, KNOWN_PEERS_MAX);
    }

    /// Judges what the peer said.
    pub(crate) fn check(&self, theirs: Handshake) -> Result<RemoteHello, HandshakeRefusal> {
        if theirs.chain_id != self.chain_id {
            return Err(HandshakeRefusal::ChainId {
                ours: hex::encode(self.chain_id),
                theirs: hex::encode(theirs.chain_id),
            });
        }
        if theirs.parameters_hash != self.parameters_hash {
            return Err(HandshakeRefusal::Parameters {
                ours: hex::encode(self.parameters_hash),
                theirs: hex::encode(theirs.parameters_hash),
            });
        }
        let software_version = printable(&theirs.software_version);
        if theirs.protocol_version != PROTOCOL_VERSION {
            return Err(HandshakeRefusal::ProtocolVersion {
                ours: PROTOCOL_VERSION,
                theirs: theirs.protocol_version,
                software: software_version,
            });
        }
        let malformed = |reason: &str| HandshakeRefusal::Malformed {
            reason: reason.to_owned(),
        };
        if theirs.claim.len() > CLAIM_BYTES_MAX {
            return Err(malformed("the claim is longer than 1024 bytes"));
        }
        if theirs.own_addresses.len() > OWN_ADDRESSES_MAX
            || theirs.known_peers.len() > KNOWN_PEERS_MAX
        {
            return Err(malformed("too many addresses"));
        }
        // An address of a kind that this version does not know is skipped, not refused.
        Ok(RemoteHello {
            protocol_version: theirs.protocol_version,
            software_version,
            instance: theirs.instance,
            claim: theirs.claim,
            own_addresses: parse_addresses(theirs.own_addresses),
            known_peers: parse_addresses(theirs.known_peers),
        })
    }

    /// Keeps a handshake that passed until its connection appears.
    pub(crate) fn accept(&self, peer: PeerId, hello: RemoteHello, now: Instant) {
        let mut accepted = self.accepted();
        if accepted.len() >= ACCEPTED_MAX {
            accepted.retain(|_, (at, _)| now.duration_since(*at) < ACCEPTED_LIFETIME);
        }
        if accepted.len() < ACCEPTED_MAX {
            accepted.insert(peer, (now, hello));
        }
    }

    pub(crate) fn take_accepted(&self, peer: &PeerId) -> Option<RemoteHello> {
        self.accepted().remove(peer).map(|(_, hello)| hello)
    }

    /// Reports a refusal. If reports pile up, this one is lost: it only informs.
    pub(crate) fn refuse(&self, refused: RefusedHandshake) {
        let _ = self.refused.try_send(refused);
    }

    /// The byte counts of a peer, shared by all its connections.
    pub(crate) fn traffic(&self, peer: PeerId) -> Arc<Traffic> {
        let mut traffic = self
            .traffic
            .lock()
            .expect("no code panics while it holds this lock");
        Arc::clone(traffic.entry(peer).or_default())
    }

    /// Forgets peers that are gone and handshakes whose connection never appeared.
    pub(crate) fn sweep(&self, now: Instant) {
        self.accepted()
            .retain(|_, (at, _)| now.duration_since(*at) < ACCEPTED_LIFETIME);
        let mut traffic = self
            .traffic
            .lock()
            .expect("no code panics while it holds this lock");
        // One reference is the map's own: no connection and no peer record holds the others.
        traffic.retain(|_, counts| Arc::strong_count(counts) > 1);
    }

    fn accepted(&self) -> MutexGuard<'_, HashMap<PeerId, (Instant, RemoteHello)>> {
        self.accepted
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

/// Largest answer to a request for addresses, bytes.
pub(crate) const ADDRESSES_BYTES_MAX: usize = 4 + KNOWN_PEERS_MAX * (4 + ADDRESS_BYTES_MAX);

/// Addresses as an answer to a peer: a borsh list of their binary forms.
pub(crate) fn encode_addresses(addresses: &[Multiaddr]) -> Bytes {
    let addresses: Vec<Vec<u8>> = addresses
        .iter()
        .take(KNOWN_PEERS_MAX)
        .map(Multiaddr::to_vec)
        .filter(|bytes| bytes.len() <= ADDRESS_BYTES_MAX)
        .collect();
    let encoded =
        borsh::to_vec(&addresses).expect("a list of byte strings in memory has an encoding");
    Bytes::from(encoded)
}

/// The addresses of an answer. `None` if it is none; an address of an unknown kind is skipped.
pub(crate) fn decode_addresses(answer: &[u8]) -> Option<Vec<Multiaddr>> {
    let addresses: Vec<Vec<u8>> = borsh::from_slice(answer).ok()?;
    (addresses.len() <= KNOWN_PEERS_MAX).then(|| parse_addresses(addresses))
}

fn parse_addresses(addresses: Vec<Vec<u8>>) -> Vec<Multiaddr> {
    addresses
        .into_iter()
        .filter(|bytes| bytes.len() <= ADDRESS_BYTES_MAX)
        .filter_map(|bytes| Multiaddr::try_from(bytes).ok())
        .collect()
}

/// A peer's text goes to logs and terminals: nothing but printable ASCII, and not much of it.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .take(SOFTWARE_BYTES_MAX)
        .map(|letter| {
            if (' '..='~').contains(&letter) {
                letter
            } else {
                '?'
            }
        })
        .collect()
}

/// Writes a handshake: length (u32, little endian), borsh.
pub(crate) async fn write_handshake<S>(stream: &mut S, handshake: &Handshake) -> std::io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let body = borsh::to_vec(handshake)?;
    let length = u32::try_from(body.len()).expect("our handshake is a few kilobytes");
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&body);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// Reads a handshake. The length is checked before anything is allocated for it.
pub(crate) async fn read_handshake<S>(stream: &mut S) -> Result<Handshake, String>
where
    S: AsyncRead + Unpin,
{
    let mut length = [0; 4];
    stream
        .read_exact(&mut length)
        .await
        .map_err(|error| error.to_string())?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(format!("{length} bytes, more than {FRAME_BYTES_MAX}"));
    }
    let mut body = vec![0; length];
    stream
        .read_exact(&mut body)
        .await
        .map_err(|error| error.to_string())?;
    borsh::from_slice(&body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use proptest::prelude::*;

    use super::*;

    fn context(chain: u8, parameters: u8) -> HandshakeContext {
        let (refused, _) = mpsc::channel(1);
        HandshakeContext::new(
            [chain; 32],
            [parameters; 32],
            "test/1".into(),
            vec![7; 9],
            refused,
        )
    }

    async fn round_trip(handshake: &Handshake) -> Result<Handshake, String> {
        let mut wire = Cursor::new(Vec::new());
        write_handshake(&mut wire, handshake).await.unwrap();
        read_handshake(&mut Cursor::new(wire.into_inner())).await
    }

    #[tokio::test]
    async fn a_full_handshake_fits_and_returns() {
        let context = context(1, 2);
        context.set_claim(vec![5; CLAIM_BYTES_MAX]);
        let peer = PeerId::random();
        let long: Multiaddr = format!("/ip6/2a01:1:2:3:4:5:6:7/udp/65535/quic-v1/p2p/{peer}")
            .parse()
            .unwrap();
        context.set_addresses(&vec![long.clone(); 100], &vec![long.clone(); 1000]);
        let hello = context
            .check(round_trip(&context.ours()).await.unwrap())
            .unwrap();
        assert_eq!(hello.claim.len(), CLAIM_BYTES_MAX);
        assert_eq!(hello.own_addresses, vec![long.clone(); OWN_ADDRESSES_MAX]);
        assert_eq!(hello.known_peers, vec![long; KNOWN_PEERS_MAX]);
    }

    #[test]
    fn a_difference_is_refused_with_both_values() {
        let ours = context(1, 2);
        let refusal = ours.check(context(3, 2).ours()).unwrap_err();
        assert_eq!(refusal.name(), "chain_id");
        let text = refusal.to_string();
        assert!(text.contains(&hex::encode([1; 32])) && text.contains(&hex::encode([3; 32])));
        assert!(text.contains("genesis"), "{text} says what to do");

        assert_eq!(
            ours.check(context(1, 3).ours()).unwrap_err().name(),
            "parameters"
        );

        let mut other = ours.ours();
        other.protocol_version = 9;
        other.software_version = "evil\u{1b}[2J".into();
        let text = ours.check(other).unwrap_err().to_string();
        assert!(text.contains('9') && text.contains("evil?[2J"), "{text}");
    }

    #[test]
    fn bounds_are_enforced() {
        let ours = context(1, 2);
        let changed = |change: fn(&mut Handshake)| {
            let mut theirs = ours.ours();
            change(&mut theirs);
            ours.check(theirs)
        };
        assert!(changed(|theirs| theirs.claim = vec![0; CLAIM_BYTES_MAX + 1]).is_err());
        assert!(changed(|theirs| theirs.own_addresses = vec![vec![]; 9]).is_err());
        assert!(changed(|theirs| theirs.known_peers = vec![vec![]; 65]).is_err());
        let hello = changed(|theirs| theirs.own_addresses = vec![vec![0xff; 3]; 8]).unwrap();
        assert!(hello.own_addresses.is_empty());
    }

    #[test]
    fn addresses_return_within_their_bound() {
        let peer = PeerId::random();
        let address: Multiaddr = format!("/ip4/1.2.3.4/tcp/5/p2p/{peer}").parse().unwrap();
        let encoded = encode_addresses(&vec![address.clone(); 100]);
        assert!(encoded.len() <= ADDRESSES_BYTES_MAX);
        assert_eq!(
            decode_addresses(&encoded),
            Some(vec![address; KNOWN_PEERS_MAX])
        );
        assert_eq!(decode_addresses(b"no list"), None);
        let too_many = borsh::to_vec(&vec![vec![0u8; 1]; KNOWN_PEERS_MAX + 1]).unwrap();
        assert_eq!(decode_addresses(&too_many), None);
    }

    #[test]
    fn accepted_handshakes_wait_only_so_long() {
        let (context, peer, now) = (context(1, 2), PeerId::random(), Instant::now());
        let hello = context.check(context.ours()).unwrap();
        context.accept(peer, hello.clone(), now);
        assert!(context.take_accepted(&peer).is_some());
        assert!(context.take_accepted(&peer).is_none());
        for _ in 0..ACCEPTED_MAX + 5 {
            context.accept(PeerId::random(), hello.clone(), now);
        }
        assert_eq!(context.accepted().len(), ACCEPTED_MAX);
        context.sweep(now + ACCEPTED_LIFETIME);
        assert!(context.accepted().is_empty());
    }

    #[tokio::test]
    async fn a_length_is_refused_before_it_is_allocated() {
        let wire = u32::MAX.to_le_bytes();
        let error = read_handshake(&mut Cursor::new(wire)).await.unwrap_err();
        assert!(error.contains("4294967295 bytes, more than"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut frame = (bytes.len() as u32).to_le_bytes().to_vec();
            frame.extend_from_slice(&bytes);
            let read = futures::executor::block_on(read_handshake(&mut Cursor::new(frame)));
            if let Ok(theirs) = read {
                let _ = context(1, 2).check(theirs);
            }
        }
    }
}
