//! Signs of life for the service manager: the protocol of sd_notify, one datagram per message.

use crate::environment::Environment;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// Whoever has started the node and wants to hear from it.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    period: Option<Duration>,
}

impl ServiceManager {
    pub(super) const READY: &'static str = "READY=1";
    pub(super) const STOPPING: &'static str = "STOPPING=1";
    pub(super) const ALIVE: &'static str = "WATCHDOG=1";

    /// The one that the environment names; none if it names none (`NOTIFY_SOCKET` is not set).
    ///
    /// # Errors
    /// When it names one that cannot be talked to.
    pub fn of(environment: &Environment) -> io::Result<Option<Self>> {
        let Some(path) = environment.path("NOTIFY_SOCKET") else {
            return Ok(None);
        };
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not read must not stop the watchdog.
        socket.set_nonblocking(true)?;
        let period = environment
            .path("WATCHDOG_USEC")
            .and_then(|text| text.to_str()?.parse().ok())
            .filter(|microseconds| *microseconds > 0)
            .map(|microseconds| Duration::from_micros(microseconds) / 3);
        Ok(Some(Self {
            socket,
            address: address_of(&path)?,
            period,
        }))
    }

    /// How often it wants to hear: a third of its patience.
    pub(super) const fn period(&self) -> Option<Duration> {
        self.period
    }

    /// Tells it; a message that does not arrive is what it is waiting for.
    pub(super) fn tell(&self, message: &str) {
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::debug!(%error, message, "the service manager was not told");
        }
    }
}

/// A path, or a name in the abstract namespace if it begins with `@`.
fn address_of(path: &Path) -> io::Result<SocketAddr> {
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}
