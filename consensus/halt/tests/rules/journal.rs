//! The chained record of halts (rules J1 to J3).

use crate::formats::event;
use holdfast_halt::journal::FIRST_PREVIOUS;
use holdfast_halt::{Journal, JournalEntry, JournalError, JournalEvent, verify_chain};
use holdfast_types::test_util::Sampler;
use holdfast_types::{Era, Height, TimestampMs};
use std::collections::BTreeSet;

fn entries(count: u64) -> Vec<JournalEntry> {
    let mut journal = Journal::new();
    (0..count)
        .map(|number| {
            let event = event(&mut Sampler::new("journal", number));
            journal.append(TimestampMs(1_000 * number), Era(1), Height(number), event)
        })
        .collect()
}

#[test]
fn entries_are_numbered_and_chained() {
    let entries = entries(20);
    assert_eq!(entries[0].previous, FIRST_PREVIOUS);
    for (index, pair) in (0..).zip(entries.windows(2)) {
        assert_eq!(pair[0].index, index);
        assert_eq!(pair[1].previous, pair[0].hash());
    }
    assert_eq!(verify_chain(&entries), Ok(()));
    assert_eq!(verify_chain(&[]), Ok(()));
}

#[test]
fn a_journal_goes_on_after_its_last_entry() {
    let entries = entries(5);
    let mut restored = Journal::after(&entries[4]);
    assert_eq!(restored.next_index(), 5);
    assert_eq!(restored.last_hash(), entries[4].hash());
    let next = restored.append(
        TimestampMs(0),
        Era(0),
        Height(0),
        JournalEvent::StallEscalated,
    );
    assert_eq!(verify_chain(entries.iter().chain([&next])), Ok(()));
}

#[test]
fn a_changed_entry_is_noticed_at_the_next_one() {
    let changes: [fn(&mut JournalEntry); 4] = [
        |entry| entry.wall = entry.wall.next(),
        |entry| entry.era = entry.era.next(),
        |entry| entry.head = entry.head.next(),
        |entry| {
            let lasted_ms = 77;
            entry.event = JournalEvent::StallEnded { lasted_ms };
        },
    ];
    for position in 0..9usize {
        for change in changes {
            let mut changed = entries(10);
            change(&mut changed[position]);
            let index = position as u64 + 1;
            assert_eq!(
                verify_chain(&changed),
                Err(JournalError::BrokenChain { index })
            );
        }
        let mut relinked = entries(10);
        relinked[position].previous[31] ^= 1;
        let index = position as u64;
        assert_eq!(
            verify_chain(&relinked),
            Err(JournalError::BrokenChain { index })
        );
    }
}

#[test]
fn an_entry_that_is_missing_added_or_moved_is_named() {
    for position in 0..9usize {
        let index = position as u64;
        let mut missing = entries(10);
        missing.remove(position);
        let actual = index + 1;
        assert_eq!(
            verify_chain(&missing),
            Err(JournalError::WrongIndex { index, actual })
        );
        let mut twice = entries(10);
        twice.insert(position, twice[position]);
        assert_eq!(
            verify_chain(&twice),
            Err(JournalError::WrongIndex {
                index: index + 1,
                actual: index
            })
        );
        let mut swapped = entries(10);
        swapped.swap(position, position + 1);
        assert_eq!(
            verify_chain(&swapped),
            Err(JournalError::WrongIndex {
                index,
                actual: index + 1
            })
        );
    }
}

#[test]
fn a_journal_cut_off_at_its_end_is_a_shorter_one() {
    assert_eq!(verify_chain(&entries(10)[..7]), Ok(()));
}

#[test]
fn errors_name_the_entry() {
    let error = JournalError::BrokenChain { index: 12 };
    assert!(error.to_string().contains("entry 12"));
    let error = JournalError::WrongIndex {
        index: 12,
        actual: 14,
    };
    assert!(error.to_string().contains("entry 12") && error.to_string().contains("entry 14"));
}

#[test]
fn events_have_distinct_names() {
    let sampled = (0..256).map(|case| event(&mut Sampler::new("names", case)));
    let named: BTreeSet<(u8, &str)> = sampled
        .map(|event| (borsh::to_vec(&event).unwrap()[0], event.name()))
        .collect();
    let names: BTreeSet<&str> = named.iter().map(|(_, name)| *name).collect();
    assert_eq!((named.len(), names.len()), (17, 17));
}
