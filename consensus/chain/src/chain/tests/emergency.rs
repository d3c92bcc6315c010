//! Emergency blocks: made in slots and taken from peers (rule C15).

use super::*;
use crate::chain::fixture::emergencies::{
    MASTER_KEY, SLOT_MS, committee, master, next_slot, restores_key, slot,
};
use crate::chain::fixture::name;
use crate::chain::{OfferRefusal, Producers, ProductionRefusal, ProductionTurn};
use crate::serve::servable_prefix;
use holdfast_ledger::EmergencyRefusal;
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::{AccountName, EraKind, Parameters, PublicKey, Signature, Signer};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Four validators and as many slots, stalled after three blocks.
pub(super) fn stalled() -> Node {
    let mut node = Node::with_parameters(Parameters {
        max_validators: 4,
        ..parameters()
    });
    for round in 1..=3 {
        let commit = Commit::new(round).with(&[transfer(round - 1, "bob", 5)]);
        node.order(commit.that_supports_the_head());
    }
    node
}

fn signing_key(node: &Node, number: u16) -> Option<PublicKey> {
    let validator = holdfast_ledger::validator(&node.store, &validator_account(number));
    validator
        .expect("it reads")
        .expect("it is registered")
        .signing_key
}

#[test]
fn eb1_a_master_goes_on_where_the_dag_stopped_and_others_get_the_same_chain() {
    let mut node = stalled();
    let mut other = node.clone();
    let first = master(&mut node, 0, &[transfer(3, "carol", 7)]);
    assert_eq!(node.chain.era().kind, EraKind::Emergency);
    assert!(first.1.body.era_end.is_some());
    let mut blocks = vec![first];
    for number in 1..6 {
        blocks.push(master(&mut node, number, &[transfer(3 + number, "bob", 1)]));
        // LIB follows one block behind after three of them.
        let (head, _) = node.head();
        assert_eq!(node.chain.irreversible() == head.previous(), number >= 2);
        assert!(node.chain.certified() < head);
    }
    for (_, block) in &blocks {
        let step = other
            .take(block)
            .expect("it follows")
            .expect("it is applied");
        assert!(step.batch.pop.is_empty());
    }
    assert_same_branch(&node.store, &other.store);
    other.reopen();
    assert_eq!(other.chain.era(), node.chain.era());
    assert_eq!(master(&mut other, 6, &[]), master(&mut node, 6, &[]));
}

#[test]
fn eb1_who_has_another_key_or_comes_too_early_produces_nothing() {
    let mut node = stalled();
    let head = node.head();
    let early = TimestampMs(slot(&node, 0).0 - 1);
    let refused = node.produce(committee(), MASTER_KEY, early, &[]);
    let too_early = OfferRefusal::Slot(EmergencyRefusal::TooEarly { missing_ms: 1 });
    assert_eq!(refused, Err(too_early));
    let at = slot(&node, 0);
    let producer = committee();
    let refused = node.produce(producer, 7, at, &[]);
    assert_eq!(refused, Err(OfferRefusal::NoKey { producer }));
    assert_eq!(node.head(), head);
}

