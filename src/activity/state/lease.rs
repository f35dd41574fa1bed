//! The lease: how long the server waits for the next beat.

use std::time::Duration;

use crate::sys::clock::Moment;

/// The lease of an attempt: one heartbeat timeout, counted from the send of the last acknowledged beat. Packed as the
/// counters.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// 0 when the heartbeat timeout is unknown or none.
    timeout_ms: u32,
    /// The send time of the last acknowledged beat; before the first one, the start of the attempt.
    start: Moment,
}

impl Lease {
    /// Creates a lease that counts from `start`. A timeout of zero means unknown or none.
    pub fn new(timeout: Duration, start: Moment) -> Self {
        let mut lease = Lease { timeout_ms: 0, start };
        lease.set_timeout(timeout);
        lease
    }

    /// Returns the heartbeat timeout; zero when unknown or none.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    /// Sets the heartbeat timeout.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    }

    /// Returns the time from which the lease counts.
    pub fn start(&self) -> Moment {
        self.start
    }

    /// Returns when the lease ends; never without a timeout.
    #[inline]
    pub fn end(&self) -> Moment {
        if self.timeout_ms == 0 { Moment::NEVER } else { self.start.later_ms(self.timeout_ms) }
    }

    /// Returns whether the lease has ended.
    #[inline]
    pub fn is_lost(&self, now: Moment) -> bool {
        now > self.end()
    }

    /// Returns whether there is a lease that hasn't ended.
    pub fn is_held(&self, now: Moment) -> bool {
        self.timeout_ms > 0 && !self.is_lost(now)
    }

    /// Returns the remaining time of the lease; zero after its end.
    pub fn remaining(&self, now: Moment) -> Duration {
        self.end().since(now)
    }

    /// Returns the remaining fraction of the lease, from 1 to 0; `None` without a timeout.
    pub fn remaining_fraction(&self, now: Moment) -> Option<f64> {
        (self.timeout_ms > 0).then(|| self.remaining(now).as_secs_f64() / self.timeout().as_secs_f64())
    }

    /// Renews the lease after an acknowledged beat that was sent at `send`.
    pub fn renew(&mut self, send: Moment) {
        self.start = send;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn lease_is_lost_one_timeout_after_the_send_of_the_last_beat() {
        let start = Moment::now();
        let mut lease = Lease::new(10 * SECOND, start);
        assert!(lease.is_held(start.later(10 * SECOND)) && !lease.is_held(start.later(11 * SECOND)));
        lease.renew(start.later(4 * SECOND));
        assert!(lease.is_held(start.later(14 * SECOND)) && lease.is_lost(start.later(15 * SECOND)));
        assert_eq!(lease.remaining_fraction(start.later(9 * SECOND)), Some(0.5));
    }

    #[test]
    fn lease_without_a_timeout_is_neither_held_nor_lost() {
        let lease = Lease::new(Duration::ZERO, Moment::LONG_AGO);
        assert!(!lease.is_held(Moment::now()) && !lease.is_lost(Moment::now()));
        assert_eq!((lease.end(), lease.remaining_fraction(Moment::now())), (Moment::NEVER, None));
    }
}
