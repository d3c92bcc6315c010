//! Documents made of the code: stale ones fail here, and `HOLDFAST_UPDATE_DOCS=1` writes them anew.

use crate::support::{config, metrics, start};
use holdfast_rpc::metrics::metrics_reference;
use holdfast_rpc::{AdminToken, ErrorCode, RpcConfig, example_requests, rpc_reference};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn check(path: &str, actual: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("HOLDFAST_UPDATE_DOCS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == actual,
        "{} is stale: run HOLDFAST_UPDATE_DOCS=1 cargo test --release -p holdfast-rpc documents",
        path.display()
    );
}

/// Sends every request that the reference shows to a node whose chain has what they ask for.
async fn example_replies() -> BTreeMap<String, String> {
    let token = AdminToken::new([7; 32]);
    let authorization = format!("Bearer {}", token.as_str());
    let node = start(RpcConfig {
        admin_token: Some(token),
        ..config()
    })
    .await;
    let requests = example_requests();
    let send = requests
        .iter()
        .find(|(name, _)| *name == "chain_sendTransaction")
        .unwrap();
    let transaction =
        serde_json::from_str::<Value>(&send.1).unwrap()["params"]["transaction"].clone();
    node.block_of(&[transaction.as_str().unwrap()]).await;
    node.backend.certify(1);
    let mut socket = node.websocket().await;
    let mut replies = BTreeMap::new();
    for (name, request) in requests {
        if name == "halt_getStatus" {
            node.backend.set_halted(true);
        }
        if name == "emergency_getStatus" {
            node.backend.set_emergency(2);
        }
        if name == "lockdown_getStatus" {
            node.backend.set_lockdown_votes(2);
        }
        let reply = if matches!(name, "lockdown_vote" | "lockdown_recover") {
            let headers = [
                ("content-type", "application/json"),
                ("authorization", authorization.as_str()),
            ];
            let reply = node
                .request("POST /rpc", &headers, request.as_bytes())
                .await;
            reply.json()
        } else {
            socket.send(request).await;
            socket.json().await
        };
        assert!(
            !reply["result"].is_null(),
            "the example of {name} gives {reply}"
        );
        if name == "chain_subscribe" {
            node.block_of(&["05626f62"]).await;
            let notification = socket.json().await;
            assert_eq!(notification["method"], "chain_subscription");
            replies.insert("chain_subscription".to_owned(), notification.to_string());
        }
        if name != "rpc.discover" {
            replies.insert(name.to_owned(), reply.to_string());
        }
    }
    replies
}

#[tokio::test]
async fn documents_rpc() {
    let text = rpc_reference(&example_replies().await);
    for code in ErrorCode::ALL {
        let anchor = code.runbook().split_once('#').unwrap().1.to_owned();
        let heading = format!("### {}\n", anchor.to_uppercase());
        assert!(
            text.contains(&heading),
            "no section for the runbook of {}",
            code.name()
        );
    }
    let mut anchors = BTreeSet::new();
    for heading in text.lines().filter_map(|line| {
        line.trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
    }) {
        assert!(
            anchors.insert(heading.to_lowercase().replace('.', "")),
            "two headings {heading}"
        );
    }
    for link in text
        .split("](#")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
    {
        assert!(anchors.contains(link), "the link #{link} leads nowhere");
    }
    check("../docs/rpc.md", &text);
}

#[test]
fn documents_metrics() {
    check("../docs/metrics.md", &metrics_reference());
    let text = String::from_utf8(metrics().encode()).unwrap();
    let mut names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    names.sort_unstable();
    check("tests/golden/metric_names.txt", &(names.join("\n") + "\n"));
}

#[tokio::test]
async fn documents_openrpc() {
    let node = start(config()).await;
    let document = node.get("/openrpc.json").await.json();
    check(
        "tests/golden/openrpc.json",
        &(serde_json::to_string_pretty(&document).unwrap() + "\n"),
    );
    let methods = document["methods"].as_array().unwrap();
    let names: Vec<_> = methods
        .iter()
        .map(|method| method["name"].as_str().unwrap())
        .collect();
    let examples: Vec<_> = example_requests()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, examples);
    // Every reference leads somewhere.
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    for code in ErrorCode::ALL {
        assert_eq!(
            document["components"]["errors"][code.name()]["code"],
            json!(code.number())
        );
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values()
                .for_each(|value| collect_references(value, references));
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_references(value, references)),
        _ => {}
    }
}
