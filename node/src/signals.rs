//! What stops a node from outside: signals, and the end of a parent process.

use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::supervisor::{StopReason, Supervisor};
use std::io::{self, Read};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, once listened to.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on these signals no longer end the process by themselves.
    ///
    /// # Errors
    /// When the operating system refuses the handler.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next signal.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// The first signal stops the node gracefully, once `farewell` is done; the second ends the process at once: everything
    /// that must last is on disk before it is acted upon, so that is as safe as `kill -9`.
    pub async fn stop_on_first_exit_on_second(
        mut self,
        supervisor: Supervisor,
        farewell: impl Future<Output = ()>,
    ) {
        let by = self.next().await.to_owned();
        let stop = async {
            farewell.await;
            supervisor.stop(StopReason::Asked { by });
            std::future::pending().await
        };
        let by = tokio::select! {
            by = self.next() => by,
            never = stop => never,
        };
        tracing::warn!(by, "a second signal: ending at once");
        std::process::exit(i32::from(ExitCode::Usage.number()));
    }
}

/// Does the work of a command that is no node, on threads of its own, unless a signal comes first.
///
/// # Errors
/// Those of the work, and `interrupted` of the signal's name.
pub fn unless_interrupted<T>(
    interrupted: impl FnOnce(&str) -> Failure,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::disk("cannot start threads", &error))?;
    runtime.block_on(async {
        let mut signals = StopSignals::listen()
            .map_err(|error| Failure::disk("cannot listen to signals", &error))?;
        tokio::select! {
            done = Box::pin(work) => done,
            signal = signals.next() => Err(interrupted(signal)),
        }
    })
}

/// Stops the node when `input` ends. A devnet gives each of its nodes a pipe as standard input: when the parent dies,
/// however it dies, the pipe closes, and no node is left behind.
///
/// # Errors
/// When the operating system gives no thread.
pub fn stop_when_input_ends<R>(mut input: R, supervisor: &Supervisor) -> io::Result<()>
where
    R: Read + Send + 'static,
{
    let supervisor = supervisor.clone();
    // Not one of the supervised parts: it ends when its input does, which may be after the node.
    std::thread::Builder::new()
        .name("stdin-watch".to_owned())
        .spawn(move || {
            let mut ignored = [0; 256];
            loop {
                match input.read(&mut ignored) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            supervisor.stop(StopReason::Asked {
                by: "the end of standard input".to_owned(),
            });
        })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_input_stops_the_node() {
        let supervisor = Supervisor::new();
        let (reader, mut writer) = io::pipe().unwrap();
        stop_when_input_ends(reader, &supervisor).unwrap();
        io::Write::write_all(&mut writer, b"noise is ignored").unwrap();
        assert!(!supervisor.stopping().is_cancelled());
        drop(writer);
        let by = "the end of standard input".to_owned();
        assert_eq!(supervisor.wait(), StopReason::Asked { by });
    }
}
