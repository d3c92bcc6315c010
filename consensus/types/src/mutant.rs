//! Bugs that other implementations had, and some of our own, to be put back.
//!
//! A test that cannot find a bug that is known to be there proves nothing about those that are not known. With the feature
//! `mutants`, which nothing but the tests of the simulator asks for, one bug at a time is put back into the running thread,
//! and the simulator has to find it. Without the feature [`is_on`] is a constant, and nothing of this is compiled.

/// A bug. The letters and numbers are those of its kind in the collection of historic bugs (C) and weaknesses (D, H).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// C1: a vertex leaves before it is durable.
    SendBeforeSync,
    /// Of our own: the sign guard is raised before the vertex that it covers is durable, so that a power failure spends
    /// the round with nothing to show.
    GuardBeforeVertex,
    /// B13: a start forgets what the sign guard knew.
    GuardReset,
    /// C3: a lost guard is replaced by an empty one, and nobody is asked what was signed before.
    NoListening,
    /// C4: own vertices that another process signed are taken for nothing special.
    DoppelgangerIgnored,
    /// Of our own: whatever appears in a slot that the guard covers is taken for a vertex that the store lost. Two processes on
    /// copies of one guard never stop.
    SecondIsLost,
    /// C7: one component is off by one about the garbage-collection round.
    GarbageBoundOffByOne,
    /// C6: what a sub-DAG holds depends on how far the node is, not on its leader alone.
    GarbageBoundOfTheMoment,
    /// C14: a sub-DAG is sorted by round only; within a round by what a hash table gives.
    SortedByRoundOnly,
    /// C5: both vertices of an equivocation execute.
    BothVersionsExecute,
    /// C15: block time is the highest timestamp, not the median.
    TimestampByMaximum,
    /// C22: reputation counts vertices as they come, not as they are committed.
    ReputationByArrival,
    /// C23: an anchor without a direct decision below it skips, whatever certificates its history holds.
    AnchorsIgnoreCertificates,
    /// C9: whoever sends what cannot be accepted fills the memory.
    SuspendedUnbounded,
    /// C8: what was garbage-collected is waited for, for ever.
    WaitsForGarbage,
    /// C17: nobody is asked what they have when a round does not move.
    NeverAsksAgain,
    /// H8: a quorum is one less.
    QuorumOneLess,
    /// H7: votes for different blocks count together.
    VotesOfAllBlocksCount,
    /// V7: LIB is the head.
    LibIsHead,
    /// C22: every proof of an offence is punished, also the second of the same slot.
    PunishedPerEvidence,
    /// B20: what is burned stays in the supply.
    BurnedIsStillThere,
    /// C2: a transaction is acknowledged before it is durable.
    AcknowledgedTooEarly,
    /// Of our own: a transaction above a nonce gap counts as used up.
    NonceTooHighIsUsed,
    /// Of our own: a nonce that somebody read counts, though blocks have used it since.
    StaleNonces,
    /// H6: one governor who signs seven times counts as seven.
    OneSignerCountsTwice,
    /// H1: whoever says that the chain has a reason to halt is believed.
    ProofsUnverified,
    /// Of the first document: contradictory state roots halt nobody.
    DissentUnnoticed,
    /// Of the first document: who makes no progress does not say so.
    StallUnnoticed,
    /// Of the first document: who is halted signs on.
    SignsWhileHalted,
    /// Batch verification that refuses what single verification takes.
    BatchWithoutCofactor,
}

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// True if this bug is put back in the running thread.
    #[must_use]
    pub fn is_on(mutant: Mutant) -> bool {
        ON.get() == Some(mutant)
    }

    /// Puts a bug back into the running thread, or takes it out.
    pub fn put_back(mutant: Option<Mutant>) {
        ON.set(mutant);
    }
}

#[cfg(feature = "mutants")]
pub use switch::{is_on, put_back};

/// Without the feature there are no bugs to put back.
#[cfg(not(feature = "mutants"))]
#[must_use]
#[inline(always)]
pub const fn is_on(_: Mutant) -> bool {
    false
}
