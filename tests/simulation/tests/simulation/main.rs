//! Simulations: seeds of every profile, seeds that once found a bug, and scenarios by name.

mod clocks;
mod command_line;
mod disk_faults;
mod emergencies;
mod endurance;
mod every_call;
mod halts;
mod profiles;
mod restart_safety;
mod scenarios;
mod serving;
mod store;
mod topologies;
