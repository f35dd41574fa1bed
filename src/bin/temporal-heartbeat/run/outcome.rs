//! The outcome of an attempt: what is reported to the server.

use std::{io, os::unix::process::ExitStatusExt, path::Path, process::ExitStatus, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use temporal_heartbeat::{
    api::{activity, rpc::Call},
    model::{
        deadline::Timeout,
        error::{Error, Result},
        payload::{Encoding, Payloads},
        status::Status,
    },
};

use super::{
    args::{ResultKind, RunArgs},
    program,
    reason::Reason,
    stall_report::StallReport,
    supervisor::{End, StopReason},
};
use crate::{
    console::{self, Tone},
    output::capture::MAX_RESULT_BYTES,
    regular_file::{self, Version},
    value,
};

/// The command's output for the result, or its size if it was too large to keep.
pub type Captured = std::result::Result<Vec<u8>, u64>;

/// The type of a failure before the command was started.
const NOT_STARTED: &str = "CommandNotStarted";

/// A failure of the attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    kind: &'static str,
    message: String,
    is_non_retryable: bool,
    details: Option<Value>,
    stack_trace: String,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The attempt completed with a result.
    Completed(Option<Payloads>),
    /// The attempt failed.
    Failed(Failure),
    /// The command was stopped because the activity was cancelled.
    Cancelled(Reason),
    /// The attempt is over, so nothing is reported.
    Gone,
}

impl Outcome {
    /// The outcome if the command couldn't be started.
    pub fn not_started(args: &RunArgs, why: &io::Error) -> Self {
        let is_missing = why.kind() == io::ErrorKind::NotFound;
        Outcome::Failed(Failure {
            kind: if is_missing { "CommandNotFound" } else { NOT_STARTED },
            message: program::not_run(args.program(), why),
            is_non_retryable: false,
            details: None,
            stack_trace: String::new(),
        })
    }

    /// The outcome if this program doesn't start the command because of an error. Another machine, or a retry, may succeed.
    pub fn refused(error: &Error) -> Self {
        Outcome::Failed(Failure {
            kind: NOT_STARTED,
            message: console::words(error),
            is_non_retryable: false,
            details: None,
            stack_trace: String::new(),
        })
    }

    /// The outcome after the command has exited. `captured` is `None` if the output isn't the result, or couldn't be read to its
    /// end. `before` is the version of the result file at the start of the command.
    pub fn of_command(
        args: &RunArgs,
        exit: ExitStatus,
        end: End,
        captured: Option<Captured>,
        before: Option<Version>,
        stderr: &str,
    ) -> Self {
        let failed = |kind, message, is_non_retryable| {
            let details = Some(json!({"exit_code": exit.code(), "signal": exit.signal(), "stderr": stderr}));
            Outcome::Failed(Failure { kind, message, is_non_retryable, details, stack_trace: String::new() })
        };
        let name = args.name();
        let stopped =
            |kind, stop: StopReason| failed(kind, format!("{name} was stopped: {}", stop.text(args)), false);
        match (end.reason, exit.code()) {
            (Some(StopReason::Gone), _) => Outcome::Gone,
            (Some(StopReason::Cancelled), _) => Outcome::Cancelled(end.cancellation),
            (Some(stop @ StopReason::LeaseLost), _) => stopped("LeaseLost", stop),
            (Some(stop @ StopReason::Reset), _) => stopped("Reset", stop),
            (Some(stop @ StopReason::Stalled(_)), _) => stopped("Stalled", stop),
            (Some(stop @ StopReason::Shutdown), _) => stopped("Shutdown", stop),
            (Some(stop @ StopReason::Terminated), _) => stopped("Terminated", stop),
            (None, Some(code)) if args.is_success(code) => match result(args, code, captured, before) {
                Ok(result) => Outcome::Completed(result),
                Err((kind, message)) => failed(kind, message, true),
            },
            (None, Some(code)) => {
                let message = with_last_line(format!("{name} exited with code {code}"), stderr);
                failed("ExitCode", message, args.is_non_retryable(code))
            }
            (None, None) => {
                let signal = exit.signal().unwrap_or_default();
                let signal_name =
                    Signal::try_from(signal).map_or_else(|_| signal.to_string(), |known| known.to_string());
                let message = with_last_line(format!("{name} was ended by {signal_name}"), stderr);
                failed("Signal", message, false)
            }
        }
    }

    /// Describes the outcome for the user, as what is reported.
    pub fn describe(&self, args: &RunArgs, exit: Option<ExitStatus>) -> String {
        match self {
            Outcome::Completed(_) => match (&args.result_file, exit.and_then(|exit| exit.code())) {
                (Some(path), _) => format!("completed with the content of {} as its result", path.display()),
                (None, Some(code)) if args.result == ResultKind::ExitCode => {
                    format!("completed with the exit code {code} as its result")
                }
                _ if args.result == ResultKind::None => "completed without a result".to_owned(),
                _ => "completed with the output as its result".to_owned(),
            },
            Outcome::Failed(Failure { kind, message, is_non_retryable, .. }) => {
                let retry = if *is_non_retryable { ", not to be retried" } else { "" };
                format!("failed with {kind}{retry}: {message}")
            }
            Outcome::Cancelled(reason) => format!("cancelled{}", reason.suffix()),
            Outcome::Gone => "nothing reported, because the activity is over for this attempt".to_owned(),
        }
    }

