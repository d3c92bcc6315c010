//! Snapshots of chains that stall, or that know of no stall.

use super::*;
use holdfast_chain::OfferRefusal;
use holdfast_chain::fixture::emergencies::{
    MASTER_KEY, committee, master, next_slot, restores_key,
};
use holdfast_ledger::keys::{PropertiesKey, StateKey};
use holdfast_ledger::objects::{DynamicProperties, StateObject};
use holdfast_ledger::{
    EmergencyRefusal, MemoryState, StateChanges, dynamic_properties, emergency_clock,
};
use holdfast_types::test_util::parameters::{GOVERNOR_KEY, governed, parameters};
use holdfast_types::{BlockId, EraKind, TimestampMs};

/// Three blocks, of which nobody has certified the third; then nothing for an hour.
fn stalled() -> Node {
    let mut node = Node::with_parameters(Parameters {
        max_validators: 4,
        ..parameters()
    });
    for round in 1..=3 {
        grow(&mut node, round, round < 3);
    }
    node
}

fn in_emergency(blocks: u64) -> Node {
    let mut node = stalled();
    for number in 0..blocks {
        master(&mut node, number, &[]);
    }
    node
}

#[test]
fn an_emergency_goes_on_from_a_snapshot() {
    let mut node = in_emergency(6);
    let (exported, snapshot) = Follower::of(&node).export(None);
    assert_eq!(exported.manifest.base.0, Height(2));
    assert_eq!(exported.manifest.top, node.head());
    assert!(exported.manifest.is_emergency());
    let mut follower = Follower::from_snapshot(&snapshot, &node);
    assert_eq!(follower.chain.head(), node.head());
    assert!(follower.chain.is_provisional(&follower.storage).unwrap());
    let properties = dynamic_properties(&follower.storage).unwrap().unwrap();
    assert!(properties.emergency_consensus_active);
    assert_eq!(properties.emergency_consensus_start_block, Height(4));
    assert_eq!(
        emergency_clock(&follower.storage, &node.parameters),
        emergency_clock(&node.store, &node.parameters)
    );
    for number in 6..9 {
        master(&mut node, number, &[]);
    }
    follower.follow(&node);
}

/// Governance resumes a chain that is halted in an emergency: another emergency era begins (rule E11).
#[test]
fn a_resume_within_an_emergency_comes_with_the_snapshot() {
    let mut node = in_emergency(4);
    let resume = node.resume_of(node.head().0, Vec::new());
    let message = governed(GOVERNOR_KEY, 1, resume);
    node.resume(&message).unwrap().unwrap();
    assert_eq!(node.chain.era().kind, EraKind::Emergency);
    for number in 5..8 {
        master(&mut node, number, &[]);
    }
    let (exported, snapshot) = Follower::of(&node).export(None);
    assert_eq!(exported.manifest.base.0, Height(2));
    let mut follower = Follower::from_snapshot(&snapshot, &node);
    assert_eq!(follower.chain.head(), node.head());
    master(&mut node, 8, &[]);
    follower.follow(&node);
}

/// A block of the past, in the middle of an emergency or before it.
#[test]
fn any_block_of_an_emergency_is_exported_with_the_state_of_its_own_time() {
    let node = in_emergency(6);
    let exporter = Follower::of(&node);
    for (height, top, is_emergency) in [(2, 2, false), (3, 2, false), (4, 4, true), (7, 7, true)] {
        let (exported, snapshot) = exporter.export(Some(height));
        assert_eq!(exported.manifest.top.0, Height(top));
        assert_eq!(exported.manifest.is_emergency(), is_emergency);
        let mut importer = Follower::from_snapshot(&snapshot, &node);
        assert_eq!(importer.chain.head().0, Height(top));
        importer.follow(&node);
    }
}

/// The certificate of a block that the emergency excludes takes it back here as everywhere (rule C16).
#[test]
fn a_certificate_outranks_an_emergency_that_came_with_a_snapshot() {
    let mut node = in_emergency(6);
    let (_, snapshot) = Follower::of(&node).export(None);
    let mut follower = Follower::from_snapshot(&snapshot, &node);
    let mut quorum = stalled();
    grow(&mut quorum, 5, true);
    let certificate = quorum.store.certificate(quorum.head().0).unwrap();
    let certificate = certificate.unwrap();
    follower.certify(certificate.clone());
    node.certify(certificate).unwrap();
    assert_eq!(follower.chain.head(), node.head());
    assert_eq!(follower.chain.head().0, Height(3));
    follower.follow(&node);
}

