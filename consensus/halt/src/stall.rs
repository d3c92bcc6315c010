//! The soft stall: a chain without commits, as one node sees it (document 001, DESIGN §6).
//!
//! Rules:
//!
//! * S1. *No commit.* No commit for `max(timeout, rounds × idle_round_interval)`: at the idle pace, rounds take that long by
//!   design, and a slow chain is not a stalled one.
//! * S2. *Few certified vertices.* In each of the last `rounds` rounds fewer than 2f + 1 vertices are certified, and there was
//!   no commit since the first of them nor for `timeout`. Without the commits this would tell nothing: in an uncertified
//!   DAG, jitter alone leaves rounds with few certified vertices while commits go on. A round that was never the newest
//!   when this node looked counts like the rounds around it.
//! * S3. *Committee below the quorum.* Fewer than q members have been heard for `timeout`, and there was no commit meanwhile:
//!   a commit shows that a quorum is there, whoever we hear.
//! * S4. A stall counts from the last commit and ends with the next one. Reasons that come later are added, none is taken
//!   away: it does not flap with what this node happens to hear. No rule fires earlier than `timeout` after a commit, so
//!   commits that keep coming within it mean no stall, whatever else is seen.
//! * S5. A stall that lasts `escalation` is marked as escalated, once.
//! * S6. A node that is halted is not judged, nor one that syncs: the stall ends, and time starts anew. But a sync that stands
//!   still for [`SYNC_PATIENCE`] times as long as S1 waits is one that nobody helps: it is judged like all others, and time
//!   counts from when it stood still.
//! * S7. Time never goes back: an earlier time than the one before counts as that one.

use crate::bit_set::bit_set;
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{Height, Parameters, Round};

/// How much longer a sync may stand still than a chain without commits: it asks several peers before it gives one up.
pub const SYNC_PATIENCE: u64 = 6;

/// When a chain is stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallConfig {
    pub timeout_ms: u64,
    /// K: rounds without commit, rounds with few certified vertices.
    pub rounds: u64,
    pub idle_round_interval_ms: u64,
    pub escalation_ms: u64,
}

impl StallConfig {
    #[must_use]
    pub const fn from_parameters(parameters: &Parameters) -> Self {
        Self {
            timeout_ms: parameters.stall.timeout_ms,
            rounds: parameters.stall.rounds,
            idle_round_interval_ms: parameters.dag.idle_round_interval_ms,
            escalation_ms: parameters.stall.escalation_ms,
        }
    }

    /// How long there may be no commit (rule S1).
    #[must_use]
    pub fn patience_ms(&self) -> u64 {
        let rounds_ms = self.rounds.saturating_mul(self.idle_round_interval_ms);
        self.timeout_ms.max(rounds_ms)
    }

    /// How long a sync may stand still (rule S6).
    #[must_use]
    pub fn sync_patience_ms(&self) -> u64 {
        self.patience_ms().saturating_mul(SYNC_PATIENCE)
    }
}

/// What a node sees at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallObservation {
    pub now_ms: u64,
    /// A commit happened since the last observation.
    pub committed: bool,
    /// The newest round in which it can be known, and how many of its vertices are certified.
    pub certified: Option<(Round, usize)>,
    /// Members whose newest vertex came within `timeout`, this node included.
    pub active_committee: usize,
    /// q of the committee.
    pub quorum: usize,
    /// 2f + 1 of the committee.
    pub certified_threshold: usize,
    /// Halted: not judged (rule S6).
    pub halted: bool,
    /// While this node syncs: its round and head. One of them rises as long as somebody helps it.
    pub syncing: Option<(Round, Height)>,
}

/// Why a chain counts as stalled. The position in this list is the bit: new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StallReason {
    /// Rule S1.
    NoCommit,
    /// Rule S2.
    FewCertifiedVertices,
    /// Rule S3.
    CommitteeBelowQuorum,
}

impl StallReason {
    pub const ALL: [Self; 3] = [
        Self::NoCommit,
        Self::FewCertifiedVertices,
        Self::CommitteeBelowQuorum,
    ];

    /// Stable name for RPC, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCommit => "no_commit",
            Self::FewCertifiedVertices => "few_certified_vertices",
            Self::CommitteeBelowQuorum => "committee_below_quorum",
        }
    }
}

bit_set! {
    /// The reasons of one stall.
    StallReasons of StallReason
}

/// A stall in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The last commit, or the moment from which this node judges.
    pub since_ms: u64,
    pub reasons: StallReasons,
    /// Rule S5 has been applied.
    pub escalated: bool,
}

/// What an observation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallChange {
    Began { reasons: StallReasons },
    Escalated,
    Ended { lasted_ms: u64 },
}

/// What is known since the last commit.
#[derive(Clone, Copy, Debug)]
struct Watch {
    /// The last commit, or the moment from which this node judges.
    since_ms: u64,
    /// First and newest round of an unbroken series with few certified vertices.
    few: Option<(Round, Round)>,
    /// Since when fewer than a quorum are heard.
    below_quorum_ms: Option<u64>,
}

impl Watch {
    const fn starting(now_ms: u64) -> Self {
        Self {
            since_ms: now_ms,
            few: None,
            below_quorum_ms: None,
        }
    }

