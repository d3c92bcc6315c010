//! Network namespaces for nodes that are to be cut from each other: one for each, joined by a bridge on which this process is
//! too. Needs the program `ip` and the right to make namespaces.

use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::process::{Command, Stdio};

/// Where a node lives that is not on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Island {
    pub namespace: String,
    pub address: Ipv4Addr,
}

/// The namespaces of a devnet. Dropping it removes them; processes in them should have ended.
#[derive(Debug)]
pub struct Islands {
    /// In the names of everything made here, so that two at a time do not meet.
    tag: u16,
    count: u16,
}

/// The private network of the bridges: 10.213.0.0/16, one /24 for each.
const NETWORK: [u8; 2] = [10, 213];

impl Islands {
    /// Makes `count` namespaces, at most 200.
    ///
    /// # Errors
    /// When the machine does not let this process do it.
    pub fn create(count: u16) -> Result<Self, Failure> {
        let tag = u16::try_from(std::process::id() % 0x1_0000).unwrap_or_default();
        // From here on a failure removes what there is.
        let islands = Self { tag, count };
        let bridge = islands.bridge();
        let gateway = format!("{}/24", islands.host(1));
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["addr", "add", &gateway, "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for number in 0..count {
            islands.join(number)?;
        }
        Ok(islands)
    }

    /// One more namespace with an address on the bridge.
    fn join(&self, number: u16) -> Result<(), Failure> {
        let Island { namespace, address } = self.island(number);
        let (bridge, port) = (self.bridge(), self.port(number));
        let address = format!("{address}/24");
        ip(&["netns", "add", &namespace])?;
        ip(&[
            "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
        ])?;
        ip(&["link", "set", &port, "master", &bridge, "up"])?;
        ip(&["-n", &namespace, "addr", "add", &address, "dev", "eth0"])?;
        ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
        ip(&["-n", &namespace, "link", "set", "lo", "up"])
    }

    /// All of them, by number.
    #[must_use]
    pub fn all(&self) -> Vec<Island> {
        (0..self.count).map(|number| self.island(number)).collect()
    }

    fn island(&self, number: u16) -> Island {
        Island {
            namespace: format!("hf{:x}-{number}", self.tag),
            // The first two are those of the network and of this process.
            address: self.host(number.saturating_add(2)),
        }
    }

    fn host(&self, number: u16) -> Ipv4Addr {
        let [first, second] = NETWORK;
        let [_, third] = self.tag.to_be_bytes();
        let fourth = u8::try_from(number).unwrap_or(u8::MAX);
        Ipv4Addr::new(first, second, third, fourth)
    }

    fn bridge(&self) -> String {
        format!("hf{:x}b", self.tag)
    }

    fn port(&self, number: u16) -> String {
        format!("hf{:x}v{number}", self.tag)
    }

    /// Cuts these from each other, or lets them hear each other again. This process and all others reach them all along.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn set_cut(&self, numbers: Range<u16>, cut: bool) -> Result<(), Failure> {
        let state = if cut { "on" } else { "off" };
        for number in numbers {
            let port = self.port(number);
            ip(&[
                "link",
                "set",
                &port,
                "type",
                "bridge_slave",
                "isolated",
                state,
            ])?;
        }
        Ok(())
    }
}

impl Drop for Islands {
    fn drop(&mut self) {
        // What was not made cannot be removed, and nobody is left to tell.
        for number in 0..self.count {
            // The kernel takes a namespace apart when it has time for it; the next devnet may have the same names.
            let _gone = ip(&["link", "del", &self.port(number)]);
            let _gone = ip(&["netns", "del", &self.island(number).namespace]);
        }
        let _gone = ip(&["link", "del", &self.bridge()]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), Failure> {
    let failed = |why: String| {
        Failure::new(
            ExitCode::Usage,
            format!("ip {} failed", arguments.join(" ")),
            why,
            "network namespaces need the program ip (iproute2) and the right to make them: run it as root",
        )
    };
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(failed(errors.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_short_enough_and_addresses_distinct() {
        // An interface name has 15 characters at most.
        const NAME_MAX: usize = 15;
        for tag in [0, 1, u16::MAX] {
            // Nothing was made, so nothing is to be removed.
            let islands = std::mem::ManuallyDrop::new(Islands { tag, count: 64 });
            let all = islands.all();
            let addresses: BTreeSet<_> = all.iter().map(|island| island.address).collect();
            let names: BTreeSet<_> = all.iter().map(|island| &island.namespace).collect();
            assert_eq!((addresses.len(), names.len()), (64, 64));
            assert!(!addresses.contains(&islands.host(1)));
            assert!(islands.port(63).len() <= NAME_MAX && islands.bridge().len() <= NAME_MAX);
        }
    }
}