    /// The name of the outcome in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Completed(_) => "completed",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled(_) => "cancelled",
            Outcome::Gone => "gone",
        }
    }

    /// The importance of the outcome in messages.
    pub fn tone(&self) -> Tone {
        match self {
            Outcome::Completed(_) => Tone::Success,
            Outcome::Failed(_) => Tone::Error,
            Outcome::Cancelled(_) | Outcome::Gone => Tone::Warning,
        }
    }

    /// The message of the failure, if it is one.
    pub fn failure_message(&self) -> Option<&str> {
        if let Outcome::Failed(failure) = self { Some(&failure.message) } else { None }
    }

    /// Adds what the command was doing to a failure: as text, or as a detail, which a codec encodes.
    pub fn add_stall(&mut self, report: StallReport, may_send_texts: bool) {
        let Outcome::Failed(failure) = self else { return };
        if may_send_texts {
            if !report.culprit.is_empty() {
                failure.message += &format!("; {}", report.culprit);
            }
            failure.stack_trace = report.text;
        } else if let Some(Value::Object(details)) = &mut failure.details {
            details.insert("processes".to_owned(), report.text.into());
        }
    }

    /// The reason of the cancellation as JSON, if it is one.
    pub fn cancellation(&self) -> Option<Value> {
        if let Outcome::Cancelled(reason) = self { Some(reason.json()) } else { None }
    }

    /// Removes the details of the report.
    pub fn remove_details(&mut self) {
        match self {
            Outcome::Failed(failure) => failure.details = None,
            Outcome::Cancelled(reason) => *reason = Reason::default(),
            Outcome::Completed(_) | Outcome::Gone => {}
        }
    }

    /// Reports the outcome to the server. Retries until the timeout. A result that is too large changes the outcome.
    pub fn report(&mut self, handle: u64, timeout: Duration) -> Result<()> {
        let timeout = Timeout::Within(timeout);
        if let Outcome::Completed(result) = self {
            match activity::complete(handle, result.take(), timeout).and_then(Call::wait) {
                // Nothing was sent, because the server would fail the activity.
                Err(error) if error.status() == Status::TooLarge => {
                    *self = Outcome::Failed(Failure {
                        kind: "ResultTooLarge",
                        message: error.message().to_owned(),
                        is_non_retryable: true,
                        details: None,
                        stack_trace: String::new(),
                    });
                }
                reported => return reported,
            }
        }
        match self {
            Outcome::Failed(failure) => {
                activity::fail(handle, failure.json().as_bytes(), timeout).and_then(Call::wait)
            }
            Outcome::Cancelled(reason) => {
                activity::report_cancelled(handle, reason.details(), timeout).and_then(Call::wait)
            }
            Outcome::Gone | Outcome::Completed(_) => Ok(()),
        }
    }
}

impl Failure {
    /// The `failure_json` of the library.
    fn json(&self) -> String {
        json!({
            "type": self.kind,
            "message": self.message,
            "non_retryable": self.is_non_retryable,
            "source": env!("CARGO_BIN_NAME"),
            "details": self.details.iter().collect::<Vec<_>>(),
            "stack_trace": self.stack_trace,
        })
        .to_string()
    }
}

fn with_last_line(message: String, stderr: &str) -> String {
    match stderr.lines().next_back() {
        Some(line) => format!("{message}: {line}"),
        None => message,
    }
}

/// The type and the message of a failure.
type ResultError = (&'static str, String);

fn result(
    args: &RunArgs,
    exit_code: i32,
    captured: Option<Captured>,
    before: Option<Version>,
) -> std::result::Result<Option<Payloads>, ResultError> {
    if let Some(path) = &args.result_file {
        // The result of an earlier run must not become the result of this one.
        if before.is_some() && before == regular_file::version(path) {
            let why = format!("the command didn't write {}, which is older", path.display());
            return Err(("InvalidResult", why));
        }
        return file_result(path);
    }
    let output = match captured {
        Some(Ok(output)) => output,
        Some(Err(size)) => return Err(too_large("the output", size)),
        None if args.captures_output() => {
            return Err(("InvalidResult", "the output couldn't be read to its end".to_owned()));
        }
        None => Vec::new(),
    };
    let json = |text: &[u8]| value::from_json("it", text);
    let binary = |bytes| Payloads::from_caller("result", Encoding::Binary, bytes);
    let result = match args.result {
        ResultKind::None => Ok(None),
        ResultKind::ExitCode => json(exit_code.to_string().as_bytes()),
        ResultKind::Bytes => binary(&output),
        ResultKind::Json => json(output.trim_ascii()),
        ResultKind::Output => match std::str::from_utf8(&output) {
            Ok(text) => json(json!(text.strip_suffix('\n').unwrap_or(text)).to_string().as_bytes()),
            Err(_) => binary(&output),
        },
    };
    result.map_err(|error| invalid("the standard output", &error))
}

fn file_result(path: &Path) -> std::result::Result<Option<Payloads>, ResultError> {
    let bytes = regular_file::read(path, MAX_RESULT_BYTES as u64)
        .map_err(|why| ("InvalidResult", format!("can't read the result from {}: {why}", path.display())))?
        .map_err(|size| too_large(&path.display().to_string(), size))?;
    value::from_json("it", bytes.trim_ascii())
        .or_else(|_| Payloads::from_caller("result", Encoding::Binary, &bytes))
        .map_err(|error| invalid(&path.display().to_string(), &error))
}

fn too_large(source: &str, size: u64) -> ResultError {
    let message =
        format!("{source} of {size} bytes is too large for a result: store it elsewhere, and return where");
    ("ResultTooLarge", message)
}

fn invalid(source: &str, error: &Error) -> ResultError {
    ("InvalidResult", format!("{source} isn't a valid result: {}", console::words(error)))
}
