//! Prints results, messages and the command's output to standard output and standard error.
//!
//! If the standard error is a terminal, the status line can be shown as its last line. All output to the terminal takes the same lock,
//! and clears the status line before it writes.

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, SystemTime},
};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::AnsiColor;
use clap::ValueEnum;
use serde_json::{Value, json};
use temporal_heartbeat::model::{
    error::{Error, Result},
    printable::{is_control, printable},
};

use crate::{connection, error::local_error, exit_code, output::lines::WholeLines, wrap::wrapped};

/// Moves the cursor to the start of the line and clears the line.
const CLEAR_LINE: &[u8] = b"\r\x1b[K";
/// The width that is assumed if the terminal doesn't report one.
const DEFAULT_COLUMNS: usize = 80;

/// A wait that is longer than this is explained to the user.
const SLOW: Duration = Duration::from_secs(2);
/// How the library begins an error with the server's own message.
const SERVER_SAYS: &str = "the server says: ";

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
static IS_QUIET: AtomicBool = AtomicBool::new(false);
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

/// Omits all later messages that aren't about a problem.
pub fn set_quiet(is_quiet: bool) {
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
}

/// Whether to print problems only.
pub fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
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

/// The importance of a message, which chooses its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Information.
    Info,
    /// A success.
    Success,
    /// Something may be wrong.
    Warning,
    /// An error or a failure.
    Error,
}

impl Tone {
    fn colour(self) -> AnsiColor {
        match self {
            Tone::Info => AnsiColor::Cyan,
            Tone::Success => AnsiColor::Green,
            Tone::Warning => AnsiColor::Yellow,
            Tone::Error => AnsiColor::Red,
        }
    }
}

/// The width of the terminal on the standard error.
fn columns() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(DEFAULT_COLUMNS, |(width, _)| width.0.into())
}

/// Whether the terminal can only print text.
fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|name| name == "dumb")
}

/// Colours a text if the stream is a terminal that shows colours. NO_COLOR and TERM=dumb turn them off.
fn coloured(stream: &impl RawStream, colour: AnsiColor, text: &str) -> String {
    match AutoStream::choice(stream) {
        ColorChoice::Never => text.to_owned(),
        // `AutoStream` takes a terminal of a CI service for one with colours.
        _ if is_dumb() => text.to_owned(),
        _ => {
            let style = colour.on_default();
            format!("{style}{text}{style:#}")
        }
    }
}

/// Prints a message to the standard error, as text or as the JSON object.
pub fn event(tone: Tone, text: &str, value: &Value) {
    let line = if is_json() {
        json_line(value)
    } else {
        let name = concat!(env!("CARGO_BIN_NAME"), ":");
        let text = printable(text);
        let text = match io::stderr().is_terminal() {
            true => wrapped(&text, columns(), name.len() + 1),
            false => text,
        };
        format!("{} {text}\n", coloured(&io::stderr(), tone.colour(), name))
    };
    let mut terminal = Terminal::lock();
    let line_end = if terminal.has_partial_line && terminal.has_status_line { "\n" } else { "" };
    terminal.clear_status_line();
    terminal.has_partial_line = false;
    write_stderr(format!("{line_end}{line}").as_bytes());
}

/// Prints a warning.
pub fn warning(text: &str) {
    event(Tone::Warning, text, &json!({"event": "warning", "message": text}));
}

/// Prints a warning and the lines of a report. In JSON they are one event.
pub fn report(text: &str, lines: &str) {
    if is_json() {
        return event(Tone::Warning, text, &json!({"event": "warning", "message": text, "report": lines}));
    }
    warning(text);
    for line in lines.lines() {
        warning(&format!("  {line}"));
    }
}

/// Prints a warning, unless the program is [quiet](set_quiet).
pub fn notice(text: &str) {
    if !is_quiet() {
        warning(text);
    }
}

/// Does something that may take long, and prints the notice if it does.
pub fn with_notice_if_slow<T>(text: &str, action: impl FnOnce() -> T) -> T {
    let (running, ended) = mpsc::channel::<()>();
    let wait = move || {
        if ended.recv_timeout(SLOW) == Err(RecvTimeoutError::Timeout) {
            notice(text);
        }
    };
    thread::scope(|scope| {
        // If the thread can't be started, only the notice is missing.
        let _ = thread::Builder::new().name("slow".into()).spawn_scoped(scope, wait);
        let result = action();
        drop(running);
        result
    })
}

