//! One task, from its input to the command's end.

use std::{
    fs, io,
    path::Path,
    sync::{atomic::Ordering, mpsc},
    time::Duration,
};

use serde_json::json;
use temporal_heartbeat::{
    api::{
        activity::{self, OpenOptions},
        rpc,
        task_queue::Task,
    },
    config::handoff,
    model::{
        deadline::Timeout,
        details::{Details, Value},
        error::Result,
        signals::Signals,
    },
};

use super::Worker;
use crate::{
    commands::{is_text, text},
    console,
    exec::local,
    run::{
        attempt::{self, Attempt, Input},
        environment::{INPUT_ENCODING, INPUT_FILE, Variables, write},
    },
};

/// Runs the command for a task.
pub fn run(worker: &Worker, task: Task) {
    let kind = &task.activity_type;
    if !worker.types.is_empty() && !worker.types.contains(kind) {
        let message =
            format!("no activity of type {kind} is run by this worker; it runs {}", worker.types.join(", "));
        hand_back(&task, "NotFoundError", &message);
        return;
    }
    let number = worker.tasks.fetch_add(1, Ordering::Relaxed);
    let directory = worker.directory.path().join(number.to_string());
    if let Err(error) = run_in(worker, &task, number, &directory) {
        // Perhaps another worker can.
        hand_back(&task, "Worker", &error.to_string());
    }
    // It may never have been made.
    let _ = fs::remove_dir_all(&directory);
}

/// Fails what came with an attempt that hasn't begun; the progress stays as it is.
pub fn hand_back(task: &Task, kind: &str, message: &str) {
    hand_back_token(&task.token, kind, message);
}

/// The same, when only the token is left.
pub fn hand_back_token(token: &[u8], kind: &str, message: &str) {
    console::warning(&format!("a task is handed back: {message}"));
    let failure = json!({"type": kind, "message": message, "source": env!("CARGO_BIN_NAME")}).to_string();
    if let Err(error) = rpc::fail(token, failure.as_bytes(), Timeout::Within(rpc::DEFAULT_TIMEOUT)) {
        console::warning(&format!(
            "a task can't be handed back, and starts again after its timeout: {error}"
        ));
    }
}

fn run_in(worker: &Worker, task: &Task, number: u64, directory: &Path) -> Result<()> {
    fs::create_dir(directory).map_err(|why| local("make a directory for a task", &why))?;
    let details = Details::handed_over(task.details.clone())?;
    let input = Details::handed_over(task.input.clone())?;
    let mut variables = Variables::new(task.attempt, Some(&task.ids));
    let prepared = prepare(&mut variables, worker, task, &details, input.values(), directory);
    let input = prepared.map_err(|why| local("write a task's files", &why))?;

    let handle = activity::open_with(
        &task.token,
        OpenOptions {
            heartbeat_timeout: task.heartbeat_timeout,
            initial_details: Some(task.details.clone()),
            attempt_remaining: task.start_to_close_timeout,
            cancel_poll: worker.settings.cancel_poll,
            ..OpenOptions::new()
        },
    )?;
    let (sender, events) = mpsc::channel();
    worker.shutdown.add(number, sender.clone());
    let attempt = Attempt {
        handle,
        signals: Signals::default(),
        variables,
        input: Input::File(input),
        title: format!("{} {}, attempt {}", task.activity_type, task.ids.activity_id, task.attempt),
        guardian: &worker.guardian,
        shows: false,
        tells_all: true,
    };
    attempt::run(&worker.settings, attempt, sender, &events, || ());
    worker.shutdown.remove(number);
    Ok(())
}

/// What the command finds, beside what `exec` gives. The file of its input.
fn prepare(
    variables: &mut Variables,
    worker: &Worker,
    task: &Task,
    details: &Details,
    input: &[Value],
    directory: &Path,
) -> io::Result<std::path::PathBuf> {
    variables.hand_over(details, directory)?;
    variables.set("TEMPORAL_ACTIVITY_TYPE", &task.activity_type);
    variables.set("TEMPORAL_ACTIVITY_TASK_QUEUE", &worker.queue.name);
    if let Some(kind) = &task.workflow_type {
        variables.set("TEMPORAL_ACTIVITY_WORKFLOW_TYPE", kind);
    }
    let ms = |time: Duration| time.as_millis().to_string();
    if !task.heartbeat_timeout.is_zero() {
        variables.set(handoff::HEARTBEAT_TIMEOUT_MS, ms(task.heartbeat_timeout));
    }
    if let Some(timeout) = task.start_to_close_timeout {
        variables.set(handoff::DEADLINE_MS, ms(timeout));
    }
    if let Some(first) = input.first() {
        variables.set(INPUT_ENCODING, &first.encoding);
    }
    let path = write(directory, "input", &lines(input))?;
    variables.set(INPUT_FILE, &path);
    Ok(path)
}

/// Each argument on a line; a sole one that isn't JSON as it is.
fn lines(input: &[Value]) -> Vec<u8> {
    match input {
        [bytes] if !is_text(bytes) => bytes.data.to_vec(),
        values => values
            .iter()
            .flat_map(|value| [if is_text(value) { text(value) } else { &value.data }, b"\n"].concat())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use temporal_heartbeat::model::payload::Encoding;

    fn given(values: &[(Encoding, &[u8])]) -> Vec<u8> {
        let mut details = Details::new();
        values.iter().for_each(|(encoding, data)| details.add(*encoding, data).unwrap());
        lines(details.values())
    }

    #[test]
    fn arguments_are_lines_and_sole_bytes_are_bytes() {
        assert_eq!(given(&[]), b"");
        assert_eq!(given(&[(Encoding::Json, b"{\"a\":1}")]), b"{\"a\":1}\n");
        assert_eq!(given(&[(Encoding::Json, b"1"), (Encoding::Null, b"")]), b"1\nnull\n");
        assert_eq!(given(&[(Encoding::Binary, b"\xff\n")]), b"\xff\n");
    }
}
