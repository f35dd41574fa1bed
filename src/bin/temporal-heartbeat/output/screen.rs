//! The standard error. When it is a terminal, its last line shows how it goes; whatever else is written takes that line's place first.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
};

/// Goes to the line's beginning and clears it.
const CLEAR: &[u8] = b"\r\x1b[K";
/// What is assumed of a terminal that doesn't tell.
const WIDTH: usize = 80;

/// The one of this process.
pub static SCREEN: Screen = Screen(Mutex::new(State { enabled: false, shown: false, open_line: false }));

/// Where all that goes to the terminal meets.
pub struct Screen(Mutex<State>);

struct State {
    enabled: bool,
    /// Whether the line of progress is there.
    shown: bool,
    /// Whether somebody has written a line without its end, which isn't ours to overwrite.
    open_line: bool,
}

impl Screen {
    /// Shows a line of progress from now on, if there is a terminal to show it on.
    pub fn enable(&self) -> bool {
        let terminal = io::stderr().is_terminal();
        self.lock().enabled = terminal;
        terminal
    }

    /// Writes a whole line of ours.
    pub fn say(&self, line: &[u8]) {
        let mut state = self.lock();
        let end_line: &[u8] = if state.open_line && state.enabled { b"\n" } else { b"" };
        state.clear();
        state.open_line = false;
        // Nobody reads it any more when this fails.
        let _ = io::stderr().write_all(&[end_line, line].concat());
    }

    /// Writes what the command has written, to a terminal or elsewhere.
    pub fn pass_on(&self, target: &Target, bytes: &[u8]) -> io::Result<()> {
        if !target.terminal {
            return (&target.file).write_all(bytes);
        }
        let mut state = self.lock();
        state.clear();
        state.open_line = !bytes.ends_with(b"\n");
        (&target.file).write_all(bytes)
    }

    /// Shows how it goes.
    pub fn show(&self, text: &str) {
        let mut state = self.lock();
        if state.enabled && !state.open_line {
            let width =
                terminal_size::terminal_size_of(io::stderr()).map_or(WIDTH, |(width, _)| width.0.into());
            let text: String =
                text.chars().take(width.saturating_sub(1)).filter(|c| !c.is_control()).collect();
            state.shown = true;
            let _ = io::stderr().write_all(&[CLEAR, text.as_bytes()].concat());
        }
    }

    /// Takes the line of progress away.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self) {
        if self.shown {
            let _ = io::stderr().write_all(CLEAR);
        }
        self.shown = false;
    }
}

/// Where the command's output goes.
pub struct Target {
    file: File,
    terminal: bool,
}

impl Target {
    /// Our standard output.
    pub fn stdout() -> io::Result<Self> {
        Self::of(&io::stdout())
    }

    /// Our standard error.
    pub fn stderr() -> io::Result<Self> {
        Self::of(&io::stderr())
    }

    /// Past the standard library's buffer, which would hold back what has no end of line yet.
    fn of(stream: &(impl std::os::fd::AsFd + IsTerminal)) -> io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Target { file, terminal: stream.is_terminal() })
    }
}
