//! What the figures were measured on.

use serde_json::{Value, json};

/// The machine and the program.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    cores: usize,
    processor: String,
    memory_mib: u64,
    kernel: String,
}

impl Machine {
    /// As far as `/proc` tells.
    pub(super) fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            processor: value_of(&read("/proc/cpuinfo"), "model name")
                .unwrap_or("unknown processor")
                .to_owned(),
            memory_mib: value_of(&read("/proc/meminfo"), "MemTotal").map_or(0, mebibytes),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    pub(super) fn as_text(&self) -> String {
        format!(
            "{} cores of {}, {} MiB, Linux {}; holdfast {}{}",
            self.cores,
            self.processor,
            self.memory_mib,
            self.kernel,
            env!("CARGO_PKG_VERSION"),
            if cfg!(debug_assertions) {
                ", DEBUG BUILD: these figures mean nothing"
            } else {
                ", release build"
            }
        )
    }

    pub(super) fn as_json(&self) -> Value {
        json!({
            "cores": self.cores,
            "processor": self.processor,
            "memory_mib": self.memory_mib,
            "kernel": self.kernel,
            "version": env!("CARGO_PKG_VERSION"),
            "release_build": !cfg!(debug_assertions),
        })
    }
}

/// The value behind the first "name : value" line.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

fn mebibytes(kibibytes: &str) -> u64 {
    kibibytes
        .split_ascii_whitespace()
        .next()
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nMemTotal:    2097152 kB\n";
        assert_eq!(value_of(text, "model name"), Some("Some CPU @ 2 GHz"));
        assert_eq!(value_of(text, "MemTotal").map(mebibytes), Some(2_048));
        assert_eq!(value_of(text, "bogomips"), None);
    }
}
