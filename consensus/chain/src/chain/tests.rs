//! Branches of real blocks: what wins, what is refused, and what is left of it.

mod certificates;
mod database;
mod emergency;
mod ends;
mod governance;
mod locked_below;
mod recovery;
mod resume;
mod resume_in_emergency;
mod resume_random;
mod switching;
mod unwinding;
mod votes;

use super::assembly::BlockMaker;
use super::fixture::{
    Commit, Node, assert_same_branch, certificate, certificate_in, equivocation, transfer,
};
use super::{ChainError, ResumeRefusal, Step, UNLINKED_MAX};
use crate::forks::{ForkDatabase, ForkError};
use crate::store::{ChainBatch, ChainStore};
use holdfast_types::test_util::parameters::{EPOCH_MS, GOVERNOR_KEY, governed};
use holdfast_types::test_util::{CHAIN, key_pair, validator_account};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, Block, BlockId, BlockOrigin, Certificate,
    CommitDigest, Era, EraContext, Event, Evidence, GovernanceAction, GovernanceError,
    GovernanceMessage, Height, ResumeOrder, StateRoot, TimestampMs, TransactionId,
};

type Blocks = Vec<(BlockId, Block)>;

/// A node of three blocks, the last irreversible one of them the second.
fn trunk() -> Node {
    let mut node = Node::new();
    for round in 1..=3 {
        let commit = Commit::new(round).with(&[transfer(round - 1, "bob", 5)]);
        node.order(commit.that_supports_the_head());
    }
    node
}

fn grow(node: &mut Node, commits: impl IntoIterator<Item = Commit>) -> Blocks {
    let commits = commits.into_iter();
    commits.map(|commit| node.order(commit)).collect()
}

/// `count` commits that differ from those of other rounds.
fn plain(from_round: u64, count: u64) -> impl Iterator<Item = Commit> {
    (from_round..from_round + count).map(Commit::new)
}

fn ids(blocks: &[(BlockId, Block)]) -> Vec<BlockId> {
    blocks.iter().map(|(id, _)| *id).collect()
}

fn popped(step: &Step) -> Vec<BlockId> {
    step.batch.pop.iter().map(|(_, id)| *id).collect()
}

fn applied(step: &Step) -> Vec<BlockId> {
    step.batch.apply.iter().map(|applied| applied.id).collect()
}

fn fork_ids(node: &Node) -> Vec<BlockId> {
    let forks = node.store.fork_blocks().expect("it reads");
    ids(&forks)
}

/// A block with the header of `block` but for the state root.
fn corrupted(block: &(BlockId, Block)) -> (BlockId, Block) {
    let mut block = block.1.clone();
    block.header.state_root = StateRoot::new([9; 32]);
    (block.header.id(&CHAIN), block)
}

fn on(parent: BlockId, block: &(BlockId, Block)) -> (BlockId, Block) {
    let mut block = block.1.clone();
    block.header.parent = parent;
    (block.header.id(&CHAIN), block)
}
