//! Passes one of the command's streams on, byte for byte, and looks at it on the way.

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

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    capture::{Capture, Tail},
    lines::LineScanner,
    progress::{LineParser, Progress},
    screen::{SCREEN, Target},
};
use crate::console;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// The most that a pipe can hold, and so that can be left in it when the command has ended. Who writes on, has left the group.
const MOST_LEFT: usize = 1024 * 1024;

/// What is done with a stream on the way.
#[derive(Default)]
pub struct Observers {
    /// LineScanner that tell of progress.
    pub progress: Option<(LineParser, Arc<Progress>)>,
    /// The output to be the result.
    pub capture: Option<Capture>,
    /// The last lines.
    pub tail: Option<Tail>,
    /// Counts what comes, for those who watch over it.
    pub chunks: Arc<AtomicU64>,
}

impl Observers {
    /// Whether somebody here needs the stream, be it passed on or not.
    fn want_all(&self) -> bool {
        self.progress.is_some() || self.capture.is_some() || self.tail.is_some()
    }
}

/// A stream that is passed on.
pub struct Tee(Receiver<Observers>);

impl Tee {
    /// Begins. When `over` is closed at its other end, what is there is passed on, and no more.
    pub fn start(from: OwnedFd, to: Target, mut observers: Observers, over: PipeReader) -> io::Result<Self> {
        let (done, kept) = mpsc::sync_channel(1);
        let tee = move || {
            if let Err(why) = run(from, &to, &mut observers, &over) {
                console::warning(&format!("the command's output can't be passed on any more: {why}"));
            }
            // Nobody waits for it any more when this fails.
            let _ = done.send(observers);
        };
        thread::Builder::new().name("tee".into()).spawn(tee)?;
        Ok(Tee(kept))
    }

    /// Waits until all is passed on. `None` when nobody has taken it in so long.
    pub fn finish(&self, patience: Duration) -> Option<Observers> {
        self.0.recv_timeout(patience).ok()
    }
}

/// When nobody reads our output any more, and neither do we, `from` is closed, so that the command hears of it as if we weren't there.
fn run(from: OwnedFd, to: &Target, observers: &mut Observers, over: &PipeReader) -> io::Result<()> {
    let mut from = File::from(from);
    let mut chunk = vec![0; CHUNK];
    let mut lines = LineScanner::default();
    let mut left = MOST_LEFT;
    let mut heard = true;
    let outcome = loop {
        let (readable, is_over) = wait(&from, over)?;
        if !readable || left == 0 {
            break Ok(());
        }
        let bytes = match from.read(&mut chunk) {
            Ok(0) => break Ok(()),
            Ok(len) => chunk.get(..len).unwrap_or_default(),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(why) => break Err(why),
        };
        if is_over {
            left = left.saturating_sub(bytes.len());
        }
        observers.chunks.fetch_add(1, Ordering::Relaxed);
        if heard && let Err(why) = SCREEN.pass_on(to, bytes) {
            heard = false;
            let broken = why.kind() == io::ErrorKind::BrokenPipe;
            if !observers.want_all() {
                break if broken { Ok(()) } else { Err(why) };
            }
            if !broken {
                console::warning(&format!("the command's output can't be passed on any more: {why}"));
            }
        }
        if let Some((reader, progress)) = &observers.progress
            && let Some(details) = lines.take(bytes, |line| reader.read(line))
        {
            progress.record(details);
        }
        if let Some(capture) = &mut observers.capture {
            capture.take(bytes);
        }
        if let Some(tail) = &mut observers.tail {
            tail.take(bytes);
        }
    };
    if let Some((reader, progress)) = &observers.progress
        && let Some(details) = lines.finish(|line| reader.read(line))
    {
        progress.record(details);
    }
    outcome
}

/// Waits until there is something to read, or all is over. Whether there is; and whether it is over.
fn wait(from: &File, over: &PipeReader) -> io::Result<(bool, bool)> {
    let mut both =
        [PollFd::new(from.as_fd(), PollFlags::POLLIN), PollFd::new(over.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut both, PollTimeout::NONE) {
            Ok(_) => break,
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let [readable, is_over] = both.map(|polled| polled.any().unwrap_or(false));
    Ok((readable, is_over))
}
