//! The clock that measures leases.

/// The clock of calls. In tests it can be a simulated one.
#[cfg(not(test))]
pub use std::time::Instant;
use std::{mem::MaybeUninit, time::Duration};

#[cfg(test)]
pub use tokio::time::Instant;

#[cfg(test)]
use super::simulated;

/// The clock that advances while the machine is suspended. On macOS, `CLOCK_MONOTONIC` does; other systems have no such clock.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT: libc::clockid_t = libc::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// A time of the boot clock, which advances while the machine is suspended. So the end of a lease during a suspend is
/// noticed without asking the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    nanos: i64,
}

impl Moment {
    /// Before all other times.
    pub const LONG_AGO: Moment = Moment { nanos: i64::MIN };
    /// After all other times.
    pub const NEVER: Moment = Moment { nanos: i64::MAX };

    /// Returns the current time.
    #[inline]
    pub fn now() -> Self {
        #[cfg(test)]
        if let Some(world) = simulated::world() {
            return world.now();
        }
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: the pointer is to a local `timespec`, which the call has written if it returned 0.
        let time = unsafe {
            if libc::clock_gettime(BOOT, time.as_mut_ptr()) != 0 {
                // Not reached: every supported system has the clock.
                return Moment::default();
            }
            time.assume_init()
        };
        // Both types are narrower on 32-bit systems.
        #[allow(clippy::useless_conversion, reason = "i64 already where there are 64 bits")]
        let (seconds, nanos) = (i64::from(time.tv_sec), i64::from(time.tv_nsec));
        Moment { nanos: seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos) }
    }

    /// Returns the time moved later; [`Moment::NEVER`] stays the same.
    #[inline]
    pub fn later(self, by: Duration) -> Self {
        Moment { nanos: self.nanos.saturating_add(nanos(by)) }
    }

    /// Returns the time moved later by milliseconds.
    #[inline]
    pub fn later_ms(self, ms: u32) -> Self {
        Moment { nanos: self.nanos.saturating_add(i64::from(ms) * 1_000_000) }
    }

    /// Returns the time moved earlier.
    pub fn earlier(self, by: Duration) -> Self {
        Moment { nanos: self.nanos.saturating_sub(nanos(by)) }
    }

    /// Returns the time since `other`; zero if `other` is later.
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
    fn time_advances_and_never_is_never_reached() {
        let before = Moment::now();
        let hour = Duration::from_secs(3600);
        assert!(Moment::now() >= before);
        assert!(before.later(hour) > before && before.later(hour).since(before) == hour);
        assert_eq!(before.since(before.later(hour)), Duration::ZERO);
        assert_eq!(Moment::NEVER.later(hour), Moment::NEVER);
        assert_eq!(before.later(Duration::MAX), Moment::NEVER);
    }
}
