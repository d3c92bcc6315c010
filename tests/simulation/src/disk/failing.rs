//! Calls to a disk that fail.
//!
//! For the node's store any of them is the end (rule R1 of the replica): nothing more is written, and nothing is sent.

/// What a node asks its disk to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Records of the replica.
    Write,
    /// A step of the chain, by the execution half.
    Chain,
    Sync,
    /// Raising the sign guard, which is a write and a sync in one.
    Guard,
}

impl Call {
    pub const ALL: [Self; 4] = [Self::Write, Self::Chain, Self::Sync, Self::Guard];
}

/// Why a disk refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// As EIO: nobody knows what of it is there.
    Failed,
    /// As ENOSPC: nothing of it is there.
    Full,
    /// It had to read first, and what it read does not check.
    Unreadable,
}

/// A call that is going to fail.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    pub call: Call,
    /// So many calls of that kind come before it.
    pub after: u64,
    /// Whether it was done all the same.
    pub is_done: bool,
}

/// What is wrong with a disk, apart from what is stored on it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    pub(super) failure: Option<Failure>,
    pub(super) is_full: bool,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) is_done: bool,
    pub(super) result: Result<(), DiskError>,
}

impl Trouble {
    pub(super) fn fate(&mut self, call: Call) -> Fate {
        // A sync needs no room: what it makes durable has its place.
        if self.is_full && call != Call::Sync {
            return Fate {
                is_done: false,
                result: Err(DiskError::Full),
            };
        }
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.call == call) {
            if failure.after == 0 {
                let is_done = failure.is_done;
                self.failure = None;
                return Fate {
                    is_done,
                    result: Err(DiskError::Failed),
                };
            }
            failure.after -= 1;
        }
        Fate {
            is_done: true,
            result: Ok(()),
        }
    }
}
