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
        if message.body.action.waits_at(standing.head) {
            return Ok(());
        }
        self.check_progress(standing)
    }

    /// Whether the chain has made enough progress since the last halt.
    pub(super) fn check_progress(&self, standing: Standing) -> Result<(), HaltRefusal> {
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

    /// H6: the block after which a halt begins is executed.
    pub(super) fn begin_at_height(
        &mut self,
        standing: Standing,
        mut halt: EmergencyHalt,
    ) -> Vec<HaltEffect> {
        let id = halt.id;
        if self.check_progress(standing).is_err() {
            let mut effects = vec![HaltEffect::Persist];
            let event = JournalEvent::HaltVoid { halt: id };
            self.note(standing, event, &mut effects);
            effects.push(HaltEffect::Void(id));
            return effects;
        }
        halt.active = true;
        self.state.emergency = Some(halt);
        self.began(standing, id, Mode::EmergencyHalt, None)
    }

    /// H5.
    pub(super) fn on_halt_recorded(
        &mut self,
        standing: Standing,
        sequence: u64,
    ) -> Vec<HaltEffect> {
        let halt = self.state.emergency.as_ref();
        let is_in_force = halt.is_some_and(|halt| halt.message.body.sequence == sequence);
        let recorded = Some(standing.live_time);
        if is_in_force || self.state.emergency_ended >= recorded {
            return Vec::new();
        }
        self.state.emergency_ended = recorded;
        vec![HaltEffect::Persist]
    }

    /// The halt of governance that holds here, if one does.
    #[must_use]
    pub fn emergency_halt(&self) -> Option<HaltId> {
        let halt = self.state.emergency.as_ref();
        halt.filter(|halt| halt.active).map(|halt| halt.id)
    }

    /// H20.
    pub(super) fn on_not_followed(&mut self, standing: Standing, halt: HaltId) -> Vec<HaltEffect> {
        if self.emergency_halt() != Some(halt) {
            return Vec::new();
        }
        self.state.emergency = None;
        let mut effects = vec![HaltEffect::Persist];
        self.note(standing, JournalEvent::HaltVoid { halt }, &mut effects);
        self.ended(standing, halt, Mode::EmergencyHalt, &mut effects);
        effects.push(HaltEffect::Void(halt));
        effects
    }

    /// Whether a halt waits for the block of its height.
    #[must_use]
    pub fn awaits_height(&self) -> bool {
        let halt = self.state.emergency.as_ref();
        halt.is_some_and(|halt| !halt.active)
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
