//! Disks that are lost, and replaced: by new ones, or by copies of what they once held.

use super::{Event, FaultEvent, World};
use crate::chain::validator_account;
use crate::disk::{Call, Disk, Failure, Kind, Loss, Stored};
use crate::message::NodeId;
use holdfast_replica::{SignGuard, SignGuardRecord};

/// Validators whose disks are lost or set back. At most f of them: they are among the faulty.
#[derive(Clone, Copy, Debug)]
pub struct Disks {
    pub pause_ms: (u64, u64),
    /// How old the copies are that are put back.
    pub copied_every_ms: (u64, u64),
    pub faults: &'static [DiskFault],
}

/// Disks that fail a call, or are full for a while. Any node's: nothing that was promised is lost by it.
#[derive(Clone, Copy, Debug)]
pub struct DiskFailures {
    pub pause_ms: (u64, u64),
    /// How long a disk is full.
    pub full_ms: (u64, u64),
}

/// Calls of a kind that come before the one that fails.
const CALLS_BEFORE_FAILURE: (u64, u64) = (0, 30);
const RECORDS_PER_CHECKSUM: (u64, u64) = (1, 16);

/// What happens to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// The chain data is damaged beyond use; the sign guard, which lies elsewhere, is not.
    DataLost,
    /// All is lost. The operator has the key and makes a guard for a key with a past.
    AllLost,
    /// Chain data and guard are those of a copy.
    SetBack,
    /// Chain data is that of a copy, the guard is the last one.
    DataSetBack,
    /// Some records do not read any more. The process goes on until it reads it.
    BitFlip,
}

impl DiskFault {
    pub const ALL: [Self; 5] = [
        Self::DataLost,
        Self::AllLost,
        Self::SetBack,
        Self::DataSetBack,
        Self::BitFlip,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::DataLost => "data lost, guard kept",
            Self::AllLost => "disks lost with the guard",
            Self::SetBack => "disks set back with the guard",
            Self::DataSetBack => "data set back, guard kept",
            Self::BitFlip => "records damaged",
        }
    }
}

/// The guard that an operator makes for a key whose guard is lost.
fn guard_without_past(node: &crate::node::Node) -> Option<SignGuardRecord> {
    let mut guard = SignGuard::empty(node.public_key()?);
    guard.forget_past();
    Some(guard.record().clone())
}

impl World {
    /// f validators whose disks may be lost. What they promised to clients goes with the disk, so clients go elsewhere.
    pub(super) fn choose_unlucky(&mut self) {
        let validators = self.plan.chain.validators;
        let first = self.random.position(validators);
        for number in 0..(validators - 1) / 3 {
            self.unlucky.push((first + number) % validators);
        }
        self.move_clients();
    }

    /// Does this to the disk of a node and ends its process. One whose bits flip may go on: it has not read them.
    pub fn damage(&mut self, node: NodeId, fault: DiskFault) {
        if fault == DiskFault::BitFlip {
            let kind = *self.random.pick(&Kind::ALL);
            // A checksum is that of a block of records.
            for _ in 0..self.random.between(RECORDS_PER_CHECKSUM) {
                self.flip_bit(node, kind);
            }
            if self.random.chance(500) {
                self.crash(node, Loss::Suffix);
            }
            return;
        }
        self.crash(node, Loss::Suffix);
        self.count(fault.name());
        let guard = self.nodes[node].disk.guard().cloned();
        let copy = self.copies.get(&node).cloned();
        let genesis = self.chain.genesis.clone();
        let now_ms = self.now_ms;
        self.trace.add(now_ms, node, fault as u64, || {
            format!("gets another disk ({})", fault.name())
        });
        let node = &mut self.nodes[node];
        node.disk = match (fault, copy) {
            (DiskFault::SetBack, Some(copy)) => copy,
            (DiskFault::DataSetBack, Some(copy)) => copy.with_guard(guard),
            (DiskFault::AllLost, _) => Disk::new(genesis, guard_without_past(node)),
            _ => Disk::new(genesis, guard),
        };
    }

    /// A bit of a record of this kind flips, and the record does not read any more.
    pub fn flip_bit(&mut self, node: NodeId, kind: Kind) {
        let Self { nodes, random, .. } = self;
        let Some(hit) = nodes[node].disk.flip(kind, random) else {
            return;
        };
        self.count(DiskFault::BitFlip.name());
        self.trace.add(self.now_ms, node, kind as u64, || {
            format!("does not read {hit:?} any more")
        });
    }

    /// This record of a node does not read any more.
    pub fn damage_record(&mut self, node: NodeId, stored: &Stored) {
        self.nodes[node].disk.damage(stored);
    }

