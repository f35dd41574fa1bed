//! The pauses between tries.

use std::time::Duration;

use crate::config::RetryPolicy;

/// The shortest pause when the server asks for fewer requests.
const SLOW_PAUSE: Duration = Duration::from_secs(1);

/// Pauses that grow with the number of failed tries. Jitter shortens each by a random part, so that calls that failed
/// together aren't retried together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The pause after the first failed try.
    pub first: Duration,
    /// The factor from one pause to the next.
    pub growth: f64,
    /// The longest pause.
    pub longest: Duration,
    /// The largest part by which jitter shortens a pause.
    pub jitter: f64,
}

impl From<RetryPolicy> for Backoff {
    fn from(policy: RetryPolicy) -> Self {
        let RetryPolicy { first_pause, growth, longest_pause, jitter, max_tries: _ } = policy;
        Backoff { first: first_pause, growth, longest: longest_pause, jitter }
    }
}

impl Backoff {
    /// Returns the pause after this many failed tries, from 1.
    pub fn pause(&self, failed: u32) -> Duration {
        self.full(failed).mul_f64(1.0 - self.jitter * fastrand::f64())
    }

    /// Returns the pause when the server asks for fewer requests: at least a second, so jitter makes it longer.
    pub fn slow_pause(&self, failed: u32) -> Duration {
        SLOW_PAUSE.max(self.full(failed)).mul_f64(1.0 + self.jitter * fastrand::f64())
    }

    fn full(&self, failed: u32) -> Duration {
        let mut pause = self.first.min(self.longest);
        for _ in 1..failed {
            if pause >= self.longest {
                break;
            }
            pause = pause.mul_f64(self.growth).min(self.longest);
        }
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(100),
        growth: 1.7,
        longest: Duration::from_secs(2),
        jitter: 0.3,
    };

    #[test]
    fn pauses_grow_from_the_first_to_the_longest() {
        let in_bounds = |failed, full: Duration| {
            let pause = BACKOFF.pause(failed);
            assert!(pause <= full && pause >= full.mul_f64(0.7), "{failed}: {pause:?}");
        };
        in_bounds(1, BACKOFF.first);
        in_bounds(2, BACKOFF.first.mul_f64(1.7));
        in_bounds(20, BACKOFF.longest);
        in_bounds(u32::MAX, BACKOFF.longest);
    }

    #[test]
    fn growth_of_one_is_computed_in_bounded_time() {
        let steady = Backoff { growth: 1.0, ..BACKOFF };
        assert!(steady.pause(10_000) <= BACKOFF.first);
    }

    #[test]
    fn rate_limited_request_pauses_for_a_second() {
        assert!(BACKOFF.slow_pause(1) >= SLOW_PAUSE);
    }
}
