//! Governance messages: what the multisignature of the governors orders (DESIGN §9).
//!
//! Rules:
//!
//! * G1. A message is signed by at least `threshold` of the governors in office, each named once, in rising order.
//! * G2. Its sequence number is above that of every message that took effect before: a replay does nothing.
//! * G3. The chain id is part of what is signed: a message for another chain proves nothing here.
//! * G4. A halt ends after it is signed for at most `emergency_halt_max` from the moment in which it is received.

use crate::codec::{self, CodecError};
use crate::crypto::{PublicKey, Signature, SignatureCheck, SignatureScheme, Signer, SigningHash};
use crate::evidence::Evidence;
use crate::hash::{Hash32, Purpose};
use crate::ids::{BlockId, ChainId, Era, HaltId, Height, StateRoot, TimestampMs};
use crate::limits::{
    GOVERNANCE_BYTES_MAX, GOVERNANCE_REASON_BYTES_MAX, GOVERNORS_MAX, RESUME_EVIDENCE_MAX,
    RESUME_HALTS_MAX,
};
use crate::mutant::{self, Mutant};
use borsh::{BorshDeserialize, BorshSerialize};

/// Who may sign, and how many have to. Part of the state: `RotateKeys` changes it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Governors {
    /// In the order in which signatures name them.
    pub keys: Vec<PublicKey>,
    pub threshold: u16,
    /// Sequence number of the last message that took effect on the chain; 0: none.
    pub sequence: u64,
}

/// What is ordered. The position in this list is the tag byte: new ones are appended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum GovernanceAction {
    /// Stop the chain: at once, or after the block of this height.
    Halt {
        reason: Vec<u8>,
        /// Wall clock time at which the halt ends by itself.
        until: TimestampMs,
        after_height: Option<Height>,
    },
    /// Start era `next_era` on a block of the era before (DESIGN §4).
    Resume {
        reason: Vec<u8>,
        /// The era that ends.
        era: Era,
        /// The block on which the next one is built, and the state after it.
        height: Height,
        block: BlockId,
        state_root: StateRoot,
        /// Validators with an older version stay out.
        minimum_version: SoftwareVersion,
        /// The halts that end with it, for the record.
        halts: Vec<HaltId>,
        /// Offences that are punished before the next committee is computed.
        evidence: Vec<Evidence>,
    },
    /// Other governors from the next message on.
    RotateKeys {
        keys: Vec<PublicKey>,
        threshold: u16,
    },
}

/// What a resume goes on from: the fields of [`GovernanceAction::Resume`] that decide who can follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// The era that ends.
    pub era: Era,
    pub height: Height,
    pub block: BlockId,
    pub state_root: StateRoot,
    pub minimum_version: SoftwareVersion,
}

/// major.minor.patch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct SoftwareVersion {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl SoftwareVersion {
    /// No version is older.
    pub const ANY: Self = Self {
        major: 0,
        minor: 0,
        patch: 0,
    };
}

impl std::fmt::Display for SoftwareVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version is three numbers like 1.4.0, got {text:?}")]
pub struct VersionTextError {
    pub text: String,
}

impl std::str::FromStr for SoftwareVersion {
    type Err = VersionTextError;

    fn from_str(text: &str) -> Result<Self, VersionTextError> {
        let error = || VersionTextError {
            text: text.chars().take(64).collect(),
        };
        let mut parts = text.split('.').map(str::parse::<u16>);
        let mut next = || parts.next().and_then(Result::ok).ok_or_else(error);
        let version = Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
        };
        match parts.next() {
            None => Ok(version),
            Some(_) => Err(error()),
        }
    }
}

impl GovernanceAction {
    /// Whether it is a halt that begins only after a block above this one.
    #[must_use]
    pub fn waits_at(&self, head: Height) -> bool {
        match self {
            Self::Halt { after_height, .. } => after_height.is_some_and(|height| head < height),
            Self::Resume { .. } | Self::RotateKeys { .. } => false,
        }
    }

