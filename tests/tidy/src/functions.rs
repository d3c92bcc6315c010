//! Lengths of functions and files.

use crate::Violation;
use crate::code::blank_out;
use crate::repository::File;

/// Longest file in lines.
pub const FILE_LINES_MAX: usize = 600;
/// Longest function in lines, from `fn` to the closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Files and functions that are too long.
#[must_use]
pub fn check(file: &File) -> Vec<Violation> {
    let mut violations = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        violations.push(Violation {
            path: file.path.clone(),
            line: 0,
            rule: "file-length",
            message: format!("{lines} lines, the limit is {FILE_LINES_MAX}: split it by subject"),
        });
    }
    for function in functions(&file.text) {
        if function.lines > FUNCTION_LINES_MAX {
            violations.push(Violation {
                path: file.path.clone(),
                line: function.line,
                rule: "function-length",
                message: format!(
                    "{} has {} lines, the limit is {FUNCTION_LINES_MAX}",
                    function.name, function.lines
                ),
            });
        }
    }
    violations
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Line of `fn`, from 1.
    pub line: usize,
    pub lines: usize,
}

/// The functions with a body, by matching braces in what is code.
#[must_use]
pub fn functions(source: &str) -> Vec<Function> {
    let code = blank_out(source);
    let mut functions = Vec::new();
    let mut words = Words::new(&code);
    while let Some(word) = words.next() {
        if word.text != "fn" {
            continue;
        }
        // A function pointer type has no name.
        let Some(name) = words.next().filter(|name| is_identifier(name.text)) else {
            continue;
        };
        if let Some(end) = body_end(&code[name.end..]) {
            let line = line_of(&code, word.start);
            let last_line = line_of(&code, name.end + end);
            functions.push(Function {
                name: name.text.to_owned(),
                line,
                lines: last_line - line + 1,
            });
        }
        words.seek(name.end);
    }
    functions
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn line_of(code: &str, position: usize) -> usize {
    code[..position].matches('\n').count() + 1
}

/// Where the body that follows a signature ends; none if a `;` ends the signature.
fn body_end(code: &str) -> Option<usize> {
    let mut round_and_square = 0usize;
    let mut curly = 0usize;
    for (position, c) in code.char_indices() {
        match c {
            '(' | '[' if curly == 0 => round_and_square += 1,
            ')' | ']' if curly == 0 => round_and_square = round_and_square.saturating_sub(1),
            ';' if curly == 0 && round_and_square == 0 => return None,
            '{' => curly += 1,
            '}' => {
                curly = curly.saturating_sub(1);
                if curly == 0 {
                    return Some(position);
                }
            }
            _ => {}
        }
    }
    None
}

/// A word or a single other character.
struct Word<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

struct Words<'a> {
    code: &'a str,
    position: usize,
}

impl<'a> Words<'a> {
    const fn new(code: &'a str) -> Self {
        Self { code, position: 0 }
    }

    const fn seek(&mut self, position: usize) {
        self.position = position;
    }

    fn next(&mut self) -> Option<Word<'a>> {
        let rest = &self.code[self.position..];
        let start = self.position + rest.find(|c: char| !c.is_whitespace())?;
        let rest = &self.code[start..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let length = length.max(rest.chars().next().map_or(0, char::len_utf8));
        let end = start + length;
        self.position = end;
        Some(Word {
            text: &self.code[start..end],
            start,
            end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(String, usize, usize)> {
        functions(source)
            .into_iter()
            .map(|function| (function.name, function.line, function.lines))
            .collect()
    }

    #[test]
    fn functions_are_measured_from_fn_to_the_closing_brace() {
        let source = "\
struct S;
impl S {
    pub const fn one(&self) -> usize {
        1
    }
    async fn two<T>(
        x: [u8; 4],
    ) -> fn(u8) -> u8
    where
        T: Fn(u8),
    {
        fn inner() {}
        let text = \"} fn no() {\";
        text
    }
}
trait T { fn declared(&self) -> [u8; 4]; }
";
        assert_eq!(
            found(source),
            [
                ("one".to_owned(), 3, 3),
                ("two".to_owned(), 6, 10),
                ("inner".to_owned(), 12, 1),
            ]
        );
    }

    fn file(text: String) -> File {
        File {
            path: "x.rs".to_owned(),
            text,
        }
    }

    #[test]
    fn the_limits_are_inclusive() {
        let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
        assert_eq!(check(&file(function(FUNCTION_LINES_MAX))), []);
        let violations = check(&file(function(FUNCTION_LINES_MAX + 1)));
        assert_eq!(violations.len(), 1);
        assert_eq!(
            (violations[0].rule, violations[0].line),
            ("function-length", 1)
        );
        assert_eq!(check(&file("\n".repeat(FILE_LINES_MAX))), []);
        let violations = check(&file("\n".repeat(FILE_LINES_MAX + 1)));
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].rule, "file-length");
    }
}
