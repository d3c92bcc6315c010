//! Catching up, in the states that the node's sync task goes through.

use super::{Event, World};
use crate::message::{NodeId, Request};
use crate::node::{Purpose, SyncState};
use holdfast_chain::BranchFetch;
use holdfast_chain::serve::branch_rank;
use holdfast_chain::sync::{ANSWERS_WAIT_MS, SyncNeed, first_needed, polled, sync_source};
use holdfast_dag::DagConfig;
use holdfast_replica::Input;
use holdfast_types::Height;
use holdfast_types::wire::{BlocksResponse, BranchRank, PeerStatus};

/// A peer that was no help is not asked again for this long, in ms.
const AVOID_MS: u64 = 10_000;

impl World {
    /// Asks peers where they stand.
    pub(super) fn poll(&mut self, node: NodeId) {
        self.ask_without_need(node);
        self.forge(node);
        let now_ms = self.now_ms;
        let mut peers = self.up_peers(node);
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        running.avoided.retain(|_, until_ms| *until_ms > now_ms);
        peers.retain(|peer| !running.avoided.contains_key(peer));
        if peers.is_empty() {
            self.rest(node);
            return;
        }
        let polled = polled(peers, u64::from(running.polls));
        running.sync = SyncState::Polling {
            waiting: polled.len(),
            over: false,
            answers: Vec::new(),
        };
        running.polls = running.polls.wrapping_add(1);
        let poll = running.polls;
        for peer in polled {
            self.request(node, peer, Request::Status, Purpose::Status(poll));
        }
        let incarnation = self.nodes[node].incarnation;
        self.schedule(
            ANSWERS_WAIT_MS,
            Event::PollOver {
                node,
                incarnation,
                poll,
            },
        );
    }

    fn rest(&mut self, node: NodeId) {
        let incarnation = self.nodes[node].incarnation;
        if let Some(running) = &mut self.nodes[node].running {
            running.sync = SyncState::Idle;
        }
        self.schedule(self.plan.look_ms, Event::Poll { node, incarnation });
    }

    /// A polled peer has answered, or never will.
    pub(super) fn status_came(
        &mut self,
        node: NodeId,
        poll: u32,
        answer: Option<(NodeId, PeerStatus)>,
    ) {
        let running = self.nodes[node].running.as_mut();
        let Some(running) = running.filter(|running| running.polls == poll) else {
            return;
        };
        if let SyncState::Polling {
            waiting, answers, ..
        } = &mut running.sync
        {
            *waiting -= 1;
            answers.extend(answer);
            self.look_at_answers(node);
        }
    }

    /// From now on one answer is enough.
    pub(super) fn poll_is_over(&mut self, node: NodeId, poll: u32) {
        let running = self.nodes[node].running.as_mut();
        let Some(running) = running.filter(|running| running.polls == poll) else {
            return;
        };
        if let SyncState::Polling { over, .. } = &mut running.sync {
            *over = true;
            self.look_at_answers(node);
        }
    }

    /// Decides whom to sync from, if enough have answered.
    fn look_at_answers(&mut self, node: NodeId) {
        let now_ms = self.now_ms;
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        let SyncState::Polling {
            waiting,
            over,
            answers,
        } = &mut running.sync
        else {
            return;
        };
        if *waiting > 0 && (!*over || answers.is_empty()) {
            return;
        }
        let answers = std::mem::take(answers);
        let head = running.chain.head().0;
        let unmoved_ms = now_ms - running.head_changed_ms;
        let far_blocks = DagConfig::from_parameters(&self.chain.parameters).far();
        let certified = running.chain.certified();
        let (_, head_id) = running.chain.head();
        let fetches_emergency = running.replica.fetches_emergency_blocks();
        let fetches_ordered = running.replica.fetches_ordered_blocks();
        let branch_from = running.branch_from;
        let is_forked = std::mem::take(&mut running.is_forked);
        let need = SyncNeed {
            head,
            head_id,
            certified,
            rank: self.rank(node),
            is_provisional: self.is_provisional(node),
            is_forked,
            fetches_emergency,
            fetches_ordered,
            unmoved_ms,
            far_blocks,
        };
        let Some((peer, target)) = sync_source(answers, need) else {
            self.tell_peers_at(node, None);
            self.rest(node);
            return;
        };
        self.tell_peers_at(node, Some(target));
        let from = branch_from.unwrap_or_else(|| first_needed(&need, target));
        let blocks_max = self.chain.parameters.fork_db_max as usize;
        if let Some(running) = &mut self.nodes[node].running {
            running.sync = SyncState::Fetching(Box::new(BranchFetch::new(&need, from, blocks_max)));
        }
        self.ask_blocks(node, peer);
    }

    fn tell_peers_at(&mut self, node: NodeId, at: Option<Height>) {
        let running = self.nodes[node].running.as_mut();
        if running.is_some_and(|running| running.peers_at.replace(at) != Some(at)) {
            self.step(node, Input::PeersAt(at));
        }
    }

    /// Asks a peer for the next blocks.
    pub(super) fn ask_blocks(&mut self, node: NodeId, peer: NodeId) {
        let running = self.nodes[node].running.as_ref();
        if let Some(SyncState::Fetching(fetch)) = running.map(|running| &running.sync) {
            let range = fetch.request();
            self.request(node, peer, Request::Blocks(range), Purpose::Blocks);
        }
    }

    /// Whether a node's head stands on emergency blocks that nobody has certified.
    pub(super) fn is_provisional(&self, node: NodeId) -> bool {
        let running = self.nodes[node].running.as_ref();
        running.is_some_and(|running| {
            let tables = self.nodes[node].disk.now();
            running.chain.is_provisional(tables).unwrap_or(false)
        })
    }

    /// What counts of a node's branch before its length.
    pub(super) fn rank(&self, node: NodeId) -> BranchRank {
        branch_rank(self.nodes[node].disk.now()).unwrap_or_default()
    }

    pub(super) fn blocks_came(&mut self, node: NodeId, from: NodeId, response: BlocksResponse) {
        let count = response.blocks.len();
        self.trace.add(self.now_ms, node, count as u64, || {
            let first = response.blocks.first().map(|block| block.header.height.0);
            format!("receives {count} blocks from node {from}, from {first:?}")
        });
        let latest = self.latest_at(node);
        let Some(running) = &mut self.nodes[node].running else {
            return;
        };
        if let SyncState::Fetching(fetch) = &mut running.sync {
            let step = fetch.came(response, latest);
            self.branch_step(node, from, step);
        }
    }

    /// A range was applied, or the peer was no help: look again who is ahead.
    pub(super) fn synced(&mut self, node: NodeId, from: NodeId, helped: bool) {
        let until_ms = self.now_ms + AVOID_MS;
        if let Some(running) = &mut self.nodes[node].running
            && !helped
        {
            running.avoided.insert(from, until_ms);
            running.branch_from = None;
        }
        self.poll(node);
    }
}
