//! One entry: small, flat, the same fields for all kinds, so that a ring of them has a known size and reads as lines.

use holdfast_replica::Now;
use holdfast_types::{AuthorityIndex, Era, Hash32, Height, Round};
use serde::{Serialize, Serializer};
use std::num::NonZeroU64;
use std::time::Instant;

/// Longer texts are cut: they come from errors and reasons, which say the most at their beginning.
const DETAIL_BYTES_MAX: usize = 240;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An input of the core thread: a verified message of a peer, or something from this node.
    Received,
    /// A message that left.
    Sent,
    /// Something that the replica says has happened.
    Fact,
    /// What came of a proof, a message of governance or a fault.
    Verdict,
    /// A block that was executed and stored.
    Executed,
    /// A block that was taken back.
    TakenBack,
}

/// When something happened: read once for all that one step leads to.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub wall_ms: u64,
    pub monotonic_ms: u64,
}

impl Moment {
    /// Now; `started` is the origin of the monotonic clock.
    #[must_use]
    pub fn now(started: Instant) -> Self {
        crate::runtime::core_thread::now(started).into()
    }
}

impl From<Now> for Moment {
    fn from(now: Now) -> Self {
        Self {
            wall_ms: now.wall.0,
            monotonic_ms: now.monotonic_ms,
        }
    }
}

/// One line of the recorder. What does not apply is left out of the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub wall_ms: u64,
    pub monotonic_ms: u64,
    pub kind: Kind,
    /// What exactly: the name of the input, message or fact.
    pub name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<NonZeroU64>,
    /// Whose statement it is, or who is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<u16>,
    #[serde(skip_serializing_if = "is_zero")]
    pub count: u32,
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes: u32,
    /// First bytes of the digest or id: enough to find it again.
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "hexadecimal")]
    pub digest: [u8; 8],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
}

const _: () = assert!(
    size_of::<Entry>() <= 104,
    "the figures in the documentation of BYTES_MAX are for entries of about a hundred bytes"
);

impl Entry {
    pub(super) const fn new(at: Moment, kind: Kind, name: &'static str) -> Self {
        Self {
            wall_ms: at.wall_ms,
            monotonic_ms: at.monotonic_ms,
            kind,
            name,
            era: None,
            round: None,
            height: None,
            author: None,
            count: 0,
            bytes: 0,
            digest: [0; 8],
            detail: None,
        }
    }

    pub(super) const fn era(mut self, era: Era) -> Self {
        self.era = NonZeroU64::new(era.0);
        self
    }

    pub(super) const fn round(mut self, round: Round) -> Self {
        self.round = NonZeroU64::new(round.0);
        self
    }

    pub(super) const fn height(mut self, height: Height) -> Self {
        self.height = NonZeroU64::new(height.0);
        self
    }

    pub(super) const fn author(mut self, author: AuthorityIndex) -> Self {
        self.author = Some(author.0);
        self
    }

    pub(super) fn count(mut self, count: usize) -> Self {
        self.count = u32::try_from(count).unwrap_or(u32::MAX);
        self
    }

    /// The same with its length.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self
    }

    pub(super) fn digest(mut self, digest: &Hash32) -> Self {
        self.digest.copy_from_slice(&digest[..8]);
        self
    }

    pub(super) fn detail(mut self, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > DETAIL_BYTES_MAX {
            let cut = (0..=DETAIL_BYTES_MAX)
                .rev()
                .find(|at| text.is_char_boundary(*at));
            text.truncate(cut.unwrap_or_default());
        }
        self.detail = Some(text.into_boxed_str());
        self
    }

    /// Memory that it takes, its text included.
    #[must_use]
    pub fn bytes_held(&self) -> usize {
        size_of::<Self>() + self.detail.as_ref().map_or(0, |text| text.len())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_nothing(digest: &[u8; 8]) -> bool {
    *digest == [0; 8]
}

fn hexadecimal<S: Serializer>(digest: &[u8; 8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(digest))
}
