//! The thread that preserves, and the halts that it looks for.

use super::scene::Scene;
use super::{Outcome, Settings, preserve};
use crate::failure::Failure;
use holdfast_halt::HaltState;
use holdfast_rpc::Metrics;
use holdfast_types::HaltId;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Rule F6: it came while the chain stood still for another one on proof.
fn follows_another(state: &HaltState, halt: HaltId) -> bool {
    state.hard.iter().skip(1).any(|one| one.id == halt)
}

/// Preserves one halt after the other, beside everything else.
pub struct Preserver {
    pub scene: Box<dyn Scene + Send>,
    pub settings: Settings,
    /// Halts that began.
    pub requests: Receiver<HaltId>,
    pub metrics: Metrics,
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
        while !self.scene.is_stopping() {
            match self.requests.recv_timeout(LOOK_UP) {
                Ok(halt) => self.preserve(&self.scene.halts(), halt, false),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    /// What was not preserved before the process ended.
    fn after_restart(&self) {
        let state = self.scene.halts();
        for halt in state.in_force() {
            if self.scene.is_stopping() {
                return;
            }
            self.preserve(&state, halt.id(), true);
        }
    }

    fn preserve(&self, state: &HaltState, halt: HaltId, after_restart: bool) {
        if follows_another(state, halt) {
            tracing::info!(%halt, "nothing more is preserved: the chain stands still for a halt before it");
            return;
        }
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
                tracing::info!(%halt, "the forensic state was preserved before");
            }
            Outcome::Interrupted => {
                tracing::info!(%halt, "the node stops; its next start preserves the rest");
            }
        }
    }
}
