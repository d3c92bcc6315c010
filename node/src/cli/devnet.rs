//! `holdfast devnet`

use super::Context;
use crate::devnet::homes::{self, DevnetNode, DevnetSpec};
use crate::devnet::session::Session;
use crate::devnet::table::{Table, Target};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::load::{Lane, LoadPlan, Pace, Tracker, WhenDown};
use crate::signals::StopSignals;
use clap::Args;
use holdfast_genesis::{GenesisTime, Template};
use holdfast_rpc::ClientError;
use holdfast_types::ChainId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many validators, 1 to 64.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    validators: u16,
    /// Where the nodes' homes go; must not exist [default: a temporary folder, removed at the end].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Stop by itself after this long, and print the result.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Transfers per second of the built-in load; 0: none [default: 0, with --seconds 100].
    #[arg(long, value_name = "RATE")]
    tps: Option<f64>,
    /// Accounts of the built-in load.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    accounts: u32,
    /// Length of an epoch, in seconds [default: that of the devnet template].
    #[arg(long, value_name = "N")]
    epoch_seconds: Option<u64>,
    /// End with one line of JSON instead of text.
    #[arg(long, requires = "seconds")]
    json: bool,
    /// A setting of every node, as in holdfast.toml: --node-set log.filter='"debug"'. May be repeated.
    #[arg(long, value_name = "SECTION.KEY=TOML")]
    node_set: Vec<String>,
}

/// The last line of an unattended run.
#[derive(Debug, Serialize)]
struct Report {
    height: u64,
    lib: u64,
    certified: u64,
    eras: u64,
    tx_submitted: u64,
    tx_irreversible: u64,
    tx_failed: u64,
    finality_ms_p50: u64,
    finality_ms_p99: u64,
    tps: f64,
    roots_equal: bool,
    rss_mb_max: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roots = if self.roots_equal {
            "equal on all validators"
        } else {
            "NOT EQUAL: validators have different states"
        };
        writeln!(
            formatter,
            "blocks     height {}, LIB {}, certified {}, eras {}",
            self.height, self.lib, self.certified, self.eras
        )?;
        writeln!(
            formatter,
            "transfers  {} submitted, {} irreversible, {} failed; {} irreversible a second",
            self.tx_submitted, self.tx_irreversible, self.tx_failed, self.tps
        )?;
        writeln!(
            formatter,
            "finality   p50 {} ms, p99 {} ms from submission to irreversible",
            self.finality_ms_p50, self.finality_ms_p99
        )?;
        writeln!(formatter, "roots      {roots}")?;
        writeln!(
            formatter,
            "memory     {} MB at most in one validator",
            self.rss_mb_max
        )
    }
}

/// How long after the end of the load everything may take to become irreversible.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
const TABLE_INTERVAL: Duration = Duration::from_secs(1);
const LANES_PER_NODE: u32 = 4;
const BATCH_MAX: usize = 100;
const DEFAULT_TPS: f64 = 100.0;

pub(super) fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let temporary = match &arguments.directory {
        Some(_) => None,
        None => Some(
            tempfile::tempdir()
                .map_err(|error| Failure::disk("cannot make a temporary folder", &error))?,
        ),
    };
    let directory = arguments.directory.clone().unwrap_or_else(|| {
        temporary
            .as_ref()
            .map(|folder| folder.path().join("devnet"))
            .unwrap_or_default()
    });
    if directory.exists() {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("will not make a devnet in {}", directory.display()),
            "the folder exists",
            "choose another folder with --directory DIR, or remove it",
        ));
    }
    let executable = std::env::current_exe()
        .map_err(|error| Failure::disk("cannot find my own program file", &error))?;
    let spec = spec(&arguments, directory)?;
    let shown = spec.directory.display().to_string();
    let devnet = homes::create(spec)?;
    if !arguments.json {
        context.print(&format!(
            "devnet of {} validators in {shown}\n",
            arguments.validators
        ))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::disk("cannot start threads", &error))?;
    runtime.block_on(async {
        let chain = devnet.genesis.chain_id();
        let session = Session::start(devnet, &executable).await?;
        Run {
            arguments: &arguments,
            chain,
            session,
            tracker: Tracker::default(),
            started: Instant::now(),
        }
        .run_to_end(context)
        .await
    })
}

