//! A network of nodes in virtual time. One queue holds all that is to happen; everything follows from the seed.

mod clocks;
mod core;
mod corruption;
mod cuts;
mod damage;
mod disks;
mod emergency;
mod execution;
mod faults;
mod governing;
mod halts;
mod load;
mod misbehaviour;
mod node_disk;
mod outlook;
mod quorum;
mod sync;
pub(crate) mod told;
mod traffic;
mod voting;
mod watching;

pub use outlook::Standing;

use crate::chain::{ChainPlan, SimulatedChain, emergency_key, validator_account, validator_key};
use crate::client::Client;
use crate::disk::Disk;
use crate::latency::Stopwatch;
use crate::message::{NodeId, Packet};
use crate::network::{Links, Network};
use crate::node::Node;
use crate::oracle::bounds::gauges;
use crate::oracle::{Oracle, Rule};
use crate::random::Random;
use crate::trace::Trace;
use holdfast_replica::Submission;
use holdfast_replica::validator_guard::{GuardConfig, ValidatorGuard};
use holdfast_types::{BlockId, ChainId, Signer, VertexDigest};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

pub use clocks::Clocks;
pub use cuts::{Flapping, Partitions};
pub use disks::{DiskFailures, DiskFault, Disks};
pub use faults::{Crashes, FaultEvent, Faults, Membership, Stalls};
pub use governing::Governors;
pub use voting::Voters;

/// How often nodes ask where others stand, guards look at the chain, and the oracle at nodes, in ms.
pub const LOOK_MS: u64 = 1_000;

/// What a world is built from.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub chain: ChainPlan,
    pub followers: usize,
    /// Validators whose key may come to run a second time.
    pub twins: usize,
    /// Nodes with the emergency key, from the last one on.
    pub masters: usize,
    pub links: Links,
    /// How long a transaction is verified before the replica sees it, in ms.
    pub verification_ms: (u64, u64),
    /// How long the execution of a block takes, in ms.
    pub execution_ms: (u64, u64),
    /// How long a client waits between two transactions, in ms; none: no load.
    pub client_pause_ms: Option<(u64, u64)>,
    /// [`LOOK_MS`], or less often where hours pass.
    pub look_ms: u64,
}

/// Something that is to happen.
#[derive(Debug)]
enum Event {
    Arrive {
        from: NodeId,
        to: NodeId,
        incarnation: u32,
        packet: Packet,
    },
    Wake {
        node: NodeId,
        incarnation: u32,
    },
    Execute {
        node: NodeId,
        incarnation: u32,
    },
    Poll {
        node: NodeId,
        incarnation: u32,
    },
    /// Answers have had their time.
    PollOver {
        node: NodeId,
        incarnation: u32,
        poll: u32,
    },
    Expire {
        node: NodeId,
        incarnation: u32,
        ticket: u64,
    },
    /// Transactions that were verified.
    Admit {
        node: NodeId,
        incarnation: u32,
        submissions: Vec<Submission>,
        /// Who waits for the answer, if a client does.
        client: Option<usize>,
    },
    Client(usize),
    /// Looks at what nodes hold.
    Look,
    Govern(Governors),
    Consult(Voters),
    /// A validator guard looks at the chain.
    Guard(NodeId),
    Fault(FaultEvent),
}

#[derive(Debug)]
struct Scheduled {
    at_ms: u64,
    /// Events of one instant happen in the order in which they were scheduled.
    sequence: u64,
    event: Event,
}