#[test]
fn eb2_what_nobody_has_signed_does_not_come_in() {
    let mut node = stalled();
    let mut other = node.clone();
    let (_, good) = master(&mut node, 0, &[transfer(3, "bob", 7)]);
    let before = other.clone();
    let resigned = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        block.header.sign_emergency(&CHAIN, &key_pair(MASTER_KEY));
        block
    };
    let mut unsigned = good.clone();
    unsigned.header.timestamp = unsigned.header.timestamp.plus(SLOT_MS);
    assert_eq!(
        other.take(&unsigned).err(),
        Some(OfferRefusal::BadSignature)
    );
    let mut other_body = good.clone();
    other_body.body.transactions.clear();
    assert!(matches!(
        other.take(&other_body),
        Err(OfferRefusal::WrongBody { .. })
    ));
    let forged = resigned(&|block| {
        block.body.transactions[0].signature = Signature::new([1; 64]);
        let id = block.body.transactions[0].body.id(&CHAIN);
        let root = holdfast_types::block::transactions_root([(&id, &block.body.transactions[0])]);
        block.header.transactions_root = root;
    });
    assert_eq!(
        other.take(&forged).err(),
        Some(OfferRefusal::BadTransaction { position: 0 })
    );
    let supported = resigned(&|block| {
        block.body.supports = vec![holdfast_types::Support {
            authority: AuthorityIndex(0),
            height: Height(2),
        }];
        block.header.system_root = block.body.system_root();
    });
    assert_eq!(
        other.take(&supported).err(),
        Some(OfferRefusal::WrongBody { part: "supports" })
    );
    let early = resigned(&|block| block.header.timestamp = START_TOO_EARLY);
    assert!(matches!(
        other.take(&early),
        Err(OfferRefusal::Slot(EmergencyRefusal::TooEarly { .. }))
    ));
    let orphan = resigned(&|block| block.header.parent = BlockId::new([3; 32]));
    assert!(matches!(
        other.take(&orphan),
        Err(OfferRefusal::Unlinked { .. })
    ));
    let of_dag = before.block_at(Height(3)).1;
    assert_eq!(other.take(&of_dag).err(), Some(OfferRefusal::NotEmergency));
    assert_eq!(other.head(), before.head());
    assert_eq!(fork_ids(&other), fork_ids(&before), "nothing is kept");
    assert!(other.take(&good).is_ok());
    assert_eq!(other.take(&good).err(), Some(OfferRefusal::Known));
}

/// After the third block, and long before an hour has passed.
const START_TOO_EARLY: TimestampMs = TimestampMs(2_000_000);

#[test]
fn eb4_a_signed_block_that_does_not_execute_is_rejected_once_and_remembered() {
    let mut node = stalled();
    let mut other = node.clone();
    let (_, mut block) = master(&mut node, 0, &[]);
    block.header.state_root = StateRoot::new([9; 32]);
    block.header.sign_emergency(&CHAIN, &key_pair(MASTER_KEY));
    let head = other.head();
    let step = other
        .take(&block)
        .expect("it is well formed")
        .expect("it is rejected");
    assert_eq!(step.rejected.len(), 1);
    assert_eq!(other.head(), head);
    assert_eq!(other.take(&block).err(), Some(OfferRefusal::Known));
    assert_eq!(other.take(&block).err(), Some(OfferRefusal::Known));
}

#[test]
fn eb3_a_block_under_a_null_or_unknown_key_is_refused_each_time_and_leaves_nothing() {
    let mut node = stalled();
    master(&mut node, 0, &[]);
    let before = node.clone();
    let (_, good) = master(&mut node.clone(), 1, &[]);
    for account in [validator_account(2), name("nobody")] {
        let mut block = good.clone();
        if let BlockOrigin::Emergency { producer, .. } = &mut block.header.origin {
            *producer = account;
        }
        block.header.sign_emergency(&CHAIN, &key_pair(2));
        for _ in 0..3 {
            let refused = node.take(&block).err();
            let producer = account;
            assert_eq!(refused, Some(OfferRefusal::NoKey { producer }));
        }
    }
    assert_eq!(fork_ids(&node), fork_ids(&before));
    assert_eq!(node.head(), before.head());
}

/// V26: who makes many blocks of one slot and shows the one with the lowest id displaces one block, and none that another
/// stands on.
#[test]
fn eb4_a_ground_id_displaces_the_last_block_and_nothing_below() {
    let mut node = stalled();
    master(&mut node, 0, &[]);
    let grinder = node.clone();
    let (honest, _) = master(&mut node, 1, &[transfer(3, "bob", 7)]);
    // Blocks without that transfer: the keys of four validators are given back, or not.
    let ground = (0..16u16)
        .map(|chosen| {
            (0..4)
                .filter(|number| chosen >> number & 1 == 1)
                .map(restores_key)
                .collect::<Vec<_>>()
        })
        .map(|restored| master(&mut grinder.clone(), 1, &restored))
        .min_by_key(|(id, _)| *id)
        .expect("there are some");
    assert!(ground.0 < honest);
    let mut earlier = node.clone();
    let step = earlier.take(&ground.1).expect("it is well formed");
    assert_eq!(earlier.head().1, ground.0);
    let returned = step.expect("it is the head").returned;
    assert_eq!(returned.len(), 1, "what it displaced waits again");
    let (above, _) = master(&mut node, 2, &[]);
    let late = node.take(&ground.1).err();
    let parent = ground.1.header.parent;
    assert_eq!(
        late,
        Some(OfferRefusal::Unlinked { parent }),
        "LIB is past it"
    );
    assert_eq!(node.head().1, above);
    assert_eq!(node.block_at(Height(5)).0, honest);
}