fn spec(arguments: &Arguments, directory: PathBuf) -> Result<DevnetSpec, Failure> {
    let mut settings = BTreeMap::new();
    for pair in &arguments.node_set {
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
    Ok(DevnetSpec {
        directory,
        validators: arguments.validators,
        accounts: arguments.accounts,
        template: Template::Devnet,
        genesis_time: GenesisTime(crate::clock::wall()),
        epoch_duration_ms: arguments.epoch_seconds.map(|seconds| seconds * 1000),
        masters: 1,
        islands: Vec::new(),
        settings,
    })
}

/// One run of the devnet.
struct Run<'a> {
    arguments: &'a Arguments,
    chain: ChainId,
    session: Session,
    tracker: Tracker,
    started: Instant,
}

impl Run<'_> {
    async fn run_to_end(mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        if !self.arguments.json {
            let lines: String = self
                .session
                .nodes()
                .iter()
                .map(|node| format!("  {}  {}  {}\n", node.name, node.url(), node.home.display()))
                .collect();
            context.print(&lines)?;
            let first = self.session.nodes().first();
            if let Some(node) = first.filter(|_| self.arguments.seconds.is_none()) {
                context.print(&things_to_try(node))?;
            }
        }
        let sending = CancellationToken::new();
        let following = CancellationToken::new();
        let mut load = self.start_load(&sending, &following)?;
        let watched = self.watch(context, &mut load).await;
        sending.cancel();
        let result = match watched {
            Ok(()) => self.settle_and_report(context).await,
            Err(failure) => Err(failure),
        };
        following.cancel();
        let stopped = self.session.stop().await;
        result.and(stopped)
    }

    fn start_load(
        &self,
        sending: &CancellationToken,
        following: &CancellationToken,
    ) -> Result<JoinSet<Result<(), ClientError>>, Failure> {
        let mut tasks = JoinSet::new();
        let default = if self.arguments.seconds.is_some() {
            DEFAULT_TPS
        } else {
            0.0
        };
        let tps = self.arguments.tps.unwrap_or(default);
        if tps <= 0.0 {
            return Ok(tasks);
        }
        let urls = self.session.urls();
        let observer = urls[0].clone();
        let plan = LoadPlan {
            chain: self.chain,
            urls,
            accounts: self.arguments.accounts,
            lanes_per_node: LANES_PER_NODE,
            pace: Pace::PerSecond(tps),
            batch_max: BATCH_MAX,
            when_down: WhenDown::End,
        };
        let lanes: Vec<Lane> = plan
            .lanes(&self.tracker)
            .map_err(|error| load_failed(&error))?;
        tasks.spawn(
            self.tracker
                .clone()
                .follow(observer, WhenDown::End, following.clone()),
        );
        for lane in lanes {
            tasks.spawn(lane.run(sending.clone()));
        }
        Ok(tasks)
    }

    /// Shows the table until the time is over or somebody stops the devnet.
    async fn watch(
        &mut self,
        context: &mut Context<'_>,
        load: &mut JoinSet<Result<(), ClientError>>,
    ) -> Result<(), Failure> {
        let mut signals = StopSignals::listen()
            .map_err(|error| Failure::disk("cannot listen to signals", &error))?;
        let mut table = Table::new(Target::of_stdout());
        let mut ticks = tokio::time::interval(TABLE_INTERVAL);
        let end = self
            .arguments
            .seconds
            .map(|seconds| self.started + Duration::from_secs(seconds));
        loop {
            let over = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = signals.next() => return Ok(()),
                () = over => return Ok(()),
                Some(ended) = load.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(load_failed(&error)),
                    Err(error) => return Err(Failure::new(
                        ExitCode::Internal,
                        "the load generator broke down",
                        error,
                        "report this as a bug",
                    )),
                },
                _ = ticks.tick() => {
                    self.session.check()?;
                    let samples = self.session.sample(&self.tracker).await;
                    if !self.arguments.json {
                        let text = table.draw(self.started.elapsed(), samples);
                        context.print(&text)?;
                    }
                }
            }
        }
    }

    /// Waits until everything submitted is irreversible, then compares the nodes.
    async fn settle_and_report(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        if self.arguments.seconds.is_none() {
            return Ok(());
        }
        let deadline = Instant::now() + SETTLE_LIMIT;
        while self.tracker.counts().pending > 0 && Instant::now() < deadline {
            self.session.check()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let report = self.report().await?;
        let text = if self.arguments.json {
            serde_json::to_string(&report).unwrap_or_default() + "\n"
        } else {
            report.to_string()
        };
        context.print(&text)?;
        let counts = self.tracker.counts();
        if counts.pending > 0 || report.tx_failed > 0 || !report.roots_equal {
            return Err(Failure::new(
                ExitCode::Usage,
                "the devnet did not do what it should",
                format!(
                    "{} of {} transfers are not irreversible, {} failed, roots equal: {}",
                    counts.pending, counts.submitted, report.tx_failed, report.roots_equal
                ),
                "run it again with --directory DIR and look at the node.log of each node",
            ));
        }
        Ok(())
    }

    async fn report(&self) -> Result<Report, Failure> {
        let statuses = self.session.statuses().await?;
        let lowest = |figure: fn(&holdfast_rpc::dto::Status) -> u64| {
            statuses.iter().map(figure).min().unwrap_or(0)
        };
        let counts = self.tracker.counts();
        let latencies = self.tracker.latencies();
        let span = self.tracker.span().as_secs_f64();
        Ok(Report {
            height: lowest(|status| status.head.height.get()),
            lib: lowest(|status| status.lib.height.get()),
            certified: lowest(|status| status.certified.height.get()),
            eras: lowest(|status| status.era.get()),
            tx_submitted: counts.submitted,
            tx_irreversible: counts.irreversible,
            tx_failed: self.session.failed_transactions().await?,
            finality_ms_p50: latencies.p50_ms,
            finality_ms_p99: latencies.p99_ms,
            tps: if span > 0.0 {
                (counts.irreversible as f64 / span * 10.0).round() / 10.0
            } else {
                0.0
            },
            roots_equal: self.session.roots_equal().await?,
            rss_mb_max: self.session.resident_bytes_max() / 1_000_000,
        })
    }
}

