//! Catches the signals that this process receives.

use std::io;

use nix::sys::signal::Signal;
use signal_hook::iterator::Signals;

/// Catches these signals, except ignored ones: `nohup`, and shells without job control, ignore signals for their commands.
pub fn catch(signals: &[Signal]) -> io::Result<Signals> {
    Signals::new(signals.iter().map(|signal| *signal as i32).filter(|number| !is_ignored(*number)))
}

fn is_ignored(number: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed; `action` is written if the call returns 0, and read only then.
    unsafe {
        libc::sigaction(number, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