/// Prints an error that ends the program with this exit code.
pub fn error(error: &Error, exit_code: u8) {
    event(Tone::Error, &words(error), &json!({"event": "error", "error": error_json(error, exit_code)}));
}

/// Describes an error in words: names flags instead of options, and says what an answer of the server means.
pub fn words(error: &Error) -> String {
    let message = connection::with_flags(error.message());
    match exit_code::words(error.status()) {
        Some(meaning) if message.starts_with(SERVER_SAYS) => format!("{meaning}; {message}"),
        _ => message,
    }
}

/// Returns a time for people: `340ms`, `1.5s`, `2m 3s`.
pub fn duration(time: Duration) -> String {
    let time = match time.as_millis() {
        0..1_000 => Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(0)),
        1_000..60_000 => {
            return format!("{}s", f64::from(u32::try_from(time.as_millis() / 100).unwrap_or(0)) / 10.0);
        }
        _ => Duration::from_secs(time.as_secs()),
    };
    humantime::format_duration(time).to_string()
}

/// Returns a time since 1970 for people: `2026-01-31 12:00:00 UTC, 5s ago`.
pub fn time_and_age(unix_ms: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(unix_ms);
    let text = humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC");
    match time.elapsed() {
        Ok(age) => format!("{text}, {} ago", duration(Duration::from_secs(age.as_secs()))),
        // The server's clock is ahead.
        Err(_) => text,
    }
}

/// The JSON form of an error with this exit code.
pub fn error_json(error: &Error, exit_code: u8) -> Value {
    json!({
        "status": error.status().name().to_string_lossy(),
        "exit_code": exit_code,
        "message": connection::with_flags(error.message()),
        "retryable": error.is_retryable(),
    })
}

/// Whether a status line can be shown: the standard error is a terminal that can clear a line, and the program isn't quiet.
pub fn can_show_status_line() -> bool {
    !is_quiet() && io::stderr().is_terminal() && !is_dumb()
}

/// Allows [`set_status_line`], if a status line can be shown. Returns whether it can.
pub fn enable_status_line() -> bool {
    let is_enabled = can_show_status_line();
    Terminal::lock().has_status_line = is_enabled;
    is_enabled
}

/// Shows this text as the status line.
pub fn set_status_line(text: &str) {
    let mut terminal = Terminal::lock();
    if terminal.has_status_line && !terminal.has_partial_line {
        let text: String = printable(text).chars().take(columns().saturating_sub(1)).collect();
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
    prefix: Option<WholeLines>,
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
        Ok(Destination { file, is_terminal: stream.is_terminal(), prefix: None })
    }

    /// Writes this prefix before each line from now on. `number` chooses its colour.
    pub fn with_prefix(mut self, prefix: &str, number: u64) -> Self {
        const COLOURS: [AnsiColor; 5] =
            [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Blue, AnsiColor::Green, AnsiColor::Yellow];
        let index = usize::try_from(number).unwrap_or(0) % COLOURS.len();
        let colour = COLOURS.get(index).copied().unwrap_or(AnsiColor::Cyan);
        let prefix = coloured(&self.file, colour, &format!("{} |", printable(prefix)));
        self.prefix = Some(WholeLines::with_prefix(&format!("{prefix} ")));
        self
    }

    /// Writes output of the command.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.prefix {
            None => self.write_unchanged(bytes),
            Some(prefix) => {
                let lines = prefix.push(bytes);
                self.write_unchanged(&lines)
            }
        }
    }

    /// Writes the rest of the output, if it was held back until the end of its line.
    pub fn finish(&mut self) -> io::Result<()> {
        let rest = self.prefix.as_mut().map(WholeLines::finish).unwrap_or_default();
        self.write_unchanged(&rest)
    }

    fn write_unchanged(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.is_terminal {
            return (&self.file).write_all(bytes);
        }
        let mut terminal = Terminal::lock();
        terminal.clear_status_line();
        terminal.has_partial_line = !bytes.ends_with(b"\n");
        (&self.file).write_all(bytes)
    }
}
