//! Cores in lock-step, of which several may run with one key (Twins: Bano et al., arXiv 2004.10617): in each step every
//! process proposes if its core allows it, and what it signs reaches its group of this step. A process is the honest core
//! and knows nothing of its twin, so that twins equivocate in every way that lost and late messages can bring about.

use crate::harness::{core_of, unsigned};
use holdfast_dag::{AddOutcome, DagConfig, DagCore, Pace};
use holdfast_types::hash::Hash32;
use holdfast_types::test_util::era_context;
use holdfast_types::{
    AuthorityIndex, CommitDigest, EraContext, Evidence, Round, TimestampMs, VerifiedVertex,
    VertexPayload, VertexRef,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Slot = (Round, AuthorityIndex);

/// What the processes of a group tell each other in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// What they sign in the step, and of its history what the receiver has to fetch.
    New,
    /// All that they hold, as if asked (rule D11).
    All,
}

/// Longer than any pause of the configuration: in each step, time holds nobody back.
const STEP_MS: u64 = 10_000;

/// Rounds of a whole network until somebody honest leads a slot that decides all before it. The twins equivocate in every
/// one, and some of their slots fall behind each other so that each waits for the next.
const HEALED_ROUNDS_MAX: usize = 40;

#[derive(Clone)]
struct Process {
    authority: AuthorityIndex,
    core: DagCore,
    /// Accepted vertices, those that garbage collection has passed too: what it can tell others.
    stored: BTreeMap<VertexRef, Arc<VerifiedVertex>>,
    /// The same in the order of acceptance.
    accepted: Vec<VertexRef>,
    commits: Vec<CommitDigest>,
    /// By slot of a twin, the first vertex that its core did not refuse as too old.
    taken: BTreeMap<Slot, VertexRef>,
    /// Slots of which it was offered two vertices, neither of them too old.
    doubled: BTreeSet<Slot>,
    /// Slots whose equivocation its core has reported.
    reported: BTreeSet<Slot>,
}

impl Process {
    fn store(&mut self, accepted: Vec<Arc<VerifiedVertex>>) {
        for vertex in accepted {
            self.accepted.push(vertex.reference());
            self.stored.insert(vertex.reference(), vertex);
        }
    }
}

/// What happened in a run, or in all runs together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) runs: usize,
    /// Rounds after the network had healed until all honest had committed a later leader.
    pub(crate) healed_rounds: usize,
    /// Slots of scripted rounds of which an honest process saw two vertices, for each such process.
    pub(crate) doubled: usize,
    /// Of these, with a leader.
    pub(crate) doubled_leaders: usize,
    /// Runs in which two honest processes had accepted a slot differently when the network healed.
    pub(crate) divided: usize,
    /// Vertices of twins that came to an honest process below its garbage-collection round, where it had another.
    pub(crate) doubled_too_late: usize,
    /// Second vertices of a slot that were ordered, and do not execute.
    pub(crate) ordered_twice: usize,
    /// Runs in which somebody had committed before the network healed.
    pub(crate) committed_early: usize,
    /// Of these, with honest processes that had committed less than others.
    pub(crate) uneven: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.healed_rounds += other.healed_rounds;
        self.doubled += other.doubled;
        self.doubled_leaders += other.doubled_leaders;
        self.divided += other.divided;
        self.doubled_too_late += other.doubled_too_late;
        self.ordered_twice += other.ordered_twice;
        self.committed_early += other.committed_early;
        self.uneven += other.uneven;
    }
}

#[derive(Clone)]
pub(crate) struct Lockstep {
    context: Arc<EraContext>,
    processes: Vec<Process>,
    /// Authorities that run twice.
    twins: Vec<AuthorityIndex>,
    /// All that was ever signed, ancestors first.
    signed: Vec<Arc<VerifiedVertex>>,
    now_ms: u64,
    tally: Tally,
}

