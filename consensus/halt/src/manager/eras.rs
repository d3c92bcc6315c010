//! What the beginning of an era settles, and what its being taken back does not (rules H9 and H15).

use super::{EmergencyHalt, HaltEffect, HaltManager, Standing};
use crate::journal::JournalEvent;
use crate::matrix::Mode;
use holdfast_types::Era;

impl HaltManager {
    /// H9.
    pub(super) fn on_era_started(&mut self, standing: Standing, era: Era) -> Vec<HaltEffect> {
        if era <= self.state.era {
            return Vec::new();
        }
        let mut effects = vec![HaltEffect::Persist];
        let resumed = self.state.resume.take_if(|message| {
            let point = message.body.action.resume_point();
            point.is_none_or(|point| point.era < era)
        });
        self.state.resume_is_built &= self.state.resume.is_some();
        let settled = std::mem::take(&mut self.state.hard);
        for halt in settled {
            self.ended(standing, halt.id, Mode::HardHalt, &mut effects);
        }
        let is_over = |halt: &mut EmergencyHalt| {
            resumed.is_some_and(|resume| resume.body.sequence > halt.message.body.sequence)
        };
        if let Some(halt) = self.state.emergency.take_if(is_over) {
            effects.extend(self.end_emergency(standing, &halt));
        }
        self.lockdown_of_era(standing, era, &mut effects);
        self.state.era = era;
        self.note(standing, JournalEvent::EraStarted { era }, &mut effects);
        effects
    }

    /// H15.
    pub(super) fn on_era_taken_back(&mut self, standing: Standing, era: Era) -> Vec<HaltEffect> {
        if era >= self.state.era {
            return Vec::new();
        }
        let mut effects = vec![HaltEffect::Persist];
        for halt in std::mem::take(&mut self.state.hard) {
            self.ended(standing, halt.id, Mode::HardHalt, &mut effects);
        }
        self.lockdown_of_era(standing, era, &mut effects);
        self.state.era = era;
        self.note(standing, JournalEvent::EraStarted { era }, &mut effects);
        effects
    }
}
