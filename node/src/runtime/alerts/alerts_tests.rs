//! Alerts against a real HTTP receiver.

use super::*;
use crate::runtime::start::BUILD;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Takes one request of each connection, and answers with the next status.
struct Receiver {
    address: SocketAddr,
    requests: mpsc::UnboundedReceiver<(String, Value)>,
}

impl Receiver {
    async fn start(statuses: Vec<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for status in statuses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                sender.send(request).unwrap();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, requests }
    }

    /// The alerts of the next message, with their names and whether they have ended.
    async fn told(&mut self) -> Vec<(String, String, bool)> {
        let (head, body) = self.requests.recv().await.unwrap();
        assert!(head.starts_with("POST /api/v2/alerts HTTP/1.1"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        let alerts = body.as_array().unwrap().iter().map(|alert| {
            let labels = &alert["labels"];
            assert_eq!(
                (&labels["instance"], &labels["chain"]),
                (&json!("alfa"), &json!("devnet"))
            );
            assert!(alert["startsAt"].as_str().unwrap().ends_with('Z'));
            let text = |name: &str| labels[name].as_str().unwrap().to_owned();
            (
                text("alertname"),
                text("severity"),
                alert.get("endsAt").is_some(),
            )
        });
        alerts.collect()
    }
}

async fn read(stream: &mut tokio::net::TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).await.unwrap();
        assert!(count > 0, "the request ends early");
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().unwrap())
        });
        if body.len() == length.unwrap_or(0) {
            return (head.to_owned(), serde_json::from_str(body).unwrap());
        }
    }
}

fn webhook(address: SocketAddr) -> (Webhook, Alerts, Metrics) {
    let (alerts, metrics) = (Alerts::new(), Metrics::new(BUILD));
    let webhook = Webhook {
        url: format!("http://{address}/api/v2/alerts").parse().unwrap(),
        alerts: alerts.clone(),
        instance: "alfa".to_owned(),
        chain: "devnet".to_owned(),
        metrics: metrics.clone(),
    };
    (webhook, alerts, metrics)
}

fn alert(name: AlertName, severity: Severity) -> Alert {
    Alert {
        name,
        severity,
        summary: "something is wrong".to_owned(),
        description: String::new(),
        since: TimestampMs(1_795_219_200_123),
    }
}

fn told(name: &str, severity: &str, has_ended: bool) -> (String, String, bool) {
    (name.to_owned(), severity.to_owned(), has_ended)
}

#[tokio::test]
async fn what_holds_is_told_and_what_has_ended_once() {
    let mut receiver = Receiver::start(vec!["200 OK"; 4]).await;
    let (webhook, alerts, metrics) = webhook(receiver.address);
    let stopping = CancellationToken::new();
    let task = tokio::spawn(webhook.run(stopping.clone()));
    let (risk, lockdown) = ("HoldfastRiskRaised", "HoldfastLockdown");
    alerts.raise(alert(AlertName::Risk, Severity::Info));
    assert_eq!(receiver.told().await, [told(risk, "info", false)]);
    // It gets worse: for the receiver that is another alert.
    alerts.raise(alert(AlertName::Risk, Severity::Page));
    let worse = [told(risk, "page", false), told(risk, "info", true)];
    assert_eq!(receiver.told().await, worse);
    alerts.raise(alert(AlertName::Lockdown, Severity::Page));
    let both = [told(risk, "page", false), told(lockdown, "page", false)];
    assert_eq!(receiver.told().await, both);
    alerts.resolve(AlertName::LockdownLasts);
    alerts.resolve(AlertName::Risk);
    let last = receiver.told().await;
    assert_eq!(last[0], told(lockdown, "page", false));
    assert_eq!(last.get(1), Some(&told(risk, "page", true)));
    stopping.cancel();
    task.await.unwrap().unwrap();
    assert!(metrics.halt.alerts.with("sent").get() >= 3);
}

#[tokio::test]
async fn what_could_not_be_told_is_told_later_and_what_holds_is_told_again() {
    let statuses = vec![
        "503 Service Unavailable",
        "400 Bad Request",
        "200 OK",
        "200 OK",
    ];
    let mut receiver = Receiver::start(statuses).await;
    let (webhook, alerts, metrics) = webhook(receiver.address);
    let shared = alerts.shared.clone().unwrap();
    alerts.raise(alert(AlertName::Risk, Severity::Page));
    alerts.raise(alert(AlertName::Lockdown, Severity::Page));
    alerts.resolve(AlertName::Risk);
    let all = [
        told("HoldfastLockdown", "page", false),
        told("HoldfastRiskRaised", "page", true),
    ];
    let mut failures = 0;
    for (expected_failures, wait) in [(1, RETRY), (2, RETRY * 2), (0, REPEAT)] {
        let begins = Instant::now();
        let again = webhook.tell(&shared, &mut failures).await;
        assert_eq!(receiver.told().await, all, "nothing is lost");
        assert_eq!(failures, expected_failures);
        assert!(again.unwrap() - begins >= wait);
    }
    webhook.tell(&shared, &mut failures).await;
    assert_eq!(receiver.told().await, all[..1], "an end is told once");
    let count = |outcome| metrics.halt.alerts.with(outcome).get();
    assert_eq!((count("failed"), count("sent")), (2, 2));
}

#[tokio::test]
async fn what_holds_again_is_not_told_as_ended() {
    let mut receiver = Receiver::start(vec!["200 OK"]).await;
    let (webhook, alerts, _) = webhook(receiver.address);
    let shared = alerts.shared.clone().unwrap();
    alerts.raise(alert(AlertName::Lockdown, Severity::Page));
    alerts.resolve(AlertName::Lockdown);
    alerts.raise(alert(AlertName::Lockdown, Severity::Page));
    webhook.tell(&shared, &mut 0).await;
    assert_eq!(
        receiver.told().await,
        [told("HoldfastLockdown", "page", false)]
    );
}

#[tokio::test]
async fn nobody_listens_and_nobody_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (webhook, alerts, _) = webhook(address);
    let shared = alerts.shared.clone().unwrap();
    let mut failures = 0;
    assert!(
        webhook.tell(&shared, &mut failures).await.is_none(),
        "nothing to tell"
    );
    for _ in 0..1_000 {
        alerts.raise(alert(AlertName::Risk, Severity::Page));
        alerts.resolve(AlertName::Risk);
    }
    let again = webhook.tell(&shared, &mut failures).await;
    assert!(again.is_some() && failures == 1);
    let book = shared.book.lock().unwrap();
    assert_eq!((book.holding.len(), book.ended.len()), (0, 1));
}

#[test]
fn without_a_webhook_nothing_is_kept() {
    let alerts = Alerts::default();
    alerts.raise(alert(AlertName::Risk, Severity::Page));
    assert!(alerts.shared.is_none());
}
