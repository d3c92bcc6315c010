//! Disks that are lost, and replaced: by new ones, or by copies of what they once held.

use super::{Event, FaultEvent, World};
use crate::chain::validator_account;
use crate::disk::{Disk, Loss};
use crate::message::NodeId;
use holdfast_replica::{SignGuard, SignGuardRecord};

/// Validators whose disks are lost or set back. At most f of them: they are among the faulty.
#[derive(Clone, Copy, Debug)]
pub struct Disks {
    pub pause_ms: (u64, u64),
    /// How old the copies are that are put back.
    pub copied_every_ms: (u64, u64),
}

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
}

impl DiskFault {
    pub const ALL: [Self; 4] = [
        Self::DataLost,
        Self::AllLost,
        Self::SetBack,
        Self::DataSetBack,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::DataLost => "data lost, guard kept",
            Self::AllLost => "disks lost with the guard",
            Self::SetBack => "disks set back with the guard",
            Self::DataSetBack => "data set back, guard kept",
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

    /// Ends the process of a node and does this to its disk.
    pub fn damage(&mut self, node: NodeId, fault: DiskFault) {
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
            (DiskFault::DataLost | DiskFault::SetBack | DiskFault::DataSetBack, _) => {
                Disk::new(genesis, guard)
            }
        };
    }

    /// Copies the disk of a node, as a backup does.
    pub fn copy_disk(&mut self, node: NodeId) {
        let copy = self.nodes[node].disk.clone();
        self.copies.insert(node, copy);
    }

    pub(super) fn damage_one(&mut self, disks: &Disks) {
        if let Some(node) = self.unlucky_one() {
            let fault = *self.random.pick(&DiskFault::ALL);
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
        self.count("keys that run twice");
        for one in [node, twin] {
            self.nodes[one].has_twin = true;
        }
        self.oracle.is_guilty(validator_account(node));
        self.move_clients();
        let guard = guard_without_past(&self.nodes[node]);
        self.nodes[twin].key = self.nodes[node].key.clone();
        self.nodes[twin].disk = if copied {
            self.nodes[node].disk.clone()
        } else {
            Disk::new(self.chain.genesis.clone(), guard)
        };
        self.start(twin);
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
        let copied = self.random.chance(500);
        self.start_twin(number, twin, copied);
    }
}
