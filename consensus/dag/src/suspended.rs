//! Vertices that wait for their ancestors, and the fetching of these (rule D1).
//!
//! Everything here is bounded: each author has a fixed number of places and of references that its vertices may wait for,
//! and only its own vertices compete for them, so a flood by one author costs no other author anything. What nobody
//! delivers is asked for ever more seldom, and after what was asked for less often.

use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexDigest, VertexRef};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Ask `from` for these vertices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    pub from: AuthorityIndex,
    pub references: Vec<VertexRef>,
}

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchRules {
    /// A vertex is asked for again after this long, in ms, and after longer the more often it was.
    pub(crate) again_after_ms: u64,
    /// Most references in one request.
    pub(crate) references_max: usize,
    /// Who is never asked.
    pub(crate) me: Option<AuthorityIndex>,
}

/// Most times that the wait for an answer is longer than the first one. Not much, as a node stands still while it lacks one
/// vertex of an honest author.
const BACK_OFF_MAX: u64 = 8;

/// Requests after which an ancestor may be taken for one that does not exist, if its place is needed.
const ATTEMPTS_IN_VAIN: u32 = 3;

#[derive(Clone, Debug)]
struct Waiting {
    vertex: Arc<VerifiedVertex>,
    missing: BTreeSet<VertexRef>,
}

/// What one author has here.
#[derive(Clone, Debug, Default)]
struct Places {
    /// By rising reference, that is by round: the order in which one author's vertices compete.
    vertices: BTreeMap<VertexRef, Waiting>,
    /// Sum of what they wait for.
    missing: usize,
}

#[derive(Clone, Debug)]
struct Missing {
    /// The suspended vertices that name it, in order of arrival.
    children: Vec<VertexRef>,
    due_ms: u64,
    attempts: u32,
}

/// Suspended vertices by author, and what they wait for.
#[derive(Clone, Debug)]
pub struct Suspended {
    per_author_max: usize,
    committee_size: u16,
    waiting: BTreeMap<AuthorityIndex, Places>,
    missing: BTreeMap<VertexRef, Missing>,
    /// The missing vertices that are not suspended themselves, by the time of their next request.
    due: BTreeSet<(u64, VertexRef)>,
}

