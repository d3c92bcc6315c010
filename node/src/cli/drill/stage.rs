//! What a drill plays on: a devnet of processes under load, with the keys of its governors.

use super::governors::Governors;
use super::kills::{Kills, Phase};
use super::kind::Kind;
use super::watch::{failed, until};
use crate::devnet::homes::{self, DevnetSpec, account_name};
use crate::devnet::islands::Islands;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::load::{Cluster, LoadPlan, Pace, RunningLoad, WhenDown};
use holdfast_genesis::{GenesisTime, Template};
use holdfast_rpc::dto::{Number, Validator};
use holdfast_rpc::methods::{AccountParams, GetAccount, GetValidators, NoParams};
use holdfast_types::TimestampMs;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// The node that says what is irreversible: nothing is done to it.
pub(super) const OBSERVER: usize = 0;
const ACCOUNTS: u32 = 100;
const TRANSFERS_PER_S: f64 = 50.0;
/// In a stall of a minute no account may fill its part of the queue.
const TRANSFERS_PER_S_LONG: f64 = 20.0;
const BATCH_MAX: usize = 20;
/// What goes through before anything is done to the chain.
const WARM_TRANSFERS: u64 = 20;
/// Every wait of a drill ends here at the latest.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) kind: Kind,
    pub(super) cluster: Cluster,
    pub(super) load: RunningLoad,
    pub(super) governors: Governors,
    /// Validators that behave and stay up.
    pub(super) steady: Range<usize>,
    /// Validators to which something is done.
    pub(super) disturbed: Range<usize>,
    /// Nodes are killed at random moments, if the drill does that.
    pub(super) kills: Option<Kills>,
    /// The network that can be cut, in a drill that does.
    net: Option<Islands>,
}

impl Stage {
    /// Starts the validators and the load, and waits until transfers go through.
    pub(super) async fn start(
        kind: Kind,
        validators: u16,
        directory: &Path,
        kills: Option<Kills>,
    ) -> Result<Self, Failure> {
        let executable = std::env::current_exe()
            .map_err(|error| Failure::disk("cannot find my own program file", &error))?;
        let net = match kind {
            Kind::EmergencyConsensus(masters) if masters.partition => {
                Some(Islands::create(validators)?)
            }
            _ => None,
        };
        let islands = net.as_ref().map_or_else(Vec::new, Islands::all);
        let devnet = homes::create(DevnetSpec {
            directory: directory.to_owned(),
            validators,
            accounts: ACCOUNTS,
            template: Template::Devnet,
            genesis_time: GenesisTime(TimestampMs(crate::cli::units::now_ms())),
            epoch_duration_ms: None,
            masters: match kind {
                Kind::EmergencyConsensus(masters) => masters.count,
                _ => 1,
            },
            islands,
            settings: BTreeMap::new(),
        })?;
        let parameters = devnet.genesis.parameters();
        let governors = Governors::new(
            directory,
            devnet.genesis.chain_id(),
            parameters.governance.threshold,
        );
        let equivocators = usize::from(parameters.halt.equivocation_cluster);
        let all = usize::from(validators);
        let first_disturbed = all - kind.disturbed(all, equivocators);
        let cluster = Cluster::start_with(devnet, &executable, arguments(kind)).await?;
        let pace = match kind {
            Kind::EmergencyConsensus(_) => TRANSFERS_PER_S_LONG,
            _ => TRANSFERS_PER_S,
        };
        let when_down = match kills {
            Some(_) => WhenDown::AskAgain,
            None => WhenDown::End,
        };
        let load = load(&cluster, first_disturbed, pace, when_down).await?;
        let stage = Self {
            kind,
            cluster,
            load,
            governors,
            steady: 0..first_disturbed,
            disturbed: first_disturbed..all,
            kills,
            net,
        };
        stage.more_irreversible(WARM_TRANSFERS).await?;
        Ok(stage)
    }

    /// Cuts the steady validators from each other, or lets them hear each other again, if the drill has a network for it.
    pub(super) fn set_cut(&self, cut: bool) -> Result<(), Failure> {
        let masters = u16::try_from(self.steady.end).unwrap_or(u16::MAX);
        match &self.net {
            Some(net) => net.set_cut(0..masters, cut),
            None => Ok(()),
        }
    }

    /// Validators that run while the chain stands, and halt: a false root ends no process, two vertices for a slot do.
    pub(super) fn halted(&self) -> Range<usize> {
        match self.kind {
            Kind::HardHalt => self.steady.start..self.disturbed.end,
            _ => self.steady.clone(),
        }
    }

    fn offenders_end(&self) -> bool {
        self.kind == Kind::EquivocationCluster
    }

    /// A phase of the drill begins, if it kills nodes.
    pub(super) fn begin(&mut self, phase: Phase) {
        if let Some(kills) = &mut self.kills {
            kills.begin(phase);
        }
    }

