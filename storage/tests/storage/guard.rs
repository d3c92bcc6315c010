//! The sign guard against everything that happens to files.

use holdfast_halt::lockdown::recovery::SignedRecovery;
use holdfast_replica::SignGuardRecord;
use holdfast_storage::{GuardError, SignGuardFile};
use holdfast_types::test_util::key_pair;
use holdfast_types::{
    AttestationBody, BlockId, BlockPoint, CommitDigest, Era, Height, NamedResume, PublicKey,
    RecoveryChoice, Round, Signer, StateRoot,
};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PAGE_BYTES: usize = 4096;
const COPY_BYTES: usize = 2048;

fn key() -> PublicKey {
    key_pair(1).public_key()
}

fn attestation(era: u64, height: u64, block: u8) -> AttestationBody {
    AttestationBody {
        era: Era(era),
        height: Height(height),
        block: BlockId::new([block; 32]),
        commit: CommitDigest::new([2; 32]),
        state_root: StateRoot::new([3; 32]),
    }
}

fn record(round: u64, height: u64) -> SignGuardRecord {
    SignGuardRecord {
        key: key(),
        vertex: Some((Era(1), Round(round))),
        attestation: Some(attestation(1, height, 1)),
        emergency_end: None,
        end_vote: None,
        recovery: None,
        past_unknown: false,
    }
}

fn new_guard() -> (TempDir, PathBuf, SignGuardFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sign-guard");
    let guard = SignGuardFile::create(&path, key()).unwrap();
    (directory, path, guard)
}

/// A closed guard that was raised to rounds 1 to `round`.
fn raised(round: u64) -> (TempDir, PathBuf) {
    let (directory, path, mut guard) = new_guard();
    for round in 1..=round {
        guard.raise(&record(round, round)).unwrap();
    }
    (directory, path)
}

fn reopened(path: &Path) -> SignGuardRecord {
    SignGuardFile::open(path, key()).unwrap().record().clone()
}

#[test]
fn what_was_raised_is_there_after_reopening() {
    let (_directory, path, guard) = new_guard();
    assert_eq!(guard.record().vertex, None);
    drop(guard);
    for round in 1..20 {
        let mut guard = SignGuardFile::open(&path, key()).unwrap();
        assert!(!guard.was_torn());
        guard.raise(&record(round, round * 2)).unwrap();
        drop(guard);
        assert_eq!(reopened(&path), record(round, round * 2));
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), 2 * PAGE_BYTES as u64);
}

#[test]
fn it_is_never_made_on_the_way_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard");
    let missing = SignGuardFile::open(&path, key()).unwrap_err();
    assert_eq!(missing, GuardError::Missing { path: path.clone() });
    assert!(!path.exists());
    drop(SignGuardFile::create(&path, key()).unwrap());
    let exists = SignGuardFile::create(&path, key()).unwrap_err();
    assert_eq!(exists, GuardError::Exists { path });
    let left = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 1, "no temporary file is left");
}

#[test]
fn a_foreign_key_is_refused() {
    let (_directory, path) = raised(3);
    let other = key_pair(2).public_key();
    let refused = SignGuardFile::open(&path, other).unwrap_err();
    let expected = GuardError::ForeignKey {
        path: path.clone(),
        found: key(),
        expected: other,
    };
    assert_eq!(refused, expected);
    let mut guard = SignGuardFile::open(&path, key()).unwrap();
    let foreign = SignGuardRecord {
        key: other,
        ..record(9, 9)
    };
    assert!(matches!(
        guard.raise(&foreign),
        Err(GuardError::ForeignKey { .. })
    ));
    assert_eq!(reopened_after(guard, &path), record(3, 3));
}

fn reopened_after(guard: SignGuardFile, path: &Path) -> SignGuardRecord {
    drop(guard);
    reopened(path)
}

