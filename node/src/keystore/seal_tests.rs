//! Sealing and opening; the pinned vectors; every changed field.

use super::*;
use crate::keystore::FormatError;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../tests/vectors/keystore-v1.json");

#[derive(Deserialize)]
struct Vector {
    name: String,
    password_hex: String,
    secret: String,
    key_file: Value,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(VECTORS).unwrap()
}

fn password_of(vector: &Vector) -> Password {
    Password::new(Zeroizing::new(hex::decode(&vector.password_hex).unwrap()))
}

fn parse(value: &Value) -> Result<KeyFile, FormatError> {
    value.to_string().parse()
}

fn sealed(password: &str) -> (UnlockedKey, KeyFile) {
    let key = UnlockedKey::generate(KeyKind::Validator).unwrap();
    let file = key
        .seal(&Password::from(password), KdfParameters::INSECURE)
        .unwrap();
    (key, file)
}

#[test]
fn the_published_vectors_open_and_seal_again_to_the_same_bytes() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let file = parse(&vector.key_file).unwrap();
        let key = file.unlock(&password_of(&vector)).unwrap();
        assert_eq!(hex::encode(*key.secret()), vector.secret, "{}", vector.name);
        let again = key
            .seal_as(file.clear.clone(), &password_of(&vector))
            .unwrap();
        let written: Value = serde_json::from_str(&again.to_json()).unwrap();
        assert_eq!(written, vector.key_file, "{}", vector.name);
    }
}

#[test]
fn each_changed_field_of_a_vector_is_noticed() {
    let vector = vectors().remove(0);
    let changes = [
        ("/version", json!(2)),
        ("/kind", json!("account key")),
        ("/kind", json!("tea kettle")),
        ("/uuid", json!("00000000-0000-4000-8000-000000000000")),
        ("/public_key", json!("00".repeat(32))),
        ("/insecure_kdf", json!(false)),
        ("/crypto/kdf/function", json!("argon2i")),
        ("/crypto/kdf/memory_kib", json!(65)),
        ("/crypto/kdf/iterations", json!(2)),
        ("/crypto/kdf/lanes", json!(2)),
        ("/crypto/kdf/salt", json!("00".repeat(16))),
        ("/crypto/cipher/function", json!("aes-256-gcm")),
        ("/crypto/cipher/nonce", json!("00".repeat(12))),
        ("/crypto/cipher/message", json!("00".repeat(48))),
        ("/crypto/checksum/function", json!("crc32")),
        ("/crypto/checksum/message", json!("00".repeat(32))),
    ];
    for (pointer, value) in changes {
        let mut document = vector.key_file.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        let error = parse(&document).expect_err(pointer);
        let expected = match pointer {
            "/version" => matches!(error, FormatError::Version { found: 2 }),
            pointer if pointer.ends_with("/function") => {
                matches!(error, FormatError::Function { .. })
            }
            "/kind" => matches!(
                error,
                FormatError::Checksum | FormatError::NotAKeyFile { .. }
            ),
            _ => error == FormatError::Checksum,
        };
        assert!(expected, "{pointer}: {error}");
    }
}

