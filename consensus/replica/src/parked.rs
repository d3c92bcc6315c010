//! Vertices whose time has not come: dated ahead of the local clock, or of the next era (rules R3, R4, R7).

use holdfast_types::{AuthorityIndex, TimestampMs, VerifiedVertex, Vertex};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Vertices dated too far ahead, kept until the clock comes near.
#[derive(Clone, Debug)]
pub struct FutureVertices {
    per_author_max: usize,
    by_author: BTreeMap<AuthorityIndex, Vec<Arc<VerifiedVertex>>>,
}

impl FutureVertices {
    #[must_use]
    pub const fn new(per_author_max: usize) -> Self {
        Self {
            per_author_max,
            by_author: BTreeMap::new(),
        }
    }

    /// False if the author's places are taken.
    pub fn park(&mut self, vertex: Arc<VerifiedVertex>) -> bool {
        let places = self.by_author.entry(vertex.author()).or_default();
        if places.len() >= self.per_author_max {
            return false;
        }
        if !places
            .iter()
            .any(|parked| parked.reference() == vertex.reference())
        {
            places.push(vertex);
        }
        true
    }

    /// Those dated at or before `limit`, by reference.
    pub fn release(&mut self, limit: TimestampMs) -> Vec<Arc<VerifiedVertex>> {
        let mut released = Vec::new();
        for places in self.by_author.values_mut() {
            released.extend(places.extract_if(.., |vertex| vertex.header().timestamp <= limit));
        }
        self.by_author.retain(|_, places| !places.is_empty());
        released.sort_by_key(|vertex| vertex.reference());
        released
    }

    /// Number of vertices kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_author.values().flatten().count()
    }

    /// The earliest date among them.
    #[must_use]
    pub fn earliest(&self) -> Option<TimestampMs> {
        self.by_author
            .values()
            .flatten()
            .map(|vertex| vertex.header().timestamp)
            .min()
    }

    pub fn clear(&mut self) {
        self.by_author.clear();
    }
}

/// Unverified vertices of the next era. Who claims to be an author is not known yet, so a place is all that anyone gets.
#[derive(Clone, Debug)]
pub struct EarlyVertices {
    per_author_max: usize,
    authors_max: usize,
    by_author: BTreeMap<AuthorityIndex, VecDeque<Vertex>>,
}

impl EarlyVertices {
    #[must_use]
    pub const fn new(authors_max: usize, per_author_max: usize) -> Self {
        Self {
            per_author_max,
            authors_max,
            by_author: BTreeMap::new(),
        }
    }

    /// Keeps the latest few of each claimed author.
    pub fn park(&mut self, vertex: Vertex) {
        let author = vertex.signed.header.author;
        if self.by_author.len() >= self.authors_max && !self.by_author.contains_key(&author) {
            return;
        }
        let places = self.by_author.entry(author).or_default();
        if places.contains(&vertex) {
            return;
        }
        if places.len() >= self.per_author_max {
            places.pop_front();
        }
        places.push_back(vertex);
    }

    /// Number of vertices kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_author.values().flatten().count()
    }

    pub fn take(&mut self) -> Vec<Vertex> {
        std::mem::take(&mut self.by_author)
            .into_values()
            .flatten()
            .collect()
    }
}
