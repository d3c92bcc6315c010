//! The configuration in force, and where each value comes from.

use super::fields::{FIELDS, SECTIONS, default_of, toml_text};
use super::layers::Loaded;
use figment::value::Value;
use std::fmt::Write as _;

/// One setting as it is in force.
#[derive(Clone, Debug)]
pub struct EffectiveValue {
    /// `section.key`.
    pub key: &'static str,
    value: Value,
    /// `default`, the path of the file, the name of the variable, or the flag.
    pub origin: String,
}

/// All settings in the order of the template.
#[must_use]
pub fn effective_values(loaded: &Loaded) -> Vec<EffectiveValue> {
    FIELDS
        .iter()
        .map(|field| EffectiveValue {
            key: field.key,
            value: loaded
                .merged
                .find_value(field.key)
                .ok()
                .or_else(|| default_of(field.key))
                .expect("a test finds a default for every field of the table"),
            origin: loaded.merged.find_metadata(field.key).map_or_else(
                || "default".to_owned(),
                |metadata| metadata.name.clone().into_owned(),
            ),
        })
        .collect()
}

/// A file that would give the same configuration; with `with_origin`, each line says where its value comes from.
#[must_use]
pub fn render_toml(values: &[EffectiveValue], with_origin: bool) -> String {
    let mut text = String::new();
    for (section, _) in SECTIONS {
        let lines: Vec<(String, &str)> = values
            .iter()
            .filter_map(|value| {
                let name = value.key.strip_prefix(section)?.strip_prefix('.')?;
                Some((
                    format!("{name} = {}", toml_text(&value.value)),
                    value.origin.as_str(),
                ))
            })
            .collect();
        let separator = if text.is_empty() { "" } else { "\n" };
        let _infallible = writeln!(text, "{separator}[{section}]");
        // Very long lists do not push every origin to the far right.
        let width = lines
            .iter()
            .map(|(line, _)| line.len())
            .filter(|len| *len <= 60)
            .max();
        for (line, origin) in &lines {
            let _infallible = if with_origin {
                writeln!(
                    text,
                    "{line:<width$}  # {origin}",
                    width = width.unwrap_or(0)
                )
            } else {
                writeln!(text, "{line}")
            };
        }
    }
    text
}

/// `{"rpc.listen": {"value": "127.0.0.1:8645", "origin": "default"}, …}`, or the values alone.
#[must_use]
pub fn render_json(values: &[EffectiveValue], with_origin: bool) -> serde_json::Value {
    let entries = values.iter().map(|setting| {
        let value = serde_json::to_value(&setting.value)
            .expect("settings are texts, numbers, truth values and lists of texts: all are JSON");
        let entry = if with_origin {
            serde_json::json!({ "value": value, "origin": setting.origin })
        } else {
            value
        };
        (setting.key.to_owned(), entry)
    });
    serde_json::Value::Object(entries.collect())
}
