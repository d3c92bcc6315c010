//! A validator loses its disk under load, sign guard included. With a guard for a key with a past it signs again by itself,
//! and no slot twice.

use crate::harness::Cluster;
use holdfast_rpc::dto::SigningState;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_lost_its_guard_signs_again_and_nothing_twice() {
    let mut cluster = Cluster::start(4, 600).await;
    let load = cluster.load(&[0, 1, 2], 60.0);
    load.irreversible(60).await;
    cluster.kill(3).await;
    cluster.lose_disk(3);

    cluster.spawn_with(3, &["--init-sign-guard"]);
    cluster.ready(3).await;
    let signing = cluster.wait_for_signing(3, SigningState::Active).await;
    assert_eq!(signing.reason, None);
    // With another one gone, the remaining three are a quorum only with it.
    cluster.kill(2).await;
    let before = cluster.status(0).await.certified.height.get();
    cluster
        .wait_for(0, "progress that needs the restored one", |status| {
            status.certified.height.get() > before + 40
        })
        .await;
    cluster.spawn(2);
    cluster.ready(2).await;
    drop(load.stop().await);
    cluster.assert_same_chain().await;
    cluster.assert_no_equivocation();
}
