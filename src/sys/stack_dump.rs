//! Gets the stacks that a handler of the host writes to a descriptor. The library installs no handler.

use std::{
    io,
    mem::MaybeUninit,
    time::{Duration, Instant},
};

/// The largest number of a signal.
pub const MAX_SIGNAL: i32 = 64;
/// How long the library waits for the stacks.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The stacks are complete when nothing has followed for this long. A NUL completes them at once.
const QUIET: Duration = Duration::from_millis(300);
/// Of a longer text the end is kept: `faulthandler` often writes the thread that got the signal last.
const MAX_BYTES: usize = 4 << 20;
const CHUNK: usize = 16 << 10;

/// The file behind a descriptor, to notice that the host has closed it and opened another one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity(u64, u64);

impl FileIdentity {
    /// Returns the file behind a descriptor; `None` if none is open.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the types differ between systems")]
    pub fn of(descriptor: i32) -> Option<Self> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the pointer is to a local `stat`, which the call has written if it returned 0.
        let stat = unsafe {
            if libc::fstat(descriptor, stat.as_mut_ptr()) != 0 {
                return None;
            }
            stat.assume_init()
        };
        Some(FileIdentity(stat.st_dev as u64, stat.st_ino as u64))
    }
}

/// Signals that report a fault. Their handlers expect one, and end the process.
const FAULTS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// Returns whether the process has a handler for a signal, and survives it. Otherwise the signal could end the process.
pub fn is_handled(signal: i32) -> bool {
    if FAULTS.contains(&signal) {
        return false;
    }
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only the current action is read, into a local, which the call has written if it returned 0.
    let handler = unsafe {
        if libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) != 0 {
            return false;
        }
        action.assume_init().sa_sigaction
    };
    handler != libc::SIG_DFL && handler != libc::SIG_IGN
}

/// Returns the kernel's number of the calling thread; 0 where there is none.
pub fn current_thread() -> i32 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: no pointers are passed.
    return unsafe { libc::gettid() };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    0
}

/// Sends a signal to a thread of this process, or to any thread if that one has ended.
fn raise(signal: i32, thread: i32) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let process = unsafe { libc::getpid() };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: no pointers are passed. The kernel checks that the thread belongs to this process.
    if thread > 0 && unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) } == 0 {
        return Ok(());
    }
    let _ = thread;
    // SAFETY: no pointers are passed.
    if unsafe { libc::kill(process, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends the signal, if there is one, and reads what the host writes. Returns nothing if the host writes nothing in time. Blocks.
pub fn read(descriptor: i32, file: FileIdentity, signal: Option<i32>, thread: i32) -> io::Result<Vec<u8>> {
    if FileIdentity::of(descriptor) != Some(file) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    if let Some(signal) = signal {
        if !is_handled(signal) {
            return Err(io::Error::other("the host has removed its handler of the signal"));
        }
        // What is left from before is older than this stall.
        while is_readable(descriptor, Duration::ZERO)? && !read_chunk(descriptor)?.is_empty() {}
        raise(signal, thread)?;
    }
    let end = Instant::now() + LONGEST_WAIT;
    let mut text = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let wait = match text.last() {
            None => left,
            // Another text may follow, if an earlier one was never read.
            Some(0) => Duration::ZERO,
            Some(_) => left.min(QUIET),
        };
        if !is_readable(descriptor, wait)? {
            return Ok(text);
        }
        let chunk = read_chunk(descriptor)?;
        if chunk.is_empty() || left.is_zero() {
            return Ok(text);
        }
        text.extend(chunk);
        text.drain(..text.len().saturating_sub(MAX_BYTES));
    }
}

fn is_readable(descriptor: i32, wait: Duration) -> io::Result<bool> {
    let ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    // SAFETY: one `pollfd` that outlives the call, and the count is one.
    match unsafe { libc::poll(&raw mut poll, 1, ms) } {
        0 => Ok(false),
        1.. => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

fn read_chunk(descriptor: i32) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK];
    // SAFETY: pointer and length are those of `chunk`. An invalid descriptor is an error.
    let read = unsafe { libc::read(descriptor, chunk.as_mut_ptr().cast(), chunk.len()) };
    chunk.truncate(usize::try_from(read).map_err(|_| io::Error::last_os_error())?);
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsRawFd};

    use super::*;

    #[test]
    fn text_ends_with_nul_or_with_silence() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (number, file) = (reader.as_raw_fd(), FileIdentity::of(reader.as_raw_fd()).unwrap());
        let start = Instant::now();
        writer.write_all(b"goroutine 1\0").unwrap();
        assert_eq!(read(number, file, None, 0).unwrap(), b"goroutine 1\0");
        assert!(start.elapsed() < LONGEST_WAIT);
        writer.write_all(b"a line").unwrap();
        assert_eq!(read(number, file, None, 0).unwrap(), b"a line");
        writer.write_all(b"\0").unwrap();
        drop(writer);
        assert_eq!(read(number, file, None, 0).unwrap(), b"\0");
        assert_eq!(read(number, file, None, 0).unwrap(), b"");
    }

    #[test]
    fn descriptor_that_the_host_has_reused_is_not_read() {
        let (first, other) = (io::pipe().unwrap(), io::pipe().unwrap());
        let file = FileIdentity::of(first.0.as_raw_fd()).unwrap();
        let refused = read(other.0.as_raw_fd(), file, None, 0).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EBADF));
        assert_eq!(FileIdentity::of(i32::MAX), None);
    }

    #[test]
    fn signal_without_a_handler_is_never_sent() {
        for signal in [libc::SIGKILL, libc::SIGSTOP, libc::SIGUSR2, 0, 33, MAX_SIGNAL + 1] {
            assert!(!is_handled(signal), "{signal}");
        }
        let (reader, _writer) = io::pipe().unwrap();
        let file = FileIdentity::of(reader.as_raw_fd()).unwrap();
        // The default of this signal would end the process.
        assert!(read(reader.as_raw_fd(), file, Some(libc::SIGUSR2), current_thread()).is_err());
    }
}
