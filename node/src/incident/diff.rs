//! Where two stores differ: the first block, the first transaction in it that went another way, the first keys of the state
//! that it left different.
//!
//! A block id covers all blocks before it, so the first different height is found by halving. The state after that block is
//! not stored: it is the state of today with the undo records of all later blocks applied. What can differ are the keys that
//! the block has changed on one side or the other. One of them that was different before already was not made so by this
//! block: that is what a damaged state looks like.

use super::state_names;
use holdfast_chain::ChainStore;
use holdfast_ledger::{StateError, StateStore};
use holdfast_storage::Storage;
use holdfast_types::{Block, Height, Receipt, ReceiptStatus, StateRoot};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Keys that are shown; all are counted.
const KEYS_SHOWN_MAX: usize = 20;

/// What two stores have come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    pub left: Side,
    pub right: Side,
    #[serde(flatten)]
    pub finding: Finding,
    /// What limits the comparison.
    pub notes: Vec<String>,
}

/// One of the stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    pub name: String,
    pub chain: String,
    pub lowest: u64,
    pub head: u64,
    pub head_id: String,
    pub irreversible: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Finding {
    /// Up to this height every block is the same.
    Same {
        up_to: u64,
    },
    /// The stores are of two chains.
    OtherChain,
    /// No height is in both.
    Apart,
    Differs(Box<Difference>),
}

/// The first block that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub height: u64,
    pub left_id: String,
    pub right_id: String,
    /// Fields of the header.
    pub fields: Vec<Pair>,
    /// The first place in the block where the transactions differ.
    pub transaction: Option<TransactionPair>,
    /// The first transaction whose receipt differs.
    pub receipt: Option<ReceiptPair>,
    /// Keys whose value after the block differs, in their order.
    pub keys: Vec<KeyPair>,
    pub keys_total: usize,
}

