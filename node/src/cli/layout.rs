//! Labelled lines: what the screens of the command line are made of.

use std::fmt::{Display, Write as _};

const LABEL_CHARACTERS: usize = 13;
const FILE_CHARACTERS: usize = 20;

/// Text that grows by lines with a label each.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    text: String,
}

impl Sheet {
    /// A sheet under a first line.
    pub(super) fn titled(title: impl Display) -> Self {
        let mut sheet = Self::default();
        sheet.heading(title);
        sheet
    }

    /// A line that starts at the margin.
    pub(super) fn heading(&mut self, text: impl Display) {
        let _infallible = writeln!(self.text, "{text}");
    }

    /// A label and its value; further lines of the value stand under the first.
    pub(super) fn line(&mut self, label: &str, value: impl Display) {
        self.labelled(LABEL_CHARACTERS, label, &value.to_string());
    }

    /// The same for a file and what it holds.
    pub(super) fn file(&mut self, name: &str, content: impl Display) {
        self.labelled(FILE_CHARACTERS, name, &content.to_string());
    }

    fn labelled(&mut self, width: usize, label: &str, value: &str) {
        let mut label = label;
        for line in value.lines() {
            let _infallible = writeln!(self.text, "  {label:<width$} {line}");
            label = "";
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// "1 peer", "2 peers".
pub(super) fn count(number: u64, singular: &str, plural: &str) -> String {
    let noun = if number == 1 { singular } else { plural };
    format!("{number} {noun}")
}

/// Enough of a hash for a person to compare.
pub(super) fn short(hash: impl Display) -> String {
    hash.to_string().chars().take(12).collect()
}

/// All of them, or "none".
pub(super) fn listed<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(separator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_one_column_and_further_lines_under_the_first() {
        let mut sheet = Sheet::titled("alice");
        sheet.line("balance", 5);
        sheet.line("events", "one\ntwo");
        assert_eq!(
            sheet.into_text(),
            "alice\n  balance       5\n  events        one\n                two\n"
        );
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(count(1, "peer", "peers"), "1 peer");
        assert_eq!(count(0, "peer", "peers"), "0 peers");
    }

    #[test]
    fn an_empty_list_says_so() {
        assert_eq!(listed([1, 2, 3], ", "), "1, 2, 3");
        assert_eq!(listed([""; 0], ", "), "none");
    }
}
