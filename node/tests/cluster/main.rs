//! Real processes on loopback: what happens when validators die and come back, when committees change, and when the chain
//! is halted and resumed.

mod drills;
mod harness;
mod kill_all;
mod kill_one;
mod lost_guard;
mod membership;
