//! `holdfast status`

use super::layout::{Sheet, count};
use super::node_client::RpcArguments;
use super::units::{show_bytes, show_seconds, show_time};
use super::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::Args;
use holdfast_rpc::dto::{ChainState, Committee, NodeInfo, SigningState, Status};
use holdfast_rpc::methods::{CommitteeParams, GetCommittee, GetInfo, GetStatus, NoParams};
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 the node is ready, 2 it answers but is not ready (and says why), 3 it does not answer."
)]
pub(super) struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

/// What one screen is made of.
#[derive(Debug)]
struct Facts {
    url: String,
    status: Status,
    info: NodeInfo,
    committee: Committee,
}

/// Why a node is not ready, and what to do.
#[derive(Debug)]
struct NotReady {
    why: String,
    next_step: &'static str,
}

pub(super) fn run(
    arguments: &Arguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let node = arguments.rpc.connect(global, context)?;
    let committee = node
        .call::<GetCommittee>(CommitteeParams { era: None })?
        .ok_or_else(|| {
            Failure::new(
                ExitCode::NotReady,
                "the node knows no committee",
                "it has just started",
                "ask again",
            )
        })?;
    let facts = Facts {
        url: node.url().to_owned(),
        status: node.call::<GetStatus>(NoParams {})?,
        info: node.call::<GetInfo>(NoParams {})?,
        committee,
    };
    let text = if arguments.json {
        format!("{:#}\n", facts.as_json())
    } else {
        facts.as_text()
    };
    context.print(&text)?;
    match facts.verdict() {
        Ok(()) => Ok(()),
        Err(NotReady { why, next_step }) => Err(Failure::new(
            ExitCode::NotReady,
            "the node is not ready",
            why,
            next_step,
        )),
    }
}

impl Facts {
    /// Whether the node is ready, by the state that it gives itself.
    fn verdict(&self) -> Result<(), NotReady> {
        let status = &self.status;
        let halts = || {
            let reasons: Vec<_> = status
                .halts
                .iter()
                .map(|halt| format!("{}: {}", halt.kind, halt.reason))
                .collect();
            reasons.join("\n")
        };
        let (why, next_step) = match status.state {
            ChainState::Running => return Ok(()),
            ChainState::Starting => (
                format!(
                    "no block has been made or received since this node began; {}",
                    count(
                        status.peer_count.into(),
                        "peer is connected",
                        "peers are connected"
                    )
                ),
                "wait; if no peer connects, check p2p.peers and the firewall (holdfast config check)",
            ),
            ChainState::Syncing => (
                self.syncing(),
                "wait until it has caught up; nothing needs to be done",
            ),
            ChainState::Stalled => (
                format!(
                    "no block for {}; {}",
                    show_seconds(status.seconds_since_commit),
                    self.quorum_margin()
                ),
                "bring back the validators that are missing; the chain goes on by itself as soon as a quorum is there",
            ),
            ChainState::Halted => (
                halts(),
                "holdfast why says what triggered it, who is missing and what to do; queries go on meanwhile",
            ),
            ChainState::Lockdown => (
                halts(),
                "agree with the other validators on the block to resume from, then vote for recovery",
            ),
            ChainState::Emergency => (
                self.emergency(),
                "holdfast emergency status says who is missing and what ends it",
            ),
        };
        Err(NotReady { why, next_step })
    }

    fn syncing(&self) -> String {
        let head = self.status.head.height.get();
        let Some(syncing) = self.status.syncing else {
            return format!("catching up, at block {head}");
        };
        let target = syncing.target_height.get();
        let left = target.saturating_sub(head);
        let rate = syncing.blocks_per_second;
        let remaining = if rate > 0.0 {
            format!("about {} left", show_seconds(left as f64 / rate))
        } else {
            "estimating the time left".to_owned()
        };
        format!("block {head} of {target}, {left} to go, {rate:.0} blocks/s, {remaining}")
    }

    fn emergency(&self) -> String {
        let status = &self.status;
        let certified = status.certified.height.get();
        let provisional = status.head.height.get().saturating_sub(certified);
        format!(
            "emergency consensus makes the blocks; {} provisional, final is block {certified}",
            count(provisional, "block is", "blocks are")
        )
    }

