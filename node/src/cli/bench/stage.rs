//! Where a benchmark plays: folder, devnet, load, what processes take meanwhile.

use super::CommonArguments;
use super::figures::Report;
use crate::cli::Context;
use crate::devnet::homes::{self, Devnet, DevnetSpec};
use crate::durable_file::{self, Existing};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::home::Home;
use crate::load::cluster::Usage;
use crate::load::usage::processor_time;
use crate::load::{Cluster, LoadPlan, Pace, RunningLoad, WhenDown};
use holdfast_genesis::{Genesis, GenesisTime, Template};
use holdfast_rpc::dto::Hash;
use holdfast_rpc::methods::{GetReceipt, GetTransaction, TransactionIdParams};
use holdfast_types::{Parameters, TimestampMs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Node that is asked what is irreversible; no benchmark kills it.
pub(super) const OBSERVER: usize = 0;
/// How long everything that was accepted may take to become irreversible after the load has ended.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
const LANES_PER_NODE: u32 = 4;
/// The most that a node takes in one batch by default.
const BATCH_MAX: usize = 250;
/// How many of the transfers that did not become irreversible are looked up.
const STRANDED_SHOWN: usize = 5;
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// What a benchmark has.
pub(super) struct Stage<'a, 'b> {
    common: &'a CommonArguments,
    context: &'a mut Context<'b>,
    directory: PathBuf,
    /// Removes the folder at the end, if nobody asked to keep it.
    _temporary: Option<TempDir>,
    executable: PathBuf,
    started: Instant,
    progress_at: Instant,
}

impl<'a, 'b> Stage<'a, 'b> {
    pub(super) fn prepare(
        common: &'a CommonArguments,
        context: &'a mut Context<'b>,
    ) -> Result<Self, Failure> {
        let temporary = match &common.directory {
            Some(directory) if directory.exists() => {
                return Err(Failure::new(
                    ExitCode::Usage,
                    format!("will not run a benchmark in {}", directory.display()),
                    "the folder exists",
                    "choose another folder with --directory DIR, or remove it",
                ));
            }
            Some(_) => None,
            None => Some(
                tempfile::tempdir()
                    .map_err(|error| Failure::disk("cannot make a temporary folder", &error))?,
            ),
        };
        let directory = match (&common.directory, &temporary) {
            (Some(directory), _) => directory.clone(),
            (None, Some(temporary)) => temporary.path().join("devnet"),
            (None, None) => unreachable!("a temporary folder was made where none was named"),
        };
        let executable = std::env::current_exe()
            .map_err(|error| Failure::disk("cannot find my own program file", &error))?;
        Ok(Self {
            common,
            context,
            directory,
            _temporary: temporary,
            executable,
            started: Instant::now(),
            progress_at: Instant::now(),
        })
    }

    /// Makes and starts the devnet; `change` may set parameters of its chain.
    pub(super) async fn devnet(
        &mut self,
        change: impl FnOnce(&mut Parameters),
    ) -> Result<Cluster, Failure> {
        self.say("starting the validators")?;
        let mut devnet = homes::create(DevnetSpec {
            directory: self.directory.clone(),
            validators: self.common.validators,
            accounts: self.common.accounts,
            template: Template::Devnet,
            genesis_time: GenesisTime(TimestampMs(crate::cli::units::now_ms())),
            epoch_duration_ms: None,
            masters: 1,
            islands: Vec::new(),
            settings: self.settings()?,
        })?;
        change_parameters(&mut devnet, change)?;
        Cluster::start(devnet, &self.executable).await
    }

    fn settings(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut settings = BTreeMap::new();
        for pair in &self.common.node_set {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Failure::new(
                    ExitCode::Usage,
                    format!("cannot use --node-set {pair}"),
                    "there is no '=' in it",
                    "write it like --node-set 'log.filter=\"debug\"'",
                )
            })?;
            settings.insert(key.to_owned(), value.to_owned());
        }
        Ok(settings)
    }

    /// Starts a load on the first `nodes` nodes, with `ahead` transfers of every account signed beforehand.
    pub(super) async fn load(
        &mut self,
        cluster: &Cluster,
        nodes: usize,
        pace: Pace,
        ahead: usize,
    ) -> Result<RunningLoad, Failure> {
        let plan = LoadPlan {
            chain: cluster.chain(),
            urls: (0..nodes).map(|number| cluster.url(number)).collect(),
            accounts: self.common.accounts,
            lanes_per_node: LANES_PER_NODE,
            pace,
            batch_max: BATCH_MAX,
            when_down: WhenDown::End,
        };
        if ahead > 0 {
            let count = ahead * self.common.accounts as usize;
            self.say(&format!("signing {count} transfers beforehand"))?;
        }
        RunningLoad::start(&plan, cluster.url(OBSERVER), ahead).await
    }

    /// A line on what goes on, unless only JSON is wanted.
    pub(super) fn say(&mut self, what: &str) -> Result<(), Failure> {
        if self.common.json {
            return Ok(());
        }
        let seconds = self.started.elapsed().as_secs();
        self.context.print(&format!("t={seconds}s {what}\n"))
    }

    /// The same, but not more often than is worth reading.
    pub(super) fn say_now_and_then(
        &mut self,
        what: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.progress_at.elapsed() < PROGRESS_INTERVAL {
            return Ok(());
        }
        self.progress_at = Instant::now();
        self.say(&what())
    }

    /// Waits for `duration` while the devnet and the load run, and says every now and then how it goes.
    pub(super) async fn watch(
        &mut self,
        cluster: &mut Cluster,
        load: &mut RunningLoad,
        duration: Duration,
        what: &str,
    ) -> Result<(), Failure> {
        const TICK: Duration = Duration::from_millis(200);
        let end = Instant::now() + duration;
        while Instant::now() < end {
            tokio::time::sleep(TICK.min(end.saturating_duration_since(Instant::now()))).await;
            cluster.check()?;
            load.check()?;
            let counts = load.tracker().counts();
            self.say_now_and_then(|| {
                format!(
                    "{what}: {} submitted, {} irreversible, {} under way",
                    counts.submitted, counts.irreversible, counts.pending
                )
            })?;
        }
        Ok(())
    }

    /// Ends the load, checks that nothing was lost and that all nodes agree, and stops the devnet.
    pub(super) async fn end(
        &mut self,
        report: &mut Report,
        cluster: Cluster,
        load: Option<RunningLoad>,
    ) -> Result<(), Failure> {
        self.say("checking that everything became irreversible and that all roots are equal")?;
        if let Some(load) = load {
            let settled = load.settle(SETTLE_LIMIT).await;
            let counts = load.tracker().counts();
            report.require(
                settled,
                format!(
                    "{} of {} transfers did not become irreversible; {} were refused, the last one because: {}",
                    counts.pending,
                    counts.submitted,
                    counts.rejected,
                    load.tracker().last_refusal().unwrap_or_default(),
                ),
            );
            for id in load.tracker().some_pending(STRANDED_SHOWN) {
                report.require(false, stranded(&cluster, id).await?);
            }
            load.stop().await;
        }
        let equal = cluster.roots_equal().await?;
        report.require(equal, "the validators do not have the same state roots");
        cluster.stop().await
    }
}

