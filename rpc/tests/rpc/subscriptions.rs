//! Subscriptions: order, filters, finality, cursors, gaps.

use crate::support::{config, request, start, start_with_feed};
use holdfast_rpc::dto::{Cursor, NotificationBody, SubscriptionKind};
use holdfast_rpc::methods::SubscribeParams;
use holdfast_rpc::{ClientConfig, EventStream, FeedLimits, RpcConfig};
use serde_json::json;

const SMALL_FEED: FeedLimits = FeedLimits {
    events_max: 4,
    transaction_ids_max: 1000,
};

#[tokio::test]
async fn blocks_in_order_with_cursors_that_resume() {
    let node = start(config()).await;
    let mut socket = node.websocket().await;
    socket.subscribe(json!({ "kind": "blocks" })).await;
    for _ in 1..=5 {
        node.backend.produce_block();
    }
    let mut cursors = Vec::new();
    for height in 1..=5 {
        let notification = socket.notification().await;
        assert_eq!(
            notification["block"]["header"]["height"], height,
            "{notification}"
        );
        cursors.push(notification["cursor"].clone());
    }
    drop(socket);
    node.backend.produce_block();
    let mut socket = node.websocket().await;
    socket
        .subscribe(json!({ "kind": "blocks", "from": cursors[2] }))
        .await;
    for height in 4..=6 {
        assert_eq!(
            socket.notification().await["block"]["header"]["height"],
            height
        );
    }
}

#[tokio::test]
async fn a_new_subscription_starts_with_the_next_event() {
    let node = start(config()).await;
    node.backend.produce_block();
    let mut socket = node.websocket().await;
    let id = socket.subscribe(json!(["blocks"])).await;
    node.backend.produce_block();
    let (subscription, result) = socket.notification_of_any().await;
    assert_eq!(subscription, id);
    assert_eq!(result["block"]["header"]["height"], 2);
    assert_eq!(result["block"]["transaction_count"], 0);
}

#[tokio::test]
async fn receipts_with_every_filter() {
    let node = start(config()).await;
    let mut socket = node.websocket().await;
    let all = socket.subscribe(json!({ "kind": "receipts" })).await;
    let of_alice = socket
        .subscribe(json!({ "kind": "receipts", "account": "alice" }))
        .await;
    let of_carol = socket
        .subscribe(json!({ "kind": "receipts", "account": "carol" }))
        .await;
    node.backend.produce_block();
    let block = node.block_of(&["aa", "bb"]).await;
    let id = node.call("chain_getBlock", json!([2])).await["result"]["transaction_ids"][1].clone();
    let of_one = socket
        .subscribe(json!({ "kind": "receipts", "transaction_id": id, "from": cursor_before(0) }))
        .await;

    let mut received = Vec::new();
    for _ in 0..3 {
        let (subscription, result) = socket.notification_of_any().await;
        assert_eq!(result["receipts"]["block_id"], json!(block.id), "{result}");
        let receipts = result["receipts"]["receipts"].as_array().unwrap();
        assert!(
            receipts
                .iter()
                .all(|receipt| receipt["finality"] == "committed")
        );
        received.push((subscription, receipts.len()));
    }
    received.sort();
    let mut expected = vec![(all, 2), (of_alice, 2), (of_one, 1)];
    expected.sort();
    assert_eq!(received, expected);
    assert!(!received.iter().any(|(id, _)| *id == of_carol));
}

/// A cursor of the fake node's run.
fn cursor_before(sequence: u64) -> String {
    Cursor {
        run: 0x6423_f1e8_a1b4,
        sequence,
    }
    .to_string()
}

