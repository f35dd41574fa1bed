//! Abandons a try that delays a waiting call. Otherwise a try may last for minutes, because a slow server keeps
//! its connection.

use std::time::Duration;

use super::Activity;
use crate::sys::clock::Moment;

/// A call waits for an unrelated try for at most this part of its own timeout, and at most this long.
const GRACE_PART: u32 = 8;
const LONGEST_GRACE: Duration = Duration::from_secs(1);

/// A call that waits for an activity.
#[derive(Clone, Copy)]
pub struct WaitingCall {
    since: Moment,
    until: Moment,
}

impl WaitingCall {
    /// Creates a call that waits from `now`, for `time`.
    pub fn new(now: Moment, time: Duration) -> Self {
        WaitingCall { since: now, until: now.later(time) }
    }

    fn grace_end(self) -> Moment {
        self.since.later((self.until.since(self.since) / GRACE_PART).min(LONGEST_GRACE))
    }
}

impl Activity {
    /// Abandons the try in flight if it has delayed an ending call for long enough. Otherwise returns the time until
    /// then. Returns `None` if the try is given up, or there is none.
    pub fn give_up_for_ending(&mut self, call: WaitingCall, now: Moment) -> Option<Duration> {
        self.give_up_at(call.grace_end(), now)
    }

    /// Does the same for a call that waits until a record is acknowledged. The try gets enough time for a slow server
    /// to answer. Otherwise calls with short timeouts, one after the other, would abandon every try.
    pub fn give_up_for_record(&mut self, record: u64, call: WaitingCall, now: Moment) -> Option<Duration> {
        if self.ready() < record {
            // The call waits for the codec.
            return None;
        }
        let schedule = self.schedule();
        let least = self.try_began.later(schedule.least_try_time(self.tries.timed_out()));
        let end = if self.records.is_sent(record) || self.try_began >= call.since {
            let begin = self.try_began.max(call.since);
            begin.later(schedule.awaited_try_time(call.until.since(begin)))
        } else {
            call.grace_end()
        };
        let mut end = end.max(least);
        // An answer may take longer than all before. If the request were repeated at `end`, that one could come too
        // late for the lease.
        let following_beat = if self.can_beat() { Duration::ZERO } else { schedule.full_try() };
        let left = self.lease.remaining(end).saturating_sub(following_beat);
        if self.lease.is_held(now) && !schedule.leaves_time(left) {
            end = end.max(self.lease.end());
        }
        self.give_up_at(end, now)
    }

    /// Abandons the try in flight unless it carries this record. Used when the process ends.
    pub fn give_up_unless_it_brings(&mut self, record: u64) {
        self.is_given_up |= !self.records.is_sent(record);
    }

    /// Returns whether the try in flight must be given up.
    pub fn is_given_up(&self) -> bool {
        self.in_flight && self.is_given_up
    }

    fn give_up_at(&mut self, end: Moment, now: Moment) -> Option<Duration> {
        if !self.in_flight {
            return None;
        }
        self.is_given_up |= now >= end;
        (!self.is_given_up).then(|| end.since(now))
    }
}
