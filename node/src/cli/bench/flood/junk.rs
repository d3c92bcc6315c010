//! Messages that no validator wants, each unlike all others: a copy would go no further than the cache of duplicates.

use holdfast_network::Topic;
use holdfast_types::wire::GossipedGovernance;
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, BlockId, Certificate, ChainId, CommitDigest, Era,
    Evidence, GovernanceAction, GovernanceBody, GovernanceMessage, HaltGossip, HaltProof,
    HaltStatus, Hash32, Height, Readiness, Round, Signature, SignedHaltStatus, SignedVertexHeader,
    SoftwareVersion, StateRoot, TimestampMs, VertexHeader, codec,
};

/// The topics that the flood is about.
pub(super) const TOPICS: [Topic; 3] = [Topic::Halt, Topic::Evidence, Topic::Governance];

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The bytes are no message.
    Malformed,
    /// Everything is right but the signatures, which costs the receiver a verification.
    Forged,
    /// Of another era or with a sequence number used before. Nobody is blamed for one such message: only that there are so
    /// many of them can be held against their sender.
    OutOfDate,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Malformed, Self::Forged, Self::OutOfDate];
}

/// What the messages are about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Junk {
    pub(super) chain: ChainId,
    /// The era that runs.
    pub(super) era: Era,
    pub(super) validators: u16,
    pub(super) governors: u16,
}

/// Every hundredth malformed message is so long; the rates of the topics limit bytes as well as messages.
const LONG_BYTES: usize = 16 * 1024;
const LONG_EVERY: u64 = 100;
/// No tag of any message.
const NO_TAG: u8 = 0xff;

impl Junk {
    /// The message with this number: the same each time, and unlike all with other numbers.
    pub(super) fn message(&self, kind: Kind, number: u64) -> (Topic, Vec<u8>) {
        // The topics take turns, and on each of them what there is of messages.
        let topic = TOPICS[(number % 3) as usize];
        let bytes = match (kind, topic) {
            (Kind::Malformed, _) => malformed(number),
            (_, Topic::Halt) if number.is_multiple_of(2) => self.status(kind, number),
            (_, Topic::Halt) => self.proof(kind, number),
            (_, Topic::Evidence) => self.evidence(kind, number),
            _ => self.governance(kind, number),
        };
        (topic, bytes)
    }

    fn era_of(&self, kind: Kind) -> Era {
        match kind {
            Kind::OutOfDate => Era(u64::MAX),
            Kind::Malformed | Kind::Forged => self.era,
        }
    }

    fn author(&self, number: u64) -> AuthorityIndex {
        AuthorityIndex((number % u64::from(self.validators.max(1))) as u16)
    }

    fn status(&self, kind: Kind, number: u64) -> Vec<u8> {
        let status = HaltStatus {
            era: self.era_of(kind),
            head: Height(number),
            head_id: BlockId::new(noise(number, 1)),
            state_root: StateRoot::new(noise(number, 2)),
            certified: Height(number),
            attested: Height(number),
            version: SoftwareVersion::default(),
            halts: Vec::new(),
            own_fault: None,
            resume: None,
            readiness: Readiness::NotAsked,
            at: TimestampMs(number),
        };
        codec::encode(&HaltGossip::Status(SignedHaltStatus {
            status,
            author: self.author(number),
            signature: signature(number, 3),
        }))
    }

    fn proof(&self, kind: Kind, number: u64) -> Vec<u8> {
        let certificate = |first: u8| {
            // The lower id first, as the rule wants it.
            let mut block = noise(number, first);
            block[0] = first;
            Certificate {
                body: AttestationBody {
                    block: BlockId::new(block),
                    ..self.attested(kind, number)
                },
                signatures: (0..self.validators)
                    .map(|author| (AuthorityIndex(author), signature(number, author as u8)))
                    .collect(),
            }
        };
        codec::encode(&HaltGossip::Proof {
            proof: HaltProof::ContradictoryCertificates {
                first: certificate(0),
                second: certificate(1),
            },
            repetition: 0,
        })
    }