    /// Stable name for logs, RPC and files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Halt { .. } => "halt",
            Self::Resume { .. } => "resume",
            Self::RotateKeys { .. } => "rotate_keys",
        }
    }

    /// What a resume goes on from; none of other messages.
    #[must_use]
    pub const fn resume_point(&self) -> Option<ResumePoint> {
        match *self {
            Self::Resume {
                era,
                height,
                block,
                state_root,
                minimum_version,
                ..
            } => Some(ResumePoint {
                era,
                height,
                block,
                state_root,
                minimum_version,
            }),
            Self::Halt { .. } | Self::RotateKeys { .. } => None,
        }
    }

    /// Why the governors ordered it, in their words.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Halt { reason, .. } | Self::Resume { reason, .. } => {
                Some(String::from_utf8_lossy(reason).into_owned())
            }
            Self::RotateKeys { .. } => None,
        }
    }
}

/// What the governors sign.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GovernanceBody {
    pub sequence: u64,
    pub action: GovernanceAction,
}

impl GovernanceBody {
    /// Id of the message, which is also what is signed. It does not cover the signatures: any threshold of them says the
    /// same.
    #[must_use]
    pub fn id(&self, chain: &ChainId) -> Hash32 {
        Purpose::GOVERNANCE.hash_on_chain(chain, self)
    }

    /// Signs as the governor at `position`.
    #[must_use]
    pub fn sign(&self, position: u16, chain: &ChainId, signer: &dyn Signer) -> (u16, Signature) {
        (position, signer.sign(&SigningHash::new(self.id(chain))))
    }

    /// Checks the lengths and values that the format bounds, whoever signs it.
    pub fn check_limits(&self) -> Result<(), GovernanceError> {
        let limit = |field, actual: usize, limit: usize| {
            if actual > limit {
                return Err(GovernanceError::TooMany {
                    field,
                    actual,
                    limit,
                });
            }
            Ok(())
        };
        match &self.action {
            GovernanceAction::Halt { reason, .. } => {
                limit("reason bytes", reason.len(), GOVERNANCE_REASON_BYTES_MAX)
            }
            GovernanceAction::Resume {
                reason,
                halts,
                evidence,
                ..
            } => {
                limit("reason bytes", reason.len(), GOVERNANCE_REASON_BYTES_MAX)?;
                limit("halts", halts.len(), RESUME_HALTS_MAX)?;
                limit("evidence", evidence.len(), RESUME_EVIDENCE_MAX)
            }
            GovernanceAction::RotateKeys { keys, threshold } => {
                limit("keys", keys.len(), GOVERNORS_MAX)?;
                check_governors(keys, *threshold)
            }
        }
    }
}

/// A set of governors can reach its threshold, and only together.
fn check_governors(keys: &[PublicKey], threshold: u16) -> Result<(), GovernanceError> {
    let mut distinct = keys.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let threshold = usize::from(threshold);
    // More than half, so that no two disjoint groups can order contrary things.
    if distinct.len() != keys.len()
        || threshold > keys.len()
        || threshold.saturating_mul(2) <= keys.len()
    {
        return Err(GovernanceError::BadGovernors);
    }
    Ok(())
}

/// Why a governance message does nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GovernanceError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("the message holds {actual} {field}, the limit is {limit}")]
    TooMany {
        field: &'static str,
        actual: usize,
        limit: usize,
    },
    #[error(
        "new governors are distinct keys, and the threshold is more than half of them and at most all"
    )]
    BadGovernors,
    #[error("{actual} governors have signed, {threshold} have to")]
    NotEnoughSignatures { actual: usize, threshold: u16 },
    #[error(
        "signatures are sorted by governor, each named once and in office; governor {position} is not"
    )]
    BadSigner { position: u16 },
    #[error(
        "the signature of governor {position} does not verify: another key, another chain id or a changed message"
    )]
    BadSignature { position: u16 },
    #[error("sequence number {actual} was used before: the next message has one above {last}")]
    Replayed { actual: u64, last: u64 },
    #[error("the halt ends at {until} ms, which is not after now, {now} ms")]
    HaltOver {
        until: TimestampMs,
        now: TimestampMs,
    },
    #[error("the halt ends in {actual_ms} ms, the limit is {limit_ms} ms")]
    HaltTooLong { actual_ms: u64, limit_ms: u64 },
}

