//! Byzantine nodes: the replica is the honest one, and what it sends passes through one of these.

mod equivocator;
mod false_voter;
mod fetch_abuser;
mod forger;
mod future_flooder;
mod height_liar;
mod invalid;
mod inventor;
mod mute_answerer;
mod silent;
mod timestamp_pusher;
mod two_blocks;
mod two_ends;
mod withholder;
mod wrong_root;

pub use equivocator::Equivocator;
pub use false_voter::FalseVoter;
pub use fetch_abuser::FetchAbuser;
pub use forger::Forger;
pub use future_flooder::FutureFlooder;
pub use height_liar::HeightLiar;
pub use invalid::Invalid;
pub use inventor::Inventor;
pub use mute_answerer::MuteAnswerer;
pub use silent::Silent;
pub use timestamp_pusher::TimestampPusher;
pub use two_blocks::TwoBlocks;
pub use two_ends::TwoEnds;
pub use withholder::Withholder;
pub use wrong_root::WrongRoot;

use crate::keys::SimulatedKey;
use crate::message::{Gossip, NodeId, Request, Response};
use crate::random::Random;
use holdfast_halt::lockdown::secret::ClusterSecrets;
use holdfast_replica::Replica;
use holdfast_types::{Block, ChainId, TimestampMs, VerifiedVertex, VertexDraft};
use std::fmt;
use std::sync::Arc;

/// Where a Byzantine node stands when it sends a vertex.
#[derive(Debug)]
pub struct Situation<'a> {
    pub chain: &'a ChainId,
    pub key: &'a SimulatedKey,
    pub peers: &'a [NodeId],
    pub replica: &'a Replica,
    /// What the validators share.
    pub cluster: &'a ClusterSecrets,
    /// By its own clock.
    pub wall: TimestampMs,
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

    /// What a peer that asks is told in the place of the honest answer.
    fn answer(&mut self, response: Response) -> Option<Response> {
        Some(response)
    }

    /// What it asks its peers beside what its replica wants to know, about once a second.
    fn ask(&mut self, _: Situation<'_>) -> Vec<(NodeId, Request)> {
        Vec::new()
    }

    /// What it tells all its peers beside its vertices, about once a second.
    fn gossip(&mut self, _: Situation<'_>) -> Vec<Gossip> {
        Vec::new()
    }

    /// Whether it makes a second block in its slots of an emergency.
    fn makes_two_blocks(&self) -> bool {
        false
    }

    /// It sees a block, on whatever branch. True if it signs what contradicts what it has signed.
    fn sees_block(&mut self, _: Situation<'_>, _: &Block) -> bool {
        false
    }
}

impl Shown {
    fn to_all(situation: &Situation<'_>, vertex: Arc<VerifiedVertex>) -> Self {
        Self {
            vertex,
            to: situation.peers.to_vec(),
        }
    }
}

/// The vertex with a change, signed by its author.
fn sign_again(
    situation: &Situation<'_>,
    vertex: &VerifiedVertex,
    change: impl FnOnce(&mut VertexDraft),
) -> Arc<VerifiedVertex> {
    let header = vertex.header();
    let mut draft = VertexDraft {
        era: header.era,
        round: header.round,
        author: header.author,
        timestamp: header.timestamp,
        parents: vertex.parents().to_vec(),
        payload: vertex.payload().clone(),
    };
    change(&mut draft);
    Arc::new(draft.sign(situation.chain, situation.key))
}

/// The ways to misbehave, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Equivocator,
    Silent,
    Withholder,
    WrongRoot,
    TimestampPusher,
    FutureFlooder,
    Inventor,
    Invalid,
    HeightLiar,
    MuteAnswerer,
    FetchAbuser,
    Forger,
    TwoBlocks,
    TwoEnds,
    FalseVoter,
}

impl Fault {
    pub const ALL: &'static [Self] = &[
        Self::Equivocator,
        Self::Silent,
        Self::Withholder,
        Self::WrongRoot,
        Self::TimestampPusher,
        Self::FutureFlooder,
        Self::Inventor,
        Self::Invalid,
        Self::HeightLiar,
        Self::MuteAnswerer,
        Self::FetchAbuser,
        Self::Forger,
        Self::TwoBlocks,
        Self::TwoEnds,
        Self::FalseVoter,
    ];

    /// All but the last, which needs lockdowns.
    pub const WITHOUT_VOTES: &'static [Self] = Self::ALL.split_at(Self::ALL.len() - 1).0;

    /// Those against the DAG: of these all but the last three. Who forges orders is in the profiles that have orders, and what only an
    /// emergency offers in that of emergencies.
    pub const AGAINST_CONSENSUS: &'static [Self] = Self::WITHOUT_VOTES
        .split_at(Self::WITHOUT_VOTES.len() - 3)
        .0;

    /// Those that an emergency offers.
    pub const AGAINST_EMERGENCIES: &'static [Self] = Self::WITHOUT_VOTES
        .split_at(Self::WITHOUT_VOTES.len() - 2)
        .1;

    #[must_use]
    pub fn behaviour(self) -> Box<dyn Behaviour> {
        match self {
            Self::Equivocator => Box::new(Equivocator),
            Self::Silent => Box::new(Silent),
            Self::Withholder => Box::new(Withholder),
            Self::WrongRoot => Box::new(WrongRoot),
            Self::TimestampPusher => Box::new(TimestampPusher),
            Self::FutureFlooder => Box::new(FutureFlooder),
            Self::Inventor => Box::new(Inventor),
            Self::Invalid => Box::new(Invalid),
            Self::HeightLiar => Box::new(HeightLiar),
            Self::MuteAnswerer => Box::new(MuteAnswerer),
            Self::FetchAbuser => Box::new(FetchAbuser::default()),
            Self::Forger => Box::new(Forger::default()),
            Self::TwoBlocks => Box::new(TwoBlocks),
            Self::TwoEnds => Box::new(TwoEnds::default()),
            Self::FalseVoter => Box::new(FalseVoter::default()),
        }
    }
}
