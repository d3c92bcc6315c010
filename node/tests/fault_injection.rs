//! A node that was started to misbehave refuses to run on a chain that does not allow it.

use holdfast::devnet::homes::{self, DevnetSpec};
use holdfast_genesis::{Genesis, GenesisTime, Template};
use holdfast_types::TimestampMs;
use std::collections::BTreeMap;
use std::process::Command;

#[test]
fn a_chain_that_does_not_allow_faults_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = homes::create(DevnetSpec {
        directory: folder.path().join("devnet"),
        validators: 1,
        accounts: 1,
        template: Template::Devnet,
        genesis_time: GenesisTime(TimestampMs(1_790_000_000_000)),
        epoch_duration_ms: None,
        masters: 1,
        islands: Vec::new(),
        settings: BTreeMap::new(),
    })
    .unwrap();
    let mut document = devnet.genesis.document().clone();
    document.parameters.fault_injection_allowed = false;
    let genesis = Genesis::check(document).unwrap();
    let home = &devnet.nodes[0].home;
    let text = genesis.document().to_toml().unwrap();
    std::fs::write(home.join("genesis.toml"), text).unwrap();
    for fault in ["wrong-root", "equivocate"] {
        let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args([
                "run",
                "--exit-with-stdin",
                "--inject-fault",
                fault,
                "--home",
            ])
            .arg(home)
            .env("HOLDFAST_PASSWORD", homes::PASSWORD)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains(&format!("will not run with --inject-fault {fault}"))
                && errors.contains("parameters.fault_injection_allowed = false"),
            "{errors}"
        );
    }
    assert!(
        !home.join("data").read_dir().unwrap().any(|_| true),
        "nothing was opened"
    );
}
