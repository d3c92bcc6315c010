//! The commit rule (rules D6 to D8).
//!
//! A function of the DAG and the cursor, whoever asks and however often. What it keeps between two questions is only what
//! the same DAG would give again: direct decisions never change, so each is made once, and where none is new there is
//! nothing to decide. A DAG in which thousands of rounds wait for a leader then costs no more per vertex than any other; one
//! in which some of them are committed and the first is not decided costs a walk over all for each new decision.

use crate::leaders::LeaderSchedule;
use crate::vertices::{Versions, VertexStore};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A place in the sequence of leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaderSlot {
    pub round: Round,
    pub position: usize,
    pub authority: AuthorityIndex,
}

/// What is known of a leader slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Undecided,
    Skip,
    Commit(Arc<VerifiedVertex>),
}

impl Decision {
    const fn is_made(&self) -> bool {
        !matches!(self, Self::Undecided)
    }
}

/// Rounds from a leader to the vertices that certify it.
const CERTIFY_DISTANCE: u64 = 2;
/// Rounds from a leader to the first possible anchor.
const WAVE_LENGTH: u64 = CERTIFY_DISTANCE + 1;

type Decided = (LeaderSlot, Decision);

/// The commit rule over one DAG.
#[derive(Clone, Debug)]
pub struct Committer {
    quorum: usize,
    /// Direct decisions by round, in the order of positions.
    direct: BTreeMap<Round, Vec<Decided>>,
    /// A slot may have a decision that the last question did not find.
    is_fresh: bool,
    /// No leader above this round is committed directly, so none is an anchor. None: not known.
    highest_commit: Option<Round>,
}

impl Committer {
    #[must_use]
    pub const fn new(quorum: usize) -> Self {
        Self {
            quorum,
            direct: BTreeMap::new(),
            is_fresh: true,
            highest_commit: None,
        }
    }

    /// Looks at the slots that a vertex of `round`, just accepted, may decide. To be called for every one.
    pub fn observe(&mut self, vertices: &VertexStore, schedule: &LeaderSchedule, round: Round) {
        for distance in 1..=CERTIFY_DISTANCE {
            let slots = round.minus(distance);
            if slots > Round::ZERO {
                self.decide_round(vertices, schedule, slots);
            }
        }
    }

    /// Forgets what was decided with the leaders before a change of the schedule.
    pub fn schedule_changed(&mut self) {
        self.direct.clear();
        self.is_fresh = true;
        self.highest_commit = None;
    }

    /// Decided slots after `cursor`, in order: the next ones if there are any, though perhaps not all. To be called again
    /// with the last of them, until there are none.
    #[must_use]
    pub fn decide(
        &mut self,
        vertices: &VertexStore,
        schedule: &LeaderSchedule,
        cursor: Option<(Round, usize)>,
    ) -> Vec<Decided> {
        if !self.is_fresh || self.is_stuck(vertices, schedule, cursor) {
            self.is_fresh = false;
            return Vec::new();
        }
        let mut slots = self.window(vertices, schedule, cursor);
        self.decide_by_anchors(vertices, &mut slots);
        let decided = slots
            .iter()
            .position(|(_, decision)| !decision.is_made())
            .unwrap_or(slots.len());
        slots.truncate(decided);
        self.is_fresh = !slots.is_empty();
        slots
    }

    /// True if the first slot after `cursor` has no decision and no anchor can have made one: then what lies behind it
    /// does not matter yet, however much that is.
    fn is_stuck(
        &mut self,
        vertices: &VertexStore,
        schedule: &LeaderSchedule,
        cursor: Option<(Round, usize)>,
    ) -> bool {
        let round = cursor.map_or(Round(1), |(round, _)| round);
        for round in [round, round.next()] {
            if !self.direct.contains_key(&round) {
                self.decide_round(vertices, schedule, round);
            }
        }
        let mut slots = self.direct.range(round..=round.next()).flat_map(|s| s.1);
        slots
            .find(|(slot, _)| cursor.is_none_or(|last| (slot.round, slot.position) > last))
            .is_some_and(|(slot, decision)| {
                let lowest_anchor = slot.round.plus(WAVE_LENGTH);
                let highest_anchor = self.highest_commit;
                !decision.is_made() && highest_anchor.is_some_and(|highest| highest < lowest_anchor)
            })
    }

    /// The slots after `cursor` with their direct decisions: up to where no slot of the window can need one beyond it, or
    /// all that could have one.
    fn window(
        &mut self,
        vertices: &VertexStore,
        schedule: &LeaderSchedule,
        cursor: Option<(Round, usize)>,
    ) -> Vec<Decided> {
        let mut round = cursor.map_or(Round(1), |(round, _)| round);
        self.direct = self.direct.split_off(&round);
        let highest = vertices.highest_round();
        let mut window = Vec::new();
        let mut decided_rounds: u64 = 0;
        while round < highest {
            if !self.direct.contains_key(&round) {
                self.decide_round(vertices, schedule, round);
            }
            let slots = self.direct.get(&round).into_iter().flatten();
            let (mut all_decided, mut one_committed) = (true, false);
            for (slot, decision) in slots {
                if cursor.is_some_and(|cursor| (slot.round, slot.position) <= cursor) {
                    continue;
                }
                all_decided &= decision.is_made();
                one_committed |= matches!(decision, Decision::Commit(_));
                window.push((*slot, decision.clone()));
            }
            decided_rounds = if all_decided {
                decided_rounds.saturating_add(1)
            } else {
                0
            };
            // Undecided slots lie a wave below, so their anchors are at or below the leader that is committed here.
            if decided_rounds >= WAVE_LENGTH && one_committed {
                return window;
            }
            round = round.next();
        }
        // All that could have a decision was looked at.
        let committed = window
            .iter()
            .rev()
            .find(|(_, decision)| matches!(decision, Decision::Commit(_)));
        let highest = committed.map_or(Round::ZERO, |(slot, _)| slot.round);
        self.highest_commit = self.highest_commit.max(Some(highest));
        window
    }

