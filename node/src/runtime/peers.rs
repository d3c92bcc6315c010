//! Which peer runs which validator.

use holdfast_network::{NetworkHandle, PeerClass};
use holdfast_types::{ChainId, EraContext, PeerClaim, PublicKey, SignatureScheme, codec};
use libp2p::PeerId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connected peers and their proved validator keys. Bounded by the number of connections.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    inner: Arc<Mutex<BTreeMap<PeerId, Option<PublicKey>>>>,
}

impl Peers {
    /// A peer passed the handshake with this claim; returns its validator key if the claim holds.
    pub fn connected(
        &self,
        peer: PeerId,
        claim: &[u8],
        chain: &ChainId,
        scheme: &dyn SignatureScheme,
    ) -> Option<PublicKey> {
        let limit = holdfast_types::peer_claim::PEER_CLAIM_BYTES_MAX;
        let key = codec::decode::<PeerClaim>("a peer claim", claim, limit)
            .ok()
            .filter(|claim| claim.verify(chain, &peer.to_bytes(), scheme))
            .map(|claim| claim.key);
        self.lock().insert(peer, key);
        key
    }

    pub fn disconnected(&self, peer: &PeerId) {
        self.lock().remove(peer);
    }

    #[must_use]
    pub fn all(&self) -> Vec<PeerId> {
        self.lock().keys().copied().collect()
    }

    /// The peer that runs the validator of `key`.
    #[must_use]
    pub fn of_key(&self, key: &PublicKey) -> Option<PeerId> {
        self.lock()
            .iter()
            .find_map(|(peer, known)| (known.as_ref() == Some(key)).then_some(*peer))
    }

    /// The validator that a peer runs.
    #[must_use]
    pub fn key_of(&self, peer: &PeerId) -> Option<PublicKey> {
        self.lock().get(peer).copied().flatten()
    }

    /// Tells the network who is in the committee: these keep their reserved places.
    pub fn classify(&self, network: &NetworkHandle, era: &EraContext) {
        for (peer, key) in self.lock().iter() {
            let member = key
                .as_ref()
                .is_some_and(|key| era.committee.authority_of_key(key).is_some());
            network.set_peer_class(
                *peer,
                if member {
                    PeerClass::Committee
                } else {
                    PeerClass::Other
                },
            );
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PeerId, Option<PublicKey>>> {
        // Nothing that can panic runs under this lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
