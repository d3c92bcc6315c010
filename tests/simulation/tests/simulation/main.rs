//! Simulations: seeds of every profile, seeds that once found a bug, and scenarios by name.

mod profiles;
mod restart_safety;
mod scenarios;
mod store;
mod topologies;
