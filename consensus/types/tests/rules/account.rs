//! Names: 1 to 24 characters of a-z, 0-9, '-' and '.', first a letter, last a letter or digit.

use holdfast_types::AccountName;
use holdfast_types::codec::{decode, encode};
use proptest::prelude::*;

const LONGEST: &str = "abcdefghijklmnopqrstuvwx";

#[test]
fn names_that_obey_the_rule() {
    for text in [
        "a",
        "z9",
        "alice",
        "a-b",
        "a.b",
        "a--b",
        "a.-b",
        "committee",
        LONGEST,
    ] {
        let name = AccountName::new(text).unwrap();
        assert_eq!(name.as_str(), text);
        assert_eq!(name.to_string(), text);
        assert_eq!(text.parse::<AccountName>().unwrap(), name);
        assert_eq!(serde_json::to_string(&name).unwrap(), format!("{text:?}"));
        assert_eq!(
            serde_json::from_str::<AccountName>(&format!("{text:?}")).unwrap(),
            name
        );
    }
}

#[test]
fn names_that_break_the_rule() {
    let too_long = format!("{LONGEST}y");
    let broken = [
        "", "1a", "-a", ".a", "a-", "a.", "A", "aB", "a_b", "a b", " a", "a\n", "a\0", "ä", "aä",
        &too_long,
    ];
    for text in broken {
        let error = AccountName::new(text).unwrap_err();
        assert_eq!(error.text, text);
        assert!(
            serde_json::from_value::<AccountName>(text.into()).is_err(),
            "{text:?}"
        );
        let mut bytes = vec![u8::try_from(text.len()).unwrap()];
        bytes.extend_from_slice(text.as_bytes());
        assert!(
            decode::<AccountName>("a name", &bytes, 64).is_err(),
            "{text:?}"
        );
    }
}

#[test]
fn an_error_quotes_a_bounded_part_of_the_text() {
    let error = AccountName::new(&"ü".repeat(10_000)).unwrap_err();
    assert_eq!(error.text.chars().count(), 64);
}

#[test]
fn a_length_byte_beyond_the_limit_is_refused() {
    let mut bytes = vec![25];
    bytes.extend_from_slice(&[b'a'; 25]);
    assert!(decode::<AccountName>("a name", &bytes, 64).is_err());
    assert!(decode::<AccountName>("a name", &[255], 64).is_err());
}

fn obeys(text: &str) -> bool {
    let inner = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.');
    let first = text.chars().next();
    let last = text.chars().last();
    (1..=24).contains(&text.len())
        && first.is_some_and(|c| c.is_ascii_lowercase())
        && last.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(inner)
}

proptest! {
    #[test]
    fn constructor_and_decoder_agree_with_the_rule(text in "[a-c0-1.\\-A_]{0,26}|\\PC{0,8}") {
        prop_assert_eq!(AccountName::new(&text).is_ok(), obeys(&text));
        let mut bytes = vec![u8::try_from(text.len()).unwrap()];
        bytes.extend_from_slice(text.as_bytes());
        let decoded = decode::<AccountName>("a name", &bytes, 64);
        prop_assert_eq!(decoded.is_ok(), obeys(&text));
        if let Ok(name) = decoded {
            prop_assert_eq!(encode(&name), bytes);
        }
    }

    #[test]
    fn names_sort_as_their_texts(one in "[a-z][a-z0-9.\\-]{0,4}[a-z0-9]", two in "[a-z][a-z0-9.\\-]{0,4}[a-z0-9]") {
        let names = (AccountName::new(&one).unwrap(), AccountName::new(&two).unwrap());
        prop_assert_eq!(names.0.cmp(&names.1), one.cmp(&two));
    }
}
