//! The home folder of a node: where it is and what lies where.

use crate::environment::Environment;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::keystore::KeyKind;
use std::path::{Path, PathBuf};

/// Paths below one home folder, as the default configuration has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// `HOLDFAST_HOME`, else `$XDG_DATA_HOME/holdfast`, else `~/.holdfast`.
    ///
    /// # Errors
    /// When the environment names no home at all.
    pub fn default_of(environment: &Environment) -> Result<Self, Failure> {
        if let Some(path) = environment.path("HOLDFAST_HOME") {
            return Ok(Self(path));
        }
        // The XDG specification says that a relative path there is to be ignored.
        if let Some(path) = environment
            .path("XDG_DATA_HOME")
            .filter(|path| path.is_absolute())
        {
            return Ok(Self(path.join("holdfast")));
        }
        environment
            .path("HOME")
            .map(|path| Self(path.join(".holdfast")))
            .ok_or_else(|| {
                Failure::new(
                    ExitCode::Usage,
                    "cannot tell where the home folder is",
                    "none of HOLDFAST_HOME, XDG_DATA_HOME and HOME is set",
                    "name it: --home DIR",
                )
            })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.0.join(crate::config::FILE_NAME)
    }

    #[must_use]
    pub fn genesis_file(&self) -> PathBuf {
        self.0.join("genesis.toml")
    }

    #[must_use]
    pub fn keys_folder(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// What a caller shows to change the running node; the node writes it when it starts.
    #[must_use]
    pub fn admin_token_file(&self) -> PathBuf {
        self.0.join("admin.token")
    }

    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        self.0.join("data")
    }

    #[must_use]
    pub fn key_file(&self, kind: KeyKind) -> PathBuf {
        self.keys_folder().join(match kind {
            KeyKind::Validator => "validator.json",
            KeyKind::Account => "account.json",
            KeyKind::Network => "network.json",
            KeyKind::Governor => "governor.json",
            KeyKind::Emergency => "emergency.json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(environment: Environment) -> PathBuf {
        Home::default_of(&environment).unwrap().0
    }

    #[test]
    fn the_home_is_where_the_environment_says() {
        let all = [
            ("HOLDFAST_HOME", "/a"),
            ("XDG_DATA_HOME", "/b"),
            ("HOME", "/c"),
        ];
        assert_eq!(home(Environment::from(all)), Path::new("/a"));
        let xdg = [("XDG_DATA_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(home(Environment::from(xdg)), Path::new("/b/holdfast"));
        let relative = [("XDG_DATA_HOME", "b"), ("HOME", "/c")];
        assert_eq!(home(Environment::from(relative)), Path::new("/c/.holdfast"));
        let failure = Home::default_of(&Environment::default()).unwrap_err();
        assert!(failure.next_step.contains("--home"), "{failure}");
    }

    #[test]
    fn the_layout_is_that_of_the_default_configuration() {
        let home = Home::at("/h".into());
        let environment = Environment::default();
        let sources = crate::config::Sources {
            home: home.path(),
            file: &home.config_file(),
            file_required: false,
            environment: &environment,
            overrides: &[],
        };
        let config = crate::config::load(&sources).unwrap().config;
        assert_eq!(config.node().genesis_file, home.genesis_file());
        assert_eq!(config.storage().data_dir, home.data_folder());
        assert_eq!(config.p2p().key_file, home.key_file(KeyKind::Network));
    }
}
