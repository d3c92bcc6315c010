//! Key files on a real file system.

use super::*;
use crate::keystore::KdfParameters;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

struct Place {
    folder: tempfile::TempDir,
    password: Password,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            password: Password::from("correct horse"),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("validator.json")
    }

    fn save(&self) -> UnlockedKey {
        let key = UnlockedKey::generate(KeyKind::Validator).unwrap();
        let file = key.seal(&self.password, KdfParameters::INSECURE).unwrap();
        save_new(&self.path(), &file).unwrap();
        key
    }
}

#[test]
fn a_saved_key_is_private_and_opens_again() {
    let place = Place::new();
    let key = place.save();
    assert_eq!(
        std::fs::metadata(place.path()).unwrap().mode() & 0o7777,
        0o600
    );
    let opened = unlock(&place.path(), KeyKind::Validator, &place.password).unwrap();
    assert_eq!(opened.public_key(), key.public_key());
}

#[test]
fn a_key_file_is_never_overwritten_by_a_new_one() {
    let place = Place::new();
    let first = place.save();
    let second = UnlockedKey::generate(KeyKind::Validator).unwrap();
    let file = second
        .seal(&place.password, KdfParameters::INSECURE)
        .unwrap();
    let error = save_new(&place.path(), &file).unwrap_err();
    assert!(matches!(error, KeystoreError::Exists { .. }), "{error}");
    assert_eq!(Failure::from(error).code, ExitCode::Usage);
    assert_eq!(
        *load(&place.path()).unwrap().public_key(),
        first.public_key()
    );
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let place = Place::new();
    place.save();
    for mode in [0o640, 0o604, 0o660, 0o601] {
        set_permissions(place.path(), Permissions::from_mode(mode)).unwrap();
        let failure = Failure::from(load(&place.path()).unwrap_err());
        assert_eq!(failure.code, ExitCode::Keystore);
        assert!(failure.next_step.contains("chmod 600"), "{failure}");
    }
    set_permissions(place.path(), Permissions::from_mode(0o400)).unwrap();
    assert!(load(&place.path()).is_ok());
}

#[test]
fn each_way_to_fail_has_its_own_words() {
    let place = Place::new();
    let missing = load(&place.path()).unwrap_err();
    assert!(
        matches!(missing, KeystoreError::Missing { .. }),
        "{missing}"
    );
    let folder = load(place.folder.path()).unwrap_err();
    assert!(
        matches!(folder, KeystoreError::Unreadable { .. }),
        "{folder}"
    );

    place.save();
    let kind = unlock(&place.path(), KeyKind::Network, &place.password).unwrap_err();
    assert_eq!(
        kind.to_string(),
        format!(
            "{} holds a validator signing key, wanted is a network key",
            place.path().display()
        )
    );
    for (wanted, named) in [
        (KeyKind::Account, "an account key"),
        (KeyKind::Emergency, "an emergency key"),
        (KeyKind::Governor, "a governor key"),
    ] {
        let kind = unlock(&place.path(), wanted, &place.password).unwrap_err();
        let text = kind.to_string();
        assert!(text.ends_with(&format!("wanted is {named}")), "{text}");
    }
    let wrong = unlock(
        &place.path(),
        KeyKind::Validator,
        &Password::from("battery"),
    )
    .unwrap_err();
    let failure = Failure::from(wrong);
    assert_eq!(failure.code, ExitCode::Keystore);
    assert!(failure.why.ends_with("the password is wrong"), "{failure}");

    let private = |content: &[u8]| {
        durable_file::write(
            &place.path(),
            content,
            durable_file::PRIVATE,
            Existing::Replace,
        )
        .unwrap();
        load(&place.path()).unwrap_err()
    };
    let truncated = private(b"{\"version\": 1, \"kind\"");
    assert!(
        matches!(truncated, KeystoreError::Refused { .. }),
        "{truncated}"
    );
    let binary = private(&[0xff; 100]);
    assert!(matches!(binary, KeystoreError::Refused { .. }), "{binary}");
    let huge = private(&[b' '; KEY_FILE_BYTES_MAX as usize + 1]);
    assert!(matches!(huge, KeystoreError::Unreadable { .. }), "{huge}");
}
