//! Where a password comes from.
//!
//! The first source that is given counts, in this order: a file descriptor, a file, a systemd credential, an
//! environment variable, a question on the terminal. A source that is given and fails is an error: the next one is
//! not tried, because it may hold another password.

use crate::durable_file::read_bounded;
use crate::environment::Environment;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const PASSWORD_BYTES_MAX: u64 = 4096;
/// A password shorter than this is refused when a key is made.
const NEW_PASSWORD_CHARACTERS_MIN: usize = 8;

/// A password; wiped from memory when dropped, never printed.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the bytes as they are, less one line end.
    #[must_use]
    pub fn new(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn characters(&self) -> usize {
        String::from_utf8_lossy(&self.0).chars().count()
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self::new(Zeroizing::new(text.as_bytes().to_vec()))
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// No password was to be had.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("no password was given and there is no terminal to ask on")]
    NoSource {
        flag: &'static str,
        credential: &'static str,
        variable: &'static str,
    },
    #[error("cannot read {origin}: {source}")]
    Unreadable { origin: String, source: io::Error },
    #[error("{origin} can be read by others (mode {mode:04o})")]
    Exposed {
        path: PathBuf,
        origin: String,
        mode: u32,
    },
    #[error("{origin} holds an empty password")]
    Empty { origin: String },
    #[error("the password has fewer than {NEW_PASSWORD_CHARACTERS_MIN} characters")]
    TooShort,
    #[error("the two passwords are not the same")]
    Mismatch,
}

/// Asks a person. A double of it answers in tests.
pub trait Prompt {
    /// Whether somebody is there to answer.
    fn is_interactive(&self) -> bool;

    /// Shows `question` and reads one line that is not echoed.
    ///
    /// # Errors
    /// When the terminal goes away or the person interrupts.
    fn ask(&mut self, question: &str) -> io::Result<Zeroizing<String>>;

    /// Shows `question`; true if the answer is yes.
    ///
    /// # Errors
    /// When the terminal goes away or the person interrupts.
    fn confirm(&mut self, question: &str) -> io::Result<bool> {
        Ok(self.ask(question)?.trim() == "yes")
    }
}

/// The controlling terminal.
#[derive(Debug)]
pub struct TerminalPrompt;

impl Prompt for TerminalPrompt {
    fn is_interactive(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn ask(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
        rpassword::prompt_password(question).map(Zeroizing::new)
    }

    fn confirm(&mut self, question: &str) -> io::Result<bool> {
        let mut terminal = io::stderr();
        write!(terminal, "{question}")?;
        terminal.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(answer.trim() == "yes")
    }
}

/// Whether the password opens something or is being chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Asked once; of any length.
    Open,
    /// Asked twice on a terminal; not too short.
    Choose,
}

/// The places in which one password may be found.
#[derive(Clone, Debug)]
pub struct PasswordSources {
    /// An open file descriptor, as inherited from the parent process.
    pub descriptor: Option<u32>,
    /// A file that only its owner may read.
    pub file: Option<PathBuf>,
    /// Name of the systemd credential.
    pub credential: &'static str,
    /// Name of the environment variable.
    pub variable: &'static str,
    /// Name of the flag that the advice mentions.
    pub flag: &'static str,
}

impl PasswordSources {
    /// The password that opens the keys of a node.
    #[must_use]
    pub const fn current(descriptor: Option<u32>, file: Option<PathBuf>) -> Self {
        Self {
            descriptor,
            file,
            credential: "holdfast-password",
            variable: "HOLDFAST_PASSWORD",
            flag: "--password-file",
        }
    }

    /// The password that takes the place of the current one.
    #[must_use]
    pub const fn replacement(descriptor: Option<u32>, file: Option<PathBuf>) -> Self {
        Self {
            descriptor,
            file,
            credential: "holdfast-new-password",
            variable: "HOLDFAST_NEW_PASSWORD",
            flag: "--new-password-file",
        }
    }

    /// Reads the password from the first source that is given. `label` says what it is for, on the terminal.
    ///
    /// # Errors
    /// When no source is given, or the one that is given does not hold an acceptable password.
    pub fn read(
        &self,
        environment: &Environment,
        prompt: &mut dyn Prompt,
        label: &str,
        purpose: Purpose,
    ) -> Result<Password, PasswordError> {
        let (password, origin) = match self.unattended(environment)? {
            Some(found) => found,
            None if prompt.is_interactive() => (ask(prompt, label, purpose)?, "the answer".into()),
            None => {
                let Self {
                    flag,
                    credential,
                    variable,
                    ..
                } = *self;
                return Err(PasswordError::NoSource {
                    flag,
                    credential,
                    variable,
                });
            }
        };
        if password.as_bytes().is_empty() {
            return Err(PasswordError::Empty { origin });
        }
        if purpose == Purpose::Choose && password.characters() < NEW_PASSWORD_CHARACTERS_MIN {
            return Err(PasswordError::TooShort);
        }
        Ok(password)
    }

    fn unattended(
        &self,
        environment: &Environment,
    ) -> Result<Option<(Password, String)>, PasswordError> {
        let credentials = environment.path("CREDENTIALS_DIRECTORY");
        if let Some(descriptor) = self.descriptor {
            let origin = format!("file descriptor {descriptor}");
            // Opening the descriptor's name works for pipes and files without taking over the descriptor itself.
            let file = File::open(format!("/dev/fd/{descriptor}"));
            return read_password(file, &origin).map(|password| Some((password, origin)));
        }
        if let Some(path) = &self.file {
            let trusted = credentials
                .as_ref()
                .is_some_and(|folder| path.starts_with(folder));
            return read_file(path, trusted).map(Some);
        }
        if let Some(folder) = credentials {
            let path = folder.join(self.credential);
            if path.exists() {
                return read_file(&path, true).map(Some);
            }
        }
        Ok(environment.get(self.variable).map(|value| {
            let bytes = Zeroizing::new(value.as_encoded_bytes().to_vec());
            (
                Password::new(bytes),
                format!("the environment variable {}", self.variable),
            )
        }))
    }
}

/// `trusted` files are systemd credentials: their access list shows as a group mode, and only the service sees them.
fn read_file(path: &Path, trusted: bool) -> Result<(Password, String), PasswordError> {
    let origin = format!("the password file {}", path.display());
    let unreadable = |source| PasswordError::Unreadable {
        origin: origin.clone(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if !trusted && mode & 0o077 != 0 {
        return Err(PasswordError::Exposed {
            path: path.to_owned(),
            origin,
            mode,
        });
    }
    let password = read_password(Ok(file), &origin)?;
    Ok((password, origin))
}

fn read_password(file: io::Result<File>, origin: &str) -> Result<Password, PasswordError> {
    let unreadable = |source| PasswordError::Unreadable {
        origin: origin.to_owned(),
        source,
    };
    let bytes = file
        .and_then(|mut file| read_bounded(&mut file, PASSWORD_BYTES_MAX))
        .map(Zeroizing::new)
        .map_err(unreadable)?;
    Ok(Password::new(bytes))
}

fn ask(prompt: &mut dyn Prompt, label: &str, purpose: Purpose) -> Result<Password, PasswordError> {
    let mut question = |text: String| {
        prompt
            .ask(&text)
            .map_err(|source| PasswordError::Unreadable {
                origin: "the terminal".into(),
                source,
            })
    };
    let first = question(format!("Password for {label}: "))?;
    if purpose == Purpose::Choose {
        let second = question(format!("Once more, the password for {label}: "))?;
        if *first != *second {
            return Err(PasswordError::Mismatch);
        }
    }
    Ok(Password::from(first.as_str()))
}

#[cfg(test)]
#[path = "password_tests.rs"]
pub(super) mod tests;
