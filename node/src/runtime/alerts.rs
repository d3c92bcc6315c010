//! Alerts by webhook, as Alertmanager takes them (`POST /api/v2/alerts`): for machines that nobody scrapes, and sooner than a scrape.
//!
//! An alert that is raised holds until it is resolved; all that hold are told together when one changes, and again every
//! minute, as a receiver may have forgotten. What cannot be told is told later. There is one alert of each name, so nothing grows, and
//! whoever raises one waits for nothing.

mod post;

use crate::clock;
use crate::config::WebhookUrl;
use crate::failure::Failure;
use holdfast_genesis::GenesisTime;
use holdfast_rpc::Metrics;
use holdfast_types::TimestampMs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often what holds is told again. Alertmanager takes an alert that it has not heard of for 5 minutes for resolved.
const REPEAT: Duration = Duration::from_secs(60);
/// After a failure, doubled with each more up to [`REPEAT`].
const RETRY: Duration = Duration::from_secs(1);
/// A receiver that takes longer has not heard it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is alerted about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertName {
    /// The risk analyzer.
    Risk,
    /// The validators have frozen the chain.
    Lockdown,
    /// Nobody has ended that for long.
    LockdownLasts,
}

impl AlertName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Risk => "HoldfastRiskRaised",
            Self::Lockdown => "HoldfastLockdown",
            Self::LockdownLasts => "HoldfastLockdownLasts",
        }
    }
}

/// As in the shipped alert rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Page,
    Ticket,
    Info,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
            Self::Info => "info",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub name: AlertName,
    pub severity: Severity,
    pub summary: String,
    pub description: String,
    /// By the wall clock of this node.
    pub since: TimestampMs,
}

impl Alert {
    /// Whether a receiver takes both for one alert.
    fn is_same(&self, other: &Self) -> bool {
        (self.name, self.severity) == (other.name, other.severity)
    }
}

/// What is to be told.
#[derive(Debug, Default)]
struct Book {
    holding: BTreeMap<AlertName, Alert>,
    /// When they ended. Forgotten once it is told.
    ended: Vec<(Alert, TimestampMs)>,
}

/// Where alerts are raised and resolved. Cheap to clone; without a webhook it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    book: Mutex<Book>,
    changed: Notify,
}

impl Alerts {
    /// Alerts for a [`Webhook`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Some(Arc::default()),
        }
    }

    pub fn raise(&self, alert: Alert) {
        self.change(|book| {
            book.ended.retain(|(ended, _)| !ended.is_same(&alert));
            let before = book.holding.insert(alert.name, alert.clone());
            // Another severity is another alert for who receives it.
            if let Some(before) = before.filter(|before| before.severity != alert.severity) {
                book.end(before);
            }
        });
    }

    pub fn resolve(&self, name: AlertName) {
        self.change(|book| {
            if let Some(alert) = book.holding.remove(&name) {
                book.end(alert);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Book)) {
        if let Some(shared) = &self.shared {
            change(&mut shared.book.lock().unwrap_or_else(PoisonError::into_inner));
            shared.changed.notify_one();
        }
    }
}

impl Book {
    /// Of one name and severity the last end is told.
    fn end(&mut self, alert: Alert) {
        self.ended.retain(|(other, _)| !other.is_same(&alert));
        self.ended.push((alert, clock::wall()));
    }
}

/// Tells what holds.
#[derive(Debug)]
pub struct Webhook {
    pub url: WebhookUrl,
    pub alerts: Alerts,
    /// Says which node it is.
    pub instance: String,
    pub chain: String,
    pub metrics: Metrics,
}

impl Webhook {
    /// Runs until the node stops.
    pub async fn run(self, stopping: CancellationToken) -> Result<(), Failure> {
        let Some(shared) = self.alerts.shared.clone() else {
            return Ok(());
        };
        let mut failures = 0_u32;
        let mut again: Option<Instant> = None;
        loop {
            let due = async {
                match again {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = shared.changed.notified(), if failures == 0 => {}
                () = due => {}
            }
            again = self.tell(&shared, &mut failures).await;
        }
    }

    /// Tells all that holds and what has ended; says when to do it again.
    async fn tell(&self, shared: &Shared, failures: &mut u32) -> Option<Instant> {
        let (alerts, ended) = {
            let mut book = shared.book.lock().unwrap_or_else(PoisonError::into_inner);
            let holding = book.holding.values().map(|alert| (alert, None));
            let ended = book.ended.iter().map(|(alert, at)| (alert, Some(*at)));
            let alerts: Vec<Value> = holding
                .chain(ended)
                .map(|(alert, ended)| self.as_json(alert, ended))
                .collect();
            (alerts, std::mem::take(&mut book.ended))
        };
        if alerts.is_empty() {
            return None;
        }
        let body = Value::Array(alerts).to_string();
        let sent = tokio::time::timeout(PATIENCE, post::post(&self.url, body)).await;
        let error = match sent {
            Ok(Ok(())) => {
                *failures = 0;
                self.metrics.halt.alerts.with("sent").inc();
                return Some(Instant::now() + REPEAT);
            }
            Ok(Err(error)) => error,
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        self.metrics.halt.alerts.with("failed").inc();
        if *failures == 0 {
            tracing::warn!(webhook = %self.url, %error, "alerts cannot be told; this is tried again");
        }
        let mut book = shared.book.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended again meanwhile stays, and what holds again has not ended.
        for (alert, at) in ended {
            let is_held = |held: &Alert| held.is_same(&alert);
            let is_known = |(other, _): &(Alert, TimestampMs)| other.is_same(&alert);
            if !book.ended.iter().any(is_known) && !book.holding.values().any(is_held) {
                book.ended.push((alert, at));
            }
        }
        let wait = RETRY.saturating_mul(1 << (*failures).min(6)).min(REPEAT);
        *failures = failures.saturating_add(1);
        Some(Instant::now() + wait)
    }

    fn as_json(&self, alert: &Alert, ended: Option<TimestampMs>) -> Value {
        let mut json = json!({
            "labels": {
                "alertname": alert.name.as_str(),
                "severity": alert.severity.as_str(),
                "instance": self.instance,
                "chain": self.chain,
            },
            "annotations": {
                "summary": format!("{}: {}", self.instance, alert.summary),
                "description": alert.description,
                "runbook": "docs/runbooks/lockdown.md",
            },
            "startsAt": GenesisTime(alert.since).to_string(),
        });
        if let (Some(at), Some(fields)) = (ended, json.as_object_mut()) {
            fields.insert("endsAt".to_owned(), GenesisTime(at).to_string().into());
        }
        json
    }
}

#[cfg(test)]
#[path = "alerts/alerts_tests.rs"]
mod tests;