    /// Brings the direct decisions of a round up to date.
    fn decide_round(&mut self, vertices: &VertexStore, schedule: &LeaderSchedule, round: Round) {
        let slots = self.direct.entry(round).or_insert_with(|| {
            let leaders = schedule.leaders(round).into_iter().zip(0..);
            let slots = leaders.map(|(authority, position)| LeaderSlot {
                round,
                position,
                authority,
            });
            slots.map(|slot| (slot, Decision::Undecided)).collect()
        });
        for (slot, decision) in slots {
            if !decision.is_made() {
                *decision = decide_directly(vertices, self.quorum, *slot);
                self.is_fresh |= decision.is_made();
                if matches!(decision, Decision::Commit(_)) {
                    self.highest_commit = self.highest_commit.map(|highest| highest.max(round));
                }
            }
        }
    }

    /// Rule D8, from the last slot to the first, as a slot's anchor is behind it.
    fn decide_by_anchors(&self, vertices: &VertexStore, slots: &mut [Decided]) {
        let Some((first, _)) = slots.first() else {
            return;
        };
        let lowest = first.round.plus(CERTIFY_DISTANCE);
        // For every slot, the first that is not skipped of itself and those behind it.
        let mut not_skipped: Vec<Option<usize>> = vec![None; slots.len()];
        let mut history: Option<History> = None;
        for at in (0..slots.len()).rev() {
            let Some((slot, decision)) = slots.get(at) else {
                continue;
            };
            if !decision.is_made() {
                let slot = *slot;
                let wave = slot.round.plus(WAVE_LENGTH);
                let behind = slots.partition_point(|(later, _)| later.round < wave);
                let anchor = not_skipped.get(behind).copied().flatten();
                let made = match anchor.and_then(|anchor| slots.get(anchor)) {
                    Some((_, Decision::Commit(anchor))) => {
                        // The anchors of lower slots are the same or lower, and so are the rounds asked for.
                        let mut opened = history
                            .take()
                            .filter(|history| history.anchor == anchor.reference())
                            .unwrap_or_else(|| History::new(vertices, anchor, lowest));
                        let made = self.decide_in_history(vertices, slot, &mut opened);
                        history = Some(opened);
                        made
                    }
                    _ => Decision::Undecided,
                };
                if let Some((_, decision)) = slots.get_mut(at) {
                    *decision = made;
                }
            }
            let is_skipped = matches!(slots.get(at), Some((_, Decision::Skip)));
            let next = if is_skipped {
                not_skipped.get(at.saturating_add(1)).copied().flatten()
            } else {
                Some(at)
            };
            if let Some(first) = not_skipped.get_mut(at) {
                *first = next;
            }
        }
    }

    /// Commit if the anchor's history holds a certificate for a vertex of the slot, else skip.
    fn decide_in_history(
        &self,
        vertices: &VertexStore,
        slot: LeaderSlot,
        history: &mut History,
    ) -> Decision {
        let Some(reached) = history.at(vertices, slot.round.plus(CERTIFY_DISTANCE)) else {
            return Decision::Skip;
        };
        let place = (slot.round, slot.authority);
        for (candidate, version) in vertices.slot(slot.round, slot.authority).iter().zip(0..) {
            if vertices.is_certified_by(reached, place, version, self.quorum)
                && !mutant::is_on(Mutant::AnchorsIgnoreCertificates)
            {
                return Decision::Commit(Arc::clone(candidate));
            }
        }
        Decision::Skip
    }
}

/// Rule D7.
fn decide_directly(vertices: &VertexStore, quorum: usize, slot: LeaderSlot) -> Decision {
    let place = (slot.round, slot.authority);
    if vertices.authors(slot.round.plus(CERTIFY_DISTANCE)) >= quorum {
        for (candidate, version) in vertices.slot(slot.round, slot.authority).iter().zip(0..) {
            if vertices.certifiers(place, version, quorum) >= quorum {
                return Decision::Commit(Arc::clone(candidate));
            }
        }
    }
    if vertices.authors(slot.round.next()) >= quorum && vertices.blamers(place) >= quorum {
        return Decision::Skip;
    }
    Decision::Undecided
}

/// The history of an anchor, opened downwards as far as it was asked for.
struct History {
    anchor: VertexRef,
    /// Nothing is asked for below.
    lowest: Round,
    /// Reached and not opened yet.
    open: BTreeMap<Round, Versions>,
}

impl History {
    fn new(vertices: &VertexStore, anchor: &VerifiedVertex, lowest: Round) -> Self {
        let anchor = anchor.reference();
        Self {
            anchor,
            lowest,
            open: BTreeMap::from([(anchor.round, vertices.only(&anchor))]),
        }
    }

    /// The vertices of `round` in the history. Every round is opened once, so rounds must be asked for downwards.
    fn at(&mut self, vertices: &VertexStore, round: Round) -> Option<&Versions> {
        while let Some(entry) = self.open.last_entry()
            && *entry.key() > round
        {
            let (opened, reached) = entry.remove_entry();
            vertices.open_parents(opened, &reached, self.lowest, &mut self.open);
        }
        self.open.get(&round)
    }
}