/// Validators came back: no certificate from genesis proves the committee that ended the emergency.
#[test]
fn after_an_emergency_a_trusted_block_is_asked_for() {
    let node = after_an_emergency();
    let (exported, snapshot) = Follower::of(&node).export(None);
    assert!(!exported.is_proven);
    assert_eq!(exported.manifest.base, node.head());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let refused = import_snapshot(snapshot.as_slice(), &path, &of_chain(&node));
    assert!(refused.unwrap_err().to_string().contains("you trust"));
    assert!(!path.exists());
    let wrong = SnapshotChain {
        trusted: Some(BlockId::new([8; 32])),
        ..of_chain(&node)
    };
    let refused = import_snapshot(snapshot.as_slice(), &path, &wrong);
    assert!(matches!(refused, Err(SnapshotError::TrustedMissing { .. })));
    let right = SnapshotChain {
        trusted: Some(node.head().1),
        ..of_chain(&node)
    };
    let imported = import_snapshot(snapshot.as_slice(), &path, &right).unwrap();
    assert_eq!(imported.unproven, Some(holdfast_types::Era(2)));
    assert!(!imported.is_emergency);
}

/// Slots go by until the validators that have their keys again hold enough of them.
fn after_an_emergency() -> Node {
    let mut node = in_emergency(1);
    let keys: Vec<_> = (0..4).map(restores_key).collect();
    master(&mut node, 1, &keys);
    let mut number = 2;
    while node.chain.era().kind == EraKind::Emergency {
        next_slot(&mut node, number);
        number += 1;
    }
    let context = EraContext::clone(node.chain.era());
    let anchor = node.block_at(context.anchor_height);
    node.certify(certificate_in(&context, &anchor)).unwrap();
    let block = node.order(Commit::new(50).that_supports_the_head());
    node.certify(certificate_in(&context, &block)).unwrap();
    node
}

/// Genesis as a software without a stall clock would have written its state.
fn genesis_without_stall_clock(parameters: &Parameters) -> ChainBatch {
    let mut batch = genesis(parameters);
    let applied = &mut batch.apply[0];
    let key = PropertiesKey().bytes();
    let values = &mut applied.changes.values;
    let (_, value) = values
        .iter_mut()
        .find(|(changed, _)| *changed == key)
        .unwrap();
    let properties = DynamicProperties::decode(value.as_ref().unwrap()).unwrap();
    let without = DynamicProperties {
        stall_clock: None,
        lib_timestamp: TimestampMs::ZERO,
        ..properties
    };
    *value = Some(without.encode());
    let update = tree::update(&MemoryState::default(), values).unwrap();
    applied.changes = StateChanges {
        values: values.clone(),
        tree_nodes: update.nodes,
    };
    applied.block.header.state_root = update.root;
    applied.id = applied.block.header.id(&CHAIN);
    batch.start_eras[0].anchor = applied.id;
    batch
}

/// Guard 3 of document 002, and V5: what is not known cannot be long ago.
#[test]
fn a_state_without_the_time_of_lib_activates_nothing_until_lib_moves() {
    let parameters = Parameters {
        max_validators: 4,
        ..parameters()
    };
    let begins = genesis_without_stall_clock(&parameters);
    let mut node = Node::begun_with(begins.clone(), parameters);
    for round in 1..=2 {
        let context = EraContext::clone(node.chain.era());
        let block = node.order(Commit::new(round));
        node.certify(certificate_in(&context, &block)).unwrap();
    }
    let exporter = Follower::begun_with(begins, &node);
    let (exported, snapshot) = exporter.export(None);
    assert_eq!(
        exported.manifest.irreversible,
        Some((Height::ZERO, TimestampMs::ZERO))
    );
    let mut follower = Follower::from_snapshot(&snapshot, &node);
    let clock = emergency_clock(&follower.storage, &node.parameters).unwrap();
    assert_eq!((clock.slot_zero, clock.is_active), (None, false));
    let years_later = node
        .chain
        .head_timestamp()
        .plus(u64::from(u32::MAX) * 1_000);
    let place = follower
        .chain
        .emergency_place(&follower.storage, committee(), years_later);
    assert_eq!(place.unwrap().err(), Some(EmergencyRefusal::NoStallClock));
    let refused = node.produce(committee(), MASTER_KEY, years_later, &[]);
    let no_clock = OfferRefusal::Slot(EmergencyRefusal::NoStallClock);
    assert_eq!(refused, Err(no_clock));
    // LIB moves, and from then on a stall counts.
    for round in 3..=4 {
        let context = EraContext::clone(node.chain.era());
        let block = node.order(Commit::new(round).that_supports_the_head());
        node.certify(certificate_in(&context, &block)).unwrap();
    }
    follower.follow(&node);
    let clock = emergency_clock(&follower.storage, &node.parameters).unwrap();
    assert!(clock.slot_zero.is_some());
}
