use super::fixture::{CONFIG, ROOT, certify, entries, id, insert_all, planted};
use super::*;

fn on_head(text: &str, head: u16) -> ForkDatabase {
    let mut forks = planted(text);
    forks.set_head(id(head)).expect("it is in the tree");
    forks
}

fn plan(common_ancestor: u16, pop: &[(u64, u16)], apply: &[u16]) -> SwitchPlan {
    SwitchPlan {
        common_ancestor: id(common_ancestor),
        pop: pop
            .iter()
            .map(|(height, number)| (Height(*height), id(*number)))
            .collect(),
        apply: apply.iter().map(|number| id(*number)).collect(),
    }
}

mod rule_0 {
    use super::*;

    #[test]
    fn a_new_era_voids_what_older_eras_put_above_its_anchor() {
        let mut forks = on_head("1<0 2<1 3<2 4<3 5<1@2", 4);
        assert_eq!(certify(&mut forks, 3), Certified::Counts);
        assert_eq!(forks.best(), id(4));
        assert_eq!(
            forks.void_above(Height(11), id(1), Era(2)),
            Voiding::Applied
        );
        assert_eq!(forks.best(), id(5));
        assert!(forks.is_void(&id(3)) && !forks.is_void(&id(5)));
        assert_eq!(forks.highest_certified(), None);
        assert_eq!(
            forks.switch_plan(),
            Ok(Some(plan(1, &[(14, 4), (13, 3), (12, 2)], &[5])))
        );
    }

    #[test]
    fn before_the_new_era_has_a_block_its_anchor_is_the_best() {
        let mut forks = on_head("1<0 2<1 3<0 4<3 5<4", 2);
        forks.void_above(Height(11), id(1), Era(2));
        assert_eq!(forks.best(), id(1));
        assert_eq!(forks.switch_plan(), Ok(Some(plan(1, &[(12, 2)], &[]))));
    }

    #[test]
    fn void_blocks_that_come_later_are_void_too() {
        let mut forks = planted("1<0 2<1");
        forks.void_above(Height(11), id(1), Era(3));
        insert_all(
            &mut forks,
            &entries("1<0 2<1 3<2 4<3@3 5<1@2 6<0 7<6@4")[2..],
        );
        for block in [2, 3, 4, 5, 6, 7] {
            assert!(forks.is_void(&id(block)), "{block}");
        }
        let late = forks.certify(Height(14), id(4));
        assert_eq!(late, Certified::Void);
        assert_eq!(forks.best(), id(1));
    }

    #[test]
    fn while_the_anchor_is_not_here_the_rule_before_stays_in_force() {
        let mut forks = on_head("1<0 2<1 3<2 4<1@2", 3);
        forks.void_above(Height(11), id(1), Era(2));
        assert_eq!(forks.best(), id(4));
        assert_eq!(
            forks.void_above(Height(12), id(5), Era(3)),
            Voiding::AwaitsAnchor
        );
        assert_eq!(forks.best(), id(4));
        insert_all(&mut forks, &entries("1<0 5<1@2 6<5@3")[1..]);
        assert_eq!(forks.best(), id(6));
        assert!(forks.is_void(&id(4)));
    }

    #[test]
    fn only_the_latest_is_obeyed_and_none_from_below_the_root() {
        let mut forks = planted("1<0 2<1 3<2");
        assert_eq!(
            forks.void_above(Height(12), id(2), Era(5)),
            Voiding::Applied
        );
        assert_eq!(
            forks.void_above(Height(11), id(1), Era(4)),
            Voiding::Outdated
        );
        assert_eq!(
            forks.void_above(Height(11), id(1), Era(5)),
            Voiding::Outdated
        );
        assert_eq!(
            forks.void_above(Height(12), id(2), Era(5)),
            Voiding::Applied
        );
        assert_eq!(
            forks.void_above(Height(9), id(77), Era(6)),
            Voiding::BelowRoot
        );
        assert_eq!(
            forks.void_above(Height(10), id(0), Era(6)),
            Voiding::Applied
        );
        assert_eq!(forks.best(), id(0));
    }

    #[test]
    fn the_rule_is_over_when_the_root_is_past_its_anchor() {
        let mut forks = on_head("1<0 2<1 3<1@2 4<3", 4);
        forks.void_above(Height(11), id(1), Era(2));
        assert_eq!(forks.advance_root(id(3)), Ok(vec![(Height(12), id(2))]));
        assert_eq!(forks.voiding, None);
        // What could be void does not link any more.
        let old = ForkEntry {
            id: id(50),
            parent: id(3),
            height: Height(13),
            era: Era(1),
        };
        assert!(matches!(forks.insert(old), Inserted::Rejected { .. }));
    }
}

mod rules_1_and_2 {
    use super::*;

