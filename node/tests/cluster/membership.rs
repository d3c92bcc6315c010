//! A validator registers, joins the committee at an epoch boundary and leaves it again, under load, over at least three
//! boundaries.

use crate::harness::Cluster;
use holdfast::devnet::homes::{account_key, account_name, owner_key};
use holdfast_rpc::dto::{ReceiptStatus, SendOptions, TransactionBytes, WaitFor};
use holdfast_rpc::methods::{
    AccountParams, CommitteeParams, GetAccount, GetCommittee, SendParams, SendTransaction,
};
use holdfast_types::{AccountName, Action, KeyPair, Signer, TransactionBody, codec};

/// Sends one action and waits until it is irreversible.
async fn execute(cluster: &Cluster, sender: AccountName, key: &KeyPair, action: Action) {
    let client = &cluster.clients[0];
    let name = sender.as_str().parse().unwrap();
    let account = client
        .call::<GetAccount>(AccountParams {
            name,
            options: None,
        })
        .await
        .unwrap()
        .unwrap();
    let body = TransactionBody {
        sender,
        public_key: key.public_key(),
        nonce: account.nonce.get(),
        fee_max: 10_000_000,
        expires_at: None,
        action,
    };
    let encoded = codec::encode(&body.sign(&cluster.chain, key));
    let sent = client
        .call::<SendTransaction>(SendParams {
            transaction: TransactionBytes(encoded.into()),
            options: Some(SendOptions {
                wait: WaitFor::Irreversible,
                timeout_ms: Some(30_000),
            }),
        })
        .await
        .unwrap();
    let receipt = sent.receipt.unwrap();
    assert_eq!(receipt.status, ReceiptStatus::Success, "{receipt:?}");
}

async fn committee_size(cluster: &Cluster) -> usize {
    let committee = cluster.clients[0]
        .call::<GetCommittee>(CommitteeParams { era: None })
        .await
        .unwrap();
    committee.unwrap().members.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_joins_and_leaves_at_epoch_boundaries() {
    let cluster = Cluster::start(4, 10).await;
    let load = cluster.load(&[1, 2], 40.0);
    load.irreversible(20).await;
    assert_eq!(committee_size(&cluster).await, 4);
    // Accounts 100 and above are not touched by what is asserted here; the newcomer does not run, which the committee
    // of five tolerates.
    let newcomer = account_name(199);
    let key = account_key(199);
    let signing_key = KeyPair::from_secret(&[77; 32]).public_key();
    execute(
        &cluster,
        newcomer,
        &key,
        Action::RegisterValidator {
            signing_key: Some(signing_key),
            url: Vec::new(),
        },
    )
    .await;
    // The stake comes from a validator's owner, who has more than the load accounts.
    for number in 0..2 {
        let owner = AccountName::new(&format!("validator-{number}")).unwrap();
        let amount = holdfast::devnet::homes::OWNER_BALANCE / 2;
        let action = Action::Stake {
            validator: newcomer,
            amount,
        };
        execute(&cluster, owner, &owner_key(number), action).await;
    }
    let joined = cluster
        .wait_for(0, "a committee of five", |status| {
            status.committee_size == 5
        })
        .await;
    execute(
        &cluster,
        newcomer,
        &key,
        Action::UpdateValidator {
            signing_key: None,
            url: Vec::new(),
        },
    )
    .await;
    cluster
        .wait_for(0, "a committee of four again", |status| {
            status.committee_size == 4 && status.era > joined.era
        })
        .await;
    cluster
        .wait_for(0, "a fourth era", |status| status.era.get() >= 4)
        .await;
    let enough = load.tracker.counts().irreversible + 50;
    load.irreversible(enough).await;
    drop(load.stop().await);
    cluster.assert_same_chain().await;
    cluster.assert_no_equivocation();
}
