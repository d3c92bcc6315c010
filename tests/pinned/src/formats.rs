//! Encodings of wire and stored types.

use crate::file::{check_file, updating};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::Path;

/// What is pinned of one type: how many samples were encoded, and the hash over all encodings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Format {
    pub cases: u64,
    pub hash: String,
}

/// Collects the formats of a crate's types, then compares them with a file.
#[derive(Debug, Default)]
pub struct Formats {
    found: BTreeMap<String, Format>,
}

impl Formats {
    /// Encodes every sample, checks that decoding gives it back and that no byte may be added or be missing, and
    /// keeps the hash over all encodings under `name`.
    ///
    /// # Panics
    /// If a sample does not survive, if a shortened or lengthened encoding decodes, if there are no samples, or if
    /// the name was used before.
    pub fn add<T>(&mut self, name: &str, samples: impl IntoIterator<Item = T>)
    where
        T: BorshSerialize + BorshDeserialize + PartialEq + Debug,
    {
        let mut hasher = blake3::Hasher::new();
        let mut cases = 0;
        for sample in samples {
            let bytes = borsh::to_vec(&sample).expect("a sample encodes");
            check_round_trip(name, &sample, &bytes);
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(&bytes);
            cases += 1;
        }
        assert!(cases > 0, "{name} has no samples");
        let hash = hex::encode(hasher.finalize().as_bytes());
        let before = self.found.insert(name.to_owned(), Format { cases, hash });
        assert!(before.is_none(), "{name} is pinned twice");
    }

    /// Names of the types added so far.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.found.keys().map(String::as_str).collect()
    }

    /// Compares with the file at `path`, or rewrites it in update mode.
    ///
    /// # Panics
    /// If a format changed, is new or is gone, and update mode is off.
    pub fn compare(&self, path: &Path) {
        if !updating() {
            let stored = fs::read_to_string(path)
                .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
            let problems = self.problems(&stored);
            assert!(
                problems.is_empty(),
                "{}:\n{}\nA changed format splits the network and orphans stored data. If it is meant, run this \
                 test with {}=1 and commit the file.",
                path.display(),
                problems.join("\n"),
                crate::UPDATE_VARIABLE
            );
        }
        check_file(path, &self.render());
    }

    fn problems(&self, stored: &str) -> Vec<String> {
        let stored: BTreeMap<String, Format> = match toml::from_str(stored) {
            Ok(stored) => stored,
            Err(error) => return vec![format!("the file does not parse: {error}")],
        };
        let names: BTreeSet<_> = stored.keys().chain(self.found.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| match (stored.get(name), self.found.get(name)) {
                (Some(stored), Some(found)) if stored == found => None,
                (Some(_), Some(_)) => Some(format!("  {name}: the format changed")),
                (Some(_), None) => Some(format!("  {name}: pinned, but no longer checked")),
                (None, _) => Some(format!("  {name}: not pinned yet")),
            })
            .collect()
    }

    fn render(&self) -> String {
        let mut text = String::from(
            "# Formats of wire and stored types: hash over the encodings of seeded samples. A line that changes is a\n\
             # breaking change of the protocol or of stored data.\n",
        );
        for (name, Format { cases, hash }) in &self.found {
            write!(text, "\n[{name}]\ncases = {cases}\nhash = \"{hash}\"\n")
                .expect("writing to a string does not fail");
        }
        text
    }
}

fn check_round_trip<T>(name: &str, sample: &T, bytes: &[u8])
where
    T: BorshSerialize + BorshDeserialize + PartialEq + Debug,
{
    let decoded = borsh::from_slice::<T>(bytes)
        .unwrap_or_else(|error| panic!("{name} does not decode: {error}: {sample:?}"));
    assert_eq!(&decoded, sample, "{name} does not survive a round trip");
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(
        borsh::from_slice::<T>(&longer).is_err(),
        "{name} decodes with a trailing byte: {sample:?}"
    );
    if let Some((_, shorter)) = bytes.split_last() {
        assert!(
            borsh::from_slice::<T>(shorter).is_err(),
            "{name} decodes without its last byte: {sample:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(name: &str, samples: &[u32]) -> Formats {
        let mut formats = Formats::default();
        formats.add(name, samples.iter().copied());
        formats
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let stored = formats("Number", &[1, 2]).render();
        assert!(formats("Number", &[1, 2]).problems(&stored).is_empty());
        assert_eq!(
            formats("Number", &[1, 3]).problems(&stored),
            ["  Number: the format changed"]
        );
        assert_eq!(
            formats("Other", &[1, 2]).problems(&stored),
            [
                "  Number: pinned, but no longer checked",
                "  Other: not pinned yet"
            ]
        );
    }

    #[test]
    #[should_panic(expected = "decodes without its last byte")]
    fn a_format_that_ignores_its_end_is_refused() {
        #[derive(Debug, PartialEq)]
        struct Lax;
        impl BorshSerialize for Lax {
            fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
                writer.write_all(&[0])
            }
        }
        impl BorshDeserialize for Lax {
            fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
                let mut byte = [0];
                let _ = reader.read(&mut byte)?;
                Ok(Self)
            }
        }
        Formats::default().add("Lax", [Lax]);
    }
}
