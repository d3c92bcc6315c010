//! Byzantine nodes: the replica is the honest one, and what it sends passes through one of these.

mod equivocator;
mod silent;
mod withholder;

pub use equivocator::Equivocator;
pub use silent::Silent;
pub use withholder::Withholder;

use crate::keys::FastKey;
use crate::message::NodeId;
use crate::random::Random;
use holdfast_replica::Replica;
use holdfast_types::{ChainId, VerifiedVertex};
use std::fmt;
use std::sync::Arc;

/// Where a Byzantine node stands when it sends a vertex.
#[derive(Debug)]
pub struct Situation<'a> {
    pub chain: &'a ChainId,
    pub key: &'a FastKey,
    pub peers: &'a [NodeId],
    pub replica: &'a Replica,
    pub random: &'a mut Random,
}

/// A vertex, and who is shown it at first; they may pass it on.
#[derive(Clone, Debug)]
pub struct Shown {
    pub vertex: Arc<VerifiedVertex>,
    pub to: Vec<NodeId>,
}

/// One way to misbehave.
pub trait Behaviour: fmt::Debug {
    /// What is sent in the place of an own vertex.
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown>;
}

/// The ways to misbehave, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Equivocator,
    Silent,
    Withholder,
}

impl Fault {
    #[must_use]
    pub fn behaviour(self) -> Box<dyn Behaviour> {
        match self {
            Self::Equivocator => Box::new(Equivocator),
            Self::Silent => Box::new(Silent),
            Self::Withholder => Box::new(Withholder),
        }
    }
}
