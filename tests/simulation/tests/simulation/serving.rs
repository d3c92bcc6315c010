//! What a member that has fallen behind is given of the DAG (`holdfast_replica::serve`).

use holdfast_replica::serve::{self, Refusal};
use holdfast_replica::{Record, RecordStore};
use holdfast_simulation::disk::{Disk, Write};
use holdfast_types::limits::MISSING_ROUNDS_MAX;
use holdfast_types::test_util::{era_context, genesis_refs, vertex};
use holdfast_types::wire::MissingVerticesRequest;
use holdfast_types::{AuthorityIndex, Era, Round, VertexPayload, VertexRef};
use std::sync::Arc;

const ERA: Era = Era(1);
const MEMBERS: u16 = 4;

/// A disk with the vertices of four members in `rounds` rounds.
fn disk(rounds: u64) -> Disk {
    let context = era_context(MEMBERS);
    let mut disk = Disk::empty();
    let mut parents = genesis_refs(&context);
    for round in 1..=rounds {
        let layer = context.committee.authorities().map(|author| {
            let payload = VertexPayload::default();
            Arc::new(vertex(
                &context,
                author,
                Round(round),
                parents.clone(),
                payload,
            ))
        });
        let layer: Vec<_> = layer.collect();
        parents = layer.iter().map(|vertex| vertex.reference()).collect();
        let records: Vec<Record> = layer.into_iter().map(Record::PeerVertex).collect();
        disk.write(Write::Records(records.into()))
            .expect("the disk does not fail");
    }
    disk
}

/// The slots that the answer brings, by round and member.
fn slots(
    disk: &Disk,
    from: u64,
    held: Vec<Vec<AuthorityIndex>>,
    bytes_max: usize,
) -> Result<Vec<(u64, u16)>, Refusal> {
    let request = MissingVerticesRequest {
        era: ERA,
        from: Round(from),
        held,
    };
    let answer = serve::missing_vertices(disk.now(), &request, bytes_max)?;
    let slots = answer.vertices.iter().map(|vertex| {
        let header = &vertex.signed.header;
        (header.round.0, header.author.0)
    });
    Ok(slots.collect())
}

#[test]
fn an_answer_has_the_rounds_that_were_asked_for_and_what_is_not_held_of_them() {
    let disk = disk(5);
    let held = vec![[0, 3].map(AuthorityIndex).to_vec(), Vec::new()];
    let brought = slots(&disk, 3, held, usize::MAX).expect("within its limits");
    assert_eq!(brought, [(3, 1), (3, 2), (4, 0), (4, 1), (4, 2), (4, 3)]);
    assert_eq!(slots(&disk, 3, Vec::new(), usize::MAX), Ok(vec![]));
}

#[test]
fn what_does_not_fit_is_the_rounds_furthest_ahead() {
    let disk = disk(8);
    let all = slots(&disk, 1, vec![Vec::new(); 8], usize::MAX).expect("within its limits");
    let one: Vec<VertexRef> = disk
        .now()
        .vertex_references(ERA, Round(1)..Round(2))
        .expect("the disk reads");
    let vertex = disk.now().vertex(ERA, &one[0]).expect("the disk reads");
    let vertex_bytes = holdfast_types::codec::encode(vertex.expect("it is stored").vertex()).len();
    let some = slots(&disk, 1, vec![Vec::new(); 8], 10 * vertex_bytes).expect("within its limits");
    assert!((8..16).contains(&some.len()), "{some:?}");
    assert!(all.starts_with(&some), "lowest rounds first: {some:?}");
}

#[test]
fn a_request_for_more_rounds_than_the_limit_is_malformed() {
    let disk = disk(2);
    let most = slots(&disk, 1, vec![Vec::new(); MISSING_ROUNDS_MAX], usize::MAX);
    assert_eq!(most.map(|slots| slots.len()), Ok(8));
    let more = slots(
        &disk,
        1,
        vec![Vec::new(); MISSING_ROUNDS_MAX + 1],
        usize::MAX,
    );
    assert_eq!(more, Err(Refusal::Malformed));
}
