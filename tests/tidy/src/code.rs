//! Rust source without what is not code.

/// `source` with the contents of comments, strings and character literals replaced by blanks; lines stay where they
/// are.
#[must_use]
pub fn blank_out(source: &str) -> String {
    let mut blanked = String::with_capacity(source.len());
    let mut rest = source;
    while !rest.is_empty() {
        let hidden = hidden_length(rest);
        let (token, behind) = rest.split_at(hidden.unwrap_or_else(|| code_length(rest)));
        match hidden {
            Some(_) => blanked.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => blanked.push_str(token),
        }
        rest = behind;
    }
    blanked
}

const fn is_identifier_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Length in bytes of the comment or literal at the start of `rest`.
fn hidden_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted_length(rest, '"'));
    }
    if rest.starts_with('\'') {
        return character_length(rest);
    }
    raw_string_length(rest)
}

/// Length in bytes of the word at the start of `rest`, or of one character. A prefix like the b of b"…" is a word of
/// its own: the literal follows as the next token.
fn code_length(rest: &str) -> usize {
    let word = rest.find(|c| !is_identifier_part(c)).unwrap_or(rest.len());
    word.max(rest.chars().next().map_or(0, char::len_utf8))
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut position = 0;
    while position < rest.len() {
        if rest[position..].starts_with("/*") {
            depth += 1;
            position += 2;
        } else if rest[position..].starts_with("*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += rest[position..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, and the same with `b`.
fn raw_string_length(rest: &str) -> Option<usize> {
    let prefix = if rest.starts_with("br") { 2 } else { 1 };
    let after = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let hashes = after.chars().take_while(|c| *c == '#').count();
    if !after[hashes..].starts_with('"') {
        return None;
    }
    let start = prefix + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = rest[start..]
        .find(&end)
        .map(|position| start + position + end.len());
    Some(length.unwrap_or(rest.len()))
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (position, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return position + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// A character literal, as opposed to a lifetime.
fn character_length(rest: &str) -> Option<usize> {
    let mut inner = rest.chars().skip(1);
    match (inner.next()?, inner.next()?) {
        ('\\', _) => Some(quoted_length(rest, '\'')),
        (c, '\'') => Some(2 + c.len_utf8()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        let cases = [
            ("let a = 1; // tokio", "let a = 1;         "),
            ("a /* x /* y */ z */ b", "a                   b"),
            ("f(\"std::fs\", b)", "f(         , b)"),
            ("f(\"a\\\"b\", c)", "f(      , c)"),
            ("f(r#\"a\"b\"#, c)", "f(        , c)"),
            ("f(br\"\\\", c)", "f(     , c)"),
            ("f(b\"x\", c)", "f(b   , c)"),
            ("'a: loop { 'x' '\\'' '\"' }", "'a: loop {              }"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("//! a\nuse b;", "     \nuse b;"),
            ("ä /* ü */ b", "ä         b"),
        ];
        for (source, expected) in cases {
            assert_eq!(blank_out(source), expected, "{source}");
        }
    }

    #[test]
    fn lines_stay_where_they_are() {
        let source = "/* a\nb */ c \"d\ne\" f";
        assert_eq!(blank_out(source), "    \n     c   \n   f");
    }
}
