//! From files and texts to one merged tree that remembers where each value came from.

use super::checks;
use super::fields::{FIELDS, default_of, defaults, is_known};
use super::settings::Config;
use crate::environment::Environment;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Empty, Map, Num, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::fmt;
use std::path::{Path, PathBuf};

const VARIABLE_PREFIX: &str = "HOLDFAST_";

/// A value given by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `section.key`.
    pub key: String,
    pub text: String,
    /// The flag as the operator typed it, for messages.
    pub flag: String,
}

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    pub home: &'a Path,
    pub file: &'a Path,
    /// Whether a file that is not there is an error.
    pub file_required: bool,
    pub environment: &'a Environment,
    /// Later ones win.
    pub overrides: &'a [Override],
}

/// One setting that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub key: String,
    pub rule: String,
    pub value: String,
    pub origin: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            rule,
            value,
            origin,
        } = self;
        write!(formatter, "{key}: {rule}; got {value} ({origin})")
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path} does not exist")]
    Missing { path: PathBuf },
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is not TOML: {reason}")]
    Syntax { path: PathBuf, reason: String },
    #[error("{}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid { errors: Vec<FieldError> },
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let (what, next_step) = match &error {
            ConfigError::Missing { path } => (
                "there is no configuration",
                format!(
                    "make a new home with holdfast init, or name an existing one with --home or --config (looked at {})",
                    path.display()
                ),
            ),
            ConfigError::Unreadable { .. } => (
                "cannot read the configuration",
                "check the owner and the mode of the file".to_owned(),
            ),
            ConfigError::Syntax { .. } => (
                "cannot read the configuration",
                "correct the file at the place shown; holdfast config template prints a fresh one"
                    .to_owned(),
            ),
            ConfigError::Invalid { .. } => (
                "the configuration is invalid",
                "correct the settings named above, then check with: holdfast config check"
                    .to_owned(),
            ),
        };
        Self::new(ExitCode::Usage, what, &error, next_step)
    }
}

/// A valid configuration, and the tree it came from.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    pub(super) merged: Figment,
}

/// Merges all layers and checks the result.
///
/// # Errors
/// All that is wrong at once, as far as it can be told.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, ConfigError> {
    let mut errors = Vec::new();
    let mut merged = Figment::from(Layer {
        origin: "default".into(),
        tree: defaults(),
    });
    let file = read_file(sources)?;
    if let Some(tree) = &file {
        let origin = sources.file.display().to_string();
        let tree = sift(tree.clone(), &origin, &mut errors);
        merged = merged.merge(Layer { origin, tree });
    }
    let texts = environment_texts(sources.environment, &mut errors);
    let flags = sources.overrides.iter().map(|given| Text {
        key: given.key.clone(),
        text: given.text.clone(),
        origin: format!("flag {}", given.flag),
    });
    for text in texts.into_iter().chain(flags) {
        match text.into_layer() {
            Ok(layer) => merged = merged.merge(layer),
            Err(error) => errors.push(error),
        }
    }
    // Checked even if something is wrong already: the operator shall see everything at once.
    match checks::check(&merged, sources.home) {
        Ok(config) if errors.is_empty() => Ok(Loaded {
            config,
            file: file.map(|_| sources.file.to_owned()),
            merged,
        }),
        Ok(_) => Err(ConfigError::Invalid { errors }),
        Err(broken) => {
            errors.extend(broken);
            Err(ConfigError::Invalid { errors })
        }
    }
}

fn read_file(sources: &Sources<'_>) -> Result<Option<Dict>, ConfigError> {
    let path = sources.file.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !sources.file_required => {
            return Ok(None);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ConfigError::Missing { path });
        }
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    match Toml::string(&text).data() {
        Ok(mut profiles) => Ok(Some(profiles.remove(&Profile::Default).unwrap_or_default())),
        Err(error) => Err(ConfigError::Syntax {
            path,
            reason: error.kind.to_string(),
        }),
    }
}

/// One layer of values with one origin.
struct Layer {
    origin: String,
    tree: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.tree.clone()))
    }
}

/// One value written as text.
struct Text {
    key: String,
    text: String,
    origin: String,
}

impl Text {
    fn into_layer(self) -> Result<Layer, FieldError> {
        let Some(default) = default_of(&self.key).filter(|_| is_known(&self.key)) else {
            return Err(unknown_key(
                &self.key,
                &format!("{:?}", self.text),
                &self.origin,
            ));
        };
        let refuse = |rule: &str| FieldError {
            key: self.key.clone(),
            rule: rule.to_owned(),
            value: format!("{:?}", self.text),
            origin: self.origin.clone(),
        };
        let text = self.text.trim();
        let value = match default {
            Value::Bool(..) => Value::from(text.parse::<bool>().map_err(|_| refuse(BOOLEAN_RULE))?),
            Value::Num(..) => {
                let digits = text.replace('_', "");
                Value::from(digits.parse::<u64>().map_err(|_| refuse(NUMBER_RULE))?)
            }
            Value::Array(..) => list(text).ok_or_else(|| refuse(LIST_RULE))?,
            _ => Value::from(self.text.as_str()),
        };
        let tree = figment::util::nest(&self.key, value)
            .into_dict()
            .expect("a known key has two parts, so nesting a value under it makes a table");
        Ok(Layer {
            origin: self.origin,
            tree,
        })
    }
}