#[test]
fn a_master_alone_has_two_blocks_in_the_fork_database_however_long_it_goes_on() {
    let mut node = stalled();
    let limit = u64::from(node.parameters.fork_db_max);
    for block in 0..5 * limit {
        // A day passes between two blocks, now and then.
        master(&mut node, block + block / 50 * 28_800, &[]);
        assert!(node.chain.forks().len() <= 2 || block < 3, "block {block}");
    }
}

#[test]
fn eb4_of_two_masters_in_one_slot_the_lower_id_wins_whoever_was_first() {
    let mut one = stalled();
    let mut two = one.clone();
    let mut wins = 0;
    for number in 0..60 {
        let (first, block) = master(&mut one, number, &[]);
        let (second, rival) = master(&mut two, number, &[transfer(3, "bob", number + 1)]);
        let lower = first.min(second);
        one.take(&rival).expect("it is well formed");
        two.take(&block).expect("it is well formed");
        assert_eq!(
            (one.head().1, two.head().1),
            (lower, lower),
            "slot {number}"
        );
        wins += u32::from(lower == first);
        assert!(one.chain.forks().len() <= 2 || number < 3);
    }
    assert!((10..50).contains(&wins), "{wins} of 60");
    assert_same_branch(&one.store, &two.store);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Five holders of the key; in each slot some produce, and their blocks arrive in any order, late or soon.
    #[test]
    fn any_number_of_masters_has_one_head_when_all_has_arrived(
        slots in prop::collection::vec(
            (prop::collection::btree_set(0usize..5, 1..5), any::<u64>()),
            1..12,
        ),
    ) {
        let trunk = stalled();
        let mut nodes = vec![trunk; 5];
        for (number, (producers, order)) in slots.iter().enumerate() {
            let blocks: Vec<_> = producers
                .iter()
                .map(|producer| {
                    let amount = 10 * number as u64 + *producer as u64 + 1;
                    master(&mut nodes[*producer], number as u64, &[transfer(3, "bob", amount)]).1
                })
                .collect();
            for (place, node) in nodes.iter_mut().enumerate() {
                let turn = (order >> (8 * place)) as usize % blocks.len();
                for block in blocks[turn..].iter().chain(&blocks[..turn]) {
                    // Its own one is known.
                    let taken = node.take(block);
                    let known = matches!(taken, Err(OfferRefusal::Known));
                    prop_assert!(taken.is_ok() || known, "{taken:?}");
                }
            }
            let heads: BTreeSet<_> = nodes.iter().map(Node::head).collect();
            prop_assert_eq!(heads.len(), 1, "after slot {}", number);
        }
        for node in &nodes[1..] {
            assert_same_branch(&nodes[0].store, &node.store);
        }
    }
}

#[test]
fn eb4_a_longer_branch_wins_and_what_it_takes_back_is_given_back() {
    let mut one = stalled();
    let mut two = one.clone();
    master(&mut one, 0, &[transfer(3, "bob", 1)]);
    let longer: Vec<_> = (1..3).map(|number| master(&mut two, number, &[])).collect();
    one.take(&longer[0].1).expect("it is well formed");
    let step = match one.take(&longer[1].1) {
        Ok(Some(step)) => step,
        other => panic!("a switch: {other:?}"),
    };
    let nonces: Vec<_> = step.returned.iter().map(|one| one.body.nonce).collect();
    // The first of them may have lost to the lower id already.
    assert!(nonces == [3] || step.batch.pop.is_empty());
    assert_same_branch(&one.store, &two.store);
}

