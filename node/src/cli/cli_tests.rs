//! The command line from arguments to output, in one process.

use super::cli_machine::Machine;
use super::*;
use crate::keystore::Answers;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn clap_accepts_its_own_definition() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_verb_and_flag_has_a_help_text() {
    fn check(command: &clap::Command, path: &str) {
        for argument in command.get_arguments() {
            let name = argument.get_id();
            assert!(argument.get_help().is_some(), "{path} {name} has no help");
        }
        for verb in command.get_subcommands() {
            let path = format!("{path} {}", verb.get_name());
            assert!(verb.get_about().is_some(), "{path} has no help");
            check(verb, &path);
        }
    }
    check(&CommandLine::command(), "holdfast");
}

#[test]
fn help_ends_with_the_exit_codes() {
    let help = CommandLine::command().render_long_help().to_string();
    assert!(
        help.trim_end()
            .ends_with(exit_codes::help_text().trim_end()),
        "{help}"
    );
}

#[test]
fn init_makes_a_home_whose_configuration_is_valid() {
    let machine = Machine::new();
    let report = machine
        .run(&["init", "--moniker", "kelp", "--validator", "alice"])
        .unwrap();
    assert!(
        report.contains("12D3KooW") && report.contains("signing key of alice"),
        "{report}"
    );
    let home = machine.home();
    assert_eq!(mode(&home), 0o700);
    assert_eq!(mode(&home.join("keys")), 0o700);
    assert_eq!(mode(&home.join("keys/network.json")), 0o600);
    assert_eq!(mode(&home.join("keys/validator.json")), 0o600);
    let check = machine.run(&["config", "check"]).unwrap();
    assert!(check.contains("alice, signing key "), "{check}");
    assert!(
        check.contains("3 set, the others at their defaults"),
        "{check}"
    );
    assert!(
        machine
            .text(Path::new("holdfast.toml"))
            .contains("moniker = \"kelp\"")
    );
}

#[test]
fn init_refuses_a_folder_that_is_in_use_and_touches_nothing() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.home().join("lost+found")).unwrap();
    machine.run(&["init"]).unwrap();
    let before = machine.text(Path::new("keys/network.json"));
    let failure = machine.failure(&["init"]);
    assert_eq!(failure.code, ExitCode::Usage);
    assert!(failure.why.starts_with("it is not empty"), "{failure}");
    assert_eq!(machine.text(Path::new("keys/network.json")), before);
}

#[test]
fn init_that_fails_leaves_nothing_behind() {
    let machine = Machine::new();
    let failure = machine.failure(&["init", "--moniker", ""]);
    assert!(failure.why.contains("node.moniker"), "{failure}");
    let missing = ["init", "--password-file", "/nonexistent/password"];
    assert_eq!(machine.failure(&missing).code, ExitCode::Keystore);
    assert!(!machine.home().exists());
}

#[test]
fn a_key_is_made_inspected_and_exported() {
    let machine = Machine::new();
    machine.run(&["init"]).unwrap();
    let made = machine
        .run(&["keys", "new", "validator", "--insecure-kdf", "--json"])
        .unwrap();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let public_key = made["public_key"].as_str().unwrap().to_owned();
    assert_eq!(
        machine.run(&["keys", "export-public"]).unwrap(),
        format!("{public_key}\n")
    );
    let all = machine
        .run(&["keys", "inspect", "--verify", "--json"])
        .unwrap();
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[1], made);
    assert!(all[0]["peer_id"].is_string());
    let text = machine.run(&["keys", "inspect"]).unwrap();
    assert!(text.contains("INSECURE, for devnets only"), "{text}");

    let failure = machine.failure(&["keys", "new", "validator"]);
    assert_eq!(failure.what, "will not overwrite a key file");
    assert_eq!(
        machine.run(&["keys", "export-public"]).unwrap(),
        format!("{public_key}\n")
    );
}

#[test]
fn an_imported_secret_is_the_same_key() {
    let machine = Machine::new();
    machine.run(&["init"]).unwrap();
    let secret = machine.folder.path().join("secret.hex");
    // RFC 8032, test 1.
    std::fs::write(
        &secret,
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n",
    )
    .unwrap();
    let secret = secret.to_str().unwrap();
    let import = [
        "keys",
        "import",
        "account",
        "--insecure-kdf",
        "--secret-file",
        secret,
    ];
    machine.run(&import).unwrap();
    let public_key = machine
        .run(&["keys", "export-public", &machine.key("account.json")])
        .unwrap();
    assert_eq!(
        public_key,
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n"
    );
}

