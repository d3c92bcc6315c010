//! Writes and checks `tests/vectors/transactions.json`, from which clients in other languages are tested, and the
//! failure codes in `docs/transactions.md`.

mod fields;
mod invalid;
mod valid;

use holdfast_pinned::{check_file, check_section};
use holdfast_types::hash::Purpose;
use holdfast_types::limits::{
    ACCOUNT_NAME_BYTES_MAX, MEMO_BYTES_MAX, TRANSACTION_BYTES_MAX, URL_BYTES_MAX,
};
use holdfast_types::{FailureCode, codec};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

#[derive(Serialize)]
struct File {
    about: &'static str,
    context: &'static str,
    valid: Vec<valid::Vector>,
    invalid: Vec<invalid::Vector>,
}

fn repository_file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

#[test]
fn vectors_are_as_generated() {
    let file = File {
        about: "Vectors of docs/transactions.md. Byte strings are hexadecimal digits, 64-bit numbers decimal strings.",
        context: Purpose::TRANSACTION.context(),
        valid: valid::vectors(),
        invalid: invalid::vectors(),
    };
    let mut text = serde_json::to_string_pretty(&file).expect("the vectors are plain data");
    text.push('\n');
    check_file(&repository_file("tests/vectors/transactions.json"), &text);
}

#[test]
fn the_documented_failure_codes_are_those_of_the_code() {
    let mut table = String::from("| tag | code | meaning |\n|---|---|---|\n");
    let codes = (0..=u8::MAX)
        .map_while(|tag| Some((tag, codec::decode::<FailureCode>("a code", &[tag], 1).ok()?)));
    for (tag, code) in codes {
        writeln!(table, "| {tag} | `{}` | {} |", code.name(), code.message())
            .expect("writing to a string does not fail");
    }
    check_section(
        &repository_file("docs/transactions.md"),
        "<!-- failure codes: generated from the code -->",
        "<!-- end of failure codes -->",
        &table,
    );
}

#[test]
fn the_documented_limits_are_those_of_the_code() {
    assert_eq!(TRANSACTION_BYTES_MAX, 65_536);
    let document = fs::read_to_string(repository_file("docs/transactions.md")).unwrap();
    for line in [
        "| transaction | 65,536 bytes |".to_owned(),
        format!("| name | {ACCOUNT_NAME_BYTES_MAX} bytes |"),
        format!("| memo | {MEMO_BYTES_MAX} bytes |"),
        format!("| URL | {URL_BYTES_MAX} bytes |"),
    ] {
        assert!(document.contains(&line), "the page does not say {line:?}");
    }
}