#[test]
fn validators_come_back_and_the_dag_goes_on_from_the_exit() {
    let mut node = stalled();
    let mut other = node.clone();
    let mut blocks = vec![master(&mut node, 0, &[])];
    assert_eq!(signing_key(&node, 2), None);
    let keys: Vec<_> = (0..4).map(restores_key).collect();
    blocks.push(master(&mut node, 1, &keys));
    let mut number = 2;
    while node.chain.era().kind == EraKind::Emergency {
        blocks.push(next_slot(&mut node, number));
        number += 1;
        assert!(number < 20);
    }
    let era = node.chain.era();
    assert_eq!((era.era, era.committee.size()), (Era(3), 4));
    for (_, block) in &blocks {
        other.take(block).expect("it follows");
    }
    assert_same_branch(&node.store, &other.store);
    // The new committee certifies what it begins on, and the DAG runs.
    let anchor = node.block_at(era.anchor_height);
    assert_eq!(anchor.0, era.anchor);
    let context = EraContext::clone(era);
    let certified = certificate_in(&context, &anchor);
    node.certify(certified).expect("it is ours");
    let next = Commit::new(50).that_supports_the_head();
    node.order(next.clone());
    other.order(next);
    assert_same_branch(&node.store, &other.store);
    // No more emergency blocks: the stall counts anew.
    let at = node.chain.head_timestamp().plus(SLOT_MS);
    assert!(matches!(
        node.produce(committee(), MASTER_KEY, at, &[]),
        Err(OfferRefusal::Slot(EmergencyRefusal::TooEarly { .. }))
    ));
}

#[test]
fn eb4_of_two_last_blocks_the_lower_id_wins_too() {
    let mut one = stalled();
    master(&mut one, 0, &[]);
    let keys: Vec<_> = (0..4).map(restores_key).collect();
    master(&mut one, 1, &keys);
    let mut number = 2;
    let (mut before, mut last) = (one.clone(), one.head());
    while one.chain.era().kind == EraKind::Emergency {
        before = one.clone();
        last = (Height(0), next_slot(&mut one, number).0);
        number += 1;
    }
    let mut two = before;
    // The committee may produce in every slot, and the condition holds for its block, too.
    let at = slot(&two, number - 1);
    let (rival, _) = two
        .produce(committee(), MASTER_KEY, at, &[])
        .expect("it may");
    assert_eq!(two.chain.era().kind, EraKind::Dag);
    let (of_one, of_two) = (one.block_at(one.head().0).1, two.block_at(two.head().0).1);
    one.take(&of_two).expect("it is well formed");
    two.take(&of_one).expect("it is well formed");
    let lower = last.1.min(rival);
    assert_eq!((one.head().1, two.head().1), (lower, lower));
}

fn turn(timestamp: TimestampMs, is_late: bool) -> ProductionTurn {
    ProductionTurn {
        timestamp,
        is_late,
        validator_may: true,
        transactions: Vec::new(),
        evidence: Vec::new(),
        governance: Vec::new(),
    }
}

/// Who has produced the block of a turn, or why there is none.
fn takes_turn(
    node: &mut Node,
    validator: Option<u16>,
    is_master: bool,
    turn: ProductionTurn,
) -> Result<AccountName, ProductionRefusal> {
    let validator = validator.map(key_pair);
    let master = is_master.then(|| key_pair(MASTER_KEY));
    let producers = Producers {
        validator: validator.as_ref().map(|key| key as &dyn Signer),
        master: master.as_ref().map(|key| key as &dyn Signer),
    };
    let step = node.chain.produce_in_turn(&node.store, producers, turn);
    let step = step.expect("to produce is no fault")?;
    node.write(&step);
    let (_, block) = node.block_at(node.head().0);
    Ok(block.header.origin.producer().expect("it has a producer"))
}