impl GovernanceError {
    /// Stable name for RPC.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Codec(_) => "malformed",
            Self::TooMany { .. } => "too_many",
            Self::BadGovernors => "bad_governors",
            Self::NotEnoughSignatures { .. } => "not_enough_signatures",
            Self::BadSigner { .. } => "bad_signer",
            Self::BadSignature { .. } => "bad_signature",
            Self::Replayed { .. } => "replayed",
            Self::HaltOver { .. } => "halt_over",
            Self::HaltTooLong { .. } => "halt_too_long",
        }
    }
}

/// A message with signatures of governors.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GovernanceMessage {
    pub body: GovernanceBody,
    /// Position of each signer among the governors, rising.
    pub signatures: Vec<(u16, Signature)>,
}

impl GovernanceMessage {
    /// Decodes one message within its limits; signatures are not checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, GovernanceError> {
        let message: Self = codec::decode("a governance message", bytes, GOVERNANCE_BYTES_MAX)?;
        message.body.check_limits()?;
        Ok(message)
    }

    /// Verifies rules G1 to G3 against the governors in office.
    pub fn verify(
        &self,
        chain: &ChainId,
        governors: &Governors,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), GovernanceError> {
        self.body.check_limits()?;
        if self.body.sequence <= governors.sequence {
            return Err(GovernanceError::Replayed {
                actual: self.body.sequence,
                last: governors.sequence,
            });
        }
        self.verify_signatures(chain, governors, scheme)
    }

    /// Verifies rules G1 and G3: enough governors have signed this.
    pub fn verify_signatures(
        &self,
        chain: &ChainId,
        governors: &Governors,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), GovernanceError> {
        let actual = self.signatures.len();
        if actual < usize::from(governors.threshold) {
            return Err(GovernanceError::NotEnoughSignatures {
                actual,
                threshold: governors.threshold,
            });
        }
        let message = SigningHash::new(self.body.id(chain));
        let mut before: Option<u16> = None;
        for &(position, signature) in &self.signatures {
            let key = governors
                .keys
                .get(usize::from(position))
                .filter(|_| {
                    before.is_none_or(|before| before < position)
                        || mutant::is_on(Mutant::OneSignerCountsTwice)
                })
                .ok_or(GovernanceError::BadSigner { position })?;
            before = Some(position);
            let check = SignatureCheck {
                key: *key,
                message,
                signature,
            };
            if !scheme.verify(&check) {
                return Err(GovernanceError::BadSignature { position });
            }
        }
        Ok(())
    }

    /// Rule G4, at the moment of receipt.
    pub fn check_end(&self, now: TimestampMs, limit_ms: u64) -> Result<(), GovernanceError> {
        let GovernanceAction::Halt { until, .. } = &self.body.action else {
            return Ok(());
        };
        if *until <= now {
            return Err(GovernanceError::HaltOver { until: *until, now });
        }
        let actual_ms = until.since(now);
        if actual_ms > limit_ms {
            return Err(GovernanceError::HaltTooLong {
                actual_ms,
                limit_ms,
            });
        }
        Ok(())
    }
}

impl Governors {
    /// The governors with whom a chain begins.
    #[must_use]
    pub fn at_genesis(keys: &[PublicKey], threshold: u16) -> Self {
        Self {
            keys: keys.to_vec(),
            threshold,
            sequence: 0,
        }
    }
}
