//! The fork choice against one that looks at every branch.

use super::fixture::{CONFIG, ROOT, Tree, id, number};
use super::*;
use proptest::prelude::*;

const BLOCKS: usize = 40;

const TIE_BREAKS: [TieBreak; 2] = [TieBreak::KeepHead, TieBreak::LowerId];

/// A random tree: every block on an earlier one, mostly a late one, with ids in no relation to the order.
fn universe() -> impl Strategy<Value = Vec<ForkEntry>> {
    let block = (any::<prop::sample::Index>(), 0..4_usize, 0..10_u8);
    let ids = Just((1..=BLOCKS as u16).collect::<Vec<_>>()).prop_shuffle();
    (prop::collection::vec(block, 1..BLOCKS), ids).prop_map(|(blocks, ids)| {
        let mut entries = vec![ROOT];
        for ((anywhere, back, next_era), number) in blocks.into_iter().zip(ids) {
            let late = entries.len().saturating_sub(1 + back);
            let parent = if back == 3 {
                anywhere.index(entries.len())
            } else {
                late
            };
            let parent = entries[parent];
            entries.push(ForkEntry {
                id: id(number),
                parent: parent.id,
                height: parent.height.next(),
                era: parent.era.plus(u64::from(next_era == 0)),
            });
        }
        entries.split_off(1)
    })
}

/// What the fork database is told.
#[derive(Clone, Debug)]
enum Told {
    Block(ForkEntry),
    Certificate(ForkEntry),
    Void(ForkEntry, Era),
}

/// A tree and what is told of it, in a random order.
fn story() -> impl Strategy<Value = Vec<Told>> {
    let pick = any::<prop::sample::Index>;
    let certified = prop::collection::vec(pick(), 0..5);
    let void = prop::option::weighted(0.4, (pick(), 2..4_u64));
    (universe(), certified, void)
        .prop_map(|(blocks, certified, void)| {
            let certified = certified
                .iter()
                .map(|one| Told::Certificate(blocks[one.index(blocks.len())]));
            let void = void.map(|(one, era)| Told::Void(blocks[one.index(blocks.len())], Era(era)));
            let told = blocks.iter().copied().map(Told::Block);
            told.chain(certified).chain(void).collect::<Vec<_>>()
        })
        .prop_shuffle()
}

fn tell(forks: &mut ForkDatabase, told: &Told) {
    match told {
        Told::Block(entry) => {
            let inserted = forks.insert(*entry);
            let kept = matches!(
                inserted,
                Inserted::Linked { .. } | Inserted::Unlinked { .. }
            );
            assert!(kept, "{entry:?}: {inserted:?}");
        }
        Told::Certificate(entry) => {
            forks.certify(entry.height, entry.id);
        }
        Told::Void(anchor, era) => {
            forks.void_above(anchor.height, anchor.id, *era);
        }
    }
}

/// The part of what was told that hangs together with the root.
fn tree(told: &[Told]) -> Tree {
    let mut tree = Tree {
        root: ROOT.id,
        blocks: BTreeMap::from([(ROOT.id, ROOT)]),
        certified: BTreeSet::new(),
        void_above: None,
    };
    for _ in told {
        for one in told {
            match one {
                Told::Block(entry) if tree.blocks.contains_key(&entry.parent) => {
                    tree.blocks.insert(entry.id, *entry);
                }
                Told::Block(_) => {}
                Told::Certificate(entry) => {
                    tree.certified.insert(entry.id);
                }
                Told::Void(anchor, era) => tree.void_above = Some((anchor.id, *era)),
            }
        }
    }
    tree
}

/// The contents of a fork database as the naive choice takes them.
fn contents(forks: &ForkDatabase) -> Tree {
    Tree {
        root: forks.root,
        blocks: forks
            .nodes
            .values()
            .map(|node| (node.entry.id, node.entry))
            .collect(),
        certified: forks
            .nodes
            .values()
            .filter(|node| node.certified)
            .map(|node| node.entry.id)
            .collect(),
        void_above: forks
            .voiding
            .map(|voiding| (voiding.anchor, voiding.from_era)),
    }
}

