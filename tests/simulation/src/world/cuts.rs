//! Links that are cut, flap, or carry only so much.

use super::{FaultEvent, World};
use crate::message::{NodeId, Packet};
use crate::network::Topology;

/// Links that are cut and mended: in halves, in three, so that no side has a quorum, to a ring, or to two groups with a
/// bridge.
#[derive(Clone, Copy, Debug)]
pub struct Partitions {
    pub pause_ms: (u64, u64),
    pub lasts_ms: (u64, u64),
    /// In so many of a thousand cases one node only does not hear the others, or is not heard.
    pub one_way_per_mille: u64,
}

/// Links that go down and come up, again and again.
#[derive(Clone, Copy, Debug)]
pub struct Flapping {
    /// Until the next link begins.
    pub pause_ms: (u64, u64),
    pub up_ms: (u64, u64),
    pub down_ms: (u64, u64),
    pub flaps: (u64, u64),
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct FlappingLink {
    flapping: Flapping,
    between: (NodeId, NodeId),
    flaps_left: u64,
}

/// Ways to cut a network.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Halves,
    Thirds,
    WithoutQuorum,
    Bridge,
    Ring,
}

impl Cut {
    const ALL: [Self; 5] = [
        Self::Halves,
        Self::Thirds,
        Self::WithoutQuorum,
        Self::Bridge,
        Self::Ring,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Halves => "partitions",
            Self::Thirds => "splits in three",
            Self::WithoutQuorum => "splits without a quorum",
            Self::Bridge => "bridges",
            Self::Ring => "rings",
        }
    }
}

/// A sender whose uplink has more than this before it drops transactions, in ms.
const TRANSACTIONS_WAIT_MAX_MS: u64 = 1_000;
/// With more than this it drops everything, as the product's queue of own messages does.
const ALL_WAIT_MAX_MS: u64 = 5_000;

impl World {
    /// Cuts the network to this until [`Self::mend`].
    pub fn cut(&mut self, topology: &Topology) {
        self.network.shape(topology);
    }

    /// Mends all that was cut.
    pub fn mend(&mut self) {
        self.network.mend();
    }

    pub(super) fn cut_some(&mut self, partitions: &Partitions) {
        if self.random.chance(partitions.one_way_per_mille) {
            self.cut_one_way();
            return;
        }
        let cut = *self.random.pick(&Cut::ALL);
        self.count(cut.name());
        let topology = self.draw_topology(cut);
        self.cut(&topology);
    }

    fn cut_one_way(&mut self) {
        let size = self.nodes.len();
        self.count("one-way cuts");
        let deaf = self.random.position(size);
        let hears = self.random.chance(500);
        for other in (0..size).filter(|other| *other != deaf) {
            let (from, to) = if hears { (deaf, other) } else { (other, deaf) };
            self.network.set_cut(from, to, true);
        }
    }

    fn draw_topology(&mut self, cut: Cut) -> Topology {
        let size = self.nodes.len();
        match cut {
            Cut::Halves => Topology::Groups(self.draw_halves()),
            Cut::Thirds => {
                let mut groups = vec![0; size];
                for (place, node) in self.draw_order(size).into_iter().enumerate() {
                    groups[node] = place % 3;
                }
                Topology::Groups(groups)
            }
            Cut::WithoutQuorum => {
                let validators = self.plan.chain.validators;
                let faulty_max = (validators - 1) / 3;
                let mut groups = self.draw_halves();
                for (place, node) in self.draw_order(validators).into_iter().enumerate() {
                    groups[node] = usize::from(place < 2 * faulty_max);
                }
                Topology::Groups(groups)
            }
            Cut::Bridge => Topology::Bridge {
                groups: self.draw_halves(),
                bridge: self.random.position(size),
            },
            Cut::Ring => Topology::Ring(self.draw_order(size)),
        }
    }

    fn draw_halves(&mut self) -> Vec<usize> {
        (0..self.nodes.len())
            .map(|_| self.random.position(2))
            .collect()
    }

    /// The first nodes in any order.
    fn draw_order(&mut self, count: usize) -> Vec<NodeId> {
        let mut order: Vec<NodeId> = (0..count).collect();
        for place in (1..count).rev() {
            order.swap(place, self.random.position(place + 1));
        }
        order
    }

    pub(super) fn let_one_flap(&mut self, flapping: Flapping) {
        let ends = self.draw_order(self.nodes.len());
        let link = FlappingLink {
            flapping,
            between: (ends[0], ends[1]),
            flaps_left: self.random.between(flapping.flaps),
        };
        self.link_goes_down(link);
        self.schedule_fault(flapping.pause_ms, FaultEvent::Flap(flapping));
    }

    pub(super) fn link_goes_down(&mut self, mut link: FlappingLink) {
        self.count("links flapped");
        self.network.set_down(link.between, true);
        link.flaps_left -= 1;
        self.schedule_fault(link.flapping.down_ms, FaultEvent::LinkUp(link));
    }

    pub(super) fn link_comes_up(&mut self, link: FlappingLink) {
        self.network.set_down(link.between, false);
        if link.flaps_left > 0 {
            self.schedule_fault(link.flapping.up_ms, FaultEvent::LinkDown(link));
        }
    }

    /// f validators have slow uplinks, if the plan says so.
    pub(super) fn slow_some_uplinks(&mut self) {
        let Some(bandwidth) = self.plan.links.slow_uplinks else {
            return;
        };
        let validators = self.plan.chain.validators;
        for node in self
            .draw_order(validators)
            .into_iter()
            .take((validators - 1) / 3)
        {
            self.network.limit_uplink(node, bandwidth);
        }
    }

    /// How long a packet that is sent now waits at its sender, in ms; none: it is dropped.
    pub(super) fn wait_for_uplink(&mut self, from: NodeId, packet: &Packet) -> Option<u64> {
        let now_ms = self.now_ms;
        let Some(uplink) = self.network.uplink(from) else {
            return Some(0);
        };
        let wait_max_ms = if packet.is_transactions() {
            TRANSACTIONS_WAIT_MAX_MS
        } else {
            ALL_WAIT_MAX_MS
        };
        if uplink.backlog_ms(now_ms) <= wait_max_ms {
            return Some(uplink.leaves_after_ms(now_ms, packet.bytes()));
        }
        self.count("messages dropped at slow uplinks");
        None
    }

    /// A packet takes its time at the uplink. Copies that have no effect do not: the product sends to few peers what all
    /// get in the end.
    pub(super) fn take_uplink(&mut self, from: NodeId, packet: &Packet) {
        let now_ms = self.now_ms;
        let Some(uplink) = self.network.uplink(from) else {
            return;
        };
        let waits = uplink.backlog_ms(now_ms) > 0;
        uplink.send(now_ms, packet.bytes());
        if waits {
            self.count("messages that waited for bandwidth");
        }
    }
}
