//! The clock that leases are measured with.

use std::time::Duration;

use super::boot::{BOOT, read};

/// A moment of this machine's boot clock, which goes on while the machine is suspended: what happened to a lease meanwhile is then
/// known without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    nanos: i64,
}

impl Moment {
    /// Earlier than everything else.
    pub const LONG_AGO: Moment = Moment { nanos: i64::MIN };
    /// Later than everything else.
    pub const NEVER: Moment = Moment { nanos: i64::MAX };

    /// Now.
    #[inline]
    pub fn now() -> Self {
        // The clock exists on every system that Rust supports.
        Moment { nanos: read(BOOT).unwrap_or_default() }
    }

    /// Now or some milliseconds ago, never later than now; for the ways that are taken often, and for all that tells of signals: what
    /// one has heard, by whatever way, is not to be taken back by the next.
    #[inline]
    pub fn lately() -> Self {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(nanos) = super::tick::boot() {
            return Moment { nanos };
        }
        Moment::now()
    }

    /// This much later; [`Moment::NEVER`] stays what it is.
    #[inline]
    pub fn later(self, by: Duration) -> Self {
        Moment { nanos: self.nanos.saturating_add(nanos(by)) }
    }

    /// So many milliseconds later; for the ways that are taken often.
    #[inline]
    pub fn later_ms(self, ms: u32) -> Self {
        Moment { nanos: self.nanos.saturating_add(i64::from(ms) * 1_000_000) }
    }

    /// This much earlier.
    pub fn earlier(self, by: Duration) -> Self {
        Moment { nanos: self.nanos.saturating_sub(nanos(by)) }
    }

    /// How long after `other` this is; nothing when it is before.
    pub fn since(self, other: Moment) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(other.nanos).max(0).unsigned_abs())
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_never_comes_never() {
        let before = Moment::now();
        let hour = Duration::from_secs(3600);
        assert!(Moment::now() >= before);
        assert!(before.later(hour) > before && before.later(hour).since(before) == hour);
        assert_eq!(before.since(before.later(hour)), Duration::ZERO);
        assert_eq!(Moment::NEVER.later(hour), Moment::NEVER);
        assert_eq!(before.later(Duration::MAX), Moment::NEVER);
        assert!(Moment::lately() <= Moment::now());
    }
}