/// Everything that must hold of a fork database at any time.
fn check(forks: &ForkDatabase) {
    let tree = contents(forks);
    assert!(forks.len() <= forks.config.blocks_max);
    assert!(forks.unlinked_len() <= forks.config.unlinked_max);
    assert!(forks.certified_ahead.len() <= forks.config.unlinked_max);
    assert!(forks.rejected.len() <= forks.config.blocks_max + forks.config.unlinked_max);
    assert!(forks.contains(&forks.head) && forks.contains(&forks.root));
    for (id, node) in &forks.nodes {
        for child in &node.children {
            assert_eq!(forks.nodes[child].entry.parent, *id);
        }
        if *id != forks.root {
            let parent = &forks.nodes[&node.entry.parent];
            assert!(parent.children.contains(id));
            assert_eq!(parent.entry.height.next(), node.entry.height);
        }
        assert!(!forks.rejected.contains(id) && !forks.unlinked.contains(id));
        let leaf = node.children.is_empty() && *id != forks.root;
        assert_eq!(forks.leaves.contains(&node.leaf_key()), leaf);
        let place = (node.entry.height, *id);
        assert_eq!(forks.candidates.contains(&place), node.candidate);
        let above_head = *id != forks.head && tree.branch(id).contains(&forks.head);
        assert_eq!(forks.ahead.contains(&place), node.candidate && above_head);
        assert!(!forks.certified_ahead.contains(&place));
    }
    let leaves = forks.nodes.values().filter(|node| {
        let leaf = node.children.is_empty();
        leaf && node.entry.id != forks.root
    });
    assert_eq!(forks.leaves.len(), leaves.count());
    let certified: BTreeSet<_> = forks.certified.iter().map(|(_, id)| *id).collect();
    assert_eq!(certified, tree.counting());
    let candidates = forks.nodes.values().filter(|node| node.candidate).count();
    assert_eq!(forks.candidates.len(), candidates);
    assert!(
        forks
            .voiding
            .is_none_or(|voiding| forks.contains(&voiding.anchor))
    );
    let mut copy = forks.clone();
    for tie_break in TIE_BREAKS {
        copy.set_tie_break(tie_break);
        assert_eq!(copy.best(), tree.best(&forks.head, tie_break));
        check_plan(&copy, &tree);
    }
}

