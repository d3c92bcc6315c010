//! The DAG core: an uncertified DAG with Mysticeti's commit rule (Babel et al., arXiv 2310.14821; DESIGN §3).
//!
//! It is pure: vertices and times come in, plans, fetches and sub-DAGs come out. Rules, with n, f and q = n − f of the
//! era's committee:
//!
//! * D1. *Acceptance.* A vertex enters the DAG when each of its parents is in it, was committed, is at or below the
//!   garbage-collection round, or is the implied vertex of its author in round 0. Until then it is suspended, bounded
//!   per author, and its missing ancestors are fetched. Of one slot two vertices are kept, which is the proof of an
//!   equivocation; a further one only while a vertex here waits for it.
//! * D2. *Threshold clock.* A round is complete when q authors have a vertex in it. The clock shows the round after the
//!   highest complete one; that is the only round in which this validator may propose.
//! * D3. *Proposal.* Parents are the own previous vertex first, then one vertex of every slot of the previous round,
//!   then older vertices that no own vertex has in its history and that are not committed.
//! * D4. *Pacing.* No proposal sooner than `min_round_interval` after the last; while the leaders of the previous round
//!   are missing, not before `leader_timeout`; while nothing waits and nobody has begun the round, not before
//!   `idle_round_interval`.
//! * D5. *Leaders.* Each round has `leaders_per_round` leader slots, drawn without replacement from BLAKE3(seed ‖ round),
//!   weighted by reputation (D10).
//! * D6. *Votes.* A vertex of round r + 1 votes for the leader vertex of round r that it names as a parent. A vertex of
//!   round r + 2 certifies that leader vertex if q of the authors among its parents of round r + 1 vote for it.
//! * D7. *Direct decision.* A leader vertex is committed when vertices of q authors in round r + 2 certify it. A leader
//!   slot is skipped when vertices of q authors in round r + 1 vote for no vertex of the slot.
//! * D8. *Indirect decision.* An undecided slot looks for its anchor: the first slot of a round ≥ r + 3 that is not
//!   skipped. If the anchor is committed, the slot is committed if the anchor's history holds a vertex of round r + 2
//!   that certifies it, else skipped. If the anchor is undecided, so is the slot.
//! * D9. *Order.* Slots are taken in the order (round, position) up to the first undecided one. Each committed leader
//!   yields a sub-DAG: its history of vertices not yet committed with round > gc round, where
//!   gc round = leader round − `gc_depth` ([`gc_round`], the one function used everywhere); sorted by the total key
//!   (round, author, digest). The first vertex of a slot in commit order executes, any other is only evidence.
//! * D10. *Reputation.* After every `reputation_window` commits of the era, authors of few committed vertices in these
//!   commits lose their leader slots until the next window; never more than f of them.
//! * D11. *Asking.* While the round does not move, a few members in turn are asked every `ask_interval` for what they have
//!   of this round and those next to it: the vertex that all wait for may have been lost on its way to everybody. They are
//!   asked for the rounds from the first undecided leader on, too: in a halt no round follows that would decide it, and a
//!   vertex that one member alone holds may have decided it there. While more than f members are far ahead, one member at a
//!   time is asked for many rounds, and as soon as the round has moved for the next ones: blocks come only with certificates,
//!   and without this validator there may be none.
//!
//! Safety of D7 and D8 rests on quorum intersection in f + 1 authors, and so on q = n − f for every n (DESIGN §16.1). No rule
//! is ever relaxed for liveness.
//!
//! Departure from the paper: a vertex names at most one vertex per slot as a parent (rule V4 of the vertex format), so a vote
//! needs no search, and parents of several equivocating vertices in one history come through different children only.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::panic,
        clippy::let_underscore_must_use
    )
)]

mod authority_set;
pub mod clock;
pub mod commit;
pub mod config;
pub mod core;
pub mod leaders;
pub mod linearizer;
pub mod proposer;
pub mod suspended;
pub mod vertices;

#[cfg(any(test, feature = "test-utils"))]
pub mod drawing;

pub use commit::{Committer, Decision, LeaderSlot};
pub use config::DagConfig;
pub use core::{AddOutcome, Added, AskRequest, DagCore};
pub use leaders::LeaderSchedule;
pub use linearizer::{SubDag, gc_round};
pub use proposer::{Pace, ProposalPlan};
pub use suspended::FetchRequest;
pub use vertices::VertexStore;