#[test]
fn eb5_a_slot_is_for_its_validator_and_a_master_fills_it_when_half_of_it_has_passed() {
    let mut node = stalled();
    let early = TimestampMs(slot(&node, 0).0 - 1);
    let refused = takes_turn(&mut node, None, true, turn(early, false));
    assert_eq!(refused, Err(ProductionRefusal::NotBegun));
    let begins = turn(slot(&node, 0), false);
    let refused = takes_turn(&mut node.clone(), Some(0), false, begins.clone());
    assert_eq!(
        refused,
        Err(ProductionRefusal::NotScheduled),
        "only a master begins"
    );
    assert_eq!(
        takes_turn(&mut node, Some(0), true, begins.clone()),
        Ok(committee())
    );
    let again = takes_turn(&mut node, None, true, begins);
    assert_eq!(again, Err(ProductionRefusal::SlotTaken));
    master(&mut node, 1, &[restores_key(2)]);
    // A round in which one slot is that of the validator.
    let owner = validator_account(2);
    let mut filled = 0;
    for number in 4..8 {
        let at = slot(&node, number);
        let place = node.chain.emergency_place(&node.store, committee(), at);
        let is_own = place.expect("it reads").expect("it may").scheduled == owner;
        let mut silent = turn(at, false);
        silent.validator_may = false;
        let mut other = node.clone();
        let nobody = takes_turn(&mut other, None, false, turn(at, true));
        assert_eq!(nobody, Err(ProductionRefusal::NoKey));
        if is_own {
            filled += 1;
            assert_eq!(
                takes_turn(&mut other, None, true, turn(at, false)),
                Err(ProductionRefusal::NotScheduled)
            );
            assert_eq!(
                takes_turn(&mut other.clone(), None, true, turn(at, true)),
                Ok(committee())
            );
            assert_eq!(
                takes_turn(&mut other.clone(), Some(2), true, silent),
                Err(ProductionRefusal::NotScheduled)
            );
            assert_eq!(
                takes_turn(&mut other, Some(2), true, turn(at, false)),
                Ok(owner)
            );
        } else {
            let refused = takes_turn(&mut other, Some(2), false, turn(at, true));
            assert_eq!(refused, Err(ProductionRefusal::NotScheduled));
            assert_eq!(
                takes_turn(&mut other, Some(2), true, turn(at, false)),
                Ok(committee())
            );
        }
        node = other;
    }
    assert_eq!(filled, 1);
}

#[test]
fn eb5_a_validator_that_produces_alone_lets_two_rounds_pass() {
    let mut node = stalled();
    let key = restores_key(2);
    master(&mut node, 0, &[]);
    master(&mut node, 1, &[key]);
    let mut number = 2;
    let mut own = 0;
    let refused_at = loop {
        number += 1;
        let at = slot(&node, number);
        match takes_turn(&mut node, Some(2), false, turn(at, false)) {
            Ok(producer) => {
                assert_eq!(producer, validator_account(2));
                own += 1;
            }
            Err(ProductionRefusal::MinorityFork) => break number,
            Err(refusal) => assert_eq!(refusal, ProductionRefusal::NotScheduled),
        }
    };
    let remembered = u64::from(node.parameters.emergency.exit_normal_blocks) + 1;
    assert_eq!(own, remembered);
    // It is bounded: after two rounds of silence it goes on.
    let mut after = refused_at;
    loop {
        after += 1;
        assert!(after - refused_at < 3 * 4);
        let at = slot(&node, after);
        if takes_turn(&mut node, Some(2), false, turn(at, false)).is_ok() {
            break;
        }
    }
    assert!(after - refused_at >= 4);
}

#[test]
fn what_is_served_ends_with_a_certificate_or_else_with_the_last_block_of_an_emergency() {
    let mut node = stalled();
    let certified = node.block_at(Height(2));
    node.certify(certificate(&certified)).expect("it is ours");
    let serve = |node: &Node, from: u64| {
        let heights = from..=node.head().0.0;
        let blocks = heights
            .map(|height| node.block_at(Height(height)).1)
            .collect();
        let served = servable_prefix(&node.store, blocks).expect("it reads");
        (served.blocks.len(), served.certificate.is_some())
    };
    assert_eq!(serve(&node, 1), (2, true));
    assert_eq!(serve(&node, 3), (0, false), "nobody stands for it");
    for number in 0..4 {
        master(&mut node, number, &[]);
    }
    assert_eq!(serve(&node, 1), (2, true));
    // What the emergency stands on, with the block that begins it; the rest is of the next era.
    assert_eq!(serve(&node, 3), (2, false));
    let stands_below = vec![node.block_at(Height(3)).1];
    let served = servable_prefix(&node.store, stands_below).expect("it reads");
    assert_eq!(
        served.blocks.len(),
        1,
        "the emergency comes with the next answer"
    );
    assert_eq!(serve(&node, 5), (3, false));
}
