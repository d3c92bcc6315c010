//! A machine with a home of its own, on which tests type command lines.

use super::{Context, run};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::keystore::Answers;
use std::path::{Path, PathBuf};

pub(super) struct Machine {
    pub(super) folder: tempfile::TempDir,
    pub(super) environment: Environment,
}

impl Machine {
    pub(super) fn new() -> Self {
        let environment = Environment::from([
            ("HOLDFAST_PASSWORD", "correct horse"),
            ("HOLDFAST_NEW_PASSWORD", "battery staple"),
        ]);
        Self {
            folder: tempfile::tempdir().unwrap(),
            environment,
        }
    }

    pub(super) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// A path beside the home.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        match self.run_to_end(arguments) {
            (output, None) => Ok(output),
            (_, Some(failure)) => Err(failure),
        }
    }

    /// What was printed, and the failure if there was one. Nobody is there to ask.
    pub(super) fn run_to_end(&self, arguments: &[&str]) -> (String, Option<Failure>) {
        self.run_before(&mut Answers::default(), arguments)
    }

    /// The same before somebody who answers.
    pub(super) fn run_before(
        &self,
        prompt: &mut Answers,
        arguments: &[&str],
    ) -> (String, Option<Failure>) {
        let mut out = Vec::new();
        let mut context = Context {
            environment: self.environment.clone(),
            out: &mut out,
            prompt,
        };
        let home = self.home();
        let line = ["holdfast", "--home", home.to_str().unwrap()].into_iter();
        let result = run(line.chain(arguments.iter().copied()), &mut context);
        (String::from_utf8(out).unwrap(), result.err())
    }

    /// Runs and expects a failure.
    pub(super) fn failure(&self, arguments: &[&str]) -> Failure {
        self.run(arguments).expect_err("a failure")
    }

    pub(super) fn key(&self, name: &str) -> String {
        self.home().join("keys").join(name).display().to_string()
    }

    pub(super) fn text(&self, path: &Path) -> String {
        std::fs::read_to_string(self.home().join(path)).unwrap()
    }
}
