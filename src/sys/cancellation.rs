//! Keeps the cancellation of threads (`pthread_cancel`) out of our code.

/// Runs `work` to its end even if the thread is asked to end meanwhile, which then happens at the next point behind it that
/// allows it. Cancellation unwinds the stack, and Rust, which can't let it through, would abort the process.
#[cfg(target_os = "linux")]
pub fn postponed<T>(work: impl FnOnce() -> T) -> T {
    const DISABLE: libc::c_int = 1;
    unsafe extern "C" {
        fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
    }
    let mut before = DISABLE;
    // SAFETY: the state is one that there is, and `before` outlives the call.
    unsafe { pthread_setcancelstate(DISABLE, &raw mut before) };
    let done = work();
    // SAFETY: as above, and the state is the one that the thread had.
    unsafe { pthread_setcancelstate(before, &raw mut before) };
    done
}

/// Elsewhere threads are cancelled only where they wait in the system, which this can't prevent.
#[cfg(not(target_os = "linux"))]
pub fn postponed<T>(work: impl FnOnce() -> T) -> T {
    work()
}
