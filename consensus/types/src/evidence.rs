//! Evidence: signed objects that contradict each other, self-contained and bounded.

use crate::attestation::Attestation;
use crate::committee::Committee;
use crate::crypto::SignatureScheme;
use crate::hash::{Hash32, Purpose};
use crate::ids::{AuthorityIndex, ChainId, Era};
use crate::vertex::SignedVertexHeader;
use borsh::{BorshDeserialize, BorshSerialize};

/// Proof of misbehaviour of one validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Evidence {
    /// Two different vertices in one (era, round, author) slot, the lower digest first.
    Equivocation {
        first: SignedVertexHeader,
        second: SignedVertexHeader,
    },
    /// Two different attestations of one author for one (era, height).
    ContradictoryAttestations {
        first: Attestation,
        second: Attestation,
    },
    /// An attestation that names another result of a commit than the chain has. The chain itself is the other statement:
    /// whoever executes this compares it with the block of that height.
    BadStateRoot { attestation: Attestation },
}

/// Why evidence proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    #[error("the two statements are of different authors or slots")]
    DifferentSlots,
    #[error("the two statements do not contradict each other, or stand in the wrong order")]
    NoContradiction,
    #[error("authority {authority} is no member of the committee of era {era}")]
    UnknownAuthor { authority: AuthorityIndex, era: Era },
    #[error("a signature of the evidence does not verify")]
    BadSignature,
}

impl EvidenceError {
    /// Stable name for RPC.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DifferentSlots => "different_slots",
            Self::NoContradiction => "no_contradiction",
            Self::UnknownAuthor { .. } => "unknown_author",
            Self::BadSignature => "bad_signature",
        }
    }
}

impl Evidence {
    /// Stable name of the offence, for RPC and files.
    #[must_use]
    pub const fn offence(&self) -> &'static str {
        match self {
            Self::Equivocation { .. } => "equivocation",
            Self::ContradictoryAttestations { .. } => "contradictory_attestations",
            Self::BadStateRoot { .. } => "bad_state_root",
        }
    }

    #[must_use]
    pub const fn era(&self) -> Era {
        match self {
            Self::Equivocation { first, .. } => first.header.era,
            Self::ContradictoryAttestations { first, .. }
            | Self::BadStateRoot { attestation: first } => first.body.era,
        }
    }

    #[must_use]
    pub const fn offender(&self) -> AuthorityIndex {
        match self {
            Self::Equivocation { first, .. } => first.header.author,
            Self::ContradictoryAttestations { first, .. }
            | Self::BadStateRoot { attestation: first } => first.author,
        }
    }

    /// Identity for deduplication: offence, era, offender and slot, whatever the two statements are.
    #[must_use]
    pub fn slot_key(&self) -> Hash32 {
        match self {
            Self::Equivocation { first, .. } => Purpose::EVIDENCE.hash_encoded(&(
                0u8,
                first.header.era,
                first.header.author,
                first.header.round.0,
            )),
            // One height, one offence, whatever it is compared with.
            Self::ContradictoryAttestations { first, .. }
            | Self::BadStateRoot { attestation: first } => Purpose::EVIDENCE.hash_encoded(&(
                1u8,
                first.body.era,
                first.author,
                first.body.height.0,
            )),
        }
    }

    /// Verifies against the committee of the era in which it happened. Of [`Self::BadStateRoot`] this is the signature only.
    pub fn verify(
        &self,
        chain: &ChainId,
        committee: &Committee,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), EvidenceError> {
        let checks = match self {
            Self::BadStateRoot { attestation } => {
                vec![attestation.signature_check(chain, committee)]
            }
            Self::Equivocation { first, second } => {
                let (a, b) = (&first.header, &second.header);
                if (a.era, a.round, a.author) != (b.era, b.round, b.author) {
                    return Err(EvidenceError::DifferentSlots);
                }
                if a.digest(chain) >= b.digest(chain) {
                    return Err(EvidenceError::NoContradiction);
                }
                vec![
                    first.signature_check(chain, committee),
                    second.signature_check(chain, committee),
                ]
            }
            Self::ContradictoryAttestations { first, second } => {
                let slot = |a: &Attestation| (a.body.era, a.body.height, a.author);
                if slot(first) != slot(second) {
                    return Err(EvidenceError::DifferentSlots);
                }
                if first.body >= second.body {
                    return Err(EvidenceError::NoContradiction);
                }
                vec![
                    first.signature_check(chain, committee),
                    second.signature_check(chain, committee),
                ]
            }
        };
        for check in checks {
            let check = check.ok_or_else(|| EvidenceError::UnknownAuthor {
                authority: self.offender(),
                era: self.era(),
            })?;
            if !scheme.verify(&check) {
                return Err(EvidenceError::BadSignature);
            }
        }
        Ok(())
    }
}
