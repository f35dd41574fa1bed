//! The system's clocks, and among them the one that goes on while the machine is suspended.

use std::mem::MaybeUninit;

/// The clock that goes on while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub const BOOT: libc::clockid_t = libc::CLOCK_BOOTTIME;
/// On macOS that is this one; other systems have none better.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub const BOOT: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// A clock, in nanoseconds; `None` where there is none of this kind.
#[inline]
pub fn read(clock: libc::clockid_t) -> Option<i64> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is to a `timespec` of ours, which is written if 0 comes back.
    let time = unsafe {
        if libc::clock_gettime(clock, time.as_mut_ptr()) != 0 {
            return None;
        }
        time.assume_init()
    };
    // Both are narrower on systems of 32 bits.
    #[allow(clippy::useless_conversion, reason = "i64 already where there are 64 bits")]
    let (seconds, nanos) = (i64::from(time.tv_sec), i64::from(time.tv_nsec));
    Some(seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos))
}
