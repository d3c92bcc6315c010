//! Catching up: asks peers where they stand, fetches blocks with certificates from one that is ahead, and leaves the rest to
//! the DAG once this node is near.
//!
//! A peer's claim decides only whom to ask; what it sends is believed because of its certificate. If its blocks do not stand
//! on our head, it is on another branch and is asked again from our last irreversible block on; which branch is better is for
//! the chain to say.

use super::board::{Board, Standing};
use super::core_thread::{CoreCommand, CoreHandle};
use super::execution::ExecutionCommand;
use super::peers::Peers;
use super::skew::{Reading, median_seconds};
use crate::clock;
use crate::failure::Failure;
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use holdfast_chain::sync::{ANSWERS_WAIT_MS, SyncNeed, first_needed, polled, sync_source};
use holdfast_chain::{Branch, BranchFetch, BranchStep, OfferRefusal, RangeError};
use holdfast_network::{NetworkHandle, Penalty, RequestProtocol};
use holdfast_replica::Input;
use holdfast_types::wire::{BlocksResponse, PeerStatus};
use holdfast_types::{BlockId, Height, TimestampMs, codec};
use libp2p::PeerId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// How often peers are asked where they stand.
const POLL: Duration = Duration::from_secs(1);
/// A peer that was no help is not asked again for this long.
const AVOID: Duration = Duration::from_secs(10);

/// The sync task's parts.
#[derive(Debug)]
pub struct Sync {
    pub network: NetworkHandle,
    pub peers: Peers,
    pub board: Board,
    pub execution: Sender<ExecutionCommand>,
    pub stopping: CancellationToken,
    pub peer_arrived: Arc<Notify>,
    /// A peer that is so many certified blocks ahead is synced from at once.
    pub far_blocks: u64,
    /// Learns whether peers are ahead.
    pub core: CoreHandle,
    pub emergency: EmergencySync,
}

/// What bounds the branches of an emergency.
#[derive(Clone, Copy, Debug)]
pub struct EmergencySync {
    /// Blocks of the fork database.
    pub fork_blocks_max: usize,
    pub max_clock_drift_ms: u64,
}

