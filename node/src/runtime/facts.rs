//! What happened, as log lines and metrics.

use super::alerts::Alerts;
use super::backend::NodeBackend;
use super::board::Board;
use super::risk::{self, RiskWatch};
use crate::failure::Failure;
use holdfast_halt::{Mode, StallChange, StallReason};
use holdfast_network::NetworkHandle;
use holdfast_replica::Fact;
use holdfast_rpc::Metrics;
use holdfast_storage::Storage;
use holdfast_types::HaltId;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

mod gauges;

/// Turns facts into log lines and counters, and looks at the gauges now and then.
#[derive(Debug)]
pub struct FactsThread {
    pub facts: Receiver<Fact>,
    pub metrics: Metrics,
    pub board: Board,
    pub storage: Arc<Storage>,
    pub network: NetworkHandle,
    pub backend: Arc<NodeBackend>,
    pub stopping: CancellationToken,
    /// Halts whose forensic state is to be preserved.
    pub halts: Sender<HaltId>,
    pub risk: RiskWatch,
    pub alerts: Alerts,
}

/// How often the gauges are set.
const GAUGES: Duration = Duration::from_secs(1);
/// How often subscribers are told of halts at most.
const HALTS: Duration = Duration::from_millis(50);

impl FactsThread {
    /// Runs until the node stops.
    pub fn run(mut self) -> Result<(), Failure> {
        let mut gauges_at = Instant::now();
        let mut halts_at = Instant::now();
        while !self.stopping.is_cancelled() {
            match self.facts.recv_timeout(Duration::from_millis(250)) {
                Ok(fact) => self.on_fact(&fact),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if halts_at.elapsed() >= HALTS {
                halts_at = Instant::now();
                self.backend.tell_halts();
            }
            let since = gauges_at.elapsed();
            if since >= GAUGES {
                gauges_at = Instant::now();
                gauges::count_stall(&self.metrics, &self.board, since);
                gauges::set(&self.metrics, &self.board, &self.storage, &self.network);
                self.backend.set_gauges();
                self.look_at_risk();
            }
        }
        Ok(())
    }

    fn look_at_risk(&mut self) {
        let counters = self.network.counters();
        let space = self.storage.disk_space();
        let free_bytes = space.ok().map(|space| space.available);
        self.risk.look(
            &self.metrics,
            &self.board,
            &counters,
            free_bytes,
            &self.alerts,
            &self.backend,
        );
    }

    /// Has the forensic state preserved if a halt began that is worth it.
    fn preserve(&self, fact: &Fact) {
        if let Fact::HaltBegan {
            halt,
            mode: Mode::HardHalt | Mode::EmergencyHalt,
            ..
        } = fact
        {
            // Who preserves is gone only while the node stops, and does it at the next start.
            let _stopping = self.halts.send(*halt);
        }
    }

    fn on_fact(&mut self, fact: &Fact) {
        gauges::count(&self.metrics, fact);
        self.preserve(fact);
        risk::alert(&self.alerts, fact);
        self.risk.note(fact);
        match fact {
            Fact::Proposed { .. }
            | Fact::Committed { .. }
            | Fact::Certified { .. }
            | Fact::VertexParked { .. }
            | Fact::VertexDropped { .. } => log_details(fact),
            Fact::EraEnded { era, anchor_height } => {
                tracing::info!(era = era.0, last_height = anchor_height.0, "era ended");
            }
            Fact::EraStarted {
                era,
                committee_size,
                authority,
            } => tracing::info!(
                era = era.0,
                committee_size,
                authority = authority.map(|authority| authority.0),
                "era started"
            ),
            Fact::Equivocation { author, round } => tracing::warn!(
                authority = author.0,
                round = round.0,
                "a validator signed two vertices in one round; evidence is kept"
            ),
            Fact::ContradictoryAttestations { author, height } => tracing::warn!(
                authority = author.0,
                height = height.0,
                "a validator attested two blocks at one height; evidence is kept"
            ),
            Fact::Behind {
                round,
                network_round,
            } => tracing::info!(
                round = round.0,
                network_round = network_round.0,
                "this node is behind the network"
            ),
            Fact::SignRefused { .. }
            | Fact::Doppelganger { .. }
            | Fact::PastUnknown { .. }
            | Fact::Listened => log_signing(fact),
            Fact::HaltBegan { .. }
            | Fact::HaltEnded { .. }
            | Fact::HaltVoid { .. }
            | Fact::YieldsToLockdown { .. }
            | Fact::Stall(_)
            | Fact::GovernanceAccepted { .. }
            | Fact::LockdownLasts { .. }
            | Fact::Readiness(_) => log_halts(fact),
            Fact::Produced { .. } | Fact::ProducerOverdue { .. } => log_emergency(fact),
        }
    }
}

/// What happens all the time.
fn log_details(fact: &Fact) {
    match fact {
        Fact::Proposed {
            round,
            transactions,
        } => {
            tracing::debug!(round = round.0, transactions, "vertex proposed");
        }
        Fact::Committed {
            leader_round,
            index,
            vertices,
            transactions,
        } => tracing::debug!(
            leader_round = leader_round.0,
            index,
            vertices,
            transactions,
            "sub-DAG committed"
        ),
        Fact::Certified { height } => tracing::debug!(height = height.0, "block certified"),
        Fact::VertexParked { author, ahead_ms } => tracing::debug!(
            authority = author.0,
            ahead_ms,
            "a vertex is dated ahead of our clock; it waits"
        ),
        Fact::VertexDropped { author, reason } => {
            tracing::debug!(authority = author.0, reason, "a vertex was dropped");
        }
        _ => {}
    }
}

/// What stops the chain, and what starts it again.
fn log_halts(fact: &Fact) {
    match fact {
        Fact::YieldsToLockdown { era } => tracing::warn!(
            era = era.0,
            "the validators froze the chain as this emergency began: it is taken back, unless a quorum ends it, and this node freezes, too"
        ),
        Fact::HaltVoid { halt } => tracing::warn!(
            halt = %halt,
            "a halt of governance holds no more: a quorum does not follow it, as it comes too soon after one that this node has missed"
        ),
        Fact::HaltBegan { halt, mode, cause } => tracing::error!(
            halt = %halt,
            mode = mode.name(),
            cause = cause.map(holdfast_types::HaltCause::name),
            "HALTED: {}. This node signs no vertex and commits nothing; evidence and queries go on; see `holdfast why`",
            match mode {
                Mode::Lockdown => "the validators voted for a lockdown",
                _ => cause.map_or("governance ordered it", holdfast_types::HaltCause::message),
            }
        ),
        Fact::LockdownLasts { for_ms } => tracing::error!(
            for_ms,
            "STILL LOCKED: too few validators vote to go on; see `holdfast why`"
        ),
        Fact::HaltEnded { halt, mode } => {
            tracing::warn!(halt = %halt, mode = mode.name(), "the halt has ended");
        }
        Fact::Stall(StallChange::Began { reasons }) => {
            let reasons: Vec<_> = reasons.iter().map(StallReason::name).collect();
            tracing::warn!(
                reasons = reasons.join(","),
                "SOFT STALL: nothing is committed; vertices and transactions go on, and the chain goes on by itself when a quorum is back"
            );
        }
        Fact::Stall(StallChange::Escalated) => tracing::error!(
            "the soft stall has lasted as long as escalates it: it does not end by itself any more without people"
        ),
        Fact::Stall(StallChange::Ended { lasted_ms }) => {
            tracing::warn!(lasted_ms, "the soft stall has ended by itself");
        }
        Fact::GovernanceAccepted { sequence, action } => {
            tracing::warn!(sequence, action, "a message of governance is in force");
        }
        Fact::Readiness(readiness) => {
            tracing::warn!(readiness = readiness.name(), "readiness to resume");
        }
        _ => {}
    }
}

/// What this node does as a producer in an emergency.
fn log_emergency(fact: &Fact) {
    match fact {
        Fact::Produced {
            height,
            slot,
            transactions,
        } => tracing::info!(
            height = height.0,
            slot,
            transactions,
            "emergency block produced"
        ),
        Fact::ProducerOverdue { slot, refusal } => tracing::error!(
            slot,
            reason = refusal.map_or("no_answer", holdfast_chain::ProductionRefusal::name),
            "EMERGENCY PRODUCER OVERDUE: this node has the emergency key, and slots pass without a block"
        ),
        _ => {}
    }
}

/// What decides whether this node signs.
fn log_signing(fact: &Fact) {
    match fact {
        Fact::SignRefused { reason } => tracing::warn!(reason, "the sign guard refused"),
        Fact::Doppelganger { era, round } => tracing::error!(
            era = era.0,
            round = round.0,
            "our key signs elsewhere: signing stopped"
        ),
        Fact::PastUnknown { era, round } => tracing::warn!(
            %era,
            %round,
            "SIGN GUARD TOO OLD: others hold vertices under this key that its guard does not know; nothing is signed until a quorum of validators has shown what it has"
        ),
        Fact::Listened => tracing::info!("this process signs from now on"),
        _ => {}
    }
}
