//! Real processes on loopback: what happens when validators die and come back, and when committees change.

mod harness;
mod kill_all;
mod kill_one;
mod lost_guard;
mod membership;
