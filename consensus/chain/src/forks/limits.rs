//! What hostile or useless blocks cost: room, and no more of it than there is.

use super::fixture::{CONFIG, ROOT, certify, entries, id, insert_all, planted};
use super::*;

const JUNK: u32 = 100_000;

fn junk_id(number: u32) -> BlockId {
    let mut bytes = [0xff; 32];
    bytes[8..12].copy_from_slice(&number.to_be_bytes());
    BlockId::new(bytes)
}

/// A head that goes on while junk comes, at every tenth piece.
fn flood(mut junk: impl FnMut(u32, &ForkEntry) -> ForkEntry) -> ForkDatabase {
    let mut forks = planted("1<0 2<1");
    let mut head = entries("1<0 2<1")[1];
    forks.set_head(head.id).expect("it is in the tree");
    for number in 0..JUNK {
        forks.insert(junk(number, &head));
        assert!(forks.len() <= CONFIG.blocks_max);
        assert!(forks.unlinked_len() <= CONFIG.unlinked_max);
        if number % 10 == 0 {
            head = ForkEntry {
                id: id(u16::try_from(10 + number / 10).expect("it is small")),
                parent: head.id,
                height: head.height.next(),
                era: Era(1),
            };
            assert!(matches!(forks.insert(head), Inserted::Linked { .. }));
            forks.set_head(head.id).expect("it is in the tree");
            assert_eq!(forks.switch_plan(), Ok(None));
            if number % 500 == 0 {
                forks.certify(head.height, head.id);
                forks.advance_root(head.id).expect("it is applied");
            }
        }
    }
    forks
}

#[test]
fn junk_beside_the_head_does_not_stop_it() {
    flood(|number, head| ForkEntry {
        id: junk_id(number),
        parent: head.parent,
        height: head.height,
        era: Era(1),
    });
}

#[test]
fn junk_without_parents_does_not_stop_the_head() {
    flood(|number, head| ForkEntry {
        id: junk_id(number),
        parent: junk_id(number / 2),
        height: head.height.minus(20).plus(u64::from(number % 100)),
        era: Era(1),
    });
}

#[test]
fn junk_that_does_not_fit_its_parent_does_not_stop_the_head() {
    let forks = flood(|number, head| ForkEntry {
        id: junk_id(number),
        parent: head.id,
        height: head.height.next(),
        era: Era(0),
    });
    assert_eq!(forks.len(), 49);
}

#[test]
fn a_void_branch_that_grows_pushes_out_nothing_and_makes_room() {
    let mut forks = planted("");
    forks.void_above(ROOT.height, ROOT.id, Era(2));
    let mut parent = ROOT;
    for number in 0..JUNK {
        let entry = ForkEntry {
            id: junk_id(number),
            parent: parent.id,
            height: parent.height.next(),
            era: Era(1),
        };
        if matches!(forks.insert(entry), Inserted::Linked { .. }) {
            parent = entry;
        }
    }
    assert_eq!(forks.len(), CONFIG.blocks_max);
    assert_eq!(forks.best(), ROOT.id);
    for entry in entries("1<0@2 2<1 3<2 4<1") {
        assert!(matches!(forks.insert(entry), Inserted::Linked { .. }));
    }
    assert_eq!(forks.best(), id(3));
    assert_eq!(forks.len(), CONFIG.blocks_max);
}

#[test]
fn a_tree_full_of_its_own_head_takes_no_more() {
    let mut forks = small(3, "");
    let chain = entries("1<0 2<1 3<2 4<3");
    for entry in &chain[..3] {
        forks.insert(*entry);
        forks.set_head(entry.id).expect("it is in the tree");
    }
    assert_eq!(forks.insert(chain[3]), Inserted::Full);
    forks.advance_root(id(1)).expect("it is applied");
    assert!(matches!(forks.insert(chain[3]), Inserted::Linked { .. }));
}

