//! Reads inherited descriptors, keeps new ones away from the standard streams' numbers, and explains their
//! exhaustion.

use std::{
    fs::File,
    io,
    time::{Duration, Instant},
};

/// Returns what to do if the error means that no descriptor or thread is left; `None` for other errors.
pub fn exhausted(why: &io::Error) -> Option<&'static str> {
    match why.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => Some("raise the limit of open files (ulimit -n), or close some"),
        libc::EAGAIN => Some("check the limits of threads and memory (ulimit -u, -v)"),
        _ => None,
    }
}

/// Opens descriptors with numbers above those of the standard streams. In a process that has closed those, the host's
/// output could otherwise go into the library's connection.
pub fn apart<T>(make: impl FnOnce() -> T) -> T {
    let mut taken = Vec::new();
    // A new descriptor gets the lowest free number.
    for _ in 0..ABOVE_STANDARD {
        if standard_is_free()
            && let Ok(nothing) = File::open("/dev/null")
        {
            taken.push(nothing);
        }
    }
    make()
}

/// The numbers of stdin, stdout and stderr are below this one.
pub const ABOVE_STANDARD: i32 = 3;

fn standard_is_free() -> bool {
    // SAFETY: no pointers are passed.
    (0..ABOVE_STANDARD).any(|stream| unsafe { libc::fcntl(stream, libc::F_GETFD) } < 0)
}

/// Reads at most `limit` + 1 bytes, so that the caller notices a longer content. Leaves the descriptor open. A file
/// is read from its start. A pipe is read until its writers have closed it, for at most `max_wait`.
pub fn read_to_end(descriptor: i32, limit: usize, max_wait: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + max_wait;
    let mut text = vec![0; limit + 1];
    let mut len = 0;
    while let Some(room) = text.get_mut(len..).filter(|room| !room.is_empty()) {
        wait_readable(descriptor, end)?;
        match read_at(descriptor, len, room) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
    text.truncate(len);
    Ok(text)
}

fn wait_readable(descriptor: i32, end: Instant) -> io::Result<()> {
    loop {
        let left = end.saturating_duration_since(Instant::now()).as_millis();
        let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one `pollfd` that outlives the call, and the count is one.
        let ready = unsafe { libc::poll(&raw mut poll, 1, i32::try_from(left).unwrap_or(i32::MAX)) };
        match ready {
            0 => {
                let why = "its writer hasn't closed it in time: close it after writing";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            1.. => return Ok(()),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

fn read_at(descriptor: i32, offset: usize, room: &mut [u8]) -> io::Result<usize> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    // SAFETY: pointer and length are those of `room`, which is borrowed for the call. An invalid descriptor is an
    // error.
    let mut read = unsafe { libc::pread(descriptor, room.as_mut_ptr().cast(), room.len(), offset) };
    if read < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESPIPE) {
        // SAFETY: as above.
        read = unsafe { libc::read(descriptor, room.as_mut_ptr().cast(), room.len()) };
    }
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Seek, Write},
        os::fd::AsRawFd,
    };

    #[test]
    fn file_is_read_from_its_start_at_any_position() {
        let path = std::env::temp_dir().join(format!("thb-descriptor-{}", std::process::id()));
        let mut file = File::create_new(&path).unwrap();
        file.write_all(b"token").unwrap();
        let mut file = File::open(&path).unwrap();
        file.seek(io::SeekFrom::End(0)).unwrap();
        for _ in 0..2 {
            assert_eq!(read_to_end(file.as_raw_fd(), 10, Duration::from_secs(5)).unwrap(), b"token");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn pipe_is_read_until_it_is_closed() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"token").unwrap();
        let late = read_to_end(reader.as_raw_fd(), 10, Duration::from_millis(20)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        writer.write_all(b"token").unwrap();
        drop(writer);
        assert_eq!(read_to_end(reader.as_raw_fd(), 10, Duration::from_secs(5)).unwrap(), b"token");
    }

    #[test]
    fn content_over_the_limit_is_detected() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"0123456789").unwrap();
        assert_eq!(read_to_end(reader.as_raw_fd(), 4, Duration::from_secs(5)).unwrap().len(), 5);
    }

    #[test]
    fn number_without_a_descriptor_is_an_error() {
        let error = read_to_end(i32::MAX, 10, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }
}
