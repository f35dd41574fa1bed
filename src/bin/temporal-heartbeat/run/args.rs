//! The flags that `exec` and `work` share: how to run a command.

use std::{
    ffi::{OsStr, OsString},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::{Args, ValueEnum};
use nix::sys::signal::Signal;
use regex::bytes::Regex;
use temporal_heartbeat::{
    api::activity::OpenOptions,
    model::{
        error::{Error, Result},
        status::Status,
    },
};

use crate::output::{
    progress::LineParser,
    progress_file::{Part, ProgressFile},
};

/// How long a command may run before the user is warned that it shows no progress.
const NO_PROGRESS_DELAY: Duration = Duration::from_secs(60);
/// The longest time between two heartbeats if the server isn't followed, without --cancel-poll.
const DEFAULT_CANCEL_POLL: Duration = Duration::from_secs(5);
/// The most activities at once that are followed by default. Each may need a long poll.
const MAX_FOLLOWED: u16 = 20;

/// The flags that `exec` and `work` share.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Progress is the last line that matches this regular expression: its named groups as an object, else its first group, else the
    /// match. Numbers are recorded as numbers
    #[arg(long, value_name = "REGEX", help_heading = "Progress", group = "progress")]
    pub progress_pattern: Option<Regex>,
    /// Progress is the last line that is JSON
    #[arg(long, help_heading = "Progress", group = "progress")]
    pub progress_json: bool,
    /// Progress is the content of this file
    #[arg(long, value_name = "PATH", help_heading = "Progress", group = "progress")]
    pub progress_file: Option<PathBuf>,
    /// Progress is the size of this file, as {"bytes": n}
    #[arg(long, value_name = "PATH", help_heading = "Progress", group = "progress")]
    pub progress_size: Option<PathBuf>,
    /// The stream that --progress-pattern and --progress-json read
    #[arg(long, value_name = "STREAM", value_enum, default_value_t, help_heading = "Progress")]
    pub progress_from: Stream,

    /// Give the command a pseudo-terminal as its standard output, because many programs hold back what they write to a pipe
    #[arg(long, help_heading = "Progress")]
    pub pty: bool,

    /// A command that gives no sign of life for this time hangs: see --stall-action [default: never]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Hung commands")]
    pub stall_timeout: Option<Duration>,
    /// What counts as a sign of life [default: progress with a flag --progress-*, else output]
    #[arg(long, value_name = "SIGN", value_enum, requires = "stall_timeout", help_heading = "Hung commands")]
    pub stall_by: Option<StallBy>,
    /// The file for --stall-by file: a change of its size or modification time is a sign of life
    #[arg(long, value_name = "PATH", requires = "stall_timeout", help_heading = "Hung commands")]
    pub stall_file: Option<PathBuf>,

    /// What to do when the command hangs: stop it and fail the attempt so that it is retried; or only warn; or stop it, and let the failure
    /// say what its processes are doing
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value_t,
        requires = "stall_timeout",
        help_heading = "Hung commands"
    )]
    pub stall_action: StallAction,
    /// A shell command whose output is added to what --stall-action fail or warn reports. It has 10 s. {pid} is replaced by the process
    /// that probably hangs, e.g. 'py-spy dump --pid {pid}'
    #[arg(long, value_name = "COMMAND", requires = "stall_timeout", help_heading = "Hung commands")]
    pub on_stall: Option<String>,

    /// What to do when the activity is cancelled: stop the command and report the cancellation, or let the command run to its end
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = StopOrIgnore::Stop, help_heading = "Stopping")]
    pub on_cancel: StopOrIgnore,
    /// What to do while the activity is paused: nothing, or freeze the command (SIGSTOP, SIGCONT). Heartbeats continue
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnPause::Ignore, help_heading = "Stopping")]
    pub on_pause: OnPause,
    /// What to do when no heartbeat was acknowledged for the whole heartbeat timeout, so that another attempt may be running
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = StopOrIgnore::Stop, help_heading = "Stopping")]
    pub on_lease_lost: StopOrIgnore,
    /// The signal that stops the command and its process group
    #[arg(long, value_name = "NAME", default_value = "TERM", value_parser = signal, help_heading = "Stopping")]
    pub stop_signal: Signal,
    /// The time between the stop signal, or a SIGTERM that this program receives, and SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration, help_heading = "Stopping")]
    pub grace: Duration,
    /// Whether to keep a long poll at the server, which shows a cancellation at once, with its reason. With auto, `work` only does so
    /// if --concurrency is at most 20. If the server refuses, a heartbeat every 5 s shows it
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Stopping")]
    pub follow_server: FollowServer,
    /// The longest time between two heartbeats, and so until a pause or a reset of a workflow's activity is noticed, and any cancellation
    /// without a long poll. A short heartbeat timeout shortens it [default: 5s; with a long poll, the heartbeat timeout decides]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Stopping")]
    pub cancel_poll: Option<Duration>,

    /// The result of the activity
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = ResultKind::ExitCode, help_heading = "The end")]
    pub result: ResultKind,
    /// The result is the content of this file, which the command must write: its value if it is JSON, else its bytes
    #[arg(long, value_name = "PATH", conflicts_with = "result", help_heading = "The end")]
    pub result_file: Option<PathBuf>,
    /// Exit codes that complete the activity, e.g. 0,3 or 0-3
    #[arg(long, value_name = "CODES", default_value = "0", value_delimiter = ',', value_parser = exit_codes, help_heading = "The end")]
    pub success_codes: Vec<RangeInclusive<i32>>,
    /// Exit codes of failures that are not retried, e.g. 2,64-78 [default: none]
    #[arg(long, value_name = "CODES", value_delimiter = ',', value_parser = exit_codes, help_heading = "The end")]
    pub non_retryable_codes: Vec<RangeInclusive<i32>>,
    /// How many of the last lines of the standard error are added to a failure; with 0 the command inherits the standard error
    #[arg(long, value_name = "NUMBER", default_value_t = 20, help_heading = "The end")]
    pub stderr_lines: usize,
    /// How long to retry the report of the outcome while the server can't be reached
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration, help_heading = "The end")]
    pub end_timeout: Duration,

    /// Print only what went wrong, and no status line
    #[arg(long, short)]
    pub quiet: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command_line: Vec<OsString>,
}

