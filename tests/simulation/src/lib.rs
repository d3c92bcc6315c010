//! Whole networks in one process and in virtual time.
//!
//! The nodes are the product's: its replica, chain and ledger, and the parts of its shell that decide something. What is
//! simulated is what surrounds them: disk, network, clock and clients. Everything that a run does follows from its seed, so
//! a failure replays.
//!
//! * [`world`]: nodes and what is to happen; [`disk`]: what fails, and what a crash leaves; [`network`]: what a link does.
//! * [`clock`]: what time it is; [`latency`]: how long things take. [`oracle`]: what must hold after every event.
//! * [`mod@run`]: what must hold in the end; [`campaign`]: many runs; [`endurance`]: long ones.
//! * [`profile`]: kinds of networks and faults, as data. [`byzantine`]: ways to misbehave. [`keys`]: how all of them sign.
//! * [`script`]: one network, step by step, in words.

pub mod byzantine;
pub mod campaign;
pub mod chain;
pub mod client;
pub mod clock;
pub mod disk;
pub mod endurance;
pub mod keys;
pub mod latency;
pub mod message;
pub mod network;
pub mod node;
pub mod oracle;
pub mod profile;
pub mod random;
pub mod run;
pub mod script;
pub mod trace;
pub mod world;

pub use profile::{PROFILES, Profile};
pub use run::{Options, Report, Verdict, run, run_with};
pub use world::{LOOK_MS, Plan, World};
