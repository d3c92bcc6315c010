//! A panic in a supervised part leaves a record and a reason. Alone in this file: the panic hook is the process's.

use holdfast::supervisor::{StopReason, Supervisor};
use holdfast::{exit_codes::ExitCode, panic_hook};

fn panicking_part(message: &'static str) -> String {
    let supervisor = Supervisor::new();
    supervisor
        .spawn_thread("core", move || panic!("{message}"))
        .unwrap();
    match supervisor.wait() {
        StopReason::Failed(failure) => {
            assert_eq!(failure.code, ExitCode::Internal);
            failure.why
        }
        StopReason::Asked { by } => panic!("nobody asked, not even {by}"),
    }
}

#[test]
fn a_panic_is_recorded_with_thread_and_place_and_the_first_stands_on_top() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(panic_hook::FILE_NAME);
    std::fs::write(&path, "an older process wrote this\n").unwrap();
    panic_hook::install(home.path());

    let why = panicking_part("the cause");
    assert!(why.starts_with("core panicked: the cause (at "), "{why}");
    assert!(why.contains("panic_record.rs:"), "{why}");
    let record = std::fs::read_to_string(&path).unwrap();
    assert!(!record.contains("an older process"), "{record}");
    assert!(
        record.contains("thread:  core\npanic:   the cause (at "),
        "{record}"
    );

    panicking_part("a consequence");
    let record = std::fs::read_to_string(&path).unwrap();
    let cause = record.find("the cause").unwrap();
    let consequence = record.find("a consequence").unwrap();
    assert!(cause < consequence, "{record}");
}