#[test]
fn it_is_locked_to_one_owner() {
    let (_directory, path, guard) = new_guard();
    let refused = SignGuardFile::open(&path, key()).unwrap_err();
    assert_eq!(refused, GuardError::Locked { path: path.clone() });
    drop(guard);
    assert!(SignGuardFile::open(&path, key()).is_ok());
}

#[test]
fn it_never_lowers() {
    let (_directory, path, mut guard) = new_guard();
    let current = SignGuardRecord {
        key: key(),
        vertex: Some((Era(3), Round(10))),
        attestation: Some(attestation(3, 50, 1)),
        emergency_end: None,
        end_vote: None,
        recovery: None,
        past_unknown: false,
    };
    guard.raise(&current).unwrap();
    let with_vertex = |vertex| SignGuardRecord {
        vertex,
        ..current.clone()
    };
    let with_attestation = |attestation| SignGuardRecord {
        attestation,
        ..current.clone()
    };
    for lower in [
        with_vertex(None),
        with_vertex(Some((Era(3), Round(9)))),
        with_vertex(Some((Era(2), Round(99)))),
        with_attestation(None),
        with_attestation(Some(attestation(3, 49, 1))),
        with_attestation(Some(attestation(2, 99, 1))),
        with_attestation(Some(attestation(3, 50, 2))),
    ] {
        let refused = guard.raise(&lower);
        assert!(
            matches!(refused, Err(GuardError::Lowers { .. })),
            "{lower:?}: {refused:?}"
        );
    }
    for same_or_higher in [
        current.clone(),
        with_vertex(Some((Era(3), Round(11)))),
        SignGuardRecord {
            vertex: Some((Era(4), Round(1))),
            attestation: Some(attestation(4, 40, 9)),
            key: key(),
            emergency_end: None,
            end_vote: None,
            recovery: None,
            past_unknown: false,
        },
    ] {
        assert_eq!(guard.raise(&same_or_higher), Ok(()));
        assert_eq!(guard.record(), &same_or_higher);
    }
    let highest = guard.record().clone();
    assert_eq!(reopened_after(guard, &path), highest);
}

#[test]
fn the_end_of_an_emergency_and_the_vote_for_it_are_not_exchanged_for_others() {
    let with = |end: Option<AttestationBody>, vote: Option<AttestationBody>| SignGuardRecord {
        emergency_end: end,
        end_vote: vote,
        ..record(1, 1)
    };
    let ended = with(Some(attestation(2, 40, 1)), Some(attestation(2, 40, 1)));
    let (_directory, path, mut guard) = new_guard();
    guard.raise(&ended).unwrap();
    let (end, vote) = (ended.emergency_end, ended.end_vote);
    for other in [
        None,
        Some(attestation(2, 40, 2)),
        Some(attestation(2, 41, 1)),
        Some(attestation(1, 99, 1)),
    ] {
        for lower in [with(other, vote), with(end, other)] {
            let refused = guard.raise(&lower);
            assert!(
                matches!(refused, Err(GuardError::Lowers { .. })),
                "{lower:?}: {refused:?}"
            );
        }
    }
    guard
        .raise(&with(Some(attestation(4, 50, 1)), vote))
        .unwrap();
    // The DAG went on below the emergency, which a certificate has excluded.
    let taken_back = SignGuardRecord {
        attestation: Some(attestation(1, 2, 1)),
        ..with(None, None)
    };
    guard.raise(&taken_back).unwrap();
    assert_eq!(reopened_after(guard, &path), taken_back);
}

#[test]
fn the_end_of_an_emergency_and_the_vote_for_it_move_to_another_machine() {
    let ended = SignGuardRecord {
        emergency_end: Some(attestation(2, 40, 1)),
        end_vote: Some(attestation(4, 60, 1)),
        ..record(1, 1)
    };
    let (_directory, _path, mut guard) = new_guard();
    guard.raise(&ended).unwrap();
    let document = guard.export();
    let (_elsewhere, path, mut other) = new_guard();
    other.import(&document).unwrap();
    assert_eq!(reopened_after(other, &path), ended);
    // Of two that exclude each other neither is believed.
    let (_third, _path, mut contradicts) = new_guard();
    let end_vote = Some(attestation(4, 60, 2));
    contradicts
        .raise(&SignGuardRecord { end_vote, ..ended })
        .unwrap();
    assert!(contradicts.import(&document).is_err());
}

