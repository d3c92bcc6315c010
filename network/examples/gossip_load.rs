//! Load on the gossip of vertices: a full committee on loopback in one process.
//!
//! `cargo run --release -p holdfast-network --example gossip_load -- <nodes> <bytes> <per second> <seconds>`
//!
//! Every node publishes messages of `bytes` at the given rate and accepts what it hears at once.
//! Prints the delay from publication to delivery, what was delivered, and the processor time used.

use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_network::{
    Multiaddr, Network, NetworkConfig, NetworkEvent, NetworkEvents, NetworkHandle, Topic,
    TopicCounters, Verdict,
};

struct Load {
    nodes: usize,
    bytes: usize,
    per_second: u32,
    seconds: u32,
}

impl Load {
    fn from_arguments() -> Option<Self> {
        let numbers: Vec<u32> = std::env::args()
            .skip(1)
            .map(|text| text.parse().ok())
            .collect::<Option<_>>()?;
        let [nodes, bytes, per_second, seconds] = numbers.try_into().ok()?;
        Some(Self {
            nodes: nodes as usize,
            bytes: (bytes as usize).max(24),
            per_second,
            seconds,
        })
    }

    fn messages(&self) -> usize {
        (self.per_second * self.seconds) as usize
    }
}

fn main() {
    let Some(load) = Load::from_arguments() else {
        eprintln!("usage: gossip_load <nodes> <bytes> <per second> <seconds>");
        std::process::exit(2);
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(run(load));
}

async fn run(load: Load) {
    let mut nodes: Vec<(NetworkHandle, NetworkEvents)> = Vec::new();
    let mut addresses: Vec<Multiaddr> = Vec::new();
    for identity in 0..load.nodes {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&(identity as u64 + 1).to_le_bytes());
        let mut config = NetworkConfig::new([1; 32], [2; 32], "load/1", secret);
        config.allow_private_addresses = true;
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a valid address")];
        config.peers = addresses.clone();
        let (handle, events) = Network::start(config).await.expect("the network starts");
        let peer = handle.local_peer_id();
        let listening = handle.listen_addresses()[0].clone();
        addresses.push(
            listening
                .with_p2p(peer)
                .expect("the address names no peer yet"),
        );
        nodes.push((handle, events));
    }
    for (_, events) in &mut nodes {
        let mut connected = 1;
        while connected < load.nodes {
            if let Some(NetworkEvent::PeerConnected { .. }) = events.next().await {
                connected += 1;
            }
        }
    }
    println!("{} nodes connected", load.nodes);

    let (start, used_before) = (Instant::now(), processor_seconds());
    let (mut listeners, mut handles) = (Vec::new(), Vec::new());
    for (number, (handle, events)) in nodes.into_iter().enumerate() {
        tokio::spawn(publish(
            handle.clone(),
            number,
            load.bytes,
            load.per_second,
            load.messages(),
            start,
        ));
        let expected = load.messages() * (load.nodes - 1);
        handles.push(handle.clone());
        listeners.push(tokio::spawn(listen(handle, events, expected, start)));
    }
    let mut delays = Vec::new();
    for listener in listeners {
        delays.extend(listener.await.expect("no listener panics"));
    }
    report(
        &load,
        &mut delays,
        start.elapsed(),
        processor_seconds() - used_before,
    );
    report_counters(&handles);
}

async fn publish(
    handle: NetworkHandle,
    number: usize,
    bytes: usize,
    per_second: u32,
    messages: usize,
    start: Instant,
) {
    let mut interval = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    for message in 0..messages {
        interval.tick().await;
        let mut data = vec![0x5a; bytes];
        data[..8].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_le_bytes());
        data[8..16].copy_from_slice(&(number as u64).to_le_bytes());
        data[16..24].copy_from_slice(&(message as u64).to_le_bytes());
        if let Err(error) = handle.publish(Topic::Vertices, Bytes::from(data)) {
            eprintln!("node {number}: {error}");
        }
    }
}

/// The delays, in microseconds, of what arrived until all did or nothing came for three seconds.
async fn listen(
    handle: NetworkHandle,
    mut events: NetworkEvents,
    expected: usize,
    start: Instant,
) -> Vec<u64> {
    let mut delays = Vec::with_capacity(expected);
    while delays.len() < expected {
        let next = tokio::time::timeout(Duration::from_secs(3), events.next());
        let Ok(Some(event)) = next.await else { break };
        let NetworkEvent::Gossip {
            peer,
            message_id,
            data,
            ..
        } = event
        else {
            continue;
        };
        let sent = data[..8]
            .try_into()
            .expect("a message has at least 24 bytes");
        let delay = start.elapsed().as_nanos() as u64 - u64::from_le_bytes(sent);
        delays.push(delay / 1000);
        handle.verdict(message_id, peer, Verdict::Accept);
    }
    delays
}

fn report(load: &Load, delays: &mut [u64], elapsed: Duration, used: f64) {
    delays.sort_unstable();
    let expected = load.messages() * load.nodes * (load.nodes - 1);
    let at = |share: f64| {
        let position = (delays.len() as f64 * share) as usize;
        delays
            .get(position.min(delays.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0) as f64
            / 1000.0
    };
    println!("delivered {} of {expected}", delays.len());
    println!(
        "delay ms: p50 {:.2}  p99 {:.2}  max {:.2}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let megabytes = (delays.len() * load.bytes) as f64 / 1e6;
    println!(
        "payload {:.1} MB/s over all nodes",
        megabytes / elapsed.as_secs_f64()
    );
    println!(
        "processor {:.2} cores, {:.2} ms per delivery",
        used / elapsed.as_secs_f64(),
        used * 1000.0 / delays.len().max(1) as f64
    );
}

/// What the nodes counted, summed up.
fn report_counters(handles: &[NetworkHandle]) {
    let counters: Vec<_> = handles.iter().map(NetworkHandle::counters).collect();
    let sum = |count: fn(&TopicCounters) -> u64| {
        counters
            .iter()
            .map(|node| count(node.topic(Topic::Vertices)))
            .sum::<u64>()
    };
    println!(
        "published {}  unheard {}  unsent {}  received {}  delivered {}  limited {}  dropped {}  late {}",
        sum(|topic| topic.published_messages),
        sum(|topic| topic.unheard_messages),
        sum(|topic| topic.unsent_messages),
        sum(|topic| topic.received_messages),
        sum(|topic| topic.delivered_messages),
        sum(|topic| topic.rate_limited_messages),
        sum(|topic| topic.overflowed_messages),
        sum(|topic| topic.late_verdicts),
    );
    println!(
        "connections {}  closed {}",
        counters
            .iter()
            .map(|node| node.links.established)
            .sum::<u64>(),
        counters.iter().map(|node| node.links.closed).sum::<u64>(),
    );
}

/// Processor time of this process, seconds.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .into_iter()
        .flat_map(str::split_whitespace)
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 / 100.0
}
