//! One child process: a node with a home and a log of its own.
//!
//! A child never outlives its parent. It gets a pipe as standard input that nobody writes to; started with
//! `--exit-with-stdin` it stops when the pipe closes, and the pipe closes when the parent ends, however it ends. The
//! child is in a process group of its own, so Ctrl-C on the terminal reaches the parent only, which then stops its
//! children in order.

use super::readiness::{self, Readiness};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// How much of the end of a log is read to show its last lines.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// How to start a node.
#[derive(Clone, Debug)]
pub struct NodeCommand {
    /// For messages: "v0".
    pub name: String,
    /// Usually [`std::env::current_exe`].
    pub executable: PathBuf,
    /// Should contain `--exit-with-stdin`.
    pub arguments: Vec<OsString>,
    /// Besides the environment of this process.
    pub environment: Vec<(String, OsString)>,
    /// Standard output and standard error are appended here.
    pub log_file: PathBuf,
}

/// A child could not be started, or did not do as it should.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("{name}: cannot open the log {path}: {source}")]
    Log {
        name: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{name}: cannot start {executable}: {source}")]
    Start {
        name: String,
        executable: PathBuf,
        source: io::Error,
    },
    #[error("{name}: cannot be signalled or waited for: {source}")]
    Control { name: String, source: io::Error },
    #[error("{name} ended ({status}) before it was ready; the end of {log}:\n{tail}")]
    EndedEarly {
        name: String,
        status: ExitStatus,
        log: PathBuf,
        tail: String,
    },
    #[error("{name} was not ready within {limit_s} s ({last}); the end of {log}:\n{tail}")]
    NotReady {
        name: String,
        limit_s: u64,
        last: String,
        log: PathBuf,
        tail: String,
    },
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// By itself or on SIGTERM.
    Ended(ExitStatus),
    /// It did not end in time and was killed.
    Killed,
}

/// A running child. Dropping it kills the process.
#[derive(Debug)]
pub struct NodeProcess {
    command: NodeCommand,
    child: Child,
    /// Never written to; open as long as the child shall run.
    _stdin: Option<ChildStdin>,
}

impl NodeProcess {
    /// Starts the child.
    ///
    /// # Errors
    /// `Log` or `Start`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(command: NodeCommand) -> Result<Self, ProcessError> {
        let log_error = |source| ProcessError::Log {
            name: command.name.clone(),
            path: command.log_file.clone(),
            source,
        };
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&command.log_file);
        let log = log.map_err(log_error)?;
        let errors = log.try_clone().map_err(log_error)?;
        let mut child = Command::new(&command.executable)
            .args(&command.arguments)
            .envs(
                command
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ProcessError::Start {
                name: command.name.clone(),
                executable: command.executable.clone(),
                source,
            })?;
        let stdin = child.stdin.take();
        Ok(Self {
            command,
            child,
            _stdin: stdin,
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.command.name
    }

    #[must_use]
    pub const fn command(&self) -> &NodeCommand {
        &self.command
    }

    /// The process id, or nothing once the child was waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The exit status if the child has ended; does not wait.
    ///
    /// # Errors
    /// `Control`.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        self.child.try_wait().map_err(|source| self.control(source))
    }

    /// Waits for the child to end.
    ///
    /// # Errors
    /// `Control`.
    pub async fn wait(&mut self) -> Result<ExitStatus, ProcessError> {
        self.child
            .wait()
            .await
            .map_err(|source| self.control(source))
    }

    /// Asks the child to stop: SIGTERM. Nothing happens if it has ended.
    ///
    /// # Errors
    /// `Control`.
    pub fn terminate(&self) -> Result<(), ProcessError> {
        self.signal(Signal::TERM)
    }

    /// Sends a signal. Nothing happens if the child has ended.
    ///
    /// # Errors
    /// `Control`.
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        // A child that was not waited for keeps its id, so the signal cannot hit a stranger.
        let pid = self
            .pid()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        match pid.map(|pid| kill_process(pid, signal)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(error)) => Err(self.control(error.into())),
        }
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// `Control`.
    pub async fn kill(&mut self) -> Result<(), ProcessError> {
        self.child
            .kill()
            .await
            .map_err(|source| self.control(source))
    }

    /// SIGTERM; after `grace`, SIGKILL.
    ///
    /// # Errors
    /// `Control`.
    pub async fn stop(&mut self, grace: Duration) -> Result<Stopped, ProcessError> {
        self.terminate()?;
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(status) => status.map(Stopped::Ended),
            Err(_) => self.kill().await.map(|()| Stopped::Killed),
        }
    }

    /// Waits until `/readyz` at `address` says yes.
    ///
    /// # Errors
    /// `EndedEarly` as soon as the child ends; `NotReady` after `limit`; both with the end of the log.
    pub async fn wait_ready(
        &mut self,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<(), ProcessError> {
        let mut last = None;
        let status = tokio::select! {
            () = readiness::wait(address, &mut last) => return Ok(()),
            status = self.child.wait() => Some(status),
            () = tokio::time::sleep(limit) => None,
        };
        let name = self.command.name.clone();
        let log = self.command.log_file.clone();
        let tail = log_tail(&log, 20).unwrap_or_else(|error| format!("(unreadable: {error})"));
        match status {
            Some(Ok(status)) => Err(ProcessError::EndedEarly {
                name,
                status,
                log,
                tail,
            }),
            Some(Err(source)) => Err(self.control(source)),
            None => {
                let last = match last {
                    Some(Readiness::NotReady(reason) | Readiness::Silent(reason)) => reason,
                    Some(Readiness::Ready) | None => "never asked".to_owned(),
                };
                Err(ProcessError::NotReady {
                    name,
                    limit_s: limit.as_secs(),
                    last,
                    log,
                    tail,
                })
            }
        }
    }

    fn control(&self, source: io::Error) -> ProcessError {
        ProcessError::Control {
            name: self.command.name.clone(),
            source,
        }
    }
}

/// Stops all children at the same time: SIGTERM to each, then waits for each at most `grace`, then kills. All are
/// stopped even if some of it fails.
///
/// # Errors
/// The first `Control` error.
pub async fn stop_all(
    nodes: &mut [NodeProcess],
    grace: Duration,
) -> Result<Vec<Stopped>, ProcessError> {
    let stops = nodes.iter_mut().map(|node| node.stop(grace));
    futures::future::join_all(stops).await.into_iter().collect()
}

/// The last `lines` lines of a log.
///
/// # Errors
/// When the file cannot be read.
pub fn log_tail(path: &Path, lines: usize) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