impl Sync {
    /// Runs until the node stops.
    pub async fn run(self) -> Result<(), Failure> {
        let mut avoided: BTreeMap<PeerId, Instant> = BTreeMap::new();
        let mut told = None;
        let mut polls = 0;
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(POLL) => {}
                () = self.peer_arrived.notified() => {}
            }
            avoided.retain(|_, until| *until > Instant::now());
            while let Some((peer, target)) = self.ahead(&avoided, &mut polls).await {
                self.tell_peers_at(&mut told, Some(target));
                self.board
                    .update(|standing| standing.sync_target = Some(target));
                let before = self.reached();
                let helped = self.advance(peer, target).await;
                // What changes nothing here is no help, however well it is proved.
                if !helped || self.reached() == before {
                    avoided.insert(peer, Instant::now() + AVOID);
                }
                if self.stopping.is_cancelled() {
                    return Ok(());
                }
            }
            self.board.update(|standing| standing.sync_target = None);
            self.tell_peers_at(&mut told, None);
        }
    }

    /// Tells the core thread whether peers are ahead, if that is news. A busy one hears it with the next poll.
    fn tell_peers_at(&self, told: &mut Option<Option<Height>>, at: Option<Height>) {
        if *told != Some(at) {
            let command = CoreCommand::Input(Input::PeersAt(at));
            if self.core.try_command(command) {
                *told = Some(at);
            }
        }
    }

    fn reached(&self) -> (BlockId, Height) {
        let standing = self.board.read();
        (standing.head_id, standing.certified)
    }

    /// The peer that is furthest ahead, if it is far enough for block sync.
    async fn ahead(
        &self,
        avoided: &BTreeMap<PeerId, Instant>,
        polls: &mut u64,
    ) -> Option<(PeerId, Height)> {
        need(&self.board.read(), self.far_blocks)?;
        let peers = self.peers.all().into_iter();
        let peers = peers.filter(|peer| !avoided.contains_key(peer));
        let asked = polled(peers.collect(), *polls);
        *polls = polls.wrapping_add(1);
        let asked = asked.into_iter().map(|peer| self.ask(peer));
        let asked: FuturesUnordered<_> = asked.collect();
        let over = tokio::time::sleep(Duration::from_millis(ANSWERS_WAIT_MS));
        let answers = answers_until(over, asked).await;
        self.compare_clocks(&answers);
        let need = need(&self.board.read(), self.far_blocks)?;
        self.board.update(|standing| standing.is_forked = false);
        let statuses = answers.into_iter().map(|(peer, status, _)| (peer, status));
        sync_source(statuses, need)
    }

    /// Asks one peer where it stands, and so for its time.
    async fn ask(&self, peer: PeerId) -> Option<(PeerId, PeerStatus, Reading)> {
        let asked = clock::wall();
        let request = self
            .network
            .request(peer, RequestProtocol::Status, Bytes::new());
        let answer = request.await.ok()?;
        let answered = clock::wall();
        let status: PeerStatus = codec::decode("a peer status", &answer, 1024).ok()?;
        let reading = Reading {
            asked,
            answered,
            theirs: TimestampMs(status.timestamp_ms),
        };
        Some((peer, status, reading))
    }

    /// Only members of the committee count: anybody else may come with a hundred peers and one wrong clock.
    fn compare_clocks(&self, answers: &[(PeerId, PeerStatus, Reading)]) {
        let context = self.board.read().context;
        let of_members = answers.iter().filter(|(peer, ..)| {
            let key = self.peers.key_of(peer);
            key.is_some_and(|key| context.committee.authority_of_key(&key).is_some())
        });
        if let Some(seconds) = median_seconds(of_members.map(|(.., reading)| *reading)) {
            self.board
                .update(|standing| standing.clock_skew_seconds = seconds);
        }
    }

    /// Fetches and applies the next blocks; false if the peer was no help.
    async fn advance(&self, peer: PeerId, target: Height) -> bool {
        let Some(need) = need(&self.board.read(), self.far_blocks) else {
            return false;
        };
        let from = first_needed(&need, target);
        match self.fetch_range(peer, from, target).await {
            Fetched::UpTo(_) => true,
            Fetched::Unlinked => self.fetch_branch(peer, target).await,
            Fetched::NoHelp => false,
        }
    }

    /// The peer's blocks do not stand on our head: it is on another branch. Both have our last block that is irreversible and
    /// certified, so its blocks are fetched from there. Each turn gets higher.
    async fn fetch_branch(&self, peer: PeerId, target: Height) -> bool {
        let standing = self.board.read();
        let mut from = standing.lib.min(standing.certified).next();
        drop(standing);
        while from <= target && !self.stopping.is_cancelled() {
            match self.fetch_range(peer, from, target).await {
                Fetched::UpTo(reached) if reached >= from => from = reached.next(),
                Fetched::Unlinked => {
                    tracing::warn!(%peer, from = from.0, "a peer's blocks do not stand on our last irreversible block");
                    return false;
                }
                Fetched::UpTo(_) | Fetched::NoHelp => return false,
            }
        }
        // If its branch is no better than ours there is nothing more to get from it.
        self.board.read().head >= from.previous()
    }

    /// Fetches blocks from `from` on and hands them to the chain: a range that a certificate proves, or a branch of an
    /// emergency, which may take several requests.
    async fn fetch_range(&self, peer: PeerId, from: Height, target: Height) -> Fetched {
        let Some(need) = need(&self.board.read(), self.far_blocks) else {
            return Fetched::NoHelp;
        };
        let mut fetch = BranchFetch::new(&need, from, self.emergency.fork_blocks_max);
        let mut step = BranchStep::Ask;
        while !self.stopping.is_cancelled() {
            step = match step {
                BranchStep::Ask => {
                    let Some(response) = self.request(peer, &fetch).await else {
                        return Fetched::NoHelp;
                    };
                    fetch.came(response, self.latest())
                }
                BranchStep::Prove(response) => {
                    return self.import(peer, *response, (from, target)).await;
                }
                BranchStep::Offer(branch) => {
                    let reached = branch.blocks.last().map(|block| block.header.height);
                    match self.offer(branch).await {
                        Some(Ok(())) => {
                            let reached = reached.unwrap_or(from);
                            tracing::info!(%peer, from = from.0, to = reached.0, target = target.0, "took the emergency blocks of a peer");
                            return Fetched::UpTo(reached);
                        }
                        Some(Err(refusal)) => {
                            tracing::debug!(%peer, %refusal, "a branch of a peer was not taken");
                            fetch.refused(&refusal)
                        }
                        None => return Fetched::NoHelp,
                    }
                }
                BranchStep::Over => return Fetched::NoHelp,
                BranchStep::Blame => {
                    tracing::warn!(%peer, "a peer sent a branch that breaks a rule");
                    self.network.penalize(peer, Penalty::InvalidResponse);
                    return Fetched::NoHelp;
                }
            };
        }
        Fetched::NoHelp
    }

    /// The latest time that an emergency block may have.
    fn latest(&self) -> TimestampMs {
        clock::wall().plus(self.emergency.max_clock_drift_ms)
    }

    async fn request(&self, peer: PeerId, fetch: &BranchFetch) -> Option<BlocksResponse> {
        let request = codec::encode(&fetch.request());
        let answer = self
            .network
            .request(peer, RequestProtocol::Blocks, Bytes::from(request))
            .await;
        let data = match answer {
            Ok(data) => data,
            Err(error) => {
                tracing::debug!(%peer, %error, "fetching blocks failed");
                return None;
            }
        };
        let limit = RequestProtocol::Blocks.response_bytes_max();
        let response = codec::decode::<BlocksResponse>("blocks", &data, limit);
        if response.is_err() {
            self.network.penalize(peer, Penalty::InvalidResponse);
        }
        response.ok()
    }

    /// None if the node stops.
    async fn offer(&self, branch: Box<Branch>) -> Option<Result<(), OfferRefusal>> {
        let (reply, result) = oneshot::channel();
        let command = ExecutionCommand::Branch { branch, reply };
        self.execution.send(command).ok()?;
        result.await.ok()
    }

    /// Hands a range to the chain that a certificate proves.
    async fn import(
        &self,
        peer: PeerId,
        response: BlocksResponse,
        (from, target): (Height, Height),
    ) -> Fetched {
        let (reply, result) = oneshot::channel();
        let command = ExecutionCommand::Range {
            response: Box::new(response),
            reply,
        };
        if self.execution.send(command).is_err() {
            return Fetched::NoHelp;
        }
        match result.await {
            Ok(Ok(reached)) => {
                tracing::info!(%peer, from = from.0, to = reached.0, target = target.0, "synced blocks");
                Fetched::UpTo(reached)
            }
            // Nobody's fault: the peer may be on another branch, or LIB has moved past the range meanwhile.
            Ok(Err(RangeError::Unlinked { .. })) => Fetched::Unlinked,
            Ok(Err(error)) => {
                tracing::warn!(%peer, %error, "a peer sent a range of blocks that proves nothing");
                self.network.penalize(peer, Penalty::InvalidResponse);
                Fetched::NoHelp
            }
            Err(_) => Fetched::NoHelp,
        }
    }
}