    fn note(&mut self, now_ms: u64, observation: &StallObservation) {
        if let Some((round, count)) = observation.certified {
            self.few = if count >= observation.certified_threshold {
                None
            } else {
                match self.few {
                    Some((first, newest)) if first <= round => Some((first, newest.max(round))),
                    _ => Some((round, round)),
                }
            };
        }
        self.below_quorum_ms = if observation.active_committee >= observation.quorum {
            None
        } else {
            self.below_quorum_ms.or(Some(now_ms))
        };
    }

    /// When each rule fires if nothing changes.
    fn deadlines(&self, config: &StallConfig) -> [(StallReason, Option<u64>); 3] {
        let no_commit = self.since_ms.saturating_add(config.patience_ms());
        let few = self
            .few
            .filter(|(first, newest)| newest.since(*first).saturating_add(1) >= config.rounds)
            .map(|_| self.since_ms.saturating_add(config.timeout_ms));
        let below_quorum = self
            .below_quorum_ms
            .map(|since| since.saturating_add(config.timeout_ms));
        [
            (StallReason::NoCommit, Some(no_commit)),
            (StallReason::FewCertifiedVertices, few),
            (StallReason::CommitteeBelowQuorum, below_quorum),
        ]
    }

    fn reasons(&self, now_ms: u64, config: &StallConfig) -> StallReasons {
        let deadlines = self.deadlines(config).into_iter();
        deadlines
            .filter(|(_, deadline)| deadline.is_some_and(|deadline| deadline <= now_ms))
            .map(|(reason, _)| reason)
            .collect()
    }
}

/// Watches the commits of one node.
#[derive(Clone, Debug)]
pub struct StallDetector {
    config: StallConfig,
    now_ms: u64,
    /// None: not judged.
    watch: Option<Watch>,
    stall: Option<Stall>,
    /// How far the sync has come that goes on, and since when.
    sync: Option<((Round, Height), u64)>,
}

impl StallDetector {
    /// A detector that judges from the first observation on.
    #[must_use]
    pub const fn new(config: StallConfig) -> Self {
        Self {
            config,
            now_ms: 0,
            watch: None,
            stall: None,
            sync: None,
        }
    }

    /// Takes note of what is seen now. At most one thing changes; what else is due comes with the next observation, for
    /// which [`Self::next_deadline_ms`] is not later than now then.
    pub fn observe(&mut self, observation: StallObservation) -> Option<StallChange> {
        // Rule S7.
        self.now_ms = self.now_ms.max(observation.now_ms);
        let now_ms = self.now_ms;
        let judged_from_ms = self.judged_from(&observation);
        let Some(judged_from_ms) =
            judged_from_ms.filter(|_| !mutant::is_on(Mutant::StallUnnoticed))
        else {
            self.watch = None;
            return self.end();
        };
        if observation.committed {
            self.watch = Some(Watch::starting(now_ms));
        }
        let config = self.config;
        let watch = self
            .watch
            .get_or_insert_with(|| Watch::starting(judged_from_ms));
        watch.note(now_ms, &observation);
        if observation.committed {
            return self.end();
        }
        let reasons = watch.reasons(now_ms, &config);
        match &mut self.stall {
            None if reasons.is_empty() => None,
            None => {
                self.stall = Some(Stall {
                    since_ms: watch.since_ms,
                    reasons,
                    escalated: false,
                });
                Some(StallChange::Began { reasons })
            }
            Some(stall) => {
                for reason in reasons.iter() {
                    stall.reasons.insert(reason);
                }
                let due = stall.since_ms.saturating_add(config.escalation_ms) <= now_ms;
                if !due || stall.escalated {
                    return None;
                }
                stall.escalated = true;
                Some(StallChange::Escalated)
            }
        }
    }

    /// From when on time counts if it has not counted so far; none if this node is not judged now (rule S6).
    fn judged_from(&mut self, observation: &StallObservation) -> Option<u64> {
        let now_ms = self.now_ms;
        if observation.halted {
            self.sync = None;
            return None;
        }
        let Some(reached) = observation.syncing else {
            self.sync = None;
            return Some(now_ms);
        };
        let known = self.sync.filter(|(known, _)| *known == reached);
        let (_, since_ms) = *self.sync.insert(known.unwrap_or((reached, now_ms)));
        let stands_still_ms = now_ms.saturating_sub(since_ms);
        (stands_still_ms >= self.config.sync_patience_ms()).then_some(since_ms)
    }

    fn end(&mut self) -> Option<StallChange> {
        let stall = self.stall.take()?;
        Some(StallChange::Ended {
            lasted_ms: self.now_ms.saturating_sub(stall.since_ms),
        })
    }

    /// The stall in progress.
    #[must_use]
    pub const fn current(&self) -> Option<&Stall> {
        self.stall.as_ref()
    }

    /// When to observe again at the latest; none while nothing can change by time alone.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let Some(watch) = &self.watch else {
            let (_, since_ms) = self.sync?;
            return Some(since_ms.saturating_add(self.config.sync_patience_ms()));
        };
        match &self.stall {
            None => {
                let deadlines = watch.deadlines(&self.config).into_iter();
                deadlines.filter_map(|(_, deadline)| deadline).min()
            }
            Some(stall) if stall.escalated => None,
            Some(stall) => Some(stall.since_ms.saturating_add(self.config.escalation_ms)),
        }
    }
}
