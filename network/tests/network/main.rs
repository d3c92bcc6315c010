//! The network over real loopback sockets.
//!
//! Nothing here sleeps to wait for something: every step awaits the event it needs, and one guard
//! ([`support::within`]) turns a test that would hang into one that fails.

mod exchange;
mod flood;
mod gossip;
mod hostile;
mod links;
mod raw;
mod support;