impl Suspended {
    #[must_use]
    pub const fn new(committee_size: u16, per_author_max: usize) -> Self {
        Self {
            per_author_max,
            committee_size,
            waiting: BTreeMap::new(),
            missing: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    #[must_use]
    pub fn contains(&self, reference: &VertexRef) -> bool {
        self.waiting
            .get(&reference.author)
            .is_some_and(|places| places.vertices.contains_key(reference))
    }

    /// Suspended vertices of one slot.
    pub(crate) fn slot(
        &self,
        round: Round,
        author: AuthorityIndex,
    ) -> impl Iterator<Item = &Arc<VerifiedVertex>> {
        let first = VertexRef {
            round,
            author,
            digest: VertexDigest::default(),
        };
        self.waiting
            .get(&author)
            .into_iter()
            .flat_map(move |places| places.vertices.range(first..))
            .take_while(move |(reference, _)| reference.round == round)
            .map(|(_, waiting)| &waiting.vertex)
    }

    /// Drops the vertex of a slot whose ancestors were asked for most often in vain. False if none was often enough. Only an
    /// author of two versions can lose one.
    pub(crate) fn give_up_one_of(&mut self, round: Round, author: AuthorityIndex) -> bool {
        let versions = self.slot(round, author).map(|vertex| vertex.reference());
        let oldest = versions
            .filter(|reference| !self.is_waited_for(reference))
            .map(|reference| (self.attempts_for(&reference), reference))
            .max();
        let Some((_, given_up)) = oldest.filter(|(attempts, _)| *attempts >= ATTEMPTS_IN_VAIN)
        else {
            return false;
        };
        self.remove(&given_up).is_some()
    }

    /// How often that was asked for which this vertex waits for longest.
    fn attempts_for(&self, reference: &VertexRef) -> u32 {
        let places = self.waiting.get(&reference.author);
        let waiting = places.and_then(|places| places.vertices.get(reference));
        let missing = waiting.into_iter().flat_map(|waiting| &waiting.missing);
        let attempts = missing.filter_map(|ancestor| Some(self.missing.get(ancestor)?.attempts));
        attempts.max().unwrap_or(0)
    }

    /// True if a suspended vertex names this one.
    #[must_use]
    pub fn is_waited_for(&self, reference: &VertexRef) -> bool {
        self.missing.contains_key(reference)
    }

    /// Number of suspended vertices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting
            .values()
            .fold(0, |sum, places| sum.saturating_add(places.vertices.len()))
    }

    /// Vertices of the author who has most.
    pub(crate) fn len_of_one(&self) -> usize {
        let lengths = self.waiting.values().map(|places| places.vertices.len());
        lengths.max().unwrap_or(0)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Number of vertices that are waited for and not here.
    #[must_use]
    pub fn missing_len(&self) -> usize {
        self.due.len()
    }

    /// Suspends a vertex until `missing` is resolved; fetching starts at `due_ms`. False if the author's places are
    /// taken by vertices of lower rounds.
    pub(crate) fn insert(
        &mut self,
        vertex: Arc<VerifiedVertex>,
        missing: BTreeSet<VertexRef>,
        due_ms: u64,
    ) -> bool {
        let reference = vertex.reference();
        if !mutant::is_on(Mutant::SuspendedUnbounded) && !self.make_room(&reference, missing.len())
        {
            return false;
        }
        for ancestor in &missing {
            self.add_child(ancestor, reference, due_ms);
        }
        let places = self.waiting.entry(reference.author).or_default();
        places.missing = places.missing.saturating_add(missing.len());
        places
            .vertices
            .insert(reference, Waiting { vertex, missing });
        if let Some(waited_for) = self.missing.get(&reference) {
            self.due.remove(&(waited_for.due_ms, reference));
        }
        true
    }

    /// Takes places from the author's own vertices of higher rounds.
    fn make_room(&mut self, reference: &VertexRef, missing: usize) -> bool {
        let Some(places) = self.waiting.get(&reference.author) else {
            return self.per_author_max > 0;
        };
        // A vertex may name three times as many as there are members; honest ones wait for far fewer on average.
        let missing_max = self
            .per_author_max
            .saturating_mul(usize::from(self.committee_size));
        let (mut kept, mut kept_missing) = (0usize, 0usize);
        for (_, waiting) in places.vertices.range(..reference) {
            kept = kept.saturating_add(1);
            kept_missing = kept_missing.saturating_add(waiting.missing.len());
        }
        let fits = |kept: usize, kept_missing: usize| {
            kept < self.per_author_max
                && (kept == 0 || kept_missing.saturating_add(missing) <= missing_max)
        };
        if !fits(kept, kept_missing) {
            return false;
        }
        let mut leaving = Vec::new();
        let (mut kept, mut kept_missing) = (places.vertices.len(), places.missing);
        for (highest, waiting) in places.vertices.iter().rev() {
            if fits(kept, kept_missing) {
                break;
            }
            leaving.push(*highest);
            kept = kept.saturating_sub(1);
            kept_missing = kept_missing.saturating_sub(waiting.missing.len());
        }
        for highest in leaving {
            self.remove(&highest);
        }
        true
    }

    fn add_child(&mut self, ancestor: &VertexRef, child: VertexRef, due_ms: u64) {
        let is_here = self.contains(ancestor);
        let missing = self.missing.entry(*ancestor).or_insert_with(|| Missing {
            children: Vec::new(),
            due_ms,
            attempts: 0,
        });
        let knows_more = missing.children.iter().all(|c| c.author != child.author);
        missing.children.push(child);
        if is_here || !knows_more {
            return;
        }
        // Whoever names it has it, so another author is worth a request soon.
        self.due.remove(&(missing.due_ms, *ancestor));
        missing.due_ms = missing.due_ms.min(due_ms);
        self.due.insert((missing.due_ms, *ancestor));
    }

    fn remove(&mut self, reference: &VertexRef) -> Option<Waiting> {
        let places = self.waiting.get_mut(&reference.author)?;
        let waiting = places.vertices.remove(reference)?;
        places.missing = places.missing.saturating_sub(waiting.missing.len());
        if places.vertices.is_empty() {
            self.waiting.remove(&reference.author);
        }
        for ancestor in &waiting.missing {
            if let Some(missing) = self.missing.get_mut(ancestor) {
                missing.children.retain(|child| child != reference);
                if missing.children.is_empty() {
                    self.due.remove(&(missing.due_ms, *ancestor));
                    self.missing.remove(ancestor);
                }
            }
        }
        // Others may wait for the vertex itself, which is not here any more.
        if let Some(missing) = self.missing.get(reference) {
            self.due.insert((missing.due_ms, *reference));
        }
        Some(waiting)
    }

    /// `ancestor` need not be waited for any more; returns the vertices that wait for nothing now.
    pub(crate) fn resolve(&mut self, ancestor: &VertexRef) -> Vec<Arc<VerifiedVertex>> {
        let Some(missing) = self.missing.remove(ancestor) else {
            return Vec::new();
        };
        self.due.remove(&(missing.due_ms, *ancestor));
        let mut ready = Vec::new();
        for child in missing.children {
            let Some(places) = self.waiting.get_mut(&child.author) else {
                continue;
            };
            let Some(waiting) = places.vertices.get_mut(&child) else {
                continue;
            };
            waiting.missing.remove(ancestor);
            places.missing = places.missing.saturating_sub(1);
            if waiting.missing.is_empty()
                && let Some(waiting) = self.remove(&child)
            {
                ready.push(waiting.vertex);
            }
        }
        ready
    }

    /// Drops suspended vertices at or below `gc_round` and resolves missing ones there; returns what became ready.
    pub(crate) fn collect_garbage(&mut self, gc_round: Round) -> Vec<Arc<VerifiedVertex>> {
        if mutant::is_on(Mutant::WaitsForGarbage) {
            return Vec::new();
        }
        let dead: Vec<VertexRef> = self
            .waiting
            .values()
            .flat_map(|places| places.vertices.keys())
            .filter(|reference| reference.round <= gc_round)
            .copied()
            .collect();
        for reference in dead {
            self.remove(&reference);
        }
        let resolved: Vec<VertexRef> = self
            .missing
            .keys()
            .take_while(|reference| reference.round <= gc_round)
            .copied()
            .collect();
        let mut ready: Vec<_> = resolved
            .iter()
            .flat_map(|reference| self.resolve(reference))
            .collect();
        ready.sort_by_key(|vertex| vertex.reference());
        ready
    }

    /// Requests that are due, at most one per authority. What finds no room in its request comes after the time of a
    /// repetition, so that nobody is asked without pause.
    pub(crate) fn fetches(&mut self, now_ms: u64, rules: &FetchRules) -> Vec<FetchRequest> {
        // More than a request for everybody is left for the next call.
        let due_max = rules
            .references_max
            .saturating_mul(usize::from(self.committee_size));
        let mut due: Vec<(u32, VertexRef)> = Vec::new();
        while due.len() < due_max
            && let Some((due_ms, reference)) = self.due.first().copied()
            && due_ms <= now_ms
        {
            self.due.pop_first();
            let attempts = self.missing.get(&reference).map_or(0, |m| m.attempts);
            due.push((attempts, reference));
        }
        due.sort_unstable();
        let mut requests: BTreeMap<AuthorityIndex, Vec<VertexRef>> = BTreeMap::new();
        for (_, reference) in due {
            let Some(missing) = self.missing.get_mut(&reference) else {
                continue;
            };
            let mut wait_ms = rules.again_after_ms;
            if let Some(from) = target(&reference, missing, self.committee_size, rules.me) {
                let references = requests.entry(from).or_default();
                if references.len() < rules.references_max {
                    references.push(reference);
                    missing.attempts = missing.attempts.saturating_add(1);
                    let factor = u64::from(missing.attempts).div_ceil(2);
                    wait_ms = wait_ms.saturating_mul(factor.min(BACK_OFF_MAX));
                }
            }
            missing.due_ms = now_ms.saturating_add(wait_ms.max(1));
            self.due.insert((missing.due_ms, reference));
        }
        requests
            .into_iter()
            .map(|(from, references)| FetchRequest { from, references })
            .collect()
    }

    /// When the next request is due.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }
}

/// Whom to ask: first those who built on it, as they must have it; then its own author; then everybody in turn. None if
/// there is nobody but us.
fn target(
    reference: &VertexRef,
    missing: &Missing,
    committee_size: u16,
    me: Option<AuthorityIndex>,
) -> Option<AuthorityIndex> {
    let attempts = usize::try_from(missing.attempts).unwrap_or(usize::MAX);
    let in_turn = |turn: u32| {
        let turn = turn.checked_rem(u32::from(committee_size))?;
        u16::try_from(turn).ok().map(AuthorityIndex)
    };
    let chosen = match missing.children.get(attempts) {
        Some(child) => child.author,
        None if attempts == missing.children.len() => reference.author,
        None => in_turn(missing.attempts.wrapping_add(u32::from(reference.author.0)))?,
    };
    if Some(chosen) != me {
        return Some(chosen);
    }
    in_turn(u32::from(chosen.0).saturating_add(1)).filter(|next| Some(*next) != me)
}
