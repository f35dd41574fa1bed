//! What the server is told at the end.

use std::{fs, path::Path};

use serde_json::{Value, json};
use temporal_heartbeat::{
    api::activity,
    model::{
        deadline::Timeout,
        error::{Error, Result},
        payload::{Encoding, Payloads},
        status::Status,
    },
};

use super::{
    args::{ResultKind, RunArgs},
    supervisor::StopReason,
};
use crate::child::process_group::Exit;

/// A failure to be reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The failure's type.
    pub kind: &'static str,
    /// What happened.
    pub message: String,
    /// Whether a retry can't help.
    pub is_non_retryable: bool,
    /// What goes with it.
    pub details: Value,
}

/// The word on the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Done.
    Completed(Option<Payloads>),
    /// Not done.
    Failed(Failure),
    /// Cancelled, as was asked for.
    Cancelled,
    /// The activity is over already.
    Gone,
}

impl Outcome {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Completed(_) => "completed",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled => "cancelled",
            Outcome::Gone => "gone",
        }
    }

    /// Tells the server, again and again while that can help, for as long as is allowed.
    pub fn report(self, handle: u64, settings: &RunArgs) -> Result<()> {
        let timeout = Timeout::Within(settings.end_timeout);
        match self {
            Outcome::Gone => Ok(()),
            Outcome::Cancelled => activity::report_cancelled(handle, None, timeout),
            Outcome::Failed(failure) => activity::fail(handle, failure.json().as_bytes(), timeout),
            Outcome::Completed(result) => match activity::complete(handle, result, timeout) {
                // The server has taken nothing, and would fail the activity for good.
                Err(error) if error.status() == Status::TooLarge => {
                    let failure = Failure {
                        kind: "ResultTooLarge",
                        message: error.message().to_owned(),
                        is_non_retryable: true,
                        details: Value::Null,
                    };
                    activity::fail(handle, failure.json().as_bytes(), timeout)
                }
                outcome => outcome,
            },
        }
    }
}

impl Failure {
    /// As the library takes it.
    fn json(&self) -> String {
        let details: &[&Value] = if self.details.is_null() { &[] } else { &[&self.details] };
        json!({
            "type": self.kind,
            "message": self.message,
            "non_retryable": self.is_non_retryable,
            "source": env!("CARGO_BIN_NAME"),
            "details": details,
        })
        .to_string()
    }
}

/// The command couldn't be started.
pub fn not_started(settings: &RunArgs, why: &std::io::Error) -> Outcome {
    let command = settings.command.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    Outcome::Failed(Failure {
        kind: if why.kind() == std::io::ErrorKind::NotFound {
            "CommandNotFound"
        } else {
            "CommandNotStarted"
        },
        message: format!("can't run {command}: {why}"),
        is_non_retryable: false,
        details: Value::Null,
    })
}

/// The command has ended. `output`: its standard output, where it is to be the result; or how long that was, when it was too long.
pub fn of_command(
    settings: &RunArgs,
    exit: Exit,
    stop: Option<StopReason>,
    output: Option<std::result::Result<Vec<u8>, u64>>,
    stderr: &str,
) -> Outcome {
    let failed = |kind, message, is_non_retryable| {
        let (code, signal) = match exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(signal)),
        };
        let details = json!({"exit_code": code, "signal": signal, "stderr": stderr});
        Outcome::Failed(Failure { kind, message, is_non_retryable, details })
    };
    let name = settings.name();
    let stopped = |stop: StopReason| format!("{name} was stopped: {}", stop.reason());
    match (stop, exit) {
        (Some(StopReason::Gone), _) => Outcome::Gone,
        (Some(StopReason::Cancelled), _) => Outcome::Cancelled,
        (Some(stop @ StopReason::LeaseLost), _) => failed("LeaseLost", stopped(stop), false),
        (Some(stop @ StopReason::Reset), _) => failed("Reset", stopped(stop), false),
        (Some(stop @ StopReason::Stalled), _) => failed("Stalled", stopped(stop), false),
        (Some(stop @ StopReason::Shutdown), _) => failed("Shutdown", stopped(stop), false),
        (None, Exit::Code(code)) if settings.is_success(code) => match result(settings, code, output) {
            Ok(result) => Outcome::Completed(result),
            Err((kind, message)) => failed(kind, message, true),
        },
        (None, Exit::Code(code)) => failed(
            "ExitCode",
            with_last_line(format!("{name} exited with code {code}"), stderr),
            settings.is_non_retryable(code),
        ),
        (None, Exit::Signal(signal)) => {
            failed("Signal", with_last_line(format!("{name} was ended by signal {signal}"), stderr), false)
        }
    }
}

fn with_last_line(message: String, stderr: &str) -> String {
    match stderr.lines().next_back() {
        Some(line) => format!("{message}: {line}"),
        None => message,
    }
}

type Fault = (&'static str, String);

fn result(
    settings: &RunArgs,
    code: u8,
    output: Option<std::result::Result<Vec<u8>, u64>>,
) -> std::result::Result<Option<Payloads>, Fault> {
    if let Some(path) = &settings.result_file {
        return of_file(path);
    }
    let kind = settings.result;
    let bytes = match output {
        Some(Ok(bytes)) => bytes,
        Some(Err(total)) => {
            let message = format!(
                "the output of {total} bytes is too large for a result: keep it elsewhere, and tell where"
            );
            return Err(("ResultTooLarge", message));
        }
        None if settings.captures() => {
            return Err((
                "InvalidResult",
                "the output couldn't be passed on, and so isn't known as a whole".to_owned(),
            ));
        }
        None => Vec::new(),
    };
    let taken = match kind {
        ResultKind::None => Ok(None),
        ResultKind::ExitCode => Payloads::from_caller("result", Encoding::Json, code.to_string().as_bytes()),
        ResultKind::Bytes => Payloads::from_caller("result", Encoding::Binary, &bytes),
        ResultKind::Json => Payloads::from_caller("result", Encoding::Json, bytes.trim_ascii()),
        ResultKind::Output => match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(text);
                Payloads::from_caller("result", Encoding::Json, json!(text).to_string().as_bytes())
            }
            Err(_) => Payloads::from_caller("result", Encoding::Binary, &bytes),
        },
    };
    taken.map_err(|error| invalid("the standard output", &error))
}

fn of_file(path: &Path) -> std::result::Result<Option<Payloads>, Fault> {
    let bytes = fs::read(path)
        .map_err(|why| ("InvalidResult", format!("can't read the result from {}: {why}", path.display())))?;
    Payloads::from_caller("result", Encoding::Json, bytes.trim_ascii())
        .or_else(|_| Payloads::from_caller("result", Encoding::Binary, &bytes))
        .map_err(|error| invalid(&path.display().to_string(), &error))
}

fn invalid(source: &str, error: &Error) -> Fault {
    ("InvalidResult", format!("{source} isn't the result that was asked for: {}", error.message()))
}
