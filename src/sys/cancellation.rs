//! Postpones the cancellation of threads (`pthread_cancel`) until the library's code has returned.

/// Runs `work` to its end, even if the thread is cancelled during it. The cancellation then happens at the next
/// cancellation point. It unwinds the stack, and unwinding through Rust would abort the process.
#[cfg(target_os = "linux")]
pub fn postponed<T>(work: impl FnOnce() -> T) -> T {
    const DISABLE: libc::c_int = 1;
    unsafe extern "C" {
        fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
    }
    let mut before = DISABLE;
    // SAFETY: the state is valid, and `before` outlives the call.
    unsafe { pthread_setcancelstate(DISABLE, &raw mut before) };
    let done = work();
    // SAFETY: as above; the state is the thread's previous one.
    unsafe { pthread_setcancelstate(before, &raw mut before) };
    done
}

/// On other systems threads are cancelled only in blocking system calls, which this can't prevent.
#[cfg(not(target_os = "linux"))]
pub fn postponed<T>(work: impl FnOnce() -> T) -> T {
    work()
}
