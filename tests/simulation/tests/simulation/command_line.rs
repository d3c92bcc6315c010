//! The program `holdfast-sim`.

use std::process::{Command, Stdio};

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let arguments = ["replay", "--profile", "calm", "--seed", "0", "--trace"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast-sim"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // The trace is longer than what a pipe holds.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(complaint, "");
    assert!(output.status.success());
}
