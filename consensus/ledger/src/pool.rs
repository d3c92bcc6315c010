//! Money held in common.
//!
//! Stake with a validator is slashed as a whole, in one step, however many have staked. So stakers own shares: a
//! slash lowers the amount of the pool and with it what every share is worth. All roundings favour the pool, so it
//! always covers its shares.

use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::Amount;

/// Money held in common, owned by shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Pool {
    pub amount: Amount,
    pub shares: u64,
    /// Number of times that the pool was lost whole: shares of an earlier generation are worth nothing.
    pub generation: u32,
}

impl Pool {
    /// The money that `shares` of `generation` are worth, rounded down.
    #[must_use]
    pub fn worth(&self, shares: u64, generation: u32) -> Amount {
        if generation != self.generation {
            return 0;
        }
        let product = u128::from(shares).saturating_mul(u128::from(self.amount));
        product
            .checked_div(u128::from(self.shares))
            .and_then(|worth| u64::try_from(worth).ok())
            .unwrap_or(0)
    }

    /// Shares to be given up for `amount`, rounded up; none if the pool does not cover it.
    #[must_use]
    pub fn shares_for(&self, amount: Amount) -> Option<u64> {
        if amount > self.amount {
            return None;
        }
        let product = u128::from(amount).saturating_mul(u128::from(self.shares));
        let shares = product.checked_add(u128::from(self.amount).checked_sub(1)?)?;
        u64::try_from(shares.checked_div(u128::from(self.amount))?).ok()
    }

    /// Puts `amount` in: the pool after it and the new shares. None if it is too little for a share, or a number
    /// overflows (after a loss so deep that a share is worth next to nothing).
    #[must_use]
    pub fn put_in(&self, amount: Amount) -> Option<(Self, u64)> {
        let base = if self.amount == 0 && self.shares > 0 {
            Self {
                generation: self.generation.checked_add(1)?,
                ..Self::default()
            }
        } else {
            *self
        };
        let shares = if base.shares == 0 {
            amount
        } else {
            let product = u128::from(amount).saturating_mul(u128::from(base.shares));
            u64::try_from(product.checked_div(u128::from(base.amount))?).ok()?
        };
        if shares == 0 {
            return None;
        }
        let pool = Self {
            amount: base.amount.checked_add(amount)?,
            shares: base.shares.checked_add(shares)?,
            generation: base.generation,
        };
        Some((pool, shares))
    }

    /// Takes `amount` out for `shares`: the pool after it; none if it does not hold that much.
    #[must_use]
    pub fn take_out(&self, amount: Amount, shares: u64) -> Option<Self> {
        Some(Self {
            amount: self.amount.checked_sub(amount)?,
            shares: self.shares.checked_sub(shares)?,
            generation: self.generation,
        })
    }

    /// Takes a share of the money for an offence: the pool after it and what was taken, rounded down.
    #[must_use]
    pub fn slash(&self, basis_points: u16) -> (Self, Amount) {
        let taken = u128::from(self.amount)
            .saturating_mul(u128::from(basis_points.min(10_000)))
            .checked_div(10_000)
            .and_then(|taken| u64::try_from(taken).ok())
            .unwrap_or(0);
        let pool = Self {
            amount: self.amount.saturating_sub(taken),
            ..*self
        };
        (pool, taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slash_is_shared_in_proportion() {
        let (pool, first) = Pool::default().put_in(900).expect("fits");
        let (pool, second) = pool.put_in(100).expect("fits");
        let (pool, taken) = pool.slash(1_000);
        assert_eq!(taken, 100);
        assert_eq!(pool.worth(first, 0), 810);
        assert_eq!(pool.worth(second, 0), 90);
    }

    #[test]
    fn shares_of_a_pool_lost_whole_are_worth_nothing_and_new_ones_are() {
        let (pool, shares) = Pool::default().put_in(1_000).expect("fits");
        let (pool, taken) = pool.slash(10_000);
        assert_eq!(taken, 1_000);
        assert_eq!(pool.worth(shares, 0), 0);
        let (pool, new) = pool.put_in(50).expect("fits");
        assert_eq!(pool.worth(shares, 0), 0);
        assert_eq!(pool.worth(new, pool.generation), 50);
    }

    #[test]
    fn what_is_worth_less_than_a_share_is_refused() {
        let pool = Pool {
            amount: 10,
            shares: 3,
            generation: 0,
        };
        assert_eq!(pool.put_in(3), None);
        assert_eq!(pool.put_in(u64::MAX), None);
    }

    #[test]
    fn roundings_favour_the_pool() {
        let pool = Pool {
            amount: 10,
            shares: 3,
            generation: 0,
        };
        assert_eq!(pool.worth(2, 0), 6);
        assert_eq!(pool.shares_for(6), Some(2));
        assert_eq!(pool.shares_for(4), Some(2));
        assert_eq!(pool.shares_for(11), None);
        assert_eq!(pool.put_in(9).map(|(_, shares)| shares), Some(2));
    }

    proptest! {
        #[test]
        fn nobody_takes_out_more_than_was_put_in_less_what_was_slashed(
            deposits in proptest::collection::vec(1u64..1_000_000_000_000, 1..8),
            slashes in proptest::collection::vec(0u16..6_000, 0..4),
            shift in 0usize..8,
        ) {
            let mut pool = Pool::default();
            let mut owners = Vec::new();
            let mut slashes = slashes.into_iter();
            for amount in deposits {
                let Some((after, shares)) = pool.put_in(amount) else { continue };
                prop_assert_eq!(after.amount, pool.amount + amount);
                // One unit may be lost to rounding, nothing is won.
                prop_assert!(after.worth(shares, after.generation) <= amount);
                owners.push((shares, after.generation));
                pool = after;
                if let Some(points) = slashes.next() {
                    pool = pool.slash(points).0;
                }
            }
            let count = owners.len();
            owners.rotate_left(shift % count);
            for (shares, generation) in owners {
                let worth = pool.worth(shares, generation);
                if generation == pool.generation && worth > 0 {
                    let needed = pool.shares_for(worth).expect("the pool covers it");
                    prop_assert!(needed <= shares);
                }
                if generation == pool.generation {
                    pool = pool.take_out(worth, shares).expect("the pool covers its shares");
                }
            }
            prop_assert_eq!(pool.shares, 0);
        }
    }
}
