//! Subscriptions: cursors and what subscribers receive.

use super::{BlockRef, BlockSummary, HaltNotification, Hash, LockdownStatus, Number, Receipt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// What to subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionKind {
    /// Each block, without its body.
    Blocks,
    /// The receipts of each block.
    Receipts,
    /// Each advance of the certified block or of LIB.
    Finality,
    /// Each change of what is known of halts.
    Halts,
    /// Each change of what is known of the lockdown: votes, certificates, reports.
    Lockdown,
}

impl SubscriptionKind {
    /// Every kind, as the metric label `kind` lists them.
    pub const NAMES: [&'static str; 5] = ["blocks", "receipts", "finality", "halts", "lockdown"];

    /// The word that JSON and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocks => Self::NAMES[0],
            Self::Receipts => Self::NAMES[1],
            Self::Finality => Self::NAMES[2],
            Self::Halts => Self::NAMES[3],
            Self::Lockdown => Self::NAMES[4],
        }
    }
}

/// When blocks and receipts are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionFinality {
    /// As soon as the block is executed.
    #[default]
    Committed,
    /// Once the block is irreversible, if need be provisionally: by emergency consensus alone.
    Emergency,
    /// Once the block or a descendant is certified.
    Irreversible,
}

/// A place in the event feed of one run of one node: `<run>-<sequence>`. Opaque to clients, who hand back the last
/// one they saw. A cursor of another run or node is answered with a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct Cursor {
    /// Which run of which node.
    pub run: u64,
    /// Number of the event in that run, from 1; 0 stands before the first.
    pub sequence: u64,
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a cursor as a notification carried it")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}-{}", self.run, self.sequence)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (run, sequence) = text.split_once('-').ok_or(CursorError)?;
        Ok(Self {
            run: u64::from_str_radix(run, 16).map_err(|_| CursorError)?,
            sequence: sequence.parse().map_err(|_| CursorError)?,
        })
    }
}

impl TryFrom<Cow<'_, str>> for Cursor {
    type Error = CursorError;

    fn try_from(text: Cow<'_, str>) -> Result<Self, CursorError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl JsonSchema for Cursor {
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A place in the event feed of one run of one node; opaque.",
            "type": "string",
            "pattern": "^[0-9a-f]{1,16}-[0-9]{1,20}$",
        })
    }
}

/// Receipts of one block that pass the filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptsNotification {
    /// Height of the block.
    pub height: Number,
    /// Id of the block.
    pub block_id: Hash,
    /// The receipts in block order; never empty.
    pub receipts: Vec<Receipt>,
}

/// The certified block or LIB has advanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FinalityNotification {
    /// The newest block with a certificate: everything up to it is final.
    pub certified: BlockRef,
    /// The last irreversible block as the chain records it.
    pub lib: BlockRef,
    /// What lies between the two stands on emergency consensus alone: a certificate can take it back.
    pub is_provisional: bool,
}

/// Events were lost for this subscriber: it was too slow, or its cursor is too old or of another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The cursor after which events are missing.
    pub from: Cursor,
    /// The cursor of the last missing event.
    pub to: Cursor,
    /// Blocks below this height may be missing: fetch those after the last one you saw. Null if no event follows
    /// yet: then fetch up to the head.
    pub next_height: Option<Number>,
}

/// One notification of a subscription: a cursor and exactly one of the bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// Hand it back as `from` to go on behind this notification.
    pub cursor: Cursor,
    /// What happened.
    #[serde(flatten)]
    pub body: NotificationBody,
}

/// What a notification says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationBody {
    /// Kind `blocks`.
    Block(Box<BlockSummary>),
    /// Kind `receipts`.
    Receipts(ReceiptsNotification),
    /// Kind `finality`.
    Finality(FinalityNotification),
    /// Kind `halts`.
    Halts(Box<HaltNotification>),
    /// Kind `lockdown`.
    Lockdown(Box<LockdownStatus>),
    /// Any kind: events were lost.
    Gap(Gap),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_junk_is_refused() {
        let cursor = Cursor {
            run: 0x18c2,
            sequence: 42,
        };
        assert_eq!(cursor.to_string(), "18c2-42");
        assert_eq!("18c2-42".parse(), Ok(cursor));
        for text in [
            "",
            "-",
            "42",
            "zz-1",
            "1-",
            "1--1",
            "1-99999999999999999999999",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
