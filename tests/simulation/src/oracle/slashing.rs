//! Who is punished for what (rule O14).

use holdfast_chain::AppliedBlock;
use holdfast_ledger::keys::{PunishedSlotKey, StateKey};
use holdfast_ledger::objects::{PunishedSlot, StateObject};
use holdfast_types::{AccountName, Event, Height};
use std::collections::{BTreeMap, BTreeSet};

/// Punishments on the chain that honest nodes agree on.
#[derive(Debug, Default)]
pub(super) struct Slashing {
    /// Validators that break rules in this simulation, on purpose or because their key runs twice.
    guilty: BTreeSet<AccountName>,
    /// By state key, with the height of the block.
    punished: BTreeMap<Vec<u8>, Height>,
}

impl Slashing {
    pub(super) fn is_guilty(&mut self, validator: AccountName) {
        self.guilty.insert(validator);
    }

    pub(super) const fn guilty(&self) -> &BTreeSet<AccountName> {
        &self.guilty
    }

    pub(super) fn punished(&self) -> usize {
        self.punished.len()
    }

    /// A new block of the chain: all its evidence is of the guilty, and each slot costs once.
    pub(super) fn check(&mut self, applied: &AppliedBlock) -> Result<(), String> {
        let evidence = applied.block.body.evidence.iter();
        let proven: BTreeSet<Vec<u8>> = evidence
            .map(|evidence| PunishedSlotKey(evidence.slot_key()).bytes())
            .collect();
        let mut slots: BTreeMap<AccountName, usize> = BTreeMap::new();
        for key in proven
            .iter()
            .filter(|key| !self.punished.contains_key(*key))
        {
            let mut changes = applied.changes.values.iter();
            let record = changes
                .find(|(changed, _)| changed == key)
                .and_then(|(_, value)| value.as_ref())
                .ok_or("an offence was proven and not punished")?;
            let offender = PunishedSlot::decode(record)
                .expect("a punished slot")
                .validator;
            if !self.guilty.contains(&offender) {
                return Err(format!("{offender} is honest and was punished"));
            }
            *slots.entry(offender).or_default() += 1;
        }
        let mut slashes: BTreeMap<AccountName, usize> = BTreeMap::new();
        for event in &applied.events {
            if let Event::Slashed { validator, .. } = event {
                *slashes.entry(*validator).or_default() += 1;
            }
        }
        for (offender, count) in slashes {
            let proven = slots.get(&offender).copied().unwrap_or_default();
            if count > proven {
                return Err(format!(
                    "{offender} was slashed {count} times for {proven} new offences"
                ));
            }
        }
        let height = applied.block.header.height;
        for key in proven {
            self.punished.entry(key).or_insert(height);
        }
        Ok(())
    }

    /// Blocks from this height on were taken back by a resume.
    pub(super) fn cut(&mut self, from: Height) {
        self.punished.retain(|_, height| *height < from);
    }
}
