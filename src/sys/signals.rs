//! Keeps the host's signals away from the library's threads.

use std::mem::MaybeUninit;

/// Runs `make` with all signals blocked for the calling thread. A thread that `make` creates inherits that, so the
/// host's handlers run only on the host's threads.
pub fn blocked<T>(make: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initializes `all` before it is read; `pthread_sigmask` writes `before` when it returns 0, and
    // it is read only then. Both live until the end of the function.
    let changed = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let made = make();
    if changed {
        // SAFETY: `before` was written by the successful call above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    made
}