    /// Copies the disk of a node, as a backup does. What does not read cannot be copied.
    pub fn copy_disk(&mut self, node: NodeId) {
        let disk = &self.nodes[node].disk;
        if !disk.now().is_damaged() {
            let copy = disk.copied();
            self.copies.insert(node, copy);
        }
    }

    /// The disk of a node has no room, or has it again.
    pub fn set_disk_full(&mut self, node: NodeId, is_full: bool) {
        self.nodes[node].disk.set_full(is_full);
    }

    /// A call to the disk of a node is going to fail.
    pub fn fail_disk(&mut self, node: NodeId, failure: Failure) {
        self.nodes[node].disk.fail(failure);
    }

    pub(super) fn fail_one(&mut self, failures: &DiskFailures) {
        let node = self.random.position(self.nodes.len());
        if self.random.chance(300) {
            self.count("disks full");
            self.set_disk_full(node, true);
            self.schedule_fault(failures.full_ms, FaultEvent::MakeRoom(node));
        } else {
            let failure = Failure {
                call: *self.random.pick(&Call::ALL),
                after: self.random.between(CALLS_BEFORE_FAILURE),
                is_done: self.random.chance(500),
            };
            self.fail_disk(node, failure);
        }
        self.schedule_fault(failures.pause_ms, FaultEvent::Failure(*failures));
    }

    pub(super) fn damage_one(&mut self, disks: &Disks) {
        if let Some(node) = self.unlucky_one() {
            let fault = *self.random.pick(disks.faults);
            self.damage(node, fault);
        }
        self.schedule_fault(disks.pause_ms, FaultEvent::Disk(*disks));
    }

    pub(super) fn copy_one(&mut self, disks: &Disks) {
        if let Some(node) = self.unlucky_one() {
            self.copy_disk(node);
        }
        self.schedule_fault(disks.copied_every_ms, FaultEvent::Copy(*disks));
    }

    fn unlucky_one(&mut self) -> Option<NodeId> {
        if self.unlucky.is_empty() {
            return None;
        }
        let position = self.random.position(self.unlucky.len());
        Some(self.unlucky[position])
    }

    /// A process with the key of `node` starts on another machine: on a copy of its disk, or on a new one. From then on
    /// neither is honest.
    pub fn start_twin(&mut self, node: NodeId, twin: NodeId, copied: bool) {
        self.runs_twice(node, twin);
        let guard = guard_without_past(&self.nodes[node]);
        self.nodes[twin].key = self.nodes[node].key.clone();
        self.nodes[twin].disk = if copied {
            self.nodes[node].disk.copied()
        } else {
            Disk::new(self.chain.genesis.clone(), guard)
        };
        self.start(twin);
    }

    /// A node ends, and two processes start on its disk and a copy of it in one moment: neither can hear the other first.
    pub fn start_twins_together(&mut self, node: NodeId, twin: NodeId) {
        self.crash(node, Loss::Nothing);
        self.count("keys that start twice in one moment");
        self.start_twin(node, twin, true);
        self.start(node);
    }

    fn runs_twice(&mut self, node: NodeId, twin: NodeId) {
        self.count("keys that run twice");
        for one in [node, twin] {
            self.nodes[one].has_twin = true;
        }
        self.oracle.is_guilty(validator_account(node));
        self.move_clients();
    }

    /// Clients of nodes whose promises are worth nothing go to others.
    pub(super) fn move_clients(&mut self) {
        let reliable: Vec<NodeId> = self.honest().filter(|node| self.keeps(*node)).collect();
        for client in 0..self.clients.len() {
            if !self.keeps(self.clients[client].home)
                || !self.nodes[self.clients[client].home].is_honest()
            {
                self.clients[client].home = *self.random.pick(&reliable);
            }
        }
    }

    /// Whether a promise of this node to a client counts.
    pub(super) fn keeps(&self, node: NodeId) -> bool {
        !self.unlucky.contains(&node)
    }

    pub(super) fn schedule_twins(&mut self, pause_ms: (u64, u64)) {
        for number in 0..self.plan.twins {
            let after_ms = self.random.between(pause_ms);
            self.schedule(after_ms, Event::Fault(FaultEvent::Twin(number)));
        }
    }

    /// Twin number `number` is the last node but so many; its original is a validator.
    pub(super) fn start_one_twin(&mut self, number: usize) {
        let twin = self.nodes.len() - 1 - number;
        if self.random.chance(300) {
            self.start_twins_together(number, twin);
        } else {
            let copied = self.random.chance(500);
            self.start_twin(number, twin, copied);
        }
    }
}
