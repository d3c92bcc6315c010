//! One validator of four is killed under load. The others go on; restarted, it catches up and takes part again.

use crate::harness::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_killed_validator_comes_back() {
    let mut cluster = Cluster::start(4, 600).await;
    let load = cluster.load(&[0, 1, 2], 60.0);
    load.irreversible(60).await;

    cluster.kill(3).await;
    let before = cluster.status(0).await.certified.height.get();
    cluster
        .wait_for(0, "progress of the other three", |status| {
            status.certified.height.get() > before + 60
        })
        .await;

    cluster.spawn(3);
    cluster.ready(3).await;
    let there = cluster.status(0).await.certified.height.get();
    cluster
        .wait_for(3, "catching up", |status| {
            status.certified.height.get() > there
        })
        .await;
    // It takes part again: with another one gone, the remaining three are a quorum only with it.
    cluster.kill(2).await;
    let before = cluster.status(3).await.certified.height.get();
    cluster
        .wait_for(0, "progress that needs the restarted one", |status| {
            status.certified.height.get() > before + 40
        })
        .await;
    cluster.spawn(2);
    cluster.ready(2).await;
    drop(load.stop().await);
    cluster.assert_same_chain().await;
    cluster.assert_no_equivocation();
}
