//! The recorder keeps what it says and forgets what it must.

use super::*;
use holdfast_types::{AuthorityIndex, Round};

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
