//! `docs/rpc.md`.

use super::Docs;
use super::schema::{add, cell, shape, type_text};
use crate::codes::ErrorCode;
use crate::config::{DEFAULT_RPC_PORT, RpcConfig};
use crate::methods::{MethodDoc, NOTIFICATION_METHOD, Transport};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The requests that the reference shows, by method.
#[must_use]
pub fn example_requests() -> Vec<(&'static str, String)> {
    Docs::current()
        .methods
        .iter()
        .map(|doc| (doc.name, example_request(doc)))
        .collect()
}

/// The text of `docs/rpc.md`. `replies` holds the reply to each of [`example_requests`] by method, and one notification
/// under `chain_subscription`.
#[must_use]
pub fn rpc_reference(replies: &BTreeMap<String, String>) -> String {
    let docs = Docs::current();
    let mut text = introduction();
    text.push_str("## Methods\n\n| method | |\n|---|---|\n");
    for doc in &docs.methods {
        add(
            &mut text,
            format_args!(
                "| [`{}`](#{}) | {} |\n",
                doc.name,
                anchor(doc.name),
                doc.summary
            ),
        );
    }
    text.push('\n');
    for doc in &docs.methods {
        method(&mut text, doc, replies);
    }
    errors(&mut text);
    text.push_str("## Shapes\n\n");
    for (name, schema) in &docs.shapes {
        shape(&mut text, name, schema);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Anchor of a heading, as renderers of Markdown make it.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace('.', "")
}

fn example_request(doc: &MethodDoc) -> String {
    let mut params = Map::new();
    for spec in doc
        .params
        .iter()
        .filter(|spec| spec.required || doc.transport != Transport::WebSocket)
    {
        let example =
            serde_json::from_str(spec.example).expect("examples are JSON; a test sends them");
        params.insert(spec.name.to_owned(), example);
    }
    let mut request = json!({ "jsonrpc": "2.0", "id": 1, "method": doc.name });
    if !params.is_empty() {
        request["params"] = params.into();
    }
    request.to_string()
}

fn method(text: &mut String, doc: &MethodDoc, replies: &BTreeMap<String, String>) {
    add(
        text,
        format_args!(
            "### {}\n\n{}\n\n{}\n\n",
            doc.name, doc.summary, doc.description
        ),
    );
    if doc.params.is_empty() {
        text.push_str("No parameters.\n\n");
    } else {
        text.push_str("| parameter | type | | description |\n|---|---|---|---|\n");
        for (spec, schema) in doc.params.iter().zip(&doc.param_schemas) {
            let presence = if spec.required {
                "required"
            } else {
                "optional"
            };
            let kind = type_text(schema.as_value());
            add(
                text,
                format_args!(
                    "| `{}` | {kind} | {presence} | {} |\n",
                    spec.name,
                    cell(spec.description)
                ),
            );
        }
        text.push('\n');
    }
    add(
        text,
        format_args!("Result: {}.\n\n", type_text(doc.result_schema.as_value())),
    );
    if !doc.errors.is_empty() {
        let links: Vec<_> = doc
            .errors
            .iter()
            .map(|code| format!("[`{}`](#{})", code.name(), code.name().to_lowercase()))
            .collect();
        add(text, format_args!("Errors: {}.\n\n", links.join(", ")));
    }
    example(text, doc, replies);
}

fn example(text: &mut String, doc: &MethodDoc, replies: &BTreeMap<String, String>) {
    let request = example_request(doc);
    match doc.transport {
        Transport::Any => add(
            text,
            format_args!(
                "```sh\ncurl -s http://127.0.0.1:{DEFAULT_RPC_PORT}/rpc -H 'content-type: application/json' \\\n  -d '{request}'\n```\n\n"
            ),
        ),
        Transport::Admin => add(
            text,
            format_args!(
                "On the node's own machine, with the token of its home folder:\n\n```sh\ncurl -s http://127.0.0.1:{DEFAULT_RPC_PORT}/rpc -H 'content-type: application/json' \\\n  -H \"authorization: Bearer $(cat HOME/admin.token)\" \\\n  -d '{request}'\n```\n\n"
            ),
        ),
        Transport::WebSocket => add(
            text,
            format_args!("Over WebSocket:\n\n```json\n{request}\n```\n\n"),
        ),
    }
    if let Some(reply) = replies.get(doc.name) {
        add(text, format_args!("```json\n{}\n```\n\n", pretty(reply)));
    }
    if doc.name == "chain_subscribe"
        && let Some(notification) = replies.get(NOTIFICATION_METHOD)
    {
        add(
            text,
            format_args!(
                "A notification, see [Notification](#notification):\n\n```json\n{}\n```\n\n",
                pretty(notification)
            ),
        );
    }
}

fn pretty(json: &str) -> String {
    let value: Value = serde_json::from_str(json).expect("replies are JSON");
    serde_json::to_string_pretty(&value).expect("a JSON value always serializes")
}

fn errors(text: &mut String) {
    text.push_str(ERRORS);
    for code in ErrorCode::ALL {
        add(
            text,
            format_args!(
                "### {}\n\n`{}`. {}\n\nWhat to do: {}\n\n",
                code.name(),
                code.number(),
                code.meaning(),
                code.remedy()
            ),
        );
    }
}

fn introduction() -> String {
    let RpcConfig {
        body_max_bytes,
        reply_max_bytes,
        batch_entries_max,
        subscriptions_per_connection_max,
        calls_per_connection_max,
        websocket_connections_max,
        connections_max,
        send_wait_max_ms,
        ..
    } = RpcConfig::default();
    format!(
        "\
# JSON-RPC

<!-- Made from the code (rpc/src/methods, rpc/src/dto); do not edit. HOLDFAST_UPDATE_DOCS=1 cargo test --release -p holdfast-rpc documents writes it. -->

A node speaks [JSON-RPC 2.0](https://www.jsonrpc.org/specification) at `http://127.0.0.1:{DEFAULT_RPC_PORT}/rpc`, by `POST` or over a
WebSocket at the same path. It listens on loopback unless `rpc.listen` says otherwise; every method here but
those that need the admin token is for anybody who can connect. `GET /openrpc.json` has this page for machines ([OpenRPC](https://spec.open-rpc.org)).

| path | |
|---|---|
| `POST /rpc`, `POST /` | calls and batches; `Content-Type: application/json` |
| `GET /rpc` | WebSocket: the same calls, and subscriptions |
| `GET /openrpc.json` | the interface as an OpenRPC document |
| `GET /metrics` | Prometheus metrics, see `metrics.md` |
| `GET /livez` | 200 while the process is worth keeping, else 503 |
| `GET /readyz` | 200 when caught up, the chain moves, no halt is in force and the clock agrees; else 503 with `reasons`: `core_unresponsive`, `starting`, `behind`, `stalled`, `halted`, `lockdown`, `emergency`, `clock_skew` |

Every reply carries the header `x-holdfast-chain-state`, one of the values of [ChainState](#chainstate).

## Conventions

- **Parameters** go by name (an object) or by position (an array, in the order of the tables). Unknown parameters are
  refused; null is as good as absent.
- **Numbers**: heights, rounds, eras, nonces and times are JSON numbers below 2^53 and decimal strings from there on;
  both are read. **Amounts** are always decimal strings, in base units. Times end in `_ms` (milliseconds since
  1970-01-01 UTC) or `_seconds`.
- **Ids, hashes, keys** are lower-case hexadecimal digits without `0x`.
- **What is not there** is `null`, not an error. What the node has deleted is the error `PRUNED`.
- **HTTP status** is 200 whenever the body was JSON, whatever the reply says; 204 when there is nothing to reply. 400
  (no JSON), 403 (host or origin), 408, 413, 415, 429 and 503 concern the transport; their bodies are JSON-RPC errors too.
- **Batches** have at most {batch_entries_max} entries and get one array with a reply per entry, in the order of the entries. Entries run
  at the same time. An empty batch and one that is too large get a single error, and nothing of it runs.
- **Notifications** (requests without `id`) get no reply. A transaction sent as one is queued all the same.
- **Finality**: `committed` means executed; `emergency` means that emergency consensus has made it irreversible for itself
  and a certificate of the validators can take it back; only `irreversible` (the block or a descendant is certified) is final.
- **Limits** (defaults; the node's configuration changes them): bodies and messages of {body_max_bytes} bytes, replies of {reply_max_bytes}
  bytes, {connections_max} connections, {websocket_connections_max} WebSockets with {subscriptions_per_connection_max} subscriptions and {calls_per_connection_max} calls in flight each, waits of {send_wait_max_ms} ms. A limit of
  calls per client address can be set.
- **Web pages** cannot use a node unless it is told to: the `Host` header must be an IP address, `localhost` or listed in
  `rpc.hosts`, a web origin must be listed in `rpc.cors_origins`.
- **WebSockets**: text messages, one call or batch each. The server pings. It closes with a code and a reason: 1001 the
  node stops, 1003 binary message, 1008 pings not answered, 1009 message too long. A client that reads nothing while
  replies wait for it is cut off.

"
    )
}

const ERRORS: &str = "\
## Errors

An `error` has a stable `code`, a `message` for people that names the value and the rule, and `data` with the stable
`code_name`, the `runbook` (a heading of this page), `retry_after_s` where a retry makes sense, and what the code says
below. Any call can give `INVALID_PARAMS`, `INTERNAL_ERROR` and `RATE_LIMITED`; the tables above list what else.

";
