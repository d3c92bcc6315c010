//! What the network counts, as metrics.

use holdfast_network::{NetworkCounters, Penalty, RequestProtocol, Topic};
use holdfast_rpc::Metrics;
use holdfast_rpc::metrics::raise;
use std::collections::BTreeMap;

/// Messages and bytes, first those that came, then those that went.
#[derive(Clone, Copy, Debug, Default)]
struct Volume {
    messages: [u64; 2],
    bytes: [u64; 2],
}

pub(super) fn set(metrics: &Metrics, counters: &NetworkCounters) {
    set_peers(metrics, counters);
    set_volumes(metrics, counters);
    set_faults(metrics, counters);
    raise(&metrics.network.disconnects, counters.links.closed);
    raise(&metrics.network.bans, counters.links.bans);
}

fn set_peers(metrics: &Metrics, counters: &NetworkCounters) {
    let peers = counters.peers;
    for (name, count) in [
        ("committee", peers.committee),
        ("configured", peers.known),
        ("other", peers.other),
    ] {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        metrics.network.peers.with(name).set(count);
    }
}

fn set_volumes(metrics: &Metrics, counters: &NetworkCounters) {
    let network = &metrics.network;
    for (label, volume) in volumes(counters) {
        for (direction, place) in [("in", 0), ("out", 1)] {
            let messages = network.messages.with(&label, direction);
            raise(messages, volume.messages[place]);
            raise(network.bytes.with(&label, direction), volume.bytes[place]);
        }
    }
}

/// By label. Several request protocols share one.
fn volumes(counters: &NetworkCounters) -> BTreeMap<String, Volume> {
    let mut volumes: BTreeMap<String, Volume> = BTreeMap::new();
    for topic in Topic::ALL {
        let counts = counters.topic(topic);
        let volume = Volume {
            messages: [counts.received_messages, counts.published_messages],
            bytes: [counts.received_bytes, counts.published_bytes],
        };
        volumes.insert(topic.name().replace('-', "_"), volume);
    }
    for protocol in RequestProtocol::ALL {
        let counts = counters.request(protocol);
        let volume = volumes.entry(label(protocol).to_owned()).or_default();
        volume.messages[0] += counts.received + counts.answered;
        volume.messages[1] += counts.sent + counts.served;
        volume.bytes[0] += counts.answer_bytes;
        volume.bytes[1] += counts.served_bytes;
    }
    volumes
}

const fn label(protocol: RequestProtocol) -> &'static str {
    match protocol {
        RequestProtocol::Vertices
        | RequestProtocol::MissingVertices
        | RequestProtocol::LastVertices => "fetch",
        RequestProtocol::Blocks
        | RequestProtocol::Certificates
        | RequestProtocol::Status
        | RequestProtocol::Snapshot => "sync",
        RequestProtocol::HaltStatus => "other",
    }
}

fn set_faults(metrics: &Metrics, counters: &NetworkCounters) {
    let mut faults: BTreeMap<&'static str, u64> = BTreeMap::new();
    for penalty in Penalty::ALL {
        *faults.entry(reason(penalty)).or_default() += counters.penalty(penalty);
    }
    // In the order of the names of refused handshakes: another chain, another version of its parameters.
    let [chain, parameters, ..] = counters.handshakes_refused;
    faults.insert("wrong_chain", chain + parameters);
    for (reason, total) in faults {
        raise(metrics.network.peer_faults.with(reason), total);
    }
}

const fn reason(penalty: Penalty) -> &'static str {
    match penalty {
        Penalty::InvalidMessage | Penalty::InvalidResponse => "invalid_content",
        Penalty::Oversized => "too_large",
        Penalty::MalformedFrame => "malformed",
        Penalty::RateExceeded | Penalty::RequestFlood => "rate",
        Penalty::GossipScore | Penalty::Unresponsive | Penalty::Proven => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_rpc::BuildInfo;

    #[test]
    fn metrics_follow_the_counters_of_the_network_however_often_they_are_set() {
        let metrics = Metrics::new(BuildInfo {
            version: "0",
            commit: "0",
        });
        let mut counters = NetworkCounters::default();
        for total in [3, 3, 8] {
            counters.links.closed = total;
            counters.links.bans = total - 1;
            counters.peers.committee = total;
            for topic in &mut counters.topics {
                topic.received_messages = total;
            }
            for requests in &mut counters.requests {
                requests.received = 1;
                requests.answered = 1;
            }
            counters.penalties = [total; Penalty::ALL.len()];
            counters.handshakes_refused = [total; 4];
            set(&metrics, &counters);
        }
        let network = &metrics.network;
        assert_eq!(network.disconnects.get(), 8);
        assert_eq!(network.bans.get(), 7);
        assert_eq!(network.peers.with("committee").get(), 8);
        for (topic, count) in [
            ("emergency_blocks", 8),
            ("halt", 8),
            ("fetch", 6),
            ("sync", 8),
        ] {
            assert_eq!(network.messages.with(topic, "in").get(), count, "{topic}");
        }
        assert_eq!(network.peer_faults.with("rate").get(), 16);
        assert_eq!(network.peer_faults.with("wrong_chain").get(), 16);
    }
}
