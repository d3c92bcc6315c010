//! Notices a part that neither works nor ends.
//!
//! A process whose core hangs looks alive from outside: the service manager sees it running, metrics answer. So an
//! ordinary thread, which needs no runtime and takes no lock of the node, looks whether the hearts of the parts beat:
//!
//! * W1. A part that has not beaten for [`FROZEN_AFTER`] is frozen: `/livez` fails, one log line says what every thread of
//!   the process does, and the service manager gets no more signs of life, so that it may restart the node.
//! * W2. A part that beats again is not frozen any more: all three are taken back, and the log says how long it was.
//! * W3. A part that is frozen for [`GIVE_UP_AFTER`] stops the node with exit code 70. Where no service manager watches,
//!   nobody else would.
//! * W4. Time is counted in looks, not by a clock: a process that was suspended as a whole (SIGSTOP, a paused machine) has
//!   not looked either, and its parts get time to beat before they are judged.

mod service_manager;
mod threads;

pub use service_manager::ServiceManager;

use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::supervisor::{StopReason, Supervisor};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Rule W1. The parts beat four times a second when there is nothing to do; the longest that they do between two beats is one
/// block or one synced write, which take seconds only on a machine that cannot carry the node.
pub const FROZEN_AFTER: Duration = Duration::from_secs(10);
/// Rule W3. Long enough for a disk that recovers, and for the service manager to act first.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(120);
/// Looks until a part is frozen. Several: rule W4.
const LOOKS_UNTIL_FROZEN: u32 = 10;

/// Kept by the watched part; beat it whenever there is progress, or nothing to do.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Says that the part is alive. Costs one atomic addition.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the watchdog has found, for `/livez`: read without a lock, so that it answers whatever is frozen.
#[derive(Clone, Debug, Default)]
pub struct Vitals(Arc<Vec<Vital>>);

#[derive(Debug)]
struct Vital {
    part: &'static str,
    /// 0: it works.
    frozen_ms: AtomicU64,
}

impl Vitals {
    /// Which part is frozen, and for how long, in words; none if all work.
    #[must_use]
    pub fn frozen(&self) -> Option<String> {
        self.0.iter().find_map(|vital| {
            let frozen_ms = vital.frozen_ms.load(Ordering::Relaxed);
            (frozen_ms > 0).then(|| frozen_for(vital.part, Duration::from_millis(frozen_ms)))
        })
    }
}

fn frozen_for(part: &str, silent: Duration) -> String {
    format!(
        "the {part} thread has not moved for {:.1} s",
        silent.as_secs_f64()
    )
}

/// The times of rules W1 and W3.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub frozen_after: Duration,
    pub give_up_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frozen_after: FROZEN_AFTER,
            give_up_after: GIVE_UP_AFTER,
        }
    }
}

/// Looks after the parts.
#[derive(Debug)]
pub struct Watchdog {
    parts: Vec<Part>,
    vitals: Vitals,
    /// Time between two looks.
    period: Duration,
    limits: Limits,
    service_manager: Option<ServiceManager>,
}

#[derive(Debug)]
struct Part {
    heartbeat: Heartbeat,
    last: u64,
    /// Since its last beat.
    looks: u32,
}

