//! The time of day, for records that people read.

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

/// Now, as `2026-11-21T06:26:00.000000Z`.
#[must_use]
pub fn utc_now() -> String {
    let mut text = String::new();
    SystemTime
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
