//! Requests between honest nodes.

use bytes::Bytes;
use holdfast_network::{Penalty, REQUEST_BYTES_MAX, RequestError, RequestProtocol, RespondError};

use crate::support::{Node, isolated, pair, within};

#[tokio::test]
async fn every_protocol_asks_and_answers_up_to_its_limits() {
    let (mut first, second) = pair().await;
    for protocol in RequestProtocol::ALL {
        let question = Bytes::from(vec![1; protocol.request_bytes_max()]);
        let answer = Bytes::from(vec![2; protocol.response_bytes_max()]);
        let asking = second
            .handle
            .request(first.id(), protocol, question.clone());
        let answering = async {
            let (peer, data, responder) = first.asked().await;
            assert_eq!((peer, data), (second.id(), question.clone()));
            responder.respond(answer.clone()).unwrap();
        };
        let (got, ()) = within("the answer comes", async {
            tokio::join!(asking, answering)
        })
        .await;
        assert_eq!(got.unwrap(), answer);
        let asked = *second.handle.counters().request(protocol);
        assert_eq!(
            (asked.sent, asked.answered, asked.refused, asked.failed),
            (1, 1, 0, 0)
        );
        assert_eq!(asked.answer_bytes, answer.len() as u64);
        let served = *first.handle.counters().request(protocol);
        assert_eq!((served.received, served.served, served.limited), (1, 1, 0));
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent() {
    let (mut first, second) = pair().await;
    let protocol = RequestProtocol::Status;
    let error = second
        .handle
        .request(
            first.id(),
            protocol,
            Bytes::from(vec![0; REQUEST_BYTES_MAX + 1]),
        )
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        RequestError::TooLarge { bytes: 16_385, .. }
    ));

    let asking = second.handle.request(first.id(), protocol, Bytes::new());
    let answering = async {
        let (_, _, responder) = first.asked().await;
        responder.respond(Bytes::from(vec![0; protocol.response_bytes_max() + 1]))
    };
    let (asked, answered) = within("it ends", async { tokio::join!(asking, answering) }).await;
    assert!(matches!(answered, Err(RespondError::TooLarge { .. })));
    assert_eq!(
        asked,
        Err(RequestError::Unavailable {
            peer: first.id(),
            protocol
        })
    );
}

#[tokio::test]
async fn an_answer_longer_than_asked_for_is_refused_and_costs() {
    let (mut first, second) = pair().await;
    let protocol = RequestProtocol::Blocks;
    let asking = second
        .handle
        .request_at_most(first.id(), protocol, Bytes::new(), 1000);
    let answering = async {
        let (_, _, responder) = first.asked().await;
        responder.respond(Bytes::from(vec![0; 1001])).unwrap();
    };
    let (asked, ()) = within("it ends", async { tokio::join!(asking, answering) }).await;
    assert!(
        matches!(asked, Err(RequestError::InvalidAnswer { .. })),
        "{asked:?}"
    );
    // The penalty is counted before the answer to the next order.
    second.handle.peers().await;
    assert_eq!(
        second.handle.counters().penalty(Penalty::InvalidResponse),
        1
    );
}

#[tokio::test]
async fn a_dropped_or_busy_responder_says_so() {
    let (mut first, second) = pair().await;
    let (peer, protocol) = (first.id(), RequestProtocol::Snapshot);
    let asking = second.handle.request(peer, protocol, Bytes::new());
    let dropping = async { drop(first.asked().await) };
    let (asked, ()) = within("it ends", async { tokio::join!(asking, dropping) }).await;
    assert_eq!(asked, Err(RequestError::Unavailable { peer, protocol }));

    let asking = second.handle.request(peer, protocol, Bytes::new());
    let refusing = async { first.asked().await.2.respond_busy().unwrap() };
    let (asked, ()) = within("it ends", async { tokio::join!(asking, refusing) }).await;
    assert_eq!(asked, Err(RequestError::Busy { peer }));
    assert_eq!(second.handle.counters().request(protocol).refused, 2);
}

#[tokio::test]
async fn a_node_that_takes_no_requests_any_more_answers_all_the_same() {
    let (first, second) = pair().await;
    let (peer, protocol) = (first.id(), RequestProtocol::Status);
    let Node {
        handle: _handle,
        events,
        ..
    } = first;
    drop(events);
    let asked = within(
        "it ends",
        second.handle.request(peer, protocol, Bytes::new()),
    )
    .await;
    assert_eq!(asked, Err(RequestError::Unavailable { peer, protocol }));
}

#[tokio::test]
async fn strangers_and_the_dead_are_not_asked() {
    let (mut first, second) = pair().await;
    let stranger = isolated(9).peer_id();
    let asked = second
        .handle
        .request(stranger, RequestProtocol::Status, Bytes::new())
        .await;
    assert_eq!(asked, Err(RequestError::NotConnected { peer: stranger }));

    let peer = first.id();
    let asking = second
        .handle
        .request(peer, RequestProtocol::Status, Bytes::new());
    let dying = async {
        let asked = first.asked().await;
        first.handle.shutdown().await;
        drop(asked);
    };
    let (asked, ()) = within("it ends", async { tokio::join!(asking, dying) }).await;
    assert_eq!(asked, Err(RequestError::Disconnected { peer }));

    second.handle.shutdown().await;
    let asked = second
        .handle
        .request(peer, RequestProtocol::Status, Bytes::new())
        .await;
    assert_eq!(asked, Err(RequestError::Stopped));
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let (mut first, second) = pair().await;
    let (peer, protocol) = (first.id(), RequestProtocol::Vertices);
    let asking = futures::future::join_all(
        (0..40).map(|_| second.handle.request(peer, protocol, Bytes::new())),
    );
    let answering = async {
        let mut held = Vec::new();
        for _ in 0..32 {
            held.push(first.asked().await.2);
        }
        for responder in held {
            responder.respond(Bytes::from_static(b"here")).unwrap();
        }
    };
    let (asked, ()) = within("all end", async { tokio::join!(asking, answering) }).await;
    let answered = asked.iter().filter(|answer| answer.is_ok()).count();
    let refused = asked
        .iter()
        .filter(|answer| **answer == Err(RequestError::TooManyInFlight))
        .count();
    assert_eq!((answered, refused), (32, 8));
    // And the room is free again.
    let asking = second.handle.request(peer, protocol, Bytes::new());
    let answering = async { first.asked().await.2.respond(Bytes::new()).unwrap() };
    let (asked, ()) = within("it ends", async { tokio::join!(asking, answering) }).await;
    assert!(asked.is_ok());
}

#[tokio::test]
async fn a_peer_that_asks_too_often_is_told_to_wait() {
    let (mut first, second) = pair().await;
    let (peer, protocol) = (first.id(), RequestProtocol::LastVertices);
    let asking = async {
        let mut busy = 0;
        for _ in 0..60 {
            match second.handle.request(peer, protocol, Bytes::new()).await {
                Ok(_) => {}
                Err(RequestError::Busy { .. }) => busy += 1,
                Err(other) => panic!("{other}"),
            }
        }
        busy
    };
    let answering = async {
        loop {
            first.asked().await.2.respond(Bytes::new()).unwrap();
        }
    };
    let busy = within("all end", async {
        tokio::select! { busy = asking => busy, () = answering => unreachable!() }
    })
    .await;
    assert!(busy > 0);
    assert_eq!(first.handle.counters().request(protocol).limited, busy);
    assert_eq!(first.handle.counters().penalty(Penalty::RequestFlood), busy);
    assert_eq!(
        first.handle.counters().links.bans,
        0,
        "impatience alone bans nobody"
    );
}