fn choice(block: u8) -> RecoveryChoice {
    let resume = NamedResume {
        sequence: block.into(),
        message: [block; 32],
    };
    RecoveryChoice {
        point: BlockPoint {
            height: Height(block.into()),
            block: BlockId::new([block; 32]),
            state_root: StateRoot::new([3; 32]),
        },
        resume: (block > 7).then_some(resume),
    }
}

fn recovery(era: u64, prevote: Option<(u32, u8)>, precommit: Option<(u32, u8)>) -> SignGuardRecord {
    let signed = |vote: Option<(u32, u8)>| vote.map(|(attempt, block)| (attempt, choice(block)));
    SignGuardRecord {
        recovery: Some(SignedRecovery {
            era: Era(era),
            prevote: signed(prevote),
            precommit: signed(precommit),
        }),
        ..record(1, 1)
    }
}

#[test]
fn votes_to_go_on_are_not_exchanged_for_others_and_survive() {
    let (_directory, path, mut guard) = new_guard();
    guard
        .raise(&recovery(2, Some((1, 7)), Some((0, 8))))
        .unwrap();
    for lower in [
        record(1, 1),
        recovery(1, Some((9, 7)), Some((9, 8))),
        recovery(2, None, Some((0, 8))),
        recovery(2, Some((1, 7)), None),
        recovery(2, Some((0, 7)), Some((0, 8))),
        recovery(2, Some((1, 8)), Some((0, 8))),
        recovery(2, Some((2, 7)), Some((0, 7))),
    ] {
        let refused = guard.raise(&lower);
        assert!(
            matches!(refused, Err(GuardError::Lowers { .. })),
            "{lower:?}: {refused:?}"
        );
    }
    let refused = guard.raise(&record(1, 1)).unwrap_err().to_string();
    assert!(
        refused.contains("prevote in attempt 1 for block 7"),
        "{refused}"
    );
    for higher in [
        recovery(2, Some((2, 8)), Some((0, 8))),
        recovery(2, Some((2, 8)), Some((2, 8))),
        recovery(3, None, Some((0, 9))),
    ] {
        guard.raise(&higher).unwrap();
    }
    let last = recovery(3, None, Some((0, 9)));
    assert_eq!(reopened_after(guard, &path), last);
}

#[test]
fn votes_to_go_on_move_to_another_machine() {
    let (_directory, _path, mut guard) = new_guard();
    guard
        .raise(&recovery(2, Some((3, 7)), Some((1, 9))))
        .unwrap();
    let document = guard.export();
    let imported_into = |before: &SignGuardRecord| {
        let (_directory, path, mut guard) = new_guard();
        guard.raise(before).unwrap();
        guard.import(&document)?;
        Ok::<_, GuardError>(reopened_after(guard, &path))
    };
    let whole = recovery(2, Some((3, 7)), Some((1, 9)));
    assert_eq!(imported_into(&record(1, 1)).unwrap(), whole);
    assert_eq!(
        imported_into(&recovery(1, Some((8, 7)), None)).unwrap(),
        whole
    );
    // Each step by itself, and nothing is lowered.
    let mixed = recovery(2, Some((3, 7)), Some((4, 7)));
    assert_eq!(
        imported_into(&recovery(2, Some((2, 9)), Some((4, 7)))).unwrap(),
        mixed
    );
    let later = recovery(3, Some((0, 7)), None);
    assert_eq!(imported_into(&later).unwrap(), later);
    assert!(imported_into(&recovery(2, Some((3, 9)), None)).is_err());
    let huge = document.replace("\"attempt\": \"3\"", "\"attempt\": \"4294967296\"");
    let (_elsewhere, _path, mut other) = new_guard();
    let refused = other.import(&huge).unwrap_err().to_string();
    assert!(refused.contains("4294967296 is no attempt"), "{refused}");
}

