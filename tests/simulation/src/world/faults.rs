//! Faults: what goes wrong, when, and how it ends.

use super::Voters;
use super::cuts::FlappingLink;
use super::{Clocks, DiskFailures, Disks, Event, Flapping, Governors, Partitions, World};
use crate::byzantine;
use crate::chain::{validator_account, validator_key};
use crate::disk::Loss;
use crate::message::NodeId;
use crate::node::CrashPoint;
use holdfast_ledger::{account, validator};
use holdfast_types::{Action, Signer, TimestampMs, TransactionBody};

/// Nodes that die and come back.
#[derive(Clone, Copy, Debug)]
pub struct Crashes {
    pub pause_ms: (u64, u64),
    pub down_ms: (u64, u64),
    /// In so many of a thousand cases all nodes die at once.
    pub all_per_mille: u64,
}

/// Validators that join and leave the committee.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    pub pause_ms: (u64, u64),
}

/// All that may go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub crashes: Option<Crashes>,
    pub partitions: Option<Partitions>,
    pub flapping: Option<Flapping>,
    pub clocks: Option<Clocks>,
    pub membership: Option<Membership>,
    pub disks: Option<Disks>,
    pub failures: Option<DiskFailures>,
    /// When the twins of the plan start, in ms.
    pub twins: Option<(u64, u64)>,
    /// f nodes are Byzantine, each in one of these ways.
    pub byzantine: &'static [byzantine::Fault],
    pub governors: Option<Governors>,
    pub stalls: Option<Stalls>,
    pub voters: Option<Voters>,
}

/// The quorum is gone for a while.
#[derive(Clone, Copy, Debug)]
pub struct Stalls {
    pub pause_ms: (u64, u64),
    pub lasts_ms: (u64, u64),
    /// In so many of a thousand cases the network falls apart; in the others more than f validators are down.
    pub cut_per_mille: u64,
}

/// A fault that is to happen.
#[derive(Clone, Copy, Debug)]
pub enum FaultEvent {
    Crash(Crashes),
    Start(NodeId),
    Cut(Partitions),
    Mend,
    Flap(Flapping),
    LinkDown(FlappingLink),
    LinkUp(FlappingLink),
    Clock(Clocks),
    Membership(Membership),
    Disk(Disks),
    Copy(Disks),
    Failure(DiskFailures),
    MakeRoom(NodeId),
    Twin(usize),
    OrderHalt(Governors),
    Anomaly(Voters),
    Stall(Stalls),
}

/// How long a node is down that ended by a fault of its disk.
const DOWN_MS: (u64, u64) = (10, 4_000);
/// Where validators are Byzantine, so is a master in so many of a thousand seeds.
const MASTER_PER_MILLE: u64 = 500;
/// Below this, committees do not shrink.
pub(super) const MEMBERS_MIN: usize = 4;

