//! Writes lines to stderr without blocking and without raising a signal.

/// A pipe with any space has space for this many bytes and accepts them atomically (PIPE_BUF of Linux).
const MAX_LINE: usize = 4096;

/// Writes a line, cut to what a pipe accepts atomically. The line is lost if nothing reads it, because a beat must
/// not wait.
pub fn write_line(text: &str) {
    let mut line = text.as_bytes().to_vec();
    line.truncate(MAX_LINE - 1);
    line.push(b'\n');
    if !has_room() {
        return;
    }
    // SAFETY: pointer and length are those of `line`. A failed write is ignored.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// Returns whether a write neither blocks nor raises SIGPIPE. A pipe without readers has no space.
fn has_room() -> bool {
    let mut poll = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one `pollfd` that outlives the call, and the count is one.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready == 1 && poll.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) == 0
}
