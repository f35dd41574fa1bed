//! When to beat: arithmetic on the heartbeat timeout, nothing else.

use std::time::Duration;

use crate::{client::backoff::Backoff, transport::TryTime};

/// The longest time between two beats, and the usual one where the heartbeat timeout is unknown.
pub const LONGEST_PERIOD: Duration = Duration::from_secs(60);
const PERIOD_WITHOUT_TIMEOUT: Duration = Duration::from_secs(30);
/// The most of a timeout that is kept for trying again.
const LONGEST_SLACK: Duration = Duration::from_secs(10);
/// The part of a timeout within which the server may take to answer without the lease being lost: a beat is sent, and its request isn't
/// given up, in such a way that there is time for that.
const ANSWER_PART: f64 = 0.45;
/// A try waits a little longer, for an answer at the very limit.
const FULL_TRY_PART: f64 = 0.47;
/// What is left of the lease when such a try may still begin, a little less than half: a due beat may be sent late.
const ROOM_PART: f64 = 0.46;
/// How long an answer is taken to be before there was any.
const FIRST_ANSWER_PART: f64 = 0.4;
/// A beat is due this many times the longest recent answer before the lease ends.
const DUE_MARGIN: f64 = 1.2;
/// A try waits this many times the longest recent answer.
const TRY_MARGIN: u32 = 2;
/// The time of a try while there is time for a full one after it.
const QUICK_TRY: Duration = Duration::from_secs(10);
/// The longest time of a try, except for a longer heartbeat timeout and for a server that was seen to be slower.
const LONGEST_TRY: Duration = Duration::from_secs(60);
/// The least time of a try that keeps a call waiting.
const LEAST_TRY: Duration = Duration::from_secs(1);
/// The bounds of how long a connection may be silent during a try.
const SHORTEST_SILENCE: Duration = Duration::from_millis(500);
const LONGEST_SILENCE: Duration = Duration::from_millis(2500);
/// The pauses between tries: the first, their growth, and their jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_GROWTH: f64 = 1.7;
const PAUSE_JITTER: f64 = 0.3;
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
    longest_answer: Duration,
}

impl Schedule {
    /// For this heartbeat timeout, and a server whose answers took up to `longest_answer` recently; zero: there was none yet.
    /// `at_least_every` shortens the period further, for those who want to hear of a cancellation sooner; zero doesn't.
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

    /// The period, with a random part of it taken away.
    pub fn jittered_period(&self) -> Duration {
        self.period.mul_f64(1.0 - JITTER_PART * fastrand::f64())
    }

    /// When the first beat of a pulse is due: spread over half of the period, for many activities are opened at once.
    pub fn first_pulse(&self) -> Duration {
        self.period.mul_f64(1.0 - 0.5 * fastrand::f64())
    }

    /// The time of a try that begins when this much of the lease is left, after so many in a row that ran out of theirs.
    pub fn try_time(&self, lease_left: Duration, ran_out: u32) -> TryTime {
        let full = self.timeout.mul_f64(FULL_TRY_PART);
        // After a try that ran out of time, the server may be slower than that try was long.
        let growing = match ran_out {
            0 => QUICK_TRY,
            _ if self.timeout.is_zero() => QUICK_TRY * (1 << ran_out.min(9)),
            _ => QUICK_TRY.min(full) * (1 << ran_out.min(9)),
        };
        let growing = growing.min(LONGEST_TRY.max(self.timeout));
        let answer = if self.timeout.is_zero() || lease_left >= growing + self.timeout / 2 {
            growing
        } else if lease_left >= self.timeout.mul_f64(ROOM_PART) || lease_left.is_zero() {
            if ran_out == 0 { full } else { full.max(growing) }
        } else if ran_out == 0 {
            lease_left / 2
        } else {
            growing
        };
        let answer = answer.max(self.longest_answer * TRY_MARGIN);
        let silence = (self.slack / 4).clamp(SHORTEST_SILENCE, LONGEST_SILENCE).min(answer);
        TryTime { answer, silence }
    }

    /// The time of a try that a call waits for, which has this much time left. The try is then repeated: the server may have lost it.
    pub fn awaited_try_time(&self, call_left: Duration) -> Duration {
        (call_left / 2).min(QUICK_TRY).max(self.longest_answer * TRY_MARGIN)
    }

    /// The time that a try gets although a call waits for a newer one.
    pub fn least_try_time(&self, ran_out: u32) -> Duration {
        (LEAST_TRY * (1 << ran_out.min(9))).min(QUICK_TRY).max(self.longest_answer * TRY_MARGIN)
    }

    /// The pause before the beat of a connection that was found dead is sent on the next one, with all others that were on it.
    pub fn spread(&self) -> Duration {
        FIRST_PAUSE.min(self.slack / 10).mul_f64(fastrand::f64())
    }

    /// The pauses after failed tries. With the lease lost there is no hurry any more.
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
        // Never without a pause.
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

    /// Whether the lease is kept, and how many tries run out, when the first beat is sent at once, all are answered after this part of the
    /// timeout, and the server answers none that was given up.
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
