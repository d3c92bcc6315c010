//! Names that pure code must not use.

use crate::Violation;
use crate::code::blank_out;
use crate::repository::File;

/// A path and why consensus code must not name it. A path without `::` is banned wherever it is a word.
const BANNED_IN_CONSENSUS: [(&str, &str); 23] = [
    (
        "tokio",
        "consensus code is a state machine: node/ drives it",
    ),
    (
        "futures",
        "consensus code is a state machine: node/ drives it",
    ),
    ("rocksdb", "reads go through small traits"),
    ("libp2p", "messages are inputs and outputs"),
    ("axum", "consensus code serves nobody"),
    (
        "std::fs",
        "reads go through small traits, writes are outputs",
    ),
    ("std::net", "messages are inputs and outputs"),
    ("std::env", "configuration is a parameter"),
    ("std::process", "consensus code starts and stops nothing"),
    ("std::thread", "the shell owns all threads"),
    ("std::time::Instant", "time arrives as input"),
    ("std::time::SystemTime", "time arrives as input"),
    ("Instant", "time arrives as input"),
    ("SystemTime", "time arrives as input"),
    ("HashMap", "its order is random: use BTreeMap"),
    ("HashSet", "its order is random: use BTreeSet"),
    ("thread_rng", "randomness arrives as a seed"),
    ("rand::rng", "randomness arrives as a seed"),
    ("OsRng", "randomness arrives as a seed"),
    ("getrandom", "randomness arrives as a seed"),
    ("f32", "floating point differs between machines"),
    ("f64", "floating point differs between machines"),
    ("println", "facts leave as outputs"),
];

/// Names that a consensus source file must not use.
#[must_use]
pub fn check_consensus(file: &File) -> Vec<Violation> {
    let code = blank_out(&file.text);
    let mut violations: Vec<_> = paths(&code)
        .into_iter()
        .filter_map(|(line, path)| {
            let (banned, reason) = BANNED_IN_CONSENSUS
                .iter()
                .find(|(banned, _)| is_within(&path, banned))?;
            Some(Violation {
                path: file.path.clone(),
                line,
                rule: "pure-consensus",
                message: format!("names {banned}: {reason}"),
            })
        })
        .collect();
    violations.dedup();
    violations
}

fn is_within(path: &str, banned: &str) -> bool {
    if banned.contains("::") {
        path == banned || path.starts_with(&format!("{banned}::"))
    } else {
        path.split("::").any(|segment| segment == banned)
    }
}

/// All paths in `code` with their line; groups of a `use` are spelled out.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let mut line = 1;
    // For every open brace: what stands before its entries, if it is the brace of a use group.
    let mut groups: Vec<Option<String>> = Vec::new();
    let mut path = String::new();
    for c in code.chars() {
        if c == '{' {
            groups.push(path.strip_suffix("::").map(str::to_owned));
            path.clear();
        } else if c.is_ascii_alphanumeric() || c == '_' || c == ':' {
            path.push(c);
        } else {
            let group = groups.iter().flatten().map(String::as_str);
            let full: Vec<_> = group
                .chain([path.as_str()])
                .filter(|part| !part.is_empty())
                .collect();
            if !path.is_empty() {
                paths.push((line, full.join("::")));
            }
            path.clear();
            if c == '}' {
                groups.pop();
            }
        }
        line += usize::from(c == '\n');
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(source: &str) -> Vec<String> {
        let file = File {
            path: "consensus/x/src/lib.rs".to_owned(),
            text: format!("{source}\n"),
        };
        check_consensus(&file)
            .into_iter()
            .map(|violation| format!("{} {}", violation.line, violation.message))
            .collect()
    }

    #[test]
    fn banned_names_are_found_in_paths_and_groups() {
        for (source, expected) in [
            ("use tokio::sync::mpsc;", "1 names tokio:"),
            ("use std::{fmt, fs};", "1 names std::fs:"),
            (
                "use std::{\n    collections::{BTreeMap, HashMap},\n};",
                "2 names HashMap:",
            ),
            ("let x = std::fs::read(path);", "1 names std::fs:"),
            (
                "fn f(at: std::time::Instant) {}",
                "1 names std::time::Instant:",
            ),
            (
                "use std::time::{Duration, SystemTime};",
                "1 names std::time::SystemTime:",
            ),
            ("let x: f64 = 0.0;", "1 names f64:"),
            ("println!(\"x\");", "1 names println:"),
        ] {
            let found = messages(source);
            assert_eq!(found.len(), 1, "{source}: {found:?}");
            assert!(found[0].starts_with(expected), "{source}: {found:?}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_allowed() {
        for source in [
            "// tokio is not used here",
            "let x = \"std::fs\";",
            "use std::time::Duration;",
            "use std::{fmt, io};",
            "struct Instantiated; fn rngs() {}",
            "mod fs; use crate::fs::File;",
            "let net = 1; let y = net::x;",
        ] {
            assert_eq!(messages(source), Vec::<String>::new(), "{source}");
        }
    }
}
