//! The validators of a devnet as processes that can be killed and started again one by one.

use super::usage::processor_time;
use crate::devnet::homes::{Devnet, DevnetNode};
use crate::devnet::process::{NodeProcess, ProcessError, stop_all};
use crate::devnet::session::command;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::home::Home;
use crate::memory::resident_bytes;
use holdfast_rpc::dto::{BlockSelector, Status};
use holdfast_rpc::methods::{GetHeader, GetStatus, HeaderParams, Method, NoParams};
use holdfast_rpc::{AdminToken, Client, ClientConfig, ClientError};
use holdfast_types::ChainId;
use rustix::process::Signal;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// How long a node may take to its first readiness.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long a node may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(12);
const LOOK_AT_THE_LOG: &str =
    "look at node.log in the home folder of that node (--directory DIR keeps it)";

/// The processes of a devnet.
#[derive(Debug)]
pub struct Cluster {
    chain: ChainId,
    executable: PathBuf,
    /// Of every process, besides those that any node of a devnet has.
    arguments: Vec<OsString>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    node: DevnetNode,
    client: Client,
    /// None: it is not meant to run now.
    process: Option<NodeProcess>,
}

/// What one process takes at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub resident_bytes: u64,
    /// Since the process started.
    pub processor_time: Duration,
}

fn failed(error: &ProcessError) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "a validator does not do as it should",
        error,
        LOOK_AT_THE_LOG,
    )
}

impl Cluster {
    /// Starts all nodes and waits until each is ready.
    pub async fn start(devnet: Devnet, executable: &Path) -> Result<Self, Failure> {
        Self::start_with(devnet, executable, Vec::new()).await
    }

    /// The same with more arguments for every process.
    pub async fn start_with(
        devnet: Devnet,
        executable: &Path,
        arguments: Vec<OsString>,
    ) -> Result<Self, Failure> {
        let chain = devnet.genesis.chain_id();
        let mut members = Vec::with_capacity(devnet.nodes.len());
        for node in devnet.nodes {
            let client = Client::new(&url(&node), ClientConfig::default())
                .map_err(|error| no_answer(&node.name, &error))?;
            members.push(Member {
                node,
                client,
                process: None,
            });
        }
        // The ports are free from here until the nodes take them.
        drop(devnet.ports);
        let mut cluster = Self {
            chain,
            executable: executable.to_owned(),
            arguments,
            members,
        };
        for number in 0..cluster.len() {
            cluster.spawn(number)?;
        }
        for number in 0..cluster.len() {
            cluster.ready(number).await?;
        }
        Ok(cluster)
    }

    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Name of a node in messages.
    #[must_use]
    pub fn name(&self, number: usize) -> &str {
        &self.members[number].node.name
    }

    /// What a node is: home and address.
    #[must_use]
    pub fn node(&self, number: usize) -> &DevnetNode {
        &self.members[number].node
    }

    /// RPC address of a node.
    #[must_use]
    pub fn url(&self, number: usize) -> String {
        url(&self.members[number].node)
    }

    /// Starts the process of a node that does not run; returns at once.
    pub fn spawn(&mut self, number: usize) -> Result<(), Failure> {
        let member = &mut self.members[number];
        let mut command = command(&member.node, &self.executable);
        command.arguments.extend(self.arguments.iter().cloned());
        let process = NodeProcess::spawn(command).map_err(|error| failed(&error))?;
        member.process = Some(process);
        Ok(())
    }

    /// True if the node is meant to run now.
    #[must_use]
    pub fn runs(&self, number: usize) -> bool {
        self.members[number].process.is_some()
    }

    /// Waits until a node that runs says that it is ready.
    pub async fn ready(&mut self, number: usize) -> Result<(), Failure> {
        let Member { node, process, .. } = &mut self.members[number];
        match process {
            Some(process) => process
                .wait_ready(node.rpc, READY_LIMIT)
                .await
                .map_err(|error| failed(&error)),
            None => Ok(()),
        }
    }

    /// `kill -9`; the node does not run from then on.
    pub async fn kill(&mut self, number: usize) -> Result<(), Failure> {
        match self.members[number].process.take() {
            Some(mut process) => process.kill().await.map_err(|error| failed(&error)),
            None => Ok(()),
        }
    }

    /// Sends a signal to a node that runs.
    pub fn signal(&self, number: usize, signal: Signal) -> Result<(), Failure> {
        match &self.members[number].process {
            Some(process) => process.signal(signal).map_err(|error| failed(&error)),
            None => Ok(()),
        }
    }

