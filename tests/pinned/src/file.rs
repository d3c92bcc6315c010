//! Generated files.

use crate::UPDATE_VARIABLE;
use std::fs;
use std::path::Path;

/// Whether pinned files are to be rewritten.
#[must_use]
pub fn updating() -> bool {
    std::env::var(UPDATE_VARIABLE).is_ok_and(|value| value == "1")
}

/// Compares the file at `path` with what the code generates now, or rewrites it in update mode.
///
/// # Panics
/// If the file differs or cannot be read; in update mode, if it cannot be written.
pub fn check_file(path: &Path, generated: &str) {
    if updating() {
        fs::write(path, generated)
            .unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    } else {
        refuse_change(path, generated);
    }
}

fn refuse_change(path: &Path, generated: &str) {
    let stored = fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    if let Some(difference) = first_difference(&stored, generated) {
        panic!(
            "{} is not what the code generates: {difference}\n\
             If the change is meant, run this test with {UPDATE_VARIABLE}=1 and commit the file.",
            path.display()
        );
    }
}

/// Compares what stands between the lines `begin` and `end` of the file at `path` with what the code generates now, or
/// rewrites it in update mode. `generated` ends with a line break.
///
/// # Panics
/// As [`check_file`], and if the file does not hold the two lines in this order.
pub fn check_section(path: &Path, begin: &str, end: &str, generated: &str) {
    let stored = fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    let replaced = with_section(&stored, begin, end, generated)
        .unwrap_or_else(|| panic!("{} has no section {begin:?} to {end:?}", path.display()));
    check_file(path, &replaced);
}

fn with_section(stored: &str, begin: &str, end: &str, generated: &str) -> Option<String> {
    let (head, rest) = stored.split_once(&format!("{begin}\n"))?;
    let (_, tail) = rest.split_once(&format!("{end}\n"))?;
    Some(format!("{head}{begin}\n{generated}{end}\n{tail}"))
}

fn first_difference(stored: &str, generated: &str) -> Option<String> {
    if stored == generated {
        return None;
    }
    let mut lines = stored.lines().zip(generated.lines()).enumerate();
    let differing = lines.find(|(_, (stored, generated))| stored != generated);
    Some(match differing {
        Some((number, (stored, generated))) => {
            format!(
                "line {}\n  stored:    {stored}\n  generated: {generated}",
                number + 1
            )
        }
        None => format!(
            "{} lines are stored, {} are generated",
            stored.lines().count(),
            generated.lines().count()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        let difference = first_difference("a\nb\n", "a\nc\n").unwrap();
        assert!(difference.starts_with("line 2"), "{difference}");
        let difference = first_difference("a\n", "a\nb\n").unwrap();
        assert_eq!(difference, "1 lines are stored, 2 are generated");
    }

    #[test]
    fn a_section_is_replaced_and_nothing_else() {
        let stored = "before\n<\nold\n>\nafter\n";
        let replaced = with_section(stored, "<", ">", "new\n");
        assert_eq!(replaced.as_deref(), Some("before\n<\nnew\n>\nafter\n"));
        assert_eq!(with_section(stored, "<<", ">", "new\n"), None);
        assert_eq!(with_section(stored, ">", "<", "new\n"), None);
    }

    #[test]
    #[should_panic(expected = "is not what the code generates")]
    fn a_changed_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pinned");
        fs::write(&path, "old\n").unwrap();
        refuse_change(&path, "new\n");
    }
}