impl World {
    /// Lets faults happen from now on.
    pub fn unleash(&mut self, faults: &Faults) {
        if !faults.byzantine.is_empty() {
            let count = (self.plan.chain.validators - 1) / 3;
            let first = self.random.position(self.plan.chain.validators);
            for number in 0..count {
                let node = (first + number) % self.plan.chain.validators;
                let fault = *self.random.pick(faults.byzantine);
                self.make_byzantine(node, fault);
            }
            // The last node has the emergency key and is no validator: it is none of the f.
            if faults.stalls.is_some() && self.random.chance(MASTER_PER_MILLE) {
                let master = self.nodes.len() - 1;
                self.make_byzantine(master, byzantine::Fault::TwoBlocks);
            }
        }
        if let Some(crashes) = faults.crashes {
            self.restart_ms = Some(crashes.down_ms);
            self.schedule_fault(crashes.pause_ms, FaultEvent::Crash(crashes));
        }
        if let Some(partitions) = faults.partitions {
            self.schedule_fault(partitions.pause_ms, FaultEvent::Cut(partitions));
        }
        if let Some(flapping) = faults.flapping {
            self.schedule_fault(flapping.pause_ms, FaultEvent::Flap(flapping));
        }
        if let Some(clocks) = faults.clocks {
            self.choose_wrong_clocks(&clocks);
            self.schedule_fault((0, 0), FaultEvent::Clock(clocks));
        }
        self.limit_block_times(faults);
        if let Some(failures) = faults.failures {
            self.restart_ms.get_or_insert(DOWN_MS);
            self.schedule_fault(failures.pause_ms, FaultEvent::Failure(failures));
        }
        if let Some(disks) = faults.disks {
            self.restart_ms.get_or_insert(DOWN_MS);
            self.choose_unlucky();
            self.schedule_fault(disks.copied_every_ms, FaultEvent::Copy(disks));
            self.schedule_fault(disks.pause_ms, FaultEvent::Disk(disks));
        }
        if let Some(pause_ms) = faults.twins {
            self.schedule_twins(pause_ms);
        }
        if let Some(governors) = faults.governors {
            self.schedule_fault(governors.pause_ms, FaultEvent::OrderHalt(governors));
            self.schedule(0, Event::Govern(governors));
        }
        if let Some(voters) = faults.voters {
            self.schedule_fault(voters.pause_ms, FaultEvent::Anomaly(voters));
            self.schedule(0, Event::Consult(voters));
        }
        if let Some(stalls) = faults.stalls {
            self.schedule_fault(stalls.pause_ms, FaultEvent::Stall(stalls));
        }
        if let Some(membership) = faults.membership {
            self.schedule_fault(membership.pause_ms, FaultEvent::Membership(membership));
        }
    }

    /// From now on the node misbehaves.
    pub fn make_byzantine(&mut self, node: NodeId, fault: byzantine::Fault) {
        self.nodes[node].behaviour = Some(fault.behaviour());
        if let Some(running) = &mut self.nodes[node].running {
            running.replica.never_stop_for_own_key();
        }
        self.oracle.is_guilty(validator_account(node));
        self.move_clients();
    }

    pub(super) fn schedule_fault(&mut self, pause_ms: (u64, u64), fault: FaultEvent) {
        let after_ms = self.random.between(pause_ms);
        self.schedule(after_ms, Event::Fault(fault));
    }

    pub(super) const fn faults_are_over(&self) -> bool {
        self.now_ms >= self.faults_end_ms
    }

    pub(super) fn fault(&mut self, fault: FaultEvent) {
        if self.faults_are_over() {
            return;
        }
        match fault {
            FaultEvent::Crash(crashes) => {
                self.crash_some(&crashes);
                self.schedule_fault(crashes.pause_ms, fault);
            }
            FaultEvent::Start(node) if self.is_kept_down(node) => {}
            FaultEvent::Start(node) => self.start(node),
            FaultEvent::Stall(stalls) => self.stall(stalls),
            FaultEvent::Anomaly(voters) => self.anomaly(voters),
            FaultEvent::Cut(partitions) => {
                self.cut_some(&partitions);
                self.schedule_fault(partitions.lasts_ms, FaultEvent::Mend);
                let pause_ms = (
                    partitions.lasts_ms.1 + partitions.pause_ms.0,
                    partitions.lasts_ms.1 + partitions.pause_ms.1,
                );
                self.schedule_fault(pause_ms, fault);
            }
            FaultEvent::Mend => self.network.mend(),
            FaultEvent::Flap(flapping) => self.let_one_flap(flapping),
            FaultEvent::LinkDown(link) => self.link_goes_down(link),
            FaultEvent::LinkUp(link) => self.link_comes_up(link),
            FaultEvent::Clock(clocks) => {
                self.set_clocks(&clocks);
                self.schedule_fault(clocks.pause_ms, fault);
            }
            FaultEvent::OrderHalt(governors) => self.halt_by_governance(governors),
            FaultEvent::Disk(disks) => self.damage_one(&disks),
            FaultEvent::Copy(disks) => self.copy_one(&disks),
            FaultEvent::Failure(failures) => self.fail_one(&failures),
            FaultEvent::MakeRoom(node) => self.nodes[node].disk.set_full(false),
            FaultEvent::Twin(number) => self.start_one_twin(number),
            FaultEvent::Membership(membership) => {
                self.change_membership();
                self.schedule_fault(membership.pause_ms, fault);
            }
        }
    }

