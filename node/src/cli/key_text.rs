//! Public keys on the command line: as text, or as the key file that holds them.

use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::keystore;
use holdfast_types::PublicKey;
use std::path::Path;

/// Reads a public key: 64 hexadecimal digits, or the path of a key file, which needs no password for it.
pub(super) fn public_key(flag: &str, text: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    if path.exists() {
        return Ok(PublicKey::new(*keystore::load(path)?.public_key()));
    }
    Err(Failure::new(
        ExitCode::Usage,
        format!("cannot use {flag} {text}"),
        "it is neither 64 hexadecimal digits nor a file",
        "give the public key (holdfast keys export-public FILE) or the key file",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_key_nor_file_is_refused_with_the_flag() {
        let key = "ab".repeat(32);
        assert_eq!(public_key("--key", &key).unwrap().to_string(), key);
        let failure = public_key("--signing-key", "nowhere.json").unwrap_err();
        assert_eq!(failure.what, "cannot use --signing-key nowhere.json");
        assert!(failure.next_step.contains("export-public"), "{failure}");
    }
}
