//! Blocks that a resume stands against: which of the two branches holds is decided by certificates.

use super::{Agreed, Oracle, Rule};
use crate::disk::Tables;
use holdfast_chain::{AppliedBlock, ChainStore as _};
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

    /// Whether a resume comes after another order of the same halt was certified: who has not heard of that carries out what it was told,
    /// until it does. Where the certificate is, nothing else may be applied.
    pub(super) fn has_lost(&mut self, now: &Agreed, tables: &Tables) -> bool {
        let certified = self.certified.get(&now.height);
        let excludes = certified.is_some_and(|certified| *certified != now.id);
        let knows = tables.certified_height().expect("the state reads") >= now.height;
        if excludes && !knows {
            self.rivals.lost.insert(now.id);
        }
        excludes && !knows
    }

    /// A certificate of a block beside a resume decides for the branch of the block.
    pub(super) fn decide(&mut self, certificate: &Certificate) {
        let body = &certificate.body;
        // One of a block below the resume says nothing of it, whoever shows it again.
        let resumed = self.rivals.resumed.get(&body.era).copied();
        let Some(from) = resumed.filter(|from| body.height >= *from) else {
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
