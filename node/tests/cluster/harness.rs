//! A devnet under load whose nodes can be killed and started again.

use holdfast::devnet::homes::{self, DevnetNode, DevnetSpec};
use holdfast::devnet::process::{NodeProcess, Stopped};
use holdfast::devnet::session::command;
use holdfast::load::{LoadPlan, Pace, Tracker, WhenDown};
use holdfast_genesis::{GenesisTime, Template};
use holdfast_rpc::dto::{BlockSelector, Receipt, SigningState, SigningStatus, Status};
use holdfast_rpc::methods::{
    GetHeader, GetInfo, GetReceipt, GetStatus, HeaderParams, NoParams, TransactionIdParams,
};
use holdfast_rpc::{Client, ClientConfig};
use holdfast_types::{ChainId, TimestampMs};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Every wait in these tests ends here at the latest, with a failure that says what was waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
pub(crate) const POLL: Duration = Duration::from_millis(100);

pub(crate) struct Cluster {
    pub(crate) chain: ChainId,
    pub(crate) nodes: Vec<DevnetNode>,
    processes: Vec<Option<NodeProcess>>,
    pub(crate) clients: Vec<Client>,
    _folder: TempDir,
}

impl Cluster {
    pub(crate) async fn start(validators: u16, epoch_seconds: u64) -> Self {
        Self::start_with(validators, epoch_seconds, BTreeMap::new()).await
    }

    /// The same with more settings for each node.
    pub(crate) async fn start_with(
        validators: u16,
        epoch_seconds: u64,
        settings: BTreeMap<String, String>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let devnet = homes::create(DevnetSpec {
            directory: folder.path().join("devnet"),
            validators,
            accounts: 200,
            template: Template::Devnet,
            genesis_time: GenesisTime(TimestampMs(now.as_millis() as u64)),
            epoch_duration_ms: Some(epoch_seconds * 1000),
            masters: 1,
            islands: Vec::new(),
            settings,
        })
        .unwrap();
        let chain = devnet.genesis.chain_id();
        let nodes = devnet.nodes.clone();
        drop(devnet.ports);
        let mut cluster = Self {
            chain,
            processes: nodes.iter().map(|_| None).collect(),
            clients: nodes
                .iter()
                .map(|node| {
                    Client::new(&format!("http://{}", node.rpc), ClientConfig::default()).unwrap()
                })
                .collect(),
            nodes,
            _folder: folder,
        };
        for number in 0..cluster.nodes.len() {
            cluster.spawn(number);
        }
        for number in 0..cluster.nodes.len() {
            cluster.ready(number).await;
        }
        cluster
    }

    /// Starts the process of a node that does not run.
    pub(crate) fn spawn(&mut self, number: usize) {
        self.spawn_with(number, &[]);
    }

    /// The same with more flags.
    pub(crate) fn spawn_with(&mut self, number: usize, flags: &[&str]) {
        assert!(self.processes[number].is_none(), "the node runs already");
        let executable = Path::new(env!("CARGO_BIN_EXE_holdfast"));
        let mut command = command(&self.nodes[number], executable);
        command.arguments.extend(flags.iter().map(OsString::from));
        self.processes[number] = Some(NodeProcess::spawn(command).unwrap());
    }

    /// Deletes what a node that does not run has on its disk, but its configuration and its keys.
    pub(crate) fn lose_disk(&self, number: usize) {
        let home = &self.nodes[number].home;
        std::fs::remove_dir_all(home.join("data")).unwrap();
        std::fs::remove_file(home.join("keys/validator.guard")).unwrap();
    }