/// An output stream of the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    #[default]
    Stdout,
    Stderr,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StallBy {
    /// New progress
    Progress,
    /// Anything on the standard output or the standard error
    Output,
    /// A change of a file: --stall-file, else the progress file
    File,
    /// CPU time of the process group: at least a hundredth of one core
    Cpu,
}

/// The action when the command hangs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StallAction {
    /// Stop the command, and fail the attempt
    #[default]
    Stop,
    /// Print what its processes are doing, and let it run on
    Warn,
    /// Stop the command, and fail the attempt with what its processes are doing
    Fail,
}

/// The action on a cancellation or a lost lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StopOrIgnore {
    Stop,
    Ignore,
}

/// When to follow the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FollowServer {
    /// Unless there may be many activities at once
    #[default]
    Auto,
    /// In any case, with a warning if it isn't possible
    Always,
    /// Never
    Never,
}

/// The action on a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnPause {
    Freeze,
    Ignore,
}

/// The result of the activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResultKind {
    /// The exit code, a number
    ExitCode,
    /// The standard output as a string, without the last newline; as bytes if it isn't UTF-8
    Output,
    /// The standard output, which must be JSON
    Json,
    /// The standard output as bytes
    Bytes,
    /// Nothing
    None,
}

impl RunArgs {
    /// The program to run.
    pub fn program(&self) -> &OsStr {
        self.command_line.first().map(OsString::as_os_str).unwrap_or_default()
    }

    /// The program's file name, for messages.
    pub fn name(&self) -> String {
        Path::new(self.program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns the command.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command.args(self.command_line.iter().skip(1));
        command
    }

    /// Whether the exit code completes the activity.
    pub fn is_success(&self, exit_code: i32) -> bool {
        self.success_codes.iter().any(|codes| codes.contains(&exit_code))
    }

    /// Whether a failure with this exit code isn't retried.
    pub fn is_non_retryable(&self, exit_code: i32) -> bool {
        self.non_retryable_codes.iter().any(|codes| codes.contains(&exit_code))
    }

    /// Parses progress from lines; `None` if lines aren't parsed.
    pub fn line_parser(&self) -> Option<LineParser> {
        match &self.progress_pattern {
            Some(pattern) => Some(LineParser::Pattern(pattern.clone())),
            None => self.progress_json.then_some(LineParser::Json),
        }
    }

    /// Whether each line of the command's output is needed at once.
    pub fn reads_lines(&self) -> bool {
        self.line_parser().is_some() || self.stall_timeout.is_some() && self.stall_by() == StallBy::Output
    }

    /// Returns advice for a command without output; empty if a buffer in the command can't be the reason.
    pub fn unseen_output_hint(&self) -> &'static str {
        let is_delayed = self.reads_lines() && !self.pty && self.progress_from == Stream::Stdout;
        if is_delayed { ". If the command holds its output back, use --pty" } else { "" }
    }

    /// The warning if there is no progress; `None` without a flag of progress. If the command `has_ended`, its output isn't only held back.
    pub fn no_progress_warning(&self, has_ended: bool) -> Option<String> {
        if self.quiet {
            return None;
        }
        let what = match (self.progress_path(), &self.progress_pattern) {
            (Some(path), _) => format!("no progress was found in {}", path.display()),
            (None, Some(_)) => "no line has matched --progress-pattern".to_owned(),
            (None, None) if self.progress_json => "no line was JSON (--progress-json)".to_owned(),
            (None, None) => return None,
        };
        Some(if has_ended { what } else { what + " yet" + self.unseen_output_hint() })
    }

