//! Runs one task.

use std::{
    fs,
    path::Path,
    sync::{atomic::Ordering, mpsc},
};

use serde_json::json;
use temporal_heartbeat::{
    api::{
        activity::{self, OpenOptions},
        rpc::{self, Call},
        task_queue::Task,
    },
    model::{attempt::Ids, deadline::Timeout, details::Details, error::Result, signals::Signals},
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
    let failure = json!({"type": kind, "message": message, "source": env!("CARGO_BIN_NAME")}).to_string();
    if let Err(error) =
        rpc::fail(token, failure.as_bytes(), Timeout::Within(rpc::DEFAULT_TIMEOUT)).and_then(Call::wait)
    {
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
    let details = Details::handed_over(task.details.clone())?;
    let input = Details::handed_over(task.input.clone())?;
    let mut command = worker.args.command();
    environment::set_attempt(&mut command, task.attempt, Some(&task.ids));
    fs::create_dir(directory).map_err(|why| local_error("create the directory of a task", &why))?;
    environment::set_details(&mut command, &details, || Ok(directory))?;
    environment::set_task(&mut command, task, &worker.queue.name, &input, directory)?;

    let handle = activity::open_with(
        &task.token,
        OpenOptions {
            heartbeat_timeout: task.heartbeat_timeout,
            initial_details: Some(task.details.clone()),
            attempt_remaining: task.start_to_close_timeout,
            cancel_poll: worker.args.cancel_poll,
            ..OpenOptions::new()
        },
    )?;
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
