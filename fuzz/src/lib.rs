//! What is fuzzed: one target per decoder of bytes that strangers send or disks return.
//!
//! A target is a function of bytes that must not panic, whatever they are; what it asserts besides stands at each.
//! The same functions run in two places: for a short, seeded time in the ordinary tests (`tests/short_run.rs`), and
//! for as long as one likes under libFuzzer:
//!
//! ```text
//! cargo run -p holdfast-fuzz --release --example seed_corpus -- fuzz/corpus
//! cargo +nightly fuzz run --features libfuzzer vertex
//! ```
//!
//! An input that broke a target is kept in `regressions/<target>/`; the tests replay all of them.

pub mod attack;
pub mod mutation;
pub mod seeds;
pub mod targets;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the binary under `fuzz_targets`.
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Well-formed inputs, the same for the same number.
    pub seed: fn(u64) -> Vec<u8>,
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[
            $(Target {
                name: stringify!($name),
                run: targets::$name,
                seed: seeds::$name,
            }),*
        ];
    };
}

targets!(
    account_name,
    attestation,
    block,
    blocks_request,
    blocks_response,
    certificate,
    certificate_request,
    certificate_response,
    committee,
    era_context,
    evidence,
    genesis,
    governance_message,
    halt_message,
    halt_notice,
    last_vertex_request,
    last_vertex_response,
    lockdown_message,
    lockdown_notice,
    missing_vertices_request,
    parameters,
    peer_claim,
    peer_status,
    receipt,
    signature_batch,
    text,
    transaction,
    transaction_batch,
    vertex,
    vertices_request,
    vertices_response,
);
