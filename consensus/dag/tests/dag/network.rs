//! A small network of cores: virtual milliseconds, seeded delays and losses, crashes. Everything that a run does follows
//! from its seed.

use crate::harness::{Random, Said, said, unsigned};
use holdfast_dag::{AskRequest, DagConfig, DagCore, Pace, ProposalPlan};
use holdfast_types::test_util::{CHAIN, era_context, key_pair, validator_account};
use holdfast_types::wire::MissingVerticesRequest;
use holdfast_types::{
    Action, AuthorityIndex, CommitRecord, EraContext, Round, Signer, TimestampMs, TransactionBody,
    VerifiedVertex, VertexPayload, VertexRef,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How messages travel.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    pub(crate) delay_ms: (usize, usize),
    pub(crate) loss_percent: usize,
    /// Messages travel only within a group.
    pub(crate) groups: Option<Vec<usize>>,
}

enum Message {
    Vertex(Arc<VerifiedVertex>),
    /// Asked for by round.
    Answer(Vec<Arc<VerifiedVertex>>),
    Fetch {
        from: usize,
        references: Vec<VertexRef>,
    },
    Ask {
        from: usize,
        request: AskRequest,
    },
}

struct Node {
    /// None while crashed.
    core: Option<DagCore>,
    /// What survives a crash: own vertices before they are sent, those of others as they are accepted, commits.
    stored: BTreeMap<VertexRef, Arc<VerifiedVertex>>,
    records: Vec<CommitRecord>,
    commits: Vec<(u64, Said)>,
    /// It has something to order.
    pending: bool,
}

impl Node {
    fn take_in(&mut self, vertex: Arc<VerifiedVertex>, now_ms: u64) {
        let Some(core) = &mut self.core else { return };
        for accepted in core.add(vertex, now_ms).accepted {
            self.stored.insert(accepted.reference(), accepted);
        }
    }
}

pub(crate) struct Network {
    context: Arc<EraContext>,
    config: DagConfig,
    pub(crate) links: Links,
    /// Sign two vertices per round and show each to one half.
    pub(crate) equivocators: usize,
    /// Everybody always has something to order.
    pub(crate) busy: bool,
    nodes: Vec<Node>,
    queue: BTreeMap<(u64, u64), (usize, Message)>,
    sent: u64,
    pub(crate) now_ms: u64,
    random: Random,
    signed: BTreeMap<(Round, AuthorityIndex), VertexRef>,
}

impl Network {
    pub(crate) fn new(size: u16, config: &DagConfig, seed: u64) -> Self {
        let mut network = Self {
            context: Arc::new(era_context(size)),
            config: config.clone(),
            links: Links {
                delay_ms: (5, 40),
                loss_percent: 0,
                groups: None,
            },
            equivocators: 0,
            busy: true,
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            sent: 0,
            now_ms: 0,
            random: Random::new(seed),
            signed: BTreeMap::new(),
        };
        for node in 0..usize::from(size) {
            network.nodes.push(Node {
                core: None,
                stored: BTreeMap::new(),
                records: Vec::new(),
                commits: Vec::new(),
                pending: false,
            });
            network.start(node);
        }
        network
    }

    pub(crate) fn crash(&mut self, node: usize) {
        self.nodes[node].core = None;
    }

    /// Starts a crashed node from what it has stored.
    pub(crate) fn start(&mut self, node: usize) {
        let me = AuthorityIndex(u16::try_from(node).expect("small"));
        let needed = usize::try_from(DagCore::commits_needed(&self.config)).expect("small");
        let Node {
            stored, records, ..
        } = &self.nodes[node];
        let mut core = DagCore::restore(
            CHAIN,
            Arc::clone(&self.context),
            self.config.clone(),
            Some(me),
            &records[records.len().saturating_sub(needed)..],
            self.now_ms,
        );
        for vertex in stored.values() {
            drop(core.add(Arc::clone(vertex), self.now_ms));
        }
        if let Some(own) = stored.values().rfind(|vertex| vertex.author() == me) {
            core.set_own_last(own);
        }
        self.nodes[node].core = Some(core);
    }

