//! Orders activities by the time at which the scheduler must examine them.

use std::collections::{BTreeSet, HashMap};

use super::handle::Handle;
use crate::sys::clock::Moment;

/// At most one time per activity, in order.
#[derive(Default)]
pub struct DueQueue {
    by_time: BTreeSet<(Moment, Handle)>,
    times: HashMap<Handle, Moment>,
}

impl DueQueue {
    /// Adds an activity, or moves it to an earlier time. Ignores a later time: the earlier examination schedules it.
    pub fn advance(&mut self, handle: Handle, due: Moment) {
        if due == Moment::NEVER {
            return;
        }
        match self.times.insert(handle, due) {
            Some(earlier) if earlier <= due => {
                self.times.insert(handle, earlier);
            }
            later => {
                if let Some(later) = later {
                    self.by_time.remove(&(later, handle));
                }
                self.by_time.insert((due, handle));
            }
        }
    }

    /// Removes and returns the next activity that is due by now.
    pub fn pop(&mut self, now: Moment) -> Option<Handle> {
        let (due, handle) = *self.by_time.first()?;
        if due > now {
            return None;
        }
        self.by_time.pop_first();
        self.times.remove(&handle);
        Some(handle)
    }

    /// Returns when the next activity is due.
    pub fn next(&self) -> Option<Moment> {
        self.by_time.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn handle(index: u32) -> Handle {
        Handle::new(index, 1, 0)
    }

    #[test]
    fn activities_are_ordered_by_their_earliest_time() {
        let now = Moment::now();
        let at = |seconds| now.later(Duration::from_secs(seconds));
        let mut queue = DueQueue::default();
        queue.advance(handle(1), at(3));
        queue.advance(handle(2), at(2));
        queue.advance(handle(1), at(1));
        queue.advance(handle(2), at(9));
        queue.advance(handle(3), Moment::NEVER);
        assert_eq!((queue.pop(now), queue.next()), (None, Some(at(1))));
        assert_eq!(
            (queue.pop(at(9)), queue.pop(at(9)), queue.pop(at(9))),
            (Some(handle(1)), Some(handle(2)), None)
        );
    }

    #[test]
    fn repeated_flushes_of_an_activity_keep_one_entry() {
        let now = Moment::now();
        let mut queue = DueQueue::default();
        for flush in 0..10_000 {
            let flushed = now.later(Duration::from_millis(flush));
            queue.advance(handle(1), flushed);
            assert_eq!(queue.pop(flushed), Some(handle(1)));
            queue.advance(handle(1), flushed.later(Duration::from_secs(60)));
        }
        assert_eq!((queue.by_time.len(), queue.times.len()), (1, 1));
    }
}
