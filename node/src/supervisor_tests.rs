//! Every way in which a part ends, and what becomes of the node.

use super::*;
use std::sync::mpsc;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn failure_of(supervisor: &Supervisor) -> Failure {
    match supervisor.wait() {
        StopReason::Failed(failure) => failure,
        reason @ StopReason::Asked { .. } => panic!("{reason:?}"),
    }
}

fn asked(by: &str) -> StopReason {
    StopReason::Asked { by: by.to_owned() }
}

#[test]
fn a_node_that_is_asked_to_stop_ends_clean_once_its_parts_have() {
    let runtime = runtime();
    let supervisor = Supervisor::new();
    let (ended, order) = mpsc::channel();
    let stopping = supervisor.stopping();
    let _guard = runtime.enter();
    let sender = ended.clone();
    supervisor.spawn_task("p2p", async move {
        stopping.cancelled().await;
        sender.send("p2p").unwrap();
        Ok(())
    });
    let (command, commands) = mpsc::channel::<()>();
    supervisor
        .spawn_thread("core", move || {
            assert!(commands.recv().is_err());
            ended.send("core").unwrap();
            Ok(())
        })
        .unwrap();
    supervisor.stop(asked("SIGTERM"));
    drop(command);
    assert_eq!(supervisor.run_to_end(), Ok(()));
    let mut names: Vec<_> = order.iter().collect();
    names.sort_unstable();
    assert_eq!(names, ["core", "p2p"]);
}

#[test]
fn a_thread_that_panics_stops_the_node_with_its_words() {
    let supervisor = Supervisor::new();
    supervisor
        .spawn_thread("core", || panic!("height {} is missing", 7))
        .unwrap();
    let failure = failure_of(&supervisor);
    assert_eq!(failure.code, ExitCode::Internal);
    assert!(
        failure
            .why
            .starts_with("core panicked: height 7 is missing"),
        "{failure}"
    );
    assert!(supervisor.stopping().is_cancelled());
    assert_eq!(supervisor.run_to_end(), Err(failure));
}

#[test]
fn a_task_that_panics_stops_the_node() {
    let runtime = runtime();
    let supervisor = Supervisor::new();
    let _guard = runtime.enter();
    supervisor.spawn_task("rpc", async { panic!("no such method") });
    let failure = failure_of(&supervisor);
    assert!(
        failure.why.starts_with("rpc panicked: no such method"),
        "{failure}"
    );
}

#[test]
fn a_part_that_ends_by_itself_stops_the_node() {
    let supervisor = Supervisor::new();
    supervisor.spawn_thread("verifier", || Ok(())).unwrap();
    let failure = failure_of(&supervisor);
    assert_eq!(failure.code, ExitCode::Internal);
    assert_eq!(
        failure.why,
        "verifier ended though the node was not stopping"
    );
}

#[test]
fn a_part_that_fails_keeps_its_exit_code() {
    let supervisor = Supervisor::new();
    let full = Failure::disk("cannot write", &io::Error::from(io::ErrorKind::StorageFull));
    let given = full.clone();
    supervisor
        .spawn_thread("storage", move || Err(given))
        .unwrap();
    assert_eq!(failure_of(&supervisor), full);
}

/// A failing part lets go of its channels before it says why; those that live on these end first, and must not be blamed.
#[test]
fn the_part_that_failed_is_named_and_not_those_that_end_because_of_it() {
    let runtime = runtime();
    let supervisor = Supervisor::new();
    let _guard = runtime.enter();
    let (messages, mut received) = tokio::sync::mpsc::unbounded_channel::<()>();
    let (commands, taken) = mpsc::channel::<()>();
    let (ended, order) = mpsc::channel();
    let task_ended = ended.clone();
    supervisor.spawn_task("network-outbound", async move {
        assert_eq!(received.recv().await, None);
        task_ended.send(()).unwrap();
        Ok(())
    });
    supervisor
        .spawn_thread("execution", move || {
            assert!(taken.recv().is_err());
            ended.send(()).unwrap();
            Ok(())
        })
        .unwrap();
    let full = Failure::disk("cannot write", &io::Error::from(io::ErrorKind::StorageFull));
    let given = full.clone();
    supervisor
        .spawn_thread("core", move || {
            drop((messages, commands));
            // Both have ended before this one says anything.
            order.recv().unwrap();
            order.recv().unwrap();
            Err(given)
        })
        .unwrap();
    assert_eq!(failure_of(&supervisor), full);
}

#[test]
fn a_task_whose_runtime_goes_away_stops_the_node() {
    let runtime = runtime();
    let supervisor = Supervisor::new();
    {
        let _guard = runtime.enter();
        supervisor.spawn_task("p2p", std::future::pending());
    }
    runtime.shutdown_background();
    let failure = failure_of(&supervisor);
    assert_eq!(
        failure.why,
        "p2p was dropped though the node was not stopping"
    );
}

#[test]
fn the_first_reason_counts() {
    let supervisor = Supervisor::new();
    supervisor.stop(asked("SIGTERM"));
    supervisor
        .spawn_thread("core", || panic!("while stopping"))
        .unwrap();
    assert_eq!(
        supervisor.drain(Duration::from_secs(60)),
        Vec::<String>::new()
    );
    assert_eq!(supervisor.wait(), asked("SIGTERM"));
}

#[test]
fn a_part_that_hangs_is_named_and_not_waited_for() {
    let supervisor = Supervisor::new();
    let (release, held) = mpsc::channel::<()>();
    supervisor
        .spawn_thread("compaction", move || {
            let _closed = held.recv();
            Ok(())
        })
        .unwrap();
    supervisor.stop(asked("SIGTERM"));
    assert_eq!(supervisor.drain(Duration::from_millis(1)), ["compaction"]);
    drop(release);
    assert_eq!(
        supervisor.drain(Duration::from_secs(60)),
        Vec::<String>::new()
    );
}
