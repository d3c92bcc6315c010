//! A validator that is asked to stop takes its key off the chain first, and has it back after its next start.

use crate::harness::{Cluster, PATIENCE, POLL};
use holdfast_rpc::dto::PublicKey;
use holdfast_rpc::methods::{GetValidators, NoParams};
use std::collections::BTreeMap;

/// The signing key of a validator as node 0 has it.
async fn key_of(cluster: &Cluster, number: usize) -> Option<PublicKey> {
    let validators = cluster.clients[0].call::<GetValidators>(NoParams {}).await;
    let account = cluster.nodes[number].account.to_string();
    let mut validators = validators.unwrap().into_iter();
    let found = validators.find(|one| one.account.to_string() == account);
    found.unwrap().signing_key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_takes_its_key_off_the_chain_and_its_next_start_gives_it_back() {
    let settings = [("validator.disable_key_on_shutdown", "true")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut cluster = Cluster::start_with(4, 600, BTreeMap::from(settings)).await;
    let key = key_of(&cluster, 3).await;
    assert!(key.is_some());

    // kill -9 says no farewell.
    cluster.kill(3).await;
    assert_eq!(key_of(&cluster, 3).await, key);
    cluster.spawn(3);
    cluster.ready(3).await;

    cluster.stop(3).await;
    assert_eq!(
        key_of(&cluster, 3).await,
        None,
        "the block came before the end"
    );
    cluster.spawn(3);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while key_of(&cluster, 3).await != key {
        assert!(tokio::time::Instant::now() < deadline, "the key stays away");
        tokio::time::sleep(POLL).await;
    }
    cluster.ready(3).await;
    cluster.assert_same_chain().await;
    cluster.assert_no_equivocation();
}
