//! R3, R5, R10: the way of a vertex, and what is kept waiting.

use crate::bench::{Bench, attestation, standing};
use holdfast_replica::{ChainStanding, Fact, Input, Output, Record};
use holdfast_types::test_util::{CHAIN, key_pair};
use holdfast_types::{AuthorityIndex, Height, VertexPayload};

fn stored_peers(output: &Output) -> usize {
    let is_peer = |record: &&Record| matches!(record, Record::PeerVertex(_));
    output.persist.iter().filter(is_peer).count()
}

#[test]
fn r3_accepted_vertices_are_stored_and_committed() {
    let mut bench = Bench::new();
    let outputs = bench.rounds(10);
    let stored: Vec<usize> = outputs.iter().map(stored_peers).collect();
    assert_eq!(stored, [0, 3].repeat(10));
    assert!(bench.commits.len() >= 6, "{} commits", bench.commits.len());
}

#[test]
fn r3_attestations_of_a_quorum_are_a_certificate() {
    let mut bench = Bench::new();
    let attested = |author: u16| VertexPayload {
        attestations: vec![attestation(1, 7).sign(
            AuthorityIndex(author),
            &CHAIN,
            &key_pair(author),
        )],
        ..VertexPayload::default()
    };
    let [_, output] = bench.round([attested(1), attested(2), attested(3)]);
    assert_eq!(output.certificates.len(), 1);
    assert_eq!(bench.replica.certified(), Height(1));
    assert!(
        output
            .facts
            .contains(&Fact::Certified { height: Height(1) })
    );
}

#[test]
fn r3_a_vertex_dated_ahead_waits_for_its_time() {
    let mut bench = Bench::new();
    let vertex = bench.peer_vertex(1, 1_600, VertexPayload::default());
    let parked = bench.step(Input::Vertices(vec![vertex]));
    assert_eq!(stored_peers(&parked), 0);
    let author = AuthorityIndex(1);
    let fact = Fact::VertexParked {
        author,
        ahead_ms: 1_600,
    };
    assert!(parked.facts.contains(&fact));
    assert_eq!(stored_peers(&bench.tick(599)), 0);
    assert_eq!(stored_peers(&bench.tick(1)), 1);
}

#[test]
fn r10_vertices_dated_ahead_are_bounded_by_author() {
    let mut bench = Bench::new();
    let flood: Vec<_> = (0..100)
        .map(|number| bench.peer_vertex(1, 5_000 + number, VertexPayload::default()))
        .collect();
    let output = bench.step(Input::Vertices(flood));
    let parked = |fact: &&Fact| matches!(fact, Fact::VertexParked { .. });
    assert_eq!(output.facts.iter().filter(parked).count(), 8);
    let honest = bench.peer_vertex(2, 5_000, VertexPayload::default());
    let output = bench.step(Input::Vertices(vec![honest]));
    assert_eq!(output.facts.iter().filter(parked).count(), 1);
}

#[test]
fn r5_after_a_sync_the_dag_stands_where_it_stood() {
    let mut bench = Bench::new();
    bench.rounds(8);
    let round = bench.replica.dag().expect("it runs").round();
    let own = bench
        .replica
        .dag()
        .and_then(holdfast_dag::DagCore::own_last);
    let commits = bench.commits.clone();
    let output = bench.step(Input::Synced(Box::new(ChainStanding {
        commits,
        ..standing(&bench.context)
    })));
    assert!(output.execute.is_empty(), "nothing is committed twice");
    let dag = bench.replica.dag().expect("it runs");
    assert_eq!(dag.round(), round);
    assert!(dag.own_last() >= own);
    bench.rounds(4);
    let rounds: Vec<u64> = bench.sent.iter().map(|vertex| vertex.round().0).collect();
    let expected: Vec<u64> = (1..=rounds.len() as u64).collect();
    assert_eq!(rounds, expected, "one in every round");
    assert!(rounds.len() >= 12);
    let indexes: Vec<u64> = bench.commits.iter().map(|commit| commit.index).collect();
    let expected: Vec<u64> = (1..=bench.commits.len() as u64).collect();
    assert_eq!(indexes, expected, "commits go on without gap or repetition");
}

#[test]
fn vertices_are_kept_until_their_blocks_are_certified() {
    let mut bench = Bench::new();
    bench.rounds(200);
    let is_prune = |record: &Record| matches!(record, Record::PruneVertices { .. });
    assert!(!bench.persisted.iter().any(is_prune), "nothing is executed");
}
