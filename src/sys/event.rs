//! A flag as a descriptor that can be polled, for the caller's event loop.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
};

use super::{
    descriptor::{ABOVE_STANDARD, apart},
    fork_private::Private,
};

/// A flag that can be polled: an eventfd on Linux, else a pipe.
#[derive(Debug)]
pub struct Event {
    /// Dropped before the descriptors.
    _private: Vec<Private>,
    reader: OwnedFd,
    /// The write end of a pipe; an eventfd is both.
    writer: Option<OwnedFd>,
}

impl Event {
    /// Creates a lowered flag.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let reader = apart(|| owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }))?;
        Ok(Event { _private: vec![Private::new(reader.as_raw_fd())], reader, writer: None })
    }

    /// Creates a lowered flag.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Self> {
        Self::pipe()
    }

    #[cfg(any(test, not(target_os = "linux")))]
    fn pipe() -> io::Result<Self> {
        let (reader, writer) = apart(io::pipe)?; // CLOEXEC
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        for end in [&reader, &writer] {
            // SAFETY: no pointers are passed, and the descriptor is open.
            if unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let private = [&reader, &writer].map(|end| Private::new(end.as_raw_fd()));
        Ok(Event { _private: private.into(), reader, writer: Some(writer) })
    }

    /// Raises the flag: the descriptor is readable.
    pub fn raise(&self) {
        let one = 1_u64.to_ne_bytes();
        let writer = self.writer.as_ref().unwrap_or(&self.reader);
        // SAFETY: pointer and length are those of `one`. An error means that the flag is already raised.
        unsafe { libc::write(writer.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Lowers the flag.
    pub fn lower(&self) {
        let mut counts = [0_u8; 512];
        loop {
            // SAFETY: pointer and length are those of `counts`. An error means that the flag is already lowered.
            let read =
                unsafe { libc::read(self.reader.as_raw_fd(), counts.as_mut_ptr().cast(), counts.len()) };
            // A pipe that was raised several times may contain more.
            if usize::try_from(read).unwrap_or(0) < counts.len() {
                return;
            }
        }
    }

    /// Returns another descriptor of the flag, which the caller closes.
    pub fn share(&self) -> io::Result<i32> {
        // SAFETY: no pointers are passed, and the descriptor is open.
        let descriptor =
            unsafe { libc::fcntl(self.reader.as_raw_fd(), libc::F_DUPFD_CLOEXEC, ABOVE_STANDARD) };
        owned(descriptor).map(IntoRawFd::into_raw_fd)
    }
}

fn owned(descriptor: i32) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call has just created it, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(descriptor: i32) -> bool {
        let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one `pollfd` that outlives the call, and the count is one.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    #[test]
    fn every_descriptor_of_the_event_shows_the_flag() {
        for event in [Event::new().unwrap(), Event::pipe().unwrap()] {
            let shared = owned(event.share().unwrap()).unwrap();
            assert!(!readable(shared.as_raw_fd()));
            for _ in 0..100_000 {
                event.raise();
            }
            assert!(readable(shared.as_raw_fd()));
            event.lower();
            assert!(!readable(shared.as_raw_fd()));
            event.raise();
            assert!(readable(shared.as_raw_fd()));
        }
    }
}