/// What every node knows of a transfer that did not become irreversible.
async fn stranded(cluster: &Cluster, id: [u8; 32]) -> Result<String, Failure> {
    let id = Hash::new(id);
    let mut text = format!("{id}:");
    for number in 0..cluster.len() {
        let params = || TransactionIdParams { id };
        let known = cluster.call::<GetTransaction>(number, params()).await?;
        let receipt = cluster.call::<GetReceipt>(number, params()).await?;
        let standing = match (receipt, known) {
            (Some(receipt), _) => format!("block {}, {:?}", receipt.height, receipt.finality),
            (None, Some(known)) => format!("queued with nonce {} of {}", known.nonce, known.sender),
            (None, None) => "unknown".to_owned(),
        };
        text.push_str(&format!(" {} says {standing};", cluster.name(number)));
    }
    Ok(text)
}

/// The flags that give this devnet again.
pub(super) fn flags(common: &CommonArguments) -> String {
    let mut flags = format!(
        "--validators {} --accounts {}",
        common.validators, common.accounts
    );
    for pair in &common.node_set {
        flags.push_str(&format!(" --node-set '{pair}'"));
    }
    flags
}

/// Gives the chain other parameters, in every home.
fn change_parameters(
    devnet: &mut Devnet,
    change: impl FnOnce(&mut Parameters),
) -> Result<(), Failure> {
    let mut document = devnet.genesis.document().clone();
    change(&mut document.parameters);
    if document.parameters == *devnet.genesis.parameters() {
        return Ok(());
    }
    let refused = |why: String| {
        Failure::new(
            ExitCode::Usage,
            "the chain of the benchmark cannot have these parameters",
            why,
            "choose other values: see --help",
        )
    };
    devnet.genesis = Genesis::check(document).map_err(|error| refused(error.to_string()))?;
    let text = devnet.genesis.document().to_toml();
    let text = text.map_err(|error| refused(error.to_string()))?;
    for node in &devnet.nodes {
        let path = Home::at(node.home.clone()).genesis_file();
        write(&path, &text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    durable_file::write(
        path,
        text.as_bytes(),
        durable_file::PUBLIC,
        Existing::Replace,
    )
    .map_err(|error| Failure::disk(format!("cannot write {}", path.display()), &error))
}

/// What all processes have used up to a moment.
pub(super) struct Meter {
    at: Instant,
    nodes: Vec<Usage>,
    own: Duration,
}

impl Meter {
    pub(super) fn read(cluster: &Cluster) -> Self {
        Self {
            at: Instant::now(),
            nodes: cluster.usage(),
            own: processor_time(std::process::id()).unwrap_or_default(),
        }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Adds what was used since `earlier`: processors of all nodes and of the load generator, and memory now.
    pub(super) fn add_to(&self, report: &mut Report, earlier: &Self) {
        let wall = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        let cores = |now: Duration, then: Duration| {
            now.saturating_sub(then).as_secs_f64() / wall.max(f64::MIN_POSITIVE)
        };
        let nodes = self
            .nodes
            .iter()
            .zip(&earlier.nodes)
            .map(|(now, then)| cores(now.processor_time, then.processor_time))
            .sum();
        report.figure(
            "nodes_cores",
            "processors used by all validators",
            nodes,
            "cores",
        );
        report.figure(
            "load_cores",
            "processors used by the load generator",
            cores(self.own, earlier.own),
            "cores",
        );
        report.figure(
            "rss_mb_max",
            "memory of the largest validator",
            megabytes(
                self.nodes
                    .iter()
                    .map(|node| node.resident_bytes)
                    .max()
                    .unwrap_or(0),
            ),
            "MB",
        );
    }
}

pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
