//! Validators freeze the chain by vote and let it go on by vote; one that is killed meanwhile comes back frozen, one with another
//! cluster secret is not heard.

use crate::harness::{Cluster, PATIENCE, POLL};
use holdfast::cluster_secret;
use holdfast::devnet::homes;
use holdfast_rpc::dto::{LockdownPhase, LockdownStatus, SendOptions, Status, TransactionBytes};
use holdfast_rpc::methods::{
    GetLockdownStatus, LockdownVoteParams, NoParams, SendParams, SendTransaction, VoteLockdown,
    VoteRecovery,
};
use holdfast_rpc::{AdminToken, Client, ClientConfig, ClientError, ErrorCode};
use holdfast_types::{Action, Signer as _, TransactionBody, codec};

impl Cluster {
    /// A client that may change a node.
    fn admin(&self, number: usize) -> Client {
        let node = &self.nodes[number];
        let token = std::fs::read_to_string(node.home.join("admin.token")).unwrap();
        let config = ClientConfig {
            admin_token: Some(AdminToken::from_text(&token)),
            ..ClientConfig::default()
        };
        Client::new(&format!("http://{}", node.rpc), config).unwrap()
    }

    async fn vote(&self, number: usize) -> LockdownStatus {
        let params = LockdownVoteParams {
            reason: format!("seen by {number}"),
        };
        let voted = self.admin(number).call::<VoteLockdown>(params).await;
        voted.unwrap()
    }

    async fn wait_for_lockdown(
        &self,
        number: usize,
        what: &str,
        condition: impl Fn(&LockdownStatus) -> bool,
    ) -> LockdownStatus {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let client = &self.clients[number];
            let answer = client.call::<GetLockdownStatus>(NoParams {}).await;
            if let Ok(status) = &answer
                && condition(status)
            {
                return status.clone();
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "node {number}: {what} did not happen: {answer:?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A transfer that could be executed.
fn transfer(cluster: &Cluster) -> Vec<u8> {
    let key = homes::account_key(150);
    let body = TransactionBody {
        sender: homes::account_name(150),
        public_key: key.public_key(),
        nonce: 0,
        fee_max: 1_000_000_000,
        expires_at: None,
        action: Action::Transfer {
            to: homes::account_name(151),
            amount: 1,
            memo: Vec::new(),
        },
    };
    codec::encode(&body.sign(&cluster.chain, &key))
}

/// Three of four vote; all freeze, also the one with the other secret, which the votes that the others show convince.
async fn freeze(cluster: &Cluster) {
    cluster.vote(0).await;
    cluster.vote(1).await;
    let both = |status: &LockdownStatus| status.votes.len() == 2;
    let voting = cluster.wait_for_lockdown(2, "two votes", both).await;
    assert_eq!(
        (voting.phase, voting.votes_missing),
        (LockdownPhase::Voting, 1)
    );
    assert_eq!(voting.votes[0].reason, "seen by 0");
    cluster.vote(2).await;
    for number in 0..4 {
        let locked = |status: &LockdownStatus| status.phase == LockdownPhase::Locked;
        cluster.wait_for_lockdown(number, "the lock", locked).await;
    }
    let params = SendParams {
        transaction: TransactionBytes(transfer(cluster).into()),
        options: None::<SendOptions>,
    };
    let refused = cluster.clients[0].call::<SendTransaction>(params).await;
    let Err(ClientError::Call(refused)) = refused else {
        panic!("a frozen chain takes no transaction: {refused:?}")
    };
    assert_eq!(refused.error_code(), Some(ErrorCode::Lockdown));
}

/// Who is killed comes back frozen, also when nobody is there to tell it, and with the right secret; nobody makes a block.
async fn come_back_frozen(cluster: &mut Cluster) {
    for number in 0..4 {
        cluster.kill(number).await;
    }
    for number in [1, 0, 2, 3] {
        cluster.spawn(number);
        let first = cluster
            .wait_for_lockdown(number, "an answer", |_| true)
            .await;
        assert_eq!(first.phase, LockdownPhase::Locked);
    }
    let head = |status: &Status| (status.era, status.head.height);
    let frozen_at = head(&cluster.status(0).await);
    for number in 0..4 {
        let all = |status: &LockdownStatus| status.reports.len() == 4;
        cluster.wait_for_lockdown(number, "four reports", all).await;
    }
    assert_eq!(head(&cluster.status(0).await), frozen_at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thirds_freeze_the_chain_and_let_it_go_on() {
    let mut cluster = Cluster::start(4, 600).await;
    let load = cluster.load(&[0, 1, 2], 60.0);
    load.irreversible(60).await;
    drop(load.stop().await);

    // With the key of a validator and another secret one changes nothing.
    cluster.stop(3).await;
    let secret = cluster.nodes[3].home.join("keys/cluster.secret");
    let shared = std::fs::read(&secret).unwrap();
    std::fs::remove_file(&secret).unwrap();
    cluster_secret::create(&secret).unwrap();
    cluster.spawn(3);
    cluster.ready(3).await;
    assert_eq!(cluster.vote(3).await.votes.len(), 1, "it counts its own");
    let hears = |status: &LockdownStatus| status.messages_refused.get() > 0;
    let deaf = cluster.wait_for_lockdown(0, "hearing it", hears).await;
    assert_eq!(deaf.phase, LockdownPhase::Normal);

    freeze(&cluster).await;
    let era = cluster.status(0).await.era;
    std::fs::write(&secret, shared).unwrap();
    come_back_frozen(&mut cluster).await;
    for number in 0..3 {
        let admin = cluster.admin(number);
        admin.call::<VoteRecovery>(NoParams {}).await.unwrap();
    }
    for number in 0..4 {
        let runs = |status: &LockdownStatus| {
            status.phase == LockdownPhase::Normal && status.era.get() > era.get()
        };
        cluster.wait_for_lockdown(number, "the thaw", runs).await;
    }
    let before = cluster.status(0).await.certified.height.get();
    for number in 0..4 {
        cluster
            .wait_for(number, "progress", |status| {
                status.certified.height.get() > before + 10
            })
            .await;
    }
    cluster.assert_same_chain().await;
    cluster.assert_no_equivocation();
}
