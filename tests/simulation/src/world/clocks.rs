//! Wall clocks that are wrong, and jump.

use super::World;
use super::faults::Faults;
use crate::chain::START;
use crate::clock::Clock;
use crate::message::NodeId;
use crate::oracle::Rule;
use holdfast_types::{BlockHeader, BlockOrigin};

/// Blocks that are made at once are a millisecond apart.
const SUCCESSION_MS: u64 = 100;
const HOUR_MS: i64 = 3_600_000;
/// What a clock that drifts gains or loses at most: a fifth.
const DRIFT_PPM: i64 = 200_000;

/// How clocks are wrong.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub pause_ms: (u64, u64),
    /// Good clocks are within this.
    pub skew_ms: u64,
    /// At most f clocks are within this.
    pub wild_skew_ms: u64,
    /// In so many of a thousand seeds the wrong clocks are the same ones all the time. They stand still, run fast or slow,
    /// and jump by an hour.
    pub any_way_per_mille: u64,
    /// In so many of a thousand of these seeds, they are more than f. Then blocks may be wrong in time, and none may come.
    pub too_many_per_mille: u64,
}

impl World {
    const fn faulty_max(&self) -> usize {
        (self.plan.chain.validators - 1) / 3
    }

    pub(super) fn choose_wrong_clocks(&mut self, clocks: &Clocks) {
        if !self.random.chance(clocks.any_way_per_mille) {
            return;
        }
        let validators = self.plan.chain.validators;
        let mut count = self.faulty_max();
        if self.random.chance(clocks.too_many_per_mille) {
            count += 1 + self.random.position(validators - count);
        }
        let first = self.random.position(validators);
        self.wrong_clocks = (first..first + count).map(|n| n % validators).collect();
    }

    /// A block has the median time of a quorum's vertices: with at most f that are wrong, that of a good clock or less.
    pub(super) fn limit_block_times(&mut self, faults: &Faults) {
        let validators = self.plan.chain.validators;
        let byzantine = self.nodes.iter().take(validators);
        let byzantine = byzantine.filter(|node| node.behaviour.is_some()).count();
        let wrong = match faults.clocks {
            None => 0,
            Some(_) if self.wrong_clocks.is_empty() => self.faulty_max(),
            Some(_) => self.wrong_clocks.len(),
        };
        let skew_ms = faults.clocks.map_or(0, |clocks| {
            // Others each time: a round may have vertices of old and of new wrong ones.
            if self.wrong_clocks.is_empty() {
                clocks.wild_skew_ms
            } else {
                clocks.skew_ms
            }
        });
        let few = byzantine + wrong <= self.faulty_max();
        // A committee that changes may have more than f of them, and so has one with a key that signs twice.
        let is_limited = few && faults.membership.is_none() && faults.twins.is_none();
        self.block_ahead_max_ms = is_limited.then_some(skew_ms + SUCCESSION_MS);
    }

    pub(super) fn check_block_time(&mut self, node: NodeId, header: &BlockHeader) {
        // An emergency block has no quorum of clocks: each node judges it by its own, which may be wrong.
        if matches!(header.origin, BlockOrigin::Emergency { .. }) {
            return;
        }
        let ahead_ms = header.timestamp.since(START.plus(self.now_ms));
        if self.block_ahead_max_ms.is_some_and(|max| ahead_ms > max) {
            let what = format!(
                "time: node {node} has applied {}, which is {ahead_ms} ms ahead",
                header.height
            );
            self.oracle.violated(Rule::Soundness, what);
        }
    }

    pub(super) fn set_clocks(&mut self, clocks: &Clocks) {
        self.count("clock steps");
        for node in 0..self.nodes.len() {
            if !self.wrong_clocks.contains(&node) {
                self.skew_clock(node, clocks.skew_ms);
            }
        }
        if self.wrong_clocks.is_empty() {
            let first = self.random.position(self.plan.chain.validators);
            for node in first..(first + self.faulty_max()).min(self.plan.chain.validators) {
                self.skew_clock(node, clocks.wild_skew_ms);
            }
            return;
        }
        if self.wrong_clocks.len() > self.faulty_max() {
            self.count("more than f clocks wrong");
        }
        for node in self.wrong_clocks.clone() {
            self.upset_clock(node, clocks);
        }
    }

    fn skew_clock(&mut self, node: NodeId, reach_ms: u64) {
        let ahead = self.random.between((0, 2 * reach_ms)).cast_signed();
        self.set_clock(node, ahead - reach_ms.cast_signed());
    }

    fn upset_clock(&mut self, node: NodeId, clocks: &Clocks) {
        match self.random.below(4) {
            0 => self.skew_clock(node, clocks.wild_skew_ms),
            1 => self.freeze_clock(node),
            2 => {
                let gains_ppm = *self.random.pick(&[DRIFT_PPM, -DRIFT_PPM]);
                self.let_clock_drift(node, gains_ppm);
            }
            _ => {
                self.count("clock steps of an hour");
                let ahead_ms = *self.random.pick(&[HOUR_MS, -HOUR_MS]);
                self.set_clock(node, ahead_ms);
            }
        }
    }

    /// Sets the wall clock of a node; it is right in rate from then on.
    pub fn set_clock(&mut self, node: NodeId, ahead_ms: i64) {
        self.nodes[node].clock = Clock::ahead(ahead_ms);
        let ahead_ms = ahead_ms.max(0).cast_unsigned();
        self.ahead_max_ms = self.ahead_max_ms.max(ahead_ms);
    }

    /// The wall clock of a node stands still.
    pub fn freeze_clock(&mut self, node: NodeId) {
        self.count("clocks frozen");
        self.nodes[node].clock = self.nodes[node].clock.frozen(self.now_ms);
    }

    /// The wall clock of a node gains or loses.
    pub fn let_clock_drift(&mut self, node: NodeId, gains_ppm: i64) {
        self.count("clocks that drift");
        self.nodes[node].clock = self.nodes[node].clock.gaining(self.now_ms, gains_ppm);
    }

    /// How far a clock was ahead at most. What it dated counts when that time has come.
    #[must_use]
    pub const fn ahead_max_ms(&self) -> u64 {
        self.ahead_max_ms
    }
}

#[cfg(test)]
mod tests {
    use super::{SUCCESSION_MS, World};
    use crate::Profile;
    use crate::chain::START;
    use crate::random::Random;
    use holdfast_chain::ChainStore;
    use holdfast_types::Height;

    #[test]
    fn a_block_of_the_future_breaks_a_rule_unless_too_many_may_date_it() {
        let profile = Profile::named("clock").expect("the profile exists");
        let plan = profile.plan(&mut Random::new(0));
        for too_many_per_mille in [0, 1000] {
            let mut world = World::new(&plan, 0);
            let mut faults = profile.faults;
            let clocks = faults.clocks.as_mut().expect("it has clocks");
            clocks.any_way_per_mille = 1000;
            clocks.too_many_per_mille = too_many_per_mille;
            let ahead_max_ms = clocks.skew_ms + SUCCESSION_MS;
            world.unleash(&faults);
            let block = world.nodes[0].disk.now().block_at(Height::ZERO);
            let mut header = block.unwrap().expect("there is a genesis").header;
            header.timestamp = START.plus(ahead_max_ms);
            world.check_block_time(0, &header);
            assert_eq!(world.oracle.violation(), None);
            header.timestamp = header.timestamp.next();
            world.check_block_time(0, &header);
            assert_eq!(
                world.oracle.violation().is_some(),
                too_many_per_mille == 0,
                "{:?}",
                world.wrong_clocks
            );
        }
    }
}