/// One thing on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    pub what: String,
    pub left: String,
    pub right: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransactionPair {
    pub index: usize,
    /// None: that side has fewer.
    pub left: Option<String>,
    pub right: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptPair {
    pub index: usize,
    pub transaction: String,
    pub differences: Vec<Pair>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyPair {
    pub key: String,
    pub name: String,
    /// The whole object after the block; none: there is none.
    pub left: Option<String>,
    pub right: Option<String>,
    /// The fields that differ, if both have the object.
    pub fields: Vec<Pair>,
    /// Before the block it differed already.
    pub differed_before: bool,
}

/// Compares two stores.
///
/// # Errors
/// When one of them does not read.
pub fn compare(
    (left_name, left): (&str, &Storage),
    (right_name, right): (&str, &Storage),
) -> Result<Comparison, StateError> {
    let sides = (side(left_name, left)?, side(right_name, right)?);
    let mut notes = Vec::new();
    for (name, store) in [(left_name, left), (right_name, right)] {
        notes.extend(damage(name, store)?);
    }
    let from = sides.0.lowest.max(sides.1.lowest);
    let to = sides.0.head.min(sides.1.head);
    let finding = if left.chain_id() != right.chain_id() {
        Finding::OtherChain
    } else if from > to {
        Finding::Apart
    } else {
        match first_different(left, right, Height(from), Height(to))? {
            None => Finding::Same { up_to: to },
            Some(height) => {
                if height.0 == from && from > 0 {
                    notes.push(format!(
                        "blocks below {from} are not in both stores: they may differ earlier"
                    ));
                }
                Finding::Differs(Box::new(difference(left, right, height, &mut notes)?))
            }
        }
    };
    Ok(Comparison {
        left: sides.0,
        right: sides.1,
        finding,
        notes,
    })
}

fn side(name: &str, store: &Storage) -> Result<Side, StateError> {
    let (head, id) = store.head()?.unwrap_or_default();
    Ok(Side {
        name: name.to_owned(),
        chain: store.chain_id().to_string(),
        lowest: store.view().lowest_block()?.0,
        head: head.0,
        head_id: id.to_string(),
        irreversible: store.irreversible_height()?.0,
    })
}

/// Whether the state of a store is the one that its own head names.
fn damage(name: &str, store: &Storage) -> Result<Option<String>, StateError> {
    let Some((head, _)) = store.head()? else {
        return Ok(Some(format!("{name} holds no block")));
    };
    let named = store.block_at(head)?.map(|block| block.header.state_root);
    let found = holdfast_ledger::state_root(store)?;
    let same = named == found || (found.is_none() && named == Some(StateRoot::default()));
    Ok((!same).then(|| {
        let found = found.map_or_else(|| String::from("empty"), |root| root.to_string());
        format!("{name}: the root of its state is {found}, and its head block {head} names another")
    }))
}

/// The lowest height at which the ids differ. Above the first difference all differ, so it is found by halving.
fn first_different(
    left: &Storage,
    right: &Storage,
    from: Height,
    to: Height,
) -> Result<Option<Height>, StateError> {
    let differ = |height: Height| -> Result<bool, StateError> {
        Ok(left.block_id_at(height)? != right.block_id_at(height)?)
    };
    if !differ(to)? {
        return Ok(None);
    }
    let (mut low, mut high) = (from.0, to.0);
    while low < high {
        let middle = low.midpoint(high);
        if differ(Height(middle))? {
            high = middle;
        } else {
            low = middle.saturating_add(1);
        }
    }
    Ok(Some(Height(low)))
}

fn difference(
    left: &Storage,
    right: &Storage,
    height: Height,
    notes: &mut Vec<String>,
) -> Result<Difference, StateError> {
    let id = |store: &Storage| -> Result<String, StateError> {
        Ok(store.block_id_at(height)?.unwrap_or_default().to_string())
    };
    let blocks = (left.block_at(height)?, right.block_at(height)?);
    let (fields, transaction) = match &blocks {
        (Some(left_block), Some(right_block)) => (
            header_fields(left_block, right_block),
            first_transaction(left, left_block, right_block),
        ),
        _ => {
            notes.push(format!("block {height} itself is missing on one side"));
            (Vec::new(), None)
        }
    };
    let receipts = (left.receipts_at(height)?, right.receipts_at(height)?);
    let receipt = match receipts {
        (Some(left_receipts), Some(right_receipts)) => {
            first_receipt(&left_receipts, &right_receipts)
        }
        _ => None,
    };
    let mut keys = different_keys(left, right, height, notes)?;
    let keys_total = keys.len();
    keys.truncate(KEYS_SHOWN_MAX);
    Ok(Difference {
        height: height.0,
        left_id: id(left)?,
        right_id: id(right)?,
        fields,
        transaction,
        receipt,
        keys,
        keys_total,
    })
}

fn header_fields(left: &Block, right: &Block) -> Vec<Pair> {
    let (one, other) = (&left.header, &right.header);
    let hash = |hash: &[u8; 32]| hex::encode(hash);
    let hash_or_none =
        |value: &Option<[u8; 32]>| value.as_ref().map_or_else(|| "none".to_owned(), hash);
    let pairs = [
        ("parent", one.parent.to_string(), other.parent.to_string()),
        ("era", one.era.to_string(), other.era.to_string()),
        (
            "timestamp",
            one.timestamp.to_string(),
            other.timestamp.to_string(),
        ),
        (
            "origin",
            format!("{:?}", one.origin),
            format!("{:?}", other.origin),
        ),
        (
            "transactions",
            hash(&one.transactions_root),
            hash(&other.transactions_root),
        ),
        (
            "receipts and events",
            hash(&one.events_root),
            hash(&other.events_root),
        ),
        (
            "supports, evidence, governance, era end",
            hash(&one.system_root),
            hash(&other.system_root),
        ),
        (
            "state root",
            one.state_root.to_string(),
            other.state_root.to_string(),
        ),
        (
            "next committee",
            hash_or_none(&one.next_committee),
            hash_or_none(&other.next_committee),
        ),
    ];
    let pairs = pairs.into_iter().filter(|(_, left, right)| left != right);
    pairs
        .map(|(what, left, right)| pair(what, left, right))
        .collect()
}

fn pair(what: impl Into<String>, left: String, right: String) -> Pair {
    Pair {
        what: what.into(),
        left,
        right,
    }
}

fn first_transaction(store: &Storage, left: &Block, right: &Block) -> Option<TransactionPair> {
    let chain = store.chain_id();
    let ids = |block: &Block| -> Vec<String> {
        let transactions = block.body.transactions.iter();
        transactions
            .map(|one| one.body.id(&chain).to_string())
            .collect()
    };
    let (left, right) = (ids(left), ids(right));
    let longest = left.len().max(right.len());
    (0..longest).find_map(|index| {
        let (one, other) = (left.get(index), right.get(index));
        (one != other).then(|| TransactionPair {
            index,
            left: one.cloned(),
            right: other.cloned(),
        })
    })
}

fn first_receipt(left: &[Receipt], right: &[Receipt]) -> Option<ReceiptPair> {
    let mut both = left.iter().zip(right).enumerate();
    both.find_map(|(index, (one, other))| {
        (one != other && one.transaction == other.transaction).then(|| ReceiptPair {
            index,
            transaction: one.transaction.to_string(),
            differences: receipt_differences(one, other),
        })
    })
}

fn receipt_differences(left: &Receipt, right: &Receipt) -> Vec<Pair> {
    let status = |receipt: &Receipt| match receipt.status {
        ReceiptStatus::Success => String::from("success"),
        ReceiptStatus::Failed(code) => format!("failed: {}", code.name()),
    };
    let pairs = [
        ("status", status(left), status(right)),
        ("fee", left.fee.to_string(), right.fee.to_string()),
        ("events", debug(&left.events), debug(&right.events)),
    ];
    let pairs = pairs.into_iter().filter(|(_, left, right)| left != right);
    pairs
        .map(|(what, left, right)| pair(what, left, right))
        .collect()
}

fn debug(value: &impl Debug) -> String {
    format!("{value:?}")
}

type Values = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn different_keys(
    left: &Storage,
    right: &Storage,
    height: Height,
    notes: &mut Vec<String>,
) -> Result<Vec<KeyPair>, StateError> {
    let undo = (left.undo(height)?, right.undo(height)?);
    let (Some(left_undo), Some(right_undo)) = undo else {
        notes.push(format!(
            "what block {height} changed is not known any more: its undo record is pruned on one side"
        ));
        return Ok(Vec::new());
    };
    let before: (Values, Values) = (
        left_undo.values.into_iter().collect(),
        right_undo.values.into_iter().collect(),
    );
    let changed: BTreeSet<Vec<u8>> = before.0.keys().chain(before.1.keys()).cloned().collect();
    let after = (
        values_after(left, height, &changed)?,
        values_after(right, height, &changed)?,
    );
    // A key that one side has not changed had before what it has after.
    let value_before = |before: &Values, after: &Values, key: &Vec<u8>| {
        before
            .get(key)
            .or_else(|| after.get(key))
            .cloned()
            .flatten()
    };
    let mut pairs = Vec::new();
    for key in &changed {
        let one = after.0.get(key).cloned().flatten();
        let other = after.1.get(key).cloned().flatten();
        if one != other {
            let differed_before =
                value_before(&before.0, &after.0, key) != value_before(&before.1, &after.1, key);
            pairs.push(key_pair(
                key,
                one.as_deref(),
                other.as_deref(),
                differed_before,
            ));
        }
    }
    Ok(pairs)
}

/// Values of these keys after the block at `height`: the oldest record above it that speaks of a key, else what the state
/// holds now.
fn values_after(
    store: &Storage,
    height: Height,
    keys: &BTreeSet<Vec<u8>>,
) -> Result<Values, StateError> {
    let head = store.head()?.unwrap_or_default().0;
    let mut found = Values::new();
    let mut above = height;
    while above < head && found.len() < keys.len() {
        above = above.next();
        let undo = store.undo(above)?.ok_or_else(|| StateError {
            reason: format!("the undo record of block {above} is missing"),
        })?;
        for (key, value) in undo.values {
            if keys.contains(&key) {
                found.entry(key).or_insert(value);
            }
        }
    }
    let rest: Vec<Vec<u8>> = keys
        .iter()
        .filter(|key| !found.contains_key(*key))
        .cloned()
        .collect();
    let values = store.values(&rest)?;
    found.extend(rest.into_iter().zip(values));
    Ok(found)
}

fn key_pair(
    key: &[u8],
    left: Option<&[u8]>,
    right: Option<&[u8]>,
    differed_before: bool,
) -> KeyPair {
    let show = |value: Option<&[u8]>| value.map(|value| state_names::object(key, value));
    let (left, right) = (show(left), show(right));
    let fields = match (&left, &right) {
        (Some(left), Some(right)) => different_lines(left, right),
        _ => Vec::new(),
    };
    KeyPair {
        key: hex::encode(key),
        name: state_names::name(key),
        left,
        right,
        fields,
        differed_before,
    }
}

/// The lines of two shown objects that differ, if they have the same number of lines.
fn different_lines(left: &str, right: &str) -> Vec<Pair> {
    if left.lines().count() != right.lines().count() {
        return Vec::new();
    }
    let lines = left.lines().zip(right.lines());
    lines
        .filter(|(one, other)| one != other)
        .map(|(one, other)| {
            let (name, one) = field(one);
            pair(name, one, field(other).1)
        })
        .collect()
}

/// `    balance: 5,` as name and value.
fn field(line: &str) -> (String, String) {
    let line = line.trim().trim_end_matches(',');
    let (name, value) = line.split_once(": ").unwrap_or(("", line));
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
