//! `docs/rpc.md`.
pub fn rpc_reference() -> String { serde_json::to_string_pretty(&super::Docs::current().openrpc()).unwrap() }
