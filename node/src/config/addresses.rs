//! Multiaddresses: which forms a node listens on and dials.

use multiaddr::{Multiaddr, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The use of an address decides what it must consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressRule {
    /// An IP address of this machine and a port, 0 for any.
    Listen,
    /// How peers reach this node.
    External,
    /// A peer and its id.
    Peer { private_allowed: bool },
}

const FORM: &str =
    "must look like /ip4/<address>/tcp/<port> or /ip4/<address>/udp/<port>/quic-v1 (ip6 likewise)";
const EXTERNAL_FORM: &str = "must look like /ip4/<address>/tcp/<port>, /dns/<name>/tcp/<port>, or the same with udp/<port>/quic-v1; port not 0";
const PEER_FORM: &str = "must look like /ip4/<address>/tcp/<port>/p2p/<peer id> or /dns/<name>/udp/<port>/quic-v1/p2p/<peer id>; port not 0";
const PRIVATE: &str = "a private address is dialled only with p2p.allow_private_addresses = true";

/// The address, or the rule that it breaks.
pub(super) fn parse(text: &str, rule: AddressRule) -> Result<Multiaddr, &'static str> {
    let form = match rule {
        AddressRule::Listen => FORM,
        AddressRule::External => EXTERNAL_FORM,
        AddressRule::Peer { .. } => PEER_FORM,
    };
    let address: Multiaddr = text.parse().map_err(|_| form)?;
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    let (ip, rest) = match parts.as_slice() {
        [Protocol::Ip4(ip), rest @ ..] => (Some(IpAddr::V4(*ip)), rest),
        [Protocol::Ip6(ip), rest @ ..] => (Some(IpAddr::V6(*ip)), rest),
        [
            Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_),
            rest @ ..,
        ] if rule != AddressRule::Listen => (None, rest),
        _ => return Err(form),
    };
    let (port, rest) = match rest {
        [Protocol::Tcp(port), rest @ ..] | [Protocol::Udp(port), Protocol::QuicV1, rest @ ..] => {
            (*port, rest)
        }
        _ => return Err(form),
    };
    if port == 0 && rule != AddressRule::Listen {
        return Err(form);
    }
    match (rule, rest) {
        (AddressRule::Listen | AddressRule::External, []) => {}
        (AddressRule::Peer { private_allowed }, [Protocol::P2p(_)]) => {
            if !private_allowed && ip.is_some_and(is_private) {
                return Err(PRIVATE);
            }
        }
        _ => return Err(form),
    }
    Ok(address)
}

/// Addresses that mean something else on every network, or nothing.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => ip
            .to_ipv4_mapped()
            .map_or_else(|| is_private_v6(ip), is_private_v4),
    }
}

const fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    let carrier_grade_nat = first == 100 && second & 0xc0 == 64;
    first == 0
        || first >= 224
        || carrier_grade_nat
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
}

const fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    const PUBLIC: AddressRule = AddressRule::Peer {
        private_allowed: false,
    };

    #[test]
    fn listen_addresses_are_tcp_or_quic_on_an_ip() {
        for good in [
            "/ip4/0.0.0.0/tcp/0",
            "/ip6/::/tcp/8646",
            "/ip4/1.2.3.4/udp/1/quic-v1",
        ] {
            assert_eq!(parse(good, AddressRule::Listen).unwrap().to_string(), good);
        }
        let peer = format!("/ip4/1.2.3.4/tcp/1/p2p/{PEER}");
        for bad in [
            "127.0.0.1:8646",
            "",
            "/ip4/1.2.3.4",
            "/ip4/1.2.3.4/udp/1",
            "/dns/a.example/tcp/1",
            "/ip4/1.2.3.4/tcp/1/ws",
            peer.as_str(),
        ] {
            assert_eq!(parse(bad, AddressRule::Listen), Err(FORM), "{bad}");
        }
    }

    #[test]
    fn external_addresses_have_a_port_and_may_be_names() {
        assert!(parse("/dns4/v1.example.org/tcp/8646", AddressRule::External).is_ok());
        assert_eq!(
            parse("/ip4/1.2.3.4/tcp/0", AddressRule::External),
            Err(EXTERNAL_FORM)
        );
    }

    #[test]
    fn peers_end_with_their_id() {
        for good in [
            format!("/ip4/8.8.8.8/tcp/1/p2p/{PEER}"),
            format!("/dns/v1.example.org/udp/8646/quic-v1/p2p/{PEER}"),
        ] {
            assert_eq!(parse(&good, PUBLIC).unwrap().to_string(), good);
        }
        for bad in [
            "/ip4/8.8.8.8/tcp/1".to_owned(),
            format!("/ip4/8.8.8.8/tcp/0/p2p/{PEER}"),
            format!("/ip4/8.8.8.8/tcp/1/p2p/{PEER}/p2p-circuit"),
            format!("/p2p/{PEER}"),
        ] {
            assert_eq!(parse(&bad, PUBLIC), Err(PEER_FORM), "{bad}");
        }
    }

    #[test]
    fn private_peers_need_permission() {
        for ip in [
            "/ip4/10.1.2.3",
            "/ip4/100.64.0.1",
            "/ip4/127.0.0.1",
            "/ip4/192.168.1.1",
            "/ip4/172.31.0.1",
            "/ip4/169.254.1.1",
            "/ip6/::1",
            "/ip6/fd00::1",
            "/ip6/fe80::1",
            "/ip6/::ffff:10.0.0.1",
        ] {
            let peer = format!("{ip}/tcp/8646/p2p/{PEER}");
            assert_eq!(parse(&peer, PUBLIC), Err(PRIVATE), "{peer}");
            assert!(
                parse(
                    &peer,
                    AddressRule::Peer {
                        private_allowed: true
                    }
                )
                .is_ok(),
                "{peer}"
            );
        }
        for ip in ["/ip4/100.128.0.1", "/ip4/172.32.0.1", "/ip6/2a01::1"] {
            assert!(
                parse(&format!("{ip}/tcp/8646/p2p/{PEER}"), PUBLIC).is_ok(),
                "{ip}"
            );
        }
    }
}
