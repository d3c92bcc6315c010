//! Halts, their journal and evidence.

use crate::scenarios::Pair;
use crate::{ContractStore, Harness};
use holdfast_halt::{HaltState, JournalEvent};
use holdfast_replica::Record;
use holdfast_types::test_util::samples;
use holdfast_types::{Era, Evidence, Height, TimestampMs};

/// The state of halts is the last one written, the journal keeps every entry in order, and evidence stays until it is
/// removed, each offence once.
pub fn halts_and_evidence_survive_restarts<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    assert_eq!(pair.store().halt_state(), HaltState::default());
    let mut state = HaltState::default();
    let mut entries = Vec::new();
    for number in 1..=5u64 {
        state.era = Era(number);
        let event = JournalEvent::EraStarted { era: Era(number) };
        let entry = state
            .journal
            .append(TimestampMs(number), state.era, Height(number), event);
        entries.push(entry);
        let records = [
            Record::Journal(entry),
            Record::Halts(Box::new(state.clone())),
        ];
        assert_eq!(pair.store().commit_records(&records), Ok(()));
        pair.restart();
        assert_eq!(pair.store().halt_state(), state);
    }
    assert_eq!(pair.store().halt_journal(0, 100), entries);
    assert_eq!(pair.store().halt_journal(2, 2), entries[2..4]);
    assert_eq!(pair.store().halt_journal(5, 2), []);

    let mut evidence: Vec<Evidence> = samples("stored evidence", 6).collect();
    evidence.sort_by_key(Evidence::slot_key);
    let records: Vec<_> = evidence
        .iter()
        .chain(&evidence)
        .map(|item| Record::Evidence(Box::new(item.clone())))
        .collect();
    assert_eq!(pair.store().commit_records(&records), Ok(()));
    assert_eq!(pair.store().evidence(), evidence);
    pair.restart();
    assert_eq!(pair.store().evidence(), evidence);
    let gone = vec![evidence[0].slot_key(), [9; 32]];
    let records = [Record::EvidenceRemove(gone)];
    assert_eq!(pair.store().commit_records(&records), Ok(()));
    pair.restart();
    assert_eq!(pair.store().evidence(), evidence[1..]);
}
