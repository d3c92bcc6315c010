//! Free ports on loopback.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Ports that nobody else gets while this is held: TCP and UDP of each number. Drop it right before the processes
/// bind them; in between, another process could be quicker, so a child that finds its port taken says so and ends.
#[derive(Debug)]
pub struct ReservedPorts {
    held: Vec<(u16, TcpListener, UdpSocket)>,
}

/// TCP numbers whose UDP twin is taken are passed over, at most this many in a row.
const ATTEMPTS_MAX: usize = 100;

impl ReservedPorts {
    /// Reserves `count` distinct ports.
    ///
    /// # Errors
    /// When the machine has not that many.
    pub fn reserve(count: usize) -> io::Result<Self> {
        let mut held = Vec::with_capacity(count);
        while held.len() < count {
            held.push(reserve_one()?);
        }
        Ok(Self { held })
    }

    /// The numbers, in no particular order.
    #[must_use]
    pub fn numbers(&self) -> Vec<u16> {
        self.held.iter().map(|(port, ..)| *port).collect()
    }
}

fn reserve_one() -> io::Result<(u16, TcpListener, UdpSocket)> {
    #[expect(
        clippy::collection_is_never_read,
        reason = "held, so that a number is not offered twice"
    )]
    let mut refused = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = tcp.local_addr()?.port();
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(udp) => return Ok((port, tcp, udp)),
            Err(_) => refused.push(tcp),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no port on loopback is free for TCP and UDP",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_distinct_and_taken_until_released() {
        let reserved = ReservedPorts::reserve(16).unwrap();
        let mut numbers = reserved.numbers();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 16);
        let port = numbers[0];
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err());
        assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err());
        drop(reserved);
        assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }
}
