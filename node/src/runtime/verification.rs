//! The verification pool: threads that decode and verify what peers and clients send, before it reaches the core thread.
//!
//! Jobs wait in three bounded queues, consensus before requests of peers before transactions; a full queue refuses, and who
//! offered the job decides what that means.

mod jobs;
mod queue;
mod submissions;

pub use jobs::{Asked, Job, Verifier};
pub use queue::{JobQueue, Urgency};
pub use submissions::{Submit, SubmitError};

use crate::failure::Failure;
use crate::supervisor::Supervisor;
use std::io;
use std::sync::Arc;

/// Starts `threads` threads that work on the queue until the node stops.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start(
    supervisor: &Supervisor,
    queue: &Arc<JobQueue<Job>>,
    verifier: &Arc<Verifier>,
    threads: usize,
) -> io::Result<()> {
    for number in 0..threads {
        let queue = Arc::clone(queue);
        let verifier = Arc::clone(verifier);
        let stopping = supervisor.stopping();
        supervisor.spawn_thread(&format!("verify-{number}"), move || {
            while let Some(jobs) = queue.take(&stopping) {
                verifier.work(jobs);
            }
            Ok::<(), Failure>(())
        })?;
    }
    Ok(())
}
