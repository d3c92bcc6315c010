//! Random kills: `kill -9` of nodes at random moments of each phase, each started again at once.
//!
//! The seed gives how many there are in a phase, their moments and whom they hit. What the nodes do at such a moment it does not
//! give: the same seed is the same plan, not the same run.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// A part of a drill with kills of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// The DAG runs, before the quorum goes.
    Before,
    /// From the loss of the quorum to the first emergency block.
    Stall,
    /// Masters alone.
    Emergency,
    /// From the return of the validators to the last emergency block.
    Return,
    /// From there to the first block of the DAG.
    Exit,
    /// The DAG runs again.
    After,
}

/// How many kills a phase has at the most, and in what time from its beginning.
struct Bounds {
    kills_max: u32,
    within_ms: u64,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Stall => "stall",
            Self::Emergency => "emergency",
            Self::Return => "return",
            Self::Exit => "exit",
            Self::After => "after",
        }
    }

    /// About as long as the phase is: what it does not reach is not done.
    const fn bounds(self) -> Bounds {
        let (kills_max, within_ms) = match self {
            Self::Before => (2, 4_000),
            // The timeout of a devnet is a minute.
            Self::Stall => (3, 61_000),
            Self::Emergency => (2, 8_000),
            Self::Return => (4, 10_000),
            Self::Exit => (1, 2_000),
            Self::After => (3, 6_000),
        };
        Bounds {
            kills_max,
            within_ms,
        }
    }
}

/// A kill that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Kill {
    pub(super) phase: Phase,
    /// Since the phase began.
    pub(super) after_ms: u64,
    pub(super) nodes: Vec<String>,
}

impl fmt::Display for Kill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, after_ms) = (self.phase.name(), self.after_ms);
        write!(formatter, "{} {phase}+{after_ms}ms", self.nodes.join("+"))
    }
}

/// A kill that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Planned {
    after: Duration,
    whom: Whom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    /// One of those that run then: this number modulo how many they are.
    One(usize),
    /// A power failure.
    All,
}

/// One kill of so many hits all nodes at once.
const ALL_ONE_OF: u32 = 6;

/// The kills of one run.
#[derive(Debug)]
pub(super) struct Kills {
    random: StdRng,
    phase: Phase,
    began: Instant,
    planned: VecDeque<Planned>,
    done: Vec<Kill>,
}

impl Kills {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            phase: Phase::Before,
            began: Instant::now(),
            planned: VecDeque::new(),
            done: Vec::new(),
        }
    }

    /// A phase begins: with at least one kill. What was left of the phase before is not done.
    pub(super) fn begin(&mut self, phase: Phase) {
        let Bounds {
            kills_max,
            within_ms,
        } = phase.bounds();
        let count = self.random.random_range(1..=kills_max);
        let mut planned: Vec<Planned> = (0..count)
            .map(|_| Planned {
                after: Duration::from_millis(self.random.random_range(0..within_ms)),
                whom: match self.random.random_range(0..ALL_ONE_OF) {
                    0 => Whom::All,
                    _ => Whom::One(self.random.random_range(0..usize::from(u16::MAX))),
                },
            })
            .collect();
        planned.sort_by_key(|kill| kill.after);
        self.planned = planned.into();
        (self.phase, self.began) = (phase, Instant::now());
    }

    /// Whom of `running` to kill now.
    pub(super) fn due(&mut self, now: Instant, running: &[usize]) -> Vec<usize> {
        let next = self.planned.front().copied();
        let Some(kill) = next.filter(|kill| now >= self.began + kill.after) else {
            return Vec::new();
        };
        self.planned.pop_front();
        match kill.whom {
            Whom::All => running.to_vec(),
            Whom::One(number) => {
                let position = number.checked_rem(running.len());
                position
                    .map(|position| running[position])
                    .into_iter()
                    .collect()
            }
        }
    }

    /// Nodes were killed, and started again.
    pub(super) fn note(&mut self, nodes: Vec<String>) {
        let after_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.done.push(Kill {
            phase: self.phase,
            after_ms,
            nodes,
        });
    }

    /// True if nothing is left of the plan of the phase.
    pub(super) fn is_spent(&self) -> bool {
        self.planned.is_empty()
    }

    /// What was done.
    pub(super) fn into_done(self) -> Vec<Kill> {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 6] = [
        Phase::Before,
        Phase::Stall,
        Phase::Emergency,
        Phase::Return,
        Phase::Exit,
        Phase::After,
    ];

    fn plan(seed: u64) -> Vec<Vec<Planned>> {
        let mut kills = Kills::new(seed);
        let of = |phase| {
            kills.begin(phase);
            kills.planned.clone().into()
        };
        PHASES.into_iter().map(of).collect()
    }

    #[test]
    fn a_seed_gives_a_plan_within_the_bounds_of_each_phase() {
        let mut hit_all = 0;
        for seed in 0..200 {
            let planned = plan(seed);
            assert_eq!(planned, plan(seed));
            assert_ne!(planned, plan(seed + 1_000));
            for (phase, kills) in PHASES.into_iter().zip(planned) {
                let bounds = phase.bounds();
                assert!((1..=bounds.kills_max as usize).contains(&kills.len()));
                assert!(kills.is_sorted_by_key(|kill| kill.after));
                let last = kills.last().unwrap().after;
                assert!(last < Duration::from_millis(bounds.within_ms));
                hit_all += kills.iter().filter(|kill| kill.whom == Whom::All).count();
            }
        }
        assert!(hit_all > 0);
    }

    #[test]
    fn who_is_due_is_one_that_runs_and_each_kill_comes_once() {
        let mut kills = Kills::new(7);
        kills.began = Instant::now();
        let at = |ms| Planned {
            after: Duration::from_millis(ms),
            whom: Whom::One(5),
        };
        let all = Planned {
            after: Duration::from_millis(30),
            whom: Whom::All,
        };
        kills.planned = VecDeque::from([at(10), at(20), all]);
        let began = kills.began;
        let mut due = |ms, running: &[usize]| {
            let now = began + Duration::from_millis(ms);
            kills.due(now, running)
        };
        assert_eq!(due(9, &[0, 2, 3]), Vec::<usize>::new());
        assert_eq!(due(10, &[0, 2, 3]), [3]);
        assert_eq!(due(10, &[0, 2, 3]), Vec::<usize>::new());
        assert_eq!(due(25, &[]), Vec::<usize>::new());
        assert_eq!(due(30, &[0, 1]), [0, 1]);
        assert!(kills.is_spent());
        kills.note(vec!["v0".to_owned(), "v1".to_owned()]);
        let done = kills.into_done();
        assert!(done[0].to_string().starts_with("v0+v1 before+"));
    }
}
