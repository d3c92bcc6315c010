//! `holdfast lockdown pending`: the transactions that wait on a node, and how another node's differ.

use crate::cli::layout::{Sheet, listed, short};
use holdfast_rpc::dto::{Hash, PendingTransactions};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Most ids on the screen; `--json` has all.
const SHOWN_MAX: usize = 20;

/// What waits on one node, and on another if one was named, each with its address.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) here: (String, PendingTransactions),
    pub(super) there: Option<(String, PendingTransactions)>,
}

impl Comparison {
    /// What waits on one of both only.
    fn only(&self) -> Option<[Vec<Hash>; 2]> {
        let ids = |pending: &PendingTransactions| -> BTreeSet<Hash> {
            pending.transaction_ids.iter().copied().collect()
        };
        let (here, there) = (ids(&self.here.1), ids(&self.there.as_ref()?.1));
        Some([
            here.difference(&there).copied().collect(),
            there.difference(&here).copied().collect(),
        ])
    }

    pub(super) fn as_text(&self) -> String {
        let mut sheet = Sheet::titled("PENDING TRANSACTIONS");
        sheet.line("here", in_short(&self.here));
        match (&self.there, self.only()) {
            (Some(there), Some([here_only, there_only])) => {
                sheet.line("there", in_short(there));
                if here_only.is_empty() && there_only.is_empty() {
                    sheet.line("so", "both have the same");
                }
                sheet.line("only here", some_of(&here_only));
                sheet.line("only there", some_of(&there_only));
            }
            _ => sheet.line("ids", some_of(&self.here.1.transaction_ids)),
        }
        sheet.into_text()
    }

    pub(super) fn as_json(&self) -> Value {
        match self.only() {
            None => json!(self.here.1),
            Some([here_only, there_only]) => json!({
                "here": self.here.1,
                "there": self.there.as_ref().map(|(_, pending)| pending),
                "only_here": here_only,
                "only_there": there_only,
            }),
        }
    }
}

fn in_short((url, pending): &(String, PendingTransactions)) -> String {
    format!("{}, root {}  {url}", pending.count, short(pending.root))
}

fn some_of(ids: &[Hash]) -> String {
    let shown = listed(ids.iter().take(SHOWN_MAX), "\n");
    match ids.len().checked_sub(SHOWN_MAX) {
        Some(more) if more > 0 => format!("{shown}\n{more} more: --json has all"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_rpc::dto::Number;

    fn pending(numbers: std::ops::Range<u8>) -> PendingTransactions {
        let ids: Vec<Hash> = numbers.map(|number| Hash::new([number; 32])).collect();
        PendingTransactions {
            count: Number(ids.len() as u64),
            root: Hash::new([9; 32]),
            transaction_ids: ids,
        }
    }

    #[test]
    fn what_one_node_has_and_the_other_lacks_is_shown() {
        let comparison = Comparison {
            here: ("http://a".to_owned(), pending(0..3)),
            there: Some(("http://b".to_owned(), pending(1..25))),
        };
        let text = comparison.as_text();
        for part in [
            "here          3, root 090909090909  http://a",
            "there         24, root 090909090909  http://b",
            "only here     0000",
            "only there    0303",
            "2 more: --json has all",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let json = comparison.as_json();
        let count = |name: &str| json[name].as_array().map(Vec::len);
        assert_eq!(
            (count("only_here"), count("only_there")),
            (Some(1), Some(22))
        );
    }

    #[test]
    fn one_node_alone_shows_its_own() {
        let comparison = Comparison {
            here: ("http://a".to_owned(), pending(7..8)),
            there: None,
        };
        assert!(comparison.as_text().contains("ids           0707"));
        assert_eq!(comparison.as_json()["count"], 1);
        let same = Comparison {
            there: Some(("http://b".to_owned(), pending(7..8))),
            ..comparison
        };
        assert!(same.as_text().contains("both have the same"));
    }
}
