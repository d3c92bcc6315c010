//! Real processes on loopback: what happens when validators die and come back, when committees change, when the chain
//! is halted and resumed, and what Prometheus makes of it.

mod alerts;
mod drills;
mod farewell;
mod harness;
mod kill_all;
mod kill_one;
mod lockdown;
mod lost_guard;
mod membership;