    /// Brings a node back after it died, if faults say so.
    pub(super) fn schedule_restart(&mut self, node: NodeId) {
        if let Some(down_ms) = self.restart_ms {
            self.schedule_fault(down_ms, FaultEvent::Start(node));
        }
    }

    fn crash_some(&mut self, crashes: &Crashes) {
        let all = self.random.chance(crashes.all_per_mille);
        let nodes = if all {
            self.count("crashes of all nodes at once");
            0..self.nodes.len()
        } else {
            let node = self.random.position(self.nodes.len());
            node..node + 1
        };
        // A power failure finds all nodes in the same kind of moment.
        let point = *self.random.pick(&CrashPoint::ALL);
        let at_point = self.random.chance(500);
        for node in nodes {
            let loss = *self.random.pick(&Loss::ALL);
            if at_point {
                self.crash_at(node, point, loss);
            } else {
                self.crash(node, loss);
            }
        }
    }

    /// The owner of a validator adds its signing key or takes it away; the next era has another committee.
    fn change_membership(&mut self) {
        let registered = self.plan.chain.validators + self.plan.chain.standby;
        let number = self.random.position(registered);
        let through = self.random.position(self.nodes.len());
        let tables = self.nodes[through].disk.now();
        if tables.is_damaged() {
            return;
        }
        let is_member = |number: usize| {
            let found = validator(tables, &validator_account(number)).expect("the state reads");
            found.is_some_and(|found| found.signing_key.is_some())
        };
        let joins = !is_member(number);
        if !joins && !self.may_leave(number) {
            return;
        }
        self.ask_membership(number, through, joins);
    }

    /// The owner of a validator gives it its signing key or takes it away, through a node.
    pub fn ask_membership(&mut self, number: usize, through: NodeId, joins: bool) {
        let name = validator_account(number);
        let owner = account(self.nodes[through].disk.now(), &name).expect("the state reads");
        let nonce = owner.map_or(0, |owner| owner.nonce);
        let key = validator_key(self.chain.scheme, number);
        let body = TransactionBody {
            sender: name,
            public_key: key.public_key(),
            nonce,
            fee_max: u64::MAX,
            expires_at: None,
            action: Action::UpdateValidator {
                signing_key: joins.then(|| key.public_key()),
                url: b"https://validator.example".to_vec(),
            },
        };
        let transaction = body.sign(&self.chain.id, &key);
        self.submit(through, transaction);
        if joins {
            self.leaving.remove(&number);
        } else {
            self.leaving.insert(number);
        }
        self.count(if joins {
            "validators asked to join"
        } else {
            "validators asked to leave"
        });
    }

    /// Whether enough members stay for sure: no node knows that they are gone, and they have not asked to leave.
    fn may_leave(&self, number: usize) -> bool {
        let stays = |other: &usize| {
            let name = validator_account(*other);
            let mut known = self.nodes.iter().map(|node| {
                let found = validator(node.disk.now(), &name).expect("the state reads");
                // Whose key ran twice may be in jail.
                found.is_some_and(|found| {
                    found.signing_key.is_some() && found.jailed_until == TimestampMs::ZERO
                })
            });
            *other != number && !self.leaving.contains(other) && known.all(|is_member| is_member)
        };
        let registered = self.plan.chain.validators + self.plan.chain.standby;
        (0..registered).filter(stays).count() >= MEMBERS_MIN
    }

    /// Ends all faults but the Byzantine nodes: links are whole, clocks are right, all nodes are up.
    pub fn heal(&mut self) {
        self.faults_end_ms = self.now_ms;
        self.restart_ms = None;
        self.network.heal();
        for node in 0..self.nodes.len() {
            self.set_clock(node, 0);
            self.mend_disk(node);
            if let Some(running) = &mut self.nodes[node].running {
                running.crash_at = None;
            }
            if self.nodes[node].incarnation > 0 {
                self.start(node);
            }
        }
    }
}
