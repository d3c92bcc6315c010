//! The rules of halts, one module per subject.

mod cluster;
mod divergence;
mod formats;
mod journal;
mod lockdown;
mod lockdown_properties;
mod matrix;
mod recovery;
mod recovery_properties;
mod risk;
mod secret;
mod stall;
mod stall_properties;
