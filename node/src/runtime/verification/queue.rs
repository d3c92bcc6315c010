//! A bounded queue with strict priorities.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Vertices, attestations, certificates, evidence.
    Consensus = 0,
    /// Requests of peers.
    Serving = 1,
    Transactions = 2,
}

const CLASSES: usize = 3;
/// More would let a vertex wait for too long, and save little.
const TRANSACTION_JOBS_AT_ONCE_MAX: usize = 128;
/// How often a waiting thread looks whether the node stops.
const LOOK_UP: Duration = Duration::from_millis(250);

/// Jobs by urgency.
#[derive(Debug)]
pub struct JobQueue<T> {
    limits: [usize; CLASSES],
    waiting: Mutex<[VecDeque<T>; CLASSES]>,
    arrived: Condvar,
}

impl<T> JobQueue<T> {
    /// A queue with a limit for each urgency.
    #[must_use]
    pub const fn new(limits: [usize; CLASSES]) -> Self {
        Self {
            limits,
            waiting: Mutex::new([const { VecDeque::new() }; CLASSES]),
            arrived: Condvar::new(),
        }
    }

    /// Gives the job back if there is no place.
    pub fn offer(&self, urgency: Urgency, job: T) -> Result<(), T> {
        let class = urgency as usize;
        let mut waiting = self.lock();
        if waiting[class].len() >= self.limits[class] {
            return Err(job);
        }
        waiting[class].push_back(job);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// The most urgent job, oldest first; none when the node stops. Transactions come several at once, because together
    /// they cost less than one by one.
    pub fn take(&self, stopping: &CancellationToken) -> Option<Vec<T>> {
        let mut waiting = self.lock();
        loop {
            if stopping.is_cancelled() {
                return None;
            }
            let [consensus, serving, transactions] = &mut *waiting;
            if let Some(job) = consensus.pop_front().or_else(|| serving.pop_front()) {
                return Some(vec![job]);
            }
            if !transactions.is_empty() {
                let count = transactions.len().min(TRANSACTION_JOBS_AT_ONCE_MAX);
                return Some(transactions.drain(..count).collect());
            }
            (waiting, _) = self
                .arrived
                .wait_timeout(waiting, LOOK_UP)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Jobs that wait, by urgency.
    #[must_use]
    pub fn lengths(&self) -> [usize; CLASSES] {
        let waiting = self.lock();
        [0, 1, 2].map(|class: usize| waiting[class].len())
    }

    fn lock(&self) -> MutexGuard<'_, [VecDeque<T>; CLASSES]> {
        // Nothing that can panic runs under this lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_goes_first_and_each_class_is_bounded() {
        let queue = JobQueue::new([2, 1, 1]);
        let stopping = CancellationToken::new();
        queue.offer(Urgency::Transactions, 'x').unwrap();
        assert_eq!(queue.offer(Urgency::Transactions, 'y'), Err('y'));
        queue.offer(Urgency::Consensus, 'a').unwrap();
        queue.offer(Urgency::Serving, 's').unwrap();
        queue.offer(Urgency::Consensus, 'b').unwrap();
        assert_eq!(queue.offer(Urgency::Consensus, 'c'), Err('c'));
        let order: Vec<_> = (0..4).filter_map(|_| queue.take(&stopping)).collect();
        assert_eq!(order, [['a'], ['b'], ['s'], ['x']]);
        stopping.cancel();
        assert_eq!(queue.take(&stopping), None);
    }

    #[test]
    fn transactions_are_taken_together_up_to_a_bound() {
        let queue = JobQueue::new([1, 1, 1000]);
        let stopping = CancellationToken::new();
        for number in 0..200 {
            queue.offer(Urgency::Transactions, number).unwrap();
        }
        let first: Vec<_> = (0..TRANSACTION_JOBS_AT_ONCE_MAX).collect();
        assert_eq!(queue.take(&stopping), Some(first));
        queue.offer(Urgency::Consensus, 1000).unwrap();
        assert_eq!(queue.take(&stopping), Some(vec![1000]));
        let rest: Vec<_> = (TRANSACTION_JOBS_AT_ONCE_MAX..200).collect();
        assert_eq!(queue.take(&stopping), Some(rest));
    }
}
