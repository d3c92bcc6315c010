//! The interface as an OpenRPC document (<https://spec.open-rpc.org>).

use super::Docs;
use crate::codes::ErrorCode;
use crate::methods::{MethodDoc, NOTIFICATION_METHOD, ParamSpec, Transport};
use schemars::Schema;
use serde_json::{Map, Value, json};

const OPENRPC_VERSION: &str = "1.3.2";

impl Docs {
    /// The OpenRPC document.
    pub(crate) fn openrpc(&self) -> Value {
        let methods: Vec<_> = self.methods.iter().map(|doc| self.method(doc)).collect();
        let errors: Map<_, _> = ErrorCode::ALL
            .iter()
            .map(|code| (code.name().to_owned(), error(*code)))
            .collect();
        json!({
            "openrpc": OPENRPC_VERSION,
            "info": {
                "title": "Holdfast node",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "JSON-RPC 2.0 of a Holdfast validator node, over HTTP and WebSocket at /rpc. See docs/rpc.md.",
                "license": { "name": "Apache-2.0" },
            },
            "methods": methods,
            "components": { "schemas": self.shapes, "errors": errors },
        })
    }

    fn method(&self, doc: &MethodDoc) -> Value {
        let params: Vec<_> = doc
            .params
            .iter()
            .zip(&doc.param_schemas)
            .map(|(spec, schema)| param(spec, schema))
            .collect();
        let codes = [ErrorCode::InvalidParams, ErrorCode::InternalError]
            .iter()
            .chain(doc.errors);
        let errors: Vec<_> = codes
            .map(|code| json!({ "$ref": format!("#/components/errors/{}", code.name()) }))
            .collect();
        let mut method = json!({
            "name": doc.name,
            "summary": doc.summary,
            "description": doc.description,
            "paramStructure": "either",
            "params": params,
            "result": { "name": "result", "required": true, "schema": doc.result_schema },
            "errors": errors,
        });
        if doc.transport == Transport::WebSocket {
            method["x-transport"] = json!("websocket");
            method["x-notification"] =
                json!({ "method": NOTIFICATION_METHOD, "result": self.notification });
        }
        if doc.transport == Transport::Admin {
            method["x-transport"] = json!("admin");
        }
        method
    }
}

fn param(spec: &ParamSpec, schema: &Schema) -> Value {
    let example: Value =
        serde_json::from_str(spec.example).expect("examples are JSON; a test sends them");
    json!({
        "name": spec.name,
        "description": spec.description.trim(),
        "required": spec.required,
        "schema": schema,
        "x-example": example,
    })
}

fn error(code: ErrorCode) -> Value {
    json!({
        "code": code.number(),
        "message": code.meaning(),
        "data": { "code_name": code.name(), "runbook": code.runbook() },
    })
}
