//! The DAG core from outside: scenarios, an oracle of the commit rule, orders of delivery, restore, bounds and a small
//! network.

mod any_order;
mod equivocation;
mod fetching;
mod harness;
mod lockstep;
mod network;
mod network_runs;
mod oracle;
mod oracle_agrees;
mod pacing;
mod proposing;
mod random_dag;
mod restore;
mod scenarios;
mod twins;
mod twins_sampled;
