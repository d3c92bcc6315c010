//! Random DAGs that obey the rules of the vertex format, with up to f equivocating authors.

use crate::harness::{Random, Vertices, unsigned};
use holdfast_dag::{DagConfig, LeaderSchedule};
use holdfast_types::test_util::{CHAIN, era_context, genesis_refs};
use holdfast_types::{AuthorityIndex, EraContext, Round, TimestampMs, VertexPayload, VertexRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a random DAG is like; percentages are of single choices.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) size: u16,
    pub(crate) rounds: u64,
    pub(crate) equivocators: u16,
    pub(crate) versions_max: usize,
    /// The last authors, which have no vertex at all.
    pub(crate) silent: u16,
    pub(crate) present_percent: usize,
    /// How often a vertex leaves out the leader of the round before.
    pub(crate) avoid_leader_percent: usize,
    pub(crate) weak_link_percent: usize,
    /// How often a vertex names all that it could, not just a quorum.
    pub(crate) all_parents_percent: usize,
}

impl Shape {
    /// A shape for every seed: n = 4 to 10.
    pub(crate) fn of(random: &mut Random) -> Self {
        let size = u16::try_from(random.between(4, 10)).expect("small");
        let max_faulty = usize::from((size - 1) / 3);
        let equivocators = random.between(0, max_faulty);
        let silent = random.between(0, max_faulty - equivocators);
        let pick = |random: &mut Random, choices: &[usize]| choices[random.below(choices.len())];
        Self {
            size,
            rounds: random.between(10, 30) as u64,
            equivocators: u16::try_from(equivocators).expect("small"),
            versions_max: 2,
            silent: u16::try_from(silent).expect("small"),
            present_percent: pick(random, &[100, 90, 60]),
            avoid_leader_percent: pick(random, &[0, 30, 60, 90]),
            weak_link_percent: pick(random, &[0, 20, 60]),
            all_parents_percent: pick(random, &[0, 30, 90]),
        }
    }
}

/// A configuration that makes garbage collection and schedule changes happen within a few rounds.
pub(crate) fn tight_config(random: &mut Random) -> DagConfig {
    let mut config = crate::harness::config(u16::try_from(random.between(1, 3)).expect("small"));
    config.gc_depth = random.between(3, 8) as u64;
    config.reputation_window = random.between(1, 8) as u64;
    config
}

pub(crate) struct RandomDag {
    pub(crate) context: Arc<EraContext>,
    /// Ancestors first.
    pub(crate) vertices: Vertices,
    schedule: LeaderSchedule,
    /// All versions by slot.
    slots: BTreeMap<(Round, AuthorityIndex), Vec<VertexRef>>,
}

impl RandomDag {
    pub(crate) fn new(shape: &Shape, random: &mut Random) -> Self {
        let context = Arc::new(era_context(shape.size));
        let slots = genesis_refs(&context)
            .into_iter()
            .map(|reference| (reference.slot(), vec![reference]))
            .collect();
        let committee = &context.committee;
        let schedule = LeaderSchedule::new(
            context.seed(&CHAIN),
            committee.size(),
            committee.max_faulty(),
            1,
            1000,
        );
        let mut dag = Self {
            context,
            vertices: Vec::new(),
            schedule,
            slots,
        };
        for round in 1..=shape.rounds {
            dag.draw_round(Round(round), shape, random);
        }
        dag
    }

    fn draw_round(&mut self, round: Round, shape: &Shape, random: &mut Random) {
        let mut authors: Vec<AuthorityIndex> =
            (0..shape.size - shape.silent).map(AuthorityIndex).collect();
        random.shuffle(&mut authors);
        let quorum = self.context.committee.quorum();
        let mut present = 0;
        for (position, author) in authors.iter().enumerate() {
            let needed = quorum.saturating_sub(present) >= authors.len() - position;
            if !needed && !random.percent(shape.present_percent) {
                continue;
            }
            present += 1;
            let equivocates = author.0 < shape.equivocators;
            let versions = if equivocates {
                random.between(1, shape.versions_max)
            } else {
                1
            };
            let drawn: Vec<VertexRef> = (0..versions)
                .map(|version| self.draw(round, *author, version as u64, shape, random))
                .collect();
            self.slots.insert((round, *author), drawn);
        }
    }

    fn draw(
        &mut self,
        round: Round,
        author: AuthorityIndex,
        version: u64,
        shape: &Shape,
        random: &mut Random,
    ) -> VertexRef {
        let own = self.own_parent(round, author, random);
        let mut parents = vec![own];
        let previous = round.previous();
        let mut others: Vec<AuthorityIndex> = self
            .context
            .committee
            .authorities()
            .filter(|other| *other != author && self.slots.contains_key(&(previous, *other)))
            .collect();
        random.shuffle(&mut others);
        let needed = self.context.committee.quorum() - usize::from(own.round == previous);
        let leader = self.schedule.leaders(previous)[0];
        if others.len() > needed && random.percent(shape.avoid_leader_percent) {
            others.retain(|other| *other != leader);
        }
        if !random.percent(shape.all_parents_percent) {
            let kept = random.between(needed, others.len());
            others.truncate(kept);
        }
        for other in others {
            parents.push(self.version((previous, other), random));
        }
        if random.percent(shape.weak_link_percent) {
            self.add_weak_links(round, author, &mut parents, random);
        }
        let time = self.context.anchor_timestamp.0 + round.0 * 100 + random.below(300) as u64;
        let vertex = unsigned(
            &self.context,
            (round, author),
            parents,
            TimestampMs(time * 4 + version),
            VertexPayload::default(),
        );
        let reference = vertex.reference();
        self.vertices.push(vertex);
        reference
    }

    /// An honest author names its last vertex; an equivocator any version, sometimes of an older round.
    fn own_parent(&self, round: Round, author: AuthorityIndex, random: &mut Random) -> VertexRef {
        let mut own = self
            .slots
            .iter()
            .rev()
            .filter(|((other, slot_author), _)| *slot_author == author && *other < round)
            .map(|(slot, _)| *slot);
        let last = own.next().expect("every author has a vertex in round 0");
        let older = own.next().unwrap_or(last);
        let others = self
            .slots
            .keys()
            .filter(|slot| slot.0 == round.previous() && slot.1 != author)
            .count();
        // Without its vertex of the previous round it needs a quorum of others.
        let may_go_back = others >= self.context.committee.quorum();
        let goes_back = may_go_back && self.slots[&last].len() > 1 && random.percent(20);
        self.version(if goes_back { older } else { last }, random)
    }

    fn version(&self, slot: (Round, AuthorityIndex), random: &mut Random) -> VertexRef {
        let versions = &self.slots[&slot];
        versions[random.below(versions.len())]
    }

    fn add_weak_links(
        &self,
        round: Round,
        author: AuthorityIndex,
        parents: &mut Vec<VertexRef>,
        random: &mut Random,
    ) {
        let lowest = Round(round.0.saturating_sub(12).max(1));
        if lowest >= round.previous() {
            return;
        }
        let slots: Vec<(Round, AuthorityIndex)> = self
            .slots
            .range((lowest, AuthorityIndex::ZERO)..(round.previous(), AuthorityIndex::ZERO))
            .map(|(slot, _)| *slot)
            .filter(|slot| slot.1 != author)
            .collect();
        for _ in 0..random.below(4) {
            if slots.is_empty() {
                return;
            }
            let slot = slots[random.below(slots.len())];
            if parents.iter().all(|parent| parent.slot() != slot) {
                parents.push(self.version(slot, random));
            }
        }
    }
}
