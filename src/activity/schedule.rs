//! When to beat: arithmetic on the heartbeat timeout, nothing else.

use std::time::Duration;

/// The longest time between two beats, and the usual one where the heartbeat timeout is unknown.
pub const LONGEST_PERIOD: Duration = Duration::from_secs(60);
const PERIOD_WITHOUT_TIMEOUT: Duration = Duration::from_secs(30);
/// The most of a timeout that is kept for trying again.
const LONGEST_SLACK: Duration = Duration::from_secs(10);
/// The bounds of the first try's time.
const SHORTEST_TRY: Duration = Duration::from_millis(500);
const LONGEST_FIRST_TRY: Duration = Duration::from_millis(2500);
/// The bound of later ones, each of which has twice the time of the one before that ran out of it.
const LONGEST_TRY: Duration = Duration::from_secs(10);
/// The pauses between tries: the first, and the growth of the next, in tenths.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_GROWTH_TENTHS: u32 = 17;
/// The shortest pause when the server asks for fewer requests.
pub const SLOW_PAUSE: Duration = Duration::from_secs(1);
/// Beats come up to this part of the period earlier, so that many that began together drift apart.
const JITTER_PART: f64 = 0.1;

/// The times of an activity's beats, from its heartbeat timeout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The heartbeat timeout; zero when there is none, or none is known.
    pub timeout: Duration,
    /// How long after the send of one beat the next is due.
    pub period: Duration,
    slack: Duration,
}

impl Schedule {
    /// For this heartbeat timeout. `at_least_every` shortens the period further, for those who want to hear of a
    /// cancellation sooner; zero doesn't.
    pub fn new(timeout: Duration, at_least_every: Duration) -> Self {
        let (slack, mut period) = if timeout.is_zero() {
            (LONGEST_SLACK, PERIOD_WITHOUT_TIMEOUT)
        } else {
            let slack = (timeout / 2).min(LONGEST_SLACK);
            (slack, (timeout - slack).min(timeout.mul_f64(0.8)).min(LONGEST_PERIOD))
        };
        if !at_least_every.is_zero() {
            period = period.min(at_least_every);
        }
        Schedule { timeout, period, slack }
    }

    /// The period, with a random part of it taken away.
    pub fn jittered_period(&self) -> Duration {
        self.period.mul_f64(1.0 - JITTER_PART * fastrand::f64())
    }

    /// When the first beat of a pulse is due: spread over half of the period, for many activities are opened at once.
    pub fn first_pulse(&self) -> Duration {
        self.period.mul_f64(1.0 - 0.5 * fastrand::f64())
    }

    /// The time of a try, after this many that ran out of theirs.
    pub fn patience(&self, ran_out: u32) -> Duration {
        let first = (self.slack / 4).clamp(SHORTEST_TRY, LONGEST_FIRST_TRY);
        first.saturating_mul(1_u32.checked_shl(ran_out.min(8)).unwrap_or(1)).min(LONGEST_TRY)
    }

    /// The pause after this many failed tries, from 1. With the lease lost there is no hurry any more.
    pub fn pause(&self, failed: u32, lease_lost: bool) -> Duration {
        let longest =
            if lease_lost { self.period.max(FIRST_PAUSE) } else { (self.slack / 4).max(FIRST_PAUSE) };
        let mut pause = FIRST_PAUSE;
        for _ in 1..failed.min(16) {
            pause = pause * PAUSE_GROWTH_TENTHS / 10;
        }
        pause.min(longest).mul_f64(1.0 - 0.3 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_period_leaves_time_for_trying_again() {
        for (timeout, period) in [
            (s(0), s(30)),
            (s(1), Duration::from_millis(500)),
            (s(10), s(5)),
            (s(20), s(10)),
            (s(30), s(20)),
            (s(60), s(48)),
            (s(120), s(60)),
            (s(3600), s(60)),
        ] {
            assert_eq!(Schedule::new(timeout, s(0)).period, period, "timeout {timeout:?}");
        }
    }

    #[test]
    fn who_wants_to_hear_sooner_beats_sooner() {
        assert_eq!(Schedule::new(s(60), s(5)).period, s(5));
        assert_eq!(Schedule::new(s(2), s(5)).period, s(1));
    }

    #[test]
    fn jitter_is_only_earlier() {
        let schedule = Schedule::new(s(10), s(0));
        for _ in 0..1000 {
            assert!((s(5).mul_f64(0.9)..=s(5)).contains(&schedule.jittered_period()));
            assert!((s(5).mul_f64(0.5)..=s(5)).contains(&schedule.first_pulse()));
        }
    }

    #[test]
    fn a_try_has_a_part_of_the_slack_and_then_more() {
        let times = |timeout| [0, 1, 2, 3, 99].map(|ran_out| Schedule::new(timeout, s(0)).patience(ran_out));
        assert_eq!(times(s(10)), [1250, 2500, 5000, 10_000, 10_000].map(Duration::from_millis));
        assert_eq!(times(s(2)), [500, 1000, 2000, 4000, 10_000].map(Duration::from_millis));
        assert_eq!(times(s(60)), [2500, 5000, 10_000, 10_000, 10_000].map(Duration::from_millis));
    }

    #[test]
    fn pauses_grow_and_are_longer_when_nothing_is_left_to_lose() {
        let schedule = Schedule::new(s(60), s(0));
        assert!(schedule.pause(1, false) <= FIRST_PAUSE);
        assert!(schedule.pause(99, false) <= Duration::from_millis(2500));
        assert!(schedule.pause(99, true) > s(30));
    }
}
