//! Who hears whom while a network is cut.

use crate::message::NodeId;

/// What is left of a network in which every node hears every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Only nodes of the same group hear each other; a group for each node.
    Groups(Vec<usize>),
    /// The same, but one node hears all and is heard by all.
    Bridge { groups: Vec<usize>, bridge: NodeId },
    /// In this order, which goes round, each node hears the one before it and the one after it.
    Ring(Vec<NodeId>),
}

impl Topology {
    /// Whether one of these nodes hears the other.
    #[must_use]
    pub fn connects(&self, one: NodeId, other: NodeId) -> bool {
        match self {
            Self::Groups(groups) => groups[one] == groups[other],
            Self::Bridge { groups, bridge } => {
                [one, other].contains(bridge) || groups[one] == groups[other]
            }
            Self::Ring(order) => {
                let mut neighbours = order.iter().zip(order.iter().cycle().skip(1));
                one == other
                    || neighbours.any(|(a, b)| [(*a, *b), (*b, *a)].contains(&(one, other)))
            }
        }
    }
}
