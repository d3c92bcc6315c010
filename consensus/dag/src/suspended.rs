//! Vertices that wait for their ancestors, and the fetching of these (rule D1).
//!
//! Everything here is bounded: each author has a fixed number of places, and only its own vertices compete for them, so a
//! flood by one author costs no other author anything. What is missing is bounded by what is suspended.

use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexDigest, VertexRef};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Ask `from` for these vertices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    pub from: AuthorityIndex,
    pub references: Vec<VertexRef>,
}

#[derive(Clone, Debug)]
struct Waiting {
    vertex: Arc<VerifiedVertex>,
    missing: BTreeSet<VertexRef>,
}

#[derive(Clone, Debug)]
struct Missing {
    children: BTreeSet<VertexRef>,
    due_ms: u64,
    attempts: u32,
}

/// Suspended vertices by author, and what they wait for.
#[derive(Clone, Debug)]
pub struct Suspended {
    per_author_max: usize,
    committee_size: u16,
    /// By author, then round: the order in which one author's vertices compete.
    waiting: BTreeMap<AuthorityIndex, BTreeMap<VertexRef, Waiting>>,
    missing: BTreeMap<VertexRef, Missing>,
}

impl Suspended {
    #[must_use]
    pub const fn new(committee_size: u16, per_author_max: usize) -> Self {
        Self {
            per_author_max,
            committee_size,
            waiting: BTreeMap::new(),
            missing: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn contains(&self, reference: &VertexRef) -> bool {
        self.waiting
            .get(&reference.author)
            .is_some_and(|waiting| waiting.contains_key(reference))
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
            .flat_map(move |places| places.range(first..))
            .take_while(move |(reference, _)| reference.round == round)
            .map(|(_, waiting)| &waiting.vertex)
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
            .fold(0, |sum, waiting| sum.saturating_add(waiting.len()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Number of vertices that are waited for and not here.
    #[must_use]
    pub fn missing_len(&self) -> usize {
        self.missing.len()
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
        let places = self.waiting.entry(reference.author).or_default();
        if places.len() >= self.per_author_max {
            match places.last_key_value() {
                Some((highest, _)) if *highest > reference => {
                    let highest = *highest;
                    self.remove(&highest);
                }
                _ => return false,
            }
        }
        for ancestor in &missing {
            self.missing
                .entry(*ancestor)
                .or_insert_with(|| Missing {
                    children: BTreeSet::new(),
                    due_ms,
                    attempts: 0,
                })
                .children
                .insert(reference);
        }
        self.waiting
            .entry(reference.author)
            .or_default()
            .insert(reference, Waiting { vertex, missing });
        true
    }

    fn remove(&mut self, reference: &VertexRef) -> Option<Waiting> {
        let places = self.waiting.get_mut(&reference.author)?;
        let waiting = places.remove(reference)?;
        if places.is_empty() {
            self.waiting.remove(&reference.author);
        }
        for ancestor in &waiting.missing {
            if let Some(missing) = self.missing.get_mut(ancestor) {
                missing.children.remove(reference);
                if missing.children.is_empty() {
                    self.missing.remove(ancestor);
                }
            }
        }
        Some(waiting)
    }

    /// `ancestor` need not be waited for any more; returns the vertices that wait for nothing now, by reference.
    pub(crate) fn resolve(&mut self, ancestor: &VertexRef) -> Vec<Arc<VerifiedVertex>> {
        let Some(missing) = self.missing.remove(ancestor) else {
            return Vec::new();
        };
        let mut ready = Vec::new();
        for child in missing.children {
            let Some(waiting) = self
                .waiting
                .get_mut(&child.author)
                .and_then(|places| places.get_mut(&child))
            else {
                continue;
            };
            waiting.missing.remove(ancestor);
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
        let dead: Vec<VertexRef> = self
            .waiting
            .values()
            .flat_map(|places| places.keys())
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

    /// Requests that are due. Whom to ask turns with every attempt: first an author whose vertex names the missing one
    /// (it must have it), then its own author, then everybody in turn.
    pub(crate) fn fetches(
        &mut self,
        now_ms: u64,
        again_after_ms: u64,
        me: Option<AuthorityIndex>,
        references_max: usize,
    ) -> Vec<FetchRequest> {
        let mut requests: BTreeMap<AuthorityIndex, Vec<VertexRef>> = BTreeMap::new();
        for (reference, missing) in &mut self.missing {
            let here = self
                .waiting
                .get(&reference.author)
                .is_some_and(|places| places.contains_key(reference));
            if here || missing.due_ms > now_ms {
                continue;
            }
            let Some(from) = target(reference, missing, self.committee_size, me) else {
                continue;
            };
            let references = requests.entry(from).or_default();
            if references.len() < references_max {
                references.push(*reference);
                missing.attempts = missing.attempts.saturating_add(1);
                missing.due_ms = now_ms.saturating_add(again_after_ms);
            }
        }
        requests
            .into_iter()
            .map(|(from, references)| FetchRequest { from, references })
            .collect()
    }

    /// When the next request is due.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.missing.values().map(|missing| missing.due_ms).min()
    }
}

fn target(
    reference: &VertexRef,
    missing: &Missing,
    committee_size: u16,
    me: Option<AuthorityIndex>,
) -> Option<AuthorityIndex> {
    let not_me = |authority: &AuthorityIndex| Some(*authority) != me;
    match missing.attempts {
        0 => missing.children.first().map(|child| child.author),
        1 => Some(reference.author),
        attempts => {
            let turn = attempts.wrapping_add(u32::from(reference.author.0));
            turn.checked_rem(u32::from(committee_size))
                .and_then(|turn| u16::try_from(turn).ok())
                .map(AuthorityIndex)
        }
    }
    .filter(not_me)
    .or_else(|| {
        (0..committee_size)
            .map(AuthorityIndex)
            .find(|authority| not_me(authority))
    })
}
