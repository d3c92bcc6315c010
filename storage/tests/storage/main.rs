//! The store from outside, by kind of failure.
#![allow(unreachable_pub)]

mod contract;
mod harness;
