//! The `holdfast` binary: configuration, keys, logs, supervision, command line.
//!
//! - [`cli`]: the verbs;
//! - [`config`]: `holdfast.toml`, environment and flags become one type that cannot be invalid;
//! - [`keystore`]: encrypted key files and where their password comes from;
//! - [`supervisor`], [`watchdog`], [`signals`], [`panic_hook`]: the parts of a node stop together, with a reason;
//! - [`logging`]: text or JSON lines with a filter that changes at run time;
//! - [`exit_codes`], [`failure`]: how the process ends, in a number and in three lines;
//! - [`devnet`]: child processes and the live table of a local network;
//! - [`load`]: signed transfers at a rate, followed until they are irreversible;
//! - [`runtime`]: the running node;
//! - [`recorder`], [`forensics`], [`incident`]: what is preserved when the chain halts, and how it is read;
//! - [`home`], [`peer_id`], [`environment`], [`durable_file`], [`clock`], [`memory`]: small things under all of them.

pub mod cli;
pub mod clock;
pub mod cluster_secret;
pub mod config;
pub mod devnet;
pub mod durable_file;
pub mod environment;
pub mod exit_codes;
pub mod failure;
pub mod forensics;
pub mod home;
pub mod incident;
pub mod keystore;
pub mod load;
pub mod logging;
pub mod memory;
pub mod panic_hook;
pub mod peer_id;
pub mod recorder;
pub mod runtime;
pub mod signals;
pub mod supervisor;
pub mod watchdog;
