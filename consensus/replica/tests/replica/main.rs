//! The rules of the replica, one after the other: a replica of a committee of four, whose three peers are made by hand.

mod admitting;
mod bench;
mod emergency;
mod ends;
mod eras;
mod gates;
mod guarding;
mod halts;
mod listening;
mod locked_below;
mod locking;
mod signing;
mod telling;
mod transactions;
mod vertices;
