//! Blocks that a resume stands against: which of the two branches holds is decided by certificates.

use super::{Agreed, Oracle, Rule};
use holdfast_chain::AppliedBlock;
use holdfast_types::{BlockHeader, BlockId, BlockOrigin, Certificate, Era, Height};
use std::collections::{BTreeMap, BTreeSet};

/// What the DAG of an era has put where a resume has put its block.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// By era, the height of the resume.
    resumed: BTreeMap<Era, Height>,
    /// By era and height.
    blocks: BTreeMap<(Era, Height), (Agreed, AppliedBlock)>,
    /// Resumes that a certificate excludes.
    lost: BTreeSet<BlockId>,
}

impl Rivals {
    /// Whether a block has its place beside a resume, or is a resume that has lost.
    pub(super) fn is_beside(&self, id: &BlockId, header: &BlockHeader) -> bool {
        let resumed = self.resumed.get(&header.era);
        let is_dag = matches!(header.origin, BlockOrigin::Dag { .. });
        self.lost.contains(id) || is_dag && resumed.is_some_and(|at| header.height >= *at)
    }

    /// A resume takes the place of the blocks of its era at its height and above.
    pub(super) fn resumed(&mut self, era: Era, height: Height) {
        self.resumed.insert(era, height);
    }
}

impl Oracle {
    /// A node has not heard of a resume, or holds to one that has lost: with others like it, it agrees all the same.
    pub(super) fn beside(&mut self, node: usize, now: Agreed, applied: &AppliedBlock) {
        let place = (now.era, now.height);
        let (first, _) = self
            .rivals
            .blocks
            .entry(place)
            .or_insert_with(|| (now, applied.clone()));
        let is_lost = self.rivals.lost.contains(&now.id);
        if !is_lost && (first.id, first.state_root) != (now.id, now.state_root) {
            let what = format!(
                "node {node} has block {} at height {}, another that does not resume has {}",
                now.id, now.height, first.id
            );
            self.violated(Rule::Agreement, what);
        }
    }

    /// A certificate of a block beside a resume decides for the branch of the block.
    pub(super) fn decide(&mut self, certificate: &Certificate) {
        let body = &certificate.body;
        let Some(from) = self.rivals.resumed.get(&body.era).copied() else {
            return;
        };
        let rival = self.rivals.blocks.get(&(body.era, body.height));
        if rival.is_none_or(|(rival, _)| rival.id != body.block) {
            return;
        }
        self.rivals.resumed.remove(&body.era);
        self.rivals.lost.extend(self.block_at(from));
        self.take_back(from);
        let height_max = Height(u64::MAX);
        let branch = self
            .rivals
            .blocks
            .range((body.era, from)..=(body.era, height_max));
        let branch: Vec<_> = branch.map(|(_, block)| block.clone()).collect();
        for (agreed, applied) in branch {
            self.supply.repeat();
            self.agreed.push(agreed);
            self.count_executions(&applied);
            if let Err(wrong) = self.slashing.check(&applied) {
                self.violated(Rule::Slashing, wrong);
            }
        }
    }
}
