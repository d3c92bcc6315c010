//! Writing a snapshot (rules SF3 and SF4).

use super::error::SnapshotError;
use super::format::{Record, SnapshotWriter, Values};
use super::manifest::Manifest;
use crate::chain_state::highest_certified;
use crate::column_family::ColumnFamily;
use crate::error::StorageError;
use crate::keys;
use crate::rows::{JournalRow, ReceiptsRow};
use crate::storage::Storage;
use crate::view::ReadView;
use holdfast_chain::ChainStore;
use holdfast_chain::snapshot::{EraLink, ExecutedRecord};
use holdfast_ledger::UndoRecord;
use holdfast_ledger::keys::{PropertiesKey, StateKey};
use holdfast_ledger::objects::{DynamicProperties, StateObject};
use holdfast_types::{BlockId, Era, EraContext, EraKind, Height, TimestampMs};
use std::collections::BTreeMap;
use std::io::Write;

/// Values of one record, in bytes.
const STATE_RECORD_BYTES: usize = 512 << 10;
/// Of so many blocks one comes with its certificate: peers that are served from a snapshot are sent ranges that one proves.
const CERTIFICATE_EVERY: u64 = 64;

/// Values that differ from those of the column family; none: the key is gone.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub manifest: Manifest,
    /// Time of the last block.
    pub timestamp: TimestampMs,
    /// The lowest block in the snapshot.
    pub lowest: Height,
    pub state_values: u64,
    /// Certificates lead from genesis to the base: importing needs no block that is trusted.
    pub is_proven: bool,
}

/// What belongs into a snapshot.
struct Plan {
    base: (Height, BlockId),
    top: (Height, BlockId),
    lowest: Height,
    eras: Vec<EraLink>,
}

impl Storage {
    /// Writes a snapshot of the block at `height`, or of the head, to `output`. Applying waits meanwhile.
    pub fn export_snapshot(
        &self,
        height: Option<Height>,
        output: impl Write,
    ) -> Result<Exported, SnapshotError> {
        let view = self.view();
        let plan = self.plan(&view, height)?;
        let (changes, properties) = self.changes_down_to(&view, &plan)?;
        let mut writer = SnapshotWriter::new(output)?;
        let manifest = Manifest::of(self.chain_id, plan.base, plan.top, &properties);
        writer.write(&Record::Manifest(manifest.clone()))?;
        let is_proven = proves(&plan);
        for link in plan.eras {
            writer.write(&Record::Era(Box::new(link)))?;
        }
        let mut height = plan.lowest;
        while height <= plan.base.0 {
            let record = self.executed(&view, height, plan.base.0)?;
            writer.write(&Record::Block(Box::new(record)))?;
            height = height.next();
        }
        let state_values = self.write_state(&mut writer, changes)?;
        while height <= plan.top.0 {
            let block = view.block_at(height)?.ok_or_else(|| missing(height))?;
            writer.write(&Record::BlockAbove(Box::new(block)))?;
            height = height.next();
        }
        writer.finish()?;
        Ok(Exported {
            manifest,
            timestamp: properties.timestamp,
            lowest: plan.lowest,
            state_values,
            is_proven,
        })
    }

    fn plan(&self, view: &ReadView<'_>, height: Option<Height>) -> Result<Plan, SnapshotError> {
        let position = &view.chain().position;
        let head = view.head()?.map_or(Height::ZERO, |(head, _)| head);
        let top = height.unwrap_or(head);
        if top > head {
            return Err(SnapshotError::AboveHead { height: top, head });
        }
        let id_at = |height| view.block_id_at(height)?.ok_or_else(|| missing(height));
        let base = highest_certified(&self.database, top.next(), |height, id| {
            Ok(view.applied(height)?.is_some_and(|row| row.id == *id))
        })?;
        let (eras, is_emergency) = self.eras_up_to(view, base, top)?;
        let top = if is_emergency { top } else { base };
        let before = eras.iter().rev().nth(1);
        let lowest = before.map_or(Height::ZERO, |link| link.context.anchor_height);
        if position.lowest_block > lowest {
            return Err(SnapshotError::BlocksPruned {
                needed: lowest,
                lowest: position.lowest_block,
            });
        }
        if base < head && position.lowest_undo() > base.next() {
            return Err(SnapshotError::UndoPruned {
                height: base,
                lowest: position.lowest_undo(),
            });
        }
        Ok(Plan {
            base: (base, id_at(base)?),
            top: (top, id_at(top)?),
            lowest,
            eras,
        })
    }

    /// The eras from 2 on that began at or below `base`, and whether an emergency began above it, up to `top`.
    fn eras_up_to(
        &self,
        view: &ReadView<'_>,
        base: Height,
        top: Height,
    ) -> Result<(Vec<EraLink>, bool), SnapshotError> {
        let mut eras = Vec::new();
        let mut is_emergency = false;
        let mut era = Era(2);
        while let Some(context) = view.era(era)? {
            let at = context.anchor_height;
            let is_pruned = at < view.chain().position.lowest_block;
            // One that began on another branch is none of this chain.
            if at > top || !is_pruned && view.block_id_at(at)? != Some(context.anchor) {
                break;
            }
            if at <= base {
                eras.push(self.link(view, context)?);
            } else {
                is_emergency |= context.kind == EraKind::Emergency;
            }
            era = era.next();
        }
        Ok((eras, is_emergency))
    }

