//! The store from outside, by kind of failure.
#![allow(unreachable_pub)]

mod basic;
mod contract;
mod corruption;
mod crash;
mod full;
mod guard;
mod harness;
mod script;
mod simulated_chains;
mod tree;
mod truncation;
