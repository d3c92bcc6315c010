//! What the server takes per transaction: sends batches over HTTP to a server with the in-memory backend and prints
//! transactions per second and the processor time of client and server together.
//!
//! `cargo run --release -p holdfast-rpc --example load -- <seconds> <entries per batch> <batches in flight>`

use holdfast_rpc::testing::FakeBackend;
use holdfast_rpc::{BuildInfo, Client, ClientConfig, FeedLimits, Metrics, RpcConfig, RpcServer};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// About the size of a signed transfer.
const TRANSACTION_BYTES: usize = 180;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<u64> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let [seconds, entries, in_flight] = arguments[..] else {
        return Err("usage: load <seconds> <entries per batch> <batches in flight>".into());
    };
    let backend = FakeBackend::new(FeedLimits::default());
    let config = RpcConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        batch_entries_max: usize::try_from(entries)?,
        ..RpcConfig::default()
    };
    let metrics = Metrics::new(BuildInfo {
        version: "load",
        commit: "unknown",
    });
    let server = RpcServer::start(config, backend.clone(), metrics).await?;
    let client = Client::new(
        &format!("http://{}", server.local_addr()),
        ClientConfig::default(),
    )?;

    let (started, processor_started) = (Instant::now(), processor_time()?);
    let deadline = started + Duration::from_secs(seconds);
    let workers: Vec<_> = (0..in_flight)
        .map(|worker| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut sent: u64 = 0;
                while Instant::now() < deadline {
                    let batch = (0..entries).map(|entry| {
                        let mut transaction = vec![0; TRANSACTION_BYTES];
                        transaction[1..9]
                            .copy_from_slice(&(worker << 40 | (sent + entry)).to_le_bytes());
                        transaction
                    });
                    let replies = client.send_transactions(batch).await?;
                    sent += replies.iter().filter(|reply| reply.is_ok()).count() as u64;
                }
                Ok::<_, holdfast_rpc::ClientError>(sent)
            })
        })
        .collect();
    let mut total = 0;
    for worker in workers {
        total += worker.await??;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let processor = (processor_time()? - processor_started).as_secs_f64();
    println!(
        "{total} transactions, {:.0}/s, {:.1} µs of processor time each (client and server), {:.2} cores",
        total as f64 / elapsed,
        processor * 1e6 / total as f64,
        processor / elapsed
    );
    server.stop().await;
    Ok(())
}

/// Processor time of this process.
fn processor_time() -> Result<Duration, Box<dyn std::error::Error>> {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat
        .rsplit_once(')')
        .ok_or("an unknown format of /proc/self/stat")?
        .1;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}
