//! How a command is to be run.

use std::{ffi::OsString, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use nix::sys::signal::Signal;
use regex::bytes::Regex;

/// A pattern for lines.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

impl FromStr for Pattern {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Regex::new(text).map(Pattern)
    }
}

/// The flags that `exec` and `work` share.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Progress is the last line that this regular expression matches: its named groups as an object, else its first group, else the
    /// match. Numbers become numbers
    #[arg(long, value_name = "REGEX", help_heading = "Progress", group = "progress")]
    pub progress_pattern: Option<Pattern>,
    /// Progress is the last line that is JSON
    #[arg(long, help_heading = "Progress", group = "progress")]
    pub progress_json: bool,
    /// Progress is the content of this file
    #[arg(long, value_name = "PATH", help_heading = "Progress", group = "progress")]
    pub progress_file: Option<PathBuf>,
    /// Progress is the size of this file, as {"bytes": n}
    #[arg(long, value_name = "PATH", help_heading = "Progress", group = "progress")]
    pub progress_size: Option<PathBuf>,
    /// Where the lines of --progress-pattern and --progress-json are looked for
    #[arg(long, value_name = "STREAM", value_enum, default_value_t, help_heading = "Progress")]
    pub progress_from: Stream,

    /// Take the command as hung, stop it and have it retried when there was no sign of life for so long
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Hung commands")]
    pub stall_timeout: Option<Duration>,
    /// What a sign of life is [default: progress, where it is looked for, else output]
    #[arg(long, value_name = "SIGN", value_enum, requires = "stall_timeout", help_heading = "Hung commands")]
    pub stall_by: Option<StallBy>,
    /// The file that --stall-by file looks at: a change of its size or time is a sign of life
    #[arg(long, value_name = "PATH", requires = "stall_timeout", help_heading = "Hung commands")]
    pub stall_file: Option<PathBuf>,

    /// What to do when the activity is cancelled: stop the command and report it cancelled, or let it run to its end
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnCancel::Stop, help_heading = "Stopping")]
    pub on_cancel: OnCancel,
    /// What to do while the activity is paused: nothing, or freeze the command (SIGSTOP, SIGCONT). Beats go on
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnPause::Ignore, help_heading = "Stopping")]
    pub on_pause: OnPause,
    /// What to do when no beat got through for as long as the heartbeat timeout, so that another attempt may be running
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnLeaseLost::Stop, help_heading = "Stopping")]
    pub on_lease_lost: OnLeaseLost,
    /// The signal that asks the command, and its process group, to stop
    #[arg(long, value_name = "NAME", default_value = "TERM", value_parser = signal, help_heading = "Stopping")]
    pub stop_signal: Signal,
    /// How long the command has then, before it is killed
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration, help_heading = "Stopping")]
    pub grace: Duration,
    /// The longest time between two beats, and so until a cancellation is heard of. The heartbeat timeout may ask for less
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration, help_heading = "Stopping")]
    pub cancel_poll: Duration,

    /// What the activity is completed with
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = ResultKind::ExitCode, help_heading = "The end")]
    pub result: ResultKind,
    /// Complete with what this file holds: its value, where it is JSON, else its bytes
    #[arg(long, value_name = "PATH", conflicts_with = "result", help_heading = "The end")]
    pub result_file: Option<PathBuf>,
    /// Exit codes that are success, e.g. 0,3 or 0-3
    #[arg(long, value_name = "CODES", default_value = "0", value_delimiter = ',', value_parser = codes, help_heading = "The end")]
    pub success_codes: Vec<RangeInclusive<u8>>,
    /// Exit codes of failures that a retry can't help, e.g. 2,64-78
    #[arg(long, value_name = "CODES", value_delimiter = ',', value_parser = codes, help_heading = "The end")]
    pub non_retryable_codes: Vec<RangeInclusive<u8>>,
    /// How many of the last lines of the standard error go with a failure; with 0 the command gets ours as it is
    #[arg(long, value_name = "NUMBER", default_value_t = 20, help_heading = "The end")]
    pub stderr_lines: usize,
    /// How long to try to tell the server of the end while it can't be reached
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration, help_heading = "The end")]
    pub end_timeout: Duration,

    /// Say nothing but errors, and show no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// One of the command's streams.
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
    /// A change of a file: --stall-file, else that of the progress
    File,
    /// Processor time that the command and its process group use: at least a hundredth of one core
    Cpu,
}

