//! `holdfast snapshot` as it is typed. What a snapshot holds and which ones are refused is tested in the crate `storage`.

use crate::cli::cli_machine::Machine;
use crate::exit_codes::ExitCode;
use crate::incident::fixture::{genesis, store};
use holdfast_genesis::Genesis;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// A machine whose home is that of a node of the chain; it has a store with block 0.
fn machine() -> (Machine, Genesis) {
    let machine = Machine::new();
    let genesis = genesis();
    let document = machine.path("genesis.toml");
    fs::write(&document, genesis.document().to_toml().unwrap()).unwrap();
    let document = document.to_str().unwrap();
    let validator = ["init", "--validator", "val-a", "--genesis", document];
    machine.run(&validator).unwrap();
    fs::remove_dir_all(data(&machine)).unwrap();
    drop(store(&data(&machine), &genesis));
    (machine, genesis)
}

fn data(machine: &Machine) -> PathBuf {
    machine.home().join("data")
}

/// Everything that lies with the keys, the sign guard included.
fn keys(machine: &Machine) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(machine.home().join("keys")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_store_goes_out_and_comes_back_and_the_sign_guard_stays() {
    let (machine, genesis) = machine();
    let before = keys(&machine);
    assert!(
        before
            .keys()
            .any(|path| path.extension().is_some_and(|end| end == "guard"))
    );
    let file = machine.path("chain.snapshot");
    let file = file.to_str().unwrap();
    let text = machine.run(&["snapshot", "export", "--out", file]).unwrap();
    assert!(text.contains("block 0"), "{text}");
    let shown = machine.run(&["snapshot", "show", file, "--json"]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["chain_id"], genesis.chain_id().to_string());
    assert_eq!(shown["emergency_consensus_active"], false);
    let occupied = machine.failure(&["snapshot", "import", file]);
    assert_eq!(occupied.code, ExitCode::Usage);
    assert!(occupied.next_step.contains("sign guard"), "{occupied}");
    fs::remove_dir_all(data(&machine)).unwrap();
    let text = machine.run(&["snapshot", "import", file]).unwrap();
    assert!(text.contains("certificates from genesis on"), "{text}");
    let again = machine.path("again.snapshot");
    let again = again.to_str().unwrap();
    machine
        .run(&["snapshot", "export", "--out", again])
        .unwrap();
    assert_eq!(fs::read(file).unwrap(), fs::read(again).unwrap());
    assert_eq!(keys(&machine), before);
}

#[test]
fn what_is_there_already_and_what_is_no_snapshot_have_their_exit_codes() {
    let (machine, _) = machine();
    let file = machine.path("notes");
    fs::write(&file, "mine").unwrap();
    let path = file.to_str().unwrap();
    let exists = machine.failure(&["snapshot", "export", "--out", path]);
    assert_eq!(exists.code, ExitCode::Usage);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let other = machine.path("other");
    let other = other.to_str().unwrap();
    let above = ["snapshot", "export", "--out", other, "--height", "9"];
    assert_eq!(machine.failure(&above).code, ExitCode::Refused);
    assert!(!fs::exists(other).unwrap());
    fs::remove_dir_all(data(&machine)).unwrap();
    let refused = machine.failure(&["snapshot", "import", path]);
    assert_eq!(refused.code, ExitCode::Refused);
    assert!(refused.why.contains("no snapshot"), "{refused}");
    assert!(!data(&machine).exists());
    let missing = machine.failure(&["snapshot", "show", other]);
    assert_eq!(missing.code, ExitCode::Usage);
}

#[test]
fn a_snapshot_of_another_chain_is_told_by_its_exit_code() {
    let (machine, _) = machine();
    let file = machine.path("chain.snapshot");
    let file = file.to_str().unwrap();
    machine.run(&["snapshot", "export", "--out", file]).unwrap();
    fs::remove_dir_all(data(&machine)).unwrap();
    let path = machine.home().join("genesis.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("incident", "another")).unwrap();
    let refused = machine.failure(&["snapshot", "import", file]);
    assert_eq!(refused.code, ExitCode::GenesisDiffers);
}
