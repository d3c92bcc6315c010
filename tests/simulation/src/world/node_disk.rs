//! The disk of a node as the replica's records are written to it, and the moments in which the node may die.

use super::{World, told};
use crate::disk::{Call, Disk, DiskError, Loss, Write};
use crate::message::NodeId;
use crate::node::CrashPoint;
use crate::oracle::Rule;
use crate::trace::Told;
use holdfast_replica::durable::Durable;
use holdfast_replica::{Record, SignGuardRecord};

/// The disk of one node of a world.
#[derive(Debug)]
pub(super) struct NodeDisk<'a> {
    pub(super) world: &'a mut World,
    pub(super) node: NodeId,
}

/// The node died while it wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Died;

impl World {
    /// A call to the disk of a node. The node may die before it, of it, or after it.
    pub(super) fn call_disk(
        &mut self,
        node: NodeId,
        call: Call,
        act: impl FnOnce(&mut Disk) -> Result<(), DiskError>,
    ) -> Result<(), Died> {
        if self.nodes[node].running.is_none() {
            let what = format!("fail-stop: node {node} asks for a {call:?} after its end");
            self.oracle.violated(Rule::Durability, what);
            return Err(Died);
        }
        let number = self.nodes[node].calls;
        self.nodes[node].calls += 1;
        if self.dies_at(node, CrashPoint::BeforeCall(number)) {
            return Err(Died);
        }
        if let Err(error) = act(&mut self.nodes[node].disk) {
            self.disk_refused(node, call, error);
            return Err(Died);
        }
        if self.dies_at(node, CrashPoint::AfterCall(number)) {
            return Err(Died);
        }
        Ok(())
    }

    /// The store refused something: the process ends, as the product's does. What was not synced may be there or not.
    fn disk_refused(&mut self, node: NodeId, call: Call, error: DiskError) {
        self.count(match (error, call) {
            (DiskError::Full, _) => "stops on a full disk",
            (DiskError::Unreadable, _) => "stops on damage",
            (DiskError::Failed, Call::Write) => "writes that failed",
            (DiskError::Failed, Call::Chain) => "writes of the chain that failed",
            (DiskError::Failed, Call::Sync) => "syncs that failed",
            (DiskError::Failed, Call::Guard) => "guards that failed",
        });
        let loss = *self.random.pick(&Loss::ALL);
        self.crash(node, loss);
    }
}

impl NodeDisk<'_> {
    fn survives(&mut self, point: CrashPoint) -> Result<(), Died> {
        if self.world.dies_at(self.node, point) {
            return Err(Died);
        }
        Ok(())
    }
}

impl Durable for NodeDisk<'_> {
    type Error = Died;

    fn check_guard(&self, _: &[&SignGuardRecord]) -> Result<(), Died> {
        // The disk panics if the guard is lowered: here that is a bug, not an answer.
        Ok(())
    }

    fn write(&mut self, records: &[Record]) -> Result<(), Died> {
        self.survives(CrashPoint::BeforeWrite)?;
        let now_ms = self.world.now_ms;
        for record in records {
            if let Record::MempoolExecuted(ids) | Record::MempoolRemove(ids) = record {
                self.world
                    .trace
                    .add(now_ms, self.node, ids.len() as u64, || {
                        let text = format!("forgets {}", told::transactions(ids.len()));
                        Told::named(text, format_args!("{ids:?}"))
                    });
            }
        }
        let write = Write::Records(records.into());
        self.world
            .call_disk(self.node, Call::Write, |disk| disk.write(write))
    }

    fn sync(&mut self) -> Result<(), Died> {
        self.survives(CrashPoint::BeforeSync)?;
        self.world.call_disk(self.node, Call::Sync, Disk::sync)
    }

    fn raise_guard(&mut self, records: &[&SignGuardRecord]) -> Result<(), Died> {
        self.survives(CrashPoint::BeforeGuard)?;
        self.world
            .call_disk(self.node, Call::Guard, |disk| disk.raise_guard(records))
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Disk, Loss, World};
    use crate::Profile;
    use crate::message::{Packet, Request};
    use crate::random::Random;
    use std::sync::Arc;

    fn world() -> World {
        let profile = Profile::named("calm").expect("the profile exists");
        World::new(&profile.plan(&mut Random::new(0)), 0)
    }

    fn breaks_a_rule_after_the_end(act: impl Fn(&mut World)) {
        let mut world = world();
        act(&mut world);
        assert_eq!(world.oracle.violation(), None);
        world.crash(0, Loss::Nothing);
        act(&mut world);
        let violation = world.oracle.violation().expect("the process has ended");
        assert!(violation.what.starts_with("fail-stop:"), "{violation}");
    }

    #[test]
    fn who_sends_after_its_end_breaks_a_rule() {
        breaks_a_rule_after_the_end(|world| {
            let request = Arc::new(Request::Status);
            world.put(0, 1, &Packet::Request { ticket: 0, request });
        });
    }

    #[test]
    fn who_writes_after_its_end_breaks_a_rule() {
        breaks_a_rule_after_the_end(|world| {
            let called = world.call_disk(0, Call::Sync, Disk::sync);
            assert_eq!(called.is_ok(), world.nodes[0].running.is_some());
        });
    }
}
