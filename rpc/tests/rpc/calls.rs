//! Every method, through the typed client, against what the backend says.

use crate::support::{Node, config, start};
use holdfast_rpc::dto::{
    AccountOptions, BlockDetail, BlockSelector, Finality, Hash, Number, ReceiptStatus,
};
use holdfast_rpc::methods::{
    AccountParams, BlockParams, CommitteeParams, Discover, GetAccount, GetBlock, GetCertificate,
    GetCommittee, GetHeader, GetInfo, GetParameters, GetPeers, GetReceipt, GetStatus,
    GetTransaction, GetValidators, HeaderParams, HeightParams, NoParams, TransactionIdParams,
};
use holdfast_rpc::testing::FAILING_TRANSACTION;
use holdfast_rpc::{Backend, ClientError, ErrorCode};

#[tokio::test]
async fn queries_of_memory() {
    let node = start(config()).await;
    let client = node.client();
    assert_eq!(
        client.call::<GetStatus>(NoParams {}).await.unwrap(),
        node.backend.status().unwrap()
    );
    assert_eq!(
        client.call::<GetInfo>(NoParams {}).await.unwrap(),
        node.backend.node_info().unwrap()
    );
    assert_eq!(
        client.call::<GetPeers>(NoParams {}).await.unwrap(),
        node.backend.peers().unwrap()
    );
    assert_eq!(
        client.call::<GetParameters>(NoParams {}).await.unwrap(),
        node.backend.parameters().unwrap()
    );
}

/// A node whose head, certified block and last irreversible block differ.
async fn node_with_three_blocks() -> Node {
    let node = start(config()).await;
    for height in 1..=3 {
        node.block_of(&["aa", "bb"]).await;
        node.backend.certify(height - 1);
    }
    node
}

#[tokio::test]
async fn blocks_and_headers_by_every_selector() {
    let node = node_with_three_blocks().await;
    let client = node.client();
    for (selector, height) in [
        (BlockSelector::Head, 3),
        (BlockSelector::Certified, 2),
        (BlockSelector::Lib, 1),
        (BlockSelector::Height(0), 0),
        (
            BlockSelector::Id(
                node.backend
                    .header(BlockSelector::Head)
                    .unwrap()
                    .unwrap()
                    .id,
            ),
            3,
        ),
    ] {
        let header = client
            .call::<GetHeader>(HeaderParams { block: selector })
            .await
            .unwrap();
        assert_eq!(header, node.backend.header(selector).unwrap());
        assert_eq!(header.unwrap().height, Number(height));
        for detail in [None, Some(BlockDetail::Full), Some(BlockDetail::Ids)] {
            let block = client
                .call::<GetBlock>(BlockParams {
                    block: selector,
                    detail,
                })
                .await
                .unwrap();
            assert_eq!(
                block,
                node.backend
                    .block(selector, detail.unwrap_or_default())
                    .unwrap()
            );
            assert_eq!(
                block.unwrap().transactions.is_none(),
                detail == Some(BlockDetail::Ids)
            );
        }
    }
}

#[tokio::test]
async fn unknown_blocks_and_headers_are_none() {
    let node = node_with_three_blocks().await;
    let client = node.client();
    for unknown in [
        BlockSelector::Height(4),
        BlockSelector::Id(Hash::new([9; 32])),
    ] {
        assert_eq!(
            client
                .call::<GetHeader>(HeaderParams { block: unknown })
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            client
                .call::<GetBlock>(BlockParams {
                    block: unknown,
                    detail: None
                })
                .await
                .unwrap(),
            None
        );
    }
}

#[tokio::test]
async fn transactions_and_receipts() {
    let node = start(config()).await;
    let client = node.client();
    let sent = client
        .send_transactions([vec![1, 2, 3], vec![FAILING_TRANSACTION, 1]])
        .await
        .unwrap();
    let ids: Vec<_> = sent
        .into_iter()
        .map(|sent| sent.unwrap().transaction_id)
        .collect();
    let transaction = |id| client.call::<GetTransaction>(TransactionIdParams { id });
    let receipt = |id| client.call::<GetReceipt>(TransactionIdParams { id });

    assert_eq!(transaction(ids[0]).await.unwrap().unwrap().id, ids[0]);
    assert_eq!(receipt(ids[0]).await.unwrap(), None);
    node.backend.produce_block();
    let committed = receipt(ids[0]).await.unwrap().unwrap();
    assert_eq!(
        (committed.finality, committed.status),
        (Finality::Committed, ReceiptStatus::Success)
    );
    node.backend.certify(1);
    let failed = receipt(ids[1]).await.unwrap().unwrap();
    assert_eq!(
        (failed.finality, failed.status),
        (Finality::Irreversible, ReceiptStatus::Failed)
    );
    assert_eq!(failed.failure_code.as_deref(), Some("insufficient_balance"));
    assert_eq!(transaction(Hash::new([0; 32])).await.unwrap(), None);
}

