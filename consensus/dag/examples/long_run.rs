//! Measures a long life of one DAG core of four validators:
//! `long_run [rounds] [undecided rounds] [partly undecided rounds]`.
//!
//! First a DAG in which every leader is committed: the rounds per second, and the resident memory of the process, which
//! is to stay what it is. Then DAGs in which nothing can be committed for many rounds, as one slot at the bottom of them
//! waits: the time of a round, four vertices with a try to commit after each, and of the try that commits at last.

// A measurement reads the clock and prints: it is no part of the state machine.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use holdfast_dag::{DagConfig, DagCore, Pace};
use holdfast_types::crypto::SigningHash;
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, era_context, genesis_refs};
use holdfast_types::{
    AuthorityIndex, EraContext, PublicKey, Round, Signature, Signer, TimestampMs, VerifiedVertex,
    VertexDraft, VertexPayload, VertexRef,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SIZE: u16 = 4;
/// Longer than any pause of the configuration.
const ROUND_MS: u64 = 10_000;
const PAGE_BYTES: u64 = 4_096;

/// Signs nothing: the core never looks at a signature.
#[derive(Debug)]
struct NoSigner;

impl Signer for NoSigner {
    fn public_key(&self) -> PublicKey {
        PublicKey::new([0; 32])
    }

    fn sign(&self, _: &SigningHash) -> Signature {
        Signature::new([0; 64])
    }
}

/// How the vertices of the next round treat the leader of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    /// All name it.
    Named,
    /// All but itself leave it out: the slot is skipped.
    LeftOut,
    /// Two name it and two do not, one less than a quorum of either.
    Split,
}

/// One core, and what all four validators sign.
struct Run {
    context: Arc<EraContext>,
    core: DagCore,
    round: Round,
    last: Vec<VertexRef>,
    commits: usize,
    longest_try: Duration,
}

impl Run {
    fn new() -> Self {
        let context = Arc::new(era_context(SIZE));
        let config = DagConfig::from_parameters(&parameters());
        let me = Some(AuthorityIndex::ZERO);
        Self {
            core: DagCore::new(CHAIN, Arc::clone(&context), config, me, 0),
            round: Round(1),
            last: genesis_refs(&context),
            context,
            commits: 0,
            longest_try: Duration::ZERO,
        }
    }

    fn now_ms(&self) -> u64 {
        self.round.0 * ROUND_MS
    }

    /// A round of everybody, with the leader of the round before treated so.
    fn advance(&mut self, treatment: Treatment) {
        let previous = self.round.previous();
        let leader = self.core.schedule().leaders(previous)[0];
        let other = AuthorityIndex((leader.0 + 1) % SIZE);
        let mut signed = Vec::new();
        for author in (0..SIZE).map(AuthorityIndex) {
            let names_leader = author == leader
                || match treatment {
                    Treatment::Named => true,
                    Treatment::LeftOut => false,
                    Treatment::Split => author == other,
                };
            let mut parents = self.last.clone();
            parents.retain(|parent| names_leader || parent.author != leader);
            parents.sort_by_key(|parent| (parent.author != author, *parent));
            signed.push(self.sign(author, parents));
        }
        self.last = signed.iter().map(|vertex| vertex.reference()).collect();
        for vertex in signed {
            self.offer(vertex);
        }
        self.round = self.round.next();
    }

    fn sign(&self, author: AuthorityIndex, parents: Vec<VertexRef>) -> Arc<VerifiedVertex> {
        let draft = VertexDraft {
            era: self.context.era,
            round: self.round,
            author,
            timestamp: TimestampMs(self.context.anchor_timestamp.0 + self.now_ms()),
            parents,
            payload: VertexPayload::default(),
        };
        Arc::new(draft.sign(&CHAIN, &NoSigner))
    }

    fn offer(&mut self, vertex: Arc<VerifiedVertex>) {
        let now_ms = self.now_ms();
        if Some(vertex.author()) == self.core.authority() {
            // What a replica asks before it signs.
            let pace = self.core.pace(now_ms, true);
            assert!(matches!(pace, Pace::Propose(plan) if plan.round == vertex.round()));
            self.core.proposed(&vertex, now_ms);
        }
        let added = self.core.add(vertex, now_ms);
        assert_eq!(added.accepted.len(), 1, "its parents are here");
        let start = Instant::now();
        let (sub_dags, _) = self.core.try_commit(now_ms);
        self.longest_try = self.longest_try.max(start.elapsed());
        self.commits += sub_dags.len();
        drop(self.core.take_dropped_own());
    }
}

fn resident_mib() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let resident: u64 = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("the second number");
    (resident * PAGE_BYTES) as f64 / f64::from(1 << 20)
}

fn committed_rounds(rounds: u64) {
    println!("every leader is committed");
    let mut run = Run::new();
    let part = (rounds / 10).max(1);
    for _ in 0..rounds / part {
        let start = Instant::now();
        for _ in 0..part {
            run.advance(Treatment::Named);
        }
        println!(
            "  round {:>9}: {:.1} MiB, {} vertices held, {:.0} rounds/s, {} commits, longest try {:.2} ms",
            run.round.previous(),
            resident_mib(),
            run.core.vertices().len(),
            part as f64 / start.elapsed().as_secs_f64(),
            run.commits,
            run.longest_try.as_secs_f64() * 1e3
        );
    }
}

/// Every `split_each`-th slot stays undecided, the others are skipped.
fn undecided_rounds(rounds: u64, split_each: u64) {
    println!("every slot of {split_each} is undecided, the others are skipped");
    let mut run = Run::new();
    let part = (rounds / 5).max(1);
    for _ in 0..rounds / part {
        let mut times: Vec<f64> = Vec::new();
        for _ in 0..part {
            let start = Instant::now();
            run.advance(if run.round.0.is_multiple_of(split_each) {
                Treatment::Split
            } else {
                Treatment::LeftOut
            });
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!(
            "  round {:>9}: {:.1} MiB, a round takes {:.3} ms (median), {:.3} ms (p99), {:.3} ms (longest)",
            run.round.previous(),
            resident_mib(),
            at(50),
            at(99),
            at(100)
        );
    }
    assert_eq!(run.commits, 0, "nothing can be committed");
    run.longest_try = Duration::ZERO;
    let mut more = 0;
    while run.commits == 0 {
        run.advance(Treatment::Named);
        more += 1;
    }
    println!(
        "  committed after {more} rounds more: the try took {:.1} ms, {:.2} us per round",
        run.longest_try.as_secs_f64() * 1e3,
        run.longest_try.as_secs_f64() * 1e6 / run.round.0 as f64
    );
}

fn argument(position: usize, default: u64) -> u64 {
    std::env::args()
        .nth(position)
        .map_or(default, |text| text.parse().expect("arguments are numbers"))
}

fn main() {
    committed_rounds(argument(1, 1_000_000));
    undecided_rounds(argument(2, 100_000), 1);
    undecided_rounds(argument(3, 10_000), 3);
}
