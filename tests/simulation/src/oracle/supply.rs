//! Money, recounted from the whole state.

use crate::disk::Tables;
use holdfast_ledger::dynamic_properties;
use holdfast_ledger::objects::{Account, StateObject, Validator};

const ACCOUNT_PREFIX: u8 = 0x10;
const VALIDATOR_PREFIX: u8 = 0x11;

/// Counts the money.
#[derive(Debug)]
pub(super) struct Supply {
    last: u64,
}

impl Supply {
    #[must_use]
    pub(super) fn new(genesis: &Tables) -> Self {
        Self {
            last: dynamic_properties(genesis)
                .expect("memory reads")
                .expect("genesis is applied")
                .total_supply,
        }
    }

    /// All money is somewhere, and there is no more than before: only a slash burns some.
    pub(super) fn check(&mut self, tables: &Tables) -> Result<(), String> {
        let Ok(properties) = dynamic_properties(tables) else {
            // A flipped bit took it from this node; the others are counted.
            return Ok(());
        };
        let properties = properties.expect("genesis is applied");
        let mut counted = properties.treasury;
        for (key, value) in tables.state() {
            counted += match key[0] {
                ACCOUNT_PREFIX => Account::decode(value).expect("an account").balance,
                VALIDATOR_PREFIX => {
                    let validator = Validator::decode(value).expect("a validator");
                    validator.bonded.amount + validator.unbonding.amount
                }
                _ => 0,
            };
        }
        let total = properties.total_supply;
        if counted != total || total > self.last {
            return Err(format!(
                "the supply is {total}, it was {}, and {counted} are found",
                self.last
            ));
        }
        self.last = total;
        Ok(())
    }
}
