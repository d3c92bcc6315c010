//! Where an emergency begins and ends, as document 002 wants it in the log.

use holdfast_chain::ChainBatch;
use holdfast_types::{Event, Height};

/// A line for each such block of a batch; `lib` is the last irreversible block.
pub(super) fn lines_of(batch: &ChainBatch, lib: Height) -> Vec<String> {
    let blocks = batch.apply.iter();
    let lines = blocks.flat_map(|applied| {
        let height = applied.block.header.height;
        let events = applied.events.iter();
        events.filter_map(move |event| line_of(event, height, lib))
    });
    lines.collect()
}

/// Once the store has the blocks.
pub(super) fn log(lines: &[String]) {
    for line in lines {
        tracing::warn!("{line}");
    }
}

fn line_of(event: &Event, height: Height, lib: Height) -> Option<String> {
    match event {
        Event::EmergencyActivated { stalled_ms, .. } => {
            let seconds = stalled_ms / 1_000;
            // A batch may hold blocks of the emergency besides its first.
            let lib = lib.min(Height(height.0.saturating_sub(1)));
            Some(format!(
                "EMERGENCY CONSENSUS MODE activated at block #{height}. No blocks for {seconds} seconds since LIB {lib}."
            ))
        }
        Event::EmergencyDeactivated { validators } => Some(format!(
            "EMERGENCY CONSENSUS MODE deactivated at block #{height}. {validators} real validators active."
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_the_document() {
        let activated = Event::EmergencyActivated {
            slot: 0,
            stalled_ms: 3_600_250,
        };
        let line = |event, lib| line_of(event, Height(1_207), Height(lib)).unwrap();
        assert_eq!(
            line(&activated, 1_204),
            "EMERGENCY CONSENSUS MODE activated at block #1207. No blocks for 3600 seconds since LIB 1204."
        );
        assert!(line(&activated, 1_300).ends_with("since LIB 1206."));
        let deactivated = Event::EmergencyDeactivated { validators: 15 };
        assert_eq!(
            line(&deactivated, 1_206),
            "EMERGENCY CONSENSUS MODE deactivated at block #1207. 15 real validators active."
        );
        let other = Event::HardforkApplied { version: 12 };
        assert_eq!(line_of(&other, Height(1), Height(0)), None);
    }
}
