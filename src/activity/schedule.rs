//! Computes when beats are due, from the heartbeat timeout and the server's answer times.

use std::time::Duration;

use crate::{client::backoff::Backoff, sys::clock::Moment, transport::TryTime};

/// The longest time between two beats.
pub const LONGEST_PERIOD: Duration = Duration::from_secs(60);
const PERIOD_WITHOUT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest part of a timeout that is reserved for retries.
const LONGEST_SLACK: Duration = Duration::from_secs(10);
/// The library keeps the lease if the server answers within this part of the timeout. For that, beats are sent early
/// enough, and their requests aren't given up sooner.
const ANSWER_PART: f64 = 0.45;
/// A try waits slightly longer, for an answer at exactly that limit.
const FULL_TRY_PART: f64 = 0.47;
/// The part of the lease that such a try needs when it begins. It is slightly less than half, because a due beat may
/// be sent late.
const ROOM_PART: f64 = 0.46;
/// If at least this part of the slack is left, a try gets the whole slack. It is less than 1 for the same reason.
const SLACK_PART: f64 = 0.95;
/// The answer time that is assumed before the first answer.
const FIRST_ANSWER_PART: f64 = 0.4;
/// A beat is due this many times the longest recent answer time before the lease ends.
const DUE_MARGIN: f64 = 1.2;
/// A try waits this many times the longest recent answer time.
const TRY_MARGIN: u32 = 2;
/// The time of a try while the lease leaves time for a full one after it.
const QUICK_TRY: Duration = Duration::from_secs(10);
/// The longest time of a try, unless the heartbeat timeout is longer or the server was slower.
const LONGEST_TRY: Duration = Duration::from_secs(60);
/// The least time of a try that delays a waiting call.
const LEAST_TRY: Duration = Duration::from_secs(1);
/// The bounds of how long a connection may receive nothing during a try.
const SHORTEST_SILENCE: Duration = Duration::from_millis(500);
const LONGEST_SILENCE: Duration = Duration::from_millis(2500);
/// The first pause between tries, the growth of pauses, and their jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_GROWTH: f64 = 1.7;
const PAUSE_JITTER: f64 = 0.3;
/// Beats are sent up to this part of the period early, so that activities that started together spread out.
const JITTER_PART: f64 = 0.1;

/// The schedule of an activity's beats, derived from its heartbeat timeout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The heartbeat timeout; zero when unknown or none.
    pub timeout: Duration,
    /// The time from the send of one beat to the next beat.
    pub period: Duration,
    slack: Duration,
    longest_answer: Duration,
}

impl Schedule {
    /// Creates the schedule for a heartbeat timeout and the longest recent answer time of the server (zero: no answer
    /// yet). `at_least_every` shortens the period, to receive a cancellation sooner; zero: it doesn't.
    pub fn new(timeout: Duration, at_least_every: Duration, longest_answer: Duration) -> Self {
        let (slack, mut period) = if timeout.is_zero() {
            (LONGEST_SLACK, PERIOD_WITHOUT_TIMEOUT)
        } else {
            let slack = (timeout / 2).min(LONGEST_SLACK);
            let answer = match longest_answer {
                Duration::ZERO => timeout.mul_f64(FIRST_ANSWER_PART),
                // A slower server loses the lease in any case; beats without a pause wouldn't help.
                known => known.min(timeout.mul_f64(ANSWER_PART)),
            };
            let in_time = timeout.saturating_sub(answer.mul_f64(DUE_MARGIN));
            (slack, (timeout - slack).min(timeout.mul_f64(0.8)).min(LONGEST_PERIOD).min(in_time))
        };
        if !at_least_every.is_zero() {
            period = period.min(at_least_every);
        }
        Schedule { timeout, period, slack, longest_answer }
    }

    /// Returns the period, shortened by a random part.
    pub fn jittered_period(&self) -> Duration {
        self.period.mul_f64(1.0 - JITTER_PART * fastrand::f64())
    }

    /// Returns when the first pulse is due: spread over half a period, because many activities may be opened at once.
    pub fn first_pulse(&self) -> Duration {
        self.period.mul_f64(1.0 - 0.5 * fastrand::f64())
    }

    /// Returns when to ask for the details that the server holds, so that after the answer there is time for a beat. A record
    /// before then makes the question unnecessary.
    pub fn first_look(&self) -> Duration {
        let latest = self.timeout.mul_f64(1.0 - 2.0 * FULL_TRY_PART);
        latest.mul_f64(1.0 - 0.5 * fastrand::f64())
    }

