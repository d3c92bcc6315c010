//! A running devnet.

use super::homes::{Devnet, DevnetNode, PASSWORD};
use super::process::{NodeCommand, NodeProcess, ProcessError, stop_all};
use super::readiness;
use super::table::{NodeFigures, NodeSample, NodeState};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::load::{Latencies, Tracker};
use crate::memory::resident_bytes;
use holdfast_rpc::dto::{BlockSelector, ChainState, Status};
use holdfast_rpc::methods::{GetHeader, GetStatus, HeaderParams, NoParams};
use holdfast_rpc::{Client, ClientConfig, ClientError};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TRANSACTIONS_METRIC: &str = "holdfast_chain_transactions_total";
/// How long a node may take to its first readiness.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a node may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(12);

/// The processes of a devnet.
#[derive(Debug)]
pub struct Session {
    nodes: Vec<DevnetNode>,
    processes: Vec<NodeProcess>,
    clients: Vec<Client>,
    resident_bytes_max: u64,
}

fn failed(error: &ProcessError) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "the devnet does not run",
        error,
        "look at node.log in the home folder of that node",
    )
}

fn no_answer(name: &str, error: &ClientError) -> Failure {
    Failure::new(
        ExitCode::Internal,
        format!("{name} does not answer"),
        error,
        "look at node.log in the home folder of that node",
    )
}

/// How to start one node of a devnet.
#[must_use]
pub fn command(node: &DevnetNode, executable: &Path) -> NodeCommand {
    let mut arguments = vec![
        OsString::from("run"),
        OsString::from("--exit-with-stdin"),
        OsString::from("--home"),
        node.home.clone().into_os_string(),
    ];
    let mut executable = executable.to_owned();
    if let Some(namespace) = &node.namespace {
        // It becomes the node: the process is the same, so signals reach it.
        let prefix = ["netns", "exec", namespace].map(OsString::from);
        let prefix = prefix.into_iter().chain([executable.into_os_string()]);
        arguments.splice(0..0, prefix);
        executable = PathBuf::from("ip");
    }
    NodeCommand {
        name: node.name.clone(),
        executable,
        arguments,
        environment: vec![("HOLDFAST_PASSWORD".to_owned(), OsString::from(PASSWORD))],
        log_file: node.home.join("node.log"),
    }
}

impl Session {
    /// Starts all nodes and waits until each is ready.
    pub async fn start(devnet: Devnet, executable: &Path) -> Result<Self, Failure> {
        let Devnet { nodes, ports, .. } = devnet;
        drop(ports);
        let mut session = Self {
            processes: Vec::with_capacity(nodes.len()),
            clients: Vec::with_capacity(nodes.len()),
            nodes,
            resident_bytes_max: 0,
        };
        for node in &session.nodes {
            let process =
                NodeProcess::spawn(command(node, executable)).map_err(|error| failed(&error))?;
            session.processes.push(process);
            let client = Client::new(&node.url(), ClientConfig::default())
                .map_err(|error| no_answer(&node.name, &error))?;
            session.clients.push(client);
        }
        for (process, node) in session.processes.iter_mut().zip(&session.nodes) {
            process
                .wait_ready(node.rpc, READY_LIMIT)
                .await
                .map_err(|error| failed(&error))?;
        }
        Ok(session)
    }

