//! Random trees of branches against executing the best one from genesis on.

use super::ChainError;
use super::fixture::{Commit, Node, assert_same_branch, certificate, transfer};
use crate::forks::ForkEntry;
use crate::forks::TieBreak;
use crate::forks::fixture::Tree;
use crate::store::ChainStore;
use holdfast_types::{Block, BlockId, Height};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A block of the tree: its parent among those before it, and what it brings.
#[derive(Clone, Debug)]
struct Growth {
    /// How many blocks before it its parent is.
    back: usize,
    pays: u64,
    ends_era: bool,
}

#[derive(Clone, Debug)]
enum Event {
    /// The peer's branch up to this block arrives, as far as it is not here.
    Branch(prop::sample::Index),
    Certificate(prop::sample::Index),
    Restart,
    /// This node makes a block itself, which nobody else has.
    Own,
}

fn growth() -> impl Strategy<Value = Growth> {
    // Mostly a branch goes on: it was left two blocks ago by the one that grows beside it.
    let back = prop_oneof![4 => Just(0_usize), 3 => Just(1), 2 => Just(2), 1 => 3..8_usize];
    (back, 0..4_u64, prop::bool::weighted(0.15)).prop_map(|(back, pays, ends_era)| Growth {
        back,
        pays,
        ends_era,
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any::<prop::sample::Index>().prop_map(Event::Branch),
        2 => any::<prop::sample::Index>().prop_map(Event::Certificate),
        1 => Just(Event::Restart),
        1 => Just(Event::Own),
    ]
}

/// All blocks that there are, each with a node that has executed its branch and nothing else.
struct World {
    root: Node,
    nodes: BTreeMap<BlockId, Node>,
    order: Vec<BlockId>,
}

impl World {
    fn new(growths: &[Growth]) -> Self {
        let mut root = Node::new();
        root.order(Commit::new(1));
        root.order(Commit::new(2).that_supports_the_head());
        root.order(Commit::new(3).that_supports_the_head());
        let base = root.head().1;
        let mut world = Self {
            nodes: BTreeMap::from([(base, root.clone())]),
            order: vec![base],
            root,
        };
        for (round, growth) in (10..).zip(growths) {
            let last = world.order.len() - 1;
            let parent = world.order[last.saturating_sub(growth.back)];
            // No branch gets above the end of an era by more than that block: it would be irreversible.
            world.grow(parent, commit(round, growth));
        }
        world
    }

    fn grow(&mut self, parent: BlockId, commit: Commit) -> BlockId {
        let mut node = self.nodes[&parent].clone();
        let nonce = node.head().0.0;
        let transactions: Vec<_> = (0..commit.transactions.len() as u64)
            .map(|number| transfer(nonce + number, "bob", commit.round + number))
            .collect();
        let (id, _) = node.order(commit.with(&transactions));
        if self.nodes.insert(id, node).is_none() {
            self.order.push(id);
        }
        id
    }

    fn block(&self, id: &BlockId) -> (BlockId, Block) {
        let node = &self.nodes[id];
        node.block_at(node.head().0)
    }

    /// The blocks of the branch of `tip` that `here` lacks, lowest first.
    fn missing(&self, tip: &BlockId, here: &BTreeMap<BlockId, ForkEntry>) -> Vec<(BlockId, Block)> {
        let mut missing = Vec::new();
        let mut next = *tip;
        while !here.contains_key(&next) {
            let block = self.block(&next);
            next = block.1.header.parent;
            missing.push(block);
        }
        missing.reverse();
        missing
    }
}

fn commit(round: u64, growth: &Growth) -> Commit {
    let pays: Vec<_> = (0..growth.pays)
        .map(|nonce| transfer(nonce, "bob", 1))
        .collect();
    let commit = Commit::new(round).with(&pays);
    if growth.ends_era {
        commit.that_ends_the_era()
    } else {
        commit
    }
}

/// What the node must have been told.
struct Expected {
    tree: Tree,
    head: BlockId,
}

impl Expected {
    fn entry(world: &World, id: &BlockId) -> ForkEntry {
        let (id, block) = world.block(id);
        ForkEntry::of(id, &block.header)
    }

    fn add(&mut self, blocks: &[(BlockId, Block)]) {
        for (id, block) in blocks {
            self.tree
                .blocks
                .insert(*id, ForkEntry::of(*id, &block.header));
        }
    }

    /// Whether two certified blocks that are here exclude each other.
    fn is_contradictory(&self) -> bool {
        let certified: Vec<_> = self.certified_here().collect();
        certified.iter().any(|tip| {
            let branch = self.tree.branch(tip);
            certified.iter().any(|other| {
                self.tree.blocks[other].height <= self.tree.blocks[tip].height
                    && !branch.contains(other)
            })
        })
    }

    fn certified_here(&self) -> impl Iterator<Item = BlockId> {
        let here = |id: &&BlockId| self.tree.blocks.contains_key(id);
        self.tree.certified.iter().filter(here).copied()
    }

    /// Whether a certificate that awaits its block is for another one than `id` of the same height and era.
    fn awaits_other(&self, world: &World, id: &BlockId) -> bool {
        let own = Self::entry(world, id);
        let mut awaited = self
            .tree
            .certified
            .iter()
            .filter(|id| !self.tree.blocks.contains_key(id));
        awaited.any(|id| {
            let other = Self::entry(world, id);
            (other.height, other.era) == (own.height, own.era)
        })
    }

    /// Goes where the rules of the choice lead, and to the root that LIB of that branch gives.
    fn settle(&mut self, world: &World) {
        self.head = self.tree.best(&self.head, TieBreak::KeepHead);
        let lib = world.nodes[&self.head].chain.irreversible();
        let root = self.tree.branch(&self.head).into_iter().find(|id| {
            let height = self.tree.blocks[id].height;
            height == lib
        });
        if let Some(root) = root {
            self.prune(root);
        }
    }

    fn prune(&mut self, root: BlockId) {
        let kept: BTreeSet<BlockId> = self
            .tree
            .blocks
            .keys()
            .filter(|id| self.tree.branch(id).contains(&root))
            .copied()
            .collect();
        self.tree.root = root;
        self.tree.blocks.retain(|id, _| kept.contains(id));
    }
}

/// Whether rule C9 stops the node when this certificate comes.
fn is_refused(node: &Node, block: &(BlockId, Block)) -> bool {
    let (id, block) = block;
    let height = block.header.height;
    let ours = node.store.block_id_at(height).expect("it reads");
    let Some(ours) = ours.filter(|ours| ours != id) else {
        return false;
    };
    let (_, our_block) = node.block_at(height);
    assert_eq!(our_block.header.id(&holdfast_types::test_util::CHAIN), ours);
    let certified = node.chain.certified() >= height;
    certified || our_block.header.era == block.header.era || height <= node.chain.irreversible()
}

/// Tells the node one thing; false if it rightly stops.
fn tell(node: &mut Node, world: &mut World, expected: &mut Expected, event: &Event) -> bool {
    let outcome = match event {
        Event::Branch(pick) => {
            let tip = *pick.get(&world.order);
            if !leads_to(world, &tip, expected) {
                return true;
            }
            let blocks = world.missing(&tip, &expected.tree.blocks);
            let mut outcome = Ok(Vec::new());
            for block in blocks {
                if !expected.tree.blocks.contains_key(&block.1.header.parent) {
                    break;
                }
                expected.add(std::slice::from_ref(&block));
                outcome = node.offer(&[block]);
                if outcome.is_err() || expected.is_contradictory() {
                    break;
                }
                expected.settle(world);
            }
            outcome
        }
        Event::Certificate(pick) => {
            let block = world.block(pick.get(&world.order));
            if block.1.header.height <= expected.tree.blocks[&expected.tree.root].height {
                return true;
            }
            let refused = is_refused(node, &block);
            expected.tree.certified.insert(block.0);
            let outcome = node.certify(certificate(&block));
            assert!(!refused || outcome.is_err(), "{outcome:?}");
            if refused {
                return false;
            }
            outcome
        }
        Event::Restart => {
            // Certificates whose block is not here are not stored: peers give them again.
            let here: BTreeSet<_> = expected.certified_here().collect();
            expected.tree.certified = here;
            node.reopen();
            node.choose()
        }
        Event::Own => {
            let head = node.head().1;
            let round = 1_000 + world.order.len() as u64;
            let id = world.grow(head, Commit::new(round));
            let own = node.try_order(Commit::new(round));
            if expected.awaits_other(world, &id) {
                let error = own.expect_err("a quorum made another block of this commit");
                assert!(matches!(error, ChainError::Diverged { .. }), "{error:?}");
                return false;
            }
            expected.add(&[world.block(&id)]);
            own.map(|step| vec![step])
        }
    };
    if expected.is_contradictory() {
        let error = outcome.expect_err("certified blocks exclude each other");
        assert!(
            matches!(error, ChainError::ContradictoryCertificates { .. }),
            "{error:?}"
        );
        return false;
    }
    for step in outcome.expect("nothing contradicts itself") {
        assert!(step.rejected.is_empty());
    }
    true
}

/// Whether the branch of `tip` stands on a block that is here.
fn leads_to(world: &World, tip: &BlockId, expected: &Expected) -> bool {
    let mut next = *tip;
    loop {
        if expected.tree.blocks.contains_key(&next) {
            return true;
        }
        let (_, block) = world.block(&next);
        if block.header.height <= Height(3) {
            return false;
        }
        next = block.header.parent;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn after_every_step_the_store_is_that_of_the_best_branch_alone(
        growths in prop::collection::vec(growth(), 4..14),
        events in prop::collection::vec(event(), 4..16),
    ) {
        let mut world = World::new(&growths);
        let mut node = world.root.clone();
        let root = node.block_at(node.chain.irreversible());
        let head = node.head().1;
        let mut expected = Expected {
            tree: Tree {
                root: root.0,
                blocks: BTreeMap::from([
                    (root.0, ForkEntry::of(root.0, &root.1.header)),
                    (head, Expected::entry(&world, &head)),
                ]),
                certified: BTreeSet::new(),
                void_above: None,
            },
            head,
        };
        for event in &events {
            if !tell(&mut node, &mut world, &mut expected, event) {
                // What it had applied it still has.
                let before = world.nodes[&node.head().1].store.clone();
                assert_same_branch(&node.store, &before);
                break;
            }
            expected.settle(&world);
            prop_assert_eq!(node.head().1, expected.head);
            prop_assert_eq!(node.chain.forks().root().1, expected.tree.root);
            assert_same_branch(&node.store, &world.nodes[&expected.head].store);
            prop_assert_eq!(node.chain.era(), world.nodes[&expected.head].chain.era());
            prop_assert_eq!(
                node.chain.position.last_commit,
                world.nodes[&expected.head].chain.position.last_commit
            );
            let mut known: Vec<_> = expected.tree.blocks.keys().copied().collect();
            known.retain(|id| *id != expected.tree.root);
            let mut forks: Vec<_> = node.store.fork_blocks().expect("it reads").into_iter().map(|(id, _)| id).collect();
            forks.sort_unstable();
            prop_assert_eq!(forks, known);
        }
    }
}
