//! The accepted vertices of an era above the garbage-collection round, by layer.
//!
//! With each vertex stand, as sets of authorities, the parents that it names in the round before and the children that
//! name it in the round after. So the questions of the commit rule cost a few words per vertex, and not a search through
//! lists of parents for each pair of vertices.

use crate::authority_set::AuthoritySet;
use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Vertices of one round: for each version of a slot, in the order of acceptance, the authorities whose vertex of that
/// version is meant. Without equivocation there is one version.
pub(crate) type Versions = Vec<AuthoritySet>;

pub(crate) fn add_version(
    versions: &mut Versions,
    committee_size: usize,
    version: usize,
    author: AuthorityIndex,
) {
    while versions.len() <= version {
        versions.push(AuthoritySet::new(committee_size));
    }
    if let Some(authors) = versions.get_mut(version) {
        authors.insert(author);
    }
}

/// What stands next to a vertex.
#[derive(Clone, Debug)]
struct Links {
    /// Authors of the previous round of which it names a vertex, whether that is held here or not.
    named: AuthoritySet,
    /// The vertices of the previous round that it names and that are held here.
    parents: Versions,
    /// The vertices of the next round that name it.
    children: Versions,
}

impl Links {
    /// How many of the vertices that this one names in the previous round vote for `leader`, two rounds below this one. A
    /// vertex has one parent per slot, so they are of distinct authors.
    fn votes(&self, leader: &Self) -> usize {
        self.parents
            .iter()
            .zip(&leader.children)
            .fold(0, |votes, (parents, children)| {
                votes.saturating_add(parents.common(children))
            })
    }
}

/// The accepted vertices of one author in one round, in the order of acceptance: more than one only if it equivocates.
#[derive(Clone, Debug, Default)]
struct Slot {
    vertices: Vec<Arc<VerifiedVertex>>,
    links: Vec<Links>,
}

impl Slot {
    fn version(&self, reference: &VertexRef) -> Option<usize> {
        self.vertices
            .iter()
            .position(|vertex| vertex.reference() == *reference)
    }
}

#[derive(Clone, Debug)]
struct Layer {
    slots: Vec<Slot>,
    /// Authorities with at least one vertex.
    authors: usize,
}

/// Accepted vertices.
#[derive(Clone, Debug)]
pub struct VertexStore {
    committee_size: usize,
    layers: BTreeMap<Round, Layer>,
}

impl VertexStore {
    #[must_use]
    pub const fn new(committee_size: usize) -> Self {
        Self {
            committee_size,
            layers: BTreeMap::new(),
        }
    }

    /// Inserts a vertex whose author is a member, after those of its parents that are to be held.
    pub(crate) fn insert(&mut self, vertex: Arc<VerifiedVertex>) {
        let links = self.link(&vertex);
        let size = self.committee_size;
        let layer = self.layers.entry(vertex.round()).or_insert_with(|| Layer {
            slots: vec![Slot::default(); size],
            authors: 0,
        });
        let Some(slot) = layer.slots.get_mut(vertex.author().as_usize()) else {
            return;
        };
        if slot.vertices.is_empty() {
            layer.authors = layer.authors.saturating_add(1);
        }
        slot.vertices.push(vertex);
        slot.links.push(links);
    }

    /// Links of a vertex that comes next in its slot, known to its parents from now on.
    fn link(&mut self, vertex: &VerifiedVertex) -> Links {
        let size = self.committee_size;
        let version = self.slot(vertex.round(), vertex.author()).len();
        let mut links = Links {
            named: AuthoritySet::new(size),
            parents: Versions::new(),
            children: Versions::new(),
        };
        let previous = vertex.round().previous();
        let mut below = self.layers.get_mut(&previous);
        for parent in vertex.parents() {
            if parent.round != previous {
                continue;
            }
            links.named.insert(parent.author);
            let slot = below
                .as_mut()
                .and_then(|layer| layer.slots.get_mut(parent.author.as_usize()));
            if let Some(slot) = slot
                && let Some(parent_version) = slot.version(parent)
                && let Some(parent_links) = slot.links.get_mut(parent_version)
            {
                add_version(&mut links.parents, size, parent_version, parent.author);
                add_version(&mut parent_links.children, size, version, vertex.author());
            }
        }
        links
    }

    #[must_use]
    pub fn get(&self, reference: &VertexRef) -> Option<&Arc<VerifiedVertex>> {
        self.slot(reference.round, reference.author)
            .iter()
            .find(|vertex| vertex.reference() == *reference)
    }

    #[must_use]
    pub fn contains(&self, reference: &VertexRef) -> bool {
        self.get(reference).is_some()
    }

    /// Vertices of one slot in order of acceptance.
    #[must_use]
    pub fn slot(&self, round: Round, author: AuthorityIndex) -> &[Arc<VerifiedVertex>] {
        self.layers
            .get(&round)
            .and_then(|layer| layer.slots.get(author.as_usize()))
            .map_or(&[], |slot| slot.vertices.as_slice())
    }

    /// All vertices of a round, by author.
    pub fn round(&self, round: Round) -> impl Iterator<Item = &Arc<VerifiedVertex>> {
        self.slots(round).flat_map(|slot| &slot.vertices)
    }

    /// All vertices of an author, by round.
    pub(crate) fn of_author(
        &self,
        author: Option<AuthorityIndex>,
    ) -> impl Iterator<Item = &Arc<VerifiedVertex>> {
        let author = author.map(AuthorityIndex::as_usize);
        self.layers
            .values()
            .filter_map(move |layer| layer.slots.get(author?))
            .flat_map(|slot| &slot.vertices)
    }

