//! The interface as documents: OpenRPC for machines, `docs/rpc.md` for people, both made of the method table.

mod openrpc;
mod reference;
mod schema;

pub use reference::{example_requests, rpc_reference};

use crate::dto::Notification;
use crate::methods::{MethodDoc, MethodTable};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

/// What documents say of the methods.
#[derive(Debug)]
pub(crate) struct Docs {
    pub(crate) methods: Vec<MethodDoc>,
    /// The shapes by name, sorted.
    pub(crate) shapes: Map<String, Value>,
    /// The schema of a notification.
    notification: Schema,
}

impl Docs {
    /// The documents of this version's methods.
    pub(crate) fn current() -> Self {
        MethodTable::new().1
    }
}

/// Collects the methods and the shapes that they use.
#[derive(Debug)]
pub(crate) struct DocsBuilder {
    methods: Vec<MethodDoc>,
    inputs: SchemaGenerator,
    outputs: SchemaGenerator,
}

impl Default for DocsBuilder {
    fn default() -> Self {
        let settings = || {
            // OpenRPC uses draft 7 and keeps shapes under `components`.
            SchemaSettings::draft07()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
        };
        Self {
            methods: Vec::new(),
            inputs: settings().for_deserialize().into_generator(),
            outputs: settings().for_serialize().into_generator(),
        }
    }
}

impl DocsBuilder {
    pub(crate) fn add(
        &mut self,
        document: fn(&mut SchemaGenerator, &mut SchemaGenerator) -> MethodDoc,
    ) {
        let mut doc = document(&mut self.inputs, &mut self.outputs);
        for schema in &mut doc.param_schemas {
            transform(&mut self.inputs, schema);
        }
        transform(&mut self.outputs, &mut doc.result_schema);
        self.methods.push(doc);
    }

    pub(crate) fn build(mut self) -> Docs {
        let mut notification = self.outputs.subschema_for::<Notification>();
        transform(&mut self.outputs, &mut notification);
        let mut shapes = self.outputs.take_definitions(true);
        shapes.extend(self.inputs.take_definitions(true));
        shapes.sort_keys();
        Docs {
            methods: self.methods,
            shapes,
            notification,
        }
    }
}

/// What the generator does to the shapes that it keeps, done to one that stands elsewhere.
fn transform(generator: &mut SchemaGenerator, schema: &mut Schema) {
    for transform in generator.transforms_mut() {
        transform.transform(schema);
    }
}
