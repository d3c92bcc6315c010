//! Each rule, and what it says when it is broken.

use crate::config::{Config, ConfigError, LogFormat, Override, Sources, load};
use crate::environment::Environment;
use std::path::Path;

const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

fn with(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let overrides: Vec<_> = settings
        .iter()
        .map(|(key, text)| Override {
            key: (*key).into(),
            text: (*text).into(),
            flag: "--set".into(),
        })
        .collect();
    let sources = Sources {
        home: Path::new("/home/of/node"),
        file: Path::new("/nonexistent/holdfast.toml"),
        file_required: false,
        environment: &Environment::default(),
        overrides: &overrides,
    };
    load(&sources).map(|loaded| loaded.config)
}

/// The keys that are refused, in order.
fn refused(settings: &[(&str, &str)]) -> Vec<String> {
    match with(settings) {
        Err(ConfigError::Invalid { errors }) => errors.into_iter().map(|error| error.key).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_defaults_are_valid_and_follow_only() {
    let config = with(&[]).unwrap();
    assert_eq!(config.validator(), None);
    assert_eq!(config.storage().prune_blocks, None);
    assert_eq!(config.node().halt_height, None);
    assert_eq!(config.log().format, LogFormat::Text);
    assert_eq!(config.storage().data_dir, Path::new("/home/of/node/data"));
    assert_eq!(
        config.p2p().key_file,
        Path::new("/home/of/node/keys/network.json")
    );
    assert!(config.rpc().listen.ip().is_loopback());
}

#[test]
fn every_number_has_bounds() {
    for (key, low, high) in [
        ("rpc.connections_max", "63", "100001"),
        ("rpc.request_kib_max", "63", "65537"),
        ("rpc.response_kib_max", "63", "131073"),
        ("rpc.batch_max", "0", "10001"),
        ("rpc.subscriptions_per_connection_max", "0", "10001"),
        ("p2p.peers_max", "0", "4097"),
        ("storage.cache_mib", "7", "65537"),
        ("storage.prune_blocks", "1", "999"),
        (
            "mempool.transactions_max",
            "10000001",
            "18446744073709551615",
        ),
        ("mempool.size_mib_max", "0", "65537"),
        ("mempool.per_account_max", "0", "100001"),
        ("execution.verify_threads", "1025", "18446744073709551615"),
    ] {
        assert_eq!(refused(&[(key, low)]), [key], "{low}");
        assert_eq!(refused(&[(key, high)]), [key], "{high}");
    }
}

#[test]
fn all_broken_rules_are_reported_together() {
    let keys = refused(&[
        ("node.moniker", ""),
        ("rpc.listen", "localhost"),
        ("p2p.listen", ""),
        ("log.format", "xml"),
        ("log.filter", "info,=[["),
    ]);
    assert_eq!(
        keys,
        [
            "node.moniker",
            "rpc.listen",
            "p2p.listen",
            "log.format",
            "log.filter"
        ]
    );
}

#[test]
fn a_message_names_field_rule_value_and_origin() {
    let error = with(&[("p2p.peers_max", "0")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "p2p.peers_max: must be between 1 and 4096; got 0 (flag --set)"
    );
}

#[test]
fn host_names_and_origins_have_their_forms() {
    let config = with(&[
        ("rpc.listen", "0.0.0.0:8645"),
        ("rpc.hosts", "rpc.example.org"),
        (
            "rpc.cors_origins",
            "https://wallet.example,http://localhost:3000",
        ),
    ])
    .unwrap();
    assert_eq!(config.rpc().allowed_hosts, ["rpc.example.org"]);
    assert_eq!(config.rpc().cors_origins.len(), 2);
    for host in ["https://rpc.example.org/", "*", "a.example:8645"] {
        assert_eq!(refused(&[("rpc.hosts", host)]), ["rpc.hosts"], "{host}");
    }
    for origin in [
        "*",
        "wallet.example",
        "https://",
        "https://*.example",
        "https://a.example/x",
    ] {
        assert_eq!(
            refused(&[("rpc.cors_origins", origin)]),
            ["rpc.cors_origins"],
            "{origin}"
        );
    }
}

#[test]
fn a_validator_needs_account_and_key_and_gets_a_guard_beside_the_key() {
    assert_eq!(
        refused(&[("validator.account", "alice")]),
        ["validator.key_file"]
    );
    assert_eq!(
        refused(&[("validator.key_file", "k.json")]),
        ["validator.account"]
    );
    assert_eq!(
        refused(&[("validator.sign_guard_file", "g")]),
        ["validator.sign_guard_file"]
    );
    let both = [
        ("validator.account", "alice"),
        ("validator.key_file", "keys/validator.json"),
    ];
    let config = with(&both).unwrap();
    let validator = config.validator().unwrap();
    assert_eq!(validator.account, "alice");
    assert_eq!(
        validator.key_file,
        Path::new("/home/of/node/keys/validator.json")
    );
    assert_eq!(
        validator.sign_guard_file,
        Path::new("/home/of/node/keys/validator.guard")
    );
}

#[test]
fn who_takes_its_key_off_the_chain_needs_the_key_of_its_account() {
    let validator = [
        ("validator.account", "alice"),
        ("validator.key_file", "keys/validator.json"),
        ("validator.disable_key_on_shutdown", "true"),
    ];
    assert_eq!(refused(&validator), ["validator.disable_key_on_shutdown"]);
    let owner = ("validator.owner_key_file", "keys/account.json");
    let with_owner: Vec<_> = validator.into_iter().chain([owner]).collect();
    let config = with(&with_owner).unwrap();
    assert!(config.validator().unwrap().disable_key_on_shutdown);
    let default = with(&[validator[0], validator[1], owner]).unwrap();
    assert!(!default.validator().unwrap().disable_key_on_shutdown);
}

#[test]
fn the_sign_guard_stays_out_of_the_chain_data() {
    let guard = |path| {
        refused(&[
            ("validator.account", "alice"),
            ("validator.key_file", "keys/validator.json"),
            ("validator.sign_guard_file", path),
        ])
    };
    assert_eq!(guard("data/guard"), ["validator.sign_guard_file"]);
    assert_eq!(
        guard("/home/of/node/data/deep/guard"),
        ["validator.sign_guard_file"]
    );
    assert_eq!(guard("keys/validator.json"), ["validator.sign_guard_file"]);
}

#[test]
fn peers_are_checked_against_the_private_address_rule() {
    let private = format!("/ip4/10.0.0.1/tcp/1/p2p/{PEER}");
    assert_eq!(refused(&[("p2p.peers", &private)]), ["p2p.peers"]);
    let allowed = [
        ("p2p.peers", private.as_str()),
        ("p2p.allow_private_addresses", "true"),
    ];
    assert_eq!(with(&allowed).unwrap().p2p().peers.len(), 1);
    let twice = format!("/ip4/8.8.8.8/tcp/1/p2p/{PEER},/ip4/8.8.8.8/tcp/1/p2p/{PEER}");
    assert_eq!(refused(&[("p2p.peers", &twice)]), ["p2p.peers"]);
}

#[test]
fn absolute_paths_stay_as_they_are() {
    let config = with(&[("storage.data_dir", "/var/lib/holdfast")]).unwrap();
    assert_eq!(config.storage().data_dir, Path::new("/var/lib/holdfast"));
    assert_eq!(refused(&[("storage.data_dir", "")]), ["storage.data_dir"]);
}
