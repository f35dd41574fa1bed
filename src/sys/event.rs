//! A descriptor that is readable while something has happened, for other people's event loops.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
};

use super::private::Private;

/// A flag that can be polled.
#[derive(Debug)]
pub struct Event {
    /// Dropped first.
    _private: Private,
    descriptor: OwnedFd,
}

impl Event {
    /// A lowered flag.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let descriptor = owned(descriptor)?;
        Ok(Event { _private: Private::new(descriptor.as_raw_fd()), descriptor })
    }

    /// Raises the flag: the descriptor is readable.
    pub fn raise(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the pointer and the length are those of `one`. An error means that the flag is raised already.
        unsafe { libc::write(self.descriptor.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Lowers it.
    pub fn lower(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: the pointer and the length are those of `count`. An error means that the flag is lowered already.
        unsafe { libc::read(self.descriptor.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// Another descriptor of the same flag, for somebody else to close.
    pub fn share(&self) -> io::Result<i32> {
        // SAFETY: no pointers are passed, and the descriptor is open.
        let descriptor = unsafe { libc::fcntl(self.descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) };
        owned(descriptor).map(IntoRawFd::into_raw_fd)
    }
}

fn owned(descriptor: i32) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(descriptor: i32) -> bool {
        let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one `pollfd` that outlives the call, and the count says one.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    #[test]
    fn every_descriptor_of_it_shows_the_flag() {
        let event = Event::new().unwrap();
        let shared = owned(event.share().unwrap()).unwrap();
        assert!(!readable(shared.as_raw_fd()));
        event.raise();
        event.raise();
        assert!(readable(shared.as_raw_fd()));
        event.lower();
        assert!(!readable(shared.as_raw_fd()));
    }
}
