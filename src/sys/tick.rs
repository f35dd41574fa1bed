//! The boot clock as it stood at the system's last tick, some milliseconds ago, for a fraction of what it costs to ask for it now.
//!
//! No system tells the boot clock by ticks, only the monotonic one and the time of day. But what lies between the clocks is
//! constant, except when the machine was suspended or its time of day was set, which both move the time of day against the
//! monotonic clock. As long as that distance is the one that it was, to the nanosecond, so is the one to the boot clock.

use std::sync::{
    Mutex, TryLockError,
    atomic::{AtomicI64, Ordering},
};

use super::boot::{BOOT, read};

/// How long the boot clock may lie between two looks at the monotonic one for its distance to be known.
const APART_NS: i64 = 1_000_000;
/// How often it is tried again, on a machine where we are interrupted each time.
const TRIES: usize = 5;

/// From the monotonic clock to the time of day, when that was looked at last; at first it is none that there can be.
static TO_DAY: AtomicI64 = AtomicI64::new(i64::MIN);
/// From the monotonic clock to the boot clock, since then.
static TO_BOOT: AtomicI64 = AtomicI64::new(0);
/// Who looks at the distances anew.
static ANEW: Mutex<()> = Mutex::new(());

/// The boot clock at the last tick, in nanoseconds; `None` where it has to be asked for.
#[inline]
pub fn boot() -> Option<i64> {
    let monotonic = read(libc::CLOCK_MONOTONIC_COARSE)?;
    let day = read(libc::CLOCK_REALTIME_COARSE)?;
    // Acquire: with this distance comes the other one, or a newer one that is right as well.
    if day.wrapping_sub(monotonic) == TO_DAY.load(Ordering::Acquire) {
        return Some(monotonic.wrapping_add(TO_BOOT.load(Ordering::Relaxed)));
    }
    look_anew()
}

/// Looks at the distances and gives the same, if that can be done without waiting for another thread that does.
#[cold]
fn look_anew() -> Option<i64> {
    // A thread that is held up in here holds up no other one, which asks for the boot clock meanwhile.
    let _alone = match ANEW.try_lock() {
        Ok(alone) => alone,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    for _ in 0..TRIES {
        let monotonic = read(libc::CLOCK_MONOTONIC_COARSE)?;
        let day = read(libc::CLOCK_REALTIME_COARSE)?;
        let before = read(libc::CLOCK_MONOTONIC)?;
        let boot = read(BOOT)?;
        let after = read(libc::CLOCK_MONOTONIC)?;
        // Else a tick came between, or something else.
        if read(libc::CLOCK_MONOTONIC_COARSE)? == monotonic && after.wrapping_sub(before) < APART_NS {
            // Too early by what has passed between the two, so that the last tick is never later than now.
            let to_boot = boot.wrapping_sub(after);
            TO_BOOT.store(to_boot, Ordering::Relaxed);
            TO_DAY.store(day.wrapping_sub(monotonic), Ordering::Release);
            return Some(monotonic.wrapping_add(to_boot));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tick_is_never_later_than_now_and_never_long_ago() {
        let mut known = 0;
        for _ in 0..100_000 {
            let Some(tick) = boot() else { continue };
            known += 1;
            let lag = read(BOOT).unwrap() - tick;
            // Ticks come 100 times a second or more; a busy machine may hold this thread up between the two looks.
            assert!((0..1_000_000_000).contains(&lag), "{lag} ns");
        }
        assert!(known > 90_000, "{known} times known");
    }

    #[test]
    fn a_distance_that_has_changed_is_looked_at_anew() {
        boot();
        TO_DAY.fetch_add(1, Ordering::Relaxed);
        TO_BOOT.store(0, Ordering::Relaxed);
        // Other tests look, too.
        while boot().is_none() {}
        let lag = read(BOOT).unwrap() - boot().unwrap();
        assert!((0..1_000_000_000).contains(&lag), "{lag} ns");
    }
}
