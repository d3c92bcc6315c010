//! Does everything in the store fit together?

use crate::chain_state::parse_certificate_key;
use crate::column_family::ColumnFamily;
use crate::database::decode;
use crate::error::StorageError;
use crate::keys;
use crate::rows::ReceiptsRow;
use crate::storage::Storage;
use crate::view::ReadView;
use holdfast_chain::ChainStore;
use holdfast_ledger::UndoRecord;
use holdfast_types::{Block, Certificate, Height};

/// Problems listed at most; a store with more is not looked at any further.
const PROBLEMS_MAX: usize = 100;

/// What [`Storage::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub blocks: u64,
    pub undo_records: u64,
    pub certificates: u64,
    pub transactions: u64,
    pub state_values: u64,
    pub tree_nodes: u64,
    pub vertices: u64,
    /// One sentence each; empty: the store is sound.
    pub problems: Vec<String>,
}

impl Storage {
    /// Reads everything and says what does not fit together. Takes as long as the store is large, and applying waits
    /// meanwhile: for offline use.
    pub fn check(&self) -> Result<CheckReport, StorageError> {
        let mut report = CheckReport::default();
        let view = self.view();
        view.chain().check_readable()?;
        self.check_blocks(&view, &mut report);
        self.check_certificates(&mut report);
        self.check_transactions(&view, &mut report);
        self.check_vertices(&mut report);
        report.state_values = self.count(ColumnFamily::State, &mut report);
        report.tree_nodes = self.count(ColumnFamily::StateTree, &mut report);
        for family in [
            ColumnFamily::Meta,
            ColumnFamily::Blocks,
            ColumnFamily::ForkBlocks,
            ColumnFamily::BlockIndex,
            ColumnFamily::Applied,
            ColumnFamily::Receipts,
            ColumnFamily::Eras,
            ColumnFamily::StateJournal,
            ColumnFamily::Undo,
            ColumnFamily::OwnVertices,
            ColumnFamily::Mempool,
            ColumnFamily::Halts,
            ColumnFamily::HaltJournal,
            ColumnFamily::Evidence,
        ] {
            self.count(family, &mut report);
        }
        report.problems.truncate(PROBLEMS_MAX);
        Ok(report)
    }

    /// The applied block at `height`, which must be what its id says and the parent of `above`.
    pub(crate) fn check_block(
        &self,
        view: &ReadView<'_>,
        height: Height,
        above: Option<&Block>,
    ) -> Result<Block, StorageError> {
        let damaged = |reason: String| StorageError::damaged("checking a block", reason);
        let row = view
            .applied(height)?
            .ok_or_else(|| damaged(format!("block {height} is not of the applied branch")))?;
        let block = view
            .block_at(height)
            .map_err(|error| damaged(error.reason))?
            .ok_or_else(|| damaged(format!("block {height} is missing")))?;
        if block.header.height != height || block.header.id(&self.chain_id) != row.id {
            return Err(damaged(format!(
                "block {height} is not the one that its id names"
            )));
        }
        if above.is_some_and(|above| above.header.parent != row.id) {
            return Err(damaged(format!(
                "block {height} is not the parent of the block above it"
            )));
        }
        Ok(block)
    }

    fn check_blocks(&self, view: &ReadView<'_>, report: &mut CheckReport) {
        let position = &view.chain().position;
        let Some((head, _)) = position.head else {
            return;
        };
        let mut height = head;
        let mut above = None;
        while report.problems.len() < PROBLEMS_MAX {
            match self.check_block(view, height, above.as_ref()) {
                Ok(block) => {
                    report.blocks += 1;
                    self.check_rows_of_block(view, &block, report);
                    above = Some(block);
                }
                Err(error) => {
                    report.problems.push(error.to_string());
                    above = None;
                }
            }
            if height <= position.lowest_block {
                break;
            }
            height = height.previous();
        }
    }

    fn check_rows_of_block(&self, view: &ReadView<'_>, block: &Block, report: &mut CheckReport) {
        let height = block.header.height;
        let key = keys::height_key(height);
        let receipts: Result<Option<ReceiptsRow>, _> =
            self.database.row(ColumnFamily::Receipts, &key);
        match receipts {
            Ok(Some(row)) => {
                let bodies = block.body.transactions.iter();
                let ids = bodies.map(|transaction| transaction.body.id(&self.chain_id));
                if !ids.eq(row.receipts.iter().map(|receipt| receipt.transaction)) {
                    let problem =
                        format!("the receipts of block {height} are not of its transactions");
                    report.problems.push(problem);
                }
                for receipt in row.receipts.iter().filter(|receipt| receipt.decides()) {
                    match view.transaction_place(&receipt.transaction) {
                        Ok(Some((first, _))) if first <= height => {}
                        Ok(_) => report.problems.push(format!(
                            "transaction {} of block {height} is not in the index",
                            receipt.transaction
                        )),
                        Err(error) => report.problems.push(error.to_string()),
                    }
                }
            }
            Ok(None) => {
                let problem = format!("the receipts of block {height} are missing");
                report.problems.push(problem);
            }
            Err(error) => report.problems.push(error.to_string()),
        }
        if height > Height::ZERO && height >= view.chain().position.lowest_undo() {
            let undo: Result<Option<UndoRecord>, _> = self.database.row(ColumnFamily::Undo, &key);
            match undo {
                Ok(Some(_)) => report.undo_records += 1,
                Ok(None) => {
                    let problem = format!("the undo record of block {height} is missing");
                    report.problems.push(problem);
                }
                Err(error) => report.problems.push(error.to_string()),
            }
        }
    }

    fn check_certificates(&self, report: &mut CheckReport) {
        for entry in self.database.scan_all(ColumnFamily::Certificates) {
            let checked = entry.and_then(|(key, bytes)| {
                let (height, id) = parse_certificate_key(&key)?;
                let certificate: Certificate = decode(ColumnFamily::Certificates, &bytes)?;
                Ok((certificate.body.height, certificate.body.block) == (height, id))
            });
            match checked {
                Ok(true) => report.certificates += 1,
                Ok(false) => report
                    .problems
                    .push(String::from("a certificate is stored for another block")),
                Err(error) => {
                    report.problems.push(error.to_string());
                    return;
                }
            }
        }
    }

    fn check_transactions(&self, view: &ReadView<'_>, report: &mut CheckReport) {
        let head = view.chain().position.head.map(|(head, _)| head);
        for entry in self.database.scan_all(ColumnFamily::Transactions) {
            match entry.map(|(_, place)| keys::parse_place(&place)) {
                Ok(Some((height, _))) if head.is_some_and(|head| height <= head) => {
                    report.transactions += 1;
                }
                Ok(_) => report
                    .problems
                    .push(String::from("a transaction is indexed above the head")),
                Err(error) => {
                    report.problems.push(error.to_string());
                    return;
                }
            }
            if report.problems.len() >= PROBLEMS_MAX {
                return;
            }
        }
    }

    fn check_vertices(&self, report: &mut CheckReport) {
        for entry in self.database.scan_all(ColumnFamily::Vertices) {
            match entry.and_then(|(key, bytes)| self.decode_vertex(&key, &bytes)) {
                Ok(_) => report.vertices += 1,
                Err(error) => {
                    report.problems.push(error.to_string());
                    return;
                }
            }
        }
    }

    /// Reads all rows of a family, for their checksums.
    fn count(&self, family: ColumnFamily, report: &mut CheckReport) -> u64 {
        let mut count = 0;
        for entry in self.database.scan_all(family) {
            if let Err(error) = entry {
                report.problems.push(error.to_string());
                break;
            }
            count += 1;
        }
        count
    }
}