impl Scheduled {
    const fn key(&self) -> (u64, u64) {
        (self.at_ms, self.sequence)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The earliest is the greatest: the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

/// The world.
#[derive(Debug)]
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) chain: SimulatedChain,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) clients: Vec<Client>,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) stopwatch: Stopwatch,
    /// How often each thing was reached: a fault that never happens tests nothing.
    pub(crate) reached: BTreeMap<&'static str, u64>,
    /// The most that any honest node held of each thing that is bounded.
    pub(crate) held: BTreeMap<&'static str, usize>,
    random: Random,
    now_ms: u64,
    queue: BinaryHeap<Scheduled>,
    sequence: u64,
    tickets: u64,
    faults_end_ms: u64,
    /// Nodes that die come back after so long.
    restart_ms: Option<(u64, u64)>,
    /// Numbers of validators that asked to leave the committee and not to come back since.
    leaving: BTreeSet<usize>,
    /// Validators whose disks may be lost.
    unlucky: Vec<NodeId>,
    /// Validators that are kept down, until when.
    down_until_ms: BTreeMap<NodeId, u64>,
    /// Copies of disks that may be put back.
    copies: BTreeMap<NodeId, Disk>,
    /// Validators whose clocks are wrong in any way. None: by seconds, and others each time.
    wrong_clocks: Vec<NodeId>,
    /// How far a clock was ahead at most.
    ahead_max_ms: u64,
    /// How far a block may be ahead of the true time; none if more than f may date it.
    block_ahead_max_ms: Option<u64>,
    /// Whether a vertex verifies, by the anchor of the era and its digest.
    verdicts: BTreeMap<(BlockId, VertexDigest), bool>,
}

impl World {
    /// All nodes are up.
    #[must_use]
    pub fn new(plan: &Plan, seed: u64) -> Self {
        Self::traced(plan, seed, false)
    }

    /// As [`Self::new`], and keeps the text of the trace.
    #[must_use]
    pub fn traced(plan: &Plan, seed: u64, keep_lines: bool) -> Self {
        let mut random = Random::new(seed);
        let chain = SimulatedChain::new(&plan.chain);
        let validators = plan.chain.validators + plan.chain.standby;
        let size = validators + plan.followers + plan.twins;
        let mut nodes: Vec<Node> = (0..size)
            .map(|id| {
                // A twin has no key yet.
                let key = (id < validators).then(|| validator_key(chain.scheme, id));
                Node::new(id, key, &chain)
            })
            .collect();
        for node in &mut nodes {
            node.peers = (0..size).filter(|peer| *peer != node.id).collect();
            node.has_twin = node.id >= size - plan.twins;
            if node.id + plan.masters >= size {
                node.master = Some(Arc::new(emergency_key(chain.scheme)));
            }
            if plan.chain.emergency.is_some() && node.key.is_some() {
                node.guard = Some(guard_of(node, &chain));
            }
        }
        let dissenters = usize::from(chain.parameters.halt.root_divergence_min_dissenters);
        let oracle = if plan.chain.emergency.is_some() {
            Oracle::of_branches(nodes[0].disk.now(), dissenters)
        } else {
            Oracle::new(nodes[0].disk.now(), dissenters)
        };
        let homes = size - plan.twins;
        let clients = (0..plan.chain.clients)
            .map(|number| Client::new(number, number % homes, plan.chain.signatures));
        let mut world = Self {
            network: Network::new(plan.links, size, random.fork()),
            clients: clients.collect(),
            plan: *plan,
            chain,
            nodes,
            oracle,
            trace: Trace::new(keep_lines),
            stopwatch: Stopwatch::default(),
            reached: BTreeMap::new(),
            held: BTreeMap::new(),
            random,
            now_ms: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            tickets: 0,
            faults_end_ms: u64::MAX,
            restart_ms: None,
            leaving: BTreeSet::new(),
            unlucky: Vec::new(),
            down_until_ms: BTreeMap::new(),
            copies: BTreeMap::new(),
            wrong_clocks: Vec::new(),
            ahead_max_ms: 0,
            block_ahead_max_ms: None,
            verdicts: BTreeMap::new(),
        };
        world.slow_some_uplinks();
        for node in 0..homes {
            world.start(node);
        }
        for client in 0..plan.chain.clients {
            world.schedule_client(client);
        }
        world.schedule(plan.look_ms, Event::Look);
        world.look_after_keys();
        world
    }

    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    #[must_use]
    pub const fn chain_id(&self) -> ChainId {
        self.chain.id
    }

    #[must_use]
    pub const fn size(&self) -> usize {
        self.nodes.len()
    }

    #[must_use]
    pub const fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What takes how long.
    pub const fn stopwatch(&mut self) -> &mut Stopwatch {
        &mut self.stopwatch
    }

