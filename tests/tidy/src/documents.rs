//! Tables in documents that say which test shows what.
//!
//! They stand between [`BEGIN`] and [`END`], and name a test as `place::test`. A place is the path of a file from the root, or
//! `crate/module` for short; see `paths`.

use crate::Violation;
use crate::repository::File;

pub const BEGIN: &str = "<!-- tests: begin -->";
pub const END: &str = "<!-- tests: end -->";

/// Tests that documents name and that are not there; documents whose table names none.
#[must_use]
pub fn check(files: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for document in files.iter().filter(|file| file.text.contains(BEGIN)) {
        if document.is_rust() {
            continue;
        }
        let named = named_tests(document);
        let mut violation = |line, message| {
            violations.push(Violation {
                path: document.path.clone(),
                line,
                rule: "named-test",
                message,
            });
        };
        if named.is_empty() {
            violation(0, "its table names no test".to_owned());
        }
        for (line, name) in named {
            if !exists(files, name) {
                violation(line, format!("{name} is not there: find its new name"));
            }
        }
    }
    violations
}

/// The tests that a document names, with their lines.
#[must_use]
pub fn named_tests(document: &File) -> Vec<(usize, &str)> {
    let lines = (1..).zip(document.text.lines());
    let table = lines
        .skip_while(|(_, line)| *line != BEGIN)
        .take_while(|(_, line)| *line != END);
    let quoted = table.flat_map(|(number, line)| {
        let texts = line.split('`').skip(1).step_by(2);
        texts.map(move |text| (number, text))
    });
    let is_test = |text: &str| text.contains('/') && text.contains("::");
    quoted.filter(|(_, text)| is_test(text)).collect()
}

/// Where the tests of a place may be.
fn paths(place: &str) -> Vec<String> {
    if place.ends_with(".rs") {
        return vec![place.to_owned()];
    }
    let Some((package, module)) = place.split_once('/') else {
        return Vec::new();
    };
    vec![
        format!("consensus/{package}/tests/rules/{module}.rs"),
        format!("consensus/{package}/tests/{package}/{module}.rs"),
        format!("consensus/{package}/src/{package}/tests/{module}.rs"),
        format!("consensus/{package}/src/{module}.rs"),
        format!("tests/{package}/tests/{package}/{module}.rs"),
    ]
}

fn exists(files: &[File], name: &str) -> bool {
    let Some((place, test)) = name.rsplit_once("::") else {
        return false;
    };
    paths(place)
        .iter()
        .filter_map(|path| files.iter().find(|file| file.path == *path))
        .any(|file| has_test(&file.text, test))
}

/// A function of this name, or a line of a macro that makes one of it.
fn has_test(source: &str, test: &str) -> bool {
    let made = format!("{test}: ");
    source.contains(&format!("fn {test}("))
        || source
            .lines()
            .map(str::trim)
            .any(|line| line.starts_with(&made) && line.ends_with(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn violations(table: &str) -> Vec<(usize, String)> {
        let files = [
            file("consensus/dag/tests/rules/commits.rs", "fn one() {}"),
            file("consensus/dag/src/core.rs", "    fn two() {}"),
            file(
                "tests/simulation/tests/simulation/seeds.rs",
                "    calm: 0..9;",
            ),
            file(
                "docs/table.md",
                &format!("`a::b`\n{BEGIN}\n{table}\n{END}\n`c::d`\n"),
            ),
        ];
        let found = check(&files).into_iter();
        found.map(|found| (found.line, found.message)).collect()
    }

    #[test]
    fn tests_are_found_by_short_and_by_whole_path() {
        let table = "| `Some::field` | `dag/commits::one`, `dag/core::two` |\n\
            | row | `consensus/dag/src/core.rs::two`, `simulation/seeds::calm` |";
        assert_eq!(violations(table), []);
    }

    #[test]
    fn what_is_not_there_is_named_with_its_line() {
        for gone in [
            "dag/commits::two",
            "dag/other::one",
            "simulation/seeds::wan",
        ] {
            let message = format!("{gone} is not there: find its new name");
            let table = format!("| row | `dag/core::two` |\n| row | `{gone}` |");
            assert_eq!(violations(&table), [(4, message)]);
        }
        assert_eq!(
            violations("| row | – |"),
            [(0, "its table names no test".to_owned())]
        );
    }
}
