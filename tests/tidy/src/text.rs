//! Checks of any text file.

use crate::Violation;
use crate::code::blank_out;
use crate::repository::File;

/// What does not stay in the repository. Put together from halves, so that this file passes its own check.
const LEFTOVERS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
const LEFTOVER_CODE: [&str; 4] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("#[", "ignore"),
];

/// Homes of people and build machines.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("C:", "\\"),
];

/// Leftovers, paths of a machine, and files with the old module name.
#[must_use]
pub fn check(file: &File) -> Vec<Violation> {
    let violation = |line, rule, message| Violation {
        path: file.path.clone(),
        line,
        rule,
        message,
    };
    let mut violations = Vec::new();
    if file.path.ends_with("/mod.rs") {
        let message = "name the file after the module, beside its directory".to_owned();
        violations.push(violation(0, "mod-rs", message));
    }
    let code = if file.is_rust() {
        blank_out(&file.text)
    } else {
        String::new()
    };
    for (number, line) in (1..).zip(file.text.lines()) {
        for word in LEFTOVERS.into_iter().filter(|word| has_word(line, word)) {
            let message = format!("{word}: do it now, or write an issue");
            violations.push(violation(number, "leftover", message));
        }
        for path in MACHINE_PATHS.into_iter().filter(|path| line.contains(path)) {
            let message = format!("{path} is a path of one machine");
            violations.push(violation(number, "machine-path", message));
        }
    }
    for (number, line) in (1..).zip(code.lines()) {
        for word in LEFTOVER_CODE.into_iter().filter(|word| line.contains(word)) {
            let message = format!("{word} does not stay in the code");
            violations.push(violation(number, "leftover", message));
        }
    }
    violations
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&file)
            .into_iter()
            .map(|violation| (violation.line, violation.rule))
            .collect()
    }

    #[test]
    fn leftovers_and_machine_paths_are_found() {
        for leftover in LEFTOVERS {
            let text = format!("fn a() {{}}\n// {leftover}: later\n");
            assert_eq!(rules("a.rs", &text), [(2, "leftover")], "{leftover}");
            assert_eq!(rules("a.md", &text), [(2, "leftover")], "{leftover}");
        }
        for leftover in LEFTOVER_CODE {
            assert_eq!(
                rules("a.rs", &format!("{leftover}x)")),
                [(1, "leftover")],
                "{leftover}"
            );
            assert_eq!(rules("a.rs", &format!("// {leftover}x)")), []);
        }
        for path in MACHINE_PATHS {
            assert_eq!(
                rules("a.toml", &format!("\nx = '{path}a'")),
                [(2, "machine-path")]
            );
        }
        assert_eq!(rules("rpc/src/methods/mod.rs", ""), [(0, "mod-rs")]);
    }

    #[test]
    fn parts_of_words_are_no_leftovers() {
        let words = concat!("mas", "TO", "DO", "n TO", "DO", "S x", "FIX", "ME");
        assert_eq!(
            rules("a.rs", &format!("// {words}\nfn mod_rs() {{}}\n")),
            []
        );
    }
}