    fn quorum_margin(&self) -> String {
        let (active, size) = (self.status.active_committee, self.status.committee_size);
        let quorum = self.committee.quorum;
        let margin = match active.checked_sub(quorum) {
            Some(0) => "none to spare".to_owned(),
            Some(spare) => format!("{spare} to spare"),
            None => format!("{} missing", quorum - active),
        };
        format!("{active} of {size} validators active, quorum {quorum}, {margin}")
    }

    fn validator(&self) -> String {
        let info = &self.info;
        let state = match info.signing.state {
            SigningState::Active => "signing",
            SigningState::Disabled => "not signing",
            SigningState::Refused => "SIGNING REFUSED",
        };
        let reason = info
            .signing
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        let who = match (&info.validator, info.authority) {
            (Some(account), Some(authority)) => format!("{account} (number {authority}), "),
            (Some(account), None) => format!("{account}, "),
            (None, _) => String::new(),
        };
        format!("{who}{state}{reason}")
    }

    fn as_text(&self) -> String {
        let status = &self.status;
        let verdict = match self.verdict() {
            Ok(()) => "READY".to_owned(),
            Err(_) => format!("NOT READY: {}", status.state.as_str()),
        };
        let mut sheet = Sheet::titled(format_args!(
            "{verdict}  {}  {}",
            status.chain_name, self.url
        ));
        self.add_chain(&mut sheet);
        self.add_consensus(&mut sheet);
        self.add_node(&mut sheet);
        sheet.into_text()
    }

    /// How far the chain is here.
    fn add_chain(&self, sheet: &mut Sheet) {
        let status = &self.status;
        let head = status.head.height.get();
        sheet.line("chain id", status.chain_id);
        sheet.line(
            "head",
            format_args!(
                "{head}, {} ago; block time {}",
                show_seconds(status.seconds_since_commit),
                show_time(status.head.timestamp_ms.get())
            ),
        );
        let behind = |height: u64| count(head.saturating_sub(height), "block", "blocks");
        let certified = status.certified.height.get();
        sheet.line(
            "certified",
            format_args!("{certified}, {} behind the head; final", behind(certified)),
        );
        let lib = status.lib.height.get();
        let provisional = if status.state == ChainState::Emergency {
            "; provisional"
        } else {
            ""
        };
        sheet.line(
            "LIB",
            format_args!(
                "{lib}, {} behind the head, moved {} ago{provisional}",
                behind(lib),
                show_seconds(status.seconds_since_lib)
            ),
        );
    }

    /// Who makes blocks, and what is in the way.
    fn add_consensus(&self, sheet: &mut Sheet) {
        let status = &self.status;
        sheet.line(
            "era",
            format_args!(
                "{}, epoch {}, round {}",
                status.era, status.epoch, status.round
            ),
        );
        sheet.line("committee", self.quorum_margin());
        let syncing = status
            .syncing
            .map_or_else(|| "no: caught up".to_owned(), |_| self.syncing());
        sheet.line("syncing", syncing);
        let mut halts = String::new();
        for halt in &status.halts {
            let since = show_time(halt.since_ms.get());
            halts.push_str(&format!("{} since {since}: {}\n", halt.kind, halt.reason));
        }
        let halts = if halts.is_empty() { "none" } else { &halts };
        sheet.line("halts", halts);
    }

    fn add_node(&self, sheet: &mut Sheet) {
        let status = &self.status;
        sheet.line(
            "mempool",
            format_args!(
                "{}, {}",
                count(
                    status.mempool.transactions.get(),
                    "transaction",
                    "transactions"
                ),
                show_bytes(status.mempool.bytes.get())
            ),
        );
        sheet.line("peers", status.peer_count);
        sheet.line("validator", self.validator());
        sheet.line(
            "node",
            format_args!(
                "holdfast {}, up {}, peer id {}",
                self.info.version,
                show_seconds(self.info.uptime_seconds.get() as f64),
                self.info.peer_id
            ),
        );
    }

    fn as_json(&self) -> Value {
        let verdict = self.verdict();
        json!({
            "ready": verdict.is_ok(),
            "why_not": verdict.err().map(|not_ready| not_ready.why),
            "url": self.url,
            "status": self.status,
            "node": self.info,
            "committee": {
                "size": self.status.committee_size,
                "active": self.status.active_committee,
                "quorum": self.committee.quorum,
                "max_faulty": self.committee.max_faulty,
            },
        })
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
