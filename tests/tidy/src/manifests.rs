//! What the manifests say: which crate may stand on which, and where versions live.

use crate::Violation;
use crate::repository::File;
use toml::{Table, Value};

/// The house (DESIGN §1): below which folder a crate lies, and on which folders it may stand. Longest match wins.
const HOUSE: [(&str, &[&str]); 12] = [
    ("consensus/types", &[]),
    ("consensus/", &["consensus/"]),
    // The genesis block is a state, and the ledger knows what a state is.
    ("genesis", &["consensus/types", "consensus/ledger"]),
    ("storage", &["consensus/", "genesis"]),
    ("network", &["consensus/", "genesis"]),
    ("rpc", &["consensus/", "genesis"]),
    (
        "node",
        &["consensus/", "genesis", "storage", "network", "rpc"],
    ),
    (
        "fuzz",
        &["consensus/", "genesis", "storage", "network", "rpc"],
    ),
    ("tests/pinned", &[]),
    // Virtual disks and links: a simulation that needs the real ones simulates nothing.
    ("tests/simulation", &["consensus/", "genesis"]),
    ("tests/store-contract", &["consensus/"]),
    (
        "tests/",
        &[
            "consensus/",
            "genesis",
            "storage",
            "network",
            "rpc",
            "node",
            "tests/",
        ],
    ),
];

/// Everything from outside that consensus crates may use, tests aside: pure computation.
const CONSENSUS_DEPENDENCIES: [&str; 13] = [
    "blake3",
    "borsh",
    "ed25519-dalek",
    "curve25519-dalek",
    "ed25519-zebra",
    "sha2",
    "hex",
    "hmac",
    // Seeded, for the coefficients of batch verification; no other source of randomness.
    "rand_chacha",
    "rand_core",
    "serde",
    "thiserror",
    "zeroize",
];

/// Lints that the library header of a consensus crate denies: a manifest that inherits lints cannot add any.
const CONSENSUS_LINTS: [&str; 4] = [
    "clippy::arithmetic_side_effects",
    "clippy::indexing_slicing",
    "clippy::panic",
    "clippy::unwrap_used",
];

/// Checks all manifests together.
#[must_use]
pub fn check(files: &[File]) -> Vec<Violation> {
    let manifests: Vec<_> = files.iter().filter(|file| file.is_manifest()).collect();
    let mut violations = Vec::new();
    let mut members = Vec::new();
    for file in &manifests {
        match file.text.parse::<Table>() {
            Ok(table) => members.push((folder(&file.path), *file, table)),
            Err(error) => violations.push(violation(file, "manifest", error.to_string())),
        }
    }
    let Some((_, root_file, root)) = members.iter().find(|(folder, ..)| folder.is_empty()) else {
        return violations;
    };
    for (folder, file, table) in &members {
        if folder.is_empty() {
            continue;
        }
        if !is_member(root, folder) {
            let message =
                format!("{folder} is no member of the workspace: nothing builds or tests it");
            violations.push(violation(root_file, "manifest", message));
        }
        violations.extend(check_crate(root, folder, file, table));
    }
    violations
}

fn violation(file: &File, rule: &'static str, message: String) -> Violation {
    Violation {
        path: file.path.clone(),
        line: 0,
        rule,
        message,
    }
}

fn folder(path: &str) -> String {
    let folder = path.strip_suffix("Cargo.toml").unwrap_or(path);
    folder.trim_end_matches('/').to_owned()
}

fn is_member(root: &Table, folder: &str) -> bool {
    let members = root
        .get("workspace")
        .and_then(|workspace| workspace.get("members"));
    let members = members.and_then(Value::as_array);
    members.is_some_and(|members| members.iter().any(|member| member.as_str() == Some(folder)))
}

fn check_crate(root: &Table, folder: &str, file: &File, table: &Table) -> Vec<Violation> {
    let mut violations = Vec::new();
    if table.get("lints").and_then(|lints| lints.get("workspace")) != Some(&Value::Boolean(true)) {
        let message = "inherit the lints: [lints] workspace = true".to_owned();
        violations.push(violation(file, "manifest", message));
    }
    for dependency in dependencies(table) {
        let Dependency { name, kind, value } = &dependency;
        if !says_workspace(value) && value.get("path").and_then(Value::as_str) != Some(".") {
            let message = format!("{name}: versions live in the root, say {name}.workspace = true");
            violations.push(violation(file, "manifest", message));
        }
        if *kind == Kind::Development {
            continue;
        }
        if let Some(target) = own_folder(root, name) {
            if !may_stand_on(folder, &target) {
                let message = format!("{folder} does not stand on {target}");
                violations.push(violation(file, "direction", message));
            }
            if enables_test_utils(value) && folder != "fuzz" && !folder.starts_with("tests/") {
                let message = format!("{name}: test-utils is for tests");
                violations.push(violation(file, "manifest", message));
            }
        } else if folder.starts_with("consensus/")
            && !CONSENSUS_DEPENDENCIES.contains(&name.as_str())
        {
            let message =
                format!("{name} is not among the dependencies allowed to consensus crates");
            violations.push(violation(file, "direction", message));
        }
    }
    violations
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Development,
}

struct Dependency {
    name: String,
    kind: Kind,
    value: Value,
}

