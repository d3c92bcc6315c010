//! The time of day.

use holdfast_types::TimestampMs;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime as _;

/// Now, by the clock of this machine.
#[must_use]
pub fn wall() -> TimestampMs {
    // A clock that stands before 1970 is as wrong as one at 1970.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TimestampMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Now, as `2026-11-21T06:26:00.000000Z`.
#[must_use]
pub fn utc_now() -> String {
    let mut text = String::new();
    tracing_subscriber::fmt::time::SystemTime
        .format_time(&mut Writer::new(&mut text))
        .expect("writing to memory does not fail");
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_like_rfc_3339() {
        let now = super::utc_now();
        assert!(
            now.ends_with('Z') && now.contains('T') && now.starts_with("20"),
            "{now}"
        );
    }
}
