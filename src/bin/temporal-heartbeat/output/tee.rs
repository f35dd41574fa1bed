//! Copies one stream of the command to a stream of this process, byte for byte, and passes it to observers.

use std::{
    fs::File,
    io::{self, PipeReader, Read},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    capture::{Capture, Tail},
    lines::LineScanner,
    progress::{LineParser, Progress},
};
use crate::console::{self, Destination};

/// The most that is read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// The most that a pipe can hold when the command exits. Everything beyond was written by a process that has left the process group.
const MAX_PIPE_BYTES: usize = 1024 * 1024;

/// What happens to the stream in addition to the copy.
#[derive(Default)]
pub struct Observers {
    /// Records progress from the stream's lines.
    pub progress: Option<(LineParser, Arc<Progress>)>,
    /// Keeps the output for the result.
    pub capture: Option<Capture>,
    /// Keeps the last lines.
    pub tail: Option<Tail>,
    /// Counts the chunks that were read.
    pub chunks: Arc<AtomicU64>,
}

impl Observers {
    /// Whether an observer needs the stream even if no process reads the copy.
    fn need_stream(&self) -> bool {
        self.progress.is_some() || self.capture.is_some() || self.tail.is_some()
    }
}

/// A thread that copies a stream.
pub struct Tee(Receiver<Observers>);

impl Tee {
    /// Starts the thread. After the other end of `exited` is closed, it copies what is in the pipe and ends.
    pub fn start(
        from: OwnedFd,
        mut to: Destination,
        mut observers: Observers,
        exited: PipeReader,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let copy = move || {
            if let Err(why) = copy(from, &mut to, &mut observers, &exited) {
                warn(&why);
            }
            // Fails only if `finish` has timed out.
            let _ = sender.send(observers);
        };
        thread::Builder::new().name("tee".into()).spawn(copy)?;
        Ok(Tee(receiver))
    }

    /// Waits until the stream is copied. `None` if that takes longer than `timeout`.
    pub fn finish(&self, timeout: Duration) -> Option<Observers> {
        self.0.recv_timeout(timeout).ok()
    }
}

fn warn(why: &io::Error) {
    console::warning(&format!("can't write the command's output: {why}"));
}

/// Copies `from` to `to` and to the observers. Closes `from` if the copy can't be written and no observer needs the stream.
/// The command then gets SIGPIPE, as it would without this program.
fn copy(
    from: OwnedFd,
    to: &mut Destination,
    observers: &mut Observers,
    exited: &PipeReader,
) -> io::Result<()> {
    let mut from = File::from(from);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut lines = LineScanner::default();
    let mut remaining = MAX_PIPE_BYTES;
    let mut is_writable = true;
    let outcome = loop {
        let (is_readable, has_exited) = wait(&from, exited)?;
        if !is_readable || remaining == 0 {
            break Ok(());
        }
        let bytes = match from.read(&mut chunk) {
            Ok(0) => break Ok(()),
            Ok(len) => chunk.get(..len).unwrap_or_default(),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            // The end of the output of a pseudo-terminal.
            Err(why) if why.raw_os_error() == Some(libc::EIO) => break Ok(()),
            Err(why) => break Err(why),
        };
        if has_exited {
            remaining = remaining.saturating_sub(bytes.len());
        }
        observers.chunks.fetch_add(1, Ordering::Relaxed);
        if is_writable && let Err(why) = to.write(bytes) {
            is_writable = false;
            let is_closed = why.kind() == io::ErrorKind::BrokenPipe;
            if !observers.need_stream() {
                break if is_closed { Ok(()) } else { Err(why) };
            }
            if !is_closed {
                warn(&why);
            }
        }
        if let Some((parser, progress)) = &observers.progress
            && let Some(details) = lines.push(bytes, |line| parser.parse(line))
        {
            progress.record(details);
        }
        if let Some(capture) = &mut observers.capture {
            capture.push(bytes);
        }
        if let Some(tail) = &mut observers.tail {
            tail.push(bytes);
        }
    };
    if let Some((parser, progress)) = &observers.progress
        && let Some(details) = lines.finish(|line| parser.parse(line))
    {
        progress.record(details);
    }
    outcome.and_then(|()| if is_writable { to.finish() } else { Ok(()) })
}

/// Waits until `from` is readable or the command has exited. Returns both conditions.
fn wait(from: &File, exited: &PipeReader) -> io::Result<(bool, bool)> {
    let mut polled =
        [PollFd::new(from.as_fd(), PollFlags::POLLIN), PollFd::new(exited.as_fd(), PollFlags::POLLIN)];
    while let Err(error) = poll(&mut polled, PollTimeout::NONE) {
        if error != Errno::EINTR {
            return Err(error.into());
        }
    }
    let [is_readable, has_exited] = polled.map(|polled| polled.any().unwrap_or(false));
    Ok((is_readable, has_exited))
}
