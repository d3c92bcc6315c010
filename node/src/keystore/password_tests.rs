//! Every source, their order, and what each refuses.

use super::*;
use std::collections::VecDeque;
use std::fs::{Permissions, set_permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;

/// Answers with prepared lines; when none is left, nobody is there.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    left: VecDeque<&'static str>,
    /// Every question, in order.
    pub(crate) asked: Vec<String>,
}

impl Answers {
    pub(crate) fn of(answers: &[&'static str]) -> Self {
        Self {
            left: answers.iter().copied().collect(),
            asked: Vec::new(),
        }
    }
}

impl Prompt for Answers {
    fn is_interactive(&self) -> bool {
        !self.left.is_empty()
    }

    fn ask(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
        self.asked.push(question.to_owned());
        let answer = self.left.pop_front();
        let answer = answer.ok_or_else(|| io::Error::other("nobody is there"))?;
        Ok(Zeroizing::new(answer.to_owned()))
    }
}

fn private_file(folder: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn read(sources: &PasswordSources, environment: &Environment) -> Result<String, PasswordError> {
    sources
        .read(
            environment,
            &mut Answers::default(),
            "the key",
            Purpose::Open,
        )
        .map(|password| String::from_utf8(password.as_bytes().to_vec()).unwrap())
}

#[test]
fn the_first_source_that_is_given_counts() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = private_file(folder.path(), "pipe", "from-descriptor\n", 0o600);
    let pipe = File::open(pipe).unwrap();
    let file = private_file(folder.path(), "file", "from-file\r\n", 0o600);
    private_file(folder.path(), "holdfast-password", "from-credential", 0o440);
    let descriptor = u32::try_from(pipe.as_raw_fd()).unwrap();
    let credentials = folder.path().to_str().unwrap();
    let all = Environment::from([
        ("CREDENTIALS_DIRECTORY", credentials),
        ("HOLDFAST_PASSWORD", "from-variable"),
    ]);
    let variable = Environment::from([("HOLDFAST_PASSWORD", "from-variable")]);
    let sources = PasswordSources::current;
    assert_eq!(
        read(&sources(Some(descriptor), Some(file.clone())), &all).unwrap(),
        "from-descriptor"
    );
    assert_eq!(read(&sources(None, Some(file)), &all).unwrap(), "from-file");
    assert_eq!(read(&sources(None, None), &all).unwrap(), "from-credential");
    assert_eq!(
        read(&sources(None, None), &variable).unwrap(),
        "from-variable"
    );
    let error = read(&sources(None, None), &Environment::default()).unwrap_err();
    assert!(matches!(error, PasswordError::NoSource { .. }), "{error}");
}

#[test]
fn a_given_source_that_fails_is_not_skipped() {
    let environment = Environment::from([("HOLDFAST_PASSWORD", "from-variable")]);
    let sources = PasswordSources::current(None, Some("/nonexistent/password".into()));
    let error = read(&sources, &environment).unwrap_err();
    assert!(matches!(error, PasswordError::Unreadable { .. }), "{error}");
    let sources = PasswordSources::current(Some(999_999), None);
    let error = read(&sources, &environment).unwrap_err();
    assert!(matches!(error, PasswordError::Unreadable { .. }), "{error}");
}

#[test]
fn an_exposed_password_file_is_refused_but_a_systemd_credential_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = private_file(folder.path(), "file", "secret", 0o640);
    let sources = PasswordSources::current(None, Some(file));
    let error = read(&sources, &Environment::default()).unwrap_err();
    assert!(
        matches!(error, PasswordError::Exposed { mode: 0o640, .. }),
        "{error}"
    );
    let credentials = [("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())];
    assert_eq!(
        read(&sources, &Environment::from(credentials)).unwrap(),
        "secret"
    );
}

#[test]
fn empty_and_oversized_passwords_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = private_file(folder.path(), "empty", "\n", 0o600);
    let error = read(
        &PasswordSources::current(None, Some(empty)),
        &Environment::default(),
    );
    assert!(matches!(error.unwrap_err(), PasswordError::Empty { .. }));
    let huge = private_file(folder.path(), "huge", &"x".repeat(5000), 0o600);
    let error = read(
        &PasswordSources::current(None, Some(huge)),
        &Environment::default(),
    );
    assert!(matches!(
        error.unwrap_err(),
        PasswordError::Unreadable { .. }
    ));
}

#[test]
fn only_one_line_end_is_taken_off() {
    assert_eq!(
        Password::from(" pass word \n\n").as_bytes(),
        b" pass word \n"
    );
    assert_eq!(Password::from("pass\r\n").as_bytes(), b"pass");
    assert_eq!(Password::from("pass\r").as_bytes(), b"pass\r");
}

fn choose(answers: &[&'static str]) -> (Result<Password, PasswordError>, Vec<String>) {
    let mut prompt = Answers::of(answers);
    let sources = PasswordSources::current(None, None);
    let password = sources.read(
        &Environment::default(),
        &mut prompt,
        "the network key",
        Purpose::Choose,
    );
    (password, prompt.asked)
}

#[test]
fn a_new_password_is_asked_twice() {
    let (password, questions) = choose(&["correct horse", "correct horse"]);
    assert_eq!(password.unwrap().as_bytes(), b"correct horse");
    assert_eq!(
        questions,
        [
            "Password for the network key: ",
            "Once more, the password for the network key: "
        ]
    );
    let (mismatch, _) = choose(&["correct horse", "correct hose"]);
    assert!(matches!(mismatch.unwrap_err(), PasswordError::Mismatch));
    let (short, _) = choose(&["horse", "horse"]);
    assert!(matches!(short.unwrap_err(), PasswordError::TooShort));
}

#[test]
fn an_old_password_is_asked_once_and_may_be_short() {
    let mut prompt = Answers::of(&["horse"]);
    let sources = PasswordSources::current(None, None);
    let password = sources
        .read(
            &Environment::default(),
            &mut prompt,
            "the key",
            Purpose::Open,
        )
        .unwrap();
    assert_eq!(password.as_bytes(), b"horse");
    assert_eq!(prompt.asked.len(), 1);
}