/// Dependencies of every kind, those for one target included.
fn dependencies(table: &Table) -> Vec<Dependency> {
    let mut found = Vec::new();
    let targets = table.get("target").and_then(Value::as_table);
    let targets = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    for scope in std::iter::once(table).chain(targets) {
        for (section, kind) in [
            ("dependencies", Kind::Normal),
            ("build-dependencies", Kind::Normal),
            ("dev-dependencies", Kind::Development),
        ] {
            let entries = scope.get(section).and_then(Value::as_table);
            for (name, value) in entries.into_iter().flatten() {
                found.push(Dependency {
                    name: name.clone(),
                    kind,
                    value: value.clone(),
                });
            }
        }
    }
    found
}

fn says_workspace(value: &Value) -> bool {
    value.get("workspace") == Some(&Value::Boolean(true))
}

fn enables_test_utils(value: &Value) -> bool {
    let features = value.get("features").and_then(Value::as_array);
    features.is_some_and(|features| {
        features
            .iter()
            .any(|feature| feature.as_str() == Some("test-utils"))
    })
}

/// Folder of one of our own crates, as the root manifest names it.
fn own_folder(root: &Table, name: &str) -> Option<String> {
    let dependencies = root.get("workspace")?.get("dependencies")?;
    let path = dependencies.get(name)?.get("path")?.as_str()?;
    Some(path.to_owned())
}

fn may_stand_on(folder: &str, target: &str) -> bool {
    let below = |place: &str, prefix: &str| {
        place == prefix || (prefix.ends_with('/') && place.starts_with(prefix))
    };
    let rule = HOUSE
        .iter()
        .filter(|(prefix, _)| below(folder, prefix))
        .max_by_key(|(prefix, _)| prefix.len());
    rule.is_some_and(|(_, allowed)| allowed.iter().any(|prefix| below(target, prefix)))
}

/// The header of a consensus library denies what pure code must not do.
#[must_use]
pub fn check_header(file: &File) -> Vec<Violation> {
    let is_header = file.path.starts_with("consensus/") && file.path.ends_with("/src/lib.rs");
    let missing = CONSENSUS_LINTS
        .iter()
        .filter(|lint| !file.text.contains(**lint));
    missing
        .filter(|_| is_header)
        .map(|lint| {
            violation(
                file,
                "consensus-header",
                format!("the header does not deny {lint}"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    const ROOT: &str = r#"
        [workspace]
        members = ["rpc", "consensus/dag"]
        [workspace.dependencies]
        holdfast-storage = { path = "storage" }
        holdfast-types = { path = "consensus/types" }
        holdfast-dag = { path = "consensus/dag" }
        tokio = "1"
    "#;

    fn messages(path: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[lints]\nworkspace = true\n{dependencies}");
        check(&[manifest("Cargo.toml", ROOT), manifest(path, &text)])
            .into_iter()
            .map(|violation| violation.message)
            .collect()
    }

    #[test]
    fn what_points_down_is_allowed() {
        let text = "[dependencies]\nholdfast-types.workspace = true\ntokio.workspace = true";
        assert_eq!(messages("rpc/Cargo.toml", text), Vec::<String>::new());
        let text = "[dependencies]\nholdfast-types.workspace = true\n[dev-dependencies]\ntokio.workspace = true";
        assert_eq!(
            messages("consensus/dag/Cargo.toml", text),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_points_sideways_or_out_is_not() {
        for (path, text, expected) in [
            (
                "rpc/Cargo.toml",
                "[dependencies]\nholdfast-storage.workspace = true",
                "rpc does not stand on storage",
            ),
            (
                "consensus/dag/Cargo.toml",
                "[dependencies]\nholdfast-storage.workspace = true",
                "consensus/dag does not stand on storage",
            ),
            (
                "consensus/dag/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\ntokio.workspace = true",
                "tokio is not among the dependencies allowed to consensus crates",
            ),
            (
                "rpc/Cargo.toml",
                "[dependencies]\nholdfast-types = { workspace = true, features = [\"test-utils\"] }",
                "holdfast-types: test-utils is for tests",
            ),
            (
                "rpc/Cargo.toml",
                "[dev-dependencies]\ntokio = \"1\"",
                "tokio: versions live in the root, say tokio.workspace = true",
            ),
            (
                "storage/Cargo.toml",
                "",
                "storage is no member of the workspace: nothing builds or tests it",
            ),
        ] {
            assert_eq!(messages(path, text), [expected], "{path}: {text}");
        }
    }

    #[test]
    fn the_lints_are_inherited_and_denied() {
        let found = check(&[manifest("Cargo.toml", ROOT), manifest("rpc/Cargo.toml", "")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("inherit the lints"));
        let header = manifest(
            "consensus/dag/src/lib.rs",
            "#![deny(clippy::panic, clippy::unwrap_used)]",
        );
        assert_eq!(check_header(&header).len(), 2);
        assert_eq!(check_header(&manifest("rpc/src/lib.rs", "")), []);
    }

    #[test]
    fn types_stand_on_nothing() {
        assert!(!may_stand_on("consensus/types", "consensus/dag"));
        assert!(may_stand_on("consensus/dag", "consensus/types"));
        assert!(!may_stand_on("tests/pinned", "consensus/types"));
        assert!(!may_stand_on("unknown", "consensus/types"));
    }
}