    /// The time from the start until that warning. It comes before a command without signs of life is stopped.
    pub fn no_progress_delay(&self) -> Duration {
        self.stall_timeout.map_or(NO_PROGRESS_DELAY, |timeout| NO_PROGRESS_DELAY.min(timeout / 2))
    }

    /// Whether the standard output is the result.
    pub fn captures_output(&self) -> bool {
        self.result_file.is_none()
            && matches!(self.result, ResultKind::Output | ResultKind::Json | ResultKind::Bytes)
    }

    /// What counts as a sign of life.
    pub fn stall_by(&self) -> StallBy {
        match self.stall_by {
            Some(stall_by) => stall_by,
            None if self.stall_file.is_some() => StallBy::File,
            None if self.has_progress() => StallBy::Progress,
            None => StallBy::Output,
        }
    }

    /// The file to watch for changes as signs of life.
    pub fn stall_file(&self) -> Option<&Path> {
        self.stall_file.as_deref().or(self.progress_path())
    }

    /// The file that progress is read from.
    pub fn progress_path(&self) -> Option<&Path> {
        self.progress_file.as_deref().or(self.progress_size.as_deref())
    }

    /// The file that progress is read from, as a source of progress.
    pub fn progress_from_file(&self) -> Option<ProgressFile<'_>> {
        let part = if self.progress_file.is_some() { Part::Content } else { Part::Size };
        self.progress_path().map(|path| ProgressFile::new(path, part))
    }

    fn has_progress(&self) -> bool {
        self.progress_json || self.progress_pattern.is_some() || self.progress_path().is_some()
    }

    /// Returns an error if these flags make the program send values. Without a codec server it can't encode them.
    pub fn check_encoded(&self) -> Result<()> {
        if self.result == ResultKind::None && self.result_file.is_none() && !self.has_progress() {
            return Ok(());
        }
        Err(Error::new(
            Status::Config,
            "values must be encoded (require_encoded), and there is no codec server: give codec_endpoint, or use --result none and no flag --progress-*",
        ))
    }

    /// Sets the options that decide how soon a cancellation is noticed. At most `count` activities are open at once.
    pub fn set_cancellation_options(&self, options: &mut OpenOptions, count: u16) {
        options.follow_server = match self.follow_server {
            FollowServer::Auto => count <= MAX_FOLLOWED,
            FollowServer::Always => true,
            FollowServer::Never => false,
        };
        options.cancel_poll = self.cancel_poll.unwrap_or(DEFAULT_CANCEL_POLL);
        options.cancel_poll_is_fallback = self.cancel_poll.is_none();
    }

    /// Checks what the parser can't: flags that depend on each other.
    pub fn validate(&self) -> Result<()> {
        let Some(timeout) = self.stall_timeout else { return Ok(()) };
        let message = match self.stall_by() {
            StallBy::File if self.stall_file().is_none() => {
                "--stall-by file needs --stall-file, --progress-file or --progress-size"
            }
            StallBy::Progress if !self.has_progress() => {
                "--stall-by progress needs one of the flags --progress-*"
            }
            _ if timeout.is_zero() => "--stall-timeout must be longer than 0",
            _ if self.on_stall.is_some() && self.stall_action == StallAction::Stop => {
                "--on-stall needs --stall-action fail or warn: stop reports nothing"
            }
            _ => return Ok(()),
        };
        Err(Error::argument(message))
    }
}

fn signal(text: &str) -> std::result::Result<Signal, String> {
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    name.parse().map_err(|_| "it must be the name of a signal, e.g. TERM or INT".to_owned())
}

fn exit_codes(text: &str) -> std::result::Result<RangeInclusive<i32>, String> {
    let code = |text: &str| match text.trim().parse::<u8>() {
        Ok(code) => Ok(i32::from(code)),
        Err(_) => Err("exit codes are 0 to 255, e.g. 0,3 or 64-78".to_owned()),
    };
    match text.split_once('-') {
        Some((first, last)) => Ok(code(first)?..=code(last)?),
        None => code(text).map(|code| code..=code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_numbers_and_ranges() {
        assert_eq!(exit_codes("3"), Ok(3..=3));
        assert_eq!(exit_codes("64-78"), Ok(64..=78));
        assert!(exit_codes("256").is_err() && exit_codes("x").is_err() && exit_codes("").is_err());
    }

    #[test]
    fn signals_are_parsed_by_name() {
        assert_eq!(signal("TERM"), Ok(Signal::SIGTERM));
        assert_eq!(signal("sigint"), Ok(Signal::SIGINT));
        assert!(signal("15").is_err());
    }
}