    fn attested(&self, kind: Kind, number: u64) -> AttestationBody {
        AttestationBody {
            era: self.era_of(kind),
            height: Height(number),
            block: BlockId::new(noise(number, 4)),
            commit: CommitDigest::new(noise(number, 5)),
            state_root: StateRoot::new(noise(number, 6)),
        }
    }

    fn evidence(&self, kind: Kind, number: u64) -> Vec<u8> {
        if number.is_multiple_of(2) {
            return codec::encode(&Evidence::BadStateRoot {
                attestation: Attestation {
                    body: self.attested(kind, number),
                    author: self.author(number),
                    signature: signature(number, 7),
                },
            });
        }
        let header = |salt: u8| SignedVertexHeader {
            header: VertexHeader {
                era: self.era_of(kind),
                round: Round(number),
                author: self.author(number),
                timestamp: TimestampMs(number),
                parents_hash: noise(number, salt),
                payload_hash: noise(number, salt),
            },
            signature: signature(number, salt),
        };
        let mut two = [header(8), header(9)];
        two.sort_by_key(|signed| signed.header.digest(&self.chain));
        let [first, second] = two;
        codec::encode(&Evidence::Equivocation { first, second })
    }

    fn governance(&self, kind: Kind, number: u64) -> Vec<u8> {
        let message = GovernanceMessage {
            body: GovernanceBody {
                sequence: match kind {
                    Kind::OutOfDate => 0,
                    Kind::Malformed | Kind::Forged => number.saturating_add(1),
                },
                action: GovernanceAction::Halt {
                    reason: noise(number, 10).to_vec(),
                    until: TimestampMs(u64::MAX),
                    after_height: None,
                },
            },
            signatures: (0..self.governors)
                .map(|governor| (governor, signature(number, governor as u8)))
                .collect(),
        };
        codec::encode(&GossipedGovernance {
            message,
            repetition: 0,
        })
    }
}

fn malformed(number: u64) -> Vec<u8> {
    let bytes = if number.is_multiple_of(LONG_EVERY) {
        LONG_BYTES
    } else {
        48 + 32 * (number % 8) as usize
    };
    let mut junk = vec![NO_TAG; bytes];
    junk[16..48].copy_from_slice(&noise(number, 11));
    junk
}

fn noise(number: u64, salt: u8) -> Hash32 {
    let mut input = [salt; 9];
    input[..8].copy_from_slice(&number.to_le_bytes());
    *blake3::hash(&input).as_bytes()
}

/// Has the form of a signature, so that it is not refused before any work was done: its second half is a number below
/// the order of the group.
fn signature(number: u64, salt: u8) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&noise(number, salt));
    bytes[32..].copy_from_slice(&noise(number, salt.wrapping_add(128)));
    bytes[63] &= 0x0f;
    Signature::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::limits::HALT_PROOF_BYTES_MAX;
    use std::collections::BTreeSet;

    const JUNK: Junk = Junk {
        chain: ChainId::new([7; 32]),
        era: Era(1),
        validators: 4,
        governors: 12,
    };

    fn decodes(topic: Topic, bytes: &[u8]) -> bool {
        let limit = topic.message_bytes_max();
        match topic {
            Topic::Halt => codec::decode::<HaltGossip>("x", bytes, HALT_PROOF_BYTES_MAX).is_ok(),
            Topic::Evidence => codec::decode::<Evidence>("x", bytes, limit).is_ok(),
            _ => codec::decode::<GossipedGovernance>("x", bytes, limit).is_ok(),
        }
    }

    #[test]
    fn only_malformed_messages_do_not_decode_and_no_two_are_equal() {
        let mut seen = BTreeSet::new();
        for kind in Kind::ALL {
            for number in 0..600 {
                let (topic, bytes) = JUNK.message(kind, number);
                assert_eq!(decodes(topic, &bytes), kind != Kind::Malformed, "{kind:?}");
                assert!(bytes.len() <= topic.message_bytes_max());
                assert!(seen.insert((topic.name(), bytes)), "{kind:?} {number}");
            }
        }
    }
}
