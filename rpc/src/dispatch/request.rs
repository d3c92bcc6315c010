//! Reading requests and batches without copying them.

use crate::codes::{ErrorCode, Fault};
use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A well-formed request.
#[derive(Debug, Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) params: Option<&'a RawValue>,
    /// As it was written; none in a notification.
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) id: Option<&'a RawValue>,
}

/// A request that is none, with its id if that can be read.
#[derive(Debug)]
pub(super) struct Rejected<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) fault: Fault,
}

/// Unlike an absent id, an id of null makes a request that is answered.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// An id is a string, a number or null.
fn is_id(raw: &RawValue) -> bool {
    matches!(
        raw.get().as_bytes(),
        [b'"' | b'-' | b'0'..=b'9', ..] | b"null"
    )
}

impl Rejected<'_> {
    pub(super) const fn without_id(fault: Fault) -> Self {
        Self { id: None, fault }
    }
}

impl<'a> Request<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Rejected<'a>> {
        let request: Self = serde_json::from_str(text).map_err(|error| explain(text, &error))?;
        if request.id.is_some_and(|id| !is_id(id)) {
            let fault = Fault::new(
                ErrorCode::InvalidRequest,
                "`id` must be a string, a number or null",
            );
            return Err(Rejected::without_id(fault));
        }
        if request.jsonrpc != "2.0" {
            let fault = Fault::new(ErrorCode::InvalidRequest, "`jsonrpc` must be \"2.0\"");
            return Err(Rejected {
                id: request.id,
                fault,
            });
        }
        Ok(request)
    }
}

/// Tells what is no JSON from what is JSON but no request.
fn explain<'a>(text: &'a str, error: &serde_json::Error) -> Rejected<'a> {
    #[derive(Deserialize)]
    struct IdOnly<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        id: Option<&'a RawValue>,
    }
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Rejected::without_id(Fault::new(
            ErrorCode::ParseError,
            format!("not JSON: {error}"),
        ));
    }
    let id = serde_json::from_str::<IdOnly<'_>>(text)
        .ok()
        .and_then(|only| only.id)
        .filter(|id| is_id(id));
    Rejected {
        id,
        fault: Fault::new(
            ErrorCode::InvalidRequest,
            format!("not a JSON-RPC 2.0 request: {error}"),
        ),
    }
}

/// A batch within its limit, its entries not read yet.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) entries: Vec<&'a RawValue>,
}

impl<'a> Batch<'a> {
    pub(super) fn parse(text: &'a str, entries_max: usize) -> Result<Self, Fault> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let counted = EntriesVisitor { entries_max }
            .deserialize(&mut deserializer)
            .and_then(|counted| deserializer.end().map(|()| counted))
            .map_err(|error| Fault::new(ErrorCode::ParseError, format!("not JSON: {error}")))?;
        if counted.total == 0 {
            return Err(Fault::new(ErrorCode::InvalidRequest, "an empty batch"));
        }
        if counted.total > entries_max {
            let message = format!(
                "the batch has {} entries, the limit is {entries_max}",
                counted.total
            );
            return Err(Fault::new(ErrorCode::BatchTooLarge, message).detail("limit", entries_max));
        }
        Ok(Self {
            entries: counted.entries,
        })
    }
}

struct EntriesVisitor {
    entries_max: usize,
}

struct Counted<'a> {
    entries: Vec<&'a RawValue>,
    total: usize,
}

impl<'de> DeserializeSeed<'de> for EntriesVisitor {
    type Value = Counted<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Counted<'de>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Counted<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a batch")
    }

    /// Keeps the entries up to the limit and counts the rest, so that a huge batch costs no memory.
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Counted<'de>, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < self.entries_max {
            match sequence.next_element::<&RawValue>()? {
                Some(entry) => entries.push(entry),
                None => {
                    return Ok(Counted {
                        total: entries.len(),
                        entries,
                    });
                }
            }
        }
        let mut total = entries.len();
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            total += 1;
        }
        Ok(Counted { entries, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rejected(text: &str) -> (ErrorCode, Option<String>) {
        let rejected = Request::parse(text).unwrap_err();
        (
            rejected.fault.code,
            rejected.id.map(|id| id.get().to_owned()),
        )
    }

    #[test]
    fn requests_notifications_and_null_ids() {
        let request = Request::parse(r#"{"jsonrpc":"2.0","method":"a","id":null}"#).unwrap();
        assert_eq!(request.id.map(RawValue::get), Some("null"));
        let request = Request::parse(r#"{"method":"a","jsonrpc":"2.0","params":[1]}"#).unwrap();
        assert!(request.id.is_none());
        assert_eq!(request.params.map(RawValue::get), Some("[1]"));
        let request =
            Request::parse(r#"{"jsonrpc":"2.0","method":"\u0061","id":"x","more":1}"#).unwrap();
        assert_eq!(
            (&*request.method, request.id.map(RawValue::get)),
            ("a", Some("\"x\""))
        );
    }

    #[test]
    fn what_is_no_request_is_told_from_what_is_no_json() {
        use ErrorCode::{InvalidRequest, ParseError};
        assert_eq!(rejected(""), (ParseError, None));
        assert_eq!(rejected("{"), (ParseError, None));
        assert_eq!(
            rejected(r#"{"jsonrpc":"2.0","method":"a"} x"#),
            (ParseError, None)
        );
        assert_eq!(rejected("1"), (InvalidRequest, None));
        assert_eq!(
            rejected(r#"{"method":"a","id":7}"#),
            (InvalidRequest, Some("7".to_owned()))
        );
        assert_eq!(
            rejected(r#"{"jsonrpc":"1.0","method":"a","id":7}"#),
            (InvalidRequest, Some("7".to_owned()))
        );
        assert_eq!(
            rejected(r#"{"jsonrpc":"2.0","method":1,"id":"q"}"#),
            (InvalidRequest, Some("\"q\"".to_owned()))
        );
        assert_eq!(
            rejected(r#"{"jsonrpc":"2.0","method":"a","id":[1]}"#),
            (InvalidRequest, None)
        );
        assert_eq!(
            rejected(r#"{"jsonrpc":"2.0","method":"a","id":true}"#),
            (InvalidRequest, None)
        );
        assert_eq!(
            rejected(r#"{"jsonrpc":"2.0","method":"a","method":"b","id":1}"#).0,
            InvalidRequest
        );
    }

    #[test]
    fn batches_are_counted() {
        assert_eq!(Batch::parse("[1, {}, null]", 3).unwrap().entries.len(), 3);
        assert_eq!(
            Batch::parse("[]", 3).unwrap_err().code,
            ErrorCode::InvalidRequest
        );
        let fault = Batch::parse("[1,2,3,4,5]", 3).unwrap_err();
        assert_eq!(
            (fault.code, &*fault.message),
            (
                ErrorCode::BatchTooLarge,
                "the batch has 5 entries, the limit is 3"
            )
        );
        assert_eq!(
            Batch::parse("[1,2,3,4", 3).unwrap_err().code,
            ErrorCode::ParseError
        );
        assert_eq!(
            Batch::parse("[1] 2", 3).unwrap_err().code,
            ErrorCode::ParseError
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, limit in 1_usize..5) {
            let _ = Request::parse(&text);
            let _ = Batch::parse(&text, limit);
        }
    }
}
