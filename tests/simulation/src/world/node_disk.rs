//! The disk of a node as the replica's records are written to it, and the moments in which the node may die.

use super::{World, told};
use crate::disk::Write;
use crate::message::NodeId;
use crate::node::CrashPoint;
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
            if let Record::MempoolRemove(ids) = record {
                self.world
                    .trace
                    .add(now_ms, self.node, ids.len() as u64, || {
                        let text = format!("forgets {}", told::transactions(ids.len()));
                        Told::named(text, format_args!("{ids:?}"))
                    });
            }
        }
        let write = Write::Records(records.into());
        self.world.nodes[self.node].disk.write(write);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Died> {
        self.survives(CrashPoint::BeforeSync)?;
        self.world.nodes[self.node].disk.sync();
        Ok(())
    }

    fn raise_guard(&mut self, records: &[&SignGuardRecord]) -> Result<(), Died> {
        self.survives(CrashPoint::BeforeGuard)?;
        for record in records {
            self.world.nodes[self.node].disk.raise_guard(record);
        }
        Ok(())
    }
}
