//! Halts that governance orders (rules H5 to H7 and H20 of the manager).

use super::{EmergencyHalt, HaltEffect, HaltManager, HaltRefusal, Standing};
use crate::journal::JournalEvent;
use crate::matrix::Mode;
use holdfast_types::{GovernanceMessage, HaltId, Hash32, Height, TimestampMs};

impl HaltManager {
    /// H5: whether a halt may begin now.
    pub(super) fn check_halt(
        &self,
        standing: Standing,
        message: &GovernanceMessage,
    ) -> Result<(), HaltRefusal> {
        message.check_end(standing.wall, self.config.emergency_halt_max_ms)?;
        if let Some(halt) = &self.state.emergency {
            return Err(HaltRefusal::InForce { until: halt.until });
        }
        if let Some(resume) = &self.state.resume {
            return Err(HaltRefusal::Resuming {
                sequence: resume.body.sequence,
            });
        }
        let Some(ended) = self.state.emergency_ended else {
            return Ok(());
        };
        let progress_ms = standing.live_time.since(ended);
        let missing_ms = self.config.epoch_duration_ms.saturating_sub(progress_ms);
        if missing_ms > 0 {
            return Err(HaltRefusal::TooSoon { missing_ms });
        }
        Ok(())
    }

    pub(super) fn begin_emergency(
        &mut self,
        standing: Standing,
        id: Hash32,
        until: TimestampMs,
        after_height: Option<Height>,
        message: GovernanceMessage,
    ) -> Vec<HaltEffect> {
        let active = !message.body.action.waits_at(standing.head);
        let halt = HaltId::of_message(id);
        self.state.emergency = Some(EmergencyHalt {
            id: halt,
            message,
            until,
            after_height,
            received: standing.wall,
            active,
        });
        if active {
            self.began(standing, halt, Mode::EmergencyHalt, None)
        } else {
            vec![HaltEffect::Persist]
        }
    }

    /// The halt of governance that holds here, and when it ends by itself.
    #[must_use]
    pub fn emergency_halt(&self) -> Option<(HaltId, TimestampMs)> {
        let halt = self.state.emergency.as_ref();
        let halt = halt.filter(|halt| halt.active)?;
        Some((halt.id, halt.until))
    }

    /// H20.
    pub(super) fn on_not_followed(&mut self, standing: Standing, halt: HaltId) -> Vec<HaltEffect> {
        let is_it = |known: &mut EmergencyHalt| known.active && known.id == halt;
        let Some(known) = self.state.emergency.take_if(is_it) else {
            return Vec::new();
        };
        // The chain has not halted: there is nothing to record.
        let sequence = known.message.body.sequence;
        self.state
            .waiting
            .retain(|message| message.body.sequence != sequence);
        let mut effects = vec![HaltEffect::Persist];
        self.note(standing, JournalEvent::HaltVoid { halt }, &mut effects);
        self.ended(standing, halt, Mode::EmergencyHalt, &mut effects);
        effects.push(HaltEffect::Void(halt));
        effects
    }

    /// What follows from the end of a halt that is not in the state any more.
    pub(super) fn end_emergency(
        &mut self,
        standing: Standing,
        halt: &EmergencyHalt,
    ) -> Vec<HaltEffect> {
        let mut effects = vec![HaltEffect::Persist];
        if halt.active {
            self.state.emergency_ended = Some(standing.live_time);
            self.ended(standing, halt.id, Mode::EmergencyHalt, &mut effects);
        }
        effects
    }
}