/// What a look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    Frozen(&'static str, Duration),
    /// It works again; so long it did not.
    Back(&'static str, Duration),
    /// Rule W3.
    Hopeless(&'static str, Duration),
}

impl Watchdog {
    /// A watchdog over these parts, with a heartbeat for each.
    #[must_use]
    pub fn over<const PARTS: usize>(
        parts: [&'static str; PARTS],
        limits: Limits,
        service_manager: Option<ServiceManager>,
    ) -> (Self, [Heartbeat; PARTS]) {
        let heartbeats = parts.map(|_| Heartbeat::default());
        let vital = |part| Vital {
            part,
            frozen_ms: AtomicU64::new(0),
        };
        let wanted = limits.frozen_after / LOOKS_UNTIL_FROZEN;
        let asked = service_manager.as_ref().and_then(ServiceManager::period);
        let watchdog = Self {
            parts: heartbeats.iter().map(Part::of).collect(),
            vitals: Vitals(Arc::new(parts.into_iter().map(vital).collect())),
            period: asked.map_or(wanted, |asked| asked.min(wanted)),
            limits,
            service_manager,
        };
        (watchdog, heartbeats)
    }

    #[must_use]
    pub fn vitals(&self) -> Vitals {
        self.vitals.clone()
    }

    /// Starts the thread that looks, until the node stops.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(mut self, supervisor: &Supervisor) -> io::Result<()> {
        let watching = supervisor.clone();
        supervisor.spawn_thread("watchdog", move || {
            self.tell(ServiceManager::READY);
            while !watching.stops_within(self.period) {
                for finding in self.look() {
                    self.report(&finding, &watching);
                }
                self.feed();
            }
            self.tell(ServiceManager::STOPPING);
            Ok(())
        })
    }

    /// One look at every part.
    fn look(&mut self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (part, vital) in self.parts.iter_mut().zip(self.vitals.0.iter()) {
            let before = self.period * part.looks;
            let silent = self.period * part.look();
            let was_frozen = vital.frozen_ms.load(Ordering::Relaxed) > 0;
            let is_frozen = silent >= self.limits.frozen_after;
            let frozen_ms = if is_frozen {
                silent.as_millis().max(1)
            } else {
                0
            };
            let frozen_ms = u64::try_from(frozen_ms).unwrap_or(u64::MAX);
            vital.frozen_ms.store(frozen_ms, Ordering::Relaxed);
            match (was_frozen, is_frozen) {
                (false, true) => findings.push(Finding::Frozen(vital.part, silent)),
                (true, false) => findings.push(Finding::Back(vital.part, before)),
                _ => {}
            }
            if silent >= self.limits.give_up_after {
                findings.push(Finding::Hopeless(vital.part, silent));
            }
        }
        findings
    }

    fn report(&self, finding: &Finding, supervisor: &Supervisor) {
        match finding {
            Finding::Frozen(part, silent) => {
                let what = frozen_for(part, *silent);
                tracing::error!(
                    part,
                    silent_ms = silent.as_millis() as u64,
                    threads = threads::in_words(),
                    "FROZEN: {what}; /livez fails and the service manager is told nothing more until it moves"
                );
            }
            Finding::Back(part, silent) => {
                tracing::warn!(
                    part,
                    silent_ms = silent.as_millis() as u64,
                    "a frozen part moves again"
                );
                self.tell("STATUS=working");
            }
            Finding::Hopeless(part, silent) => {
                supervisor.stop(StopReason::Failed(hopeless(part, *silent)));
            }
        }
    }

    /// Says that the node lives, if it does; else why it says nothing of the kind.
    fn feed(&self) {
        match self.vitals.frozen() {
            None => self.tell(ServiceManager::ALIVE),
            Some(what) => self.tell(&format!("STATUS={what}")),
        }
    }

    fn tell(&self, message: &str) {
        if let Some(manager) = &self.service_manager {
            manager.tell(message);
        }
    }
}

impl Part {
    fn of(heartbeat: &Heartbeat) -> Self {
        Self {
            heartbeat: heartbeat.clone(),
            last: heartbeat.0.load(Ordering::Relaxed),
            looks: 0,
        }
    }

    /// Looks since the last beat, this one included.
    fn look(&mut self) -> u32 {
        let beats = self.heartbeat.0.load(Ordering::Relaxed);
        self.looks = if beats == self.last {
            self.looks.saturating_add(1)
        } else {
            0
        };
        self.last = beats;
        self.looks
    }
}

fn hopeless(part: &str, silent: Duration) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "a part of the node hangs, so the node stopped itself",
        frozen_for(part, silent),
        "look at the log before this moment, and at the load of disk and processors; restarting is safe",
    )
}

#[cfg(test)]
#[path = "watchdog/watchdog_tests.rs"]
mod tests;
