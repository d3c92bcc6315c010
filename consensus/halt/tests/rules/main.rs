//! The rules of halts, one module per subject.

mod cluster;
mod divergence;
mod formats;
mod journal;
mod matrix;
mod stall;
mod stall_properties;
