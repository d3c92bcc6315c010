//! The last irreversible block (LIB).

use holdfast_types::Height;

/// The last irreversible block after the block at `head`, where `supports` are the members' highest supported
/// heights in any order and `previous` is the LIB before.
///
/// It is the highest value that at least a quorum of the members reach, never above `head` − 1 (so that the block
/// being applied keeps its undo record) and never below `previous`.
#[must_use]
pub fn lib_height(supports: &[Height], quorum: usize, head: Height, previous: Height) -> Height {
    let mut sorted = supports.to_vec();
    sorted.sort_unstable();
    // In ascending order, the values at and above position n − q are q in number.
    let reached = supports
        .len()
        .checked_sub(quorum)
        .and_then(|position| sorted.get(position).copied())
        .unwrap_or(previous);
    reached.min(head.previous()).max(previous)
}
