//! Exit codes.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};

use temporal_heartbeat::model::status::Status;

/// The command line is wrong.
pub const USAGE: u8 = 64;
/// The activity was cancelled: with `heartbeat --exit-code`, and with `exec` before it starts the command.
pub const CANCEL_REQUESTED: u8 = 10;
/// The activity was reset; `heartbeat --exit-code`.
pub const RESET: u8 = 11;
/// The activity is paused; `heartbeat --exit-code`.
pub const PAUSED: u8 = 12;
/// The command can't be run. Shells use this code too.
const NOT_EXECUTABLE: u8 = 126;
/// The command doesn't exist. Shells use this code too.
const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that ended the command. Shells do that too.
const SIGNAL_BASE: u8 = 128;

/// The exit codes of `exec` in addition to the command's exit codes.
pub const EXEC_HELP: &str = "\
Exits with the command's own code, or with:
   10  the activity was cancelled before the command was started
   64  the command line is wrong
   66  there is no task token, or it can't be read, or another part of the configuration is wrong
   69  the server can't be reached
   76  the activity is over for this token, so that nothing was reported
  126  the command can't be run
  127  the command doesn't exist
128+n  signal n ended the command
`temporal-heartbeat --help` lists all codes.
";

/// Returns the exit code of a status.
pub fn of_status(status: Status) -> u8 {
    match status {
        Status::Ok => 0,
        status => USAGE.saturating_add(u8::try_from(status.code()).unwrap_or(u8::MAX)),
    }
}

/// Returns the exit code for a command that has exited with this status, as a shell does.
pub fn of_command(exit: ExitStatus) -> u8 {
    let code = exit.code().unwrap_or_else(|| i32::from(SIGNAL_BASE) + exit.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Returns the exit code for a command that couldn't be started.
pub fn not_started(why: &io::Error) -> u8 {
    if why.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }
}

/// Describes a status in words; `None` for one that this program never gets.
pub fn words(status: Status) -> Option<&'static str> {
    Some(match status {
        Status::Ok => "success",
        Status::InvalidArgument => "a value or a flag is wrong",
        Status::Config => "the task token, a variable, a file or a flag is wrong or missing",
        Status::Unavailable => "the server can't be reached",
        Status::Timeout => "the server didn't answer in time",
        Status::Tls => "no secure connection (TLS) is possible",
        Status::Unauthenticated => "the server rejected the credentials",
        Status::PermissionDenied => "the credentials don't allow this",
        Status::NamespaceNotFound => "the namespace doesn't exist",
        Status::NamespaceNotActive => "another cluster serves the namespace",
        Status::NotFound => "the activity is over for this attempt",
        Status::InDoubt => "the report may have arrived, but its answer was lost",
        Status::TooLarge => "the data is over a size limit",
        Status::ResourceExhausted => "a limit of the server is reached",
        Status::LocalLimit => "this machine or process lacks something: a directory, a descriptor, memory",
        Status::TokenUnreadable => "the task token isn't one",
        Status::FailedPrecondition => "the server can't do this in its current state",
        Status::Unimplemented => "this server doesn't support this",
        Status::ServerError => "the server failed",
        Status::Ended => "this process has ended the activity",
        Status::Internal => "a bug in this program",
        Status::NotConnected
        | Status::AlreadyConnected
        | Status::InvalidHandle
        | Status::Forked
        | Status::AlreadyOpen
        | Status::AbiMismatch => return None,
    })
}

/// Returns the list of all codes for `--help`.
pub fn help() -> String {
    let mut text = format!("Exit codes:\n    0  success\n   {USAGE}  the command line is wrong\n");
    for status in Status::ALL.iter().filter(|status| **status != Status::Ok) {
        if let Some(words) = words(*status) {
            text.push_str(&format!("  {:3}  {words}\n", of_status(*status)));
        }
    }
    text + "`temporal-heartbeat exec --help` lists the codes of commands.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_distinct_code_below_the_codes_of_shells() {
        let mut codes: Vec<u8> = Status::ALL.iter().map(|status| of_status(*status)).collect();
        assert!(codes.iter().all(|code| *code < NOT_EXECUTABLE));
        codes.dedup();
        assert_eq!(codes.len(), Status::ALL.len());
        assert_eq!(of_status(Status::NotFound), 76);
    }
}