#[tokio::test]
async fn irreversible_ones_wait_for_the_certificate() {
    let node = start(config()).await;
    let mut socket = node.websocket().await;
    socket
        .subscribe(json!({ "kind": "receipts", "finality": "irreversible" }))
        .await;
    let mut finality = node.websocket().await;
    finality.subscribe(json!({ "kind": "finality" })).await;
    node.block_of(&["aa"]).await;
    node.block_of(&["bb"]).await;
    node.block_of(&["cc"]).await;
    node.backend.certify(2);
    for height in 1..=2 {
        let notification = socket.notification().await;
        assert_eq!(notification["receipts"]["height"], height);
        assert_eq!(
            notification["receipts"]["receipts"][0]["finality"],
            "irreversible"
        );
    }
    // Block 3 is not certified: the next thing that this connection hears is the reply to a call.
    let reply = socket.call("chain_getHeader", json!([3])).await;
    assert_eq!(reply["result"]["height"], 3);
    node.backend.certify(3);
    assert_eq!(socket.notification().await["receipts"]["height"], 3);
    let notification = finality.notification().await;
    assert_eq!(
        (
            &notification["finality"]["certified"]["height"],
            &notification["finality"]["lib"]["height"]
        ),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn provisional_ones_come_in_an_emergency_to_those_who_want_them() {
    let node = start(config()).await;
    let mut provisional = node.websocket().await;
    provisional
        .subscribe(json!({ "kind": "receipts", "finality": "emergency" }))
        .await;
    let mut certified = node.websocket().await;
    certified
        .subscribe(json!({ "kind": "receipts", "finality": "irreversible" }))
        .await;
    let mut finality = node.websocket().await;
    finality.subscribe(json!({ "kind": "finality" })).await;
    for (height, expected) in [(1, "emergency"), (2, "irreversible")] {
        node.block_of(&[["aa", "bb"][height - 1]]).await;
        if height == 1 {
            node.backend.set_emergency(1);
        } else {
            node.backend.certify(2);
        }
        let notification = provisional.notification().await;
        assert_eq!(notification["receipts"]["height"], height);
        let receipt = &notification["receipts"]["receipts"][0];
        assert_eq!(receipt["finality"], expected);
        let told = finality.notification().await;
        assert_eq!(told["finality"]["is_provisional"], height == 1);
    }
    let notification = certified.notification().await;
    assert_eq!(notification["receipts"]["height"], 1);
    let receipt = &notification["receipts"]["receipts"][0];
    assert_eq!(receipt["finality"], "irreversible");
}

#[tokio::test]
async fn an_old_cursor_is_told_of_the_gap() {
    let node = start_with_feed(config(), SMALL_FEED).await;
    for _ in 0..5 {
        node.backend.produce_block();
    }
    let mut socket = node.websocket().await;
    socket
        .subscribe(json!({ "kind": "blocks", "from": cursor_before(2) }))
        .await;
    let gap = socket.notification().await;
    // Ten events were published, the feed keeps four: those of blocks 4 and 5.
    assert_eq!(
        gap["gap"],
        json!({ "from": cursor_before(2), "to": cursor_before(6), "next_height": 4 })
    );
    assert_eq!(gap["cursor"], json!(cursor_before(6)));
    for height in 4..=5 {
        assert_eq!(
            socket.notification().await["block"]["header"]["height"],
            height
        );
    }
}

#[tokio::test]
async fn a_cursor_of_another_run_is_told_of_the_gap() {
    let node = start(config()).await;
    node.backend.produce_block();
    let foreign = Cursor {
        run: 1,
        sequence: 77,
    }
    .to_string();
    let mut socket = node.websocket().await;
    socket
        .subscribe(json!({ "kind": "blocks", "from": foreign }))
        .await;
    let gap = socket.notification().await;
    assert_eq!(
        gap["gap"],
        json!({ "from": foreign, "to": cursor_before(0), "next_height": 1 })
    );
    assert_eq!(socket.notification().await["block"]["header"]["height"], 1);
}

#[tokio::test]
async fn a_cursor_that_was_never_given_out_is_refused() {
    let node = start(config()).await;
    let mut socket = node.websocket().await;
    let reply = socket
        .call(
            "chain_subscribe",
            json!({ "kind": "blocks", "from": cursor_before(1) }),
        )
        .await;
    assert_eq!(
        (
            &reply["error"]["code"],
            &reply["error"]["data"]["parameter"]
        ),
        (&json!(-32602), &json!("from"))
    );
}

#[tokio::test]
async fn filters_that_make_no_sense_are_refused() {
    let node = start(config()).await;
    let mut socket = node.websocket().await;
    for (params, parameter) in [
        (json!({ "kind": "blocks", "account": "alice" }), "account"),
        (
            json!({ "kind": "finality", "transaction_id": "0".repeat(64) }),
            "transaction_id",
        ),
        (
            json!({ "kind": "finality", "finality": "committed" }),
            "finality",
        ),
        (json!({ "kind": "everything" }), "kind"),
        (json!({ "kind": "blocks", "from": "soon" }), "from"),
        (json!({}), "kind"),
    ] {
        let reply = socket.call("chain_subscribe", params.clone()).await;
        assert_eq!(
            (
                &reply["error"]["code"],
                &reply["error"]["data"]["parameter"]
            ),
            (&json!(-32602), &json!(parameter)),
            "{params}"
        );
    }
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_loses_events_but_blocks_nobody() {
    let node = start_with_feed(config(), SMALL_FEED).await;
    let mut slow = node.websocket().await;
    slow.subscribe(json!({ "kind": "blocks" })).await;
    const BLOCKS: u64 = 60_000;
    // Publishing all of this takes no longer because of the subscriber, whose socket buffers fill up.
    let backend = node.backend.clone();
    tokio::task::spawn_blocking(move || {
        (0..BLOCKS).for_each(|_| {
            backend.produce_block();
        })
    })
    .await
    .unwrap();
    let (mut height, mut gaps) = (0, 0);
    while height < BLOCKS {
        let notification = slow.notification().await;
        if let Some(gap) = notification.get("gap") {
            gaps += 1;
            assert!(
                gap["next_height"]
                    .as_u64()
                    .is_none_or(|next| next > height + 1),
                "{gap} after {height}"
            );
            height = gap["next_height"].as_u64().map_or(height, |next| next - 1);
        } else {
            height += 1;
            assert_eq!(notification["block"]["header"]["height"], height);
        }
    }
    assert!(gaps > 0, "the feed of four events was never overrun");
}

#[tokio::test]
async fn a_block_whose_receipts_are_gone_is_a_gap() {
    let node = start(config()).await;
    let block = node.block_of(&["aa"]).await;
    node.backend.prune_below(block.height.get() + 1);
    let mut socket = node.websocket().await;
    socket
        .subscribe(json!({ "kind": "receipts", "from": cursor_before(0) }))
        .await;
    let gap = socket.notification().await;
    assert_eq!(gap["gap"]["next_height"], block.height.get() + 1, "{gap}");
}

#[tokio::test]
async fn subscriptions_end_and_are_limited() {
    let node = start(RpcConfig {
        subscriptions_per_connection_max: 2,
        ..config()
    })
    .await;
    let mut socket = node.websocket().await;
    let first = socket.subscribe(json!(["blocks"])).await;
    let second = socket.subscribe(json!(["blocks"])).await;
    let reply = socket.call("chain_subscribe", json!(["blocks"])).await;
    assert_eq!(
        (&reply["error"]["code"], &reply["error"]["data"]["limit"]),
        (&json!(-32060), &json!(2))
    );
    assert_eq!(
        socket.call("chain_unsubscribe", json!([first])).await["result"],
        true
    );
    assert_eq!(
        socket.call("chain_unsubscribe", json!([first])).await["result"],
        false
    );
    let third = socket.subscribe(json!(["blocks"])).await;
    node.backend.produce_block();
    let mut heard = [
        socket.notification_of_any().await.0,
        socket.notification_of_any().await.0,
    ];
    heard.sort();
    let mut expected = [second, third.clone()];
    expected.sort();
    assert_eq!(heard, expected);
    // Another connection cannot end it.
    assert_eq!(
        node.websocket()
            .await
            .call("chain_unsubscribe", json!([third]))
            .await["result"],
        false
    );
}

#[tokio::test]
async fn subscriptions_need_a_websocket() {
    let node = start(config()).await;
    for (method, params) in [
        ("chain_subscribe", json!(["blocks"])),
        ("chain_unsubscribe", json!(["1"])),
    ] {
        let reply = node.call(method, params).await;
        assert_eq!(reply["error"]["code"], -32601);
        assert!(
            reply["error"]["message"]
                .as_str()
                .unwrap()
                .contains("WebSocket only"),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn no_notification_comes_before_the_reply_that_announces_it() {
    let node = start(config()).await;
    node.backend.produce_block();
    node.backend.hold_submissions(true);
    let mut socket = node.websocket().await;
    // The transaction keeps the reply of the batch back while the subscription would have events to send.
    let batch = json!([
        request(
            1,
            "chain_subscribe",
            json!({ "kind": "blocks", "from": cursor_before(0) })
        ),
        request(2, "chain_sendTransaction", json!(["aa"])),
    ]);
    socket.send(batch.to_string()).await;
    while node.backend.held_submissions() == 0 {
        tokio::task::yield_now().await;
    }
    node.backend.produce_block();
    node.backend.hold_submissions(false);
    let replies = socket.json().await;
    assert!(replies[0]["result"].is_string(), "{replies}");
    assert_eq!(socket.notification().await["block"]["header"]["height"], 1);
    assert_eq!(socket.notification().await["block"]["header"]["height"], 2);
}

#[tokio::test]
async fn the_typed_stream() {
    let node = start(config()).await;
    let params = SubscribeParams {
        kind: SubscriptionKind::Receipts,
        from: None,
        finality: None,
        account: None,
        transaction_id: None,
    };
    let mut events = EventStream::open(&node.url(), params, ClientConfig::default())
        .await
        .unwrap();
    node.block_of(&["aa", "bb"]).await;
    let notification = events.next().await.unwrap().unwrap();
    let NotificationBody::Receipts(receipts) = notification.body else {
        panic!("{notification:?}")
    };
    assert_eq!((receipts.height.get(), receipts.receipts.len()), (1, 2));
    node.handle.stop().await;
    assert!(events.next().await.is_none());
}