    pub(crate) fn submit(&mut self, node: usize) {
        self.nodes[node].pending = true;
    }

    /// Runs for so many virtual ms.
    pub(crate) fn run(&mut self, for_ms: u64) {
        let end_ms = self.now_ms + for_ms;
        for node in 0..self.nodes.len() {
            self.step(node);
        }
        loop {
            let arrival = self.queue.first_key_value().map(|((at_ms, _), _)| *at_ms);
            let wake = (0..self.nodes.len())
                .filter_map(|n| Some((self.wake_ms(n)?, n)))
                .min();
            let at_ms = arrival
                .into_iter()
                .chain(wake.map(|(at_ms, _)| at_ms))
                .min();
            let Some(at_ms) = at_ms.filter(|at_ms| *at_ms <= end_ms) else {
                self.now_ms = end_ms;
                return;
            };
            assert!(at_ms >= self.now_ms, "time goes forward");
            self.now_ms = at_ms;
            if arrival == Some(at_ms) {
                let (_, (to, message)) = self.queue.pop_first().expect("it is the first");
                self.receive(to, message);
                self.step(to);
            } else if let Some((_, node)) = wake {
                self.step(node);
                let next = self.wake_ms(node);
                assert!(
                    next.is_none_or(|next| next > at_ms),
                    "node {node} spins at {at_ms}"
                );
            }
        }
    }

    fn wake_ms(&self, node: usize) -> Option<u64> {
        let Node { core, pending, .. } = &self.nodes[node];
        let core = core.as_ref()?;
        let pace = match core.pace(self.now_ms, self.busy || *pending) {
            Pace::Propose(_) => Some(self.now_ms),
            Pace::Until(at_ms) => Some(at_ms),
            Pace::Blocked => None,
        };
        [pace, core.next_fetch_ms(), Some(core.next_ask_ms())]
            .into_iter()
            .flatten()
            .min()
    }

    fn receive(&mut self, to: usize, message: Message) {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[to];
        if node.core.is_none() {
            return;
        }
        match message {
            Message::Vertex(vertex) => node.take_in(vertex, now_ms),
            Message::Answer(vertices) => {
                for vertex in vertices {
                    node.take_in(vertex, now_ms);
                }
            }
            Message::Fetch { from, references } => {
                let found = references.iter().filter_map(|r| node.stored.get(r));
                for vertex in found.cloned().collect::<Vec<_>>() {
                    self.send(to, from, Message::Vertex(vertex));
                }
            }
            Message::Ask { from, request } => {
                let wanted = MissingVerticesRequest {
                    era: self.context.era,
                    from: request.from,
                    held: request.held,
                };
                let is_wanted = |vertex: &&Arc<VerifiedVertex>| {
                    let (round, author) = vertex.reference().slot();
                    wanted.wants(round, author)
                };
                let found = node.stored.values().filter(is_wanted);
                let found: Vec<_> = found.cloned().collect();
                if !found.is_empty() {
                    self.send(to, from, Message::Answer(found));
                }
            }
        }
    }

    /// What a replica does after every input.
    fn step(&mut self, at: usize) {
        let now_ms = self.now_ms;
        self.commit(at);
        let pending = self.busy || self.nodes[at].pending;
        let Some(core) = &self.nodes[at].core else {
            return;
        };
        if let Pace::Propose(plan) = core.pace(now_ms, pending) {
            self.propose(at, &plan);
            self.commit(at);
        }
        let Some(core) = &mut self.nodes[at].core else {
            return;
        };
        let (requests, asks) = (core.fetches(now_ms), core.asks(now_ms));
        for request in requests {
            let references = request.references;
            self.send(
                at,
                request.from.as_usize(),
                Message::Fetch {
                    from: at,
                    references,
                },
            );
        }
        for request in asks {
            let to = request.to.as_usize();
            self.send(at, to, Message::Ask { from: at, request });
        }
    }

    fn commit(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[at];
        let Some(core) = &mut node.core else { return };
        let (sub_dags, freed) = core.try_commit(now_ms);
        node.stored
            .extend(freed.into_iter().map(|v| (v.reference(), v)));
        for (sub_dag, said) in sub_dags.iter().zip(said(&sub_dags)) {
            node.records.push(sub_dag.record.clone());
            node.commits.push((now_ms, said));
        }
    }

