//! The accepted vertices of an era above the garbage-collection round, by layer.
//!
//! With each vertex stand, as a set of authorities, the parents that it names in the round before. So the questions of the
//! commit rule cost a few words per vertex, and not a search through lists of parents for each pair of vertices. Who names
//! a vertex is not kept: it is asked of leaders only. How many do is: the number of certified vertices is asked for with each
//! step.

use crate::authority_set::AuthoritySet;
use holdfast_types::{AuthorityIndex, Round, VerifiedVertex, VertexDigest, VertexRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Vertices of one round: for each version of a slot, in the order of acceptance, the authorities whose vertex of that
/// version is meant. Without equivocation there is one version.
pub(crate) type Versions = Vec<AuthoritySet>;

/// The authorities of a version, to be changed.
pub(crate) fn version_mut(versions: &mut Versions, version: usize) -> Option<&mut AuthoritySet> {
    if versions.len() <= version {
        versions.resize(version.saturating_add(1), AuthoritySet::default());
    }
    versions.get_mut(version)
}

fn add_version(versions: &mut Versions, version: usize, author: AuthorityIndex) {
    if let Some(authors) = version_mut(versions, version) {
        authors.insert(author);
    }
}

/// What stands next to a vertex.
#[derive(Clone, Debug, Default)]
struct Links {
    /// Authors of the previous round of which it names a vertex, whether that is held here or not.
    named: AuthoritySet,
    /// The vertices of the previous round that it names and that are held here.
    parents: Versions,
}

impl Links {
    /// True if it names this version of the author's slot in the previous round.
    fn names(&self, author: AuthorityIndex, version: usize) -> bool {
        let parents = self.parents.get(version);
        parents.is_some_and(|parents| parents.contains(author))
    }

    /// How many of the vertices that this one names in the previous round are among `voters`. A vertex has one parent per
    /// slot, so they are of distinct authors.
    fn votes(&self, voters: &Versions) -> usize {
        self.parents
            .iter()
            .zip(voters)
            .fold(0, |votes, (parents, voters)| {
                votes.saturating_add(parents.common(voters))
            })
    }
}

/// The accepted vertices of one author in one round, in the order of acceptance: more than one only if it equivocates.
#[derive(Clone, Debug, Default)]
struct Slot {
    vertices: Vec<Arc<VerifiedVertex>>,
    links: Vec<Links>,
}

#[derive(Clone, Debug)]
struct Layer {
    slots: Vec<Slot>,
    /// Of each slot the first vertex, side by side: what most questions are about is found without looking at vertices.
    first: Vec<Option<VertexDigest>>,
    /// Authorities with at least one vertex.
    authors: usize,
    /// By version and author: how many authors of the next round name the vertex. Side by side: each vertex counts at nearly
    /// all of the round below.
    supporters: Vec<Vec<u16>>,
    /// Vertices that as many authors of the next round name as certify one.
    certified: usize,
}

impl Layer {
    fn new(committee_size: usize) -> Self {
        Self {
            slots: vec![Slot::default(); committee_size],
            first: vec![None; committee_size],
            authors: 0,
            supporters: Vec::new(),
            certified: 0,
        }
    }

    /// Counts a vertex of the next round at the vertices of this one that it names. `earlier` are the versions of its slot that
    /// came before it: an author counts once, whatever it signs.
    fn support(&mut self, links: &Links, earlier: &[Links], certified_threshold: usize) {
        let size = self.slots.len();
        if self.supporters.len() < links.parents.len() {
            self.supporters.resize(links.parents.len(), vec![0; size]);
        }
        let versions = self.supporters.iter_mut().zip(&links.parents).zip(0..);
        for ((supporters, parents), version) in versions {
            for parent in parents.iter() {
                if earlier.iter().any(|links| links.names(parent, version)) {
                    continue;
                }
                let Some(count) = supporters.get_mut(parent.as_usize()) else {
                    continue;
                };
                *count = count.saturating_add(1);
                if usize::from(*count) == certified_threshold {
                    self.certified = self.certified.saturating_add(1);
                }
            }
        }
    }

    /// Which version of its slot the vertex is; none if it is not held.
    fn version(&self, vertex: &VertexRef) -> Option<usize> {
        let author = vertex.author.as_usize();
        let first = self.first.get(author)?.as_ref()?;
        if *first == vertex.digest {
            return Some(0);
        }
        let vertices = &self.slots.get(author)?.vertices;
        vertices.iter().position(|held| held.reference() == *vertex)
    }
}

/// Accepted vertices.
#[derive(Clone, Debug)]
pub struct VertexStore {
    committee_size: usize,
    certified_threshold: usize,
    layers: BTreeMap<Round, Layer>,
}

impl VertexStore {
    /// For a committee of this size, in which a vertex that `certified_threshold` authors of the next round name is certified.
    #[must_use]
    pub const fn new(committee_size: usize, certified_threshold: usize) -> Self {
        Self {
            committee_size,
            certified_threshold,
            layers: BTreeMap::new(),
        }
    }

    /// Inserts a vertex whose author is a member, after those of its parents that are to be held.
    pub(crate) fn insert(&mut self, vertex: Arc<VerifiedVertex>) {
        let links = self.link(&vertex);
        let round = vertex.round();
        let (size, threshold) = (self.committee_size, self.certified_threshold);
        self.layers.entry(round).or_insert_with(|| Layer::new(size));
        let mut layers = self.layers.range_mut(round.previous()..=round).rev();
        let Some((_, layer)) = layers.next() else {
            return;
        };
        let author = vertex.author().as_usize();
        let Some((slot, first)) = layer.slots.get_mut(author).zip(layer.first.get_mut(author))
        else {
            return;
        };
        if let Some((_, below)) = layers.next() {
            below.support(&links, &slot.links, threshold);
        }
        if first.is_none() {
            *first = Some(vertex.reference().digest);
            layer.authors = layer.authors.saturating_add(1);
        }
        slot.vertices.push(vertex);
        slot.links.push(links);
    }

    fn link(&self, vertex: &VerifiedVertex) -> Links {
        let mut links = Links::default();
        let previous = vertex.round().previous();
        let below = self.layers.get(&previous);
        for parent in vertex.parents() {
            if parent.round != previous {
                continue;
            }
            links.named.insert(parent.author);
            if let Some(version) = below.and_then(|below| below.version(parent)) {
                add_version(&mut links.parents, version, parent.author);
            }
        }
        links
    }

    /// Which version of its slot the vertex is; none if it is not held.
    pub(crate) fn version(&self, vertex: &VertexRef) -> Option<usize> {
        self.layers.get(&vertex.round)?.version(vertex)
    }

    #[must_use]
    pub fn get(&self, reference: &VertexRef) -> Option<&Arc<VerifiedVertex>> {
        let version = self.version(reference)?;
        self.slot(reference.round, reference.author).get(version)
    }

    #[must_use]
    pub fn contains(&self, reference: &VertexRef) -> bool {
        self.version(reference).is_some()
    }

    /// Those of `references` that are not held.
    pub(crate) fn not_held<'a>(
        &'a self,
        references: &'a [VertexRef],
    ) -> impl Iterator<Item = &'a VertexRef> {
        // Nearly all parents of a vertex are of one round.
        let (mut round, mut layer) = (None, None);
        references.iter().filter(move |reference| {
            if round != Some(reference.round) {
                round = Some(reference.round);
                layer = self.layers.get(&reference.round);
            }
            layer.is_none_or(|layer| layer.version(reference).is_none())
        })
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

    /// How many vertices of the round are certified: as many authors of the next round name them.
    #[must_use]
    pub fn certified(&self, round: Round) -> usize {
        self.layers.get(&round).map_or(0, |layer| layer.certified)
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

    /// The vertices of the next round that name the slot's vertex `version`.
    fn children(&self, (round, author): (Round, AuthorityIndex), version: usize) -> Versions {
        let mut children = Versions::new();
        for (slot, child) in self.slots(round.next()).zip((0..).map(AuthorityIndex)) {
            for (links, child_version) in slot.links.iter().zip(0..) {
                if links.names(author, version) {
                    add_version(&mut children, child_version, child);
                }
            }
        }
        children
    }

    /// Authors with a vertex two rounds above the slot that certifies the slot's vertex `version`: it names `quorum` votes
    /// for it (rule D6).
    pub(crate) fn certifiers(
        &self,
        slot: (Round, AuthorityIndex),
        version: usize,
        quorum: usize,
    ) -> usize {
        let voters = self.children(slot, version);
        self.slots(slot.0.plus(2))
            .filter(|slot| {
                let mut links = slot.links.iter();
                links.any(|links| links.votes(&voters) >= quorum)
            })
            .count()
    }

    /// True if one of `vertices`, two rounds above the slot, certifies the slot's vertex `version`.
    pub(crate) fn is_certified_by(
        &self,
        vertices: &Versions,
        slot: (Round, AuthorityIndex),
        version: usize,
        quorum: usize,
    ) -> bool {
        let voters = self.children(slot, version);
        let certify_round = slot.0.plus(2);
        vertices.iter().zip(0..).any(|(authors, version)| {
            authors.iter().any(|author| {
                self.links(certify_round, author, version)
                    .is_some_and(|links| links.votes(&voters) >= quorum)
            })
        })
    }

    /// Authors with a vertex in the round above the slot that names no vertex of the slot.
    pub(crate) fn blamers(&self, (round, author): (Round, AuthorityIndex)) -> usize {
        self.slots(round.next())
            .filter(|slot| slot.links.iter().any(|links| !links.named.contains(author)))
            .count()
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
                        if let Some(authors) = version_mut(below, version) {
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
        if let Some(version) = self.version(parent) {
            add_version(
                open.entry(parent.round).or_default(),
                version,
                parent.author,
            );
        }
    }

    /// The vertex as a set of vertices of its round; empty if it is not held.
    pub(crate) fn only(&self, vertex: &VertexRef) -> Versions {
        let mut versions = Versions::new();
        if let Some(version) = self.version(vertex) {
            add_version(&mut versions, version, vertex.author);
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
