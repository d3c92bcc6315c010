//! Fixtures for tests: keys, committees and vertices from small numbers, and samples of every type.

pub mod parameters;
pub mod sample;
mod sampler;

pub use sample::{Sample, samples};
pub use sampler::Sampler;

use crate::account::AccountName;
use crate::committee::{Committee, EraContext, EraKind, Member};
use crate::crypto::{KeyPair, Signer, SigningHash};
use crate::hash::Hash32;
use crate::ids::{AuthorityIndex, BlockId, ChainId, Era, Height, Round, TimestampMs};
use crate::vertex::{VerifiedVertex, VertexDraft, VertexPayload, VertexRef};

/// Chain id of all fixtures.
pub const CHAIN: ChainId = ChainId::new([7; 32]);

/// A signing hash of chosen bytes, for vectors of other projects. No product code can make one.
#[must_use]
pub const fn signing_hash(bytes: Hash32) -> SigningHash {
    SigningHash::new(bytes)
}

/// The key pair number `number`.
#[must_use]
pub fn key_pair(number: u16) -> KeyPair {
    let mut secret = [0x42; 32];
    let [high, low] = number.to_be_bytes();
    secret[0] = high;
    secret[1] = low;
    KeyPair::from_secret(&secret)
}

/// Account of validator number `number`; names sort as their numbers do.
///
/// # Panics
/// Never: the name obeys the rule.
#[must_use]
pub fn validator_account(number: u16) -> AccountName {
    AccountName::new(&format!("validator-{number:03}")).expect("the name obeys the rule")
}

/// A committee of `size` members with the keys `0..size`.
///
/// # Panics
/// If `size` is no valid committee size.
#[must_use]
pub fn committee(size: u16) -> Committee {
    let members = (0..size)
        .map(|number| Member {
            account: validator_account(number),
            signing_key: key_pair(number).public_key(),
        })
        .collect();
    Committee::new(members).expect("fixture members are sorted and distinct")
}

/// Era 1 on an arbitrary anchor.
#[must_use]
pub fn era_context(size: u16) -> EraContext {
    EraContext {
        era: Era(1),
        kind: EraKind::Dag,
        anchor: BlockId::new([9; 32]),
        anchor_height: Height(0),
        anchor_timestamp: TimestampMs(1_000_000),
        committee: committee(size),
    }
}

/// The round-0 references of an era.
#[must_use]
pub fn genesis_refs(context: &EraContext) -> Vec<VertexRef> {
    context
        .committee
        .authorities()
        .map(|author| VertexRef::genesis(&CHAIN, context, author))
        .collect()
}

/// A signed vertex; `parents` are put into canonical order (own first, then by slot).
#[must_use]
pub fn vertex(
    context: &EraContext,
    author: AuthorityIndex,
    round: Round,
    mut parents: Vec<VertexRef>,
    payload: VertexPayload,
) -> VerifiedVertex {
    parents.sort_by_key(|parent| (parent.author != author, *parent));
    VertexDraft {
        era: context.era,
        round,
        author,
        timestamp: TimestampMs(context.anchor_timestamp.0 + round.0 * 100 + u64::from(author.0)),
        parents,
        payload,
    }
    .sign(&CHAIN, &key_pair(author.0))
}
