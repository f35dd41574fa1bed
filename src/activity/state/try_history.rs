//! The results of previous tries: failures, and how long the server takes to answer.

use std::time::Duration;

use crate::model::error::Error;

/// The longest answer time that counts when the heartbeat timeout is unknown.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);
/// The remembered answer time shrinks by 1/FORGETTING with each answer that is faster.
const FORGETTING: u32 = 16;

/// The failures since the last success, and how long answers take.
#[derive(Debug, Default)]
pub struct TryHistory {
    failed: u8,
    timed_out: u8,
    /// The longest recent time from the send of a beat to its acknowledgement; 0: none yet.
    longest_answer_ms: u32,
    /// Why the last try failed. If retries don't help, the server refuses the beats.
    last_error: Option<Error>,
}

impl TryHistory {
    /// Notes a success.
    pub fn succeed(&mut self) {
        (self.failed, self.timed_out, self.last_error) = (0, 0, None);
    }

    /// Notes the time from the send of a beat to its acknowledgement, at most one heartbeat timeout: a longer time
    /// may only mean that this process was stopped.
    pub fn note_answer(&mut self, took: Duration, heartbeat_timeout: Duration) {
        let limit = if heartbeat_timeout.is_zero() { LONGEST_ANSWER } else { heartbeat_timeout };
        let took = u32::try_from(took.min(limit).as_millis()).unwrap_or(u32::MAX).max(1);
        let known = self.longest_answer_ms;
        self.longest_answer_ms = took.max(known - known.div_ceil(FORGETTING));
    }

    /// Returns the longest recent answer time; zero: no answer yet.
    pub fn longest_answer(&self) -> Duration {
        Duration::from_millis(self.longest_answer_ms.into())
    }

    /// Notes a failure.
    pub fn fail(&mut self, timed_out: bool) {
        self.failed = self.failed.saturating_add(1);
        if timed_out {
            self.timed_out = self.timed_out.saturating_add(1);
        }
    }

    /// Returns how many tries have failed since the last success.
    pub fn failed(&self) -> u32 {
        self.failed.into()
    }

    /// Returns how many tries have timed out since the last success.
    pub fn timed_out(&self) -> u32 {
        self.timed_out.into()
    }

    /// Sets the reason of the last failure.
    pub fn set_error(&mut self, error: Error) {
        self.last_error = Some(error);
    }

    /// Returns why the last try failed.
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// Returns the last error if retries don't help against it.
    pub fn refusal(&self) -> Option<&Error> {
        self.last_error.as_ref().filter(|error| !error.is_retryable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_answer_time_shrinks_over_tens_of_answers() {
        let mut tries = TryHistory::default();
        tries.note_answer(Duration::from_secs(3), Duration::ZERO);
        (0..5).for_each(|_| tries.note_answer(Duration::from_millis(2), Duration::ZERO));
        assert!(tries.longest_answer() > Duration::from_secs(2));
        (0..100).for_each(|_| tries.note_answer(Duration::from_millis(2), Duration::ZERO));
        assert!(tries.longest_answer() < Duration::from_millis(20));
    }
}