    /// Waits until a node has ended by itself; nothing if it has not within `limit`.
    pub async fn end(
        &mut self,
        number: usize,
        limit: Duration,
    ) -> Result<Option<ExitStatus>, Failure> {
        let Some(process) = &mut self.members[number].process else {
            return Ok(None);
        };
        let Ok(status) = tokio::time::timeout(limit, process.wait()).await else {
            return Ok(None);
        };
        self.members[number].process = None;
        status.map(Some).map_err(|error| failed(&error))
    }

    /// Fails if a node that should run has ended by itself.
    pub fn check(&mut self) -> Result<(), Failure> {
        for member in &mut self.members {
            let Some(process) = &mut member.process else {
                continue;
            };
            if let Some(status) = process.ended().map_err(|error| failed(&error))? {
                return Err(Failure::new(
                    ExitCode::Internal,
                    format!("{} ended by itself", member.node.name),
                    status,
                    LOOK_AT_THE_LOG,
                ));
            }
        }
        Ok(())
    }

    /// Calls a method of a node.
    pub async fn call<M: Method>(
        &self,
        number: usize,
        params: M::Params,
    ) -> Result<M::Output, Failure> {
        let member = &self.members[number];
        member
            .client
            .call::<M>(params)
            .await
            .map_err(|error| no_answer(&member.node.name, &error))
    }

    /// The same for one that changes the node.
    pub async fn call_as_admin<M: Method>(
        &self,
        number: usize,
        params: M::Params,
    ) -> Result<M::Output, Failure> {
        let node = self.node(number);
        let path = Home::at(node.home.clone()).admin_token_file();
        // It is another one each time the node starts.
        let token = std::fs::read_to_string(&path)
            .map_err(|error| Failure::disk("cannot read an admin token", &error))?;
        let config = ClientConfig {
            admin_token: Some(AdminToken::from_text(&token)),
            ..ClientConfig::default()
        };
        let client = Client::new(&url(node), config);
        let client = client.map_err(|error| no_answer(&node.name, &error))?;
        let answer = client.call::<M>(params).await;
        answer.map_err(|error| no_answer(&node.name, &error))
    }

    /// Where a node stands; nothing if it does not answer.
    pub async fn standing(&self, number: usize) -> Option<Status> {
        let client = &self.members[number].client;
        client.call::<GetStatus>(NoParams {}).await.ok()
    }

    /// Where a node stands.
    pub async fn status(&self, number: usize) -> Result<Status, Failure> {
        self.call::<GetStatus>(number, NoParams {}).await
    }

    /// What every node takes now; zeros for those that do not run.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let members = self.members.iter();
        members
            .map(|member| {
                let pid = member.process.as_ref().and_then(NodeProcess::pid);
                pid.map_or_else(Usage::default, |pid| Usage {
                    resident_bytes: resident_bytes(pid).unwrap_or(0),
                    processor_time: processor_time(pid).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// True if all nodes have the same block, and so the same state roots all the way down, at the highest height that
    /// all of them have certified.
    pub async fn roots_equal(&self) -> Result<bool, Failure> {
        let mut common = u64::MAX;
        for number in 0..self.len() {
            common = common.min(self.status(number).await?.certified.height.get());
        }
        let mut blocks = Vec::with_capacity(self.len());
        for number in 0..self.len() {
            let block = BlockSelector::Height(common);
            let header = self
                .call::<GetHeader>(number, HeaderParams { block })
                .await?;
            blocks.push(header.map(|header| (header.id, header.state_root)));
        }
        Ok(blocks
            .iter()
            .all(|block| block.is_some() && *block == blocks[0]))
    }

    /// Stops all nodes.
    pub async fn stop(self) -> Result<(), Failure> {
        let mut processes: Vec<NodeProcess> = self
            .members
            .into_iter()
            .filter_map(|member| member.process)
            .collect();
        stop_all(&mut processes, STOP_LIMIT)
            .await
            .map(drop)
            .map_err(|error| failed(&error))
    }
}

fn url(node: &DevnetNode) -> String {
    format!("http://{}", node.rpc)
}

fn no_answer(name: &str, error: &ClientError) -> Failure {
    Failure::new(
        ExitCode::Internal,
        format!("{name} does not answer"),
        error,
        LOOK_AT_THE_LOG,
    )
}