#[test]
fn what_is_no_secret_is_not_imported() {
    let machine = Machine::new();
    machine.run(&["init"]).unwrap();
    for (content, why) in [
        ("abcd", "64 hexadecimal digits"),
        ("", "64 hexadecimal digits"),
        ("{\"version\": 1}", "needs no import"),
    ] {
        let file = machine.folder.path().join("secret");
        std::fs::write(&file, content).unwrap();
        let import = [
            "keys",
            "import",
            "account",
            "--secret-file",
            file.to_str().unwrap(),
        ];
        let failure = machine.failure(&import);
        assert!(failure.why.contains(why), "{failure}");
    }
}

#[test]
fn a_changed_password_opens_all_keys_and_the_old_one_none() {
    let mut machine = Machine::new();
    machine.run(&["init"]).unwrap();
    machine
        .run(&["keys", "new", "account", "--insecure-kdf"])
        .unwrap();
    let before = machine
        .run(&["keys", "export-public", &machine.key("account.json")])
        .unwrap();
    let report = machine.run(&["keys", "change-password"]).unwrap();
    assert_eq!(
        report.matches("changed the password of").count(),
        2,
        "{report}"
    );
    let failure = machine.failure(&["keys", "inspect", "--verify"]);
    assert_eq!(failure.code, ExitCode::Keystore);
    assert!(failure.why.contains("the password is wrong"), "{failure}");
    machine.environment = Environment::from([("HOLDFAST_PASSWORD", "battery staple")]);
    machine.run(&["keys", "inspect", "--verify"]).unwrap();
    let after = machine
        .run(&["keys", "export-public", &machine.key("account.json")])
        .unwrap();
    assert_eq!(before, after);
}

#[test]
fn one_file_that_does_not_open_keeps_all_passwords_as_they_are() {
    let mut machine = Machine::new();
    machine.run(&["init"]).unwrap();
    machine.environment = Environment::from([("HOLDFAST_PASSWORD", "another password")]);
    machine
        .run(&["keys", "new", "validator", "--insecure-kdf"])
        .unwrap();
    let before = machine.text(Path::new("keys/network.json"));
    machine.environment = Machine::new().environment;
    let failure = machine.failure(&["keys", "change-password"]);
    assert!(failure.why.contains("validator.json"), "{failure}");
    assert_eq!(machine.text(Path::new("keys/network.json")), before);
}

#[test]
fn without_a_password_the_failure_lists_the_ways_to_give_one() {
    let mut machine = Machine::new();
    machine.environment = Environment::default();
    let failure = machine.failure(&["init"]);
    assert_eq!(failure.code, ExitCode::Keystore);
    for way in [
        "--password-file",
        "--password-fd",
        "HOLDFAST_PASSWORD",
        "systemd credential",
    ] {
        assert!(failure.next_step.contains(way), "{failure}");
    }
}

#[test]
fn config_show_works_before_init_and_says_where_values_come_from() {
    let machine = Machine::new();
    let show = [
        "config",
        "show",
        "--origin",
        "--set",
        "rpc.batch_max=5",
        "--log-filter",
        "debug",
    ];
    let text = machine.run(&show).unwrap();
    assert!(
        text.starts_with("# There is no configuration file"),
        "{text}"
    );
    assert!(
        text.contains("# flag --set") && text.contains("# flag --log-filter"),
        "{text}"
    );
    let json = machine.run(&["config", "show", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rpc.listen"], "127.0.0.1:8645");
}

#[test]
fn config_check_refuses_what_run_would_refuse() {
    let machine = Machine::new();
    let failure = machine.failure(&["config", "check"]);
    assert_eq!(failure.what, "there is no configuration");
    machine.run(&["init"]).unwrap();
    let failure = machine.failure(&["config", "check", "--set", "rpc.listen=nowhere"]);
    assert!(
        failure
            .why
            .contains("rpc.listen: must be an IP address and a port"),
        "{failure}"
    );
    let failure = machine.failure(&["config", "check", "--set", "novalue"]);
    assert_eq!(failure.code, ExitCode::Usage);
    let swapped = [
        "config",
        "check",
        "--set",
        "validator.account=alice",
        "--set",
        "validator.key_file=keys/network.json",
    ];
    assert_eq!(
        machine.failure(&swapped).what,
        "a key file is of the wrong kind"
    );
}

#[test]
fn the_printed_template_is_a_valid_file() {
    let machine = Machine::new();
    machine.run(&["init"]).unwrap();
    let template = machine.run(&["config", "template"]).unwrap();
    std::fs::write(machine.home().join("holdfast.toml"), template).unwrap();
    assert!(machine.run(&["config", "check"]).is_ok());
}

#[test]
fn every_shell_gets_its_completions() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = machine.run(&["completions", shell]).unwrap();
        assert!(script.contains("change-password"), "{shell}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut context = Context {
        environment: Environment::default(),
        out: &mut Closed,
        prompt: &mut Answers::default(),
    };
    run(["holdfast", "config", "template"], &mut context).unwrap();
}