impl Lockstep {
    /// One process for each of `size` validators, and behind them one more for each of `twins`.
    pub(crate) fn new(size: u16, twins: &[AuthorityIndex], config: &DagConfig) -> Self {
        let context = Arc::new(era_context(size));
        let authorities = context.committee.authorities().chain(twins.iter().copied());
        let processes = authorities
            .map(|authority| Process {
                authority,
                core: core_of(&context, config, Some(authority)),
                stored: BTreeMap::new(),
                accepted: Vec::new(),
                commits: Vec::new(),
                taken: BTreeMap::new(),
                doubled: BTreeSet::new(),
                reported: BTreeSet::new(),
            })
            .collect();
        Self {
            context,
            processes,
            twins: twins.to_vec(),
            signed: Vec::new(),
            now_ms: 0,
            tally: Tally::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.processes.len()
    }

    /// What the rest of a run follows from: who has accepted what, and in which order.
    pub(crate) fn state(&self) -> Hash32 {
        let mut hasher = blake3::Hasher::new();
        for process in &self.processes {
            hasher.update(&(process.accepted.len() as u64).to_le_bytes());
            for reference in &process.accepted {
                hasher.update(reference.digest.as_bytes());
            }
        }
        hasher.finalize().into()
    }

    /// Everybody proposes who may; then all hear of it who are in one group. `groups` has one entry per process.
    pub(crate) fn step(&mut self, groups: &[usize], telling: Telling) {
        self.now_ms += STEP_MS;
        let proposed: Vec<Option<Arc<VerifiedVertex>>> =
            (0..self.len()).map(|at| self.propose(at)).collect();
        for to in 0..self.len() {
            // Each hears the others in an order of its own, so that it need not see the same twin first.
            for distance in 1..self.len() {
                let from = (to + distance) % self.len();
                if groups[from] != groups[to] {
                    continue;
                }
                match (telling, &proposed[from]) {
                    (Telling::New, Some(vertex)) => self.tell_history(from, to, vertex),
                    (Telling::New, None) => {}
                    (Telling::All, _) => self.tell_all(from, to),
                }
            }
        }
        for at in 0..self.len() {
            self.commit(at);
        }
    }

    fn propose(&mut self, at: usize) -> Option<Arc<VerifiedVertex>> {
        let process = &mut self.processes[at];
        let Pace::Propose(plan) = process.core.pace(self.now_ms, true) else {
            return None;
        };
        // No two processes sign the same vertex; one signs the same whatever the step in which it comes to the round.
        let time = self.context.anchor_timestamp.0 + plan.round.0 * STEP_MS + at as u64;
        let vertex = unsigned(
            &self.context,
            (plan.round, process.authority),
            plan.parents,
            TimestampMs(time),
            VertexPayload::default(),
        );
        self.signed.push(Arc::clone(&vertex));
        self.offer(at, &vertex);
        let process = &mut self.processes[at];
        assert!(process.stored.contains_key(&vertex.reference()));
        process.core.proposed(&vertex, self.now_ms);
        Some(vertex)
    }

    /// The vertex first, then backwards what it stands on: as the receiver fetches it.
    fn tell_history(&mut self, from: usize, to: usize, vertex: &Arc<VerifiedVertex>) {
        let (teller, listener) = (&self.processes[from].stored, &self.processes[to].stored);
        let mut unknown = BTreeMap::new();
        let mut open = vec![vertex];
        while let Some(vertex) = open.pop() {
            if listener.contains_key(&vertex.reference()) {
                continue;
            }
            if unknown
                .insert(vertex.reference(), Arc::clone(vertex))
                .is_none()
            {
                open.extend(vertex.parents().iter().filter_map(|p| teller.get(p)));
            }
        }
        for vertex in unknown.values().rev() {
            self.offer(to, vertex);
        }
    }

    fn tell_all(&mut self, from: usize, to: usize) {
        let (teller, listener) = (&self.processes[from].stored, &self.processes[to].stored);
        let unknown: Vec<Arc<VerifiedVertex>> = teller
            .iter()
            .filter(|(reference, _)| !listener.contains_key(reference))
            .map(|(_, vertex)| Arc::clone(vertex))
            .collect();
        for vertex in &unknown {
            self.offer(to, vertex);
        }
    }

    fn offer(&mut self, to: usize, vertex: &Arc<VerifiedVertex>) {
        let process = &mut self.processes[to];
        let added = process.core.add(Arc::clone(vertex), self.now_ms);
        let reference = vertex.reference();
        if self.twins.contains(&reference.author) {
            let is_double = |first: &VertexRef| *first != reference;
            let slot = reference.slot();
            if added.outcome == AddOutcome::TooOld {
                let is_late = process.taken.get(&slot).is_some_and(is_double);
                let is_honest = !self.twins.contains(&process.authority);
                self.tally.doubled_too_late += usize::from(is_late && is_honest);
            } else if is_double(process.taken.entry(slot).or_insert(reference)) {
                process.doubled.insert(slot);
            }
        }
        process.store(added.accepted);
        for evidence in added.evidence {
            let Evidence::Equivocation { first, second } = evidence else {
                panic!("no equivocation: {evidence:?}");
            };
            assert_ne!(first, second);
            let slot = (first.header.round, first.header.author);
            assert_eq!(slot, (second.header.round, second.header.author));
            assert!(process.reported.insert(slot), "{slot:?} is reported once");
        }
    }

    fn commit(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let (sub_dags, freed) = process.core.try_commit(self.now_ms);
        process.store(freed);
        process.commits.extend(sub_dags.iter().map(|s| s.digest));
        let ordered_twice = sub_dags.iter().flat_map(|s| &s.equivocations);
        self.tally.ordered_twice += ordered_twice.count();
    }

    /// The network is whole again: everybody hears of everything, then everybody takes part until the honest have
    /// committed a leader of a later round. Checks that they do (O6), that theirs is one sequence (O1), and that they have
    /// reported the twins and nobody else (O14).
    pub(crate) fn heal(mut self) -> Tally {
        let scripted = self.signed.iter().map(|vertex| vertex.round()).max();
        let scripted = scripted.unwrap_or_default();
        self.count_differences();
        let mut signed = self.signed.clone();
        for to in 0..self.len() {
            for vertex in &signed {
                self.offer(to, vertex);
            }
            self.commit(to);
            // The next one hears of the last first.
            signed.reverse();
        }
        let whole = vec![0; self.len()];
        while self
            .honest()
            .any(|process| process.core.last_leader_round() <= scripted)
        {
            let healed = self.tally.healed_rounds;
            assert!(healed < HEALED_ROUNDS_MAX, "nothing behind {scripted}");
            self.step(&whole, Telling::New);
            self.tally.healed_rounds += 1;
        }
        self.check(scripted);
        self.tally.runs = 1;
        self.tally
    }

    fn honest(&self) -> impl Iterator<Item = &Process> {
        let is_honest = |process: &&Process| !self.twins.contains(&process.authority);
        self.processes.iter().filter(is_honest)
    }

    fn count_differences(&mut self) {
        let commits = || self.honest().map(|process| process.commits.len());
        let (least, most) = (commits().min(), commits().max());
        let mut first: BTreeMap<&Slot, &VertexRef> = BTreeMap::new();
        let divided = self
            .honest()
            .flat_map(|process| &process.taken)
            .any(|(slot, taken)| *first.entry(slot).or_insert(taken) != taken);
        self.tally.committed_early = usize::from(most > Some(0));
        self.tally.uneven = usize::from(most > least);
        self.tally.divided = usize::from(divided);
    }

    fn check(&mut self, scripted: Round) {
        let longest = self.honest().max_by_key(|process| process.commits.len());
        let longest = longest.expect("most are honest").commits.clone();
        let (mut doubled, mut doubled_leaders) = (0, 0);
        for process in self.honest() {
            let Process { core, commits, .. } = process;
            let authority = process.authority;
            assert!(longest.starts_with(commits), "{authority} is divided");
            assert_eq!(core.waiting(), (0, 0), "{authority} has all");
            assert_eq!(process.reported, process.doubled, "of {authority}");
            let seen = process.doubled.iter().filter(|slot| slot.0 <= scripted);
            let leads = |slot: &&Slot| core.schedule().leaders(slot.0).contains(&slot.1);
            doubled += seen.clone().count();
            doubled_leaders += seen.filter(leads).count();
        }
        self.tally.doubled += doubled;
        self.tally.doubled_leaders += doubled_leaders;
    }
}