    #[test]
    fn a_certified_block_is_never_abandoned_for_a_longer_branch() {
        let mut forks = on_head("1<0 2<0 3<2 4<3 5<4", 1);
        assert_eq!(certify(&mut forks, 1), Certified::Counts);
        assert_eq!(forks.switch_plan(), Ok(None));
        insert_all(&mut forks, &entries("1<0 2<0 3<2 4<3 5<4 6<5 7<6")[5..]);
        assert_eq!(forks.switch_plan(), Ok(None));
    }

    #[test]
    fn a_certificate_outranks_a_longer_applied_branch() {
        let mut forks = on_head("1<0 2<1 3<2 4<3 5<0 6<5", 4);
        certify(&mut forks, 5);
        assert_eq!(
            forks.switch_plan(),
            Ok(Some(plan(
                0,
                &[(14, 4), (13, 3), (12, 2), (11, 1)],
                &[5, 6]
            )))
        );
    }

    #[test]
    fn a_certificate_that_is_here_before_its_block_counts_with_it() {
        let mut forks = on_head("1<0 2<1 3<2", 3);
        let others = entries("5<0 6<5");
        assert_eq!(forks.certify(Height(12), id(6)), Certified::AwaitsBlock);
        forks.insert(others[1]);
        assert_eq!(forks.best(), id(3));
        forks.insert(others[0]);
        assert_eq!(forks.best(), id(6));
        assert_eq!(forks.highest_certified(), Some((Height(12), id(6))));
    }

    #[test]
    fn a_certificate_below_the_highest_changes_nothing() {
        let mut forks = on_head("1<0 2<1 3<2 4<1", 3);
        certify(&mut forks, 2);
        assert_eq!(certify(&mut forks, 1), Certified::Counts);
        assert_eq!(forks.best(), id(3));
        assert_eq!(forks.contradiction(), None);
    }

    #[test]
    fn certified_blocks_that_exclude_each_other_are_reported_and_not_chosen_between() {
        let mut forks = on_head("1<0 2<1 3<2 4<0 5<4 6<5 7<6", 3);
        certify(&mut forks, 2);
        assert_eq!(forks.contradiction(), None);
        certify(&mut forks, 6);
        assert_eq!(forks.best(), id(7));
        assert_eq!(forks.contradiction(), Some((id(6), id(2))));
        assert_eq!(
            forks.switch_plan(),
            Err(ForkError::ContradictoryCertificates {
                applied: id(2),
                other: id(6)
            })
        );
        assert_eq!(
            forks.advance_root(id(1)),
            Err(ForkError::RootAbandonsCertified {
                id: id(1),
                certified: id(6)
            })
        );
    }

    #[test]
    fn certificates_of_the_past_and_of_rejected_blocks() {
        let mut forks = planted("1<0");
        assert_eq!(forks.certify(Height(10), id(44)), Certified::BelowRoot);
        forks.mark_invalid(id(1)).expect("it is not applied");
        assert_eq!(forks.certify(Height(11), id(1)), Certified::Rejected);
    }
}

mod rules_3_and_4 {
    use super::*;

    #[test]
    fn the_longer_branch_wins() {
        let mut forks = on_head("1<0 2<1 3<0 4<3 5<4", 2);
        assert_eq!(
            forks.switch_plan(),
            Ok(Some(plan(0, &[(12, 2), (11, 1)], &[3, 4, 5])))
        );
        insert_all(&mut forks, &entries("1<0 2<1 6<2 7<6")[2..]);
        assert_eq!(forks.switch_plan(), Ok(Some(plan(2, &[], &[6, 7]))));
    }

    #[test]
    fn at_equal_height_the_head_stays() {
        let mut forks = on_head("5<0 6<5 1<0 2<1", 6);
        assert_eq!(forks.switch_plan(), Ok(None));
        forks.set_head(id(2)).expect("it is in the tree");
        assert_eq!(forks.switch_plan(), Ok(None));
    }

    #[test]
    fn at_equal_height_above_the_head_its_own_branch_wins_then_the_lower_id() {
        let forks = on_head("5<0 6<5 1<0 2<1", 5);
        assert_eq!(forks.best(), id(6));
        let forks = on_head("5<0 6<5 1<0 2<1 3<0", 3);
        assert_eq!(forks.best(), id(2));
    }

    #[test]
    fn in_emergency_the_lower_id_wins() {
        let mut forks = on_head("5<0 6<0", 6);
        forks.set_tie_break(TieBreak::LowerId);
        assert_eq!(forks.switch_plan(), Ok(Some(plan(0, &[(11, 6)], &[5]))));
        insert_all(&mut forks, &entries("6<0 7<6")[1..]);
        assert_eq!(forks.best(), id(7));
        assert_eq!(forks.tie_break(), TieBreak::LowerId);
    }
}

mod switching {
    use super::*;

