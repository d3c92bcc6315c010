//! What this node worries about: it measures what the risk analyzer judges (rules RA1 to RA7 of `holdfast_halt::risk`), says how that
//! changes, and votes to freeze the chain if its operator has configured that.

mod measure;

use super::alerts::{Alert, AlertName, Alerts, Severity};
use super::backend::{Bounds, NodeBackend, VoteAnswer};
use super::board::{Board, Standing};
use crate::clock;
use holdfast_halt::Mode;
use holdfast_halt::lockdown::LockdownPhase;
use holdfast_halt::risk::{RiskAnalyzer, RiskChange, RiskLevel, RuleStanding};
use holdfast_network::NetworkCounters;
use holdfast_replica::Fact;
use holdfast_rpc::Metrics;
use holdfast_types::{Parameters, TimestampMs};
use measure::{Offenders, sample};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot::error::TryRecvError;

/// How the rules stand, for whoever asks.
#[derive(Clone, Debug)]
pub struct RiskPicture {
    pub level: RiskLevel,
    /// By the wall clock.
    pub since: TimestampMs,
    pub rules: Vec<RuleStanding>,
}

impl RiskPicture {
    /// Before anything was measured.
    #[must_use]
    pub fn first() -> Self {
        Self::of(&RiskAnalyzer::default(), clock::wall())
    }

    fn of(analyzer: &RiskAnalyzer, since: TimestampMs) -> Self {
        Self {
            level: analyzer.level(),
            since,
            rules: analyzer.standings().collect(),
        }
    }

    /// Which rules are above normal and what they have found, the worst first, for a person.
    #[must_use]
    pub fn reasons(&self) -> String {
        let raised = self.rules.iter();
        let mut raised: Vec<_> = raised
            .filter(|rule| rule.level > RiskLevel::Normal)
            .collect();
        raised.sort_by_key(|rule| std::cmp::Reverse(rule.level));
        let reasons = raised.into_iter().map(|standing| {
            let name = standing.rule.signal.name();
            let value = standing
                .value
                .map_or_else(|| "less now".to_owned(), |value| value.to_string());
            format!("{name} {} ({value})", standing.level.name())
        });
        reasons.collect::<Vec<_>>().join(", ")
    }
}

/// The analyzer at work.
#[derive(Debug)]
pub struct RiskWatch {
    analyzer: RiskAnalyzer,
    bounds: Bounds,
    began: Instant,
    since: TimestampMs,
    votes_from: Option<RiskLevel>,
    /// A vote that fails, or expires, is cast again after this long while the risk lasts.
    vote_again: Duration,
    voted_at: Option<Instant>,
    /// What comes of the last vote: this thread waits for nobody.
    answer: Option<VoteAnswer>,
    /// The chain was frozen when it was looked at last.
    was_frozen: bool,
    offenders: Offenders,
}

impl RiskWatch {
    pub(super) fn new(parameters: &Parameters, votes_from: Option<RiskLevel>) -> Self {
        Self {
            analyzer: RiskAnalyzer::default(),
            bounds: Bounds::of(parameters),
            began: Instant::now(),
            since: clock::wall(),
            votes_from,
            vote_again: Duration::from_millis(parameters.lockdown.vote_max_age_ms / 2),
            voted_at: None,
            answer: None,
            was_frozen: false,
            offenders: Offenders::default(),
        }
    }

    /// Looks at everything once.
    pub(super) fn look(
        &mut self,
        metrics: &Metrics,
        board: &Board,
        counters: &NetworkCounters,
        free_bytes: Option<u64>,
        alerts: &Alerts,
        backend: &NodeBackend,
    ) {
        let standing = board.read();
        self.follow_lockdown(&standing, alerts);
        let sample = sample(
            self.bounds,
            &standing,
            &mut self.offenders,
            counters,
            free_bytes,
        );
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let change = self.analyzer.observe(now_ms, &sample);
        if change.is_some() {
            self.since = clock::wall();
        }
        let picture = RiskPicture::of(&self.analyzer, self.since);
        set_metrics(metrics, &picture);
        if let Some(change) = change {
            tell(change, &picture, alerts);
        }
        self.vote(&picture, board, backend);
        let picture = Arc::new(picture);
        board.update(|standing| standing.risk = picture);
    }

