//! What all tests of the core share: configuration, vertices without signatures, feeding, and a seeded generator.

use holdfast_dag::drawing::Drawing;
use holdfast_dag::{AddOutcome, Committer, DagConfig, DagCore, Decision, SubDag};
use holdfast_types::crypto::SigningHash;
use holdfast_types::test_util::CHAIN;
use holdfast_types::{
    AuthorityIndex, CommitDigest, EraContext, PublicKey, Round, Signature, Signer, TimestampMs,
    VerifiedVertex, VertexDraft, VertexPayload, VertexRef,
};
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) type Vertices = Vec<Arc<VerifiedVertex>>;

/// Devnet times, and a schedule that does not change within a drawing.
pub(crate) fn config(leaders_per_round: u16) -> DagConfig {
    DagConfig {
        min_round_interval_ms: 50,
        idle_round_interval_ms: 1000,
        leader_timeout_ms: 250,
        leaders_per_round,
        gc_depth: 60,
        reputation_window: 32,
        rounds_ahead_max: 60,
        suspended_per_author_max: 120,
        refetch_interval_ms: 300,
        ask_interval_ms: 500,
        busy_rounds: 10,
    }
}

pub(crate) fn core(context: &Arc<EraContext>, config: &DagConfig) -> DagCore {
    core_of(context, config, None)
}

pub(crate) fn core_of(
    context: &Arc<EraContext>,
    config: &DagConfig,
    me: Option<AuthorityIndex>,
) -> DagCore {
    DagCore::new(CHAIN, Arc::clone(context), config.clone(), me, 0)
}

/// Signs nothing: the core never looks at a signature.
#[derive(Debug)]
pub(crate) struct NoSigner;

impl Signer for NoSigner {
    fn public_key(&self) -> PublicKey {
        PublicKey::new([0; 32])
    }

    fn sign(&self, _: &SigningHash) -> Signature {
        Signature::new([0; 64])
    }
}

/// A vertex without a valid signature; `parents` are put into canonical order.
pub(crate) fn unsigned(
    context: &EraContext,
    (round, author): (Round, AuthorityIndex),
    mut parents: Vec<VertexRef>,
    timestamp: TimestampMs,
    payload: VertexPayload,
) -> Arc<VerifiedVertex> {
    parents.sort_by_key(|parent| (parent.author != author, *parent));
    let draft = VertexDraft {
        era: context.era,
        round,
        author,
        timestamp,
        parents,
        payload,
    };
    Arc::new(draft.sign(&CHAIN, &NoSigner))
}

/// What a commit says, without the vertices themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) index: u64,
    pub(crate) leader: VertexRef,
    pub(crate) timestamp: TimestampMs,
    pub(crate) ordered: Vec<VertexRef>,
    pub(crate) executed: Vec<VertexRef>,
    pub(crate) digest: CommitDigest,
}

impl From<&SubDag> for Said {
    fn from(sub_dag: &SubDag) -> Self {
        let record = &sub_dag.record;
        Self {
            index: record.index,
            leader: record.leader,
            timestamp: record.timestamp,
            ordered: record.vertices.iter().map(|v| v.reference).collect(),
            executed: sub_dag.vertices.iter().map(|v| v.reference()).collect(),
            digest: sub_dag.digest,
        }
    }
}

pub(crate) fn said(sub_dags: &[SubDag]) -> Vec<Said> {
    sub_dags.iter().map(Said::from).collect()
}

/// Offers the vertices in turn, tries to commit after each, and offers again what had no place, until nothing moves.
pub(crate) fn feed(core: &mut DagCore, vertices: &[Arc<VerifiedVertex>]) -> Vec<SubDag> {
    feed_with(core, vertices, |core| core.try_commit(0).0)
}