    /// How often each thing was reached.
    #[must_use]
    pub const fn reached(&self) -> &BTreeMap<&'static str, u64> {
        &self.reached
    }

    /// What all nodes begin with.
    #[must_use]
    pub const fn chain(&self) -> &SimulatedChain {
        &self.chain
    }

    #[must_use]
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node]
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    fn schedule(&mut self, after_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Scheduled {
            at_ms: self.now_ms + after_ms,
            sequence: self.sequence,
            event,
        });
    }

    /// Lets `for_ms` pass, or less if a rule is broken.
    pub fn run(&mut self, for_ms: u64) {
        let end_ms = self.now_ms + for_ms;
        self.run_until(end_ms, |_| false);
    }

    /// Lets time pass until `done`, at most `for_ms`; true if it came to that. Looks every 50 ms.
    pub fn run_until_done(&mut self, for_ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end_ms = self.now_ms + for_ms;
        self.run_until(end_ms, &done);
        done(self)
    }

    fn run_until(&mut self, end_ms: u64, done: impl Fn(&Self) -> bool) {
        const DONE_EVERY_MS: u64 = 50;
        let mut look_at_ms = self.now_ms;
        while self.oracle.violation().is_none() {
            if self.now_ms >= look_at_ms {
                look_at_ms = self.now_ms + DONE_EVERY_MS;
                if done(self) {
                    return;
                }
            }
            let due = self.queue.peek().is_some_and(|next| next.at_ms <= end_ms);
            let Some(next) = due.then(|| self.queue.pop()).flatten() else {
                self.now_ms = end_ms;
                return;
            };
            self.now_ms = next.at_ms;
            self.happen(next.event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive {
                from,
                to,
                incarnation,
                packet,
            } => {
                if self.is_up(to, incarnation) {
                    self.arrive(from, to, packet);
                }
            }
            Event::Wake { node, incarnation } => {
                if self.is_up(node, incarnation) {
                    self.wake(node);
                }
            }
            Event::Execute { node, incarnation } => {
                if self.is_up(node, incarnation) {
                    self.execute_next(node);
                }
            }
            Event::Poll { node, incarnation } => {
                if self.is_up(node, incarnation) {
                    self.poll(node);
                }
            }
            Event::PollOver {
                node,
                incarnation,
                poll,
            } => {
                if self.is_up(node, incarnation) {
                    self.poll_is_over(node, poll);
                }
            }
            Event::Expire {
                node,
                incarnation,
                ticket,
            } => {
                if self.is_up(node, incarnation) {
                    self.expire(node, ticket);
                }
            }
            Event::Admit {
                node,
                incarnation,
                submissions,
                client,
            } => {
                if self.is_up(node, incarnation) {
                    self.admit(node, submissions, client);
                }
            }
            Event::Client(client) => self.client_turn(client),
            Event::Look => self.look(),
            Event::Govern(governors) => self.govern(governors),
            Event::Consult(voters) => self.consult(voters),
            Event::Guard(node) => self.guard_looks(node),
            Event::Fault(fault) => self.fault(fault),
        }
    }

    /// What honest nodes hold is below its caps (rule O7), and they have noticed what halts (rule O15).
    fn look(&mut self) {
        let honest: Vec<NodeId> = self.honest().collect();
        for node in honest {
            self.check_notices(node);
            let Some(running) = &self.nodes[node].running else {
                continue;
            };
            for gauge in gauges(&self.plan.chain, running) {
                let most = self.held.entry(gauge.what).or_default();
                *most = gauge.held.max(*most);
                if gauge.held > gauge.most {
                    let what = format!("node {node}: {gauge:?}");
                    self.oracle.violated(Rule::Bounds, what);
                }
            }
        }
        self.schedule(self.plan.look_ms, Event::Look);
    }

    fn is_up(&self, node: NodeId, incarnation: u32) -> bool {
        let node = &self.nodes[node];
        node.running.is_some() && node.incarnation == incarnation
    }
}

/// The guard of the validator's key, as the product has it.
fn guard_of(node: &Node, chain: &SimulatedChain) -> ValidatorGuard {
    let signing_key = node
        .public_key()
        .unwrap_or_else(|| validator_key(chain.scheme, node.id).public_key());
    let emergency = &chain.parameters.emergency;
    let account = validator_account(node.id);
    ValidatorGuard::new(GuardConfig::new(chain.id, account, signing_key, emergency))
}