#[test]
fn room_is_made_by_what_cannot_be_chosen_then_by_the_lowest() {
    let mut forks = small(5, "1<0 2<1 3<0 4<3 5<1");
    let blocks = entries("1<0 2<1 3<0 4<3 5<1 6<1 7<2 8<7");
    forks.set_head(id(2)).expect("it is in the tree");
    certify(&mut forks, 1);
    let dropped = |inserted| match inserted {
        Inserted::Linked { dropped, .. } => dropped,
        other => panic!("{other:?}"),
    };
    // Block 6 is no higher than any leaf that can be chosen, but 4 cannot be chosen.
    assert_eq!(dropped(forks.insert(blocks[5])), [(Height(12), id(4))]);
    assert_eq!(dropped(forks.insert(blocks[6])), [(Height(11), id(3))]);
    assert_eq!(dropped(forks.insert(blocks[7])), [(Height(12), id(5))]);
    // It is as low as the leaf that would go, and nothing stands on it.
    assert_eq!(forks.insert(blocks[4]), Inserted::Full);
}

fn small(blocks_max: usize, text: &str) -> ForkDatabase {
    let config = ForkConfig {
        blocks_max,
        ..CONFIG
    };
    let mut forks = ForkDatabase::new(ROOT, config, TieBreak::KeepHead);
    insert_all(&mut forks, &entries(text));
    forks
}

#[test]
fn the_next_block_of_the_head_gets_room_from_a_higher_branch() {
    let mut forks = small(5, "1<0 2<0 3<2 4<3 5<3");
    forks.set_head(id(1)).expect("it is in the tree");
    assert_eq!(
        forks.insert(entries("1<0 6<1")[1]),
        Inserted::Linked {
            also: vec![],
            dropped: vec![(Height(13), id(5))]
        }
    );
}

#[test]
fn a_certified_block_makes_no_room_even_if_it_cannot_be_chosen() {
    let mut forks = small(3, "1<0 2<1 3<0");
    certify(&mut forks, 2);
    certify(&mut forks, 3);
    assert_eq!(forks.insert(entries("1<0 2<1 4<2")[2]), Inserted::Full);
}

#[test]
fn a_block_whose_parent_made_room_waits_again_and_is_not_rejected() {
    let mut forks = small(6, "8<0 9<8 10<9");
    let blocks = entries("1<0 2<1 3<2 4<1 5<4");
    for entry in &blocks[1..] {
        forks.insert(*entry);
    }
    assert_eq!(
        forks.insert(blocks[0]),
        Inserted::Linked {
            also: vec![id(4), id(5)],
            dropped: vec![(Height(12), id(2)), (Height(13), id(3))]
        }
    );
    assert_eq!(
        forks.insert(blocks[2]),
        Inserted::Unlinked { dropped: None }
    );
}

#[test]
fn a_certificate_outlives_the_place_of_its_void_block() {
    let mut forks = small(4, "1<0 2<1 3<0");
    certify(&mut forks, 2);
    forks.void_above(Height(10), id(0), Era(2));
    insert_all(&mut forks, &entries("4<0@2 5<4 6<4"));
    assert!(!forks.contains(&id(2)) && forks.contains(&id(1)));
    // A later decision starts from just this block.
    assert_eq!(
        forks.void_above(Height(12), id(2), Era(3)),
        Voiding::AwaitsAnchor
    );
    insert_all(&mut forks, &entries("1<0 2<1")[1..]);
    assert_eq!(forks.highest_certified(), Some((Height(12), id(2))));
    assert_eq!(forks.best(), id(2));
}

#[test]
fn rejected_ids_and_early_certificates_are_bounded() {
    let mut forks = planted("");
    for number in 0..JUNK {
        let junk = junk_id(number);
        forks.certify(Height(20 + u64::from(number)), junk);
        assert!(forks.certified_ahead.len() <= CONFIG.unlinked_max);
    }
    // The highest certificates stay.
    assert!(
        forks
            .certified_ahead
            .contains(&(Height(19 + u64::from(JUNK)), junk_id(JUNK - 1)))
    );
    for number in 0..JUNK {
        assert_eq!(forks.mark_invalid(junk_id(JUNK + number)), Ok(vec![]));
    }
    assert_eq!(
        forks.rejected.len(),
        CONFIG.blocks_max + CONFIG.unlinked_max
    );
}