    /// Returns the time of a try that must leave time for a beat; otherwise as [`Schedule::try_time`].
    pub fn look_time(&self, lease_left: Duration, ran_out: u32) -> TryTime {
        match lease_left.saturating_sub(self.full_try()) {
            // There is no time to repeat it.
            left if left < self.timeout.mul_f64(ROOM_PART) => self.try_time(Duration::ZERO, ran_out),
            left => self.try_time(left, ran_out),
        }
    }

    /// Returns the time of a try, given what is left of the lease and how many tries in a row ran out of time.
    pub fn try_time(&self, lease_left: Duration, ran_out: u32) -> TryTime {
        let full = self.full_try();
        // The server may take longer to answer than the try that timed out.
        let growing = match ran_out {
            0 => QUICK_TRY,
            _ if self.timeout.is_zero() => QUICK_TRY * (1 << ran_out.min(9)),
            _ => QUICK_TRY.min(full) * (1 << ran_out.min(9)),
        };
        let growing = growing.min(LONGEST_TRY.max(self.timeout));
        let answer = if self.timeout.is_zero() || lease_left >= growing + self.timeout / 2 {
            growing
        } else if lease_left >= self.timeout.mul_f64(ROOM_PART) || lease_left.is_zero() {
            match ran_out {
                0 => full,
                1 => full.max(growing),
                // By ids, a try is two requests. The lease won't be kept by shorter tries either.
                _ => self.timeout.max(growing),
            }
        } else if ran_out == 0 && lease_left >= self.slack.mul_f64(SLACK_PART) {
            // The period leaves this slack, so the lease is kept if the server suddenly takes that long.
            lease_left.min(self.slack)
        } else if ran_out == 0 {
            lease_left / 2
        } else {
            growing
        };
        let answer = answer.max(self.longest_answer * TRY_MARGIN);
        let silence = (self.slack / 4).clamp(SHORTEST_SILENCE, LONGEST_SILENCE).min(answer);
        TryTime { answer, silence }
    }

    /// Returns the time limit of a try while a call with this much time left waits for it. It is at most half of that
    /// time, unless the server is slow, so that a lost request can be repeated.
    pub fn awaited_try_time(&self, call_left: Duration) -> Duration {
        (call_left / 2).min(QUICK_TRY).max(self.longest_answer * TRY_MARGIN)
    }

    /// Returns the least time of a try, even if a call waits for a newer one. It grows with each try that ran out of time.
    /// Otherwise a series of short calls could abandon every try, also on a server that answers within the heartbeat timeout.
    pub fn least_try_time(&self, ran_out: u32) -> Duration {
        (LEAST_TRY * (1 << ran_out.min(9)))
            .min(QUICK_TRY.max(self.timeout))
            .max(self.longest_answer * TRY_MARGIN)
    }

    /// Returns the time of a try on the slowest server with which the lease is kept.
    pub fn full_try(&self) -> Duration {
        self.timeout.mul_f64(FULL_TRY_PART)
    }

    /// Returns whether this much of the lease is enough for a try on the slowest server with which the lease is kept.
    pub fn leaves_time(&self, lease_left: Duration) -> bool {
        lease_left >= self.full_try()
    }

    /// Returns when a try must begin, so that the lease is kept on the slowest server with which that is possible.
    pub fn latest_try(&self, lease_end: Moment) -> Moment {
        lease_end.earlier(self.full_try())
    }

    /// Returns the pause before a beat moves from a dead connection to the next. It spreads all beats of that
    /// connection.
    pub fn spread(&self) -> Duration {
        FIRST_PAUSE.min(self.slack / 10).mul_f64(fastrand::f64())
    }

