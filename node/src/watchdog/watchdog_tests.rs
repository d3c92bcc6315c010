//! The watchdog over threads that really freeze. Nothing here waits for time to pass: threads say where they are, and looks
//! are taken one by one, or the service manager's socket is read.

use super::*;
use crate::environment::Environment;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, mpsc};
use std::thread::JoinHandle;

const FAST: Limits = Limits {
    frozen_after: Duration::from_millis(50),
    give_up_after: Duration::from_secs(3600),
};

/// A part that beats when told to, until it is told to take a lock that somebody else holds.
struct Worker {
    orders: mpsc::Sender<Order>,
    done: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

enum Order {
    Beat,
    Lock,
}

impl Worker {
    fn start(name: &str, heartbeat: Heartbeat, lock: &Arc<Mutex<()>>) -> Self {
        let (orders, received) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let lock = Arc::clone(lock);
        let body = move || {
            for order in received {
                if matches!(order, Order::Lock) {
                    let _held = lock.lock();
                }
                heartbeat.beat();
                if finished.send(()).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        Self {
            orders,
            done,
            thread: thread.spawn(body).unwrap(),
        }
    }

    fn beat(&self) {
        self.orders.send(Order::Beat).unwrap();
        self.done.recv().unwrap();
    }

    fn end(self) {
        drop(self.orders);
        self.thread.join().unwrap();
    }
}

#[test]
fn a_thread_that_waits_for_a_lock_is_frozen_and_one_that_gets_it_is_not() {
    let (mut watchdog, [core, execution]) = Watchdog::over(["core", "execution"], FAST, None);
    let vitals = watchdog.vitals();
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().unwrap();
    let worker = Worker::start("frozen-part", core, &lock);
    let mut look = |execution: &Heartbeat| {
        execution.beat();
        watchdog.look()
    };
    for _ in 0..2 * LOOKS_UNTIL_FROZEN {
        worker.beat();
        assert_eq!(look(&execution), []);
    }
    worker.orders.send(Order::Lock).unwrap();
    for _ in 1..LOOKS_UNTIL_FROZEN {
        assert_eq!(look(&execution), []);
        assert_eq!(vitals.frozen(), None);
    }
    let frozen = Finding::Frozen("core", FAST.frozen_after);
    assert_eq!(look(&execution), [frozen]);
    assert_eq!(
        vitals.frozen().as_deref(),
        Some("the core thread has not moved for 0.1 s")
    );
    // It was told to wait for the lock, and will: the kernel says when it does.
    while !threads::in_words().contains("frozen-part S") {
        std::thread::yield_now();
    }
    // It is said once, and the time goes on.
    for _ in 0..LOOKS_UNTIL_FROZEN {
        assert_eq!(look(&execution), []);
    }
    assert_eq!(
        vitals.frozen().as_deref(),
        Some("the core thread has not moved for 0.1 s")
    );
    drop(held);
    worker.done.recv().unwrap();
    let back = Finding::Back("core", FAST.frozen_after * 2);
    assert_eq!(look(&execution), [back]);
    assert_eq!(vitals.frozen(), None);
    worker.end();
}

/// A service manager: a socket, and the environment that names it.
fn service_manager(folder: &tempfile::TempDir) -> (UnixDatagram, Environment) {
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let environment =
        Environment::from([("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "6000")]);
    (socket, environment)
}

fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn the_service_manager_hears_nothing_more_of_a_frozen_node() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, environment) = service_manager(&folder);
    let manager = ServiceManager::of(&environment).unwrap();
    let (watchdog, [core]) = Watchdog::over(["core"], FAST, manager);
    assert_eq!(watchdog.period, Duration::from_millis(2));
    let vitals = watchdog.vitals();
    let supervisor = Supervisor::new();
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().unwrap();
    let worker = Worker::start("silent-part", core, &lock);
    watchdog.start(&supervisor).unwrap();
    assert_eq!(heard(&socket), "READY=1");
    // However slow this machine is, the heart beats before each sign of life that is waited for.
    for _ in 0..5 {
        worker.beat();
        while heard(&socket) != "WATCHDOG=1" {
            worker.beat();
        }
    }
    worker.orders.send(Order::Lock).unwrap();
    // Messages that do not fit in the socket are lost, so none but the last kind of message is waited for.
    while !heard(&socket).starts_with("STATUS=the core thread has not moved for") {}
    for _ in 0..20 {
        let message = heard(&socket);
        assert!(message.starts_with("STATUS=the core"), "{message}");
    }
    assert!(vitals.frozen().is_some());
    drop(held);
    worker.done.recv().unwrap();
    while heard(&socket) != "WATCHDOG=1" {
        worker.beat();
    }
    supervisor.stop(StopReason::Asked {
        by: "the test".to_owned(),
    });
    assert_eq!(supervisor.run_to_end(), Ok(()));
    worker.end();
}

#[test]
fn without_a_service_manager_nobody_is_told() {
    let nobody = ServiceManager::of(&Environment::default()).unwrap();
    assert!(nobody.is_none());
}

#[test]
fn a_name_in_the_abstract_namespace_is_understood() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("holdfast-watchdog-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let named = format!("@{name}");
    let environment = Environment::from([("NOTIFY_SOCKET", named.as_str())]);
    let manager = ServiceManager::of(&environment).unwrap().unwrap();
    assert_eq!(manager.period(), None);
    manager.tell("STATUS=here");
    assert_eq!(heard(&socket), "STATUS=here");
}

#[test]
fn a_part_that_stays_frozen_stops_the_node() {
    let supervisor = Supervisor::new();
    let limits = Limits {
        frozen_after: Duration::from_millis(4),
        give_up_after: Duration::from_millis(40),
    };
    let (watchdog, [heartbeat]) = Watchdog::over(["core"], limits, None);
    watchdog.start(&supervisor).unwrap();
    match supervisor.wait() {
        StopReason::Failed(failure) => {
            assert_eq!(failure.code, ExitCode::Internal);
            assert_eq!(failure.why, "the core thread has not moved for 0.0 s");
        }
        reason @ StopReason::Asked { .. } => panic!("{reason:?}"),
    }
    drop(heartbeat);
    assert!(supervisor.drain(Duration::from_secs(60)).is_empty());
}

#[test]
fn the_watch_ends_with_the_node() {
    let supervisor = Supervisor::new();
    let (watchdog, [heartbeat]) = Watchdog::over(["core"], Limits::default(), None);
    watchdog.start(&supervisor).unwrap();
    heartbeat.beat();
    supervisor.stop(StopReason::Asked {
        by: "the test".to_owned(),
    });
    assert_eq!(supervisor.run_to_end(), Ok(()));
}