    /// Waits until a node says this of its signing.
    pub(crate) async fn wait_for_signing(
        &self,
        number: usize,
        state: SigningState,
    ) -> SigningStatus {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.clients[number].call::<GetInfo>(NoParams {}).await;
            if let Ok(info) = &answer
                && info.signing.state == state
            {
                return info.signing.clone();
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "node {number} is not {state:?}: {answer:?}\n{}",
                self.log_tail(number)
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the node is caught up and the chain moves.
    pub(crate) async fn ready(&mut self, number: usize) {
        let address = self.nodes[number].rpc;
        let process = self.processes[number].as_mut().unwrap();
        process.wait_ready(address, PATIENCE).await.unwrap();
    }

    /// kill -9.
    pub(crate) async fn kill(&mut self, number: usize) {
        let mut process = self.processes[number].take().unwrap();
        process.kill().await.unwrap();
    }

    /// SIGTERM, and waits until the node has ended as it should.
    pub(crate) async fn stop(&mut self, number: usize) {
        let mut process = self.processes[number].take().unwrap();
        let stopped = process.stop(PATIENCE).await.unwrap();
        assert!(
            matches!(stopped, Stopped::Ended(status) if status.success()),
            "{stopped:?}\n{}",
            self.log_tail(number)
        );
    }

    pub(crate) async fn status(&self, number: usize) -> Status {
        self.clients[number]
            .call::<GetStatus>(NoParams {})
            .await
            .unwrap()
    }

    /// Waits until `condition` holds for the status of a node.
    pub(crate) async fn wait_for(
        &self,
        number: usize,
        what: &str,
        condition: impl Fn(&Status) -> bool,
    ) -> Status {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.clients[number].call::<GetStatus>(NoParams {}).await;
            if let Ok(status) = &answer
                && condition(status)
            {
                return status.clone();
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "node {number}: {what} did not happen: {answer:?}\n{}",
                self.log_tail(number)
            );
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) async fn receipt(&self, number: usize, id: [u8; 32]) -> Option<Receipt> {
        self.clients[number]
            .call::<GetReceipt>(TransactionIdParams { id: id.into() })
            .await
            .unwrap()
    }

    /// All nodes have the same block, and so the same roots below it, at the highest height that all have certified.
    pub(crate) async fn assert_same_chain(&self) {
        let mut common = u64::MAX;
        for number in 0..self.nodes.len() {
            common = common.min(self.status(number).await.certified.height.get());
        }
        assert!(common > 0);
        let mut headers = Vec::new();
        for client in &self.clients {
            let block = BlockSelector::Height(common);
            let header = client.call::<GetHeader>(HeaderParams { block }).await;
            headers.push(header.unwrap().unwrap());
        }
        for header in &headers {
            assert_eq!(header, &headers[0], "at height {common}");
        }
    }

    /// No node has seen a validator sign twice, and none was refused a signature.
    pub(crate) fn assert_no_equivocation(&self) {
        for node in &self.nodes {
            let log = std::fs::read_to_string(node.home.join("node.log")).unwrap();
            for line in log.lines() {
                for alarm in [
                    "signed two vertices",
                    "attested two blocks",
                    "signs elsewhere",
                ] {
                    assert!(!line.contains(alarm), "{}: {line}", node.name);
                }
            }
        }
    }

    fn log_tail(&self, number: usize) -> String {
        let log = self.nodes[number].home.join("node.log");
        holdfast::devnet::process::log_tail(&log, 20).unwrap_or_default()
    }

    /// Sends transfers to the nodes `to` until stopped.
    pub(crate) fn load(&self, to: &[usize], per_second: f64) -> Load {
        let tracker = Tracker::default();
        let plan = LoadPlan {
            chain: self.chain,
            urls: to
                .iter()
                .map(|number| format!("http://{}", self.nodes[*number].rpc))
                .collect(),
            // The other half of the accounts belongs to the tests themselves.
            accounts: 100,
            lanes_per_node: 2,
            pace: Pace::PerSecond(per_second),
            batch_max: 20,
            when_down: WhenDown::End,
        };
        let stopping = CancellationToken::new();
        let lanes = plan
            .lanes(&tracker)
            .unwrap()
            .into_iter()
            .map(|lane| {
                let stopping = stopping.clone();
                tokio::spawn(async move {
                    // A lane ends with its node: killing nodes is what these tests do.
                    drop(lane.run(stopping).await);
                })
            })
            .collect();
        let follower = tokio::spawn({
            let tracker = tracker.clone();
            let url = format!("http://{}", self.nodes[to[0]].rpc);
            let stopping = stopping.clone();
            async move { drop(tracker.follow(url, WhenDown::End, stopping).await) }
        });
        Load {
            tracker,
            stopping,
            lanes,
            follower,
        }
    }
}

/// A running load.
pub(crate) struct Load {
    pub(crate) tracker: Tracker,
    stopping: CancellationToken,
    lanes: Vec<JoinHandle<()>>,
    follower: JoinHandle<()>,
}

impl Load {
    /// Waits until this many transfers are irreversible.
    pub(crate) async fn irreversible(&self, count: u64) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.tracker.counts().irreversible < count {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{count} transfers did not become irreversible: {:?}",
                self.tracker.counts()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops sending; returns when all lanes have ended.
    pub(crate) async fn stop(self) -> Tracker {
        self.stopping.cancel();
        for lane in self.lanes {
            lane.await.unwrap();
        }
        self.follower.await.unwrap();
        self.tracker
    }
}
