//! JSON Schemas as Markdown.

use serde_json::{Map, Value};
use std::fmt::Write;

/// A type in a few words, shapes as links.
pub(super) fn type_text(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some([only]) = schema["allOf"].as_array().map(Vec::as_slice) {
        return type_text(only);
    }
    if let Some(choices) = schema["anyOf"]
        .as_array()
        .or_else(|| schema["oneOf"].as_array())
    {
        let choices: Vec<_> = choices.iter().map(type_text).collect();
        return choices.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values
            .iter()
            .map(|value| format!("`{}`", plain(value)))
            .collect();
        return values.join(", ");
    }
    let named = |kind: &str| match kind {
        "array" => format!("array of {}", type_text(&schema["items"])),
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(kind) => named(kind),
        Value::Array(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(|kind| named(&plain(kind))).collect();
            kinds.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The description on one line, fit for a table cell.
pub(super) fn description(schema: &Value) -> String {
    cell(schema["description"].as_str().unwrap_or_default())
}

pub(super) fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// The section of a shape.
pub(super) fn shape(text: &mut String, name: &str, schema: &Value) {
    add(
        text,
        format_args!("### {name}\n\n{}\n\n", description(schema)),
    );
    let variants = schema["oneOf"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let is_named = |variant: &Value| variant.get("const").is_some();
    let has_fields = |variant: &Value| variant.get("properties").is_some();
    if let Some(fields) = schema["properties"].as_object() {
        field_table(text, fields);
        if schema["additionalProperties"] == Value::Bool(true) {
            text.push_str("Besides, the fields of its kind.\n\n");
        }
        if !variants.is_empty() {
            text.push_str("And exactly one of:\n\n| field | type | description |\n|---|---|---|\n");
            for variant in variants {
                variant_field(text, variant);
            }
            text.push('\n');
        }
    } else if variants.iter().all(is_named) && !variants.is_empty() {
        text.push_str("| value | meaning |\n|---|---|\n");
        for variant in variants {
            add(
                text,
                format_args!(
                    "| `{}` | {} |\n",
                    plain(&variant["const"]),
                    description(variant)
                ),
            );
        }
        text.push('\n');
    } else if variants.iter().all(has_fields) && !variants.is_empty() {
        for variant in variants {
            add(text, format_args!("{}\n\n", description(variant)));
            if let Some(fields) = variant["properties"].as_object() {
                field_table(text, fields);
            }
        }
    } else {
        simple(text, schema);
    }
}

fn field_table(text: &mut String, fields: &Map<String, Value>) {
    text.push_str("| field | type | description |\n|---|---|---|\n");
    for (name, field) in fields {
        match field.get("const") {
            Some(value) => add(text, format_args!("| `{name}` | `{}` | |\n", plain(value))),
            None => add(
                text,
                format_args!(
                    "| `{name}` | {} | {} |\n",
                    type_text(field),
                    description(field)
                ),
            ),
        }
    }
    text.push('\n');
}

/// A variant that is one field, described as a whole.
fn variant_field(text: &mut String, variant: &Value) {
    for (name, field) in variant["properties"].as_object().into_iter().flatten() {
        add(
            text,
            format_args!(
                "| `{name}` | {} | {} |\n",
                type_text(field),
                description(variant)
            ),
        );
    }
}

fn simple(text: &mut String, schema: &Value) {
    add(text, format_args!("JSON type: {}", type_text(schema)));
    if let Some(pattern) = schema["pattern"].as_str() {
        add(text, format_args!(", `{pattern}`"));
    }
    text.push_str(".\n\n");
}

pub(super) fn add(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part)
        .expect("writing to a string does not fail");
}
