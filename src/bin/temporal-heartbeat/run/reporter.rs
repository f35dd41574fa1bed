//! Reports how an attempt has ended: to the server, and to the user.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use serde_json::json;
use temporal_heartbeat::{
    api::{activity, rpc::Call},
    model::{
        deadline::Timeout,
        error::{Error, Result},
        status::Status,
    },
};

use super::{args::RunArgs, outcome::Outcome};
use crate::{
    console::{self, Tone},
    exit_code,
};

/// How long to retry the report if this process must exit.
pub const LAST_REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reports the end of one attempt.
pub struct Reporter<'a> {
    /// How to run the command.
    pub args: &'a RunArgs,
    /// The handle of the activity.
    pub handle: u64,
    /// The name of the attempt in messages.
    pub title: String,
    /// The name of the attempt in JSON.
    pub title_in_json: String,
    /// Whether no readable value may be sent.
    pub requires_encoded: bool,
}

/// The end of a command.
pub struct Ended {
    /// The command's exit status, if it was started.
    pub exit: Option<ExitStatus>,
    /// The exit code of this program.
    pub exit_code: u8,
    /// The outcome of the attempt.
    pub outcome: Outcome,
    /// Whether this process was asked to exit, so that the report must be quick.
    pub must_exit: bool,
}

impl Ended {
    /// The end of a command that couldn't be started.
    pub fn not_started(args: &RunArgs, why: &io::Error) -> Self {
        let outcome = Outcome::not_started(args, why);
        Ended { exit: None, exit_code: exit_code::not_started(why), outcome, must_exit: false }
    }

    /// The end of a command that this program doesn't start because of an error.
    pub fn refused(error: &Error) -> Self {
        let exit_code = exit_code::of_status(error.status());
        Ended { exit: None, exit_code, outcome: Outcome::refused(error), must_exit: false }
    }
}

impl Reporter<'_> {
    /// Returns the text if it may be sent, else an empty one.
    pub fn readable<'a>(&self, text: &'a str) -> &'a str {
        if self.requires_encoded { "" } else { text }
    }

    /// Reports the end of the attempt, and closes the activity. Returns the exit code of this program.
    pub fn report(self, mut ended: Ended, elapsed: Duration) -> u8 {
        let args = self.args;
        if self.requires_encoded {
            ended.outcome.remove_details();
        }
        let timeout =
            if ended.must_exit { args.end_timeout.min(LAST_REPORT_TIMEOUT) } else { args.end_timeout };
        let slow = format!(
            "{}: the server hasn't acknowledged the end yet; retrying for up to {} (--end-timeout)",
            self.title,
            console::duration(timeout)
        );
        let reported = console::with_notice_if_slow(&slow, || ended.outcome.report(self.handle, timeout));
        // The report has sent the last record, or nothing can be sent any more.
        let _ = activity::close(self.handle, Timeout::Zero).and_then(Call::wait);
        if reported.is_err() || !console::is_quiet() {
            self.print(&ended, elapsed, &reported);
        }
        match reported {
            Ok(()) if ended.outcome == Outcome::Gone => exit_code::of_status(Status::NotFound),
            Ok(()) => ended.exit_code,
            Err(error) if error.status() == Status::InDoubt => ended.exit_code,
            Err(error) => exit_code::of_status(error.status()),
        }
    }
    fn print(&self, ended: &Ended, elapsed: Duration, reported: &Result<()>) {
        let outcome = ended.outcome.describe(self.args, ended.exit);
        let elapsed_text = console::duration(elapsed);
        let (tone, report) = match reported {
            Ok(()) if ended.outcome == Outcome::Gone => (Tone::Warning, outcome),
            Ok(()) => (ended.outcome.tone(), format!("reported as {outcome}")),
            Err(error) => {
                let why = console::words(error);
                (Tone::Error, format!("{outcome}; but this couldn't be reported to the server: {why}"))
            }
        };
        let text = format!("{}, after {elapsed_text}: {report}", self.title);
        let event = json!({
            "event": "ended",
            "activity": self.title_in_json,
            "ending": ended.outcome.name(),
            "exit_code": ended.exit.and_then(|exit| exit.code()),
            "signal": ended.exit.and_then(|exit| exit.signal()),
            "failure": ended.outcome.failure_message(),
            "cancellation": ended.outcome.cancellation(),
            "seconds": elapsed.as_secs_f64(),
            "error": reported.as_ref().err().map(|error| console::error_json(error, exit_code::of_status(error.status()))),
        });
        console::event(tone, &text, &event);
    }
}
