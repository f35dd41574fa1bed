//! The signals that this process receives, and the signal state that it inherits.

use std::{io, thread, time::Duration};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use signal_hook::iterator::Signals;

/// Resets SIGCHLD and the signal mask, which are inherited from the parent. If SIGCHLD is ignored, the kernel discards the exit status of a
/// command. A blocked signal would never arrive.
pub fn reset_inherited() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of this process.
    unsafe { sigaction(Signal::SIGCHLD, &default)? };
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Catches these signals, except those that are ignored already. `nohup` and shells without job control start commands with ignored
/// signals, which must stay ignored.
pub fn catch(signals: &[Signal]) -> io::Result<Signals> {
    Signals::new(signals.iter().map(|signal| *signal as i32).filter(|number| !is_ignored(*number)))
}

fn is_ignored(number: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the call changes no action. It writes `action` if it returns 0, and `action` is read only in that case.
    unsafe {
        libc::sigaction(number, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Runs the action after the delay, in a new thread.
pub fn spawn_after(delay: Duration, action: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let run = move || {
        thread::sleep(delay);
        action();
    };
    thread::Builder::new().name("delay".into()).spawn(run).map(drop)
}