#[tokio::test]
async fn what_emergency_consensus_made_is_tagged_until_a_certificate_covers_it() {
    let node = start(config()).await;
    let client = node.client();
    let sent = client.send_transactions([vec![1, 2, 3]]).await.unwrap();
    let id = sent[0].as_ref().unwrap().transaction_id;
    node.backend.produce_block();
    let block = async || {
        let params = BlockParams {
            block: BlockSelector::Height(1),
            detail: None,
        };
        client.call::<GetBlock>(params).await.unwrap().unwrap()
    };
    let receipt = async || {
        let params = TransactionIdParams { id };
        client.call::<GetReceipt>(params).await.unwrap().unwrap()
    };
    for (lib, expected) in [(0, Finality::Committed), (1, Finality::Emergency)] {
        node.backend.set_emergency(lib);
        assert_eq!(block().await.finality, Some(expected));
        assert_eq!(receipt().await.finality, expected);
    }
    node.backend.certify(1);
    assert_eq!(block().await.finality, Some(Finality::Irreversible));
    assert_eq!(receipt().await.finality, Finality::Irreversible);
    assert!(Finality::Committed < Finality::Emergency);
    assert!(Finality::Emergency < Finality::Irreversible);
}

#[tokio::test]
async fn accounts_with_and_without_proof() {
    let node = start(config()).await;
    let client = node.client();
    let account = |name: &str, options| {
        client.call::<GetAccount>(AccountParams {
            name: name.parse().unwrap(),
            options,
        })
    };
    let alice = account("alice", None).await.unwrap().unwrap();
    assert_eq!((alice.name.as_str(), alice.proof), ("alice", None));
    let proven = account("alice", Some(AccountOptions { proof: true }))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(proven.proof.unwrap().height, proven.as_of_height);
    assert_eq!(account("nobody", None).await.unwrap(), None);
}

#[tokio::test]
async fn validators_committees_certificates() {
    let node = start(config()).await;
    node.backend.produce_block();
    node.backend.certify(1);
    let client = node.client();
    assert_eq!(
        client.call::<GetValidators>(NoParams {}).await.unwrap(),
        node.backend.validators().unwrap()
    );
    let committee = |era| client.call::<GetCommittee>(CommitteeParams { era });
    assert_eq!(
        committee(None).await.unwrap(),
        node.backend.committee(None).unwrap()
    );
    assert!(committee(Some(Number(1))).await.unwrap().is_some());
    assert_eq!(committee(Some(Number(2))).await.unwrap(), None);
    let certificate = |height| {
        client.call::<GetCertificate>(HeightParams {
            height: Number(height),
        })
    };
    assert_eq!(
        certificate(1).await.unwrap(),
        node.backend.certificate(1).unwrap()
    );
    assert_eq!(certificate(2).await.unwrap(), None);
}

#[tokio::test]
async fn the_openrpc_document_by_call_and_by_path() {
    let node = start(config()).await;
    let by_call = node.client().call::<Discover>(NoParams {}).await.unwrap();
    let by_path = node.get("/openrpc.json").await;
    assert_eq!(serde_json::Value::from(by_call), by_path.json());
    assert_eq!(by_path.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn what_is_pruned_is_an_error_with_the_lowest_height() {
    let node = start(config()).await;
    node.backend.produce_block();
    node.backend.prune_below(1);
    let error = node
        .client()
        .call::<GetHeader>(HeaderParams {
            block: BlockSelector::Height(0),
        })
        .await
        .unwrap_err();
    let ClientError::Call(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.error_code(), Some(ErrorCode::Pruned));
    assert_eq!(
        (&error.data["earliest"], &error.data["runbook"]),
        (&1.into(), &"docs/rpc.md#pruned".into())
    );
}

#[tokio::test]
async fn a_query_that_panics_is_an_internal_error_and_nothing_more() {
    let node = start(config()).await;
    let client = node.client();
    let query = |name: &str| {
        client.call::<GetAccount>(AccountParams {
            name: name.parse().unwrap(),
            options: None,
        })
    };
    for _ in 0..2 * config().query_threads_max {
        let error = query("panic").await.unwrap_err();
        let ClientError::Call(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.error_code(), Some(ErrorCode::InternalError));
    }
    assert!(query("alice").await.unwrap().is_some());
}

#[tokio::test]
async fn a_client_tells_what_went_wrong() {
    let node = start(config()).await;
    let client = node.client();
    node.handle.stop().await;
    let error = client.call::<GetStatus>(NoParams {}).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { url, .. } if url.ends_with("/rpc")),
        "{error}"
    );
    let error =
        holdfast_rpc::Client::new("nonsense", holdfast_rpc::ClientConfig::default()).unwrap_err();
    assert!(matches!(error, ClientError::Url { .. }), "{error}");
}