/// As [`feed`], with `after` instead of a try to commit after each vertex.
pub(crate) fn feed_with(
    core: &mut DagCore,
    vertices: &[Arc<VerifiedVertex>],
    mut after: impl FnMut(&mut DagCore) -> Vec<SubDag>,
) -> Vec<SubDag> {
    let mut committed = Vec::new();
    let mut offers: VecDeque<Arc<VerifiedVertex>> = vertices.iter().cloned().collect();
    let mut refused_in_a_row = 0;
    while let Some(vertex) = offers.pop_front() {
        match core.add(Arc::clone(&vertex), 0).outcome {
            AddOutcome::NoPlace | AddOutcome::TooFarAhead => {
                offers.push_back(vertex);
                refused_in_a_row += 1;
            }
            AddOutcome::WrongGenesis => panic!("{} has a wrong parent", vertex.reference()),
            AddOutcome::Accepted
            | AddOutcome::Suspended
            | AddOutcome::Known
            | AddOutcome::TooOld => refused_in_a_row = 0,
        }
        committed.extend(after(core));
        if refused_in_a_row > offers.len() {
            break;
        }
    }
    committed.extend(core.try_commit(0).0);
    committed
}

/// The decided slots of a drawing that nothing was garbage-collected of, in order: `3` for a committed leader of round 3
/// (`3'` for its second vertex), `-3` for a skipped slot, `3.1` for the second position of a round.
pub(crate) fn decisions(drawing: &Drawing, core: &DagCore, leaders_per_round: u16) -> String {
    let mut committer = Committer::new(drawing.context.committee.quorum());
    let mut decided = Vec::new();
    let mut cursor = None;
    loop {
        let more = committer.decide(core.vertices(), core.schedule(), cursor);
        let Some((last, _)) = more.last() else { break };
        cursor = Some((last.round, last.position));
        decided.extend(more);
    }
    let words: Vec<String> = decided
        .into_iter()
        .map(|(slot, decision)| {
            let position = if leaders_per_round > 1 {
                format!(".{}", slot.position)
            } else {
                String::new()
            };
            match decision {
                Decision::Commit(leader) => {
                    let name = drawing.name(&leader.reference());
                    let copy = "'".repeat(name.matches('\'').count());
                    format!("{}{position}{copy}", slot.round)
                }
                Decision::Skip => format!("-{}{position}", slot.round),
                Decision::Undecided => panic!("{slot:?} is undecided, yet returned"),
            }
        })
        .collect();
    words.join(" ")
}

/// Draws `text` for every size, feeds it in the drawn order and in reverse, and checks the decisions and that the commits
/// are those of the oracle. Returns the drawings with their commits, for what else a scenario shows.
pub(crate) fn scenario(
    sizes: &[u16],
    config: &DagConfig,
    text: &str,
    expected: &str,
) -> Vec<(Drawing, Vec<SubDag>)> {
    let mut results = Vec::new();
    for size in sizes {
        let drawing = Drawing::new(*size, text);
        let mut drawn_order = core(&drawing.context, config);
        let sub_dags = feed(&mut drawn_order, &drawing.vertices);
        assert_eq!(
            decisions(&drawing, &drawn_order, config.leaders_per_round),
            expected,
            "n = {size}"
        );
        let reversed: Vertices = drawing.vertices.iter().rev().cloned().collect();
        let mut reverse_order = core(&drawing.context, config);
        assert_eq!(
            said(&feed(&mut reverse_order, &reversed)),
            said(&sub_dags),
            "n = {size}, fed in reverse"
        );
        if *size <= 21 {
            let oracle = crate::oracle::Oracle::new(&drawing.context, config, &drawing.vertices);
            assert_eq!(oracle.commits(), said(&sub_dags), "n = {size}");
        }
        results.push((drawing, sub_dags));
    }
    results
}

/// SplitMix64: a failure names its seed, and the seed replays.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0..below`.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next() % below as u64).expect("below a usize")
    }

    /// Uniform in `from..=to`.
    pub(crate) fn between(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
