//! Scripts: a network step by step, in words. What is said to it and what comes of it stand in one file, which so explains
//! how the protocol works and is compared with what the code does.
//!
//! A line that begins with `#` is prose. A block is commands, one in a line, then `----`, then what they gave, then an
//! empty line. The first command makes the network, on links that take 10 ms each way and lose nothing. Times are `5ms`
//! or `3s`; nodes are numbered from 0, validators first, then standby validators, followers and spare nodes for twins.
//!
//! | command | what it does |
//! |---|---|
//! | `validators 4 …` | the network; then, as wanted, `standby 1`, `followers 1`, `twins 1`, `clients 2`, `gc 20`, `epoch 5s`, `timeout 250ms`, `seed 7` |
//! | `run 2s` | lets time pass |
//! | `trace 200ms` | the same, and shows what nodes do: of all nodes, or of some and by some first words, as in `trace 200ms 0 2 sends commits` |
//! | `show` | where every node stands |
//! | `accounts 0`, `validators-of 0` | what the state says on a node |
//! | `guards` | sign guards, and the last own vertex that the disk holds |
//! | `leaders 4 9` | who leads the rounds 4 to 9 |
//! | `submit 0 client-0 pays client-1 500` | a client sends a transfer to a node |
//! | `join 4`, `leave 3` | the owner of a validator gives it its signing key, or takes it away |
//! | `cut 3`, `partition 0 1 \| 2 3`, `mend` | nobody hears node 3; groups that do not hear each other; all is well again |
//! | `crash 2 everything` | the process ends; of what was not synced, `everything`, a `suffix` or `nothing` is lost |
//! | `crash 2 at before-sync` | the same, losing everything, when its writing comes there: `before-write`, `before-sync`, `before-guard`, `before-send`, `after-block` |
//! | `start 2` | starts it from its disk |
//! | `clock 1 +5s` | its wall clock is so far ahead |
//! | `byzantine 3 equivocator` | it breaks a rule from now on, in one of the ways of [`crate::byzantine`] |
//! | `lose-disk 2 with-guard` | its process ends and its disk is new; the sign guard is kept, or `without-guard` |
//! | `twin 0 4` | the key of node 0 also runs on node 4, from a new disk |

mod command;
mod player;
mod tables;

use command::Command;
use player::Player;
use std::fmt;

/// What separates commands from what they gave.
const SEPARATOR: &str = "----";

/// A script that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl std::error::Error for ScriptError {}

/// One command with its place.
#[derive(Debug)]
struct Step {
    line: usize,
    text: String,
    command: Command,
}

#[derive(Debug)]
enum Piece {
    /// Prose or an empty line.
    Text(String),
    Block(Vec<Step>),
}

/// Plays a script: gives its text with what its commands give now in the place of what the text says they gave.
///
/// # Errors
/// If a line is no command, if a command asks for what the network does not have, or if a rule of the protocol is broken.
pub fn play(file: &str, text: &str) -> Result<String, ScriptError> {
    let failed = |line, what| ScriptError {
        file: file.to_owned(),
        line,
        what,
    };
    let pieces = parse(text).map_err(|(line, what)| failed(line, what))?;
    let mut player = Player::default();
    let mut played = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                played.push_str(&text);
                played.push('\n');
            }
            Piece::Block(steps) => {
                let mut given = Vec::new();
                for step in steps {
                    let lines = player.carry_out(&step.command);
                    given.extend(lines.map_err(|what| failed(step.line, what))?);
                    played.push_str(&step.text);
                    played.push('\n');
                }
                played.push_str(SEPARATOR);
                played.push('\n');
                for line in given {
                    played.push_str(line.trim_end());
                    played.push('\n');
                }
            }
        }
    }
    Ok(played)
}

/// Lines are counted from 1.
fn parse(text: &str) -> Result<Vec<Piece>, (usize, String)> {
    let mut pieces = Vec::new();
    let mut steps = Vec::new();
    let mut is_output = false;
    for (line, text) in (1..).zip(text.lines()) {
        let is_prose = text.is_empty() || text.starts_with('#');
        if is_output && !text.is_empty() {
            continue;
        }
        is_output = false;
        if text == SEPARATOR {
            if steps.is_empty() {
                return Err((line, format!("no command before {SEPARATOR}")));
            }
            pieces.push(Piece::Block(std::mem::take(&mut steps)));
            is_output = true;
        } else if !is_prose {
            let command = Command::parse(text).map_err(|what| (line, what))?;
            let text = text.to_owned();
            steps.push(Step {
                line,
                text,
                command,
            });
        } else if steps.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        } else {
            return Err((line, format!("commands end with {SEPARATOR}")));
        }
    }
    match steps.last() {
        Some(last) => Err((last.line, format!("commands end with {SEPARATOR}"))),
        None => Ok(pieces),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "# Prose.\n\nvalidators 4\nshow\n----\nold\n\n# More.\nrun 1s\n----\n";

    fn error(text: &str) -> String {
        play("x.txt", text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn what_a_script_gives_replaces_what_it_said() {
        let played = play("x.txt", SCRIPT).expect("a script");
        assert!(played.starts_with("# Prose.\n\nvalidators 4\nshow\n----\nnode"));
        assert!(played.ends_with("\n\n# More.\nrun 1s\n----\n"));
        assert!(!played.contains("old"));
        assert_eq!(play("x.txt", &played), Ok(played));
    }

    #[test]
    fn what_cannot_be_played_is_named_with_file_and_line() {
        for (text, expected) in [
            ("# a\n----\n", "x.txt:2: no command before ----"),
            ("validators 4\n\n", "x.txt:2: commands end with ----"),
            (
                "validators 4\n# a\n----\n",
                "x.txt:2: commands end with ----",
            ),
            ("# a\nvalidators 4", "x.txt:2: commands end with ----"),
            (
                "# a\n\ndance\n----\n",
                "x.txt:3: \"dance\" is no command; see the documentation of script.rs",
            ),
            ("show\n----\n", "x.txt:1: the first command is validators"),
            (
                "validators 4\ncrash 4 nothing\n----\n",
                "x.txt:2: there is no node 4",
            ),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
    }
}
