//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the root, with `/`.
    pub path: String,
    pub text: String,
}

impl File {
    #[must_use]
    pub fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    #[must_use]
    pub fn is_manifest(&self) -> bool {
        self.path == "Cargo.toml" || self.path.ends_with("/Cargo.toml")
    }

    /// Source of a crate that must be pure.
    #[must_use]
    pub fn is_consensus_source(&self) -> bool {
        self.is_rust()
            && self
                .path
                .strip_prefix("consensus/")
                .and_then(|path| path.split_once('/'))
                .is_some_and(|(_, path)| path.starts_with("src/"))
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

/// Kinds of files that are read. Everything else is data.
const EXTENSIONS: [&str; 10] = [
    "css", "html", "js", "json", "md", "py", "rs", "sh", "toml", "yml",
];

/// Directories that hold no source: version control, build output, environments of other languages.
const SKIPPED_DIRECTORIES: [&str; 4] = [".git", "target", "__pycache__", ".venv"];

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All text files below `root`, sorted by path.
///
/// # Panics
/// If a directory or a text file cannot be read.
#[must_use]
pub fn files(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    collect(root, "", &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<File>) {
    let entries = fs::read_dir(directory).expect("a directory of the repository is readable");
    for entry in entries {
        let entry = entry.expect("a directory entry is readable");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            if !SKIPPED_DIRECTORIES.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{path}/"), files);
            }
        } else if is_text(&path) {
            let text = fs::read_to_string(entry.path())
                .unwrap_or_else(|error| panic!("{path} is not readable as text: {error}"));
            files.push(File { path, text });
        }
    }
}

/// Scripts have no extension.
fn is_text(path: &str) -> bool {
    path.starts_with("scripts/")
        || path.starts_with(".ci/")
        || EXTENSIONS
            .iter()
            .any(|extension| has_extension(path, extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File {
        File {
            path: path.to_owned(),
            text: String::new(),
        }
    }

    #[test]
    fn consensus_sources_are_those_below_src() {
        assert!(file("consensus/dag/src/core.rs").is_consensus_source());
        assert!(file("consensus/dag/src/core/parents.rs").is_consensus_source());
        assert!(!file("consensus/dag/tests/core.rs").is_consensus_source());
        assert!(!file("consensus/clippy.toml").is_consensus_source());
        assert!(!file("storage/src/lib.rs").is_consensus_source());
    }

    #[test]
    fn the_repository_is_found() {
        let files = files(&root());
        assert!(files.iter().any(|file| file.path == "Cargo.toml"));
        assert!(
            files
                .iter()
                .any(|file| file.path == "consensus/types/src/lib.rs")
        );
        assert!(files.iter().all(|file| !file.path.contains("target/")));
    }
}
