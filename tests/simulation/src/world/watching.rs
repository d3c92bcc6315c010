//! Whether halts hold where they have to, and nowhere else (rules O11, O12, O15).

use super::World;
use crate::message::NodeId;
use crate::oracle::{Authority, NOTICE_MS, Rule};
use holdfast_dag::DagCore;
use holdfast_halt::matrix::Mode;
use holdfast_halt::{HaltState, ModeSet};
use holdfast_replica::Record;
use holdfast_types::HaltId;

/// A node says that it stalls so long after its last block, in ms.
const STALL_MS: u64 = 6_000;

impl World {
    /// What is about to hold at an honest node has enough signers (rule O12).
    pub(super) fn check_authority(&mut self, node: NodeId, records: &[Record]) {
        let states = records.iter().filter_map(|record| match record {
            Record::Halts(state) => Some(state),
            _ => None,
        });
        for state in states {
            if let Err(wrong) = self.authority_of(node, state) {
                let what = format!("node {node} at {} ms: {wrong}", self.now_ms);
                self.oracle.violated(Rule::Authority, what);
            }
        }
    }

    fn authority_of(&self, node: NodeId, state: &HaltState) -> Result<(), String> {
        let era = self.context_of(node, state.era);
        let era = era.ok_or_else(|| format!("of an unknown era {}", state.era))?;
        let authority = Authority {
            chain: &self.chain,
            era: &era,
            guilty: self.oracle.guilty(),
        };
        authority.check(state)
    }

    /// Who has committed a contradiction is halted soon, or on its way to where a resume message leads (rule O15).
    pub(super) fn check_notices(&mut self, node: NodeId) {
        let Some(running) = &self.nodes[node].running else {
            return;
        };
        let era = (running.era.era, running.era.anchor);
        let since_ms = self.oracle.contradicted_since_ms(node, era);
        let is_late = since_ms.is_some_and(|since_ms| self.now_ms > since_ms + NOTICE_MS);
        if is_late && !self.is_halted(node) {
            let what = format!("node {node} has not halted since {since_ms:?} ms");
            self.oracle.violated(Rule::Detection, what);
        }
    }

    /// Whether a node executes what leads to the block from which the chain goes on.
    pub(super) fn is_resuming(&self, node: NodeId) -> bool {
        let running = self.nodes[node].running.as_ref();
        running.is_some_and(|running| {
            let manager = running.replica.halts().manager();
            manager.resume_point().is_some() || running.replica.catches_up()
        })
    }

    /// An honest node that is up, has no quorum and says nothing of it (rule O15). One that catches up is not judged (rule
    /// S6 of the stall), and neither is one that waits for an era; blocks may go on for a while from what is there already.
    #[must_use]
    pub fn misses_the_stall(&self) -> Option<NodeId> {
        let is_between_eras = |node: &NodeId| {
            let standing = self.standing(*node);
            standing.is_some_and(|standing| standing.is_between_eras)
        };
        let has_moved = |node: &NodeId| {
            let running = self.nodes[*node].running.as_ref();
            running.is_some_and(|running| running.head_changed_ms + STALL_MS > self.now_ms)
        };
        let catches_up = |node: &NodeId| {
            let running = self.nodes[*node].running.as_ref();
            let dag = running.and_then(|running| running.replica.dag());
            dag.is_some_and(DagCore::is_far_behind)
        };
        self.honest()
            .filter(|node| !is_between_eras(node) && !catches_up(node) && !has_moved(node))
            .filter(|node| !self.is_halted(*node))
            .find(|node| {
                let modes = self.modes(*node);
                modes.is_some_and(|modes| !modes.contains(Mode::SoftStall))
            })
    }

    /// Two honest nodes of which other modes or other halts hold, and which (rule O11).
    #[must_use]
    pub fn unlike(&self) -> Option<String> {
        let holding = |node: NodeId| -> Option<(NodeId, ModeSet, Vec<HaltId>)> {
            Some((node, self.modes(node)?, self.halts_of(node)))
        };
        let all: Vec<_> = self.honest().filter_map(holding).collect();
        let first = all.first()?;
        let other = all
            .iter()
            .find(|other| (other.1, &other.2) != (first.1, &first.2))?;
        Some(format!("{first:?} beside {other:?}"))
    }
}
