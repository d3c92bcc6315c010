//! SIGTERM and SIGINT stop a node gracefully. Alone in this file: signal handlers are the process's.

use holdfast::signals::StopSignals;
use holdfast::supervisor::{StopReason, Supervisor};
use rustix::process::{Signal, getpid, kill_process};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn each_signal_stops_the_node_under_its_name() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let supervisor = Supervisor::new();
        let said = Arc::new(AtomicBool::new(false));
        let stopping = supervisor.stopping();
        let listening = {
            let _guard = runtime.enter();
            supervisor.spawn_task("p2p", async move {
                stopping.cancelled().await;
                Ok(())
            });
            let signals = StopSignals::listen().unwrap();
            let farewell = {
                let said = Arc::clone(&said);
                async move { said.store(true, Ordering::SeqCst) }
            };
            tokio::spawn(signals.stop_on_first_exit_on_second(supervisor.clone(), farewell))
        };
        kill_process(getpid(), signal).unwrap();
        assert_eq!(
            supervisor.wait(),
            StopReason::Asked {
                by: name.to_owned()
            }
        );
        assert!(said.load(Ordering::SeqCst), "the farewell comes first");
        assert_eq!(supervisor.run_to_end(), Ok(()));
        // Else it would take the signal of the next round for a second one.
        listening.abort();
        assert!(runtime.block_on(listening).unwrap_err().is_cancelled());
    }
}
