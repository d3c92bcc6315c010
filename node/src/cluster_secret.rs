//! The file with the cluster secret of a lockdown (document 000, DESIGN §8).
//!
//! Text that only its owner may read. Each line that is no comment (`#`) is a word and a secret of 32 to 1,024 bytes as hexadecimal
//! digits: `current` tags what this node says, and `next` or `previous`, if there is one, verifies what others say while the secret
//! is changed (rules KS3 and KS4 of `holdfast_halt::lockdown::secret`).

use crate::durable_file::{self, Existing};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use holdfast_halt::lockdown::secret::{
    ClusterSecret, ClusterSecrets, SECRET_BYTES_MIN, SecretError,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Two longest secrets, and room for comments.
const FILE_BYTES_MAX: u64 = 16 * 1024;
const COMMENT: &str = "\
# Cluster secret of the lockdown: the same on every validator, and nowhere else.
# `current` tags what this node says; while the secret is changed `next` or `previous` is accepted, too.
";

/// A file that gives no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("{path} does not exist")]
    Missing { path: PathBuf },
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} can be read by others (mode {mode:04o})")]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "{path}, line {line}: a line is current, next or previous, and a secret in hexadecimal digits"
    )]
    NotALine { path: PathBuf, line: usize },
    #[error("{path}, {word}: {source}")]
    Refused {
        path: PathBuf,
        word: &'static str,
        source: SecretError,
    },
    #[error("{path} holds {found} secrets: one that is current, and while it is changed one more")]
    WrongNumber { path: PathBuf, found: usize },
}

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Current,
    /// Will tag, and is accepted already.
    Next,
    /// Has tagged, and is still accepted.
    Previous,
}

impl Role {
    const ALL: [Self; 3] = [Self::Current, Self::Next, Self::Previous];

    const fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Next => "next",
            Self::Previous => "previous",
        }
    }
}

/// A secret as the file has it.
struct Line {
    role: Role,
    bytes: Zeroizing<Vec<u8>>,
}

/// The line that tags, and the other one.
type Lines = (Line, Option<Line>);

/// Reads the secrets of a node.
///
/// # Errors
/// When the file is not there, others may read it, or it breaks a rule.
pub fn read(path: &Path) -> Result<ClusterSecrets, SecretFileError> {
    let (current, other) = read_lines(path)?;
    let secret = |line: &Line| {
        ClusterSecret::new(&line.bytes).map_err(|source| SecretFileError::Refused {
            path: path.to_owned(),
            word: line.role.word(),
            source,
        })
    };
    Ok(ClusterSecrets::new(
        secret(&current)?,
        other.as_ref().map(secret).transpose()?,
    ))
}

fn read_lines(path: &Path) -> Result<Lines, SecretFileError> {
    let text = read_text(path)?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parsed = line.split_once(' ').and_then(|(word, digits)| {
            let role = Role::ALL.into_iter().find(|role| role.word() == word)?;
            let bytes = hex::decode(digits.trim()).ok().map(Zeroizing::new)?;
            Some(Line { role, bytes })
        });
        lines.push(parsed.ok_or_else(|| SecretFileError::NotALine {
            path: path.to_owned(),
            line: number,
        })?);
    }
    let found = lines.len();
    let (mut current, mut others): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| line.role == Role::Current);
    match (current.pop(), others.pop()) {
        (Some(line), other) if current.is_empty() && others.is_empty() => Ok((line, other)),
        _ => Err(SecretFileError::WrongNumber {
            path: path.to_owned(),
            found,
        }),
    }
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SecretFileError::Missing {
            path: path.to_owned(),
        },
        _ => SecretFileError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a regular file")));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let bytes = durable_file::read_bounded(&mut file, FILE_BYTES_MAX).map_err(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| unreadable(io::Error::other(error.utf8_error().to_string())))?;
    Ok(Zeroizing::new(text))
}

