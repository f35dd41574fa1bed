//! The command's environment variables, and the files that they name.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::value::RawValue;
use temporal_heartbeat::{
    api::worker::Task,
    config::handoff,
    model::{
        attempt::Ids,
        details::{Details, Value},
        error::Result,
        payload::EXTERNAL_REFERENCE,
    },
};

use crate::{
    console,
    error::local_error,
    value::{is_json, json_text},
};

/// The largest variable that is set. The system's limit is 128 KiB.
const MAX_VARIABLE_BYTES: usize = 96 * 1024;

const DETAILS_JSON: &str = "TEMPORAL_ACTIVITY_DETAILS_JSON";
const DETAILS_ENCODING: &str = "TEMPORAL_ACTIVITY_DETAILS_ENCODING";
const DETAILS_FILE: &str = "TEMPORAL_ACTIVITY_DETAILS_FILE";
const INPUT_FILE: &str = "TEMPORAL_ACTIVITY_INPUT_FILE";
const INPUT_ENCODING: &str = "TEMPORAL_ACTIVITY_INPUT_ENCODING";
const ACTIVITY_TYPE: &str = "TEMPORAL_ACTIVITY_TYPE";
const WORKFLOW_TYPE: &str = "TEMPORAL_ACTIVITY_WORKFLOW_TYPE";
const TASK_QUEUE: &str = "TEMPORAL_ACTIVITY_TASK_QUEUE";

/// Sets the variables of the attempt, and removes the task token: a command that has it could end the activity, or overwrite its progress
/// with its own heartbeats.
pub fn set_attempt(command: &mut Command, attempt: i32, ids: Option<&Ids>) {
    for token in [handoff::TOKEN, handoff::TOKEN_FILE, handoff::TOKEN_FD] {
        command.env_remove(token);
    }
    if attempt > 0 {
        command.env(handoff::ATTEMPT, attempt.to_string());
    }
    if let Some(ids) = ids {
        if ids.workflow_id.is_empty() {
            command.env_remove(handoff::WORKFLOW_ID);
        } else {
            command.env(handoff::WORKFLOW_ID, &ids.workflow_id);
        }
        command.env(handoff::RUN_ID, &ids.run_id).env(handoff::ID, &ids.activity_id);
    }
}

/// Sets the variables of the previous attempt's details. Details that are too large for a variable are in the file only. `directory` is
/// called if a file is needed.
pub fn set_details<'a>(
    command: &mut Command,
    details: &Details,
    directory: impl FnOnce() -> Result<&'a Path>,
) -> Result<()> {
    for name in [handoff::HEARTBEAT_DETAILS, DETAILS_JSON, DETAILS_ENCODING, DETAILS_FILE] {
        command.env_remove(name);
    }
    let encoded = BASE64_STANDARD.encode(details.payloads().encoded());
    if encoded.len() <= MAX_VARIABLE_BYTES {
        command.env(handoff::HEARTBEAT_DETAILS, encoded);
    }
    let Some(first) = details.values().first() else { return Ok(()) };
    command.env(DETAILS_ENCODING, encoding(first));
    if is_undecoded(first) {
        console::warning(&format!(
            "the progress of the previous attempt has the encoding {}, so {DETAILS_JSON} isn't set: if a codec has encoded it, give --codec-endpoint",
            first.encoding
        ));
    }
    let bytes = if is_json(first) { json_text(first) } else { &first.data };
    // Python encodes NaN as JSON, although it isn't.
    if is_json(first)
        && bytes.len() <= MAX_VARIABLE_BYTES
        && let Ok(json) = serde_json::from_slice::<&RawValue>(bytes)
    {
        command.env(DETAILS_JSON, json.get());
    }
    command.env(DETAILS_FILE, write(directory()?, "details", bytes)?);
    Ok(())
}

