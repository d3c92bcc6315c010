//! The links between nodes: latency, loss, duplication, reordering, corruption, slow uplinks and partitions.

pub mod regions;
#[cfg(test)]
mod tests;
mod topology;
mod uplink;

pub use topology::Topology;
pub use uplink::{Bandwidth, Uplink};

use crate::message::NodeId;
use crate::random::Random;
use std::collections::BTreeSet;

/// How long a message travels, in ms.
#[derive(Clone, Copy, Debug)]
pub enum Latency {
    Constant(u64),
    Uniform(u64, u64),
    /// Mostly between the first two, in so many of a thousand cases between the last two.
    Bimodal {
        usual: (u64, u64),
        slow: (u64, u64),
        slow_per_mille: u64,
    },
}

impl Latency {
    fn draw(self, random: &mut Random) -> u64 {
        match self {
            Self::Constant(ms) => ms,
            Self::Uniform(low, high) => random.between((low, high)),
            Self::Bimodal {
                usual,
                slow,
                slow_per_mille,
            } => {
                let range = if random.chance(slow_per_mille) {
                    slow
                } else {
                    usual
                };
                random.between(range)
            }
        }
    }
}

/// What a link adds to every message, the same way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// A constant of its own up to this, in ms: some nodes are far apart.
    Random(u64),
    /// Nodes are in ten regions of the world ([`regions`]).
    World,
}

/// What all links of a network have in common. Each message draws its own latency, so they overtake each other.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    pub latency: Latency,
    /// What each link adds.
    pub distance: Distance,
    pub loss_per_mille: u64,
    pub duplicate_per_mille: u64,
    pub corrupt_per_mille: u64,
    /// What f validators are limited to, if they are.
    pub slow_uplinks: Option<Bandwidth>,
}

impl Links {
    /// Between none and all of this.
    pub(crate) fn varied(&self, random: &mut Random) -> Self {
        Self {
            latency: *random.pick(&[
                Latency::Constant(40),
                Latency::Uniform(1, 100),
                self.latency,
            ]),
            distance: self.distance,
            loss_per_mille: random.between((0, self.loss_per_mille)),
            duplicate_per_mille: random.between((0, self.duplicate_per_mille)),
            corrupt_per_mille: random.between((0, self.corrupt_per_mille)),
            slow_uplinks: self
                .slow_uplinks
                .filter(|_| random.chance(500))
                .map(|slowest| *random.pick(&[Bandwidth::MEGABIT, slowest])),
        }
    }
}

/// A copy of a message that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub after_ms: u64,
    pub is_corrupted: bool,
}

/// The links.
#[derive(Debug)]
pub struct Network {
    links: Links,
    random: Random,
    size: usize,
    distances: Vec<u64>,
    /// By sender and receiver: nothing gets through.
    cut: Vec<bool>,
    /// The same for links that go down by themselves, whoever else is cut off.
    down: Vec<bool>,
    /// By sender.
    uplinks: Vec<Option<Uplink>>,
    healed: bool,
}

impl Network {
    #[must_use]
    pub fn new(links: Links, size: usize, mut random: Random) -> Self {
        let mut distances = vec![0; size * size];
        for a in 0..size {
            for b in 0..a {
                let (there, back) = match links.distance {
                    Distance::Random(most_ms) => {
                        let distance = random.between((0, most_ms));
                        (distance, distance)
                    }
                    Distance::World => (regions::one_way_ms(a, b), regions::one_way_ms(b, a)),
                };
                distances[a * size + b] = there;
                distances[b * size + a] = back;
            }
        }
        Self {
            links,
            random,
            size,
            distances,
            cut: vec![false; size * size],
            down: vec![false; size * size],
            uplinks: vec![None; size],
            healed: false,
        }
    }

    /// The copies of a message that arrive: none if it is lost.
    pub fn copies(&mut self, from: NodeId, to: NodeId) -> impl Iterator<Item = Delivery> + use<> {
        let mut copies = [None, None];
        let lost = !self.healed && self.random.chance(self.links.loss_per_mille);
        if !self.is_cut(from, to) && !lost {
            copies[0] = Some(self.delivery(from, to));
            if !self.healed && self.random.chance(self.links.duplicate_per_mille) {
                copies[1] = Some(self.delivery(from, to));
            }
        }
        copies.into_iter().flatten()
    }

    fn delivery(&mut self, from: NodeId, to: NodeId) -> Delivery {
        let distance = self.distances[from * self.size + to];
        Delivery {
            after_ms: distance + self.links.latency.draw(&mut self.random),
            is_corrupted: !self.healed && self.random.chance(self.links.corrupt_per_mille),
        }
    }

    /// Turns one to three bits over.
    pub fn corrupt(&mut self, bytes: &mut [u8]) {
        // A bit that is drawn again stays turned over, so that there is a change.
        let bits: BTreeSet<usize> = (0..self.random.between((1, 3)))
            .map(|_| self.random.position(bytes.len() * 8))
            .collect();
        for bit in bits {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// From now on a node sends no faster.
    pub fn limit_uplink(&mut self, node: NodeId, bandwidth: Bandwidth) {
        self.uplinks[node] = Some(Uplink::new(bandwidth));
    }

    /// The uplink of a node, if it is a slow one.
    pub fn uplink(&mut self, node: NodeId) -> Option<&mut Uplink> {
        self.uplinks[node].as_mut()
    }

    /// Cuts or mends the way from one node to another; the way back is another one.
    pub fn set_cut(&mut self, from: NodeId, to: NodeId, cut: bool) {
        self.cut[from * self.size + to] = cut;
    }

    /// A link goes down, or comes up again, in both directions.
    pub fn set_down(&mut self, (one, other): (NodeId, NodeId), down: bool) {
        self.down[one * self.size + other] = down;
        self.down[other * self.size + one] = down;
    }

    /// Only those hear each other whom the topology connects.
    pub fn shape(&mut self, topology: &Topology) {
        for from in 0..self.size {
            for to in 0..self.size {
                self.set_cut(from, to, !topology.connects(from, to));
            }
        }
    }

    /// Mends all that was cut.
    pub fn mend(&mut self) {
        self.cut.fill(false);
    }

    /// Mends all ways; from now on they are fast and lose and change nothing.
    pub fn heal(&mut self) {
        self.mend();
        self.down.fill(false);
        self.uplinks.fill(None);
        self.healed = true;
    }

    #[must_use]
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let link = from * self.size + to;
        self.cut[link] || self.down[link]
    }
}
