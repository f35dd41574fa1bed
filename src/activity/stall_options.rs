//! The options of open that say what happens if no progress is made.

use std::time::Duration;

use crate::{
    model::{
        error::{Error, Result},
        json::Object,
    },
    sys::stack_dump::{self, FileIdentity},
};

/// What happens if no progress is made for the stall timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StallAction {
    /// The pulse stops, so that the server times the attempt out.
    #[default]
    Stop,
    /// The pulse continues; only the signal, the log and the metrics show the stall.
    Warn,
    /// The attempt fails, and is retried.
    Fail,
}

/// How the host writes the stacks of its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackDump {
    /// The library reads the stacks from this descriptor, which the host keeps open.
    pub descriptor: i32,
    /// The file behind the descriptor.
    pub file: FileIdentity,
    /// The signal that makes the host write them; `None`: the host writes them on its own when it sees `STALLED`.
    pub signal: Option<i32>,
    /// The thread that gets the signal if it still exists: it has opened the activity, or has set the status last.
    pub thread: i32,
}

/// The options of stalls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StallOptions {
    /// What happens.
    pub action: StallAction,
    /// How to get stacks.
    pub dump: Option<StackDump>,
    /// Whether the failure has neither the status nor the stacks.
    pub is_brief: bool,
}

impl StallOptions {
    /// Reads the options from JSON.
    pub fn read(options: &mut Object<'_>, timeout: Duration) -> Result<Self> {
        let action = match options.string("stall_action")?.as_deref() {
            None | Some("stop") => StallAction::Stop,
            Some("warn") => StallAction::Warn,
            Some("fail") => StallAction::Fail,
            Some(_) => {
                return Err(Error::config(format!(
                    "{} must be one of stop, warn, fail",
                    options.at("stall_action")
                )));
            }
        };
        if action != StallAction::Stop && timeout.is_zero() {
            return Err(Error::config(format!(
                "{} needs {}: the time without progress after which the activity is stalled",
                options.at("stall_action"),
                options.at("stall_timeout_ms")
            )));
        }
        Ok(StallOptions { action, dump: dump(options, action)?, is_brief: is_brief(options)? })
    }
}

fn is_brief(options: &mut Object<'_>) -> Result<bool> {
    match options.string("stall_report")?.as_deref() {
        None | Some("full") => Ok(false),
        Some("brief") => Ok(true),
        Some(_) => Err(Error::config(format!("{} must be one of full, brief", options.at("stall_report")))),
    }
}

fn dump(options: &mut Object<'_>, action: StallAction) -> Result<Option<StackDump>> {
    const DESCRIPTOR: &str = "stall_stack_fd";
    const SIGNAL: &str = "stall_signal";
    let narrow = |number: i64| i32::try_from(number).ok();
    let descriptor = options.integer(DESCRIPTOR, 0..=i64::from(i32::MAX))?.and_then(narrow);
    let signal = options.integer(SIGNAL, 1..=i64::from(stack_dump::MAX_SIGNAL))?.and_then(narrow);
    let Some(descriptor) = descriptor else {
        return match signal {
            None => Ok(None),
            Some(_) => Err(Error::config(format!(
                "{} needs {}: the descriptor from which the stacks are read",
                options.at(SIGNAL),
                options.at(DESCRIPTOR)
            ))),
        };
    };
    if action == StallAction::Stop {
        return Err(Error::config(format!(
            "{} needs {} \"fail\" or \"warn\": \"stop\" reports no stacks",
            options.at(DESCRIPTOR),
            options.at("stall_action")
        )));
    }
    let Some(file) = FileIdentity::of(descriptor) else {
        return Err(Error::config(format!("{} isn't an open descriptor", options.at(DESCRIPTOR))));
    };
    if signal.is_some_and(|signal| !stack_dump::is_handled(signal)) {
        return Err(Error::config(format!(
            "{}: the process has no handler for it, so it would end the process or do nothing: install the handler first",
            options.at(SIGNAL)
        )));
    }
    Ok(Some(StackDump { descriptor, file, signal, thread: stack_dump::current_thread() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{activity::options::OpenOptions, model::status::Status};

    #[test]
    fn every_action_has_a_name() {
        let read = |json: &str| OpenOptions::read(json.as_bytes()).unwrap().stall.action;
        assert_eq!(read("{}"), StallAction::Stop);
        assert_eq!(read(r#"{"stall_action":"stop"}"#), StallAction::Stop);
        assert_eq!(read(r#"{"stall_action":"warn","stall_timeout_ms":1}"#), StallAction::Warn);
        assert_eq!(read(r#"{"stall_action":"fail","stall_timeout_ms":1}"#), StallAction::Fail);
    }

    #[test]
    fn options_that_would_have_no_effect_are_refused() {
        for (json, words) in [
            (r#"{"stall_action":"fail"}"#, "options.stall_action needs options.stall_timeout_ms"),
            (r#"{"stall_action":"warn"}"#, "needs options.stall_timeout_ms"),
            (r#"{"stall_report":""}"#, "one of full, brief"),
            (r#"{"stall_action":"kill","stall_timeout_ms":1}"#, "one of stop, warn, fail"),
            (r#"{"stall_signal":10}"#, "options.stall_signal needs options.stall_stack_fd"),
            (
                r#"{"stall_stack_fd":0,"stall_timeout_ms":1}"#,
                "needs options.stall_action \"fail\" or \"warn\"",
            ),
            (
                r#"{"stall_stack_fd":2147483647,"stall_timeout_ms":1,"stall_action":"fail"}"#,
                "isn't an open descriptor",
            ),
            (
                r#"{"stall_stack_fd":2,"stall_signal":12,"stall_timeout_ms":1,"stall_action":"fail"}"#,
                "install the handler first",
            ),
        ] {
            let error = OpenOptions::read(json.as_bytes()).unwrap_err();
            assert_eq!(error.status(), Status::Config, "{json}");
            assert!(error.message().contains(words), "{json}: {error}");
        }
    }
}
