//! An error as an operator meets it: what failed, why, and what to do now.

use crate::exit_codes::ExitCode;
use std::fmt;

/// Ends a command or the node. Rendered as three lines; a `why` of several lines is indented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: ExitCode,
    /// What could not be done, as a sentence without a full stop.
    pub what: String,
    /// The fact that prevented it.
    pub why: String,
    /// The next step of the person who reads this, with paths and commands spelled out.
    pub next_step: String,
}

impl Failure {
    pub fn new(
        code: ExitCode,
        what: impl Into<String>,
        why: impl fmt::Display,
        next_step: impl Into<String>,
    ) -> Self {
        Self {
            code,
            what: what.into(),
            why: why.to_string(),
            next_step: next_step.into(),
        }
    }

    /// A file operation failed. A full disk gets its own advice.
    pub fn disk(what: impl Into<String>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let next_step = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "free disk space or enlarge the volume, then try again; nothing was lost"
            }
            ErrorKind::PermissionDenied => {
                "make the path readable and writable for the user that runs holdfast"
            }
            ErrorKind::ReadOnlyFilesystem => {
                "remount the file system writable; if the kernel remounted it read-only, check the disk (dmesg)"
            }
            _ => "check the path and the health of the disk (dmesg, smartctl), then try again",
        };
        Self::new(ExitCode::DiskFailed, what, error, next_step)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "error: {} (exit {}, {})",
            self.what,
            self.code.number(),
            self.code.name()
        )?;
        write_labelled(formatter, "  why: ", &self.why)?;
        formatter.write_str("\n")?;
        write_labelled(formatter, "to do: ", &self.next_step)
    }
}

fn write_labelled(formatter: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    for (index, line) in text.lines().enumerate() {
        if index == 0 {
            write!(formatter, "{label}{line}")?;
        } else {
            write!(formatter, "\n{:width$}{line}", "", width = label.len())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines_say_what_why_and_what_to_do() {
        let failure = Failure::new(
            ExitCode::PortInUse,
            "cannot serve JSON-RPC on 127.0.0.1:8645",
            "another process listens there",
            "stop it (ss -ltnp 'sport = :8645'), or set rpc.listen to another port",
        );
        assert_eq!(
            failure.to_string(),
            "error: cannot serve JSON-RPC on 127.0.0.1:8645 (exit 32, port-in-use)\n\
             \x20 why: another process listens there\n\
             to do: stop it (ss -ltnp 'sport = :8645'), or set rpc.listen to another port"
        );
    }

    #[test]
    fn further_lines_are_aligned_under_the_first() {
        let failure = Failure::new(ExitCode::Usage, "no", "a\nb", "c");
        assert_eq!(
            failure.to_string(),
            "error: no (exit 1, usage)\n  why: a\n       b\nto do: c"
        );
    }

    #[test]
    fn a_full_disk_is_named_with_its_way_out() {
        let failure = Failure::disk(
            "cannot write x",
            &std::io::Error::from(std::io::ErrorKind::StorageFull),
        );
        assert_eq!(failure.code, ExitCode::DiskFailed);
        assert!(failure.next_step.contains("free disk space"), "{failure}");
    }
}
