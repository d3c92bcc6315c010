//! Precedence, origins, and what is said about slips.

use super::*;
use crate::config::{effective_values, render_json, render_toml};

struct Home(tempfile::TempDir);

impl Home {
    fn with_file(text: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::write(home.file(), text).unwrap();
        home
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("holdfast.toml")
    }

    fn load(
        &self,
        environment: &Environment,
        flags: &[(&str, &str)],
    ) -> Result<Loaded, ConfigError> {
        let overrides: Vec<_> = flags
            .iter()
            .map(|(key, text)| Override {
                key: (*key).to_owned(),
                text: (*text).to_owned(),
                flag: format!("--set {key}"),
            })
            .collect();
        load(&Sources {
            home: self.0.path(),
            file: &self.file(),
            file_required: true,
            environment,
            overrides: &overrides,
        })
    }

    fn errors(&self, environment: &Environment, flags: &[(&str, &str)]) -> Vec<FieldError> {
        match self
            .load(environment, flags)
            .expect_err("an invalid configuration")
        {
            ConfigError::Invalid { errors } => errors,
            other => panic!("{other}"),
        }
    }
}

fn none() -> Environment {
    Environment::default()
}

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let home = Home::with_file(
        "[rpc]\nlisten = \"127.0.0.1:1\"\nbatch_max = 7\nconnections_max = 90\n[node]\nmoniker = \"file\"",
    );
    let environment = Environment::from([
        ("HOLDFAST_RPC__LISTEN", "127.0.0.1:2"),
        ("HOLDFAST_RPC__BATCH_MAX", "8"),
        ("HOLDFAST_PASSWORD", "wheat"),
        ("HOLDFAST_PORT", "tcp://10.0.0.1:8645"),
    ]);
    let loaded = home
        .load(&environment, &[("rpc.listen", "127.0.0.1:3")])
        .unwrap();
    assert_eq!(loaded.config.rpc().listen.port(), 3);
    assert_eq!(loaded.config.rpc().batch_max, 8);
    assert_eq!(loaded.config.rpc().connections_max, 90);
    assert_eq!(loaded.config.rpc().request_bytes_max, 2 * 1024 * 1024);

    let origins: std::collections::BTreeMap<_, _> = effective_values(&loaded)
        .into_iter()
        .map(|value| (value.key, value.origin))
        .collect();
    assert_eq!(origins["rpc.listen"], "flag --set rpc.listen");
    assert_eq!(
        origins["rpc.batch_max"],
        "environment variable HOLDFAST_RPC__BATCH_MAX"
    );
    assert_eq!(
        origins["rpc.connections_max"],
        home.file().display().to_string()
    );
    assert_eq!(origins["rpc.request_kib_max"], "default");
    assert!(!format!("{origins:?}").contains("wheat"));
}

#[test]
fn the_later_of_two_flags_wins() {
    let home = Home::with_file("");
    let loaded = home
        .load(&none(), &[("node.moniker", "a"), ("node.moniker", "b")])
        .unwrap();
    assert_eq!(loaded.config.node().moniker, "b");
}

#[test]
fn lists_come_as_toml_or_with_commas() {
    let home = Home::with_file("");
    let expected = ["/ip4/0.0.0.0/tcp/1", "/ip4/0.0.0.0/udp/1/quic-v1"];
    for text in [
        "/ip4/0.0.0.0/tcp/1,/ip4/0.0.0.0/udp/1/quic-v1",
        "[\"/ip4/0.0.0.0/tcp/1\", \"/ip4/0.0.0.0/udp/1/quic-v1\"]",
    ] {
        let loaded = home.load(&none(), &[("p2p.listen", text)]).unwrap();
        let listen: Vec<_> = loaded
            .config
            .p2p()
            .listen
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(listen, expected);
    }
    let loaded = home.load(&none(), &[("p2p.peers", "")]).unwrap();
    assert!(loaded.config.p2p().peers.is_empty());
}

#[test]
fn texts_stay_texts_though_they_look_like_numbers() {
    let home = Home::with_file("");
    let loaded = home.load(&none(), &[("node.moniker", "123")]).unwrap();
    assert_eq!(loaded.config.node().moniker, "123");
}

