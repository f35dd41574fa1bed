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

/// Returns the list of all codes for `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "Exit codes:\n    0  success\n   64  the command line is wrong\n 64+n  status n, as follows\n`temporal-heartbeat exec --help` \
         lists the codes of commands.\n\n",
    );
    for status in Status::ALL.iter().filter(|status| **status != Status::Ok) {
        text.push_str(&format!("  {:3}  {}\n", of_status(*status), status.name().to_string_lossy()));
    }
    text
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