    #[test]
    fn a_missing_parent_is_an_error_and_no_loop() {
        let mut forks = on_head("1<0 2<1 3<0 4<3 5<4", 2);
        forks.nodes.remove(&id(3));
        assert_eq!(
            forks.switch_plan(),
            Err(ForkError::BrokenBranch {
                id: id(4),
                height: Height(12)
            })
        );
    }

    #[test]
    fn a_circle_is_an_error_and_no_loop() {
        let mut forks = on_head("1<0 2<1 3<0 4<3 5<4", 2);
        let node = forks.nodes.get_mut(&id(3)).expect("it is in the tree");
        node.entry.parent = id(5);
        assert_eq!(
            forks.switch_plan(),
            Err(ForkError::BrokenBranch {
                id: id(3),
                height: Height(11)
            })
        );
    }

    #[test]
    fn the_head_is_in_the_tree() {
        let mut forks = planted("1<0");
        assert_eq!(
            forks.set_head(id(2)),
            Err(ForkError::UnknownBlock { id: id(2) })
        );
        assert_eq!(forks.head(), id(0));
    }
}

mod rejecting {
    use super::*;

    #[test]
    fn an_invalid_block_leaves_with_all_above_it_and_never_comes_back() {
        let mut forks = planted("1<0 2<1 3<2 4<0");
        let waiting = entries("1<0 2<1 3<2 7<3 8<7");
        forks.insert(waiting[4]);
        let dropped = forks.mark_invalid(id(1)).expect("it is not applied");
        assert_eq!(
            dropped,
            [
                (Height(13), id(3)),
                (Height(12), id(2)),
                (Height(11), id(1))
            ]
        );
        assert_eq!(forks.best(), id(4));
        for entry in &waiting[..3] {
            let again = forks.insert(*entry);
            assert_eq!(again, Inserted::Rejected { dropped: vec![] }, "{entry:?}");
        }
        // Blocks on a rejected one are rejected with those that waited for them.
        assert_eq!(
            forks.insert(waiting[3]),
            Inserted::Rejected {
                dropped: vec![(Height(15), id(8))]
            }
        );
        assert_eq!(
            forks.insert(waiting[4]),
            Inserted::Rejected { dropped: vec![] }
        );
        assert_eq!(forks.unlinked_len(), 0);
    }

    #[test]
    fn a_block_can_be_rejected_before_it_comes() {
        let mut forks = planted("");
        let blocks = entries("1<0 2<1");
        forks.insert(blocks[1]);
        assert_eq!(forks.mark_invalid(id(1)), Ok(vec![(Height(12), id(2))]));
        assert!(matches!(forks.insert(blocks[0]), Inserted::Rejected { .. }));
    }

    #[test]
    fn what_is_applied_certified_or_an_anchor_is_not_invalid() {
        let mut forks = on_head("1<0 2<1 3<1 4<3 5<1@2", 2);
        assert_eq!(
            forks.mark_invalid(id(1)),
            Err(ForkError::InvalidIsApplied { id: id(1) })
        );
        assert_eq!(
            forks.mark_invalid(id(0)),
            Err(ForkError::InvalidIsApplied { id: id(0) })
        );
        certify(&mut forks, 4);
        assert_eq!(
            forks.mark_invalid(id(3)),
            Err(ForkError::InvalidIsCertified {
                id: id(3),
                certified: id(4)
            })
        );
        forks.void_above(Height(12), id(5), Era(3));
        assert_eq!(
            forks.mark_invalid(id(5)),
            Err(ForkError::InvalidIsAnchor {
                id: id(5),
                anchor: id(5)
            })
        );
        assert_eq!(
            forks.mark_invalid(id(3)),
            Ok(vec![(Height(13), id(4)), (Height(12), id(3))])
        );
    }

    #[test]
    fn a_header_that_does_not_fit_its_parent_is_rejected() {
        let mut forks = planted("1<0@2");
        let misfits = [(12, 1), (13, 2), (u64::MAX, 2)];
        for (number, (height, era)) in (20..).zip(misfits) {
            let misfit = ForkEntry {
                id: id(number),
                parent: id(1),
                height: Height(height),
                era: Era(era),
            };
            assert_eq!(
                forks.insert(misfit),
                Inserted::Rejected { dropped: vec![] },
                "{misfit:?}"
            );
        }
    }

    #[test]
    fn a_waiting_block_that_does_not_fit_its_parent_is_rejected_with_those_behind_it() {
        let mut forks = planted("");
        let mut blocks = entries("1<0 2<1 3<2 4<1");
        blocks[1].height = Height(13);
        for entry in &blocks[1..] {
            forks.insert(*entry);
        }
        assert_eq!(
            forks.insert(blocks[0]),
            Inserted::Linked {
                also: vec![id(4)],
                dropped: vec![(Height(13), id(2)), (Height(13), id(3))]
            }
        );
        assert_eq!(forks.unlinked_len(), 0);
    }
}

