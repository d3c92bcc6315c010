//! What an operator meets on a bad day, with the real binary: the documented exit code, the three lines that say what
//! failed, why and what to do, and nothing reset in silence.

use holdfast::devnet::homes::{DevnetNode, DevnetSpec, create};
use holdfast::devnet::process::{NodeProcess, Stopped};
use holdfast::devnet::session::command;
use holdfast_genesis::{GenesisTime, Template};
use holdfast_types::TimestampMs;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// One validator, which is a chain of its own.
struct Node {
    node: DevnetNode,
    folder: TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = homes(&folder.path().join("devnet"), 1).remove(0);
        Self { node, folder }
    }

    /// A node whose store holds some blocks.
    async fn with_blocks() -> Self {
        let node = Self::new();
        let mut process = node.start();
        process.wait_ready(node.node.rpc, PATIENCE).await.unwrap();
        let Stopped::Ended(status) = process.stop(PATIENCE).await.unwrap() else {
            panic!("the node did not stop");
        };
        assert_eq!(status.code(), Some(0));
        node
    }

    fn start(&self) -> NodeProcess {
        let executable = Path::new(env!("CARGO_BIN_EXE_holdfast"));
        NodeProcess::spawn(command(&self.node, executable)).unwrap()
    }

    /// Runs the node until it ends by itself: exit code, and what it said.
    async fn fails(&self, environment: &[(&str, &str)], prefix: &[&str]) -> (i32, String) {
        let mut command = command(&self.node, Path::new(env!("CARGO_BIN_EXE_holdfast")));
        command.log_file = self.folder.path().join("failing.log");
        for (name, value) in environment {
            command
                .environment
                .push(((*name).to_owned(), OsString::from(value)));
        }
        if let Some((executable, arguments)) = prefix.split_first() {
            let inner = std::mem::replace(&mut command.executable, executable.into());
            let mut outer: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            outer.push(inner.into_os_string());
            outer.append(&mut command.arguments);
            command.arguments = outer;
        }
        let log = command.log_file.clone();
        let mut process = NodeProcess::spawn(command).unwrap();
        let status = tokio::time::timeout(PATIENCE, process.wait())
            .await
            .expect("the node ends by itself")
            .unwrap();
        let said = fs::read_to_string(log).unwrap();
        (status.code().expect("it is not killed"), said)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.node.home.join(name)
    }
}

fn homes(directory: &Path, validators: u16) -> Vec<DevnetNode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let devnet = create(DevnetSpec {
        directory: directory.to_owned(),
        validators,
        accounts: 2,
        template: Template::Devnet,
        genesis_time: GenesisTime(TimestampMs(now.as_millis() as u64)),
        epoch_duration_ms: None,
        masters: 1,
        islands: Vec::new(),
        settings: BTreeMap::new(),
    })
    .unwrap();
    drop(devnet.ports);
    devnet.nodes
}

/// The three lines of a failure, with the words that an operator needs.
fn assert_explained((code, said): (i32, String), expected: i32, words: &[&str]) {
    assert_eq!(code, expected, "{said}");
    for line in ["error: ", "  why: ", "to do: "] {
        assert!(
            said.lines().any(|said| said.starts_with(line)),
            "{line}\n{said}"
        );
    }
    for word in words {
        assert!(said.contains(word), "{word}\n{said}");
    }
}

#[tokio::test]
async fn a_wrong_password() {
    let node = Node::new();
    let ended = node.fails(&[("HOLDFAST_PASSWORD", "wrong")], &[]).await;
    assert_explained(ended, 23, &["the password is wrong", "network.json"]);
}

#[tokio::test]
async fn ports_that_others_use() {
    let node = Node::new();
    let taken = TcpListener::bind(node.node.rpc).unwrap();
    let ended = node.fails(&[], &[]).await;
    assert_explained(ended, 32, &["rpc.listen", &node.node.rpc.to_string()]);
    drop(taken);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let listen = format!("[\"/ip4/127.0.0.1/tcp/{port}\"]");
    let ended = node.fails(&[("HOLDFAST_P2P__LISTEN", &listen)], &[]).await;
    assert_explained(ended, 32, &["p2p.listen"]);
}

#[tokio::test]
async fn a_sign_guard_that_is_missing_or_foreign() {
    let node = Node::with_blocks().await;
    let guard = node.path("keys/validator.guard");
    let own = fs::read(&guard).unwrap();
    fs::remove_file(&guard).unwrap();
    let ended = node.fails(&[], &[]).await;
    assert_explained(ended, 21, &["there is no sign guard", "validator.guard"]);
    assert!(!guard.exists(), "no guard is made in silence");

    // The keys of a devnet are the same every time, so it takes the second validator of another.
    let others = homes(&node.folder.path().join("other"), 2);
    fs::copy(others[1].home.join("keys/validator.guard"), &guard).unwrap();
    let ended = node.fails(&[], &[]).await;
    assert_explained(ended, 21, &["belongs to key"]);

    // With its own guard back it goes on.
    fs::write(&guard, own).unwrap();
    let mut process = node.start();
    process.wait_ready(node.node.rpc, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_second_process_with_the_same_home() {
    let node = Node::new();
    let mut first = node.start();
    first.wait_ready(node.node.rpc, PATIENCE).await.unwrap();
    let ended = node.fails(&[], &[]).await;
    assert_explained(
        ended,
        1,
        &["another process (pid", "stop the other process"],
    );
    first.wait_ready(node.node.rpc, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn the_genesis_of_another_chain() {
    let node = Node::with_blocks().await;
    let genesis = node.path("genesis.toml");
    let text = fs::read_to_string(&genesis).unwrap();
    let other = text.replace("holdfast-devnet", "another-chain");
    assert_ne!(text, other);
    fs::write(&genesis, other).unwrap();
    let ended = node.fails(&[], &[]).await;
    assert_explained(ended, 24, &["belongs to chain"]);
}

#[tokio::test]
async fn a_damaged_database() {
    let node = Node::with_blocks().await;
    let current = node.path("data/CURRENT");
    fs::remove_file(&current).unwrap();
    let ended = node.fails(&[], &[]).await;
    assert_explained(ended, 31, &["CURRENT", "leave the sign guard in its place"]);
    assert!(!current.exists(), "no database is made anew in silence");
}

/// A disk so small that the node fills it, made in a mount namespace of its own.
#[tokio::test]
async fn a_full_disk() {
    let node = Node::new();
    let data = node.path("data");
    fs::create_dir_all(&data).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=300k none '{}' && exec \"$@\"",
        data.display()
    );
    let prefix = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        &script,
        "sh",
    ];
    let ended = node.fails(&[], &prefix).await;
    assert_explained(ended, 30, &["no space left", "free disk space"]);
}
