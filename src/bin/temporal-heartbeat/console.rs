//! Prints results, messages and the command's output to standard output and standard error.
//!
//! If the standard error is a terminal, the status line can be shown as its last line. All output to the terminal takes the same lock,
//! and clears the status line before it writes.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::ValueEnum;
use serde_json::{Value, json};
use temporal_heartbeat::model::{
    error::{Error, Result},
    printable::{is_control, printable},
};

use crate::{error::local_error, exit_code};

/// Moves the cursor to the start of the line and clears the line.
const CLEAR_LINE: &[u8] = b"\r\x1b[K";
/// The width that is assumed if the terminal doesn't report one.
const DEFAULT_COLUMNS: usize = 80;

/// The format of results and messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

static IS_JSON: AtomicBool = AtomicBool::new(false);
static TERMINAL: Mutex<Terminal> =
    Mutex::new(Terminal { has_status_line: false, is_shown: false, has_partial_line: false });

/// The state of the last line of the terminal.
struct Terminal {
    /// Whether this process shows a status line.
    has_status_line: bool,
    /// Whether the last line is the status line.
    is_shown: bool,
    /// Whether the last line is output without a line end, which the status line must not overwrite.
    has_partial_line: bool,
}

impl Terminal {
    fn lock() -> MutexGuard<'static, Terminal> {
        TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear_status_line(&mut self) {
        if self.is_shown {
            write_stderr(CLEAR_LINE);
        }
        self.is_shown = false;
    }
}

/// Ignores errors: there is nowhere to report them.
fn write_stderr(bytes: &[u8]) {
    let _ = io::stderr().write_all(bytes);
}

/// Sets the format of all later output.
pub fn set_format(format: Format) {
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
}

/// Whether results and messages are printed as JSON.
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Prints a result to the standard output, as JSON or as lines of text. Prints nothing for an empty text.
pub fn result(value: &Value, text: &str) {
    // The call has succeeded, so a closed output must not change the exit code.
    if is_json() {
        let _ = io::stdout().write_all(json_line(value).as_bytes());
    } else if !text.is_empty() {
        let _ = writeln!(io::stdout(), "{text}");
    }
}

/// Returns the value as a line of JSON with escaped control characters, so that a terminal doesn't interpret them.
fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for character in value.to_string().chars() {
        if is_control(character) {
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

/// Writes data to the standard output.
pub fn write_stdout(bytes: &[u8]) -> Result<()> {
    let written = io::stdout().write_all(bytes).and_then(|()| io::stdout().flush());
    written.map_err(|why| local_error("write to the standard output", &why))
}

/// Prints a message to the standard error, as text or as the JSON object.
pub fn event(text: &str, value: &Value) {
    let line =
        if is_json() { json_line(value) } else { format!("temporal-heartbeat: {}\n", printable(text)) };
    let mut terminal = Terminal::lock();
    let line_end = if terminal.has_partial_line && terminal.has_status_line { "\n" } else { "" };
    terminal.clear_status_line();
    terminal.has_partial_line = false;
    write_stderr(format!("{line_end}{line}").as_bytes());
}

/// Prints a warning.
pub fn warning(text: &str) {
    event(text, &json!({"event": "warning", "message": text}));
}

/// Prints an error.
pub fn error(error: &Error) {
    event(&error.to_string(), &json!({"event": "error", "error": error_json(error)}));
}

/// The JSON form of an error.
pub fn error_json(error: &Error) -> Value {
    json!({
        "status": error.status().name().to_string_lossy(),
        "exit_code": exit_code::of_status(error.status()),
        "message": error.message(),
        "retryable": error.is_retryable(),
    })
}

/// Allows [`set_status_line`] if the standard error is a terminal. Returns whether it is.
pub fn enable_status_line() -> bool {
    let is_terminal = io::stderr().is_terminal();
    Terminal::lock().has_status_line = is_terminal;
    is_terminal
}

/// Shows this text as the status line.
pub fn set_status_line(text: &str) {
    let mut terminal = Terminal::lock();
    if terminal.has_status_line && !terminal.has_partial_line {
        let size = terminal_size::terminal_size_of(io::stderr());
        let columns = size.map_or(DEFAULT_COLUMNS, |(width, _)| width.0.into());
        let text: String = printable(text).chars().take(columns.saturating_sub(1)).collect();
        terminal.is_shown = true;
        write_stderr(&[CLEAR_LINE, text.as_bytes()].concat());
    }
}

/// Clears the status line.
pub fn clear_status_line() {
    Terminal::lock().clear_status_line();
}

/// An output of this process, to which the command's output is written.
pub struct Destination {
    file: File,
    is_terminal: bool,
}

impl Destination {
    /// The standard output.
    pub fn stdout() -> io::Result<Self> {
        Self::new(&io::stdout())
    }

    /// The standard error.
    pub fn stderr() -> io::Result<Self> {
        Self::new(&io::stderr())
    }

    /// Bypasses the buffer of the standard library, which would hold back a line without an end.
    fn new(stream: &(impl AsFd + IsTerminal)) -> io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Destination { file, is_terminal: stream.is_terminal() })
    }

    /// Writes output of the command.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_terminal {
            return (&self.file).write_all(bytes);
        }
        let mut terminal = Terminal::lock();
        terminal.clear_status_line();
        terminal.has_partial_line = !bytes.ends_with(b"\n");
        (&self.file).write_all(bytes)
    }
}
