//! Random walks: any order of steps keeps the promises.

use super::Harness;
use super::builder::{Builder, certificate};
use super::scenarios::Pair;
use super::transaction;
use holdfast_chain::{AppliedBlock, ChainBatch, ChainStore};
use holdfast_types::test_util::Sampler;
use holdfast_types::{BlockId, Height};

/// Walks `steps` random steps; the same seed gives the same walk.
pub fn random_walk<H: Harness>(harness: &H, seed: u64, steps: usize) {
    let mut walk = Walk {
        pair: Pair::new(harness, None),
        sampler: Sampler::new("contract walk", seed),
        builders: Vec::new(),
        branches: 0,
    };
    walk.builders.push(walk.pair.builder.clone());
    for _ in 0..steps {
        walk.step();
    }
}

struct Walk<'a, H: Harness> {
    pair: Pair<'a, H>,
    sampler: Sampler,
    /// The builder after each block of the applied branch, genesis first.
    builders: Vec<Builder>,
    branches: u64,
}

impl<H: Harness> Walk<'_, H> {
    fn step(&mut self) {
        match self.sampler.below(10) {
            0 => self.pair.restart(),
            1 | 2 => {
                let batch = self.switch();
                self.pair.apply(batch);
            }
            3 => {
                let batch = self.fork();
                self.pair.apply(batch);
            }
            4 => {
                let height = self.height(self.head());
                self.pair.apply(ChainBatch {
                    irreversible: Some(height),
                    prune_undo_below: Some(height.minus(u64::from(self.sampler.below(20)))),
                    ..ChainBatch::default()
                });
            }
            5 => {
                let height = self.height(self.head());
                let id = self.id_at(height);
                self.pair.apply(ChainBatch {
                    certificates: vec![certificate(height, id)],
                    ..ChainBatch::default()
                });
            }
            _ => {
                let count = 1 + self.sampler.below(6) as usize;
                let apply = self.blocks(count);
                let irreversible = (self.sampler.below(3) == 0).then(|| self.height(self.head()));
                self.pair.apply(ChainBatch {
                    apply,
                    irreversible,
                    ..ChainBatch::default()
                });
            }
        }
    }

    fn head(&self) -> Height {
        Height(self.builders.len() as u64 - 1)
    }

    /// A height up to `to`, mostly near it.
    fn height(&mut self, to: Height) -> Height {
        to.minus(u64::from(self.sampler.below(12)))
    }

    fn id_at(&self, height: Height) -> BlockId {
        let index = usize::try_from(height.0).expect("walks are short");
        self.builders[index].head().expect("it has built a block").1
    }

    /// The next blocks of the applied branch.
    fn blocks(&mut self, count: usize) -> Vec<AppliedBlock> {
        let mut blocks = Vec::with_capacity(count);
        for _ in 0..count {
            let mut builder = self.builders.last().expect("genesis is there").clone();
            let transactions: Vec<_> = (0..self.sampler.below(3))
                .map(|_| transaction(u64::from(self.sampler.below(40))))
                .collect();
            blocks.push(builder.block(&transactions));
            self.builders.push(builder);
        }
        blocks
    }

    /// Pops some blocks, perhaps none, and goes on with another branch.
    fn switch(&mut self) -> ChainBatch {
        // Below the lowest undo record nothing can be popped.
        let mut pop = Vec::new();
        for _ in 0..self.sampler.below(8) {
            let head = self.head();
            let undo = self
                .pair
                .model
                .undo(head)
                .expect("the model reads from memory");
            if head == Height::ZERO || undo.is_none() {
                break;
            }
            pop.push((head, self.id_at(head)));
            self.builders.pop();
        }
        self.branches += 1;
        let last = self.builders.last_mut().expect("genesis is never popped");
        *last = last.branch(self.branches);
        let count = self.sampler.below(5) as usize;
        ChainBatch {
            pop,
            apply: self.blocks(count),
            ..ChainBatch::default()
        }
    }

    /// Puts a block of another branch into the fork database, or drops one from it.
    fn fork(&mut self) -> ChainBatch {
        let mut batch = ChainBatch::default();
        let forks = self
            .pair
            .model
            .fork_blocks()
            .expect("the model reads from memory");
        let droppable: Vec<_> = forks
            .iter()
            .map(|(id, block)| (block.header.height, *id))
            .filter(|(height, id)| self.pair.model.block_id_at(*height) != Ok(Some(*id)))
            .collect();
        if !droppable.is_empty() && self.sampler.below(2) == 0 {
            batch.remove_forks = vec![*self.sampler.pick(&droppable)];
            return batch;
        }
        let parent = self.height(self.head());
        self.branches += 1;
        let index = usize::try_from(parent.0).expect("walks are short");
        let block = self.builders[index].branch(self.branches).block(&[]);
        batch.insert_forks = vec![(block.id, block.block)];
        batch
    }
}
