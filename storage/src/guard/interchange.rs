//! What a key has signed as a document that a person can move between machines, in the manner of EIP-3076.
//!
//! ```json
//! {
//!   "metadata": { "interchange_format": "holdfast-sign-guard", "interchange_format_version": "1" },
//!   "data": [
//!     {
//!       "public_key": "<64 hexadecimal digits>",
//!       "vertex": { "era": "3", "round": "1042" },
//!       "attestation": { "era": "3", "height": "981", "block": "…", "commit": "…", "state_root": "…" },
//!       "emergency_end": { "era": "2", "height": "640", "block": "…", "commit": "…", "state_root": "…" },
//!       "end_vote": { "era": "2", "height": "640", "block": "…", "commit": "…", "state_root": "…" },
//!       "recovery": { "era": "3", "prevote": { "attempt": "1", "height": "982", "block": "…", "state_root": "…",
//!         "resume": { "sequence": "4", "message": "…" } }, "precommit": null },
//!       "past_unknown": false
//!     }
//!   ]
//! }
//! ```
//!
//! Numbers are decimal strings, so that no JSON library rounds them. `vertex` and `attestation` may be null,
//! `emergency_end`, `end_vote` and `recovery` may be missing: none; `past_unknown` may be missing: false.

use super::error::GuardError;
use holdfast_halt::lockdown::recovery::{SignedChoice, SignedRecovery};
use holdfast_replica::SignGuardRecord;
use holdfast_types::{
    AttestationBody, BlockId, BlockPoint, CommitDigest, Era, Hash32, Height, NamedResume,
    PublicKey, RecoveryChoice, Round, StateRoot,
};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "holdfast-sign-guard";
const FORMAT_VERSION: &str = "1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    metadata: Metadata,
    data: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    interchange_format: String,
    interchange_format_version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    public_key: PublicKey,
    vertex: Option<Slot>,
    attestation: Option<Attested>,
    #[serde(default)]
    emergency_end: Option<Attested>,
    #[serde(default)]
    end_vote: Option<Attested>,
    #[serde(default)]
    recovery: Option<Recovery>,
    /// More may have been signed.
    #[serde(default)]
    past_unknown: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    era: Decimal,
    round: Decimal,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attested {
    era: Decimal,
    height: Decimal,
    block: BlockId,
    commit: CommitDigest,
    state_root: StateRoot,
}

/// The last votes to go on after a lockdown.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recovery {
    era: Decimal,
    prevote: Option<Choice>,
    precommit: Option<Choice>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    attempt: Decimal,
    height: Decimal,
    block: BlockId,
    state_root: StateRoot,
    resume: Option<Named>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    sequence: Decimal,
    message: Hash32,
}

/// A u64 as a decimal string.
#[derive(Clone, Copy)]
struct Decimal(u64);

impl Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            serde::de::Error::custom(format!("{text:?} is no number in decimal digits"))
        })
    }
}

impl From<AttestationBody> for Attested {
    fn from(body: AttestationBody) -> Self {
        Self {
            era: Decimal(body.era.0),
            height: Decimal(body.height.0),
            block: body.block,
            commit: body.commit,
            state_root: body.state_root,
        }
    }
}

impl From<Attested> for AttestationBody {
    fn from(attested: Attested) -> Self {
        Self {
            era: Era(attested.era.0),
            height: Height(attested.height.0),
            block: attested.block,
            commit: attested.commit,
            state_root: attested.state_root,
        }
    }
}

impl From<SignedRecovery> for Recovery {
    fn from(signed: SignedRecovery) -> Self {
        Self {
            era: Decimal(signed.era.0),
            prevote: signed.prevote.map(Choice::from),
            precommit: signed.precommit.map(Choice::from),
        }
    }
}

impl From<SignedChoice> for Choice {
    fn from((attempt, choice): SignedChoice) -> Self {
        let RecoveryChoice { point, resume } = choice;
        Self {
            attempt: Decimal(u64::from(attempt)),
            height: Decimal(point.height.0),
            block: point.block,
            state_root: point.state_root,
            resume: resume.map(|named| Named {
                sequence: Decimal(named.sequence),
                message: named.message,
            }),
        }
    }
}

impl TryFrom<Recovery> for SignedRecovery {
    type Error = GuardError;

    fn try_from(recovery: Recovery) -> Result<Self, GuardError> {
        Ok(Self {
            era: Era(recovery.era.0),
            prevote: recovery.prevote.map(SignedChoice::try_from).transpose()?,
            precommit: recovery.precommit.map(SignedChoice::try_from).transpose()?,
        })
    }
}

impl TryFrom<Choice> for SignedChoice {
    type Error = GuardError;

    fn try_from(choice: Choice) -> Result<Self, GuardError> {
        let attempt = u32::try_from(choice.attempt.0).map_err(|_| GuardError::Interchange {
            reason: format!(
                "{} is no attempt of a recovery: the last one is {}",
                choice.attempt.0,
                u32::MAX
            ),
        })?;
        let point = BlockPoint {
            height: Height(choice.height.0),
            block: choice.block,
            state_root: choice.state_root,
        };
        let resume = choice.resume.map(|named| NamedResume {
            sequence: named.sequence.0,
            message: named.message,
        });
        Ok((attempt, RecoveryChoice { point, resume }))
    }
}

pub(super) fn export(record: &SignGuardRecord) -> String {
    let document = Document {
        metadata: Metadata {
            interchange_format: FORMAT.to_owned(),
            interchange_format_version: FORMAT_VERSION.to_owned(),
        },
        data: vec![Entry {
            public_key: record.key,
            vertex: record.vertex.map(|(era, round)| Slot {
                era: Decimal(era.0),
                round: Decimal(round.0),
            }),
            attestation: record.attestation.map(Attested::from),
            emergency_end: record.emergency_end.map(Attested::from),
            end_vote: record.end_vote.map(Attested::from),
            recovery: record.recovery.map(Recovery::from),
            past_unknown: record.past_unknown,
        }],
    };
    let mut text = serde_json::to_string_pretty(&document)
        .expect("a document of strings and lists becomes JSON");
    text.push('\n');
    text
}

/// What the document says of `key`.
pub(super) fn parse(document: &str, key: PublicKey) -> Result<SignGuardRecord, GuardError> {
    let refused = |reason: String| GuardError::Interchange { reason };
    let document: Document =
        serde_json::from_str(document).map_err(|error| refused(error.to_string()))?;
    let Metadata {
        interchange_format: format,
        interchange_format_version: version,
    } = document.metadata;
    if format != FORMAT || version != FORMAT_VERSION {
        return Err(refused(format!(
            "its format is {format:?} version {version:?}, this version reads {FORMAT:?} version {FORMAT_VERSION:?}"
        )));
    }
    let mut entries = document
        .data
        .into_iter()
        .filter(|entry| entry.public_key == key);
    let entry = entries
        .next()
        .ok_or_else(|| refused(format!("it says nothing of key {key}")))?;
    if entries.next().is_some() {
        return Err(refused(format!("it names key {key} more than once")));
    }
    Ok(SignGuardRecord {
        key,
        vertex: entry
            .vertex
            .map(|slot| (Era(slot.era.0), Round(slot.round.0))),
        attestation: entry.attestation.map(AttestationBody::from),
        emergency_end: entry.emergency_end.map(AttestationBody::from),
        end_vote: entry.end_vote.map(AttestationBody::from),
        recovery: entry.recovery.map(SignedRecovery::try_from).transpose()?,
        past_unknown: entry.past_unknown,
    })
}