/// What a cancellation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnCancel {
    Stop,
    Ignore,
}

/// What a pause does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnPause {
    Freeze,
    Ignore,
}

/// What the loss of the lease does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnLeaseLost {
    Stop,
    Ignore,
}

/// What the result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResultKind {
    /// The exit code, a number
    ExitCode,
    /// The standard output as a string, without the newline at its end; as bytes when it isn't UTF-8
    Output,
    /// The standard output, which is JSON
    Json,
    /// The standard output as bytes
    Bytes,
    /// Nothing
    None,
}

impl RunArgs {
    /// The name of the command, for messages.
    pub fn name(&self) -> String {
        let program = self.command.first().map(std::path::Path::new);
        let name = program.and_then(std::path::Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Whether the exit code is success.
    pub fn is_success(&self, code: u8) -> bool {
        self.success_codes.iter().any(|codes| codes.contains(&code))
    }

    /// Whether a retry can't help after this exit code.
    pub fn is_non_retryable(&self, code: u8) -> bool {
        self.non_retryable_codes.iter().any(|codes| codes.contains(&code))
    }

    /// Whether lines of a stream are looked at for progress.
    pub fn reads_lines(&self) -> bool {
        self.progress_json || self.progress_pattern.is_some()
    }

    /// Whether the standard output is to be the result.
    pub fn captures(&self) -> bool {
        self.result_file.is_none()
            && matches!(self.result, ResultKind::Output | ResultKind::Json | ResultKind::Bytes)
    }

    /// What a sign of life is, and for how long there may be none.
    pub fn stall(&self) -> Option<(Duration, StallBy)> {
        let by = match self.stall_by {
            Some(sign) => sign,
            None if self.stall_file.is_some() => StallBy::File,
            None if self.reads_lines() || self.file_of_progress().is_some() => StallBy::Progress,
            None => StallBy::Output,
        };
        self.stall_timeout.map(|timeout| (timeout, by))
    }

    /// The file that tells of progress.
    pub fn file_of_progress(&self) -> Option<&PathBuf> {
        self.progress_file.as_ref().or(self.progress_size.as_ref())
    }

    /// The file whose changes are signs of life.
    pub fn watched_file(&self) -> Option<&PathBuf> {
        self.stall_file.as_ref().or(self.file_of_progress())
    }

    /// What is wrong with these settings together, if anything is.
    pub fn fault(&self) -> Option<&'static str> {
        let progress = self.reads_lines() || self.file_of_progress().is_some();
        match self.stall() {
            Some((_, StallBy::File)) if self.watched_file().is_none() => {
                Some("--stall-by file needs --stall-file, --progress-file or --progress-size")
            }
            Some((_, StallBy::Progress)) if !progress => {
                Some("--stall-by progress needs one of the flags --progress-*")
            }
            Some((timeout, _)) if timeout.is_zero() => Some("--stall-timeout must be longer than nothing"),
            _ => None,
        }
    }
}

fn signal(text: &str) -> Result<Signal, String> {
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    name.parse().map_err(|_| "it must be the name of a signal, e.g. TERM or INT".to_owned())
}

fn codes(text: &str) -> Result<RangeInclusive<u8>, String> {
    let number = |text: &str| {
        text.trim().parse::<u8>().map_err(|_| "exit codes are 0 to 255, e.g. 0,3 or 64-78".to_owned())
    };
    match text.split_once('-') {
        Some((first, last)) => Ok(number(first)?..=number(last)?),
        None => number(text).map(|code| code..=code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbers_and_ranges() {
        assert_eq!(codes("3"), Ok(3..=3));
        assert_eq!(codes("64-78"), Ok(64..=78));
        assert!(codes("256").is_err() && codes("x").is_err() && codes("").is_err());
    }

    #[test]
    fn signals_have_their_names() {
        assert_eq!(signal("TERM"), Ok(Signal::SIGTERM));
        assert_eq!(signal("sigint"), Ok(Signal::SIGINT));
        assert!(signal("15").is_err());
    }
}