    /// Returns the pauses after failed tries. Once the lease is lost, they may grow to a whole period.
    pub fn backoff(&self, lease_lost: bool) -> Backoff {
        let longest = if lease_lost { self.period } else { self.slack / 4 };
        Backoff {
            first: FIRST_PAUSE,
            growth: PAUSE_GROWTH,
            longest: longest.max(FIRST_PAUSE),
            jitter: PAUSE_JITTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn schedule(timeout: Duration) -> Schedule {
        Schedule::new(timeout, s(0), Duration::from_millis(1))
    }

    #[test]
    fn two_requests_of_a_slow_server_fit_into_the_third_try() {
        let schedule = schedule(s(1800));
        assert!(schedule.try_time(s(0), 1).answer < s(900));
        assert_eq!(schedule.try_time(s(0), 2).answer, s(1800));
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
            assert_eq!(schedule(timeout).period, period, "timeout {timeout:?}");
        }
    }

    #[test]
    fn a_slow_server_and_one_that_is_not_known_yet_get_beats_earlier() {
        let period = |answer| Schedule::new(s(30), s(0), answer).period;
        assert_eq!(period(s(0)), Duration::from_millis(15_600));
        assert_eq!(period(s(10)), s(18));
        // Beats never follow each other without a pause.
        assert_eq!(period(s(300)), Duration::from_millis(13_800));
    }

    #[test]
    fn a_holder_that_wants_to_hear_sooner_beats_sooner() {
        let period = |timeout| Schedule::new(timeout, s(5), Duration::from_millis(1)).period;
        assert_eq!(period(s(60)), s(5));
        assert_eq!(period(s(2)), s(1));
    }

    #[test]
    fn jitter_is_only_earlier() {
        let schedule = schedule(s(10));
        for _ in 0..1000 {
            assert!((s(5).mul_f64(0.9)..=s(5)).contains(&schedule.jittered_period()));
            assert!((s(5).mul_f64(0.5)..=s(5)).contains(&schedule.first_pulse()));
        }
    }

    /// Simulates one lease with the first beat sent at once. The server answers each request after this part of the
    /// timeout, unless the request was given up. Returns whether the lease is kept, and how many tries run out of
    /// time.
    fn plays_out(timeout: Duration, part: f64) -> (bool, u32) {
        let took = timeout.mul_f64(part);
        let (mut now, mut lease_from, mut longest_answer) = (s(0), s(0), s(0));
        let (mut kept, mut wasted, mut ran_out) = (true, 0, 0);
        for _ in 0..20 {
            let schedule = Schedule::new(timeout, s(0), longest_answer);
            let time = schedule.try_time((lease_from + timeout).saturating_sub(now), ran_out);
            if time.answer < took {
                (now, wasted, ran_out) = (now + time.answer, wasted + 1, ran_out + 1);
                continue;
            }
            kept &= now + took <= lease_from + timeout;
            (lease_from, longest_answer, ran_out) = (now, took, 0);
            now = (now + took).max(now + Schedule::new(timeout, s(0), longest_answer).period);
        }
        (kept, wasted)
    }

    #[test]
    fn the_lease_is_kept_when_the_server_answers_within_less_than_half_of_it() {
        for timeout in [1, 2, 5, 10, 20, 30, 60, 100, 300, 3600].map(s) {
            for part in [0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45] {
                let (kept, wasted) = plays_out(timeout, part);
                let few = if timeout <= s(60) { 2 } else { 8 };
                assert!(kept && wasted <= few, "{timeout:?} {part}: kept {kept}, {wasted} wasted");
            }
            for part in [0.5, 0.7, 0.9] {
                let (_, wasted) = plays_out(timeout, part);
                assert!(
                    wasted <= if timeout <= s(60) { 3 } else { 10 },
                    "{timeout:?} {part}: {wasted} wasted"
                );
            }
        }
    }

    #[test]
    fn a_server_that_becomes_slow_keeps_the_lease_where_the_period_leaves_time() {
        for timeout in [1, 2, 5, 10, 20].map(s) {
            let schedule = schedule(timeout);
            let time = schedule.try_time(timeout - schedule.period, 0);
            assert!(time.answer > timeout.mul_f64(0.45), "{timeout:?}: {time:?}");
        }
    }

    #[test]
    fn a_server_that_becomes_slow_keeps_the_lease_within_the_slack() {
        for timeout in [25, 30, 60, 120, 3600].map(s) {
            let time = schedule(timeout).try_time(s(10), 0);
            assert!(time.answer >= s(10), "{timeout:?}: {time:?}");
        }
    }

    #[test]
    fn a_dead_connection_is_noticed_in_a_part_of_the_slack() {
        for (timeout, silence) in [(s(2), 500), (s(10), 1250), (s(60), 2500), (s(0), 2500)] {
            assert_eq!(schedule(timeout).try_time(timeout / 2, 0).silence, Duration::from_millis(silence));
        }
    }

    #[test]
    fn pauses_grow_and_are_longer_when_nothing_is_left_to_lose() {
        let schedule = schedule(s(60));
        assert!(schedule.backoff(false).pause(1) <= FIRST_PAUSE);
        assert!(schedule.backoff(false).pause(99) <= Duration::from_millis(2500));
        assert!(schedule.backoff(true).pause(99) > s(30));
    }
}
