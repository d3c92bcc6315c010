//! Real children: small shell scripts in the place of nodes.

use super::*;
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Long enough never to be reached by a test that passes.
const LONG: Duration = Duration::from_secs(60);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("node.log")
    }

    fn spawn(&self, script: &str) -> NodeProcess {
        NodeProcess::spawn(NodeCommand {
            name: "v0".into(),
            executable: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("DEVNET_TEST".into(), "from the parent".into())],
            log_file: self.log(),
        })
        .unwrap()
    }

    /// Waits until the child has written `text` to its log, which every script here does.
    async fn logged(&self, text: &str) {
        let polling = async {
            while !std::fs::read_to_string(self.log()).unwrap().contains(text) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, polling)
            .await
            .expect("the script writes the text");
    }
}

#[tokio::test]
async fn output_and_environment_reach_the_log() {
    let place = Place::new();
    let mut node = place.spawn("echo \"$DEVNET_TEST\"; echo trouble >&2; exit 7");
    assert_eq!(node.wait().await.unwrap().code(), Some(7));
    assert_eq!(
        std::fs::read_to_string(place.log()).unwrap(),
        "from the parent\ntrouble\n"
    );
    node.terminate().unwrap();
    assert_eq!(node.pid(), None);
}

#[tokio::test]
async fn a_child_that_obeys_ends_on_sigterm() {
    let place = Place::new();
    let mut node = place.spawn("trap 'exit 3' TERM; echo up; while :; do read line; done");
    place.logged("up").await;
    assert_eq!(node.ended().unwrap(), None);
    match node.stop(LONG).await.unwrap() {
        Stopped::Ended(status) => assert_eq!(status.code(), Some(3)),
        Stopped::Killed => panic!("it would have ended by itself"),
    }
}

#[tokio::test]
async fn a_child_that_does_not_obey_is_killed() {
    let place = Place::new();
    let mut node = place.spawn("trap '' TERM; echo up; while read line; do :; done");
    place.logged("up").await;
    assert_eq!(
        node.stop(Duration::from_millis(1)).await.unwrap(),
        Stopped::Killed
    );
}

#[tokio::test]
async fn kill_ends_a_child_at_once() {
    let place = Place::new();
    let mut node = place.spawn("read line");
    node.kill().await.unwrap();
    assert_eq!(node.ended().unwrap().unwrap().signal(), Some(9));
}

/// The pipe is what tells a child that its parent is gone.
#[tokio::test]
async fn standard_input_ends_with_the_parent() {
    let place = Place::new();
    let mut node = place.spawn("read line; echo parent gone; exit 0");
    assert_eq!(node.ended().unwrap(), None);
    node._stdin = None;
    assert_eq!(node.child.wait().await.unwrap().code(), Some(0));
    place.logged("parent gone").await;
}

#[tokio::test]
async fn all_children_are_stopped_together() {
    let places = [Place::new(), Place::new(), Place::new()];
    let mut nodes: Vec<_> = places
        .iter()
        .map(|place| place.spawn("echo up; read line"))
        .collect();
    for place in &places {
        place.logged("up").await;
    }
    let stopped = stop_all(&mut nodes, LONG).await.unwrap();
    let signals: Vec<_> = stopped
        .iter()
        .map(|stopped| match stopped {
            Stopped::Ended(status) => status.signal(),
            Stopped::Killed => None,
        })
        .collect();
    assert_eq!(signals, [Some(15); 3]);
}

async fn ready_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read(&mut [0; 1024]).await.unwrap();
        assert!(length > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    });
    address
}

#[tokio::test]
async fn a_child_is_ready_when_it_says_so() {
    let place = Place::new();
    let mut node = place.spawn("read line");
    node.wait_ready(ready_server().await, LONG).await.unwrap();
    node.kill().await.unwrap();
}

#[tokio::test]
async fn a_child_that_ends_early_is_reported_with_the_end_of_its_log() {
    let place = Place::new();
    let mut node = place.spawn("echo error: port taken >&2; exit 32");
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let error = node.wait_ready(nobody, LONG).await.unwrap_err();
    assert!(matches!(error, ProcessError::EndedEarly { .. }), "{error}");
    assert!(error.to_string().ends_with("error: port taken"), "{error}");
}

#[tokio::test]
async fn a_child_that_is_never_ready_is_reported_after_the_limit() {
    let place = Place::new();
    let mut node = place.spawn("echo starting; read line");
    place.logged("starting").await;
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let error = node
        .wait_ready(nobody, Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(matches!(error, ProcessError::NotReady { .. }), "{error}");
    assert!(error.to_string().ends_with("starting"), "{error}");
    node.kill().await.unwrap();
}

#[tokio::test]
async fn an_executable_that_is_not_there_is_named() {
    let place = Place::new();
    let error = NodeProcess::spawn(NodeCommand {
        name: "v9".into(),
        executable: "/nonexistent/holdfast".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
        log_file: place.log(),
    })
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("v9: cannot start /nonexistent/holdfast"),
        "{error}"
    );
}

#[test]
fn the_end_of_a_long_log_is_its_last_lines() {
    let place = Place::new();
    let lines: Vec<String> = (0..10_000).map(|number| format!("line {number}")).collect();
    std::fs::write(place.log(), lines.join("\n")).unwrap();
    assert_eq!(log_tail(&place.log(), 2).unwrap(), "line 9998\nline 9999");
}