/// Commands for another terminal, on one of the nodes.
fn things_to_try(node: &DevnetNode) -> String {
    let home = node.home.display();
    let url = node.url();
    let governors = node.home.with_file_name(homes::GOVERNORS_FOLDER);
    format!(
        "try in another terminal (Ctrl-C here ends the devnet):\n\
         \x20 holdfast status --home {home}\n\
         \x20 holdfast governance draft halt --home {home} --from-node {url} --reason drill --for 10m --output halt.json\n\
         \x20 (the governors' key files are in {})\n\
         \x20 HOLDFAST_PASSWORD={} holdfast tx transfer --home {home} --from validator-0 --to user-0 --amount 5coin\n",
        governors.display(),
        homes::PASSWORD
    )
}

fn load_failed(error: &ClientError) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "the load generator was stopped by a node",
        error,
        "look at the node.log of each node",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::AccountName;

    #[test]
    fn what_to_try_names_a_node_that_runs() {
        let text = things_to_try(&DevnetNode {
            name: "validator-0".to_owned(),
            account: AccountName::new("validator-0").expect("the name obeys the rule"),
            home: PathBuf::from("/devnet/validator-0"),
            rpc: ([127, 0, 0, 1], 8645).into(),
            namespace: None,
            p2p: String::new(),
        });
        for part in [
            "--home /devnet/validator-0 --from-node http://127.0.0.1:8645 --reason drill",
            "(the governors' key files are in /devnet/governors)",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}
