//! All validators are killed at once under load. Restarted, they go on from where they were, and nothing that was
//! acknowledged as irreversible is lost.

use crate::harness::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_killed_validators_go_on() {
    let mut cluster = Cluster::start(4, 600).await;
    let load = cluster.load(&[0, 1, 2, 3], 100.0);
    load.irreversible(150).await;
    let height = cluster.status(0).await.certified.height.get();
    for number in 0..4 {
        cluster.kill(number).await;
    }
    let tracker = load.stop().await;
    let acknowledged = tracker.irreversible_ids();
    assert!(acknowledged.len() >= 150);

    for number in 0..4 {
        cluster.spawn(number);
    }
    for number in 0..4 {
        cluster.ready(number).await;
        cluster
            .wait_for(number, "going on", |status| {
                status.certified.height.get() > height + 20
            })
            .await;
    }
    for id in acknowledged {
        let receipt = cluster.receipt(0, id).await;
        assert!(
            receipt.is_some_and(
                |receipt| receipt.finality == holdfast_rpc::dto::Finality::Irreversible
            ),
            "an irreversible transaction is gone: {}",
            hex::encode(id)
        );
    }
    // What was queued is not lost either: the load goes on with the nonces that follow.
    let load = cluster.load(&[0, 1, 2, 3], 100.0);
    load.irreversible(100).await;
    drop(load.stop().await);
    cluster.assert_same_chain().await;
    cluster.assert_no_equivocation();
}