    fn link(&self, view: &ReadView<'_>, context: EraContext) -> Result<EraLink, SnapshotError> {
        let block = view.block_at(context.anchor_height)?;
        let certificate = view.certificate(context.anchor_height)?;
        let certificate = certificate.filter(|it| it.body.block == context.anchor);
        let proof = block.map(|block| block.header).zip(certificate);
        Ok(EraLink { context, proof })
    }

    fn executed(
        &self,
        view: &ReadView<'_>,
        height: Height,
        base: Height,
    ) -> Result<ExecutedRecord, SnapshotError> {
        let row = self
            .database
            .row::<ReceiptsRow>(ColumnFamily::Receipts, &keys::height_key(height))?;
        let (block, row) = view
            .block_at(height)?
            .zip(row)
            .ok_or_else(|| missing(height))?;
        let is_proof = height == base
            || height.0.is_multiple_of(CERTIFICATE_EVERY)
            || block.body.era_end.is_some();
        let certificate = if is_proof {
            view.certificate(height)?
        } else {
            None
        };
        Ok(ExecutedRecord {
            block,
            receipts: row.receipts,
            events: row.events,
            certificate,
        })
    }

    /// What differs after the base from what the column family holds, and the properties after the last block.
    fn changes_down_to(
        &self,
        view: &ReadView<'_>,
        plan: &Plan,
    ) -> Result<(Changes, DynamicProperties), SnapshotError> {
        let position = &view.chain().position;
        let head = view.head()?.map_or(Height::ZERO, |(head, _)| head);
        let mut changes = Changes::new();
        let mut height = position.state_flushed.unwrap_or(head);
        while height < head {
            height = height.next();
            let row: Option<JournalRow> = self
                .database
                .row(ColumnFamily::StateJournal, &keys::height_key(height))?;
            changes.extend(row.ok_or_else(|| missing(height))?.values);
        }
        let mut height = head;
        let mut properties = None;
        loop {
            if height == plan.top.0 {
                properties = Some(self.properties(&changes)?);
            }
            if height == plan.base.0 {
                break;
            }
            let row: Option<UndoRecord> = self
                .database
                .row(ColumnFamily::Undo, &keys::height_key(height))?;
            changes.extend(row.ok_or_else(|| missing(height))?.values);
            height = height.previous();
        }
        let properties = properties.ok_or_else(|| missing(plan.top.0))?;
        Ok((changes, properties))
    }

    fn properties(&self, changes: &Changes) -> Result<DynamicProperties, SnapshotError> {
        let key = PropertiesKey().bytes();
        let value = match changes.get(&key) {
            Some(changed) => changed.clone(),
            None => self
                .database
                .read(ColumnFamily::State, &key)?
                .map(|bytes| bytes.to_vec()),
        };
        let value = value.ok_or_else(|| {
            StorageError::damaged("exporting a snapshot", "the dynamic properties are missing")
        })?;
        Ok(DynamicProperties::decode(&value)?)
    }

    /// Writes the values of the column family, with `changes`, in the order of their keys; how many.
    fn write_state(
        &self,
        writer: &mut SnapshotWriter<impl Write>,
        changes: Changes,
    ) -> Result<u64, SnapshotError> {
        let mut records = StateRecords {
            writer,
            values: Values::new(),
            bytes: 0,
            count: 0,
        };
        let mut changes = changes.into_iter().peekable();
        for entry in self.database.scan_all(ColumnFamily::State) {
            let (key, value) = entry?;
            while let Some((changed, now)) = changes.next_if(|(changed, _)| **changed < *key) {
                records.put_some(changed, now)?;
            }
            match changes.next_if(|(changed, _)| **changed == *key) {
                Some((changed, now)) => records.put_some(changed, now)?,
                None => records.put_some(key.into_vec(), Some(value.into_vec()))?,
            }
        }
        for (changed, now) in changes {
            records.put_some(changed, now)?;
        }
        records.write()?;
        Ok(records.count)
    }
}

/// Collects values into records.
struct StateRecords<'a, W> {
    writer: &'a mut SnapshotWriter<W>,
    values: Values,
    bytes: usize,
    count: u64,
}

impl<W: Write> StateRecords<'_, W> {
    fn put_some(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), SnapshotError> {
        let Some(value) = value else { return Ok(()) };
        self.bytes += key.len() + value.len();
        self.count += 1;
        self.values.push((key, value));
        if self.bytes >= STATE_RECORD_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), SnapshotError> {
        let values = std::mem::take(&mut self.values);
        self.bytes = 0;
        if values.is_empty() {
            return Ok(());
        }
        Ok(self.writer.write(&Record::State(values))?)
    }
}

/// Whether the committee of the base is proved by certificates from genesis on.
fn proves(plan: &Plan) -> bool {
    let mut committees = plan
        .eras
        .iter()
        .filter(|link| link.context.anchor_height < plan.base.0);
    committees.all(|link| link.proof.is_some() && link.context.kind == EraKind::Dag)
}

fn missing(height: Height) -> SnapshotError {
    StorageError::damaged(
        "exporting a snapshot",
        format!("what belongs to block {height} is not complete"),
    )
    .into()
}