    fn slots(&self, round: Round) -> impl Iterator<Item = &Slot> {
        self.layers
            .get(&round)
            .into_iter()
            .flat_map(|layer| &layer.slots)
    }

    fn links(&self, round: Round, author: AuthorityIndex, version: usize) -> Option<&Links> {
        let slot = self.layers.get(&round)?.slots.get(author.as_usize())?;
        slot.links.get(version)
    }

    /// How many authors have a vertex in the round.
    #[must_use]
    pub fn authors(&self, round: Round) -> usize {
        self.layers.get(&round).map_or(0, |layer| layer.authors)
    }

    #[must_use]
    pub fn highest_round(&self) -> Round {
        self.layers
            .last_key_value()
            .map_or(Round::ZERO, |(round, _)| *round)
    }

    /// Number of vertices held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layers
            .values()
            .flat_map(|layer| &layer.slots)
            .fold(0, |sum, slot| sum.saturating_add(slot.vertices.len()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Authors with a vertex two rounds above the slot that certifies the slot's vertex `version`: it names `quorum` votes
    /// for it (rule D6).
    pub(crate) fn certifiers(
        &self,
        (round, author): (Round, AuthorityIndex),
        version: usize,
        quorum: usize,
    ) -> usize {
        let Some(leader) = self.links(round, author, version) else {
            return 0;
        };
        self.slots(round.plus(2))
            .filter(|slot| slot.links.iter().any(|links| links.votes(leader) >= quorum))
            .count()
    }

    /// True if one of `vertices`, two rounds above the slot, certifies the slot's vertex `version`.
    pub(crate) fn is_certified_by(
        &self,
        vertices: &Versions,
        (round, author): (Round, AuthorityIndex),
        version: usize,
        quorum: usize,
    ) -> bool {
        let Some(leader) = self.links(round, author, version) else {
            return false;
        };
        let certify_round = round.plus(2);
        vertices.iter().zip(0..).any(|(authors, version)| {
            authors.iter().any(|author| {
                self.links(certify_round, author, version)
                    .is_some_and(|links| links.votes(leader) >= quorum)
            })
        })
    }

    /// Authors with a vertex in the round above the slot that names no vertex of the slot.
    pub(crate) fn blamers(&self, (round, author): (Round, AuthorityIndex)) -> usize {
        self.slots(round.next())
            .filter(|slot| slot.links.iter().any(|links| !links.named.contains(author)))
            .count()
    }

    /// How many authors of the next round name the vertex.
    pub(crate) fn supporters(&self, vertex: &VertexRef) -> usize {
        let mut supporters = AuthoritySet::new(self.committee_size);
        let slot = self.slot(vertex.round, vertex.author);
        let version = slot.iter().position(|v| v.reference() == *vertex);
        let links = version.and_then(|version| self.links(vertex.round, vertex.author, version));
        for children in links.into_iter().flat_map(|links| &links.children) {
            supporters.add_all(children);
        }
        supporters.iter().count()
    }

    /// Adds to `open`, by round, the vertices that `vertices` of `round` name; of rounds below `lowest` none.
    pub(crate) fn open_parents(
        &self,
        round: Round,
        vertices: &Versions,
        lowest: Round,
        open: &mut BTreeMap<Round, Versions>,
    ) {
        let previous = round.previous();
        for (authors, version) in vertices.iter().zip(0..) {
            for author in authors.iter() {
                let Some(links) = self.links(round, author, version) else {
                    continue;
                };
                if previous >= lowest {
                    let below = open.entry(previous).or_default();
                    for (parents, version) in links.parents.iter().zip(0..) {
                        while below.len() <= version {
                            below.push(AuthoritySet::new(self.committee_size));
                        }
                        if let Some(authors) = below.get_mut(version) {
                            authors.add_all(parents);
                        }
                    }
                }
                let vertex = self.slot(round, author).get(version);
                for parent in vertex.into_iter().flat_map(|vertex| vertex.parents()) {
                    if parent.round < previous && parent.round >= lowest {
                        self.open_straggler(parent, open);
                    }
                }
            }
        }
    }

    fn open_straggler(&self, parent: &VertexRef, open: &mut BTreeMap<Round, Versions>) {
        let slot = self.slot(parent.round, parent.author);
        if let Some(version) = slot.iter().position(|vertex| vertex.reference() == *parent) {
            let versions = open.entry(parent.round).or_default();
            add_version(versions, self.committee_size, version, parent.author);
        }
    }

    /// The vertex as a set of vertices of its round; empty if it is not held.
    pub(crate) fn only(&self, vertex: &VertexRef) -> Versions {
        let slot = self.slot(vertex.round, vertex.author);
        let mut versions = Versions::new();
        if let Some(version) = slot.iter().position(|v| v.reference() == *vertex) {
            add_version(&mut versions, self.committee_size, version, vertex.author);
        }
        versions
    }

    /// Removes the rounds up to and including `round`; returns their vertices.
    pub(crate) fn remove_up_to(&mut self, round: Round) -> Vec<Arc<VerifiedVertex>> {
        let kept = self.layers.split_off(&round.next());
        let removed = std::mem::replace(&mut self.layers, kept);
        removed
            .into_values()
            .flat_map(|layer| layer.slots.into_iter().flat_map(|slot| slot.vertices))
            .collect()
    }
}
