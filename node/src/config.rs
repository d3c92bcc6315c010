//! The configuration of one node.
//!
//! Four layers, each over the one before: defaults, `holdfast.toml`, environment variables
//! (`HOLDFAST_<SECTION>__<KEY>`), flags. What comes out is a [`Config`], a type that cannot be invalid; what is wrong
//! is reported all at once, each with the field, the rule, the value, and where the value came from. Relative paths
//! are relative to the home folder, wherever they are written.
//!
//! - `raw`: the settings as written, with their defaults;
//! - `fields`: what each setting means, for the template and for `config show`;
//! - `layers`: from texts and files to one merged tree that remembers origins;
//! - `checks`: from the merged tree to the typed settings;
//! - `settings`, `webhook`: the typed settings.

mod addresses;
mod checks;
mod fields;
mod layers;
mod raw;
mod settings;
mod show;
mod webhook;

pub use fields::template;
pub use layers::{ConfigError, FieldError, Loaded, Override, Sources, load};
pub use settings::{
    Config, ExecutionSettings, LockdownSettings, LogFormat, LogSettings, MempoolSettings,
    NodeSettings, P2pSettings, RpcSettings, StorageSettings, ValidatorSettings,
};
pub use show::{EffectiveValue, effective_values, render_json, render_toml};
pub use webhook::WebhookUrl;

/// Name of the configuration file in the home folder.
pub const FILE_NAME: &str = "holdfast.toml";
