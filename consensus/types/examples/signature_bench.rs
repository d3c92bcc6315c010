//! Measures signature checks on this machine: `signature_bench [batch] [repetitions]`.
//!
//! Prints the median in microseconds per signature, alone and in batches, of as many different keys as signatures. The
//! figures of whole nodes are to be read beside these.

// A measurement reads the clock and prints: it is no part of the state machine.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use holdfast_types::test_util::{CHAIN, key_pair};
use holdfast_types::{
    AccountName, Action, CachingEd25519, Ed25519, SignatureCheck, SignatureScheme, Signer,
    TransactionBody,
};
use std::time::Instant;

fn check(number: u16) -> SignatureCheck {
    let key = key_pair(number);
    let body = TransactionBody {
        sender: "alice".parse::<AccountName>().expect("a valid name"),
        public_key: key.public_key(),
        nonce: u64::from(number),
        fee_max: 1,
        expires_at: None,
        action: Action::Transfer {
            to: "bob".parse().expect("a valid name"),
            amount: 1,
            memo: Vec::new(),
        },
    };
    let id = body.id(&CHAIN);
    body.sign(&CHAIN, &key).signature_check(&id)
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u16>().expect("a number"));
    let batch = arguments.next().unwrap_or(250);
    let repetitions = arguments.next().unwrap_or(100);
    let checks: Vec<SignatureCheck> = (0..batch).map(check).collect();
    let median = |verify: &dyn Fn() -> bool| {
        let mut times: Vec<f64> = (0..repetitions)
            .map(|_| {
                let start = Instant::now();
                assert!(verify(), "the signatures are valid");
                start.elapsed().as_secs_f64() * 1e6 / f64::from(batch)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let alone = median(&|| checks.iter().all(|check| Ed25519.verify(check)));
    let together = median(&|| Ed25519.verify_batch(&checks));
    let caching = CachingEd25519::new(65_536);
    let cached = median(&|| caching.verify_batch(&checks));
    println!("alone             {alone:.1} us per signature");
    println!("batches of {batch:<6} {together:.1} us per signature");
    println!("  keys known      {cached:.1} us per signature");
}
