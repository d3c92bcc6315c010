use super::*;

fn network(size: usize, links: Links) -> Network {
    Network::new(links, size, Random::new(1))
}

const PLAIN: Links = Links {
    latency: Latency::Constant(5),
    distance: Distance::Random(0),
    loss_per_mille: 0,
    duplicate_per_mille: 0,
    corrupt_per_mille: 0,
    slow_uplinks: None,
};

/// Whom each node hears.
fn heard(topology: &Topology, size: usize) -> Vec<Vec<NodeId>> {
    let mut network = network(size, PLAIN);
    network.shape(topology);
    (0..size)
        .map(|to| {
            let others = (0..size).filter(|from| *from != to);
            others.filter(|from| !network.is_cut(*from, to)).collect()
        })
        .collect()
}

#[test]
fn in_a_ring_each_hears_its_two_neighbours() {
    let ring = Topology::Ring(vec![3, 0, 4, 1, 2]);
    let expected = [[3, 4], [2, 4], [1, 3], [0, 2], [0, 1]];
    assert_eq!(heard(&ring, 5), expected.map(Vec::from));
}

#[test]
fn over_a_bridge_all_hear_one_and_one_hears_all() {
    let groups = vec![0, 1, 0, 1, 1];
    let bridge = 2;
    let expected = [
        vec![2],
        vec![2, 3, 4],
        vec![0, 1, 3, 4],
        vec![1, 2, 4],
        vec![1, 2, 3],
    ];
    assert_eq!(heard(&Topology::Bridge { groups, bridge }, 5), expected);
}

#[test]
fn groups_hear_only_themselves() {
    let three = Topology::Groups(vec![0, 1, 2, 0, 1]);
    assert_eq!(
        heard(&three, 5),
        [vec![3], vec![4], vec![], vec![0], vec![1]]
    );
}

#[test]
fn a_link_that_is_down_and_one_that_is_cut_are_mended_apart() {
    let mut network = network(3, PLAIN);
    network.shape(&Topology::Groups(vec![0, 0, 1]));
    network.set_down((0, 1), true);
    network.set_down((1, 2), true);
    network.set_down((1, 2), false);
    assert!(network.is_cut(1, 2), "it is up, but between two groups");
    network.mend();
    assert!(!network.is_cut(1, 2));
    assert!(network.is_cut(0, 1) && network.is_cut(1, 0), "still down");
    assert_eq!(network.copies(0, 1).count(), 0);
    network.heal();
    assert_eq!(network.copies(0, 1).count(), 1);
}

#[test]
fn links_lose_repeat_and_corrupt_as_often_as_they_should_until_they_heal() {
    const MESSAGES: usize = 10_000;
    let links = Links {
        loss_per_mille: 300,
        duplicate_per_mille: 500,
        corrupt_per_mille: 20,
        ..PLAIN
    };
    let mut network = network(2, links);
    let (mut lost, mut repeated, mut corrupted) = (0, 0, 0);
    for _ in 0..MESSAGES {
        let copies: Vec<Delivery> = network.copies(0, 1).collect();
        lost += usize::from(copies.is_empty());
        repeated += usize::from(copies.len() == 2);
        corrupted += copies.iter().filter(|copy| copy.is_corrupted).count();
    }
    assert!((2_800..3_200).contains(&lost), "{lost}");
    assert!((3_300..3_700).contains(&repeated), "{repeated}");
    assert!((160..260).contains(&corrupted), "{corrupted}");
    network.heal();
    let whole = Delivery {
        after_ms: 5,
        is_corrupted: false,
    };
    for _ in 0..MESSAGES {
        assert_eq!(network.copies(0, 1).collect::<Vec<_>>(), [whole]);
    }
}

#[test]
fn corruption_turns_one_to_three_bits_over() {
    let mut network = network(2, PLAIN);
    for length in [1, 2, 100] {
        let mut seen = BTreeSet::new();
        for _ in 0..1_000 {
            let mut bytes = vec![0x5a; length];
            network.corrupt(&mut bytes);
            let turned: u32 = bytes.iter().map(|byte| (byte ^ 0x5a).count_ones()).sum();
            seen.insert(turned);
        }
        assert_eq!(seen, BTreeSet::from([1, 2, 3]), "{length}");
    }
}

#[test]
fn what_a_slow_uplink_sends_leaves_in_order() {
    let mut network = network(2, PLAIN);
    assert!(network.uplink(0).is_none());
    network.limit_uplink(0, Bandwidth { bytes_per_s: 2_000 });
    assert!(network.uplink(1).is_none());
    let uplink = network.uplink(0).expect("it is limited");
    for (now_ms, bytes, backlog_ms, leaves_at_ms) in [
        (100, 1_000, 0, 600),
        (100, 200, 500, 700),
        (400, 1, 300, 701),
        // It was idle in between, and that time is gone.
        (5_000, 1_000, 0, 5_500),
    ] {
        assert_eq!(uplink.backlog_ms(now_ms), backlog_ms);
        assert_eq!(now_ms + uplink.leaves_after_ms(now_ms, bytes), leaves_at_ms);
        uplink.send(now_ms, bytes);
    }
    network.heal();
    assert!(network.uplink(0).is_none());
}
