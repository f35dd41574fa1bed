//! Runs one task.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{atomic::Ordering, mpsc},
    time::Duration,
};

use serde_json::json;
use temporal_heartbeat::{
    api::{
        activity::{self, OpenOptions},
        rpc::{self, Call},
        task_queue::{self, Task},
    },
    model::{
        attempt::Ids,
        deadline::Timeout,
        error::{Error, Result},
        payload::Payloads,
        signals::Signals,
    },
};

use super::Worker;
use crate::{
    console,
    error::local_error,
    run::{
        attempt::{self, Attempt, Prefix},
        environment,
        reporter::Reporter,
    },
};

/// How long the values of a task are decoded, with retries, before the task is handed back.
const DECODE_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the command for a task.
pub fn run(worker: &Worker, task: Task) {
    let activity_type = &task.activity_type;
    if !worker.activity_types.is_empty() && !worker.activity_types.contains(activity_type) {
        let message = format!(
            "no activity of type {activity_type} is run by this worker; it runs {}",
            worker.activity_types.join(", ")
        );
        hand_back(&task.token, "NotFoundError", &message);
        return;
    }
    let number = worker.next_task.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = run_numbered(worker, &task, number) {
        // Another worker may succeed.
        hand_back(&task.token, "Worker", &console::words(&error));
    }
}

/// Fails an attempt if its command wasn't started, so that the server retries it. The details stay unchanged.
pub fn hand_back(token: &[u8], kind: &str, message: &str) {
    console::warning(&format!("a task is handed back: {message}"));
    let timeout = Timeout::Within(rpc::DEFAULT_TIMEOUT);
    warn_if_kept(rpc::fail(token, failure(kind, message).as_bytes(), timeout).and_then(Call::wait));
}

fn failure(kind: &str, message: &str) -> String {
    json!({"type": kind, "message": message, "source": env!("CARGO_BIN_NAME")}).to_string()
}

fn warn_if_kept(handed_back: Result<()>) {
    if let Err(error) = handed_back {
        console::warning(&format!(
            "can't hand a task back, so that it is retried after its timeout: {}",
            console::words(&error)
        ));
    }
}

fn run_numbered(worker: &Worker, task: &Task, number: u64) -> Result<()> {
    let directory = worker.guardian.directory()?.join(number.to_string());
    let outcome = run_in(worker, task, number, &directory);
    // Fails if the directory was never created.
    let _ = fs::remove_dir_all(&directory);
    outcome
}

fn run_in(worker: &Worker, task: &Task, number: u64, directory: &Path) -> Result<()> {
    let mut options = OpenOptions {
        heartbeat_timeout: task.heartbeat_timeout,
        initial_details: Some(task.details.clone()),
        attempt_remaining: task.start_to_close_timeout,
        ..OpenOptions::new()
    };
    worker.args.set_cancellation_options(&mut options, worker.concurrency);
    let handle = activity::open_with(&task.token, options)?;
    // From here on the attempt is kept alive, also while the codec server is away.
    let command = match prepare(worker, task, directory) {
        Ok(command) => command,
        Err(error) => {
            give_up(handle, &error);
            return Ok(());
        }
    };
    let (sender, events) = mpsc::channel();
    worker.running.add(number, sender.clone());
    let attempt = Attempt {
        reporter: Reporter {
            args: &worker.args,
            handle,
            title: format!("{} {}, attempt {}", task.activity_type, name(&task.ids), task.attempt),
            title_in_json: format!(
                "{} {}, attempt {}",
                task.activity_type, task.ids.activity_id, task.attempt
            ),
            requires_encoded: worker.requires_encoded,
        },
        signals: Signals::default(),
        command,
        guardian: &worker.guardian,
        has_status_line: false,
        prefix: worker.prefixes.map(|when| Prefix { name: short(&name(&task.ids)), number, when }),
    };
    attempt::run(attempt, sender, events);
    worker.running.remove(number);
    Ok(())
}

/// Decodes the values of a task, and returns its command.
fn prepare(worker: &Worker, task: &Task, directory: &Path) -> Result<Command> {
    let decoded = |values: &Payloads| {
        task_queue::decode(values.clone(), Timeout::Within(DECODE_TIMEOUT)).and_then(Call::wait)
    };
    let (details, input) = (decoded(&task.details)?, decoded(&task.input)?);
    let mut command = worker.args.command();
    environment::set_attempt(&mut command, task.attempt, Some(&task.ids));
    fs::create_dir(directory).map_err(|why| local_error("create the directory of a task", &why))?;
    environment::set_details(&mut command, &details, || Ok(directory))?;
    environment::set_task(&mut command, task, &worker.queue.name, &input, directory)?;
    Ok(command)
}

/// Fails an open attempt whose command can't be started, so that the server retries it.
fn give_up(handle: u64, error: &Error) {
    let words = console::words(error);
    console::warning(&format!("a task is handed back: {words}"));
    let timeout = Timeout::Within(rpc::DEFAULT_TIMEOUT);
    let ended = activity::fail(handle, failure("Worker", &words).as_bytes(), timeout).and_then(Call::wait);
    warn_if_kept(ended);
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
