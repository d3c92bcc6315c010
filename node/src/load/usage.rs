//! What processes take of the machine, from `/proc`.

use std::time::Duration;

/// Ticks per second in `/proc`: the kernel shows 100 on every architecture that Linux on servers runs on.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time that a process has used so far, all threads together; nothing if there is no such process or no
/// `/proc`.
#[must_use]
pub fn processor_time(pid: u32) -> Option<Duration> {
    parse_processor_time(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The line of `/proc/PID/stat`: the name in parentheses may hold anything, so fields are counted from its end.
fn parse_processor_time(stat: &str) -> Option<Duration> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ticks = user.checked_add(system)?;
    Some(Duration::from_millis(
        ticks.checked_mul(1_000)? / TICKS_PER_SECOND,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let stat = "42 (a) name) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 9 0 300 0 0";
        assert_eq!(parse_processor_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_processor_time("42 (name) S 1"), None);
        assert_eq!(parse_processor_time(""), None);
    }

    #[test]
    fn this_process_has_used_some() {
        assert!(processor_time(std::process::id()).is_some());
        // The kernel gives no process this id.
        assert_eq!(processor_time(u32::MAX), None);
    }
}
