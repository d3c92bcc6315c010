//! Transfers against a model that is too simple to be wrong.

use crate::world::{FEE, World, name, transfer, verified};
use holdfast_types::{ReceiptStatus, TransactionBody};
use proptest::prelude::*;
use std::collections::BTreeMap;

const ACCOUNTS: [&str; 4] = ["alice", "bob", "carol", "validator-0"];

/// Balance and nonce by account, and what the treasury holds.
struct Model {
    accounts: BTreeMap<&'static str, (u64, u64)>,
    treasury: u64,
}

impl Model {
    fn transfer(&mut self, from: &'static str, to: &'static str, amount: u64) -> bool {
        let sender = self.accounts.get_mut(from).expect("it exists");
        if sender.0 < FEE {
            return false;
        }
        sender.0 -= FEE;
        sender.1 += 1;
        self.treasury += FEE;
        if amount == 0 || sender.0 < amount {
            return false;
        }
        sender.0 -= amount;
        self.accounts.get_mut(to).expect("it exists").0 += amount;
        true
    }
}

fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        1u64..1_000,
        1_000_000u64..150_000_000,
        any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn transfers_do_what_the_model_does(
        blocks in proptest::collection::vec(
            proptest::collection::vec((0usize..4, 0usize..4, amounts()), 0..12),
            1..6,
        ),
    ) {
        let mut world = World::new(4);
        let mut model = Model {
            accounts: ACCOUNTS
                .map(|text| (text, (world.account(text).balance, 0)))
                .into_iter()
                .collect(),
            treasury: world.properties().treasury,
        };
        for transfers in blocks {
            let mut transactions = Vec::new();
            let mut expected = Vec::new();
            for (from, to, amount) in transfers {
                let (from, to) = (ACCOUNTS[from], ACCOUNTS[to]);
                let body = TransactionBody {
                    nonce: model.accounts[from].1,
                    ..world.body(from, transfer(to, amount))
                };
                transactions.push(verified(body));
                expected.push(model.transfer(from, to, amount));
            }
            let outcome = world.block(&transactions);
            let succeeded: Vec<_> = outcome
                .receipts
                .iter()
                .map(|receipt| receipt.status == ReceiptStatus::Success)
                .collect();
            prop_assert_eq!(succeeded, expected);
            for (text, (balance, nonce)) in &model.accounts {
                let account = world.account(text);
                prop_assert_eq!((account.balance, account.nonce), (*balance, *nonce), "{}", name(text));
            }
            prop_assert_eq!(world.properties().treasury, model.treasury);
        }
    }
}
