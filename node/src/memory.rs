//! Memory, as `/proc` tells it.

/// Memory of a process that is in RAM now, in bytes; nothing if there is no such process or no `/proc`.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    bytes_of(&status, "VmRSS:")
}

/// What the machine can still give to processes, in bytes; nothing if there is no `/proc`.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    bytes_of(&machine, "MemAvailable:")
}

/// The value of the line `name value kB`.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_process_table() {
        assert_eq!(
            bytes_of("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"),
            Some(2 * 1024 * 1024)
        );
        assert_eq!(bytes_of("Name:\tkthreadd\n", "VmRSS:"), None);
        assert!(resident_bytes(std::process::id()).unwrap() > 1024 * 1024);
        assert_eq!(resident_bytes(u32::MAX), None);
        assert!(available_bytes().unwrap() > 1024 * 1024);
    }
}
