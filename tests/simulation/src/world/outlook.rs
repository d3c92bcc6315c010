//! Where a world stands.

use super::World;
use crate::message::NodeId;
use holdfast_replica::SigningState;
use holdfast_types::{Era, Height, Round};

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

    /// Nodes that obey the rules.
    pub fn honest(&self) -> impl Iterator<Item = NodeId> + use<'_> {
        let nodes = self.nodes.iter();
        nodes.filter(|node| node.is_honest()).map(|node| node.id)
    }

    /// The lowest certified height of honest nodes; zero while one of them is down.
    #[must_use]
    pub fn certified_by_all(&self) -> Height {
        let certified = self
            .honest()
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

    /// True if all honest nodes have certified `height`, and with it everything that was promised to clients.
    #[must_use]
    pub fn is_settled_at(&self, height: Height) -> bool {
        let certified = self.certified_by_all();
        certified >= height && self.oracle.outstanding(certified).is_empty()
    }
}
