//! The metrics: names, bounded labels, and what the server counts of itself.

use crate::support::{Node, config, request, start};
use holdfast_rpc::metrics::names::{ALL, Kind, PROCESS};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

async fn scrape(node: &Node) -> String {
    let reply = node.get("/metrics").await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/plain; version=0.0.4"))
    );
    reply.body
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    });
    line.unwrap_or_else(|| panic!("no {series}"))
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn the_page_has_exactly_the_metrics_of_the_table() {
    let node = start(config()).await;
    let text = scrape(&node).await;
    let served: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let known: BTreeSet<_> = ALL
        .iter()
        .map(|spec| spec.name)
        .chain(PROCESS.iter().map(|(name, _)| *name))
        .collect();
    assert_eq!(served, known);
    let golden = include_str!("../golden/metric_names.txt");
    let listed: BTreeSet<_> = golden.lines().collect();
    assert_eq!(
        served, listed,
        "metric names are an interface: dashboards and alerts use them"
    );
}

#[test]
fn names_follow_the_rules() {
    for spec in ALL {
        assert!(spec.name.starts_with("holdfast_"), "{}", spec.name);
        assert_eq!(
            spec.name.ends_with("_total"),
            spec.kind == Kind::Counter,
            "{}",
            spec.name
        );
        if matches!(spec.kind, Kind::Histogram(_)) {
            assert!(spec.name.ends_with("_seconds"), "{}", spec.name);
        }
        assert!(
            spec.help.ends_with('.') || spec.help.ends_with("seconds."),
            "{}",
            spec.name
        );
    }
}

#[tokio::test]
async fn no_caller_can_add_a_series() {
    let node = start(config()).await;
    let before = scrape(&node).await.lines().count();
    // A method costs about 40 lines: one per error code, and its latencies.
    assert!(before < 2000, "{before} lines: a scrape stays small");
    for n in 0..50 {
        node.call(&format!("made_up_{n}"), json!([])).await;
    }
    node.post("nonsense").await;
    let text = scrape(&node).await;
    assert_eq!(text.lines().count(), before);
    assert_eq!(
        value(
            &text,
            "holdfast_rpc_calls_total{code=\"METHOD_NOT_FOUND\",method=\"other\"}"
        ),
        50.0
    );
    assert_eq!(
        value(
            &text,
            "holdfast_rpc_calls_total{code=\"PARSE_ERROR\",method=\"other\"}"
        ),
        1.0
    );
}

#[tokio::test]
async fn calls_are_counted_and_timed() {
    let node = start(config()).await;
    let batch = json!([
        request(1, "node_getPeers", json!([])),
        request(2, "node_getPeers", json!([1]))
    ]);
    node.post(batch.to_string()).await;
    let text = scrape(&node).await;
    assert_eq!(
        value(
            &text,
            "holdfast_rpc_calls_total{code=\"OK\",method=\"node_getPeers\"}"
        ),
        1.0
    );
    assert_eq!(
        value(
            &text,
            "holdfast_rpc_calls_total{code=\"INVALID_PARAMS\",method=\"node_getPeers\"}"
        ),
        1.0
    );
    assert_eq!(
        value(
            &text,
            "holdfast_rpc_call_seconds_count{method=\"node_getPeers\"}"
        ),
        2.0
    );
    assert_eq!(value(&text, "holdfast_rpc_connections"), 1.0);
    assert_eq!(
        value(
            &text,
            "holdfast_build_info{commit=\"unknown\",version=\"0.0.0\"}"
        ),
        1.0
    );
}

#[tokio::test]
async fn the_node_sets_what_it_knows() {
    let node = start(config()).await;
    node.metrics.chain.head_height.set(7);
    node.metrics.halt.active.with("lockdown").set(1);
    node.metrics.network.bytes.with("vertices", "in").inc_by(10);
    node.metrics
        .network
        .bytes
        .with("a topic of the attacker's", "in")
        .inc_by(3);
    node.metrics.chain.finality_seconds.observe(0.2);
    let text = scrape(&node).await;
    assert_eq!(value(&text, "holdfast_chain_head_height"), 7.0);
    assert_eq!(value(&text, "holdfast_halt_active{kind=\"lockdown\"}"), 1.0);
    assert_eq!(value(&text, "holdfast_halt_active{kind=\"hard\"}"), 0.0);
    assert_eq!(
        value(
            &text,
            "holdfast_network_bytes_total{direction=\"in\",topic=\"vertices\"}"
        ),
        10.0
    );
    assert_eq!(
        value(
            &text,
            "holdfast_network_bytes_total{direction=\"in\",topic=\"other\"}"
        ),
        3.0
    );
    assert_eq!(value(&text, "holdfast_chain_finality_seconds_count"), 1.0);
}

#[tokio::test]
async fn connections_and_subscriptions_are_counted_while_they_last() {
    let node = start(config()).await;
    let mut socket = node.websocket().await;
    socket.subscribe(json!({ "kind": "blocks" })).await;
    let text = scrape(&node).await;
    assert_eq!(value(&text, "holdfast_rpc_websockets"), 1.0);
    assert_eq!(value(&text, "holdfast_rpc_connections"), 2.0);
    assert_eq!(
        value(&text, "holdfast_rpc_subscriptions{kind=\"blocks\"}"),
        1.0
    );
    drop(socket);
    let ended = async {
        while value(
            &scrape(&node).await,
            "holdfast_rpc_subscriptions{kind=\"blocks\"}",
        ) > 0.0
        {}
    };
    tokio::time::timeout(crate::support::PATIENCE, ended)
        .await
        .unwrap();
}

/// The code below a folder, without white space.
fn code_below(folder: &Path, code: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            code_below(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            code.extend(text.split_whitespace());
        }
    }
}

/// A documented metric that nobody sets stays at zero, and an alert on it never fires.
#[test]
fn every_metric_is_set_by_the_node() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    code_below(&root.join("../node/src"), &mut code);
    let groups = std::fs::read_to_string(root.join("src/metrics/groups.rs")).unwrap();
    let (_, groups) = groups.split_once("groups! {\n").unwrap();
    let (mut group, mut seen) = (String::new(), 0);
    for line in groups.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix("Metrics {") {
            group = name.to_lowercase();
        } else if let Some((field, _)) = line.split_once(": ")
            && line.ends_with("),")
        {
            seen += 1;
            let place = format!("{group}.{field}");
            assert!(code.contains(&place), "nothing in node/src sets {place}");
        }
    }
    assert!(seen > 40, "{seen}");
}
