//! The links between nodes: latency, loss, duplication, reordering and partitions.

pub mod regions;

use crate::message::NodeId;
use crate::random::Random;

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
            healed: false,
        }
    }

    /// Delays after which copies of a message arrive: none if it is lost.
    pub fn copies(&mut self, from: NodeId, to: NodeId) -> impl Iterator<Item = u64> + use<> {
        let link = from * self.size + to;
        let mut delays = [None, None];
        let lost = !self.healed && self.random.chance(self.links.loss_per_mille);
        if !self.cut[link] && !lost {
            let distance = self.distances[link];
            delays[0] = Some(distance + self.links.latency.draw(&mut self.random));
            if !self.healed && self.random.chance(self.links.duplicate_per_mille) {
                delays[1] = Some(distance + self.links.latency.draw(&mut self.random));
            }
        }
        delays.into_iter().flatten()
    }

    /// Cuts or mends the way from one node to another; the way back is another one.
    pub fn set_cut(&mut self, from: NodeId, to: NodeId, cut: bool) {
        self.cut[from * self.size + to] = cut;
    }

    /// Only nodes of the same group hear each other.
    pub fn partition(&mut self, groups: &[usize]) {
        for from in 0..self.size {
            for to in 0..self.size {
                self.set_cut(from, to, groups[from] != groups[to]);
            }
        }
    }

    /// Mends all ways.
    pub fn mend(&mut self) {
        self.cut.fill(false);
    }

    /// Mends all ways and loses nothing from now on.
    pub fn heal(&mut self) {
        self.mend();
        self.healed = true;
    }

    #[must_use]
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut[from * self.size + to]
    }
}
