//! The governors of a drill: the commands of the runbooks, run in this process with the keys of the devnet.

use crate::cli::Context;
use crate::devnet::homes::{GOVERNORS_FOLDER, PASSWORD};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::keystore::TerminalPrompt;
use holdfast_types::ChainId;
use std::path::{Path, PathBuf};

/// As many governors as have to sign.
#[derive(Debug)]
pub(super) struct Governors {
    devnet: PathBuf,
    chain: ChainId,
    threshold: u16,
}

/// A message with all its signatures.
#[derive(Debug)]
pub(super) struct SignedOrder {
    file: String,
    /// What `draft` said.
    pub(super) sheet: String,
}

impl Governors {
    pub(super) fn new(devnet: &Path, chain: ChainId, threshold: u16) -> Self {
        Self {
            devnet: devnet.to_owned(),
            chain,
            threshold,
        }
    }

    /// An order to halt, ready for submission to any node.
    pub(super) fn halt(&self, url: &str) -> Result<SignedOrder, Failure> {
        self.order("halt", &["halt", "--from-node", url, "--for", "10m"])
    }

    /// An order to resume as the node at `url` sees the chain.
    pub(super) fn resume(&self, url: &str) -> Result<SignedOrder, Failure> {
        self.order("resume", &["resume", "--from-node", url])
    }

    fn order(&self, name: &str, draft: &[&str]) -> Result<SignedOrder, Failure> {
        let file = self.devnet.join(format!("{name}.json"));
        // A draft before this one may have come to nothing.
        drop(std::fs::remove_file(&file));
        let file = file.display().to_string();
        let mut line = vec!["governance", "draft"];
        line.extend(draft);
        line.extend(["--reason", "a drill", "--output", &file]);
        let sheet = command(&line)?;
        let chain = self.chain.to_string();
        for number in 0..self.threshold {
            let key = format!("governor-{number}.json");
            let key = self.devnet.join(GOVERNORS_FOLDER).join(key);
            let key = key.display().to_string();
            let sign = ["governance", "sign", &file, "--key", &key];
            let rest = ["--chain-id", &chain, "--yes"];
            command(&[&sign[..], &rest[..]].concat())?;
        }
        Ok(SignedOrder { file, sheet })
    }
}

impl SignedOrder {
    pub(super) fn submit(&self, url: &str) -> Result<(), Failure> {
        command(&["governance", "submit", &self.file, "--rpc", url]).map(drop)
    }
}

/// Runs a command line, and gives what it prints.
fn command(line: &[&str]) -> Result<String, Failure> {
    let mut printed = Vec::new();
    let mut context = Context {
        environment: Environment::from([("HOLDFAST_PASSWORD", PASSWORD)]),
        out: &mut printed,
        prompt: &mut TerminalPrompt,
    };
    let line = std::iter::once("holdfast").chain(line.iter().copied());
    // The commands wait for nodes with threads of their own.
    tokio::task::block_in_place(|| crate::cli::run(line, &mut context))?;
    Ok(String::from_utf8_lossy(&printed).into_owned())
}