    fn propose(&mut self, at: usize, plan: &ProposalPlan) {
        let payload = if std::mem::take(&mut self.nodes[at].pending) {
            some_payload()
        } else {
            VertexPayload::default()
        };
        let vertex = self.sign(at, plan, 0, payload.clone());
        let taken = self
            .signed
            .insert((plan.round, vertex.author()), vertex.reference());
        assert_eq!(taken, None, "no core signs twice for a slot");
        let node = &mut self.nodes[at];
        let core = node.core.as_mut().expect("it proposes");
        assert_eq!(core.add(Arc::clone(&vertex), self.now_ms).accepted.len(), 1);
        core.proposed(&vertex, self.now_ms);
        node.stored.insert(vertex.reference(), Arc::clone(&vertex));
        if at >= self.equivocators {
            self.broadcast(at, &vertex);
            return;
        }
        let twin = self.sign(at, plan, 1, payload);
        for to in 0..self.nodes.len() {
            let shown = if to.is_multiple_of(2) { &vertex } else { &twin };
            self.send(at, to, Message::Vertex(Arc::clone(shown)));
        }
        self.nodes[at].stored.insert(twin.reference(), twin);
    }

    fn sign(
        &self,
        at: usize,
        plan: &ProposalPlan,
        version: u64,
        payload: VertexPayload,
    ) -> Arc<VerifiedVertex> {
        let me = AuthorityIndex(u16::try_from(at).expect("small"));
        let time = TimestampMs(self.context.anchor_timestamp.0 + self.now_ms + version);
        unsigned(
            &self.context,
            (plan.round, me),
            plan.parents.clone(),
            time,
            payload,
        )
    }

    fn broadcast(&mut self, from: usize, vertex: &Arc<VerifiedVertex>) {
        for to in 0..self.nodes.len() {
            self.send(from, to, Message::Vertex(Arc::clone(vertex)));
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        let groups = self.links.groups.as_ref();
        let cut = groups.is_some_and(|groups| groups[from] != groups[to]);
        if from == to || cut || self.random.percent(self.links.loss_percent) {
            return;
        }
        let (least, most) = self.links.delay_ms;
        let at_ms = self.now_ms + self.random.between(least, most) as u64;
        self.sent += 1;
        self.queue.insert((at_ms, self.sent), (to, message));
    }

    /// Checks that all commits of all nodes are prefixes of one sequence; returns how many each has.
    pub(crate) fn agreed(&self) -> Vec<usize> {
        let longest = self
            .nodes
            .iter()
            .map(|node| &node.commits)
            .max_by_key(|c| c.len());
        let longest = longest.expect("there are nodes");
        for (at, node) in self.nodes.iter().enumerate() {
            for ((_, said), (_, expected)) in node.commits.iter().zip(longest) {
                assert_eq!(said, expected, "node {at} at {} ms", self.now_ms);
            }
        }
        self.nodes.iter().map(|node| node.commits.len()).collect()
    }

    /// When a node made each of its commits.
    pub(crate) fn commit_times(&self, node: usize) -> Vec<u64> {
        self.nodes[node]
            .commits
            .iter()
            .map(|(at_ms, _)| *at_ms)
            .collect()
    }

    pub(crate) fn commits(&self, node: usize) -> Vec<&Said> {
        self.nodes[node]
            .commits
            .iter()
            .map(|(_, said)| said)
            .collect()
    }

    pub(crate) fn core(&self, node: usize) -> &DagCore {
        self.nodes[node].core.as_ref().expect("it runs")
    }
}

fn some_payload() -> VertexPayload {
    let key = key_pair(9999);
    let body = TransactionBody {
        sender: validator_account(0),
        public_key: key.public_key(),
        nonce: 0,
        fee_max: 0,
        expires_at: None,
        action: Action::VoteHardfork { version: 1 },
    };
    VertexPayload {
        transactions: vec![body.sign(&CHAIN, &key)],
        ..VertexPayload::default()
    }
}
