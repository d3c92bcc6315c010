//! What is stored may only change on purpose.

use holdfast_halt::{JournalEntry, JournalEvent, Mode, ModeSet, StallReasons};
use holdfast_pinned::Formats;
use holdfast_types::test_util::{Sample, Sampler};
use std::path::Path;

const CASES: u64 = 256;

fn mode(sampler: &mut Sampler) -> Mode {
    *sampler.pick(&Mode::ALL)
}

fn mode_set(sampler: &mut Sampler) -> ModeSet {
    ModeSet::from_bits(u8::sample(sampler) & 0b11_1111).expect("six modes")
}

fn reasons(sampler: &mut Sampler) -> StallReasons {
    StallReasons::from_bits(u8::sample(sampler) & 0b111).expect("three reasons")
}

pub(crate) fn event(sampler: &mut Sampler) -> JournalEvent {
    let variants: [fn(&mut Sampler) -> JournalEvent; 17] = [
        |sampler| JournalEvent::HaltBegan {
            halt: Sample::sample(sampler),
            mode: mode(sampler),
            cause: Sample::sample(sampler),
        },
        |sampler| JournalEvent::HaltEnded {
            halt: Sample::sample(sampler),
            mode: mode(sampler),
        },
        |sampler| JournalEvent::StallBegan {
            reasons: reasons(sampler),
        },
        |_| JournalEvent::StallEscalated,
        |sampler| JournalEvent::StallEnded {
            lasted_ms: Sample::sample(sampler),
        },
        |sampler| JournalEvent::MessageReceived {
            message: Sample::sample(sampler),
            sequence: Sample::sample(sampler),
        },
        |sampler| JournalEvent::ResumeRequested {
            message: Sample::sample(sampler),
        },
        |sampler| JournalEvent::Ready {
            message: Sample::sample(sampler),
        },
        |sampler| JournalEvent::NotReady {
            readiness: Sample::sample(sampler),
        },
        |sampler| JournalEvent::EraStarted {
            era: Sample::sample(sampler),
        },
        |sampler| JournalEvent::ResumeExcluded {
            message: Sample::sample(sampler),
        },
        |sampler| JournalEvent::LockdownVoted {
            author: Sample::sample(sampler),
        },
        |_| JournalEvent::LockdownVotesExpired,
        |sampler| JournalEvent::RecoveryVoted {
            author: Sample::sample(sampler),
            height: Sample::sample(sampler),
        },
        |sampler| JournalEvent::RecoveryOrdered {
            height: Sample::sample(sampler),
            block: Sample::sample(sampler),
        },
        |sampler| JournalEvent::LockdownLasts {
            for_ms: Sample::sample(sampler),
        },
        |sampler| JournalEvent::HaltVoid {
            halt: Sample::sample(sampler),
        },
    ];
    sampler.pick(&variants)(sampler)
}

fn entry(sampler: &mut Sampler) -> JournalEntry {
    JournalEntry {
        index: Sample::sample(sampler),
        previous: Sample::sample(sampler),
        wall: Sample::sample(sampler),
        era: Sample::sample(sampler),
        head: Sample::sample(sampler),
        event: event(sampler),
    }
}

#[test]
fn formats_are_as_pinned() {
    fn samples<T>(label: &str, draw: fn(&mut Sampler) -> T) -> impl Iterator<Item = T> {
        (0..CASES).map(move |case| draw(&mut Sampler::new(label, case)))
    }
    let mut formats = Formats::default();
    formats.add("JournalEntry", samples("JournalEntry", entry));
    formats.add("JournalEvent", samples("JournalEvent", event));
    formats.add("Mode", samples("Mode", mode));
    formats.add("ModeSet", samples("ModeSet", mode_set));
    formats.add("StallReasons", samples("StallReasons", reasons));
    formats.compare(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance.toml"));
}

#[test]
fn a_bit_that_stands_for_nothing_does_not_decode() {
    for bits in 0..=u8::MAX {
        let modes: Result<ModeSet, _> = borsh::from_slice(&[bits]);
        assert_eq!(modes.is_ok(), bits < 64, "{bits}");
        let reasons: Result<StallReasons, _> = borsh::from_slice(&[bits]);
        assert_eq!(reasons.is_ok(), bits < 8, "{bits}");
    }
    let error = borsh::from_slice::<ModeSet>(&[0x80]).unwrap_err();
    assert!(error.to_string().contains("no set of Mode"), "{error}");
}

/// The hash of an entry is a format as well: other implementations check journals.
#[test]
fn the_hash_of_an_entry_is_as_pinned() {
    let hashes: Vec<String> = (0..8)
        .map(|case| entry(&mut Sampler::new("hash", case)).hash())
        .map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journal_hashes.txt");
    holdfast_pinned::check_file(&path, &format!("{}\n", hashes.join("\n")));
}