#[test]
fn several_records_at_once_are_each_checked() {
    let (_directory, path, mut guard) = new_guard();
    let (first, second) = (record(1, 1), record(2, 2));
    guard.raise_through(&[&first, &second]).unwrap();
    let contradiction = SignGuardRecord {
        attestation: Some(attestation(1, 3, 7)),
        ..record(3, 3)
    };
    let refused = guard.raise_through(&[&record(3, 3), &contradiction]);
    assert!(
        matches!(refused, Err(GuardError::Lowers { .. })),
        "{refused:?}"
    );
    assert_eq!(reopened_after(guard, &path), second);
}

/// The page that the next write goes to is half written, in every way; the record before it stays.
#[test]
fn a_torn_write_keeps_the_record_before() {
    for round in [6, 7] {
        let (_directory, path) = raised(round);
        let before = fs::read(&path).unwrap();
        let mut guard = SignGuardFile::open(&path, key()).unwrap();
        guard.raise(&record(round + 1, round + 1)).unwrap();
        drop(guard);
        let after = fs::read(&path).unwrap();
        for written in [1, 100, 500, COPY_BYTES, COPY_BYTES + 77] {
            // The write got `written` bytes far, or all but these.
            for mix in [
                splice(&before, &after, written),
                splice(&after, &before, written),
                garbled(&after, &before, written),
            ] {
                fs::write(&path, mix).unwrap();
                let guard = SignGuardFile::open(&path, key()).unwrap();
                let found = guard.record();
                assert!(
                    *found == record(round, round) || *found == record(round + 1, round + 1),
                    "{found:?}"
                );
                drop(guard);
                // Opening has mended the damage.
                assert!(!SignGuardFile::open(&path, key()).unwrap().was_torn());
            }
        }
    }
}

/// `head` up to `at` within the page that differs, then `tail`.
fn splice(tail: &[u8], head: &[u8], at: usize) -> Vec<u8> {
    let page = differing_page(tail, head);
    let mut bytes = tail.to_vec();
    bytes[page..page + at].copy_from_slice(&head[page..page + at]);
    bytes
}

/// The whole page that differs is garbage from `at` on.
fn garbled(after: &[u8], before: &[u8], at: usize) -> Vec<u8> {
    let page = differing_page(before, after);
    let mut bytes = after.to_vec();
    for byte in &mut bytes[page + at % 40..page + PAGE_BYTES] {
        *byte = byte.wrapping_mul(31).wrapping_add(17);
    }
    bytes
}

fn differing_page(one: &[u8], other: &[u8]) -> usize {
    let position = one.iter().zip(other).position(|(a, b)| a != b).unwrap();
    position / PAGE_BYTES * PAGE_BYTES
}

#[test]
fn a_wholly_torn_write_is_reported() {
    let (_directory, path) = raised(6);
    let before = fs::read(&path).unwrap();
    let mut guard = SignGuardFile::open(&path, key()).unwrap();
    guard.raise(&record(7, 7)).unwrap();
    drop(guard);
    let after = fs::read(&path).unwrap();
    fs::write(&path, garbled(&after, &before, 0)).unwrap();
    let guard = SignGuardFile::open(&path, key()).unwrap();
    assert!(guard.was_torn());
    assert_eq!(guard.record(), &record(6, 6));
}

/// One flipped bit, wherever it is, never brings an older record back.
#[test]
fn a_flipped_bit_changes_nothing() {
    let (_directory, path) = raised(5);
    let good = fs::read(&path).unwrap();
    for position in (0..good.len()).step_by(13).chain(0..260) {
        let mut bytes = good.clone();
        bytes[position] ^= 1 << (position % 8);
        fs::write(&path, &bytes).unwrap();
        let mut guard = SignGuardFile::open(&path, key()).unwrap();
        assert_eq!(guard.record(), &record(5, 5), "bit at byte {position}");
        guard.raise(&record(6, 6)).unwrap();
        assert_eq!(reopened_after(guard, &path), record(6, 6));
    }
}