    /// Alerts of a lockdown hold as long as it does, also over a restart. What was seen before it has been looked into when it ends.
    fn follow_lockdown(&mut self, standing: &Standing, alerts: &Alerts) {
        let is_frozen = standing.halts.modes.contains(Mode::Lockdown);
        let was_frozen = std::mem::replace(&mut self.was_frozen, is_frozen);
        if is_frozen && !was_frozen {
            alerts.raise(Alert {
                name: AlertName::Lockdown,
                severity: Severity::Page,
                summary: "the validators have frozen the chain".to_owned(),
                description: "holdfast lockdown status has their reasons, and how each stands"
                    .to_owned(),
                since: clock::wall(),
            });
        }
        if was_frozen && !is_frozen {
            for name in [
                AlertName::Lockdown,
                AlertName::LockdownLasts,
                AlertName::Risk,
            ] {
                alerts.resolve(name);
            }
            self.analyzer = RiskAnalyzer::default();
            self.since = clock::wall();
        }
    }

    /// Somebody was seen to break a rule.
    pub(super) fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::Equivocation { author, .. } => self.offenders.equivocated(*author),
            Fact::ContradictoryAttestations { author, .. } => self.offenders.contradicted(*author),
            _ => {}
        }
    }

    fn hear_answer(&mut self) {
        let Some(mut answer) = self.answer.take() else {
            return;
        };
        match answer.try_recv() {
            Ok(Ok(())) => {
                tracing::warn!("this validator votes to freeze the chain because of the risk")
            }
            Ok(Err(refusal)) => tracing::warn!(
                %refusal,
                "the risk is critical, but this node cannot vote to freeze the chain"
            ),
            Err(TryRecvError::Empty) => self.answer = Some(answer),
            // The node is stopping.
            Err(TryRecvError::Closed) => {}
        }
    }

    /// Votes as long as the risk lasts and nothing is frozen.
    fn vote(&mut self, picture: &RiskPicture, board: &Board, backend: &NodeBackend) {
        self.hear_answer();
        let is_due = self
            .voted_at
            .is_none_or(|at| at.elapsed() >= self.vote_again);
        let votes = self.votes_from.is_some_and(|from| picture.level >= from);
        let phase = board.halts().state.lockdown.phase();
        let is_open = matches!(phase, LockdownPhase::Normal | LockdownPhase::Voting);
        if !votes || !is_open || !is_due {
            return;
        }
        self.voted_at = Some(Instant::now());
        let reasons = picture.reasons();
        match backend.vote_on_risk(&reasons) {
            Ok(answer) => self.answer = Some(answer),
            Err(error) => tracing::warn!(
                %error,
                "the risk is critical, but this node cannot vote to freeze the chain"
            ),
        }
    }
}

fn set_metrics(metrics: &Metrics, picture: &RiskPicture) {
    metrics.halt.risk_level.set(picture.level as i64);
    for standing in &picture.rules {
        let series = metrics
            .halt
            .risk_rule_level
            .with(standing.rule.signal.name());
        series.set(standing.level as i64);
    }
}

fn tell(change: RiskChange, picture: &RiskPicture, alerts: &Alerts) {
    let RiskChange { from, to } = change;
    let (from, reasons) = (from.name(), picture.reasons());
    if to == RiskLevel::Normal {
        tracing::info!(from, "the risk is normal again");
        alerts.resolve(AlertName::Risk);
        return;
    }
    let level = to.name();
    if to >= RiskLevel::High {
        tracing::warn!(from, level, %reasons, "the risk has changed: holdfast lockdown status");
    } else {
        tracing::info!(from, level, %reasons, "the risk has changed");
    }
    alerts.raise(Alert {
        name: AlertName::Risk,
        severity: match to {
            RiskLevel::Critical => Severity::Page,
            RiskLevel::High => Severity::Ticket,
            RiskLevel::Elevated | RiskLevel::Normal => Severity::Info,
        },
        summary: format!("risk {level}"),
        description: reasons,
        since: picture.since,
    });
}

/// What a fact says of a lockdown that lasts, for who is alerted.
pub(super) fn alert(alerts: &Alerts, fact: &Fact) {
    if let Fact::LockdownLasts { for_ms } = fact {
        alerts.raise(Alert {
            name: AlertName::LockdownLasts,
            severity: Severity::Page,
            summary: format!("the chain is frozen since {} s", for_ms / 1_000),
            description: "not enough validators have voted to go on: holdfast lockdown status says who is missing".to_owned(),
            since: clock::wall(),
        });
    }
}
