//! The shipped alert rules in a real Prometheus that watches real validators: silent while all is well, firing while there
//! is no quorum, resolved when there is one again.

use crate::harness::{Cluster, PATIENCE, POLL};
use holdfast::devnet::ports::ReservedPorts;
use holdfast::devnet::process::log_tail;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const STALL: &str = "HoldfastSoftStall";

/// A Prometheus process with a folder of its own. Dropping it kills the process, whatever became of the test.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and the wait reaps it.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Prometheus {
    /// Watches these RPC addresses with the rules file as it is shipped.
    fn start(targets: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/alerts/holdfast.rules.yml");
        let targets: Vec<_> = targets.iter().map(SocketAddr::to_string).collect();
        let configuration = serde_json::json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules.canonicalize().unwrap()],
            "scrape_configs": [
                { "job_name": "holdfast", "static_configs": [{ "targets": targets }] },
            ],
        });
        // JSON is YAML.
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let log = folder.path().join("prometheus.log");
        let errors = File::create(&log).unwrap();
        let ports = ReservedPorts::reserve(1).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.numbers()[0]));
        drop(ports);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("prometheus does not start ({error}): scripts/setup installs it")
            });
        Self {
            process,
            address,
            log,
            _folder: folder,
        }
    }

    /// What its HTTP API answers. HTTP/1.0, so that the body comes in one piece.
    async fn api(&self, path: &str) -> Result<Value, String> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let request = format!(
                "GET /api/v1/{path} HTTP/1.0\r\nHost: {}\r\n\r\n",
                self.address
            );
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = exchange.await.map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let body: Value = serde_json::from_str(body).map_err(|_| head.to_owned())?;
        // An answer without data must not pass for one without alerts.
        if body["status"] != "success" {
            return Err(body.to_string());
        }
        Ok(body["data"].clone())
    }

    /// Asks until `condition` holds for the answer.
    async fn wait_for(
        &mut self,
        what: &str,
        path: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.api(path).await;
            if let Ok(data) = &answer
                && condition(data)
            {
                return data.clone();
            }
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && tokio::time::Instant::now() < deadline,
                "{what} did not happen; prometheus: {ended:?}, {answer:#?}\n{}",
                log_tail(&self.log, 20).unwrap_or_default()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until every target was scraped, and every rule evaluated with that.
    async fn wait_until_it_watches(&mut self, targets: usize) {
        self.wait_for("a scrape of every node", "targets", |data| {
            let active = list(&data["activeTargets"]);
            active
                .iter()
                .filter(|target| target["health"] == "up")
                .count()
                == targets
        })
        .await;
        let before = self
            .wait_for("rules", "rules", |data| !rules(data).is_empty())
            .await;
        self.wait_for("an evaluation of every rule", "rules", |data| {
            let pairs = rules(data).into_iter().zip(rules(&before));
            pairs
                .into_iter()
                .all(|(now, before)| now["lastEvaluation"] != before["lastEvaluation"])
        })
        .await;
    }

    /// Every rule could be evaluated: no labels that do not match, no text that cannot be made.
    async fn assert_rules_work(&self) {
        let data = self.api("rules").await.unwrap();
        for rule in rules(&data) {
            assert_eq!(rule["health"], "ok", "{rule:#}");
        }
        let log = std::fs::read_to_string(&self.log).unwrap();
        for line in log.lines() {
            assert!(!line.contains("template"), "{line}");
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn rules(data: &Value) -> Vec<&Value> {
    let groups = list(&data["groups"]).iter();
    groups.flat_map(|group| list(&group["rules"])).collect()
}

/// Alerts that fire, each with the node that it is about.
fn firing(data: &Value) -> BTreeSet<(String, String)> {
    let alerts = list(&data["alerts"])
        .iter()
        .filter(|alert| alert["state"] == "firing");
    let label = |alert: &Value, name: &str| {
        alert["labels"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    alerts
        .map(|alert| (label(alert, "alertname"), label(alert, "instance")))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_fires_its_alert_and_the_end_of_the_stall_resolves_it() {
    let mut cluster = Cluster::start(4, 600).await;
    let targets: Vec<_> = cluster.nodes.iter().map(|node| node.rpc).collect();
    let mut prometheus = Prometheus::start(&targets);
    prometheus.wait_until_it_watches(targets.len()).await;
    // Not at the first look: on a machine that has other work, a stall at the start is no wonder.
    prometheus
        .wait_for("silence of all alerts", "alerts", |data| {
            firing(data).is_empty()
        })
        .await;

    cluster.kill(2).await;
    cluster.kill(3).await;
    let left: BTreeSet<_> = targets[..2]
        .iter()
        .map(|target| (STALL.to_owned(), target.to_string()))
        .collect();
    let stalled = prometheus
        .wait_for("the alert of both nodes that are left", "alerts", |data| {
            firing(data).is_superset(&left)
        })
        .await;
    // What whoever is on call gets to see.
    println!("{stalled:#}");
    let alert = list(&stalled["alerts"])
        .iter()
        .find(|alert| alert["labels"]["alertname"] == STALL);
    let annotations = &alert.unwrap()["annotations"];
    assert_eq!(annotations["runbook"], "docs/runbooks/soft-stall.md");
    let description = annotations["description"].as_str().unwrap();
    assert!(
        description.contains(" validators are heard, 3 make a quorum."),
        "{description}"
    );

    cluster.spawn(2);
    cluster.spawn(3);
    cluster.ready(2).await;
    cluster.ready(3).await;
    prometheus
        .wait_for("the end of the alert", "alerts", |data| {
            firing(data).iter().all(|(name, _)| name != STALL)
        })
        .await;
    prometheus.assert_rules_work().await;
}
