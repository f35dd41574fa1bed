//! Runs one task.

use std::{fs, path::Path, process::Command, sync::mpsc};

use serde_json::json;
use temporal_heartbeat::{
    api::{
        activity,
        rpc::{self, Call},
        worker::Task,
    },
    model::{
        attempt::Ids,
        deadline::Timeout,
        error::{Error, Result},
        signals::Signals,
    },
};

use super::Work;
use crate::{
    console,
    error::local_error,
    run::{
        attempt::{self, Attempt, Prefix},
        environment,
        reporter::Reporter,
    },
};

/// Runs the command for a task.
pub fn run(work: &Work, task: &Task, number: u64) {
    let directory = work.guardian.directory().map(|parent| parent.join(number.to_string()));
    if let Err(error) = directory.and_then(|directory| run_in(work, task, number, &directory)) {
        // Another worker may succeed.
        give_up(task.activity, &error);
    }
}

/// Runs the command with a directory for its files. Fails if the command can't be prepared.
fn run_in(work: &Work, task: &Task, number: u64, directory: &Path) -> Result<()> {
    let outcome = prepare(work, task, directory).map(|command| run_command(work, task, number, command));
    // Fails if the directory was never created.
    let _ = fs::remove_dir_all(directory);
    outcome
}

fn run_command(work: &Work, task: &Task, number: u64, command: Command) {
    let (sender, events) = mpsc::channel();
    work.running.add(number, sender.clone());
    let facts = &task.facts;
    let attempt = Attempt {
        reporter: Reporter {
            args: &work.args,
            handle: task.activity,
            title: format!("{} {}, attempt {}", facts.activity_type, name(&facts.ids), facts.attempt),
            title_in_json: format!(
                "{} {}, attempt {}",
                facts.activity_type, facts.ids.activity_id, facts.attempt
            ),
            requires_encoded: work.requires_encoded,
        },
        signals: Signals::default(),
        command,
        guardian: &work.guardian,
        has_status_line: false,
        prefix: work.prefixes.map(|when| Prefix { name: short(&name(&facts.ids)), number, when }),
    };
    attempt::run(attempt, sender, events);
    work.running.remove(number);
}

/// Returns the command of a task.
fn prepare(work: &Work, task: &Task, directory: &Path) -> Result<Command> {
    let mut command = work.args.command();
    environment::set_attempt(&mut command, task.facts.attempt, Some(&task.facts.ids));
    fs::create_dir(directory).map_err(|why| local_error("create the directory of a task", &why))?;
    environment::set_details(&mut command, &task.details, || Ok(directory))?;
    environment::set_task(&mut command, task, directory)?;
    Ok(command)
}

/// Fails an open attempt whose command can't be started, so that the server retries it.
pub fn give_up(handle: u64, error: &Error) {
    let words = console::words(error);
    console::warning(&format!("a task is handed back: {words}"));
    let failure = json!({"type": "Worker", "message": words, "source": env!("CARGO_BIN_NAME")}).to_string();
    let timeout = Timeout::Within(rpc::DEFAULT_TIMEOUT);
    if let Err(error) = activity::fail(handle, failure.as_bytes(), timeout).and_then(Call::wait) {
        console::warning(&format!(
            "can't hand a task back, so that it is retried after its timeout: {}",
            console::words(&error)
        ));
    }
    // There is no record to send.
    let _ = activity::close(handle, Timeout::Zero).and_then(Call::wait);
}

/// The name of an activity in messages. The ids of a workflow's activities are unique in the workflow only.
fn name(ids: &Ids) -> String {
    match ids.workflow_id.as_str() {
        "" => ids.activity_id.clone(),
        workflow_id => format!("{workflow_id}/{}", ids.activity_id),
    }
}

/// Shortens a long name. Activities differ in the start or the end of their names.
fn short(name: &str) -> String {
    const MAX: usize = 20;
    let count = name.chars().count();
    if count <= MAX {
        return name.to_owned();
    }
    let start: String = name.chars().take(MAX / 2 - 1).collect();
    let end: String = name.chars().skip(count - MAX / 2).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(short("month-7/1"), "month-7/1");
        assert_eq!(short("order-0123456789-0123456789/5"), "order-012…23456789/5");
        assert_eq!(short(&"é".repeat(30)).chars().count(), 20);
    }
}