/// Where a change of the secret stands. Each step goes to every validator before the next one begins, so that at no moment one makes
/// tags that another does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RotationStep {
    /// Make a new secret, which is accepted from now on.
    Add,
    /// Tag with the new secret, and accept the old one.
    Switch,
    /// Forget the old secret.
    Finish,
}

/// A new secret in a new file.
///
/// # Errors
/// When the file is there already, or cannot be written.
pub fn create(path: &Path) -> Result<(), Failure> {
    create_known(path, &random())
}

/// The file of a secret that every reader of this code knows: for a devnet.
///
/// # Errors
/// Those of [`create`].
pub fn create_known(path: &Path, secret: &[u8]) -> Result<(), Failure> {
    let line = Line {
        role: Role::Current,
        bytes: Zeroizing::new(secret.to_vec()),
    };
    save(path, &[line], Existing::Keep)
}

/// Takes a step of a change of the secret.
///
/// # Errors
/// When the file is not at the step before, or cannot be written.
pub fn rotate(path: &Path, step: RotationStep) -> Result<(), Failure> {
    let (mut current, other) = read_lines(path)?;
    let kept = match (step, other) {
        (RotationStep::Add, None) => Some(Line {
            role: Role::Next,
            bytes: random(),
        }),
        (RotationStep::Switch, Some(mut next)) if next.role == Role::Next => {
            std::mem::swap(&mut current.bytes, &mut next.bytes);
            next.role = Role::Previous;
            Some(next)
        }
        (RotationStep::Finish, Some(previous)) if previous.role == Role::Previous => None,
        (RotationStep::Add, Some(_)) => return Err(out_of_step("two secrets are valid already")),
        (RotationStep::Switch, _) => return Err(out_of_step("there is no next secret")),
        (RotationStep::Finish, _) => return Err(out_of_step("there is no previous secret")),
    };
    let lines: Vec<Line> = std::iter::once(current).chain(kept).collect();
    save(path, &lines, Existing::Replace)
}

fn out_of_step(why: &str) -> Failure {
    Failure::new(
        ExitCode::Usage,
        "the cluster secret is not at this step",
        why,
        "the steps: add on one validator, whose file all others get; then switch on each; then finish on each",
    )
}

fn random() -> Zeroizing<Vec<u8>> {
    let bytes: [u8; SECRET_BYTES_MIN] = rand::random();
    Zeroizing::new(bytes.to_vec())
}

fn save(path: &Path, lines: &[Line], existing: Existing) -> Result<(), Failure> {
    let mut text = Zeroizing::new(String::from(COMMENT));
    for line in lines {
        let digits = Zeroizing::new(hex::encode(&line.bytes));
        for part in [line.role.word(), " ", digits.as_str(), "\n"] {
            text.push_str(part);
        }
    }
    durable_file::write(path, text.as_bytes(), durable_file::PRIVATE, existing).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::new(
                ExitCode::Usage,
                format!("{} is there already", path.display()),
                "a cluster secret is never overwritten",
                "change it in steps: holdfast lockdown rotate-secret add",
            );
        }
        Failure::disk(format!("cannot write {}", path.display()), &error)
    })
}

