//! Which halts hold: said here, and asked by everybody who acts on them or shows them.

use super::state::{EmergencyHalt, HaltState, HardHalt, OwnFault};
use crate::lockdown::Lock;
use crate::matrix::Mode;
use holdfast_types::{Era, HaltCause, HaltId, TimestampMs};

/// A halt that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltInForce<'a> {
    Hard(&'a HardHalt),
    OwnFault(&'a OwnFault),
    Emergency(&'a EmergencyHalt),
    Lockdown(Era, &'a Lock),
}

impl HaltInForce<'_> {
    #[must_use]
    pub fn id(&self) -> HaltId {
        match self {
            Self::Hard(halt) => halt.id,
            Self::OwnFault(fault) => fault.id,
            Self::Emergency(halt) => halt.id,
            Self::Lockdown(era, _) => HaltId::of_lockdown(*era),
        }
    }

    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self {
            Self::Hard(_) | Self::OwnFault(_) => Mode::HardHalt,
            Self::Emergency(_) => Mode::EmergencyHalt,
            Self::Lockdown(..) => Mode::Lockdown,
        }
    }

    /// None: governance ordered it, or the validators voted for it.
    #[must_use]
    pub const fn cause(&self) -> Option<HaltCause> {
        match self {
            Self::Hard(halt) => Some(halt.cause),
            Self::OwnFault(fault) => Some(fault.cause),
            Self::Emergency(_) | Self::Lockdown(..) => None,
        }
    }

    /// Wall clock of this node.
    #[must_use]
    pub const fn since(&self) -> TimestampMs {
        match self {
            Self::Hard(halt) => halt.since,
            Self::OwnFault(fault) => fault.since,
            Self::Emergency(halt) => halt.received,
            Self::Lockdown(_, lock) => lock.since,
        }
    }
}

impl HaltState {
    /// The halts that hold: those on proof as they came, the fault of this node, the order of governance, the lockdown. One that waits
    /// for its height does not hold yet; a resume message stops this node too, and is no halt.
    pub fn in_force(&self) -> impl Iterator<Item = HaltInForce<'_>> {
        let hard = self.hard.iter().map(HaltInForce::Hard);
        let own = self.own_fault.iter().map(HaltInForce::OwnFault);
        let emergency = self.emergency.iter().filter(|halt| halt.active);
        let lock = self.lockdown.lock.iter();
        let era = self.lockdown.era;
        hard.chain(own)
            .chain(emergency.map(HaltInForce::Emergency))
            .chain(lock.map(move |lock| HaltInForce::Lockdown(era, lock)))
    }
}