#[test]
fn all_slips_in_a_file_are_reported_at_once_with_a_suggestion() {
    let home = Home::with_file(
        "[rpc]\nlisten_addr = \"127.0.0.1:1\"\nbatch_max = \"many\"\nmoniker = \"x\"\n\
         [storage]\ncache_mib = -5\n[p2p]\npeers = \"one\"\n[nonsense]\nzzz = 1\n[empty]\n[log]\nformat = \"xml\"\n",
    );
    let file = home.file().display().to_string();
    let errors: Vec<String> = home
        .errors(&none(), &[])
        .iter()
        .map(|error| error.to_string().replace(&file, "FILE"))
        .collect();
    assert_eq!(
        errors,
        [
            "empty: there is no such setting; got an empty section (FILE)",
            "nonsense.zzz: there is no such setting; got 1 (FILE)",
            "p2p.peers: must be a list of texts; got \"one\" (FILE)",
            "rpc.batch_max: must be a whole number, 0 or more; got \"many\" (FILE)",
            "rpc.listen_addr: there is no such setting, did you mean rpc.listen; got \"127.0.0.1:1\" (FILE)",
            "rpc.moniker: there is no such setting, did you mean node.moniker; got \"x\" (FILE)",
            "storage.cache_mib: must be a whole number, 0 or more; got -5 (FILE)",
            "log.format: must be text or json; got \"xml\" (FILE)",
        ]
    );
}

#[test]
fn slips_in_variables_and_flags_name_the_variable_and_the_flag() {
    let home = Home::with_file("");
    let environment = Environment::from([
        ("HOLDFAST_RPC__LISTN", "x"),
        ("HOLDFAST_RPC_LISTEN", "y"),
        ("HOLDFAST_STORAGE__CACHE_MIB", "lots"),
    ]);
    let errors: Vec<String> = home
        .errors(&environment, &[("p2p.allow_private_addresses", "yes")])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        errors,
        [
            "rpc.listen: the variable is HOLDFAST_RPC__LISTEN, with two underscores; got \"y\" (environment variable HOLDFAST_RPC_LISTEN)",
            "rpc.listn: there is no such setting, did you mean rpc.listen; got \"x\" (environment variable HOLDFAST_RPC__LISTN)",
            "storage.cache_mib: must be a whole number, 0 or more; got \"lots\" (environment variable HOLDFAST_STORAGE__CACHE_MIB)",
            "p2p.allow_private_addresses: must be true or false; got \"yes\" (flag --set p2p.allow_private_addresses)",
        ]
    );
}

#[test]
fn a_syntax_error_shows_its_place() {
    let home = Home::with_file("[rpc]\nlisten = 127.0.0.1\n");
    let error = home.load(&none(), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
    assert!(error.to_string().contains("line 2"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_an_error_only_if_it_is_required() {
    let home = Home(tempfile::tempdir().unwrap());
    let error = home.load(&none(), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Missing { .. }), "{error}");
    let environment = none();
    let loaded = load(&Sources {
        home: home.0.path(),
        file: &home.file(),
        file_required: false,
        environment: &environment,
        overrides: &[],
    });
    assert_eq!(loaded.unwrap().file, None);
}

#[test]
fn what_is_shown_is_a_file_that_gives_the_same_configuration() {
    let home = Home::with_file("[rpc]\nbatch_max = 7\n");
    let loaded = home
        .load(&none(), &[("node.moniker", "kelp \"forest\" # 1")])
        .unwrap();
    for with_origin in [false, true] {
        let shown = render_toml(&effective_values(&loaded), with_origin);
        std::fs::write(home.file(), &shown).unwrap();
        assert_eq!(
            home.load(&none(), &[]).unwrap().config,
            loaded.config,
            "{shown}"
        );
    }
    let json = render_json(&effective_values(&loaded), true);
    assert_eq!(json["rpc.batch_max"]["value"], 7);
    assert_eq!(
        json["rpc.batch_max"]["origin"],
        home.file().display().to_string()
    );
    assert_eq!(
        render_json(&effective_values(&loaded), false)["node.moniker"],
        "kelp \"forest\" # 1"
    );
}
