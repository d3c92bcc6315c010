//! What the node says of itself in one word (`ChainState`) and check by check (`/livez`, `/readyz`), from what is on the
//! board. A process that has just begun knows nothing of the chain but its own store: until the first block comes, from
//! whomever, it says "starting", and no traffic should go to it.

use super::halts;
use crate::runtime::board::Standing;
use holdfast_rpc::dto::ChainState;
use holdfast_rpc::{Check, Health, NotReady};
use holdfast_types::Parameters;
use std::time::Duration;

/// A chain that has made no block for this many idle intervals is not moving.
const IDLE_INTERVALS: u64 = 5;

/// What the parameters of the chain demand of a node that is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct Bounds {
    /// A head that stays the same for longer is a stall.
    pub(in crate::runtime) stall_after: Duration,
    /// The vertices of a validator whose clock is further ahead are parked by the others.
    pub(in crate::runtime) clock_drift: Duration,
}

impl Bounds {
    pub(in crate::runtime) fn of(parameters: &Parameters) -> Self {
        let idle_ms = parameters.dag.idle_round_interval_ms * IDLE_INTERVALS;
        Self {
            stall_after: Duration::from_millis(parameters.stall.timeout_ms.max(idle_ms)),
            clock_drift: Duration::from_millis(parameters.dag.max_clock_drift_ms),
        }
    }
}

fn no_block(standing: &Standing, reasons: &str) -> String {
    format!(
        "no block for {:.1} s ({reasons}); {} of {} validators seen, quorum {}",
        standing.head_changed_at.elapsed().as_secs_f64(),
        standing.active_committee,
        standing.context.committee.size(),
        standing.context.committee.quorum()
    )
}

/// The state of the chain in one word.
pub(super) fn chain_state(standing: &Standing, bounds: Bounds) -> ChainState {
    if let Some(state) = halts::chain_state(&standing.halts) {
        state
    } else if standing.sync_target.is_some() {
        ChainState::Syncing
    } else if standing.head_changed_at.elapsed() > bounds.stall_after {
        ChainState::Stalled
    } else if standing.has_moved {
        ChainState::Running
    } else {
        ChainState::Starting
    }
}

/// The checks; `frozen` says which thread does not move, if one does not.
pub(super) fn checks(standing: &Standing, bounds: Bounds, frozen: Option<String>) -> Health {
    let not_halted = halts::not_halted(&standing.halts);
    Health {
        core_responsive: match frozen {
            Some(what) => fail(NotReady::CoreUnresponsive, what),
            None => Check::Pass,
        },
        caught_up: match standing.sync_target {
            Some(target) => fail(
                NotReady::Behind,
                format!("head {} of certified {target}", standing.head),
            ),
            None => Check::Pass,
        },
        chain_moving: match &not_halted {
            Check::Pass => chain_moving(standing, bounds),
            halted @ Check::Fail { .. } => halted.clone(),
        },
        not_halted,
        clock_agrees: clock_agrees(standing.clock_skew_seconds, bounds),
    }
}

/// Of a chain that is not halted.
fn chain_moving(standing: &Standing, bounds: Bounds) -> Check {
    if let Some(reasons) = halts::stalled(&standing.halts) {
        fail(NotReady::Stalled, no_block(standing, &reasons))
    } else if standing.head_changed_at.elapsed() > bounds.stall_after {
        fail(NotReady::Stalled, no_block(standing, "the head is old"))
    } else if standing.has_moved {
        Check::Pass
    } else {
        fail(
            NotReady::Starting,
            "no block has been made or received since this process began".to_owned(),
        )
    }
}

fn clock_agrees(skew_seconds: f64, bounds: Bounds) -> Check {
    let bound_seconds = bounds.clock_drift.as_secs_f64();
    Check::require(
        skew_seconds.abs() <= bound_seconds,
        NotReady::ClockSkew,
        || {
            let direction = if skew_seconds > 0.0 {
                "ahead of"
            } else {
                "behind"
            };
            format!(
                "the clock of this machine is {:.2} s {direction} the committee's, the bound is {bound_seconds} s: repair its time synchronisation",
                skew_seconds.abs()
            )
        },
    )
}

fn fail(reason: NotReady, detail: String) -> Check {
    Check::Fail { reason, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::halted::fixture::well;
    use holdfast_types::Height;
    use std::time::Instant;

    const BOUNDS: Bounds = Bounds {
        stall_after: Duration::from_secs(5),
        clock_drift: Duration::from_secs(1),
    };

    fn reasons(standing: &Standing) -> Vec<NotReady> {
        checks(standing, BOUNDS, None).ready().reasons
    }

    #[test]
    fn a_node_whose_head_moves_is_ready() {
        assert_eq!(reasons(&well()), []);
        assert_eq!(chain_state(&well(), BOUNDS), ChainState::Running);
    }

    #[test]
    fn a_process_that_has_just_begun_on_an_old_store_is_not_ready() {
        let mut standing = well();
        standing.has_moved = false;
        standing.head = Height(1_000);
        assert_eq!(reasons(&standing), [NotReady::Starting]);
        assert_eq!(chain_state(&standing, BOUNDS), ChainState::Starting);
    }

    #[test]
    fn a_node_that_catches_up_is_behind() {
        let mut standing = well();
        standing.sync_target = Some(Height(20));
        assert_eq!(reasons(&standing), [NotReady::Behind]);
        assert_eq!(chain_state(&standing, BOUNDS), ChainState::Syncing);
    }

    #[test]
    fn an_old_head_is_a_stall_whether_it_has_moved_before_or_not() {
        let mut standing = well();
        let old = BOUNDS.stall_after + Duration::from_millis(1);
        standing.head_changed_at = Instant::now().checked_sub(old).unwrap();
        for has_moved in [true, false] {
            standing.has_moved = has_moved;
            assert_eq!(reasons(&standing), [NotReady::Stalled]);
            assert_eq!(chain_state(&standing, BOUNDS), ChainState::Stalled);
        }
    }

    #[test]
    fn a_thread_that_does_not_move_is_the_only_thing_that_ends_a_life() {
        let health = checks(&well(), BOUNDS, Some("core: 12 s".to_owned()));
        assert_eq!(health.live().reasons, [NotReady::CoreUnresponsive]);
        let mut standing = well();
        standing.has_moved = false;
        standing.clock_skew_seconds = 10.0;
        assert!(checks(&standing, BOUNDS, None).live().ok);
    }

    #[test]
    fn a_clock_beyond_the_bound_makes_not_ready_in_both_directions() {
        for (skew, expected) in [
            (1.0, vec![]),
            (-1.0, vec![]),
            (1.001, vec![NotReady::ClockSkew]),
            (-1.001, vec![NotReady::ClockSkew]),
        ] {
            let mut standing = well();
            standing.clock_skew_seconds = skew;
            assert_eq!(reasons(&standing), expected, "{skew} s");
        }
    }
}
