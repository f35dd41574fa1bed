//! Lines on stderr, from threads that mustn't wait and mustn't raise a signal.

/// A pipe that has room at all has room for so many bytes (PIPE_BUF of Linux), and takes them whole.
const MAX_LINE: usize = 4096;

/// Writes a line, cut to what a pipe takes whole. Where nobody reads it, it is lost: a beat is worth more.
pub fn write_line(text: &str) {
    let mut line = text.as_bytes().to_vec();
    line.truncate(MAX_LINE - 1);
    line.push(b'\n');
    if !has_room() {
        return;
    }
    // SAFETY: the pointer and the length are those of `line`. That the line isn't taken is no matter.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// Whether a write wouldn't wait for a reader. A pipe without readers, which would raise SIGPIPE, has none.
fn has_room() -> bool {
    let mut poll = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one `pollfd` that outlives the call, and the count says one.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready == 1 && poll.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) == 0
}