const BOOLEAN_RULE: &str = "must be true or false";
const NUMBER_RULE: &str = "must be a whole number, 0 or more";
const LIST_RULE: &str = "must be a list of texts";
const TEXT_RULE: &str = "must be a text in quotes";
const TABLE_RULE: &str = "must be a section, [name]";

/// `["a", "b"]` as in TOML, or `a,b`.
fn list(text: &str) -> Option<Value> {
    if text.starts_with('[') {
        let table: toml::Table = toml::from_str(&format!("list = {text}")).ok()?;
        let items: Vec<String> = table.get("list")?.clone().try_into().ok()?;
        return Some(Value::from(items));
    }
    let items: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect();
    Some(Value::from(items))
}

/// Reads `HOLDFAST_SECTION__KEY`. Variables without a double underscore are not settings: container platforms make
/// names such as `HOLDFAST_PORT` for a service of that name. Only when such a name is that of a setting but for the
/// underscores is it taken for a slip.
fn environment_texts(environment: &Environment, errors: &mut Vec<FieldError>) -> Vec<Text> {
    let mut texts = Vec::new();
    for (name, value) in environment.named() {
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else {
            continue;
        };
        let origin = format!("environment variable {name}");
        let text = value.to_string_lossy().into_owned();
        if rest.contains("__") {
            let key = rest.to_lowercase().replace("__", ".");
            texts.push(Text { key, text, origin });
            continue;
        }
        let flat = rest.to_lowercase();
        if let Some(field) = FIELDS
            .iter()
            .find(|field| field.key.replace('.', "_") == flat)
        {
            let right = field.key.to_uppercase().replace('.', "__");
            errors.push(FieldError {
                key: field.key.to_owned(),
                rule: format!("the variable is {VARIABLE_PREFIX}{right}, with two underscores"),
                value: format!("{text:?}"),
                origin,
            });
        }
    }
    texts
}

/// Takes out of a file's tree what has an unknown name or a wrong type, and reports each.
fn sift(mut tree: Dict, origin: &str, errors: &mut Vec<FieldError>) -> Dict {
    let known = defaults();
    tree.retain(|section, value| {
        let Value::Dict(_, settings) = value else {
            errors.push(if known.contains_key(section) {
                shape_error(section, TABLE_RULE, value, origin)
            } else {
                unknown_key(section, &shown(value), origin)
            });
            return false;
        };
        if settings.is_empty() && !known.contains_key(section) {
            errors.push(unknown_key(section, "an empty section", origin));
        }
        settings.retain(|name, value| {
            let key = format!("{section}.{name}");
            let error = match default_of(&key).filter(|_| is_known(&key)) {
                None => Some(unknown_key(&key, &shown(value), origin)),
                Some(default) => {
                    broken_rule(&default, value).map(|rule| shape_error(&key, rule, value, origin))
                }
            };
            let good = error.is_none();
            errors.extend(error);
            good
        });
        known.contains_key(section)
    });
    tree
}

fn broken_rule(default: &Value, value: &Value) -> Option<&'static str> {
    let natural = |number: &Num| {
        number
            .to_u128_lossy()
            .is_some_and(|n| u64::try_from(n).is_ok())
    };
    match (default, value) {
        (Value::Bool(..), Value::Bool(..)) | (Value::String(..), Value::String(..)) => None,
        (Value::Num(..), Value::Num(_, number)) if natural(number) => None,
        (Value::Array(..), Value::Array(_, items))
            if items.iter().all(|item| matches!(item, Value::String(..))) =>
        {
            None
        }
        (Value::Bool(..), _) => Some(BOOLEAN_RULE),
        (Value::Num(..), _) => Some(NUMBER_RULE),
        (Value::Array(..), _) => Some(LIST_RULE),
        _ => Some(TEXT_RULE),
    }
}

fn shape_error(key: &str, rule: &str, value: &Value, origin: &str) -> FieldError {
    FieldError {
        key: key.to_owned(),
        rule: rule.to_owned(),
        value: shown(value),
        origin: origin.to_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Empty(_, Empty::None | Empty::Unit) => "nothing".into(),
        other => super::fields::toml_text(other),
    }
}

fn unknown_key(key: &str, value: &str, origin: &str) -> FieldError {
    let rule = suggestion(key).map_or_else(
        || "there is no such setting".to_owned(),
        |meant| format!("there is no such setting, did you mean {meant}"),
    );
    FieldError {
        key: key.to_owned(),
        rule,
        value: value.to_owned(),
        origin: origin.to_owned(),
    }
}

/// The setting of the same name in another section, else the one that is spelled most alike.
fn suggestion(key: &str) -> Option<&'static str> {
    let leaf = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let same_name = FIELDS.iter().find(|field| leaf(field.key) == leaf(key));
    let alike = || {
        FIELDS
            .iter()
            .map(|field| {
                (
                    strsim::normalized_damerau_levenshtein(field.key, key),
                    field,
                )
            })
            .filter(|(likeness, _)| *likeness >= 0.6)
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, field)| field)
    };
    same_name.or_else(alike).map(|field| field.key)
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