/// Sets the variables of a task, and the standard input to its input.
pub fn set_task(command: &mut Command, task: &Task, directory: &Path) -> Result<()> {
    let facts = &task.facts;
    command.env(ACTIVITY_TYPE, &facts.activity_type).env(TASK_QUEUE, &facts.task_queue);
    if !facts.workflow_type.is_empty() {
        command.env(WORKFLOW_TYPE, &facts.workflow_type);
    }
    let ms = |time: Duration| time.as_millis().to_string();
    if !facts.heartbeat_timeout.is_zero() {
        command.env(handoff::HEARTBEAT_TIMEOUT_MS, ms(facts.heartbeat_timeout));
    }
    if let Some(timeout) = facts.start_to_close_timeout {
        command.env(handoff::DEADLINE_MS, ms(timeout));
    }
    let input = task.input.values();
    if let Some(first) = input.first() {
        command.env(INPUT_ENCODING, encoding(first));
    }
    let path = write(directory, "input", &input_lines(input))?;
    let file = File::open(&path).map_err(|why| local_error("read the input from its file", &why))?;
    command.stdin(file).env(INPUT_FILE, path);
    Ok(())
}

/// Returns the encoding of a value, with one name for all external references.
fn encoding(value: &Value) -> &str {
    if value.is_external_reference { EXTERNAL_REFERENCE } else { &value.encoding }
}

/// Returns whether a codec may have encoded the value.
fn is_undecoded(value: &Value) -> bool {
    let is_bytes = ["", "binary/plain", "binary/protobuf"].contains(&value.encoding.as_ref());
    !is_json(value) && !is_bytes && !value.is_external_reference
}

/// Returns each argument on a line, or the bytes of a single argument that isn't JSON.
fn input_lines(input: &[Value]) -> Vec<u8> {
    match input {
        [value] if !is_json(value) => value.data.to_vec(),
        values => values
            .iter()
            .flat_map(|value| [if is_json(value) { json_text(value) } else { &value.data }, b"\n"].concat())
            .collect(),
    }
}

fn write(directory: &Path, name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = directory.join(name);
    fs::write(&path, content).map_err(|why| local_error(&format!("write the {name} to a file"), &why))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use temporal_heartbeat::model::payload::Encoding;

    fn variable(command: &Command, name: &str) -> Option<String> {
        let (_, value) = command.get_envs().find(|(set, _)| *set == name)?;
        Some(value?.to_string_lossy().into_owned())
    }

    fn details(values: &[(Encoding, &[u8])]) -> Details {
        let mut details = Details::new();
        values.iter().for_each(|(encoding, data)| details.add(*encoding, data).unwrap());
        details
    }

    fn command_with_details(encoding: Encoding, data: &[u8]) -> Command {
        let directory = std::env::temp_dir().join(format!("details-{:016x}", fastrand::u64(..)));
        fs::create_dir(&directory).unwrap();
        let mut command = Command::new("true");
        set_attempt(&mut command, 2, None);
        set_details(&mut command, &details(&[(encoding, data)]), || Ok(&directory)).unwrap();
        let file = fs::read(variable(&command, DETAILS_FILE).unwrap()).unwrap();
        fs::remove_dir_all(directory).unwrap();
        assert_eq!(file, data);
        command
    }

    #[test]
    fn details_are_in_a_variable_and_in_a_file() {
        let command = command_with_details(Encoding::Json, b"{\"item\":41}");
        assert_eq!(variable(&command, DETAILS_JSON).as_deref(), Some("{\"item\":41}"));
        assert_eq!(variable(&command, handoff::ATTEMPT).as_deref(), Some("2"));
        assert_eq!(variable(&command, handoff::TOKEN), None);
    }

    #[test]
    fn binary_or_large_details_are_in_the_file_only() {
        assert_eq!(variable(&command_with_details(Encoding::Binary, b"\xff\0"), DETAILS_JSON), None);
        let large = format!("\"{}\"", "x".repeat(MAX_VARIABLE_BYTES));
        let command = command_with_details(Encoding::Json, large.as_bytes());
        assert_eq!(variable(&command, DETAILS_JSON), None);
        assert_eq!(variable(&command, handoff::HEARTBEAT_DETAILS), None);
    }

    #[test]
    fn arguments_are_lines_and_a_single_binary_argument_is_its_bytes() {
        let input = |values: &[(Encoding, &[u8])]| input_lines(details(values).values());
        assert_eq!(input(&[]), b"");
        assert_eq!(input(&[(Encoding::Json, b"{\"a\":1}")]), b"{\"a\":1}\n");
        assert_eq!(input(&[(Encoding::Json, b"1"), (Encoding::Null, b"")]), b"1\nnull\n");
        assert_eq!(input(&[(Encoding::Binary, b"\xff\n")]), b"\xff\n");
    }
}
