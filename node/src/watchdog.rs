//! Notices a part that neither works nor ends.
//!
//! A process whose core hangs looks alive from outside: the service manager sees it running, metrics answer. So an
//! ordinary thread, which needs no runtime, looks whether the part's heartbeat moves. If it does not, the node stops
//! with that as the reason, and the service manager may start it again.

use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::supervisor::{StopReason, Supervisor};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Looks per limit. Several, so that a process that was suspended as a whole (SIGSTOP, a paused machine) gets time to
/// beat again before it is judged.
const LOOKS: u32 = 4;

/// Kept by the watched part; beat it whenever there is progress, or nothing to do.
#[derive(Clone, Debug)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Says that the part is alive. Costs one atomic addition.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Watches a part from now on: if it does not beat for `limit`, the node stops with exit code 70.
///
/// # Errors
/// When the operating system gives no thread.
pub fn watch(supervisor: &Supervisor, part: &str, limit: Duration) -> io::Result<Heartbeat> {
    let heartbeat = Heartbeat(Arc::default());
    let watched = heartbeat.clone();
    let part = part.to_owned();
    let watching = supervisor.clone();
    supervisor.spawn_thread(&format!("watch-{part}"), move || {
        let mut silence = Silence::default();
        while !watching.stops_within(limit / LOOKS) {
            if silence.lasts(watched.0.load(Ordering::Relaxed)) {
                watching.stop(StopReason::Failed(hung(&part, limit)));
            }
        }
        Ok(())
    })?;
    Ok(heartbeat)
}

fn hung(part: &str, limit: Duration) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "a part of the node hangs, so the node stopped itself",
        format!("{part} has not moved for {:.1} s", limit.as_secs_f64()),
        "look at the log before this moment, and at the load of disk and processors; restarting is safe",
    )
}

/// Counts the looks at which nothing had moved.
#[derive(Debug, Default)]
struct Silence {
    last: u64,
    looks: u32,
}

impl Silence {
    fn lasts(&mut self, beats: u64) -> bool {
        self.looks = if beats == self.last {
            self.looks + 1
        } else {
            0
        };
        self.last = beats;
        self.looks >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_judged_after_four_looks_without_a_beat() {
        let mut silence = Silence::default();
        let verdicts: Vec<bool> = [1, 1, 1, 1, 2, 2, 2, 2, 2]
            .into_iter()
            .map(|beats| silence.lasts(beats))
            .collect();
        assert_eq!(
            verdicts,
            [false, false, false, false, false, false, false, false, true]
        );
    }

    #[test]
    fn a_part_that_never_beats_stops_the_node() {
        let supervisor = Supervisor::new();
        let heartbeat = watch(&supervisor, "core", Duration::from_millis(4)).unwrap();
        match supervisor.wait() {
            StopReason::Failed(failure) => {
                assert_eq!(failure.code, ExitCode::Internal);
                assert_eq!(failure.why, "core has not moved for 0.0 s");
            }
            reason @ StopReason::Asked { .. } => panic!("{reason:?}"),
        }
        drop(heartbeat);
        assert!(supervisor.drain(Duration::from_secs(60)).is_empty());
    }

    #[test]
    fn the_watch_ends_with_the_node() {
        let supervisor = Supervisor::new();
        let heartbeat = watch(&supervisor, "core", Duration::from_secs(3600)).unwrap();
        heartbeat.beat();
        supervisor.stop(StopReason::Asked {
            by: "the test".to_owned(),
        });
        assert_eq!(supervisor.run_to_end(), Ok(()));
    }
}
