//! What the last blocks did to nonces (rule R11).
//!
//! A transaction comes with the nonce that its sender had when somebody read the state. By the time that the replica
//! sees it, a block may have been executed; to the mempool the transaction would then lie above a nonce that is used
//! already and will never come.

use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{AccountName, Height};
use std::collections::{BTreeMap, VecDeque};

/// How many blocks a reading of the state may be behind. They cover several seconds at full speed.
const BLOCKS_MAX: usize = 64;

/// The nonces that the last [`BLOCKS_MAX`] blocks left behind, of the senders in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentNonces {
    /// Nonce, and the block that left it.
    nonces: BTreeMap<AccountName, (u64, Height)>,
    /// By rising height.
    blocks: VecDeque<(Height, Vec<AccountName>)>,
    /// The highest block that was forgotten.
    forgotten: Height,
}

impl RecentNonces {
    /// A block was executed; `used` are the senders in it with the nonces that it used, in block order.
    pub(crate) fn executed(
        &mut self,
        height: Height,
        used: impl Iterator<Item = (AccountName, u64)>,
    ) {
        let mut senders = Vec::new();
        for (sender, nonce) in used {
            let left = nonce.saturating_add(1);
            let known = self.nonces.get(&sender).copied();
            // A transaction that was executed before is in the block again: it leaves no lower nonce.
            if known.is_some_and(|(known, _)| known > left) {
                continue;
            }
            self.nonces.insert(sender, (left, height));
            if known.is_none_or(|(_, by)| by != height) {
                senders.push(sender);
            }
        }
        self.blocks.push_back((height, senders));
        while self.blocks.len() > BLOCKS_MAX {
            let Some((height, senders)) = self.blocks.pop_front() else {
                break;
            };
            for sender in senders {
                if self
                    .nonces
                    .get(&sender)
                    .is_some_and(|(_, by)| *by == height)
                {
                    self.nonces.remove(&sender);
                }
            }
            self.forgotten = self.forgotten.max(height);
        }
    }

    /// Blocks above `common_ancestor` were taken back: what they left does not count.
    pub(crate) fn taken_back(&mut self, common_ancestor: Height) {
        while let Some((height, senders)) = self.blocks.pop_back() {
            if height <= common_ancestor {
                self.blocks.push_back((height, senders));
                break;
            }
            for sender in senders {
                self.nonces.remove(&sender);
            }
        }
    }

    /// The nonce of `sender` now, when it was `nonce` in the state after block `as_of`. None if that is too long ago to
    /// say.
    pub(crate) fn now(&self, sender: &AccountName, nonce: u64, as_of: Height) -> Option<u64> {
        if mutant::is_on(Mutant::StaleNonces) {
            return Some(nonce);
        }
        if as_of < self.forgotten {
            return None;
        }
        let since = self.nonces.get(sender).map_or(0, |(nonce, _)| *nonce);
        Some(nonce.max(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AccountName {
        AccountName::new(text).expect("the name obeys the rule")
    }

    fn block(recent: &mut RecentNonces, height: u64, used: &[(&str, u64)]) {
        let used = used.iter().map(|(sender, nonce)| (name(sender), *nonce));
        recent.executed(Height(height), used);
    }

    #[test]
    fn a_reading_is_brought_up_to_date_and_a_newer_one_counts() {
        let mut recent = RecentNonces::default();
        block(&mut recent, 1, &[("alice", 0), ("alice", 1), ("bob", 7)]);
        assert_eq!(recent.now(&name("alice"), 0, Height(0)), Some(2));
        assert_eq!(recent.now(&name("bob"), 7, Height(0)), Some(8));
        assert_eq!(recent.now(&name("carol"), 3, Height(0)), Some(3));
        // Bob's transaction comes again.
        block(&mut recent, 2, &[("bob", 8), ("bob", 7)]);
        assert_eq!(recent.now(&name("bob"), 7, Height(1)), Some(9));
        // The state of block 3 was read before the replica heard of that block.
        assert_eq!(recent.now(&name("alice"), 3, Height(3)), Some(3));
    }

    #[test]
    fn what_is_too_old_is_not_answered_and_memory_is_bounded() {
        let mut recent = RecentNonces::default();
        block(&mut recent, 1, &[("alice", 0)]);
        block(&mut recent, 2, &[("bob", 0)]);
        for height in 3..=BLOCKS_MAX as u64 + 1 {
            block(&mut recent, height, &[("carol", height)]);
        }
        assert_eq!(recent.now(&name("alice"), 0, Height(0)), None);
        assert_eq!(recent.now(&name("alice"), 1, Height(1)), Some(1));
        assert_eq!(recent.now(&name("bob"), 0, Height(1)), Some(1));
        assert_eq!(recent.nonces.len(), 2);
        assert_eq!(recent.blocks.len(), BLOCKS_MAX);
    }

    #[test]
    fn a_block_that_is_forgotten_does_not_take_a_later_one_with_it() {
        let mut recent = RecentNonces::default();
        block(&mut recent, 1, &[("alice", 0)]);
        block(&mut recent, 2, &[("alice", 1)]);
        for height in 3..=BLOCKS_MAX as u64 + 1 {
            block(&mut recent, height, &[]);
        }
        assert_eq!(recent.now(&name("alice"), 1, Height(1)), Some(2));
    }

    #[test]
    fn what_was_taken_back_does_not_count() {
        let mut recent = RecentNonces::default();
        block(&mut recent, 1, &[("alice", 0)]);
        block(&mut recent, 2, &[("bob", 0)]);
        recent.taken_back(Height(1));
        assert_eq!(recent.now(&name("bob"), 0, Height(1)), Some(0));
        assert_eq!(recent.now(&name("alice"), 0, Height(0)), Some(1));
        block(&mut recent, 2, &[("bob", 0), ("bob", 1)]);
        assert_eq!(recent.now(&name("bob"), 0, Height(1)), Some(2));
    }
}
