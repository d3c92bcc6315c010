//! The thread that preserves, and the halts that it looks for.

use super::scene::Scene;
use super::{Outcome, Settings, preserve, retention};
use crate::failure::Failure;
use crate::supervisor::Supervisor;
use holdfast_halt::{EmergencyHalt, HaltState, HardHalt, Mode, OwnFault};
use holdfast_rpc::Metrics;
use holdfast_types::{HaltCause, HaltId};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// One of the halts that hold.
#[derive(Clone, Debug)]
pub enum HaltInForce {
    Hard(HardHalt),
    OwnFault(OwnFault),
    Emergency(EmergencyHalt),
}

/// The halts that hold and are worth a bundle.
pub(super) fn in_force(state: &HaltState) -> Vec<HaltInForce> {
    let hard = state.hard.iter().cloned().map(HaltInForce::Hard);
    let own = state.own_fault.iter().cloned().map(HaltInForce::OwnFault);
    let emergency = state.emergency.iter().filter(|halt| halt.active).cloned();
    hard.chain(own)
        .chain(emergency.map(HaltInForce::Emergency))
        .collect()
}

impl HaltInForce {
    pub(super) fn find(state: &HaltState, halt: HaltId) -> Option<Self> {
        in_force(state).into_iter().find(|one| one.id() == halt)
    }

    pub(super) const fn id(&self) -> HaltId {
        match self {
            Self::Hard(hard) => hard.id,
            Self::OwnFault(fault) => fault.id,
            Self::Emergency(emergency) => emergency.id,
        }
    }

    pub(super) const fn mode(&self) -> Mode {
        match self {
            Self::Hard(_) | Self::OwnFault(_) => Mode::HardHalt,
            Self::Emergency(_) => Mode::EmergencyHalt,
        }
    }

    pub(super) const fn cause(&self) -> Option<HaltCause> {
        match self {
            Self::Hard(hard) => Some(hard.cause),
            Self::OwnFault(fault) => Some(fault.cause),
            Self::Emergency(_) => None,
        }
    }

    pub(super) const fn began_ms(&self) -> u64 {
        match self {
            Self::Hard(hard) => hard.since.0,
            Self::OwnFault(fault) => fault.since.0,
            Self::Emergency(emergency) => emergency.received.0,
        }
    }

    pub(super) fn what(&self) -> String {
        match self {
            Self::Hard(hard) => hard.cause.message().to_owned(),
            Self::OwnFault(fault) => format!("{}: {}", fault.cause.message(), fault.detail),
            Self::Emergency(emergency) => {
                let reason = emergency.message.body.action.reason();
                format!("governance ordered it: {}", reason.unwrap_or_default())
            }
        }
    }
}

/// Preserves one halt after the other, beside everything else.
pub struct Preserver {
    pub scene: Box<dyn Scene + Send>,
    pub settings: Settings,
    /// Halts that began.
    pub requests: Receiver<HaltId>,
    pub metrics: Metrics,
    pub supervisor: Supervisor,
}

impl std::fmt::Debug for Preserver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Preserver")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

const LOOK_UP: Duration = Duration::from_millis(250);

impl Preserver {
    /// Runs until the node stops. Never fails: rule F1.
    pub fn run(self) -> Result<(), Failure> {
        self.after_restart();
        let stopping = self.supervisor.stopping();
        while !stopping.is_cancelled() {
            match self.requests.recv_timeout(LOOK_UP) {
                Ok(halt) => self.preserve(halt, false),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    /// What was not preserved before the process ended. It takes nobody's place: a bundle that went to make room does not
    /// come back with every restart.
    fn after_restart(&self) {
        for halt in in_force(&self.scene.halts()) {
            let exists = self.settings.folder.join(halt.id().to_string()).exists();
            let count = retention::count(&self.settings.folder).unwrap_or_default();
            if exists || count < self.settings.bundles_max {
                self.preserve(halt.id(), true);
            }
        }
    }

    fn preserve(&self, halt: HaltId, after_restart: bool) {
        let scene = self.scene.as_ref();
        let attempt = || preserve(scene, &self.settings, halt, after_restart);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(attempt))
            .unwrap_or_else(|_| Outcome::Failed(String::from("preserving panicked")));
        if let Some(name) = outcome.name() {
            self.metrics.halt.bundles.with(name).inc();
        }
        match outcome {
            Outcome::Complete => tracing::warn!(
                %halt,
                folder = %self.settings.folder.display(),
                "the forensic state is preserved; see `holdfast incident report --halt {halt:#}`"
            ),
            Outcome::Partial(missing) => tracing::error!(
                %halt,
                missing,
                folder = %self.settings.folder.display(),
                "the forensic state is preserved in part"
            ),
            Outcome::Failed(reason) => {
                tracing::error!(%halt, reason, "the forensic state is not preserved; the halt holds all the same");
            }
            Outcome::AlreadyThere => {
                tracing::info!(%halt, "the forensic state was preserved before")
            }
        }
    }
}