impl From<SecretFileError> for Failure {
    fn from(error: SecretFileError) -> Self {
        let next_step = match &error {
            SecretFileError::Missing { path } => format!(
                "make one (holdfast lockdown new-secret) or copy that of the other validators to {}; without one leave \
                 lockdown.secret_file empty: then this node neither votes in a lockdown nor counts votes",
                path.display()
            ),
            SecretFileError::Exposed { path, .. } => format!("chmod 600 {}", path.display()),
            _ => {
                "copy the file of another validator, or leave lockdown.secret_file empty".to_owned()
            }
        };
        Self::new(
            ExitCode::Keystore,
            "cannot use the cluster secret",
            error,
            next_step,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::lockdown::{LockdownMessage, Signed};
    use holdfast_types::{
        AuthorityIndex, ChainId, Era, KeyPair, LockdownTrigger, LockdownVoteBody, TimestampMs,
    };
    use std::os::unix::fs::PermissionsExt as _;

    const CHAIN: ChainId = ChainId::new([7; 32]);

    fn message() -> LockdownMessage {
        let body = LockdownVoteBody {
            era: Era(1),
            at: TimestampMs(5),
            trigger: LockdownTrigger::Operator,
            reason: Vec::new(),
        };
        let key = KeyPair::from_secret(&[1; 32]);
        LockdownMessage::Vote(Signed::sign(body, AuthorityIndex(0), &CHAIN, &key))
    }

    /// Whether what one says is heard by the other.
    fn hears(speaker: &Path, listener: &Path) -> bool {
        let said = read(speaker).unwrap().tag(&CHAIN, message(), 0);
        read(listener).unwrap().verify(&CHAIN, &said)
    }

    #[test]
    fn at_no_step_of_a_change_one_makes_tags_that_another_does_not_accept() {
        let folder = tempfile::tempdir().unwrap();
        let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
        create(&here).unwrap();
        std::fs::copy(&here, &there).unwrap();
        let old = folder.path().join("old");
        std::fs::copy(&here, &old).unwrap();
        for step in [
            RotationStep::Add,
            RotationStep::Switch,
            RotationStep::Finish,
        ] {
            rotate(&here, step).unwrap();
            assert!(hears(&here, &there) && hears(&there, &here), "{step:?}");
            std::fs::copy(&here, &there).unwrap();
        }
        assert!(!hears(&here, &old) && !hears(&old, &here));
    }

    /// Who repeats a step, or leaves one out, is told, and nothing is changed.
    #[test]
    fn a_step_is_taken_once_and_after_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.secret");
        create(&path).unwrap();
        for step in [
            RotationStep::Add,
            RotationStep::Switch,
            RotationStep::Finish,
        ] {
            for other in [
                RotationStep::Add,
                RotationStep::Switch,
                RotationStep::Finish,
            ] {
                if other != step {
                    let before = std::fs::read(&path).unwrap();
                    assert!(rotate(&path, other).is_err(), "{other:?} before {step:?}");
                    assert_eq!(std::fs::read(&path).unwrap(), before);
                }
            }
            rotate(&path, step).unwrap();
        }
    }

    #[test]
    fn a_new_file_is_private_and_never_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.secret");
        create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let failure = create(&path).unwrap_err();
        assert!(failure.next_step.contains("rotate-secret"), "{failure}");
    }

    #[test]
    fn a_file_that_breaks_a_rule_is_refused_with_the_rule() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.secret");
        let refusal = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&path).unwrap_err().to_string()
        };
        let digits = "01".repeat(31) + "02";
        let good = format!("current {digits}");
        let alone = format!("next {digits}");
        let twice = format!("{good}\n{good}");
        let three = format!("{good}\n{alone}\nprevious {digits}");
        let same = format!("current {}", "ff".repeat(32));
        for (text, mode, why) in [
            (good.as_str(), 0o640, "can be read by others (mode 0640)"),
            ("", 0o600, "holds 0 secrets"),
            (&alone, 0o600, "holds 1 secrets"),
            (&twice, 0o600, "holds 2 secrets"),
            (&three, 0o600, "holds 3 secrets"),
            (
                &digits,
                0o600,
                "line 1: a line is current, next or previous",
            ),
            ("current wheat", 0o600, "line 1: a line is"),
            (
                "# a comment\n\ncurrent 0123",
                0o600,
                "current: the cluster secret is 2 bytes long",
            ),
            (&same, 0o600, "current: all bytes"),
        ] {
            let refused = refusal(text, mode);
            assert!(refused.contains(why), "{refused}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(
            read(&path)
                .unwrap_err()
                .to_string()
                .contains("does not exist")
        );
    }
}
