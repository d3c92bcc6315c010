//! Where a world stands.

use super::World;
use crate::chain::validator_account;
use crate::message::NodeId;
use holdfast_ledger::validator;
use holdfast_replica::{RecordStore, SigningState};
use holdfast_types::{Era, Height, Round, TransactionId};

/// Where one node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub node: NodeId,
    pub head: Height,
    pub certified: Height,
    pub irreversible: Height,
    pub era: Era,
    pub round: Round,
    pub is_between_eras: bool,
    pub signing: SigningState,
    pub mempool: usize,
}

impl World {
    /// Where a node stands; none if it is down.
    #[must_use]
    pub fn standing(&self, node: NodeId) -> Option<Standing> {
        let running = self.nodes[node].running.as_ref()?;
        let dag = running.replica.dag();
        Some(Standing {
            node,
            head: running.chain.head().0,
            certified: running.chain.certified(),
            irreversible: running.chain.irreversible(),
            era: running.replica.era(),
            round: dag.map(holdfast_dag::DagCore::round).unwrap_or_default(),
            is_between_eras: running.replica.is_between_eras(),
            signing: running.replica.signing().clone(),
            mempool: running.replica.mempool().len(),
        })
    }

    /// What a node has of the round that it waits for, and who stores the rest.
    #[must_use]
    pub fn round_picture(&self, node: NodeId) -> String {
        let running = self.nodes[node].running.as_ref();
        let Some(dag) = running.and_then(|running| running.replica.dag()) else {
            return format!("node {node} has no DAG");
        };
        let (era, round) = (dag.context().era, dag.round());
        let mut picture = format!(
            "node {node} as {:?}: {era} {round}, last own {:?}, waiting {:?}",
            dag.authority(),
            dag.own_last(),
            dag.waiting()
        );
        for author in dag.context().committee.authorities() {
            let held = !dag.vertices().slot(round, author).is_empty();
            let stored: Vec<NodeId> = (0..self.nodes.len())
                .filter(|other| {
                    let tables = self.nodes[*other].disk.now();
                    let references = tables.vertex_references(era, round..round.next());
                    references.is_ok_and(|found| found.iter().any(|r| r.author == author))
                })
                .collect();
            picture.push_str(&format!("; {author:?} held {held} stored at {stored:?}"));
        }
        picture
    }

    /// Nodes that obey the rules.
    pub fn honest(&self) -> impl Iterator<Item = NodeId> + use<'_> {
        let nodes = self.nodes.iter();
        nodes.filter(|node| node.is_honest()).map(|node| node.id)
    }

    /// The lowest certified height of honest nodes; zero while one of them is down.
    #[must_use]
    pub fn certified_by_all(&self) -> Height {
        self.certified_by_all_but(&[])
    }

    /// As [`Self::certified_by_all`], whatever these nodes do.
    #[must_use]
    pub fn certified_by_all_but(&self, away: &[NodeId]) -> Height {
        let certified = self
            .honest()
            .filter(|node| !away.contains(node))
            .map(|node| self.standing(node).map(|standing| standing.certified));
        certified.min().flatten().unwrap_or_default()
    }

    /// The highest certified height of honest nodes.
    #[must_use]
    pub fn certified_by_any(&self) -> Height {
        let standings = self.honest().filter_map(|node| self.standing(node));
        let certified = standings.map(|standing| standing.certified);
        certified.max().unwrap_or_default()
    }

    /// Where a transaction of a client is.
    #[must_use]
    pub fn whereabouts(&self, id: &TransactionId) -> String {
        let found = self.clients.iter().find_map(|client| {
            let mut open = client.open.iter();
            let (nonce, _) = open.find(|(_, open)| open.id == *id)?;
            Some((client, *nonce))
        });
        let Some((client, nonce)) = found else {
            return format!("{id:?} of no client");
        };
        let sender = client.account();
        let places = self.nodes.iter().map(|node| {
            let queued = node.disk.now().queues(id);
            let pool = node.running.as_ref().map(|r| r.replica.mempool());
            let next = pool.and_then(|pool| pool.next_nonce(&sender));
            format!("node {}: stored {queued}, next nonce {next:?}", node.id)
        });
        let state = holdfast_ledger::account(self.nodes[0].disk.now(), &sender);
        let used = state.ok().flatten().map(|account| account.nonce);
        format!(
            "{id:?}: {sender} nonce {nonce} at home {}, the account is at {used:?}; {}",
            client.home,
            places.collect::<Vec<_>>().join("; ")
        )
    }

    /// An honest validator that the chain holds guilty of an offence.
    #[must_use]
    pub fn slashed_though_honest(&self) -> Option<NodeId> {
        let validators = self.plan.chain.validators + self.plan.chain.standby;
        self.honest()
            .filter(|node| *node < validators)
            .find(|node| {
                let tables = self.nodes[*node].disk.now();
                let found = validator(tables, &validator_account(*node));
                found.is_ok_and(|found| found.is_some_and(|found| found.offence_eras > 0))
            })
    }

    /// True if all honest nodes have certified `height`, and with it everything that was promised to clients.
    #[must_use]
    pub fn is_settled_at(&self, height: Height) -> bool {
        let certified = self.certified_by_all();
        certified >= height && self.oracle.outstanding(certified).is_empty()
    }
}