    /// Kills whom it is the moment for, and starts them again.
    pub(super) async fn strike(&mut self) -> Result<(), Failure> {
        let Some(kills) = &mut self.kills else {
            return Ok(());
        };
        // Who has ended otherwise could not start again.
        self.cluster.check()?;
        let running: Vec<usize> = (0..self.cluster.len())
            .filter(|number| self.cluster.runs(*number))
            .collect();
        let due = kills.due(Instant::now(), &running);
        if due.is_empty() {
            return Ok(());
        }
        let names = due
            .iter()
            .map(|number| self.cluster.name(*number).to_owned());
        kills.note(names.collect());
        for number in &due {
            self.cluster.kill(*number).await?;
        }
        for number in due {
            self.cluster.spawn(number)?;
        }
        Ok(())
    }

    /// Waits until all kills of the phase are done.
    pub(super) async fn spend_kills(&mut self) -> Result<(), Failure> {
        until(PATIENCE, "all kills are done", async || {
            self.strike().await?;
            let spent = self.kills.as_ref().is_none_or(Kills::is_spent);
            Ok(spent.then_some(()))
        })
        .await
    }

    /// What a validator answered; nothing if it did not and is one that is started again in this drill.
    pub(super) fn unless_down<T>(&self, answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(_) if self.offenders_end() || self.kills.is_some() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Starts again who has ended because its key signs elsewhere: its second vertex may come back to it more than once, as
    /// long as its era lasts. True if somebody had.
    pub(super) async fn revive(&mut self) -> Result<bool, Failure> {
        let mut revived = false;
        if !self.offenders_end() {
            return Ok(revived);
        }
        for number in self.disturbed.clone() {
            let ended = self.cluster.end(number, Duration::ZERO).await?;
            let code = ended.and_then(|status| status.code());
            if code == Some(ExitCode::Doppelganger.number().into()) {
                self.cluster.spawn(number)?;
                revived = true;
            }
        }
        Ok(revived)
    }

    /// Waits until a validator has caught up and the chain moves.
    pub(super) async fn ready(&mut self, number: usize) -> Result<(), Failure> {
        loop {
            let ready = self.cluster.ready(number).await;
            if ready.is_ok() || !self.revive().await? {
                return ready;
            }
        }
    }

    /// Waits until this many more transfers were accepted.
    pub(super) async fn more_accepted(&mut self, count: u64) -> Result<(), Failure> {
        let wanted = self.load.tracker().counts().submitted + count;
        until(PATIENCE, "transfers are accepted", async || {
            self.strike().await?;
            self.load.check()?;
            let submitted = self.load.tracker().counts().submitted;
            Ok((submitted >= wanted).then_some(()))
        })
        .await
    }

    pub(super) async fn more_irreversible(&self, count: u64) -> Result<(), Failure> {
        let wanted = self.load.tracker().counts().irreversible + count;
        until(PATIENCE, "transfers become irreversible", async || {
            let irreversible = self.load.tracker().counts().irreversible;
            Ok((irreversible >= wanted).then_some(()))
        })
        .await
    }

    /// The steady validator with the highest block, and the heights of all.
    pub(super) async fn heads(&self) -> Result<(usize, Vec<u64>), Failure> {
        let mut heads = Vec::new();
        for number in self.steady.clone() {
            let status = self.cluster.status(number).await?;
            heads.push(status.head.height.get());
        }
        let highest = (0..heads.len()).max_by_key(|number| heads[*number]);
        let highest = highest.ok_or_else(|| failed("no validator is left"))?;
        Ok((highest, heads))
    }

    pub(super) async fn validators(&self) -> Result<Vec<Validator>, Failure> {
        self.cluster
            .call::<GetValidators>(OBSERVER, NoParams {})
            .await
    }

    /// The transactions of all accounts of the load that the chain has executed.
    pub(super) async fn executed(&self) -> Result<u64, Failure> {
        let mut executed = 0;
        for number in 0..ACCOUNTS {
            let name = account_name(number).as_str().parse();
            let name = name.map_err(|error| failed(format_args!("{error}")))?;
            let params = AccountParams {
                name,
                options: None,
            };
            let account = self.cluster.call::<GetAccount>(OBSERVER, params).await?;
            executed += account.map_or(Number(0), |account| account.nonce).get();
        }
        Ok(executed)
    }

    pub(super) fn names(&self, numbers: Range<usize>) -> Vec<String> {
        numbers
            .map(|number| self.cluster.name(number).to_owned())
            .collect()
    }
}

fn arguments(kind: Kind) -> Vec<OsString> {
    kind.fault().map_or_else(Vec::new, |fault| {
        vec![OsString::from("--inject-fault"), fault.name().into()]
    })
}

/// A stream of transfers through the first `nodes` validators.
async fn load(
    cluster: &Cluster,
    nodes: usize,
    per_second: f64,
    when_down: WhenDown,
) -> Result<RunningLoad, Failure> {
    let plan = LoadPlan {
        chain: cluster.chain(),
        urls: (0..nodes).map(|number| cluster.url(number)).collect(),
        accounts: ACCOUNTS,
        lanes_per_node: 1,
        pace: Pace::PerSecond(per_second),
        batch_max: BATCH_MAX,
        when_down,
    };
    RunningLoad::start(&plan, cluster.url(OBSERVER), 0).await
}
