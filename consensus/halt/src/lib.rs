//! Halts: what stops, who notices, and what is written down (DESIGN §6).
//!
//! Everything here is pure: observations, statements and times come in, changes and proofs go out. Rules:
//!
//! * M1 to M5, the matrix: what each activity does in each mode ([`matrix`]).
//! * S1 to S7, the soft stall: when a chain without commits is one ([`stall`]).
//! * V1 to V5, divergence: which attestations prove that validators computed different chains ([`divergence`]).
//! * E1 to E3, the equivocation cluster: how many offenders of one era halt the chain ([`cluster`]).
//! * H1 to H20, the manager: what each input makes of what is known of halts ([`manager`]).
//! * K1 to K12, the cluster lockdown: what votes of the validators freeze and thaw ([`lockdown`]).
//! * RA1 to RA7, the risk analyzer: what may become a reason to freeze the chain ([`risk`]).
//! * J1 to J3, the journal: one hash-chained record of everything that halted and resumed ([`journal`]).
//!
//! What a proof must hold is said by rules HP1 to HP5 of `holdfast_types::halt`; every proof made here verifies there.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::panic,
        clippy::let_underscore_must_use
    )
)]

mod bit_set;
pub mod cluster;
pub mod divergence;
pub mod journal;
pub mod lockdown;
pub mod manager;
pub mod matrix;
pub mod risk;
pub mod stall;

pub use cluster::ClusterDetector;
pub use divergence::DivergenceDetector;
pub use journal::{Journal, JournalEntry, JournalError, JournalEvent, verify_chain};
pub use manager::{
    EmergencyHalt, HaltConfig, HaltEffect, HaltInForce, HaltInput, HaltManager, HaltRefusal,
    HaltState, HardHalt, OwnFault, Standing, Transition,
};
pub use matrix::{Activity, Mode, ModeSet, Permission, permission, permission_in};
pub use stall::{
    Stall, StallChange, StallConfig, StallDetector, StallObservation, StallReason, StallReasons,
};
