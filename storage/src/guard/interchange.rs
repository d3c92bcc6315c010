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
//!       "past_unknown": false
//!     }
//!   ]
//! }
//! ```
//!
//! Numbers are decimal strings, so that no JSON library rounds them. `vertex` and `attestation` may be null,
//! `emergency_end` and `end_vote` may be missing: none; `past_unknown` may be missing: false.

use super::error::GuardError;
use holdfast_replica::SignGuardRecord;
use holdfast_types::{
    AttestationBody, BlockId, CommitDigest, Era, Height, PublicKey, Round, StateRoot,
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
        past_unknown: entry.past_unknown,
    })
}
