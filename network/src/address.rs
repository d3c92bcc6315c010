//! Which addresses may be dialled and passed on.
//!
//! On a public chain only global addresses are: providers cut off servers that dial private ranges
//! in their network, and a private address told by a stranger is a way to make this node scan its
//! owner's network. Names are resolved first; the result passes the same check before the dial.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// Whether an address on the public internet can have this IP.
pub(crate) fn is_global_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(a == 0
        || ip.is_private()
        || (a == 100 && b & 0xc0 == 64) // Carrier-grade NAT, RFC 6598.
        || ip.is_loopback()
        || ip.is_link_local()
        || (a == 192 && b == 0 && c == 0) // Protocol assignments, RFC 6890.
        || ip.is_documentation()
        || (a == 198 && b & 0xfe == 18) // Benchmarks, RFC 2544.
        || (a == 192 && b == 88 && c == 99) // Old 6to4 relays.
        || ip.is_multicast()
        || a >= 240)
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // An address that embeds an IPv4 address reaches that one.
    if let Some(embedded) = ip.to_ipv4() {
        return is_global_v4(embedded) && !ip.is_loopback();
    }
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_global_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // NAT64 and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo and documentation.
        [0x2001, 0 | 0xdb8, ..] => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only 2000::/3 is global unicast; this excludes unique local, link local, multicast and
        // whatever is not assigned.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The IP at the head of an address, if it has one.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    }
}

/// What connections are counted by: an IPv4 address or the /64 of an IPv6 address, which is what
/// one customer gets.
pub(crate) fn ip_group(address: &Multiaddr) -> Option<IpAddr> {
    Some(match ip_of(address)? {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    })
}

/// Whether an address may be dialled, as far as its IP says.
pub(crate) fn is_dialable(address: &Multiaddr, allow_private: bool) -> bool {
    ip_of(address).is_none_or(|ip| !ip.is_unspecified() && (allow_private || is_global_ip(ip)))
}

/// Whether the address is one of this network's transports, by IP, with a usable port: the only form
/// taken from peers. A name told by a stranger would make this node resolve names for them.
pub(crate) fn is_plain_transport(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let ip = matches!(parts.next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_)));
    let transport = match parts.next() {
        Some(Protocol::Tcp(port)) => port != 0,
        Some(Protocol::Udp(port)) => port != 0 && parts.next() == Some(Protocol::QuicV1),
        _ => false,
    };
    ip && transport && parts.next().is_none()
}

/// Splits `/…/p2p/<peer>` into the address and the peer.
pub(crate) fn split_peer(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut address = address.clone();
    match address.pop()? {
        Protocol::P2p(peer) => Some((peer, address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_that_are_not_global() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!is_global_ip(ip.parse().unwrap()), "{ip} is not global");
        }
    }

    #[test]
    fn ranges_that_are_global() {
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "2606:4700::1111",
            "2a01:4f8::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_global_ip(ip.parse().unwrap()), "{ip} is global");
        }
    }

    #[test]
    fn only_plain_transports_are_taken_from_peers() {
        for good in [
            "/ip4/1.2.3.4/tcp/1",
            "/ip6/2a01::1/tcp/80",
            "/ip4/1.2.3.4/udp/9/quic-v1",
        ] {
            assert!(is_plain_transport(&address(good)), "{good}");
        }
        for bad in [
            "/dns4/example.org/tcp/1",
            "/ip4/1.2.3.4",
            "/ip4/1.2.3.4/tcp/0",
            "/ip4/1.2.3.4/udp/9",
            "/ip4/1.2.3.4/udp/0/quic-v1",
            "/ip4/1.2.3.4/tcp/1/ws",
            "/unix/tmp",
            "/memory/5",
        ] {
            assert!(!is_plain_transport(&address(bad)), "{bad}");
        }
    }

    #[test]
    fn private_addresses_only_when_allowed_and_unspecified_never() {
        let private = address("/ip4/192.168.0.4/tcp/1");
        assert!(!is_dialable(&private, false));
        assert!(is_dialable(&private, true));
        assert!(!is_dialable(&address("/ip4/0.0.0.0/tcp/1"), true));
        assert!(is_dialable(&address("/dns4/example.org/tcp/1"), false));
    }

    #[test]
    fn one_ipv6_customer_is_one_group() {
        let group = |text| ip_group(&address(text));
        assert_eq!(
            group("/ip6/2a01:1:2:3::1/tcp/1"),
            group("/ip6/2a01:1:2:3:ffff::9/tcp/2")
        );
        assert_ne!(
            group("/ip6/2a01:1:2:3::1/tcp/1"),
            group("/ip6/2a01:1:2:4::1/tcp/1")
        );
        assert_ne!(group("/ip4/1.2.3.4/tcp/1"), group("/ip4/1.2.3.5/tcp/1"));
        assert_eq!(group("/dns4/example.org/tcp/1"), None);
    }

    #[test]
    fn the_peer_is_the_last_part() {
        let peer = PeerId::random();
        let plain = address("/ip4/1.2.3.4/tcp/1");
        let full = plain.clone().with(Protocol::P2p(peer));
        assert_eq!(split_peer(&full), Some((peer, plain.clone())));
        assert_eq!(split_peer(&plain), None);
        assert_eq!(split_peer(&Multiaddr::empty()), None);
    }

    proptest! {
        /// An IPv4 address gets the same verdict in every notation that reaches it.
        #[test]
        fn mapped_addresses_agree(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            let verdict = is_global_v4(v4);
            prop_assert_eq!(is_global_v6(v4.to_ipv6_mapped()), verdict);
            let [a, b, c, d] = v4.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            prop_assert_eq!(is_global_v6(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)), verdict);
            prop_assert_eq!(
                is_global_v6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low)),
                verdict
            );
        }

        /// No bytes that parse as an address make the checks panic.
        #[test]
        fn arbitrary_addresses_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(address) = Multiaddr::try_from(bytes) {
                is_plain_transport(&address);
                is_dialable(&address, false);
                ip_group(&address);
                split_peer(&address);
            }
        }
    }
}
