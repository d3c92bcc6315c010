//! Text to document: every refusal knows its field.
//!
//! The shape of a document is known from a document: a complete one is the schema. Unknown and missing fields and
//! values of the wrong type are found by comparing the two, so that each can be named with its path; what remains (a
//! number out of the range of its type, a name or key that is none) is found by decoding.

use crate::document::GenesisDocument;
use crate::error::GenesisError;
use crate::templates::Template;
use toml::{Table, Value};

/// Fields that may be left out.
const OPTIONAL: [&str; 3] = ["notes", "signing_key", "url"];

/// Reads a document.
pub(crate) fn read(text: &str) -> Result<GenesisDocument, GenesisError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        GenesisError::new("document", "it is TOML", error.to_string().trim_end())
    })?;
    compare_tables("", &table, &complete())?;
    let value = Value::Table(table);
    serde_path_to_error::deserialize(value.clone()).map_err(|error| {
        let path = error.path().to_string();
        let found = find(&value, &path).map_or_else(|| "nothing".to_owned(), ToString::to_string);
        // Some rules name the value themselves; here it has its own place.
        let message = error.inner().message();
        let rule = message
            .split_once(", got ")
            .map_or(message, |(rule, _)| rule);
        GenesisError::new(path, rule, found)
    })
}

/// A document with every field.
fn complete() -> Table {
    let text = Template::Devnet.file();
    text.parse()
        .unwrap_or_else(|error| unreachable!("a template file is TOML: {error}"))
}

fn compare_tables(path: &str, given: &Table, schema: &Table) -> Result<(), GenesisError> {
    let join = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    if let Some(key) = given.keys().find(|key| !schema.contains_key(*key)) {
        let known: Vec<_> = schema.keys().map(String::as_str).collect();
        let rule = match nearest(key, &known) {
            Some(near) => format!("the field is unknown, did you mean {near}?"),
            None => format!("the field is unknown, known are {}", known.join(", ")),
        };
        return Err(GenesisError::new(join(key), rule, key));
    }
    for (key, expected) in schema {
        match given.get(key) {
            Some(value) => compare(&join(key), value, expected)?,
            None if OPTIONAL.contains(&key.as_str()) => {}
            None => return Err(GenesisError::new(join(key), "the field is set", "nothing")),
        }
    }
    Ok(())
}

fn compare(path: &str, given: &Value, schema: &Value) -> Result<(), GenesisError> {
    match (given, schema) {
        (Value::Table(given), Value::Table(schema)) => compare_tables(path, given, schema),
        (Value::Array(given), Value::Array(schema)) => {
            let Some(element) = schema.first() else {
                return Ok(());
            };
            given.iter().enumerate().try_for_each(|(position, value)| {
                compare(&format!("{path}[{position}]"), value, element)
            })
        }
        (given, schema) if given.same_type(schema) => Ok(()),
        (given, schema) => Err(GenesisError::new(
            path,
            format!("its type is {}", schema.type_str()),
            format_args!("{} {given}", given.type_str()),
        )),
    }
}

/// The known name that was probably meant.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len())
        .map(|(_, candidate)| candidate)
}

/// The value at a path like `accounts[3].name`.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .try_fold(value, |value, part| match value {
            Value::Array(values) => values.get(part.parse::<usize>().ok()?),
            Value::Table(table) => table.get(part),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => None,
        })
}