mod linking {
    use super::*;

    #[test]
    fn a_block_pulls_in_those_that_waited_for_it() {
        let mut forks = planted("");
        let blocks = entries("1<0 2<1 3<2 4<2 5<4");
        for entry in blocks[1..].iter().rev() {
            assert_eq!(forks.insert(*entry), Inserted::Unlinked { dropped: None });
        }
        assert_eq!(forks.insert(blocks[4]), Inserted::Known);
        let Inserted::Linked { also, dropped } = forks.insert(blocks[0]) else {
            panic!("block 1 stands on the root");
        };
        assert_eq!(also.len(), 4);
        assert!(dropped.is_empty());
        assert_eq!(forks.best(), id(5));
        assert_eq!((forks.len(), forks.unlinked_len()), (5, 0));
        assert_eq!(forks.insert(blocks[0]), Inserted::Known);
    }

    #[test]
    fn a_block_without_parent_far_above_the_head_is_not_kept() {
        let mut forks = planted("");
        let entry = |number, height| ForkEntry {
            id: id(number),
            parent: id(99),
            height: Height(height),
            era: Era(1),
        };
        let gap_max = CONFIG.unlinked_gap_max;
        assert_eq!(
            forks.insert(entry(1, 11 + gap_max)),
            Inserted::TooFar { gap: gap_max + 1 }
        );
        assert_eq!(
            forks.insert(entry(1, 10 + gap_max)),
            Inserted::Unlinked { dropped: None }
        );
    }

    #[test]
    fn the_waiting_block_that_is_of_use_last_makes_room() {
        let config = ForkConfig {
            unlinked_max: 2,
            ..CONFIG
        };
        let mut forks = ForkDatabase::new(ROOT, config, TieBreak::KeepHead);
        let entry = |number, height| ForkEntry {
            id: id(number),
            parent: id(99),
            height: Height(height),
            era: Era(1),
        };
        forks.insert(entry(1, 20));
        forks.insert(entry(2, 30));
        assert_eq!(forks.insert(entry(3, 31)), Inserted::Full);
        assert_eq!(
            forks.insert(entry(4, 12)),
            Inserted::Unlinked {
                dropped: Some((Height(30), id(2)))
            }
        );
    }

    #[test]
    fn blocks_of_a_dead_fork_are_of_no_use() {
        let mut forks = on_head("1<0 2<1", 2);
        forks.advance_root(id(1)).expect("it is applied");
        let dead = entries("1<0 2<1 10<0 11<10 12<11");
        assert_eq!(forks.insert(dead[2]), Inserted::BelowRoot);
        assert_eq!(forks.insert(dead[3]), Inserted::BelowRoot);
        assert_eq!(forks.insert(dead[4]), Inserted::Unlinked { dropped: None });
        assert_eq!(forks.insert(dead[0]), Inserted::Known);
    }
}

mod advancing {
    use super::*;

    #[test]
    fn the_root_prunes_what_does_not_stand_on_it() {
        let mut forks = on_head("1<0 2<1 3<2 4<0 5<4 6<1 7<2", 3);
        let waiting = ForkEntry {
            id: id(30),
            parent: id(31),
            height: Height(13),
            era: Era(1),
        };
        forks.insert(waiting);
        assert_eq!(
            forks.advance_root(id(2)),
            Ok(vec![
                (Height(11), id(4)),
                (Height(12), id(5)),
                (Height(12), id(6)),
                (Height(13), id(30))
            ])
        );
        assert_eq!(forks.root(), (Height(12), id(2)));
        assert_eq!((forks.len(), forks.unlinked_len()), (2, 0));
        assert_eq!(forks.best(), id(3));
        assert_eq!(forks.advance_root(id(2)), Ok(vec![]));
    }

    #[test]
    fn only_an_applied_block_that_is_not_void_becomes_the_root() {
        let mut forks = on_head("1<0 2<1 3<1 4<0", 2);
        for (number, error) in [
            (3, ForkError::RootNotApplied { id: id(3) }),
            (50, ForkError::UnknownBlock { id: id(50) }),
        ] {
            assert_eq!(forks.advance_root(id(number)), Err(error));
        }
        forks.void_above(Height(11), id(4), Era(2));
        assert_eq!(
            forks.advance_root(id(1)),
            Err(ForkError::RootIsVoid { id: id(1) })
        );
    }

    #[test]
    fn a_certified_root_needs_no_certificate_any_more() {
        let mut forks = on_head("1<0 2<1 3<1", 2);
        certify(&mut forks, 1);
        forks.advance_root(id(1)).expect("it is applied");
        assert_eq!(forks.highest_certified(), None);
        assert_eq!(forks.best(), id(2));
    }
}
