//! The last irreversible block (LIB).
//!
//! * I1. Every member of the committee has a highest supported height; it only rises within an era.
//! * I2. LIB is the highest value that at least a quorum of the members reach.
//! * I3. LIB is at most the head's parent, so that the block being applied keeps its undo record.
//! * I4. LIB never falls.
//! * I5. Its timestamp is part of the state, so that what depends on it needs no block log.

use crate::block::{BlockContext, BlockKind, LedgerError};
use crate::emergency;
use crate::keys::{ReversibleTimestampsKey, SupportsKey};
use crate::objects::ReversibleTimestamps;
use crate::overlay::Overlay;
use crate::state::StateStore;
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{Event, Height};

/// LIB after the block at `head`, where `supports` are the highest supported heights of all members in any order and
/// `previous` is the LIB before (I2 to I4).
#[must_use]
pub fn lib_height(supports: &[Height], quorum: usize, head: Height, previous: Height) -> Height {
    let mut heights = supports.to_vec();
    // In ascending order, the values from position n − q on are q in number.
    let reached = heights
        .len()
        .checked_sub(quorum)
        .filter(|position| *position < supports.len())
        .map_or(previous, |position| {
            *heights.select_nth_unstable(position).1
        });
    if mutant::is_on(Mutant::LibIsHead) {
        return head;
    }
    reached.min(head.previous()).max(previous)
}

/// Raises the supports that the block carries and moves LIB.
pub(crate) fn advance<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    let input = context.input;
    let (supports, quorum) = match context.kind {
        BlockKind::Emergency { place, producer } => {
            let slots = emergency::note_and_support(overlay, context, place, producer)?;
            let faulty = slots.len().saturating_sub(1) / 3;
            let quorum = slots.len().saturating_sub(faulty);
            (slots, quorum)
        }
        BlockKind::Ordinary | BlockKind::Resume | BlockKind::Recovery => {
            (raise_supports(overlay, context)?, input.committee.quorum())
        }
    };
    let before = overlay.properties.lib;
    let lib = lib_height(&supports, quorum, input.height, before);
    let mut reversible = overlay.existing(&ReversibleTimestampsKey())?;
    reversible.timestamps.push(input.timestamp);
    let kept_max = usize::try_from(context.parameters.fork_db_max).unwrap_or(usize::MAX);
    let excess = reversible.timestamps.len().saturating_sub(kept_max);
    drop_first(&mut reversible, excess);
    if lib > before {
        // LIB may lie below what is kept; the oldest kept timestamp then stands for its own.
        let passed = lib.since(reversible.first);
        let passed = usize::try_from(passed).unwrap_or(usize::MAX);
        if let Some(timestamp) = reversible.timestamps.get(passed) {
            overlay.properties.lib_timestamp = *timestamp;
        }
        if lib >= reversible.first {
            drop_first(&mut reversible, passed.saturating_add(1));
        }
        overlay.properties.lib = lib;
        let lib_timestamp = overlay.properties.lib_timestamp;
        overlay.properties.advance_stall_clock(lib_timestamp);
        events.push(Event::IrreversibleAdvanced { height: lib });
    }
    Ok(overlay.set(&ReversibleTimestampsKey(), reversible)?)
}

/// Raises what the members support by what the block says of it.
fn raise_supports<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
) -> Result<Vec<Height>, LedgerError> {
    let input = context.input;
    let mut supports = overlay.existing(&SupportsKey())?;
    for support in input.supports {
        if let Some(height) = supports.heights.get_mut(support.authority.as_usize())
            && support.height <= input.height
        {
            *height = support.height.max(*height);
        }
    }
    let heights = supports.heights.clone();
    overlay.set(&SupportsKey(), supports)?;
    Ok(heights)
}

/// Forgets the oldest `count` timestamps.
fn drop_first(reversible: &mut ReversibleTimestamps, count: usize) {
    let count = count.min(reversible.timestamps.len());
    reversible.timestamps.drain(..count);
    reversible.first = reversible.first.plus(count as u64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::test_util::validator_account;
    use holdfast_types::{Committee, Member, PublicKey};
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    /// A committee whose keys sign nothing.
    fn committee(size: u16) -> Committee {
        let members = (0..size)
            .map(|number| {
                let mut key = [0; 32];
                key[..2].copy_from_slice(&number.to_be_bytes());
                Member {
                    account: validator_account(number),
                    signing_key: PublicKey::new(key),
                }
            })
            .collect();
        Committee::new(members).expect("members are sorted and distinct")
    }

    /// LIB by its definition: the highest height that a quorum reach.
    fn oracle(supports: &[u64], quorum: usize, head: u64, previous: u64) -> u64 {
        let highest = supports
            .iter()
            .copied()
            .filter(|height| supports.iter().filter(|other| *other >= height).count() >= quorum)
            .max()
            .unwrap_or(previous);
        highest.min(head.saturating_sub(1)).max(previous)
    }

    #[test]
    fn lib_is_the_height_that_a_quorum_reach_for_every_size() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        for size in 1..=200u16 {
            let quorum = committee(size).quorum();
            let strategy = (
                proptest::collection::vec(90u64..110, usize::from(size)),
                95u64..115,
                80u64..110,
            );
            for _ in 0..20 {
                let (supports, head, previous) =
                    strategy.new_tree(&mut runner).expect("a value").current();
                let heights: Vec<_> = supports.iter().copied().map(Height).collect();
                let lib = lib_height(&heights, quorum, Height(head), Height(previous));
                assert_eq!(
                    lib.0,
                    oracle(&supports, quorum, head, previous),
                    "n = {size}, supports {supports:?}, head {head}, previous {previous}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn lib_never_falls_never_reaches_the_head_and_faulty_members_cannot_raise_it(
            size in 1u16..200,
            faulty_height in any::<u64>(),
            honest_height in 0u64..1_000,
            head in 1u64..2_000,
            previous in 0u64..1_000,
        ) {
            let committee = committee(size);
            let previous = previous.min(head - 1);
            let mut supports = vec![Height(honest_height); committee.size()];
            for support in supports.iter_mut().take(committee.max_faulty()) {
                *support = Height(faulty_height);
            }
            let lib = lib_height(&supports, committee.quorum(), Height(head), Height(previous));
            prop_assert!(lib >= Height(previous));
            prop_assert!(lib < Height(head));
            prop_assert!(lib <= Height(honest_height.max(previous)));
        }
    }

    #[test]
    fn a_quorum_larger_than_the_committee_moves_nothing() {
        assert_eq!(
            lib_height(&[Height(9)], 2, Height(10), Height(3)),
            Height(3)
        );
        assert_eq!(lib_height(&[], 0, Height(10), Height(3)), Height(3));
    }
}
