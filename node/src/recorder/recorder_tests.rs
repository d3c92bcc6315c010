//! The recorder keeps what it says, forgets what it must, and costs what the documentation says.

use super::*;
use holdfast_types::{AuthorityIndex, Round};
use std::time::Instant;

fn entry(at_ms: u64) -> Entry {
    let at = Moment {
        wall_ms: 1_700_000_000_000 + at_ms,
        monotonic_ms: at_ms,
    };
    Entry::new(at, Kind::Received, "vertex")
        .round(Round(at_ms + 1))
        .author(AuthorityIndex(3))
}

fn rounds(recorder: &Recorder) -> Vec<u64> {
    let recording = recorder.recording();
    let rounds = recording.entries().filter_map(|entry| entry.round);
    rounds.map(std::num::NonZeroU64::get).collect()
}

#[test]
fn the_newest_stay_and_the_oldest_go_when_memory_is_used_up() {
    let room = 1000 * size_of::<Entry>();
    let recorder = Recorder::bounded(room, u64::MAX);
    let mut entries: Vec<_> = (0..5000).map(entry).collect();
    recorder.append(&mut entries);
    assert!(entries.is_empty());
    let kept = rounds(&recorder);
    assert!(
        kept.len() <= 1000 && kept.len() > 1000 - CHUNK_ENTRIES,
        "{}",
        kept.len()
    );
    assert_eq!(kept.last(), Some(&5000));
    assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert_eq!(recorder.recording().forgotten, 5000 - kept.len() as u64);
}

#[test]
fn texts_count_and_are_cut() {
    let recorder = Recorder::bounded(100_000, u64::MAX);
    for at_ms in 0..10_000 {
        recorder.record(entry(at_ms).detail("ä".repeat(1000)));
    }
    let recording = recorder.recording();
    let held: usize = recording.entries().map(Entry::bytes_held).sum();
    assert!(held <= 100_000, "{held}");
    assert!(
        recording
            .entries()
            .all(|entry| { entry.detail.as_ref().is_some_and(|text| text.len() == 240) })
    );
}

#[test]
fn entries_go_when_they_are_old() {
    let recorder = Recorder::bounded(usize::MAX, 1000);
    for at_ms in 0..10_000 {
        recorder.record(entry(at_ms));
    }
    let kept = rounds(&recorder);
    // A chunk goes when its newest entry is too old.
    assert!(
        kept.len() >= 1000 && kept.len() <= 1000 + 2 * CHUNK_ENTRIES,
        "{}",
        kept.len()
    );
}

#[test]
fn a_recording_does_not_change_while_the_recorder_goes_on() {
    let recorder = Recorder::bounded(300 * size_of::<Entry>(), u64::MAX);
    for at_ms in 0..100 {
        recorder.record(entry(at_ms));
    }
    let recording = recorder.recording();
    for at_ms in 100..5000 {
        recorder.record(entry(at_ms));
    }
    assert_eq!(recording.entries().count(), 100);
    let mut lines = Vec::new();
    recording.write_json_lines(&mut lines).unwrap();
    let text = String::from_utf8(lines).unwrap();
    assert_eq!(
        text.lines().nth(1),
        Some(
            r#"{"wall_ms":1700000000001,"monotonic_ms":1,"kind":"received","name":"vertex","round":2,"author":3}"#
        )
    );
}

/// `cargo test --release -p holdfast --lib what_an_entry_costs -- --nocapture` prints the figures.
#[test]
fn what_an_entry_costs() {
    let recorder = Recorder::default();
    let count = 500_000;
    let mut batch = Vec::new();
    let started = Instant::now();
    for at_ms in 0..count {
        let text = (at_ms % 8 == 0).then(|| format!("state root {at_ms:x}"));
        batch.push(match text {
            Some(text) => entry(at_ms / 10).detail(text),
            None => entry(at_ms / 10),
        });
        if batch.len() == 16 {
            recorder.append(&mut batch);
        }
    }
    let each = started.elapsed().as_nanos() / u128::from(count);
    let dump = Instant::now();
    let recording = recorder.recording();
    let lock_us = dump.elapsed().as_micros();
    println!(
        "{each} ns per entry; 1,300 entries a second (128 validators, 10 rounds a second) are {:.4} % of a core; \
         a dump of {} entries holds the lock {lock_us} us; {} bytes per entry",
        each as f64 * 1300.0 / 1e7,
        recording.entries().count(),
        size_of::<Entry>(),
    );
    // Far above what it is on any machine: this notices a mistake, not a slow day.
    assert!(each < 20_000, "{each} ns");
}
