//! Exit codes.

use temporal_heartbeat::model::status::Status;

/// The command line is wrong.
pub const USAGE: u8 = 64;
/// A signal asks for something, where `--exit-code` asks for the signals.
pub const CANCEL_REQUESTED: u8 = 10;
/// As above.
pub const RESET: u8 = 11;
/// As above.
pub const PAUSED: u8 = 12;
/// The command was found and can't be run, as the shells say it.
pub const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
pub const NO_COMMAND: u8 = 127;
/// What is added to the number of the signal that ended the command.
pub const BY_SIGNAL: u8 = 128;

/// The exit code that stands for a status.
pub fn of(status: Status) -> u8 {
    match status {
        Status::Ok => 0,
        // There are fewer than a hundred.
        status => USAGE.saturating_add(u8::try_from(status.code()).unwrap_or(u8::MAX)),
    }
}

/// The end of every help.
pub fn table() -> String {
    let mut text = String::from(
        "Exit codes:\n    0  done\n   64  the command line is wrong\n  126  exec: the command can't be run\n  127  exec: there \
         is no such command\n  128+n  exec: signal n ended the command\nOtherwise 64 and the number of the status:\n",
    );
    for status in Status::ALL.iter().filter(|status| **status != Status::Ok) {
        text.push_str(&format!("  {:3}  {}\n", of(*status), status.name().to_string_lossy()));
    }
    text.push_str("`exec` exits with the command's own code wherever that has been reported.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_code_of_its_own_below_those_of_shells() {
        let mut codes: Vec<u8> = Status::ALL.iter().map(|status| of(*status)).collect();
        assert!(codes.iter().all(|code| *code < NOT_EXECUTABLE));
        codes.dedup();
        assert_eq!(codes.len(), Status::ALL.len());
        assert_eq!(of(Status::NotFound), 76);
    }
}