/// A plan leads from the head to the best block, and takes back no certified one.
fn check_plan(forks: &ForkDatabase, tree: &Tree) {
    let counting = tree.counting();
    let plan = match forks.switch_plan() {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            assert_eq!(forks.best(), forks.head());
            return;
        }
        Err(ForkError::ContradictoryCertificates { applied, other }) => {
            assert!(tree.branch(&forks.head()).contains(&applied));
            assert!(!tree.branch(&other).contains(&applied));
            assert!(counting.contains(&applied) && counting.contains(&other));
            assert!(forks.contradiction().is_some());
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut at = tree.blocks[&forks.head()];
    for block in &plan.pop {
        assert_eq!(*block, (at.height, at.id));
        assert!(
            !counting.contains(&at.id),
            "a certified block is taken back"
        );
        at = tree.blocks[&at.parent];
    }
    assert_eq!(at.id, plan.common_ancestor);
    for block in &plan.apply {
        assert_eq!(tree.blocks[block].parent, at.id);
        at = tree.blocks[block];
    }
    assert_eq!(at.id, forks.best());
    let first = plan.apply.first();
    let last_popped = plan.pop.last().map(|(_, id)| id);
    assert!(first.is_none() || first != last_popped);
}

#[derive(Clone, Debug)]
enum Op {
    Insert(prop::sample::Index),
    /// A header that does not fit its parent.
    Misfit(prop::sample::Index, u16),
    Certify(prop::sample::Index),
    MarkInvalid(prop::sample::Index),
    Void(prop::sample::Index, u64),
    /// Follow the plan, as far as this many steps.
    Switch(usize),
    /// The next block of the universe that stands on the head becomes the head.
    Extend(prop::sample::Index),
    AdvanceRoot(prop::sample::Index),
    TieBreak(TieBreak),
}

fn op() -> impl Strategy<Value = Op> {
    let pick = any::<prop::sample::Index>;
    prop_oneof![
        12 => pick().prop_map(Op::Insert),
        1 => (pick(), 100..200_u16).prop_map(|(parent, number)| Op::Misfit(parent, number)),
        2 => pick().prop_map(Op::Certify),
        1 => pick().prop_map(Op::MarkInvalid),
        1 => (pick(), 2..5_u64).prop_map(|(anchor, era)| Op::Void(anchor, era)),
        3 => (1..20_usize).prop_map(Op::Switch),
        2 => pick().prop_map(Op::Extend),
        1 => pick().prop_map(Op::AdvanceRoot),
        1 => prop::sample::select(&TIE_BREAKS[..]).prop_map(Op::TieBreak),
    ]
}

fn misfit(parent: ForkEntry, number: u16) -> ForkEntry {
    ForkEntry {
        id: id(number),
        parent: parent.id,
        height: parent.height.plus(1 + u64::from(number % 2)),
        era: Era(parent.era.0 - u64::from(number.is_multiple_of(2))),
    }
}

fn apply(forks: &mut ForkDatabase, blocks: &[ForkEntry], op: &Op) {
    let pick = |one: &prop::sample::Index| blocks[one.index(blocks.len())];
    match op {
        Op::Insert(one) => {
            let entry = pick(one);
            let (certified, voiding) = (contents(forks).counting(), forks.voiding);
            let inserted = forks.insert(entry);
            // An anchor that was awaited may have come, and made certificates void.
            let kept = certified.iter().all(|id| forks.contains(id));
            assert!(
                kept || forks.voiding != voiding,
                "a certified block made room"
            );
            if let Inserted::Linked { also, dropped } = inserted {
                assert!(forks.contains(&entry.id));
                assert!(also.iter().all(|id| forks.contains(id)));
                assert!(dropped.iter().all(|(_, id)| !forks.contains(id)));
            }
        }
        Op::Misfit(parent, number) => {
            let entry = misfit(pick(parent), *number);
            forks.insert(entry);
            assert!(!forks.contains(&entry.id));
        }
        Op::Certify(one) => {
            let entry = pick(one);
            forks.certify(entry.height, entry.id);
        }
        Op::MarkInvalid(one) => mark_invalid(forks, pick(one)),
        Op::Void(one, era) => {
            let anchor = pick(one);
            forks.void_above(anchor.height, anchor.id, Era(*era));
        }
        Op::Switch(steps) => follow(forks, *steps),
        Op::Extend(one) => {
            let entry = pick(one);
            if entry.parent == forks.head()
                && !matches!(
                    forks.insert(entry),
                    Inserted::Rejected { .. } | Inserted::Full
                )
            {
                forks.set_head(entry.id).expect("it is in the tree");
            }
        }
        Op::AdvanceRoot(one) => {
            let entry = pick(one);
            let before = forks.clone();
            match forks.advance_root(entry.id) {
                Ok(pruned) => check_advance(&before, forks, &pruned),
                Err(_) => assert_eq!(format!("{before:?}"), format!("{forks:?}")),
            }
        }
        Op::TieBreak(tie_break) => forks.set_tie_break(*tie_break),
    }
}

/// What is rejected leaves and does not come back.
fn mark_invalid(forks: &mut ForkDatabase, entry: ForkEntry) {
    let Ok(dropped) = forks.mark_invalid(entry.id) else {
        return;
    };
    assert!(dropped.iter().all(|(_, id)| !forks.contains(id)));
    let again = if entry.cannot_link(forks.root_height, &forks.root) {
        Inserted::BelowRoot
    } else {
        Inserted::Rejected {
            dropped: Vec::new(),
        }
    };
    assert_eq!(forks.insert(entry), again);
}

/// Follows the plan; the head is anywhere on the way if the steps do not suffice, as after a crash.
fn follow(forks: &mut ForkDatabase, steps: usize) {
    let Ok(Some(plan)) = forks.switch_plan() else {
        return;
    };
    let down = plan
        .pop
        .iter()
        .map(|(_, id)| forks.get(id).expect("in the tree").parent);
    let way: Vec<BlockId> = down.chain(plan.apply.iter().copied()).take(steps).collect();
    for id in way {
        forks.set_head(id).expect("a plan names blocks of the tree");
    }
}

fn check_advance(before: &ForkDatabase, after: &ForkDatabase, pruned: &[(Height, BlockId)]) {
    let old = contents(before);
    let path = old.branch(&after.root);
    for id in old.blocks.keys() {
        let stands_on_root = old.branch(id).contains(&after.root);
        assert_eq!(after.contains(id), stands_on_root);
        let returned = pruned.iter().any(|(_, pruned)| pruned == id);
        assert_eq!(returned, !stands_on_root && !path.contains(id));
    }
    assert!(after.unlinked_len() <= before.unlinked_len());
}

fn small_config() -> impl Strategy<Value = ForkConfig> {
    (3..30_usize, 0..10_usize, 0..10_u64).prop_map(
        |(blocks_max, unlinked_max, unlinked_gap_max)| ForkConfig {
            blocks_max,
            unlinked_max,
            unlinked_gap_max,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order in which blocks, certificates and governance arrive.
    #[test]
    fn the_best_branch_is_the_one_found_by_looking(
        story in story(),
        head in any::<prop::sample::Index>(),
    ) {
        let mut forks = ForkDatabase::new(ROOT, CONFIG, TieBreak::KeepHead);
        for (count, told) in story.iter().enumerate() {
            tell(&mut forks, told);
            let known = tree(&story[..=count]);
            prop_assert_eq!(forks.len() + 1, known.blocks.len());
            prop_assert_eq!(forks.best(), known.best(&ROOT.id, TieBreak::KeepHead));
        }
        prop_assert_eq!(forks.unlinked_len(), 0);
        let known = tree(&story);
        let heads: Vec<BlockId> = known.blocks.keys().copied().collect();
        forks.set_head(heads[head.index(heads.len())]).expect("it is in the tree");
        for tie_break in TIE_BREAKS {
            forks.set_tie_break(tie_break);
            prop_assert_eq!(forks.best(), known.best(&forks.head(), tie_break));
        }
        check(&forks);
    }

    #[test]
    fn everything_holds_after_every_operation_within_small_limits(
        config in small_config(),
        blocks in universe(),
        ops in prop::collection::vec(op(), 1..150),
    ) {
        let mut forks = ForkDatabase::new(ROOT, config, TieBreak::KeepHead);
        for op in &ops {
            apply(&mut forks, &blocks, op);
            check(&forks);
        }
    }

    /// A plan that is followed whole ends at the best block, and then there is nothing more to do.
    #[test]
    fn a_switch_arrives(story in story(), head in any::<prop::sample::Index>(), lower_id in any::<bool>()) {
        let tie_break = if lower_id { TieBreak::LowerId } else { TieBreak::KeepHead };
        let mut forks = ForkDatabase::new(ROOT, CONFIG, tie_break);
        for told in &story {
            tell(&mut forks, told);
        }
        let heads: Vec<BlockId> = forks.nodes.keys().copied().collect();
        forks.set_head(heads[head.index(heads.len())]).expect("it is in the tree");
        let best = forks.best();
        let contradiction = forks.switch_plan().is_err();
        follow(&mut forks, usize::MAX);
        if contradiction {
            prop_assert_eq!(forks.head(), heads[head.index(heads.len())]);
        } else {
            prop_assert_eq!(forks.head(), best, "{} is the best, the head is {}", number(&best), number(&forks.head()));
            prop_assert_eq!(forks.switch_plan(), Ok(None));
        }
    }
}