    /// RPC addresses of the nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(DevnetNode::url).collect()
    }

    #[must_use]
    pub fn nodes(&self) -> &[DevnetNode] {
        &self.nodes
    }

    /// Fails if a node has ended by itself.
    pub fn check(&mut self) -> Result<(), Failure> {
        for process in &mut self.processes {
            let name = process.name().to_owned();
            if let Some(status) = process.ended().map_err(|error| failed(&error))? {
                return Err(Failure::new(
                    ExitCode::Internal,
                    format!("{name} ended"),
                    status,
                    "look at node.log in the home folder of that node",
                ));
            }
        }
        Ok(())
    }

    /// How every node is doing.
    pub async fn sample(&mut self, tracker: &Tracker) -> Vec<NodeSample> {
        let latencies = tracker.latencies();
        let transactions = tracker.counts().irreversible;
        let mut samples = Vec::with_capacity(self.nodes.len());
        for ((node, client), process) in self.nodes.iter().zip(&self.clients).zip(&self.processes) {
            let resident = process.pid().and_then(resident_bytes);
            self.resident_bytes_max = self.resident_bytes_max.max(resident.unwrap_or(0));
            let (state, figures) = match client.call::<GetStatus>(NoParams {}).await {
                Ok(status) => (
                    state_of(status.state),
                    Some(figures(&status, transactions, latencies)),
                ),
                Err(error) => (NodeState::Down(error.to_string()), None),
            };
            samples.push(NodeSample {
                name: node.name.clone(),
                state,
                figures,
                resident_bytes: resident,
            });
        }
        samples
    }

    /// Largest memory of a node in any sample, in bytes.
    #[must_use]
    pub const fn resident_bytes_max(&self) -> u64 {
        self.resident_bytes_max
    }

    /// The status of every node.
    pub async fn statuses(&self) -> Result<Vec<Status>, Failure> {
        let mut statuses = Vec::with_capacity(self.clients.len());
        for (node, client) in self.nodes.iter().zip(&self.clients) {
            let status = client
                .call::<GetStatus>(NoParams {})
                .await
                .map_err(|error| no_answer(&node.name, &error))?;
            statuses.push(status);
        }
        Ok(statuses)
    }

    /// True if all nodes have the same block, and so the same state roots all the way down, at the highest height that
    /// all of them have certified.
    pub async fn roots_equal(&self) -> Result<bool, Failure> {
        let statuses = self.statuses().await?;
        let common = statuses
            .iter()
            .map(|status| status.certified.height.get())
            .min()
            .unwrap_or(0);
        let mut ids = Vec::with_capacity(self.clients.len());
        for (node, client) in self.nodes.iter().zip(&self.clients) {
            let header = client
                .call::<GetHeader>(HeaderParams {
                    block: BlockSelector::Height(common),
                })
                .await
                .map_err(|error| no_answer(&node.name, &error))?;
            ids.push(header.map(|header| (header.id, header.state_root)));
        }
        Ok(ids.iter().all(|id| id.is_some() && *id == ids[0]))
    }

    /// Transactions with a failed receipt in the blocks that the first node has applied since it started.
    pub async fn failed_transactions(&self) -> Result<u64, Failure> {
        let Some(node) = self.nodes.first() else {
            return Ok(0);
        };
        let page = readiness::page(node.rpc, "/metrics")
            .await
            .map_err(|error| Failure::disk(format!("{} shows no metrics", node.name), &error))?;
        let prefix = format!("{TRANSACTIONS_METRIC}{{status=\"failed\"}} ");
        Ok(page
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .and_then(|value| value.parse().ok())
            .unwrap_or(0))
    }

    /// Stops all nodes.
    pub async fn stop(mut self) -> Result<(), Failure> {
        stop_all(&mut self.processes, STOP_LIMIT)
            .await
            .map(drop)
            .map_err(|error| failed(&error))
    }
}

fn state_of(state: ChainState) -> NodeState {
    match state {
        ChainState::Running => NodeState::Up,
        ChainState::Starting => NodeState::Starting,
        other => NodeState::NotReady(other.as_str().to_owned()),
    }
}

fn figures(status: &Status, transactions: u64, latencies: Latencies) -> NodeFigures {
    let known = transactions > 0;
    NodeFigures {
        height: status.head.height.get(),
        lib: status.lib.height.get(),
        certified: status.certified.height.get(),
        round: status.round.get(),
        transactions,
        finality_ms_p50: known.then_some(latencies.p50_ms),
        finality_ms_p99: known.then_some(latencies.p99_ms),
        peers: status.peer_count,
    }
}