/// Whoever changes a field can also compute the checksum anew; the cipher then still refuses.
#[test]
fn a_changed_field_with_a_fresh_checksum_does_not_open() {
    type Change = fn(&mut KeyFile);
    let changes: [(&str, Change); 9] = [
        ("kind", |file| file.clear.kind = KeyKind::Account),
        ("uuid", |file| file.clear.uuid.push('0')),
        ("public key", |file| file.clear.public_key[0] ^= 1),
        ("insecure_kdf", |file| file.clear.insecure_kdf = false),
        ("memory", |file| file.clear.kdf.memory_kib += 1),
        ("iterations", |file| file.clear.kdf.iterations += 1),
        ("salt", |file| file.clear.salt[0] ^= 1),
        ("nonce", |file| file.clear.nonce[0] ^= 1),
        ("message", |file| file.message[0] ^= 1),
    ];
    let (_, file) = sealed("correct horse");
    for (name, change) in changes {
        let mut changed = file.clone();
        change(&mut changed);
        let error = changed
            .unlock(&Password::from("correct horse"))
            .expect_err(name);
        assert!(
            matches!(error, UnlockError::WrongPassword),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let (_, file) = sealed("correct horse");
    let json = file.to_json();
    let end = json.trim_end().len();
    for length in 0..end {
        let error = json[..length]
            .parse::<KeyFile>()
            .expect_err("a part of the file");
        assert!(
            matches!(error, FormatError::NotAKeyFile { .. }),
            "{length}: {error}"
        );
    }
    assert_eq!(json[..end].parse::<KeyFile>().unwrap(), file);
}

#[test]
fn a_low_cost_is_refused_unless_the_file_says_so() {
    let (_, file) = sealed("correct horse");
    assert!(file.is_insecure());
    let mut silent = file;
    silent.clear.insecure_kdf = false;
    let error = silent.to_json().parse::<KeyFile>().unwrap_err();
    assert!(matches!(error, FormatError::CostTooLow { .. }), "{error}");
}

#[test]
fn a_cost_that_would_choke_the_machine_is_refused() {
    let (_, file) = sealed("correct horse");
    let costs = [
        (u32::MAX, 1, 1),
        (64, u32::MAX, 1),
        (64, 1, 0),
        (64, 0, 1),
        (64, 1, 9),
        (0, 1, 1),
    ];
    for (memory_kib, iterations, lanes) in costs {
        let mut costly = file.clone();
        costly.clear.kdf = KdfParameters {
            memory_kib,
            iterations,
            lanes,
        };
        let error = costly.to_json().parse::<KeyFile>().unwrap_err();
        assert!(
            matches!(error, FormatError::CostOutOfBounds { .. }),
            "{error}"
        );
    }
}

#[test]
fn the_standard_cost_is_not_weak() {
    assert!(!KdfParameters::STANDARD.is_weak());
    assert!(KdfParameters::INSECURE.is_weak());
}

#[test]
fn two_seals_of_one_key_share_nothing_but_the_key() {
    let (key, first) = sealed("correct horse");
    let second = key
        .seal(&Password::from("correct horse"), KdfParameters::INSECURE)
        .unwrap();
    assert_eq!(first.public_key(), second.public_key());
    assert_ne!(first.uuid(), second.uuid());
    assert_ne!(first.clear.salt, second.clear.salt);
    assert_ne!(first.clear.nonce, second.clear.nonce);
    assert_ne!(first.message, second.message);
}

#[test]
fn uuids_carry_version_and_variant() {
    assert_eq!(uuid_v4([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_eq!(uuid_v4([0; 16]), "00000000-0000-4000-8000-000000000000");
}

#[test]
fn debug_output_shows_no_secret() {
    let (key, file) = sealed("correct horse");
    let shown = format!("{key:?} {file:?} {:?}", Password::from("correct horse"));
    assert!(!shown.contains(&hex::encode(*key.secret())));
    assert!(!shown.contains("correct horse"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn opens_with_its_password_and_no_other(
        secret: [u8; 32], password in "\\PC{1,40}", other in "\\PC{1,40}",
    ) {
        let key = UnlockedKey::from_secret(KeyKind::Account, &secret);
        let file = key.seal(&Password::from(password.as_str()), KdfParameters::INSECURE).unwrap();
        let file: KeyFile = file.to_json().parse().unwrap();
        let opened = file.unlock(&Password::from(password.as_str())).unwrap();
        prop_assert_eq!(*opened.secret(), secret);
        if other != password {
            let error = file.unlock(&Password::from(other.as_str())).unwrap_err();
            prop_assert!(matches!(error, UnlockError::WrongPassword));
        }
    }

    #[test]
    fn any_text_is_refused_without_panic(text in "\\PC{0,200}") {
        prop_assert!(text.parse::<KeyFile>().is_err());
    }
}
