//! Money, recounted from the whole state.

use crate::disk::Tables;
use holdfast_ledger::dynamic_properties;
use holdfast_ledger::keys::{AccountKey, StateKey as _, ValidatorKey};
use holdfast_ledger::objects::{Account, StateObject, Validator};
use holdfast_types::Height;

/// Counts the money.
#[derive(Debug)]
pub(super) struct Supply {
    /// By height, from genesis on.
    totals: Vec<u64>,
}

impl Supply {
    #[must_use]
    pub(super) fn new(genesis: &Tables) -> Self {
        Self {
            totals: vec![
                dynamic_properties(genesis)
                    .expect("memory reads")
                    .expect("genesis is applied")
                    .total_supply,
            ],
        }
    }

    /// All money is somewhere, and there is no more than before: only a slash burns some.
    pub(super) fn check(&mut self, tables: &Tables) -> Result<(), String> {
        let last = self.totals.last().copied().unwrap_or_default();
        if dynamic_properties(tables).is_err() {
            // A flipped bit took it from this node; the others are counted.
            self.totals.push(last);
            return Ok(());
        }
        let total = count(tables)?;
        if total > last {
            return Err(format!("the supply is {total}, and it was {last}"));
        }
        self.totals.push(total);
        Ok(())
    }

    /// A block comes back that was counted when a node applied it first.
    pub(super) fn repeat(&mut self) {
        let last = self.totals.last().copied().unwrap_or_default();
        self.totals.push(last);
    }

    /// Blocks from this height on were taken back by a resume.
    pub(super) fn cut(&mut self, from: Height) {
        let kept = usize::try_from(from.0).expect("a simulation is short");
        self.totals.truncate(kept);
    }
}

/// The total supply, if all of it is found.
pub(super) fn count(tables: &Tables) -> Result<u64, String> {
    let properties = dynamic_properties(tables).map_err(|error| error.to_string())?;
    let properties = properties.expect("genesis is applied");
    let mut counted = properties.treasury;
    for (key, value) in tables.state() {
        counted += match key[0] {
            AccountKey::PREFIX => Account::decode(value).expect("an account").balance,
            ValidatorKey::PREFIX => {
                let validator = Validator::decode(value).expect("a validator");
                validator.bonded.amount + validator.unbonding.amount
            }
            _ => 0,
        };
    }
    let total = properties.total_supply;
    if counted == total {
        Ok(total)
    } else {
        Err(format!("the supply is {total}, and {counted} are found"))
    }
}