#[test]
fn a_file_of_another_length_or_content_is_refused() {
    let (_directory, path) = raised(5);
    let good = fs::read(&path).unwrap();
    let longer = [good.as_slice(), &[0]].concat();
    for bytes in [
        Vec::new(),
        good[..PAGE_BYTES].to_vec(),
        longer,
        vec![0; good.len()],
        good.iter().map(|byte| !byte).collect(),
    ] {
        fs::write(&path, &bytes).unwrap();
        let refused = SignGuardFile::open(&path, key()).unwrap_err();
        assert!(matches!(refused, GuardError::Corrupted { .. }), "{refused}");
        assert_eq!(
            fs::read(&path).unwrap(),
            bytes,
            "a refused file is not touched"
        );
    }
}

#[test]
fn an_export_moves_the_guard_and_only_raises() {
    let (_directory, path) = raised(9);
    let document = SignGuardFile::open(&path, key()).unwrap().export();
    let (_other, other_path, mut guard) = new_guard();
    guard.import(&document).unwrap();
    assert_eq!(guard.record(), &record(9, 9));
    let higher = SignGuardRecord {
        vertex: Some((Era(2), Round(1))),
        ..record(9, 30)
    };
    guard.raise(&higher).unwrap();
    guard.import(&document).unwrap();
    assert_eq!(reopened_after(guard, &other_path), higher);
    let (_third, _, mut guard) = new_guard();
    let contradiction = SignGuardRecord {
        attestation: Some(attestation(1, 9, 8)),
        ..record(2, 2)
    };
    guard.raise(&contradiction).unwrap();
    let refused = guard.import(&document).unwrap_err();
    assert!(
        matches!(refused, GuardError::Interchange { .. }),
        "{refused}"
    );
    assert_eq!(guard.record(), &contradiction);
}

#[test]
fn a_document_that_is_not_understood_is_refused_whole() {
    let (_directory, path) = raised(4);
    let document = SignGuardFile::open(&path, key()).unwrap().export();
    let other_key = key_pair(9).public_key().to_string();
    let (_other, _, mut guard) = new_guard();
    for bad in [
        String::new(),
        String::from("{}"),
        document.replace("holdfast-sign-guard", "something"),
        document.replace("\"1\"", "\"2\""),
        document.replace("\"round\": \"4\"", "\"round\": 4"),
        document.replace("\"round\": \"4\"", "\"round\": \"-4\""),
        document.replace("\"round\"", "\"rounds\""),
        document.replace(&key().to_string(), &other_key),
    ] {
        let refused = guard.import(&bad).unwrap_err();
        assert!(
            matches!(refused, GuardError::Interchange { .. }),
            "{refused}"
        );
        assert_eq!(guard.record().vertex, None, "{bad}");
    }
}

#[test]
fn the_guard_of_a_used_key_says_so_until_something_is_signed_under_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sign-guard");
    let guard = SignGuardFile::create_for_used_key(&path, key()).unwrap();
    assert!(guard.record().past_unknown);
    assert!(guard.export().contains("\"past_unknown\": true"));
    assert!(reopened_after(guard, &path).past_unknown);
    let mut guard = SignGuardFile::open(&path, key()).unwrap();
    // What another guard of the key knows is not all that there may be.
    let mut other = new_guard().2;
    other.raise(&record(7, 7)).unwrap();
    guard.import(&other.export()).unwrap();
    assert!(guard.record().past_unknown);
    assert_eq!(guard.record().vertex, Some((Era(1), Round(7))));
    guard.raise(&record(9, 7)).unwrap();
    assert!(!reopened_after(guard, &path).past_unknown);
}