/// What comes until `over`, or the first answer after it; a peer that will not answer gives none.
async fn answers_until<T>(
    over: impl Future<Output = ()>,
    mut asked: impl Stream<Item = Option<T>> + Unpin,
) -> Vec<T> {
    tokio::pin!(over);
    let mut is_over = false;
    let mut answers = Vec::new();
    while !is_over || answers.is_empty() {
        tokio::select! {
            biased;
            answer = asked.next() => match answer {
                Some(answer) => answers.extend(answer),
                None => break,
            },
            () = &mut over, if !is_over => is_over = true,
        }
    }
    answers
}

/// What this node may need of others. None while its own chain is wrong: what it put on that would be wrong too.
fn need(standing: &Standing, far_blocks: u64) -> Option<SyncNeed> {
    let halts = &standing.halts;
    if halts.state.own_fault.is_some() {
        return None;
    }
    let unmoved = standing.head_changed_at.elapsed().as_millis();
    Some(SyncNeed {
        head: standing.head,
        head_id: standing.head_id,
        certified: standing.certified,
        rank: standing.rank,
        is_provisional: standing.is_provisional,
        is_forked: standing.is_forked,
        fetches_emergency: halts.state.fetches_emergency_blocks(halts.modes),
        fetches_ordered: halts.state.fetches_ordered_blocks(),
        unmoved_ms: u64::try_from(unmoved).unwrap_or(u64::MAX),
        far_blocks,
    })
}

/// What came of asking for a range.
enum Fetched {
    /// The chain has the blocks up to this height.
    UpTo(Height),
    /// The blocks do not stand on any that is here.
    Unlinked,
    NoHelp,
}

#[cfg(test)]
mod tests {
    use super::{answers_until, need};
    use crate::runtime::halted::fixture::{change, context, own_fault, picture, standing};
    use futures::channel::mpsc::unbounded;
    use futures::future::{pending, ready};
    use futures::stream::{self, StreamExt};
    use holdfast_halt::ModeSet;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_silent_peer_does_not_hold_up_a_poll_and_a_slow_one_is_better_than_none() {
        let answered = || stream::iter([Some(1), None, Some(2)]);
        assert_eq!(answers_until(pending(), answered()).await, [1, 2]);
        let one_is_silent = answered().chain(stream::pending());
        assert_eq!(answers_until(ready(()), one_is_silent).await, [1, 2]);
        let (peer, slow) = unbounded();
        let later = async {
            for answer in [None, Some(1), Some(2)] {
                tokio::task::yield_now().await;
                drop(peer.unbounded_send(answer));
            }
        };
        let (answers, ()) = tokio::join!(answers_until(ready(()), slow), later);
        assert_eq!(answers, [1], "one is enough then");
        assert!(
            answers_until(pending(), stream::iter([None::<u8>, None]))
                .await
                .is_empty()
        );
    }

    #[test]
    fn a_node_does_not_sync_over_its_own_faulty_chain() {
        let mut halts = picture(ModeSet::EMPTY, Vec::new());
        let context = Arc::new(context());
        let running = standing(&context, halts.clone());
        let needed = need(&running, 60).unwrap();
        assert_eq!((needed.head, needed.far_blocks), (running.head, 60));
        assert!(needed.fetches_emergency);
        change(&mut halts, |state| state.own_fault = Some(own_fault()));
        assert_eq!(need(&standing(&context, halts), 60), None);
    }
}
