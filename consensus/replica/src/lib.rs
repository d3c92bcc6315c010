//! The composition: one state machine for the consensus half of a node, `step(now, input) -> Output`.
//!
//! It never reads a clock, socket or disk. The node drives it with tokio, RocksDB and libp2p, the simulator with virtual
//! ones. Rules:
//!
//! * R1. *Persist before send.* Everything in [`Output::persist`] is durable before anything in [`Output::send`] leaves, in
//!   the order of [`durable`].
//! * R2. *The sign guard decides.* A vertex is signed only in a slot above all signed before, an attestation only for a
//!   height above all attested before (or the same statement again); the output that carries the signature carries the
//!   raised guard (DESIGN §3).
//! * R3. *One way of a vertex.* It is verified outside, then added here; accepted vertices are persisted, their attestations
//!   counted, commits tried. A vertex dated further ahead of the local clock than `max_clock_drift` is parked,
//!   bounded per author, until its time comes.
//! * R4. *Eras.* When the block that ends the era is executed, the DAG stops; the block is attested outside the DAG, and
//!   its transactions in flight go back to the mempool. With the certificate of that block the next era starts; the
//!   first own vertex carries it. Vertices of the next era that come earlier are parked, bounded per author.
//! * R5. *Sync.* After blocks came from peers, the DAG is rebuilt on the commits of the chain, with the vertices that it
//!   had.
//! * R6. *Own key elsewhere.* A vertex under our key in a slot that our guard has not signed, a second one in a slot of which
//!   one is here, or one that this process did not sign since it began to, means that another process signs with it: this
//!   one stops signing for good. What is older and alone in its slot is one that the store lost.
//! * R7. *Handing on.* A node that does not propose gossips the transactions of its clients: at once, and those that wait
//!   the longest again every `forward_interval`, until they are executed.
//! * R8. *Another branch.* Blocks that were taken back are not attested any more, an era that began on them does not start,
//!   and their transactions wait again. An era that stands on a certified block runs on when the chain leaves that block: it has not
//!   been given the certificate yet, and comes back. Until then nothing is signed for the other branch, and no era follows it.
//! * R9. *Backpressure.* While more than [`EXECUTION_LAG_MAX`] commits wait to be executed, own vertices carry at most
//!   [`LAGGING_TRANSACTIONS_MAX`] transactions: the others wait in the mempool, which is bounded and says so to clients.
//! * R10. Everything that waits is bounded, per author where peers can fill it.
//! * R11. *Nonces.* A nonce that was read from the state counts with what the blocks since then did to it.
//! * R12. *Listen before signing.* A process signs its first vertex only when the others have not seen more under its key
//!   than its guard knows, and a living process with the same key had the time to show itself; a guard that proves nothing
//!   is good again from M + 2 on, M the highest round of q others (DESIGN §3).
//! * R13. *Halts.* What the halt manager forbids is not done: no vertex, no commit, no new era. A halted validator attests
//!   nothing but the block that resumes.
//! * R14. *Detectors.* Attestations that contradict each other, and too many equivocators, make a proof of a halt; the time
//!   since the last commit, the certified vertices and the voices of the committee make a soft stall.
//! * R15. *Re-entry.* A resume message is followed until the block that it orders is executed here. Attesting this block,
//!   the last of its era, is being ready; the era after it starts with a quorum, as every era does. A validator that has
//!   attested a block above the named one, has other software or a fault of its own stays out. Who has attested another
//!   result of a block that is resumed on, by the proof of the halt, is accused.
//! * R16. *Halted is not mute.* While a halt holds, a validator says how it stands every `repeat_interval`.
//!   Whoever knows of a halt, an order to resume or new governors of which nobody says that they know of it tells it
//!   again as often: it may be the only one that was told.
//! * R17. *Evidence* is taken, kept and told in every state, and stays until a block has executed it.
//! * R18. *Emergency.* With the block that begins an emergency its era begins at once: there is no DAG in it, and nobody
//!   attests its blocks. The last of them is certified by the committee that it names, a slot later, when no other master's
//!   block of that slot can take its place, and then the DAG runs (rule R4). If that block is taken back the emergency goes on;
//!   another that ends it may name others.
//! * R19. *Production.* When a slot begins, and once more when half of it has passed, a node with a key asks the chain for a
//!   block, unless a halt forbids it, its signing has stopped, or a peer is ahead: for that one it waits a round at most.
//!   Only a master begins an emergency, with a block that carries no transactions, and not before a halt has been over for as
//!   long as a stall lasts and the DAG has been silent here for a round by the monotonic clock: a wall clock that is far ahead
//!   sees a stall on a chain that moves.
//! * R20. *Emergency blocks of peers* go to the chain unless a halt forbids it; one that is dated ahead of the local clock by
//!   more than `max_clock_drift` is not taken.
//! * R21. *The DAG below an emergency* is listened to until the next one begins: its vertices are taken and asked for, nothing is
//!   proposed. A commit of it that the chain lacks goes to the chain, which takes the emergency back (rule C16): whoever
//!   comes back with what nobody else had is heard, and all come to the same commits. A validator that has attested the end of
//!   the emergency leaves that to certificates: the end may be certified, too. Neither does a commit take an emergency back in which
//!   a quorum has voted for an end, or which governance has resumed (rules U9 and U10 of the chain).
//! * R22. *The end of an emergency* is voted for before it is attested, a slot after it by everybody who takes over; whoever has heard a
//!   quorum of votes attests it. Each votes for one end of an emergency, so that no two have a quorum of votes, and attests one.
//!   For the end of a later emergency nobody votes who has attested one that this branch leaves out, as that one may be
//!   certified; a quorum of votes of others shows that it is not, and then it is attested all the same. A vote holds to its end, as an
//!   attestation does (R21), until the chain has stalled again, by its clock or by another emergency: so a split of votes costs
//!   another emergency and no more, and whoever has attested an end knows that all who have voted will. Before it votes or attests the
//!   chain has to hold the end: it may be about to take another one that is as far, or be given a commit of the DAG below. No such commit
//!   goes to it between the question and its answer, and after one it is asked anew. The chain is told of a quorum of votes: it prefers
//!   that branch from then on, and shows the votes to peers on others (rule U9 of the chain).
//! * R23. *Lockdown.* This validator votes to lock the chain if it is asked to, and says its vote again until it has expired. While the
//!   chain is locked it reports how it stands. Asked to vote to go on, it executes what its DAG had decided, unless another halt holds,
//!   and names its head as soon as nobody is known to be higher, or after 10 s, or what governance has said. In which steps it votes is
//!   said in `holdfast_halt::lockdown::recovery`. It signs nothing for a block below what it has attested, or with a guard that does not
//!   know what it has signed. It says again what it has said, and what proves how far the others are. What is confirmed is followed as
//!   R15 says.
//! * R24. *A lockdown of the DAG below an emergency* takes the emergency back, as a commit does (R21): who hears in an emergency that a
//!   member of that DAG is frozen asks it for the proof, has the chain take the emergency back (rule U11 of the chain), and is frozen,
//!   too. Otherwise those who were frozen as the emergency began would have too few votes to go on, and the others too few producers to
//!   end it. Who holds to an end of the emergency (R22) stays as long as it does, and so does who has heard a quorum of votes for one, or
//!   is in a halt of governance. Where votes of the lockdown have expired it goes first only if as many members as let a locked chain go
//!   on are frozen and there, with this one: a vote that was kept for long ends no emergency in which others are missing. Who is frozen
//!   takes no emergency that begins in its era but one that governance has resumed, or for whose end a quorum has voted (U9 and U10).

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

pub mod admission;
pub mod asking;
pub mod durable;
pub mod evidence;
pub mod guard;
pub mod io;
pub mod mempool;
pub mod parked;
mod recent_nonces;
pub mod record;
pub mod replica;
pub mod serve;
mod signed_here;
pub mod stored;
pub mod validator_guard;

pub use guard::{GuardRefusal, SignGuard};
pub use io::{
    ChainStanding, DagStanding, Fact, HoldRequest, Input, LastVertices, Locking, Message, Now,
    Output, ResumeRequest, ReturnedTransaction, Submission, SubmissionResult,
};
pub use mempool::{Admission, Mempool, MempoolConfig, MempoolReject, Origin};
pub use record::{Record, SignGuardRecord};
pub use replica::halts::{ExecutedHead, HaltSettings, Halts};
pub use replica::{
    EARLY_PER_AUTHOR_MAX, EVIDENCE_WAITING_MAX, EXECUTION_LAG_MAX, FUTURE_PER_AUTHOR_MAX,
    LAGGING_TRANSACTIONS_MAX, Production, Replica, ReplicaConfig, Restored, SigningState,
    listening::LISTEN_ROUNDS,
};
pub use stored::RecordStore;
