//! A flag as a descriptor that can be polled, for the caller's event loop.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
};

use super::{
    descriptor::{ABOVE_STANDARD, apart},
    fork_private::Private,
};

/// A flag that can be polled: an eventfd on Linux, else a pipe.
#[derive(Debug)]
pub struct Event {
    reader: End,
    /// The write end of a pipe; an eventfd is both.
    writer: Option<End>,
}

/// A descriptor of the flag. The host may close all descriptors that it doesn't know, and open its own under the same numbers.
/// Those must be neither used nor closed.
#[derive(Debug)]
struct End {
    /// Dropped before the descriptor.
    private: Option<Private>,
    descriptor: Option<OwnedFd>,
}

impl End {
    fn new(descriptor: OwnedFd) -> Self {
        End { private: Some(Private::new(descriptor.as_raw_fd())), descriptor: Some(descriptor) }
    }

    /// Returns the descriptor, unless the host has closed it.
    fn get(&self) -> Option<RawFd> {
        let is_intact = self.private.as_ref().is_some_and(Private::is_intact);
        self.descriptor.as_ref().filter(|_| is_intact).map(AsRawFd::as_raw_fd)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let is_intact = self.get().is_some();
        self.private = None;
        let descriptor = self.descriptor.take();
        if !is_intact {
            std::mem::forget(descriptor);
        }
    }
}

impl Event {
    /// Creates a lowered flag.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let reader = apart(|| owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }))?;
        Ok(Event { reader: End::new(reader), writer: None })
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
        Ok(Event { reader: End::new(reader), writer: Some(End::new(writer)) })
    }

    /// Raises the flag: the descriptor is readable.
    pub fn raise(&self) {
        let one = 1_u64.to_ne_bytes();
        let Some(writer) = self.writer.as_ref().unwrap_or(&self.reader).get() else { return };
        // SAFETY: pointer and length are those of `one`. An error means that the flag is already raised.
        unsafe { libc::write(writer, one.as_ptr().cast(), one.len()) };
    }

    /// Lowers the flag.
    pub fn lower(&self) {
        let Some(reader) = self.reader.get() else { return };
        let mut counts = [0_u8; 512];
        loop {
            // SAFETY: pointer and length are those of `counts`. An error means that the flag is already lowered.
            let read = unsafe { libc::read(reader, counts.as_mut_ptr().cast(), counts.len()) };
            // A pipe that was raised several times may contain more.
            if usize::try_from(read).unwrap_or(0) < counts.len() {
                return;
            }
        }
    }

    /// Returns another descriptor of the flag, which the caller closes.
    pub fn share(&self) -> io::Result<i32> {
        let Some(reader) = self.reader.get() else { return Err(io::Error::from_raw_os_error(libc::EBADF)) };
        // SAFETY: no pointers are passed, and the descriptor is open.
        let descriptor = unsafe { libc::fcntl(reader, libc::F_DUPFD_CLOEXEC, ABOVE_STANDARD) };
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

    #[test]
    fn hosts_file_with_a_reused_number_is_neither_used_nor_closed() {
        for event in [Event::new().unwrap(), Event::pipe().unwrap()] {
            let ends = [Some(&event.reader), event.writer.as_ref()].into_iter().flatten();
            // Like a host that closes all unknown descriptors.
            let theirs: Vec<_> = ends
                .map(|end| {
                    let (reader, writer) = io::pipe().unwrap();
                    let number = end.get().unwrap();
                    // SAFETY: both are open and belong to this test.
                    assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), number) }, number);
                    (reader, number)
                })
                .collect();
            event.raise();
            event.lower();
            assert_eq!(event.share().unwrap_err().raw_os_error(), Some(libc::EBADF));
            drop(event);
            for (reader, number) in theirs {
                assert!(!readable(reader.as_raw_fd()));
                assert_eq!(owned(number).unwrap().as_raw_fd(), number);
            }
        }
    }
}
